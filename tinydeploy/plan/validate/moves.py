"""Operators that only move bytes: which input element each output element is, by doing the move on indices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import ConcatenationAttrs, DType, Model, Operator, StridedSliceAttrs, Tensor, UnpackAttrs

RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
MOVES = RESHAPES | {
    "CONCATENATION", "PAD", "PADV2", "SLICE", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
}  # fmt: skip

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Moves:
    """`outputs[o]`: for each element of output o, which element of `sources` it is, all counted in one row: element e
    of `sources[p]` is number `begins[p]` + e, and −1 is an element of none. Neighbours of different sources are never
    numbered in order. `sources` are input positions."""

    sources: tuple[int, ...]
    begins: tuple[int, ...]
    outputs: tuple[Indices, ...]


def moves_of(model: Model, op: Operator) -> Moves | None:
    """What `op` moves where; None where that is not known, for one because an operand is not constant."""
    if op.opcode not in MOVES:
        return None
    last = {"SPLIT": 1}.get(op.opcode, 0)
    sources = tuple(range(len(op.inputs))) if op.opcode == "CONCATENATION" else (last,)
    tensors = [model.input_of(op, p) for p in sources]
    if any(t is None for t in tensors):
        return None
    known = [t for t in tensors if t is not None]
    begins = tuple(accumulate((t.elements + 1 for t in known[:-1]), initial=0))
    numbers = [
        np.arange(b, b + t.elements, dtype=np.int64).reshape(t.shape) for b, t in zip(begins, known, strict=True)
    ]
    try:
        made = _moved(model, op, numbers)
    except (ValueError, IndexError, TypeError):
        return None
    outputs = [model.tensors[o] for o in op.outputs]
    if made is None or len(made) != len(outputs):
        return None
    for array, tensor in zip(made, outputs, strict=True):
        if array.shape != tensor.shape or any(t.dtype.bytes != tensor.dtype.bytes for t in known):
            return None
    return Moves(sources, begins, tuple(made))


def _moved(model: Model, op: Operator, numbers: list[Indices]) -> list[Indices] | None:
    source = numbers[0]
    if op.opcode in RESHAPES:
        return [source.reshape(model.output_of(op).shape)]
    if op.opcode == "CONCATENATION":
        return [np.concatenate(numbers, op.attrs.axis)] if isinstance(op.attrs, ConcatenationAttrs) else None
    if op.opcode == "UNPACK":
        if not isinstance(op.attrs, UnpackAttrs):
            return None
        return [np.take(source, i, op.attrs.axis) for i in range(source.shape[op.attrs.axis])]
    wanted = {"SPLIT": (0,), "SPLIT_V": (2,), "SLICE": (1, 2), "STRIDED_SLICE": (1, 2, 3)}.get(op.opcode, (1,))
    operands = [_integers(model.input_of(op, p)) for p in wanted]
    known = [o for o in operands if o is not None]
    if len(known) != len(wanted):
        return None
    if op.opcode in ("PAD", "PADV2"):
        pairs = list(zip(known[0][::2], known[0][1::2], strict=True))
        return [np.pad(source, pairs, constant_values=-1)]
    if op.opcode == "TRANSPOSE":
        return [np.transpose(source, known[0])]
    if op.opcode == "SLICE":
        cuts = (slice(b, None if n == -1 else b + n) for b, n in zip(*known, strict=True))
        return [source[tuple(cuts)]]
    if op.opcode == "STRIDED_SLICE":
        return _strided(op, source, known)
    (axis,) = known[0]
    extents = [model.tensors[o].shape[axis] for o in op.outputs]
    if sum(extents) != source.shape[axis]:
        return None
    return np.split(source, list(accumulate(extents[:-1])), axis)


def _strided(op: Operator, source: Indices, operands: list[tuple[int, ...]]) -> list[Indices] | None:
    """STRIDED_SLICE is Python's slicing, but for its masks."""
    a = op.attrs
    if not isinstance(a, StridedSliceAttrs) or a.ellipsis_mask or a.new_axis_mask or a.offset:
        return None
    cuts: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(zip(*operands, strict=True)):
        if a.shrink_axis_mask >> axis & 1:
            first = 0 if a.begin_mask >> axis & 1 else begin
            cuts.append(max(first, -source.shape[axis]))
            continue
        masked = (a.begin_mask >> axis & 1, a.end_mask >> axis & 1)
        cuts.append(slice(None if masked[0] else begin, None if masked[1] else end, step))
    return [source[tuple(cuts)]] if len(cuts) == source.ndim else None


def _integers(tensor: Tensor | None) -> tuple[int, ...] | None:
    """The values of a constant."""
    if tensor is None or tensor.data is None or tensor.dtype not in (DType.INT32, DType.INT64):
        return None
    return tuple(np.frombuffer(tensor.data, f"<i{tensor.dtype.bytes}").tolist())
