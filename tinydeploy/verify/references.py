"""Which references there are, in the order in which they are believed, and running a model on them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.verify.litert import LitertReference
from tinydeploy.verify.process import INSTALL_HINT
from tinydeploy.verify.tflm import TflmReference
from tinydeploy.verify.types import Reference, ReferenceRun, Sample


def find_references() -> tuple[Reference, ...]:
    """The installed references, the deciding one first: TFLM before LiteRT. Raises `MissingToolError`."""
    found: list[Reference] = []
    candidates: tuple[Reference, ...] = (TflmReference(), LitertReference())
    for candidate in candidates:
        try:
            _ = candidate.version
        except MissingToolError:
            continue
        found.append(candidate)
    if not found:
        raise MissingToolError(
            "verification needs tflite-micro or ai-edge-litert, and neither is installed",
            hint=f"{INSTALL_HINT}, or run with --no-verify",
        )
    return tuple(found)


def reference_outputs(
    model: Model,
    data: bytes,
    samples: Sequence[Sample],
    *,
    layers: bool = False,
    references: Sequence[Reference] | None = None,
) -> tuple[ReferenceRun, ...]:
    """Run the samples on each reference (by default all that are installed), the deciding one first.

    Later ones are only opinions: one that cannot run the model, or has gone missing, is left out.
    Raises what `Reference.run` raises for the first.
    """
    chosen = find_references() if references is None else tuple(references)
    runs: list[ReferenceRun] = []
    with ThreadPoolExecutor(max_workers=len(chosen)) as pool:  # each waits for a process of its own
        waiting = [pool.submit(reference.run, model, data, samples, layers=layers) for reference in chosen]
        for reference, answer in zip(chosen, waiting, strict=True):
            try:
                answers = answer.result()
            except (UnsupportedModelError, MissingToolError):
                if not runs:
                    raise
                continue
            runs.append(ReferenceRun(reference.name, reference.version, answers))
    return tuple(runs)
