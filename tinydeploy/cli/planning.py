"""What `plan`, `build` and `run` share once the pipeline is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import GateError
from tinydeploy.operators.base import printable
from tinydeploy.pipeline import PlanOptions

if TYPE_CHECKING:
    from tinydeploy.report.plans import Planned
    from tinydeploy.report.shared import PlannedTogether


def plan_choices(planning: Mapping[str, Any]) -> PlanOptions:
    """The options as the pipeline wants them; click has checked each of them."""
    return PlanOptions(**planning)


def require_fit(planned: Planned, *, hint: str | None = None) -> None:
    """Raise `GateError` when the model does not fit the board."""
    if not planned.fit.fits:
        name = printable(planned.model.path or planned.model.name, 200)
        raise GateError(f"{name} does not fit {planned.board.id}: {planned.fit.why_not()}", hint=hint)


def require_fit_together(planned: PlannedTogether, *, hint: str | None = None) -> None:
    """Raise `GateError` when several models do not fit the board together."""
    if planned.why_not():
        raise GateError(f"{', '.join(planned.names)} do not fit {planned.board.id}: {planned.why_not()}", hint=hint)
