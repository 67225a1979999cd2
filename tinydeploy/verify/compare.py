"""Comparing outputs with a reference's, bit by bit, and naming the first layer and element that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinydeploy.errors import MismatchError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.verify.layers import observable, producers
from tinydeploy.verify.references import reference_outputs
from tinydeploy.verify.types import Array, Difference, Reference, ReferenceRun, Sample, Verification, element


def verify(
    model: Model,
    data: bytes,
    inputs: Sequence[Sample],
    ours: Sequence[Sample],
    *,
    layers: bool = False,
    references: Sequence[Reference] | None = None,
) -> Verification:
    """Run the references on `inputs` and compare `ours` with the deciding one.

    ours: for each sample its model outputs, and with `layers` as many intermediate tensors as are known.
    Raises what `reference_outputs` raises; a difference is in the result, see `raise_on_difference`.
    """
    return compare(model, ours, reference_outputs(model, data, inputs, layers=layers, references=references))


def compare(model: Model, ours: Sequence[Sample], runs: Sequence[ReferenceRun]) -> Verification:
    """Compare `ours` with the first run; later runs are only asked whether they agree with the first.

    Every model output must be in `ours` and in the first run (`ValueError` otherwise, or when shape or type
    differ); intermediate tensors are compared where both have them. The first difference is that of the
    earliest layer in the operators' order, then of the earliest sample. Floats are compared by their bits.
    """
    first = runs[0]
    if len(ours) != len(first.samples):
        raise ValueError(f"{len(ours)} samples were computed, the reference has {len(first.samples)}")
    if not ours:
        raise ValueError("there is nothing to compare")
    makers = producers(model)
    known = set(ours[0]) & set(first.samples[0])
    order = tuple(index for index in dict.fromkeys((*observable(model), *model.outputs)) if index in known)
    for index in model.outputs:
        if index not in known:
            raise ValueError(f"output tensor {index} was not computed")
    found: Difference | None = None
    differing = elements = 0
    worst = 0.0
    for index in order:
        for number, (mine, theirs) in enumerate(zip(ours, first.samples, strict=True)):
            a, b = mine[index], theirs[index]
            different = _different(a, b, index)
            elements += int(a.size)
            count = int(np.count_nonzero(different))
            if not count:
                continue
            differing += count
            largest = _largest(a[different], b[different])
            worst = max(worst, largest)
            if found is None:
                flat = int(np.argmax(different))
                op = makers.get(index)
                found = Difference(
                    sample=number,
                    operator=op.index if op else None,
                    opcode=op.opcode if op else None,
                    tensor=index,
                    tensor_name=model.tensor(index).name,
                    index=tuple(int(i) for i in np.unravel_index(flat, a.shape)),
                    ours=element(a.reshape(-1)[flat]),
                    reference=element(b.reshape(-1)[flat]),
                    differing=count,
                    elements=int(a.size),
                    max_abs=largest,
                )
    second = runs[1] if len(runs) > 1 else None
    return Verification(
        against=first.against,
        bit_exact=found is None,
        inputs=len(ours),
        tensors=len(order),
        elements=elements,
        differing=differing,
        max_abs=worst,
        first_difference=found,
        second=second.against if second else None,
        second_agrees=_agree(first, second, order) if second else None,
    )


def raise_on_difference(model: Model, verification: Verification) -> None:
    """Raise `MismatchError` that names the first layer and element, unless the outputs are bit-exact."""
    at = verification.first_difference
    if at is None:
        return
    layer = "input" if at.operator is None else f"operator {at.operator} ({at.opcode})"
    place = ", ".join(str(i) for i in at.index)
    hint = (
        "--layers compares every layer, so that the first one that differs is named"
        if verification.tensors <= len(set(model.outputs))
        else "this is a bug in tinydeploy's kernel or plan: please report it with the model"
    )
    where = printable(model.path or model.name)
    what = f"{layer}, tensor {at.tensor} '{printable(at.tensor_name)}' [{place}]"
    extent = f"sample {at.sample}; {at.differing} of {at.elements} elements differ, by at most {at.max_abs:g}"
    raise MismatchError(
        f"{where}: outputs differ from {verification.against}: {what} is {at.ours}, "
        f"the reference has {at.reference} ({extent})",
        hint=hint,
    )


def _different(a: Array, b: Array, index: int) -> Array:
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(
            f"tensor {index}: {a.dtype}{list(a.shape)} computed, the reference has {b.dtype}{list(b.shape)}"
        )
    if a.dtype.kind != "f":
        return np.asarray(a != b)
    # Bits, so that NaN equals itself and -0.0 differs from 0.0.
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return np.asarray(np.ascontiguousarray(a).view(bits) != np.ascontiguousarray(b).view(bits)).reshape(a.shape)


def _largest(a: Array, b: Array) -> float:
    """The largest absolute difference of elements that differ; infinite where one is not a number."""
    if a.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            gaps = np.abs(a.astype(np.float64) - b.astype(np.float64))
        return float(np.max(np.nan_to_num(gaps, nan=np.inf)))
    return float(np.max(np.abs(a.astype(np.int64) - b.astype(np.int64))))


def _agree(first: ReferenceRun, second: ReferenceRun, order: Sequence[int]) -> bool:
    for one, other in zip(first.samples, second.samples, strict=True):
        for index in order:
            if index not in other or other[index].shape != one[index].shape or other[index].dtype != one[index].dtype:
                return False
            if np.any(_different(one[index], other[index], index)):
                return False
    return True
