"""What `plan`, `build`, `run` and `export` share once the pipeline is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.codegen import Extras
from tinydeploy.codegen.labels import load_labels
from tinydeploy.convert.pixels import parse_pixels
from tinydeploy.errors import GateError, UsageError
from tinydeploy.operators.base import printable
from tinydeploy.pipeline import PlanOptions

if TYPE_CHECKING:
    from tinydeploy.report.plans import Planned
    from tinydeploy.report.shared import PlannedTogether


def plan_choices(planning: Mapping[str, Any]) -> PlanOptions:
    """The options as the pipeline wants them; click has checked each of them."""
    return PlanOptions(**planning)


def extras_choices(told: Mapping[str, Any], models: int) -> tuple[Extras, ...]:
    """What each of so many models' libraries is told, from --labels and --pixels.

    Raises `UsageError` for a file of labels that cannot be read, a range that is none, or not one for each model.
    """
    labels = _of_each("--labels", told["labels"], models)
    pixels = _of_each("--pixels", told["pixels"], models)
    return tuple(
        Extras(load_labels(Path(file)) if file else (), parse_pixels(text) if text else None)
        for file, text in zip(labels, pixels, strict=True)
    )


def _of_each(option: str, given: Sequence[str], models: int) -> tuple[str, ...]:
    """Empty for none."""
    if given and len(given) != models:
        hint = f"{option} once for each model, in order, - for none" if models > 1 else f"give {option} once"
        raise UsageError(f"{option} is given {len(given)} times for {models} models", hint=hint)
    return tuple("" if text == "-" else text for text in given) or ("",) * models


def require_fit(planned: Planned, *, hint: str | None = None) -> None:
    """Raise `GateError` when the model does not fit the board."""
    if not planned.fit.fits:
        name = printable(planned.model.path or planned.model.name, 200)
        raise GateError(f"{name} does not fit {planned.board.id}: {planned.fit.why_not()}", hint=hint)


def require_fit_together(planned: PlannedTogether, *, hint: str | None = None) -> None:
    """Raise `GateError` when several models do not fit the board together."""
    if planned.why_not():
        raise GateError(f"{', '.join(planned.names)} do not fit {planned.board.id}: {planned.why_not()}", hint=hint)
