"""Operators that pick bytes at regular steps: SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, UNPACK, TRANSPOSE."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator, StridedSliceAttrs, Tensor, UnpackAttrs
from tinydeploy.ir.shapes import normal_axis
from tinydeploy.operators.base import (
    KernelCall,
    Memory,
    OperatorKind,
    Rows,
    Window,
    Work,
    one_by_one,
    refuse,
    require_dtype,
    rows_of,
)
from tinydeploy.operators.rules import (
    MOVES_BYTES,
    index_table,
    integers,
    require_arity,
    require_computed,
    require_integers,
    require_output,
    require_shape,
    require_size,
    row_axes,
    strides,
)

_MOST_AXES = 5  # of TensorFlow Lite Micro
_MOST_STRIDED_AXES = 4


@dataclass(frozen=True)
class Pick:
    """Which elements of its input an output is: along axis i they are `steps[i]` apart on the input's axis `axes[i]`.

    `first` are the coordinates of the first one, for each axis of the input.
    """

    output: Tensor
    first: tuple[int, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]

    def begins_at(self, source: Sequence[int]) -> int | None:
        """The input's element that is the output's first, if the output is one run of the input; else None."""
        away = strides(source)
        run = 1
        for axis, step, extent in reversed(list(zip(self.axes, self.steps, self.output.shape, strict=True))):
            if extent > 1 and away[axis] * step != run:
                return None
            run *= extent
        return sum(at * each for at, each in zip(self.first, away, strict=True))


@dataclass(frozen=True)
class PickWalk:
    """How the kernel walks; the fields are explained in td_rearrange.h."""

    outer: tuple[tuple[int, int, int], ...]
    in_row: int
    row: int
    start: int
    columns: int
    depth: int
    column_step: int
    depth_step: int

    def input_rows(self, count: int) -> list[int]:
        """For each of `count` output rows, the input row that it is made from."""
        found = []
        for above in range(count):
            at = self.row
            for extent, step, _ in self.outer:
                above, here = divmod(above, extent)
                at += here * step
            found.append(at)
        return found


def pick_walk(source: Sequence[int], pick: Pick) -> PickWalk:
    """The walk over an input of shape `source`, by its own rows unless an output row needs several of them."""
    out, inside = row_axes(pick.output.shape), row_axes(source)
    counted = len(inside.outer)  # axes that count input rows
    inner = range(len(out.outer), len(pick.axes))
    across = any(pick.axes[i] < counted and pick.output.shape[i] > 1 for i in inner)
    row = inside.row_elements
    if across:
        row, counted = prod(source), 0
    away = strides(source)

    def moved(axis: int, by: int) -> tuple[int, int]:
        """(rows, elements) of `by` steps along an axis of the input."""
        return (by * away[axis] // row, 0) if axis < counted else (0, by * away[axis])

    steps = [moved(axis, step) for axis, step in zip(pick.axes, pick.steps, strict=True)]
    starts = [moved(axis, at) for axis, at in enumerate(pick.first)]
    outer: list[tuple[int, int, int]] = []
    for axis in reversed(range(len(out.outer))):
        extent = out.outer[axis]
        if extent == 1:
            continue
        if outer and (outer[-1][0] * outer[-1][1], outer[-1][0] * outer[-1][2]) == steps[axis]:
            outer[-1] = (outer[-1][0] * extent, *outer[-1][1:])
        else:
            outer.append((extent, *steps[axis]))
    columns, depth = out.columns, out.depth
    column_step = steps[-2][1] if len(inner) == 2 else 0
    depth_step = steps[-1][1] if steps else 1
    if depth == 1:
        columns, depth, column_step, depth_step = 1, columns, 0, column_step
    elif column_step == depth * depth_step:
        columns, depth, column_step = 1, columns * depth, 0
    return PickWalk(
        tuple(outer),
        row,
        sum(rows for rows, _ in starts),
        sum(elements for _, elements in starts),
        columns,
        depth,
        column_step,
        depth_step,
    )


class _Rearrangement(OperatorKind):
    """What all share: one kernel call for each output."""

    source = 0  # position of the input

    def work(self, model: Model, op: Operator) -> Work:
        return Work(counted=MOVES_BYTES)

    @abstractmethod
    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        """What each output is made of; after `check`."""

    def _known_picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        """`_picks`, or nothing for an operator that does not run: what it picks need not be known then."""
        try:
            self.check(model, op)
        except UnsupportedModelError:
            return ()
        return self._picks(model, op)

    def memory(self, model: Model, op: Operator) -> Memory:
        source = model.tensor(op.inputs[self.source])
        cuts = [pick.begins_at(source.shape) for pick in self._known_picks(model, op)]
        whole = tuple(cut * source.dtype.bytes for cut in cuts if cut is not None)
        return Memory(cuts=whole, cut_from=self.source) if whole and len(whole) == len(cuts) else Memory()

    def window(self, model: Model, op: Operator) -> Window | None:
        picks = self._known_picks(model, op)
        if not picks:
            return None
        source = model.tensor(op.inputs[self.source])
        for pick in picks:
            still = (pick.axes[:3], pick.steps[:3], pick.output.shape[:3]) == ((0, 1, 2), (1, 1, 1), source.shape[:3])
            if len(source.shape) != 4 or len(pick.axes) != 4 or not still:
                return None
        return Window(1, 1)

    def rows(self, model: Model, op: Operator) -> Rows | None:
        picks = self._known_picks(model, op)
        if not picks:
            return None
        source = model.tensor(op.inputs[self.source])
        walks = [pick_walk(source.shape, pick) for pick in picks]
        counts = {rows_of(pick.output)[0] for pick in picks}
        count = max(counts)
        wanted = [walk.input_rows(count) for walk in walks]
        if len(counts) > 1 or any(rows != wanted[0] for rows in wanted):
            return None  # one output after the other
        writes = one_by_one(count)
        across = any(walk.in_row != row_axes(source.shape).row_elements for walk in walks)
        if across or wanted[0] != sorted(wanted[0]):
            everything = ((0, rows_of(source)[0]),) * count
            solid = frozenset({self.source} if across else ())
            return Rows({self.source: everything}, writes, solid=solid, one_at_a_time=len(picks) > 1)
        return Rows({self.source: tuple((r, r + 1) for r in wanted[0])}, writes, one_at_a_time=len(picks) > 1)

    def emit(self, model: Model, op: Operator) -> tuple[KernelCall, ...] | KernelCall:
        source = model.tensor(op.inputs[self.source])
        calls = tuple(self._call(source, pick) for pick in self._picks(model, op))
        return calls if len(calls) > 1 else calls[0]

    @staticmethod
    def _call(source: Tensor, pick: Pick) -> KernelCall:
        walk = pick_walk(source.shape, pick)
        return KernelCall(
            "td_rearrange",
            "rearrange",
            {
                "outer": index_table(walk.outer) if walk.outer else None,
                "axes": len(walk.outer),
                "in_row": walk.in_row,
                "row": walk.row,
                "start": walk.start,
                "columns": walk.columns,
                "depth": walk.depth,
                "column_step": walk.column_step,
                "depth_step": walk.depth_step,
            },
            (source.index,),
            pick.output.index,
            rows=rows_of(pick.output)[0],
        )

    def _require_source(self, model: Model, op: Operator, most_axes: int) -> Tensor:
        source = require_computed(model, op, self.source, DType.INT8)
        if not 1 <= len(source.shape) <= most_axes:
            raise refuse(model, op, f"must have 1 to {most_axes} axes", tensor=source)
        return source


class Transpose(_Rearrangement):
    """TRANSPOSE by a constant permutation."""

    opcode = "TRANSPOSE"

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 2)
        source, output = self._require_source(model, op, _MOST_AXES), require_output(model, op, DType.INT8)
        rank = len(source.shape)
        order = require_integers(model, op, 1, "permutation")
        if sorted(order) != list(range(rank)):
            raise refuse(model, op, f"{list(order)[:16]} is not a permutation of {rank} axes")
        require_shape(model, op, output, [source.shape[i] for i in order])

    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        order = integers(model.tensor(op.inputs[1]).data or b"")
        return (Pick(model.output_of(op), (0,) * len(order), order, (1,) * len(order)),)


class Slice(_Rearrangement):
    """SLICE by a constant begin and size; a size of −1 is all that is left."""

    opcode = "SLICE"

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 3)
        source, output = self._require_source(model, op, _MOST_AXES), require_output(model, op, DType.INT8)
        begin, size = require_integers(model, op, 1, "begin"), require_integers(model, op, 2, "size")
        rank = len(source.shape)
        if len(begin) != rank or len(size) != rank:
            raise refuse(model, op, f"{len(begin)} begins and {len(size)} sizes do not fit {rank} axes")
        shape = [n - b if s == -1 else s for n, b, s in zip(source.shape, begin, size, strict=True)]
        if any(b < 0 or s < 0 or b + s > n for n, b, s in zip(source.shape, begin, shape, strict=True)):
            raise refuse(model, op, f"begin {list(begin)} and size {list(size)} leave {list(source.shape)}")
        require_shape(model, op, output, shape)

    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        begin = integers(model.tensor(op.inputs[1]).data or b"")
        return (Pick(model.output_of(op), begin, tuple(range(len(begin))), (1,) * len(begin)),)


class StridedSlice(_Rearrangement):
    """STRIDED_SLICE by constants, forwards or backwards; axes may be dropped, not added."""

    opcode = "STRIDED_SLICE"

    def check(self, model: Model, op: Operator) -> None:
        a = op.attrs
        if not isinstance(a, StridedSliceAttrs):
            raise refuse(model, op, "its options are missing")
        if a.ellipsis_mask or a.new_axis_mask or a.offset:
            raise refuse(model, op, "an ellipsis, a new axis and ends counted from begins are not supported")
        require_arity(model, op, 4)
        source, output = self._require_source(model, op, _MOST_STRIDED_AXES), require_output(model, op, DType.INT8)
        rank = len(source.shape)
        begin, end, step = (require_integers(model, op, i + 1, w) for i, w in enumerate(("begin", "end", "strides")))
        if {len(begin), len(end), len(step)} != {rank}:
            raise refuse(model, op, f"{len(begin)} begins, {len(end)} ends and {len(step)} strides for {rank} axes")
        if 0 in step:
            raise refuse(model, op, "a stride is 0")
        for axis in range(rank):
            first, _ = strided_span(a, axis, source.shape[axis], begin[axis], end[axis], step[axis])
            if a.shrink_axis_mask >> axis & 1 and (step[axis] < 0 or first >= source.shape[axis]):
                raise refuse(model, op, f"element {begin[axis]} of axis {axis} of {list(source.shape)} is outside")
        spans = self._spans(model, op)
        require_shape(model, op, output, [n for axis, (_, n) in enumerate(spans) if not a.shrink_axis_mask >> axis & 1])

    @staticmethod
    def _spans(model: Model, op: Operator) -> list[tuple[int, int]]:
        source = model.tensor(op.inputs[0]).shape
        begin, end, step = (integers(model.tensor(i).data or b"") for i in op.inputs[1:])
        a = cast(StridedSliceAttrs, op.attrs)
        return [strided_span(a, axis, n, begin[axis], end[axis], step[axis]) for axis, n in enumerate(source)]

    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        dropped = cast(StridedSliceAttrs, op.attrs).shrink_axis_mask
        step = integers(model.tensor(op.inputs[3]).data or b"")
        axes = tuple(axis for axis in range(len(step)) if not dropped >> axis & 1)
        first = tuple(at for at, _ in self._spans(model, op))
        return (Pick(model.output_of(op), first, axes, tuple(step[axis] for axis in axes)),)


def strided_span(a: StridedSliceAttrs, axis: int, extent: int, begin: int, end: int, step: int) -> tuple[int, int]:
    """(first coordinate, how many) that a strided slice takes of an axis, as TensorFlow Lite clamps and masks them."""
    low, high = (0, extent) if step > 0 else (-1, extent - 1)

    def clamped(at: int) -> int:
        return min(max(at + extent if at < 0 else at, low), high)

    backwards = step < 0
    first = (high if backwards else low) if a.begin_mask >> axis & 1 else clamped(begin)
    if a.shrink_axis_mask >> axis & 1:
        return first, 1
    last = (low if backwards else high) if a.end_mask >> axis & 1 else clamped(end)
    return first, max(-((first - last) // step), 0)


class _Parts(_Rearrangement):
    """What SPLIT and SPLIT_V share: the outputs are one behind the other along an axis."""

    axis: int  # position of the axis

    def check(self, model: Model, op: Operator) -> None:
        source = self._require_source(model, op, _MOST_AXES)
        axes = require_integers(model, op, self.axis, "axis")
        rank = len(source.shape)
        if len(axes) != 1 or not -rank <= axes[0] < rank:
            raise refuse(model, op, f"axis {list(axes)[:16]} is not one of {rank}")
        axis = normal_axis(axes[0], rank)
        outputs = [model.tensor(i) for i in op.outputs]
        for output in outputs:
            require_dtype(model, op, output, DType.INT8)
            require_size(model, op, output)
            if len(output.shape) != rank:
                raise refuse(model, op, f"has {len(output.shape)} axes, the input {rank}", tensor=output)
            require_shape(model, op, output, (*source.shape[:axis], output.shape[axis], *source.shape[axis + 1 :]))
        extents = [output.shape[axis] for output in outputs]
        if sum(extents) != source.shape[axis]:
            raise refuse(model, op, f"parts of {extents[:16]} do not make the {source.shape[axis]} of axis {axis}")
        self._check_parts(model, op, extents)

    def _check_parts(self, model: Model, op: Operator, extents: Sequence[int]) -> None:
        raise NotImplementedError

    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        rank = len(model.tensor(op.inputs[self.source]).shape)
        axis = normal_axis(integers(model.tensor(op.inputs[self.axis]).data or b"")[0], rank)
        picks = []
        at = 0
        for output in (model.tensor(i) for i in op.outputs):
            first = tuple(at if i == axis else 0 for i in range(rank))
            picks.append(Pick(output, first, tuple(range(rank)), (1,) * rank))
            at += output.shape[axis]
        return tuple(picks)


class Split(_Parts):
    """SPLIT into equal parts: inputs are (axis, input)."""

    opcode = "SPLIT"
    source, axis = 1, 0

    def check(self, model: Model, op: Operator) -> None:
        if len(op.inputs) != 2 or min(op.inputs) < 0 or not op.outputs:
            raise refuse(model, op, f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs")
        super().check(model, op)

    def _check_parts(self, model: Model, op: Operator, extents: Sequence[int]) -> None:
        if len(set(extents)) > 1:
            raise refuse(model, op, f"its parts of {list(extents)[:16]} are not equal")


class SplitV(_Parts):
    """SPLIT_V into parts of given sizes: inputs are (input, sizes, axis)."""

    opcode = "SPLIT_V"
    source, axis = 0, 2

    def check(self, model: Model, op: Operator) -> None:
        if len(op.inputs) != 3 or min(op.inputs) < 0 or not op.outputs:
            raise refuse(model, op, f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs")
        super().check(model, op)

    def _check_parts(self, model: Model, op: Operator, extents: Sequence[int]) -> None:
        sizes = require_integers(model, op, 1, "sizes")
        if len(sizes) != len(extents) or any(s not in (-1, n) for s, n in zip(sizes, extents, strict=False)):
            raise refuse(model, op, f"its parts of {list(extents)[:16]} have not the sizes {list(sizes)[:16]}")


class Unpack(_Rearrangement):
    """UNPACK: every slice of an axis, without that axis."""

    opcode = "UNPACK"

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, UnpackAttrs):
            raise refuse(model, op, "its options are missing")
        if len(op.inputs) != 1 or min(op.inputs) < 0 or not op.outputs:
            raise refuse(model, op, f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs")
        source = self._require_source(model, op, _MOST_AXES)
        rank = len(source.shape)
        if not -rank <= op.attrs.axis < rank:
            raise refuse(model, op, f"axis {op.attrs.axis} is not one of {rank}")
        axis = normal_axis(op.attrs.axis, rank)
        if len(op.outputs) != source.shape[axis]:
            raise refuse(model, op, f"has {len(op.outputs)} outputs for the {source.shape[axis]} of axis {axis}")
        for output in (model.tensor(i) for i in op.outputs):
            require_dtype(model, op, output, DType.INT8)
            require_shape(model, op, output, (*source.shape[:axis], *source.shape[axis + 1 :]))

    def _picks(self, model: Model, op: Operator) -> tuple[Pick, ...]:
        rank = len(model.tensor(op.inputs[0]).shape)
        axis = normal_axis(cast(UnpackAttrs, op.attrs).axis, rank)
        left = tuple(i for i in range(rank) if i != axis)
        return tuple(
            Pick(model.tensor(output), tuple(at if i == axis else 0 for i in range(rank)), left, (1,) * (rank - 1))
            for at, output in enumerate(op.outputs)
        )


KINDS: tuple[OperatorKind, ...] = (Transpose(), Slice(), StridedSlice(), Split(), SplitV(), Unpack())
