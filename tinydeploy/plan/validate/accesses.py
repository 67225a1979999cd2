"""Which bytes each row step of an operator reads and writes, worked out from opcode, shapes and attributes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor
from struct import pack, unpack
from typing import NamedTuple

from tinydeploy.ir import (
    Conv2DAttrs,
    Model,
    Operator,
    Pool2DAttrs,
    ResizeAttrs,
    Tensor,
    TransposeConvAttrs,
)
from tinydeploy.ir.shapes import broadcast_shape, effective_extent, window_padding
from tinydeploy.plan.validate.places import cut

# Operators of one input that compute element i of the output from element i of the input, in rising order. SOFTMAX
# does so once it has gone over its last axis for the maximum and the sum.
_UNARY = frozenset(
    {
        "ABS", "DEQUANTIZE", "ELU", "EXP", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "QUANTIZE", "RELU", "RELU6",
        "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQRT", "SQUARE", "TANH",
    }
)  # fmt: skip

# The same of two inputs, each of which may be stretched to the output's shape.
_PAIRWISE = frozenset({"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB"})

ELEMENT_WISE = _UNARY | _PAIRWISE


class Read(NamedTuple):
    """Bytes `[first, end)` of a tensor, found by counting on from where its row `anchor` lies."""

    tensor: int
    anchor: int
    first: int
    end: int


class Write(NamedTuple):
    """Rows `[first, end)` of a tensor."""

    tensor: int
    first: int
    end: int


class Turn(NamedTuple):
    """What a kernel reads, and then writes, for one row step. `spanned`: rows that are not all read, but that a planner
    may hold, since windows and the order of rows are simpler that way."""

    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    spanned: tuple[Read, ...] = ()


Calls = tuple[tuple[Turn, ...], ...]
"""By kernel call, by row step. Where an operator has several, each goes through all rows of a step before the next."""


def whole(model: Model, op: Operator) -> Turn:
    """An operator that runs in one step: all inputs, of which it may read any byte at any time; then all outputs."""
    read = (model.tensors[i] for i in dict.fromkeys(op.inputs) if i >= 0 and not model.tensors[i].constant)
    return Turn(
        tuple(Read(t.index, 0, 0, t.bytes) for t in read), tuple(_all_rows(model.tensors[o]) for o in op.outputs)
    )


def by_rows(model: Model, op: Operator, steps: int) -> Calls | None:
    """An operator that runs in `steps` row steps; None where it cannot, or where it is not known which rows it reads.

    Row steps are output rows. Operators that take rows in as they come (sums, maxima) have one for each input row,
    read that row alone, and write in the last one; a pooling to one row does either.
    """
    if accumulates(model, op, steps):
        return _accumulating(model, op, steps)
    found: Calls | None = None
    try:
        if op.opcode in _UNARY:
            found = _unary(model, op)
        elif op.opcode in _PAIRWISE:
            found = _pairwise(model, op)
        elif op.opcode in _WINDOWS:
            found = _windowed(model, op)
        elif op.opcode == "FULLY_CONNECTED":
            found = _fully_connected(model, op)
        else:
            found = _moved(model, op)
    except (ValueError, IndexError):  # shapes that do not fit
        return None
    if not found or any(len(turns) != steps for turns in found):
        return None
    return tuple(_with_jumps(model, turns) for turns in found)


def accumulates(model: Model, op: Operator, steps: int) -> bool:
    """Whether an operator that runs in `steps` row steps takes in one input row in each, and writes in the last."""
    source = model.input_of(op, 0)
    if source is None or source.constant or len(op.outputs) != 1 or steps < 2:
        return False
    if op.opcode in ("MEAN", "REDUCE_MAX"):
        return steps == cut(source)[0]
    if op.opcode not in ("AVERAGE_POOL_2D", "MAX_POOL_2D") or len(source.shape) != 4:
        return False
    output = model.tensors[op.outputs[0]]
    window = _pool(model, op, source, output) if output.shape[:2] == (1, 1) else None
    return source.shape[0] == 1 and window == [list(range(steps))]


def accumulator_bytes(model: Model, op: Operator) -> int:
    """What an operator keeps from row to row: 32 bits for each sum, a byte for each maximum."""
    output = model.tensors[op.outputs[0]]
    return output.elements * (output.dtype.bytes if op.opcode in ("REDUCE_MAX", "MAX_POOL_2D") else 4)


def _with_jumps(model: Model, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Inputs that are not read from the first row to the last, each found by itself, are held whole."""
    before: dict[int, Read] = {}
    sizes = {read.tensor: cut(model.tensors[read.tensor])[1] for turn in turns for read in turn.reads}
    jumps = set()
    for turn in turns:
        for index in {read.tensor for read in turn.reads}:
            mine = [read for read in turn.reads if read.tensor == index]
            span = Read(index, mine[0].anchor, min(r.first for r in mine), max(r.end for r in mine))
            last = before.get(index, span)
            if span.first < last.first or span.end < last.end or span.anchor != span.first // sizes[index]:
                jumps.add(index)
            before[index] = span
    held = tuple(Read(index, 0, 0, model.tensors[index].bytes) for index in sorted(jumps))
    return tuple(turn._replace(spanned=turn.spanned + held) for turn in turns) if held else turns


