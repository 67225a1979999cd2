"""What `plan`, `build`, `run` and `export` share once the pipeline is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydeploy.codegen import Extras
from tinydeploy.codegen.labels import load_labels
from tinydeploy.convert.data.pixels import parse_pixels
from tinydeploy.errors import UsageError
from tinydeploy.pipeline import PlanOptions


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
