"""The way to TensorFlow Lite Micro: a file with our placement in it, and the check of it on TFLM on this computer.

plan_for_tflm → check_on_host
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinydeploy.boards.board import Core
from tinydeploy.errors import MismatchError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.tflm import KernelSet, OfflinePlan, TflmArena, plan_offline, predict_tflm_arena
from tinydeploy.plan.validate.offline import validate_rewritten
from tinydeploy.tflite import parse_model
from tinydeploy.tflite.rewrite import with_offline_plan

if TYPE_CHECKING:
    from tinydeploy.verify import Sample


@dataclass(frozen=True)
class PlannedForTflm:
    """`data` is the file with the placement, `model` what is in it; `original` is the model that it was made of.

    Arenas are predicted for 32-bit targets from the new file: `arena` for the kernels of the plan.
    """

    original: Model
    data: bytes
    model: Model
    plan: OfflinePlan

    @property
    def arena(self) -> TflmArena:
        """TFLM's arena for the new file, with the kernels that it was planned for."""
        return self.plan.arenas[self.plan.kernels]


@dataclass(frozen=True)
class TflmCheck:
    """What TensorFlow Lite Micro on this computer, with its reference kernels, makes of the file before and after.

    `against` is its name and version. Outputs were identical in `samples` samples of `elements` elements in all. The
    non-persistent part of its arena is measured for both files, and predicted for the new one; `exact` is True when
    the two agree, None where an operator's kernel is not known. `persistent_bytes` is this computer's.
    """

    against: str
    samples: int
    elements: int
    original_nonpersistent_bytes: int
    nonpersistent_bytes: int
    predicted_nonpersistent_bytes: int
    persistent_bytes: int
    exact: bool | None


def plan_for_tflm(
    data: bytes,
    model: Model,
    *,
    kernels: KernelSet,
    core: Core | None = None,
    budget: Budget = USUAL,
    cp_sat: bool = False,
) -> PlannedForTflm:
    """The file with a placement for TFLM in it, checked; `data` and `model` are the same file, as bytes and as read.

    Raises `UnsupportedModelError` for a file in which no placement can be written, such as one with several graphs,
    what `plan_offline` raises, and `PlanInvalidError` if the new file does not compute what the old one does.
    """
    plan = plan_offline(model, kernels=kernels, core=core, budget=budget, cp_sat=cp_sat)
    rewritten = with_offline_plan(data, plan.offsets, plan.order, name=model.path or model.name)
    read = parse_model(rewritten, name=model.name, path=model.path)
    validate_rewritten(model, read)
    for each, arena in plan.arenas.items():
        assert predict_tflm_arena(read, kernels=each, core=core) == arena  # the file says what was planned
    return PlannedForTflm(model, rewritten, read, plan)


def without_placement(data: bytes, planned: PlannedForTflm, core: Core | None = None) -> PlannedForTflm:
    """The file as it was, `data`, in the place of the one with the placement; with the arenas that it needs."""
    before = planned.original
    arenas = {each: predict_tflm_arena(before, kernels=each, core=core) for each in planned.plan.arenas}
    return replace(planned, data=data, model=before, plan=replace(planned.plan, arenas=MappingProxyType(arenas)))


def check_on_host(original: bytes, planned: PlannedForTflm, samples: Sequence[Sample]) -> TflmCheck:
    """Run both files on TFLM: the outputs must be the same bits, and the arena as large as predicted.

    Raises `MismatchError` if not, `MissingToolError` without tflite-micro, `UnsupportedModelError` for a model that
    TFLM refuses.
    """
    from tinydeploy.verify import ReferenceRun, TflmReference, compare, raise_on_difference

    tflm = TflmReference()
    version = tflm.version
    files = ((planned.original, original), (planned.model, planned.data))
    with ThreadPoolExecutor(max_workers=2) as pool:  # each waits for a process of its own
        before, after = pool.map(lambda file: tflm.measure(file[0], file[1], samples), files)
    told = ReferenceRun("the file without the placement on tflite-micro", version, before.samples)
    seen = compare(planned.original, after.samples, [told])
    raise_on_difference(planned.original, seen)
    predicted = predict_tflm_arena(planned.model, kernels="reference")
    exact = None if predicted.unknown else predicted.nonpersistent_bytes == after.nonpersistent_bytes
    if exact is False:
        raise MismatchError(
            f"{printable(planned.original.path or planned.original.name)}: tflite-micro {version} takes "
            f"{after.nonpersistent_bytes:,} bytes for activations, {predicted.nonpersistent_bytes:,} were predicted",
            hint="this is a bug in tinydeploy's prediction, or another version of tflite-micro: please report it",
        )
    return TflmCheck(
        against=f"{tflm.name} {version}",
        samples=len(samples),
        elements=seen.elements,
        original_nonpersistent_bytes=before.nonpersistent_bytes,
        nonpersistent_bytes=after.nonpersistent_bytes,
        predicted_nonpersistent_bytes=predicted.nonpersistent_bytes,
        persistent_bytes=after.persistent_bytes,
        exact=exact,
    )