def _all_rows(tensor: Tensor) -> Write:
    return Write(tensor.index, 0, cut(tensor)[0])


def _own_rows(tensor: Tensor) -> list[Read]:
    """Each row of a tensor, found by itself."""
    rows, size = cut(tensor)
    return [Read(tensor.index, r, r * size, (r + 1) * size) for r in range(rows)]


def _accumulating(model: Model, op: Operator, steps: int) -> Calls:
    source, output = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    rows, writes = _own_rows(source), (_all_rows(output),)
    return (tuple(Turn((rows[r],), writes if r == steps - 1 else ()) for r in range(steps)),)


def _turns(source: Tensor, output: Tensor, rows_read: Iterable[Iterable[int]]) -> Calls:
    """One call, which for each output row reads these rows of one input."""
    own = _own_rows(source)
    return (
        tuple(
            Turn(tuple([own[r] for r in rows]), (Write(output.index, y, y + 1),)) for y, rows in enumerate(rows_read)
        ),
    )


def _unary(model: Model, op: Operator) -> Calls | None:
    source, output = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    if source.shape != output.shape or source.constant:
        return None
    return _turns(source, output, ((r,) for r in range(cut(output)[0])))


# -- two inputs


def _pairwise(model: Model, op: Operator) -> Calls | None:
    output = model.tensors[op.outputs[0]]
    tensors = [model.tensors[i] for i in op.inputs]
    shape = broadcast_shape(tensors[0].shape, tensors[1].shape)
    if len(tensors) != 2 or shape != output.shape:
        return None
    reads = [_stretched(tensor, output) for tensor in tensors if not tensor.constant]
    rows, _ = cut(output)
    return (tuple(Turn(tuple(r[y] for r in reads), (Write(output.index, y, y + 1),)) for y in range(rows)),)


def _stretched(tensor: Tensor, output: Tensor) -> list[Read]:
    """For each output row, what it reads of an input that is stretched to the output's shape.

    The kernels take the input in rows of the output's kind: with rank 4, of its last two axes. Where these are not
    the rows that it is kept in, they count from its first row.
    """
    rank = len(output.shape)
    shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    inner = 2 if rank == 4 else 1
    size = tensor.dtype.bytes
    for extent in shape[rank - inner :]:
        size *= extent
    own = size == cut(tensor)[1]
    rows = [0]
    for extent, stretched in zip(shape[: rank - inner], output.shape[: rank - inner], strict=True):
        along = range(extent) if extent == stretched else [0] * stretched
        rows = [r * extent + at for r in rows for at in along]
    return [Read(tensor.index, r if own else 0, r * size, (r + 1) * size) for r in rows]


# -- windows


