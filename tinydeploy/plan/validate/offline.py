"""The check of a placement for TensorFlow Lite Micro: runs the operators in their order and sees who overwrites whom.

It shares no code with what makes placements, nor with what predicts TFLM's: that predicts what TFLM does with offsets
that are left open, while here only those that are given are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import unpack_from

from tinydeploy.ir import Model, Operator
from tinydeploy.plan.validate.refusal import Refusal

_MULTIPLE = 16  # bytes: kernels may read words, or whole vectors
_NAME = "OfflineMemoryAllocation"


def validate_rewritten(model: Model, rewritten: Model) -> None:
    """Return if `rewritten`, read from the file that was made of the model's, computes the same in the places it says.

    Raises `PlanInvalidError`, which names tensors and operators.
    """
    refusal = Refusal(model)
    if rewritten.inputs != model.inputs or rewritten.outputs != model.outputs:
        refusal.because("other inputs or outputs than the model's")
    if len(rewritten.tensors) != len(model.tensors):
        refusal.because(f"{len(rewritten.tensors)} tensors, the model has {len(model.tensors)}")
    for before, after in zip(model.tensors, rewritten.tensors, strict=True):
        if before != after:
            refusal.because(f"{refusal.named(before.index)} is not as it was")
    beside = [{name: blob for name, blob in m.metadata.items() if name != _NAME} for m in (model, rewritten)]
    if beside[0] != beside[1] or rewritten.description != model.description:
        refusal.because("the description or other metadata is not as it was")
    place = {_does(op): position for position, op in enumerate(_all_operators(model))}
    operators = _all_operators(rewritten)
    if any(_does(op) not in place for op in operators):
        refusal.because("an operator is not as it was")
    order = [place[_does(op)] for op in operators]
    validate_offline(model, order, _offsets(rewritten, refusal))


def validate_offline(model: Model, order: Sequence[int], offsets: Sequence[int | None]) -> None:
    """Return if the operators, by their place in the model's file, can run in this order with tensors at these offsets.

    Nothing may be written over a tensor that is needed later, and nothing that an operator uses over another. Offsets
    are multiples of 16; constants, variable tensors and empty ones have none. Raises `PlanInvalidError`.
    """
    refusal = Refusal(model)
    operators = _all_operators(model)
    if sorted(order) != list(range(len(operators))):
        refusal.because(f"its order is none of the model's {len(operators)} operators")
    if len(offsets) != len(model.tensors):
        refusal.because(f"{len(offsets)} offsets for {len(model.tensors)} tensors")
    folded = {index for op in model.folded_operators for index in op.outputs}
    areas = {}
    for index, offset in enumerate(offsets):
        tensor = model.tensors[index]
        if offset is None:
            continue
        if tensor.variable or not tensor.bytes or (tensor.constant and index not in folded):
            refusal.because(f"{refusal.named(index)} has no place in this part of the arena, yet an offset")
        if offset < 0 or offset % _MULTIPLE:
            refusal.because(f"{refusal.named(index)} at {offset}: not a multiple of {_MULTIPLE}")
        areas[index] = (offset, offset + tensor.bytes)
    program = [operators[position] for position in order]
    _check_state(model, operators, program, refusal)
    _run(model, program, areas, refusal)


def _all_operators(model: Model) -> list[Operator]:
    """The operators of the file, those that the reader folded away put back where they stood."""
    operators = list(model.operators)
    for op in sorted(model.folded_operators, key=lambda op: op.index):
        operators.insert(op.index, op)
    return operators


def _does(op: Operator) -> tuple[object, ...]:
    return op.opcode, op.inputs, op.outputs, op.attrs


def _offsets(model: Model, refusal: Refusal) -> list[int | None]:
    """The offsets in a file's metadata: numbers of 32 bits, a version, how many graphs, how many offsets, these."""
    table = model.metadata.get(_NAME, b"")
    count = len(model.tensors)
    if len(table) != 4 * (3 + count):
        refusal.because(f"{len(table)} bytes of metadata {_NAME} for {count} tensors")
    version, graphs, numbers, *offsets = unpack_from(f"<{3 + count}i", table)
    if (version, graphs, numbers) != (1, 1, count):
        refusal.because(f"metadata {_NAME} begins with {version}, {graphs}, {numbers}: not with 1, 1, {count}")
    return [None if offset == -1 else offset for offset in offsets]


def _check_state(model: Model, operators: Sequence[Operator], program: Sequence[Operator], refusal: Refusal) -> None:
    """What uses a variable tensor must do so in the file's order."""
    for tensor in model.tensors:
        if tensor.variable:
            using = [[op for op in ops if tensor.index in (*op.inputs, *op.outputs)] for ops in (operators, program)]
            if using[0] != using[1]:
                refusal.because(f"operators that use the variable {refusal.named(tensor.index)} change places")


def _run(model: Model, program: Sequence[Operator], areas: Mapping[int, tuple[int, int]], refusal: Refusal) -> None:
    """Go through the program; tensors without an offset are placed by TFLM where they are in nobody's way."""
    folded = {index for op in model.folded_operators for index in op.outputs}
    last_use = {index: number for number, op in enumerate(program) for index in op.inputs}
    last_use.update(dict.fromkeys(model.outputs, len(program)))
    there = {t.index for t in model.tensors if t.variable or (t.constant and t.index not in folded)}
    there.update(model.inputs)
    held = {index for index in model.inputs if index in areas}
    _apart(held, areas, refusal)
    for number, op in enumerate(program):
        held = {index for index in held if last_use.get(index, -1) >= number}
        for index in op.inputs:
            if index >= 0 and index not in there:
                refusal.because(f"{op} reads {refusal.named(index)} before anything has computed it")
        there.update(op.outputs)
        held.update(index for index in op.outputs if index in areas)
        _apart(held, areas, refusal)


def _apart(held: set[int], areas: Mapping[int, tuple[int, int]], refusal: Refusal) -> None:
    """Refuse tensors that hold something at the same time, at the same place."""
    below, top = -1, 0
    for index in sorted(held, key=lambda index: (areas[index], index)):
        start, end = areas[index]
        if start < top:
            refusal.because(f"{refusal.named(below)} and {refusal.named(index)} overlap while both are needed")
        if end > top:
            below, top = index, end
