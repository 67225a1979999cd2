"""What `plan`, `build` and `run` share once the pipeline is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tinydeploy.errors import GateError
from tinydeploy.operators.base import printable
from tinydeploy.pipeline import PlanOptions

if TYPE_CHECKING:
    from tinydeploy.plan.planner import Solver
    from tinydeploy.report.plans import Planned


def plan_choices(in_place: bool, solver: str, stack_bytes: int | None) -> PlanOptions:
    """The options as the pipeline wants them; click has checked the solver's name."""
    return PlanOptions(in_place=in_place, solver=cast("Solver", solver), stack_bytes=stack_bytes)


def require_fit(planned: Planned, *, hint: str | None = None) -> None:
    """Raise `GateError` when the model does not fit the board."""
    if not planned.fit.fits:
        name = printable(planned.model.path or planned.model.name, 200)
        raise GateError(f"{name} does not fit {planned.board.id}: {planned.fit.why_not()}", hint=hint)