def _windowed(model: Model, op: Operator) -> Calls | None:
    source = model.input_of(op, 2 if op.opcode == "TRANSPOSE_CONV" else 0)
    output = model.tensors[op.outputs[0]]
    if source is None or source.constant or len(source.shape) != 4 or len(output.shape) != 4:
        return None
    images, height = source.shape[:2]
    if output.shape[0] != images:
        return None
    window = _WINDOWS[op.opcode](model, op, source, output)
    if window is None or any(not 0 <= y < height for rows in window for y in rows):
        return None
    (turns,) = _turns(source, output, ([n * height + y for y in rows] for n in range(images) for rows in window))
    if not isinstance(op.attrs, Conv2DAttrs) or op.attrs.dilation_h == 1:
        return (turns,)
    window = _convolution(model, op, source, output, dilated=False) or []
    own = _own_rows(source)
    spanned = [tuple(own[n * height + y] for y in rows) for n in range(images) for rows in window]
    return (tuple(turn._replace(spanned=rows) for turn, rows in zip(turns, spanned, strict=True)),)


Heights = list[list[int]]
"""For each row of an output image, the rows of the input image that it reads."""


def _convolution(model: Model, op: Operator, source: Tensor, output: Tensor, *, dilated: bool = True) -> Heights | None:
    """Without `dilated` the rows between the taps, too."""
    a = op.attrs
    if not isinstance(a, Conv2DAttrs):
        return None
    taps, apart = model.tensors[op.inputs[1]].shape[1], a.dilation_h
    top, _ = window_padding(
        source.shape[1], output.shape[1], taps, a.stride_h, apart, a.padding, a.explicit_padding[:2]
    )
    if not dilated:
        taps, apart = effective_extent(taps, apart), 1
    return _sliding(source.shape[1], output.shape[1], taps, a.stride_h, apart, top)


def _pool(model: Model, op: Operator, source: Tensor, output: Tensor) -> Heights | None:
    a = op.attrs
    if not isinstance(a, Pool2DAttrs):
        return None
    top, _ = window_padding(
        source.shape[1], output.shape[1], a.filter_h, a.stride_h, 1, a.padding, a.explicit_padding[:2]
    )
    return _sliding(source.shape[1], output.shape[1], a.filter_h, a.stride_h, 1, top)


def _sliding(height: int, made: int, taps: int, stride: int, dilation: int, top: int) -> Heights:
    found = []
    for y in range(made):
        tapped = range(y * stride - top, y * stride - top + taps * dilation, dilation)
        found.append([at for at in tapped if 0 <= at < height])
    return found


def _transposed(model: Model, op: Operator, source: Tensor, output: Tensor) -> Heights | None:
    """Scattered: input row `at` adds to output rows `at · stride − top` onwards."""
    a = op.attrs
    if not isinstance(a, TransposeConvAttrs):
        return None
    taps, made = model.tensors[op.inputs[1]].shape[1], output.shape[1]
    top, _ = window_padding(made, -(-made // a.stride_h), taps, a.stride_h, 1, a.padding)
    found: Heights = [[] for _ in range(made)]
    for at in range(source.shape[1]):
        for y in range(at * a.stride_h - top, at * a.stride_h - top + taps):
            if 0 <= y < made:
                found[y].append(at)
    return found


def _nearest(model: Model, op: Operator, source: Tensor, output: Tensor) -> Heights | None:
    """In single precision, as GetNearestNeighbor of TensorFlow Lite Micro."""
    a, height, made = op.attrs, source.shape[1], output.shape[1]
    if not isinstance(a, ResizeAttrs):
        return None
    corners = a.align_corners and made > 1
    scale = _single((height - 1) / (made - 1)) if corners else _single(height / made)
    found = []
    for y in range(made):
        at = _single((y + (0.5 if a.half_pixel_centers else 0.0)) * scale)
        found.append([max(0, min(floor(at + 0.5) if a.align_corners else floor(at), height - 1))])
    return found


def _bilinear(model: Model, op: Operator, source: Tensor, output: Tensor) -> Heights | None:
    """In 1024ths of a row, as ResizeBilinearInteger of TensorFlow Lite."""
    a, height, made = op.attrs, source.shape[1], output.shape[1]
    if not isinstance(a, ResizeAttrs):
        return None
    less = 1 if a.align_corners and made > 1 else 0
    scale = (1024 * (height - less) + (made - less) // 2) // (made - less)
    found = []
    for y in range(made):
        at = y * scale + (scale // 2 - 512 if a.half_pixel_centers else 0)
        upper, lower = max(at // 1024, 0), min((max(at, 0) + 1023) // 1024, height - 1)
        found.append([upper] if upper == lower else [upper, lower])
    return found


def _single(value: float) -> float:
    """Rounded to single precision."""
    (rounded,) = unpack("<f", pack("<f", value))
    return float(rounded)


_WINDOWS: dict[str, Callable[[Model, Operator, Tensor, Tensor], Heights | None]] = {
    "AVERAGE_POOL_2D": _pool,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "MAX_POOL_2D": _pool,
    "RESIZE_BILINEAR": _bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "TRANSPOSE_CONV": _transposed,
}


# -- the rest


def _fully_connected(model: Model, op: Operator) -> Calls | None:
    """The input is read as one long row, in equal pieces: for each output row as many as it has batches."""
    source, output = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    out_n, in_n = model.tensors[op.inputs[1]].shape
    rows, row_bytes = cut(output)
    if source.constant or row_bytes % (out_n * output.dtype.bytes):
        return None
    piece = row_bytes // (out_n * output.dtype.bytes) * in_n * source.dtype.bytes
    if piece * rows != source.bytes:
        return None
    _, size = cut(source)
    return (
        tuple(
            Turn(
                (Read(source.index, y * piece // size if piece % size == 0 else 0, y * piece, (y + 1) * piece),),
                (Write(output.index, y, y + 1),),
            )
            for y in range(rows)
        ),
    )


def _moved(model: Model, op: Operator) -> Calls | None:
    """Operators that move bytes: a call for each input of a CONCATENATION, for each output of the others.

    Reshapes are not among them: their kernel copies whole tensors.
    """
    from tinydeploy.plan.validate.moves import RESHAPES, moves_of

    moves = moves_of(model, op) if op.opcode not in RESHAPES else None
    if moves is None:
        return None
    calls: list[tuple[Turn, ...]] = []
    for position, begin in zip(moves.sources, moves.begins, strict=True):
        source = model.tensors[op.inputs[position]]
        for index, numbers in zip(op.outputs, moves.outputs, strict=True):
            output = model.tensors[index]
            taken = numbers.reshape(cut(output)[0], -1) - begin
            mine = (taken >= 0) & (taken < source.elements)
            lowest = taken.min(1, initial=source.elements, where=mine).tolist()
            highest = taken.max(1, initial=-1, where=mine).tolist()
            alone = len(moves.sources) == 1  # then its rows of padding are written, too
            calls.append(_picked(source, output, lowest, highest, everywhere=alone))
    return tuple(calls)


def _picked(
    source: Tensor, output: Tensor, lowest: Sequence[int], highest: Sequence[int], *, everywhere: bool
) -> tuple[Turn, ...]:
    """For each output row, from its lowest and its highest element of the input: rows that are made from one input row
    each are found by that; otherwise all are found by counting on from the first."""
    _, size = cut(source)
    width = source.dtype.bytes
    spans = [(low * width, (high + 1) * width) for low, high in zip(lowest, highest, strict=True)]
    across = any(high >= low and (high * width) // size != (low * width) // size
                 for low, high in zip(lowest, highest, strict=True))  # fmt: skip
    turns = []
    for y, (first, end) in enumerate(spans):
        if end <= first:
            turns.append(Turn((), (Write(output.index, y, y + 1),) if everywhere else ()))
            continue
        read = () if source.constant else (Read(source.index, 0 if across else first // size, first, end),)
        turns.append(Turn(read, (Write(output.index, y, y + 1),)))
    return tuple(turns)


__all__ = ["ELEMENT_WISE", "Calls", "Read", "Turn", "Write", "accumulates", "accumulator_bytes", "by_rows", "whole"]
