"""ADD, SUB, MUL, MAXIMUM, MINIMUM: two inputs, with broadcasting, either of which may be constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, cast

from tinydeploy.ir import ActivationAttrs, DType, Model, Operator
from tinydeploy.ir.shapes import broadcast_shape
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    Memory,
    OperatorKind,
    Rows,
    Span,
    Window,
    Work,
    one_by_one,
    refuse,
    require_dtype,
    rows_of,
)
from tinydeploy.operators.fixed_point import quantize_multiplier
from tinydeploy.operators.rules import (
    clamp_bounds,
    constant_bytes,
    index_table,
    quantized,
    require_arity,
    require_data,
    require_output,
    require_shape,
    require_size,
    row_axes,
)

if TYPE_CHECKING:
    from tinydeploy.boards import Core

_MOST_AXES = 6  # of TensorFlow Lite Micro's broadcasting
_LEFT_SHIFT = 20  # of both inputs of ADD and SUB, before their scales are applied

Table = dict[str, int | float | ConstArray | None]


class _Pairwise(OperatorKind):
    """What all share: the inputs' rules, and the walk over them."""

    def work(self, model: Model, op: Operator) -> Work:
        return Work(ops=model.output_of(op).elements, counted="one for each output element")

    def memory(self, model: Model, op: Operator) -> Memory:
        output = model.output_of(op)
        rank = len(output.shape)
        whole = (
            i
            for i, index in enumerate(op.inputs)
            if index >= 0
            and not model.tensor(index).constant
            and model.tensor(index).dtype is output.dtype
            and _extended(model.tensor(index).shape, rank) == output.shape
        )
        return Memory(in_place=tuple(whole))

    def window(self, model: Model, op: Operator) -> Window | None:
        source, output = model.input_of(op, 0), model.output_of(op)
        if source is None or len(output.shape) != 4 or source.shape != output.shape:
            return None
        return Window(1, 1)

    def rows(self, model: Model, op: Operator) -> Rows | None:
        first, second = (model.tensor(i) for i in op.inputs)
        count, _ = rows_of(model.output_of(op))
        walk = pair_walk(first.shape, second.shape, model.output_of(op).shape)
        reads: dict[int, tuple[Span, ...]] = {}
        solid = set()
        for position, (tensor, side) in enumerate(((first, walk.a), (second, walk.b))):
            rows, row_bytes = rows_of(tensor)
            if tensor.constant:
                continue
            if side.row_elements * tensor.dtype.bytes == row_bytes:
                spans = [(r, r + 1) for r in walk.input_rows(count, position)]
            if side.row_elements * tensor.dtype.bytes != row_bytes or spans != sorted(spans):
                spans = [(0, rows)] * count
                solid.add(position)
            reads[position] = tuple(spans)
        return Rows(reads, one_by_one(count), solid=frozenset(solid))

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 2)
        output = require_output(model, op, DType.INT8)
        inputs = [model.tensor(i) for i in op.inputs]
        for tensor in inputs:
            require_dtype(model, op, tensor, DType.INT8)
            require_size(model, op, tensor)
            quantized(model, op, tensor)
            if tensor.constant:
                require_data(model, op, tensor, "input")
        if inputs[0].constant and inputs[1].constant:
            raise refuse(model, op, "both inputs are constant")
        if len(output.shape) > _MOST_AXES:
            raise refuse(model, op, f"more than {_MOST_AXES} axes are not supported", tensor=output)
        try:
            shape = broadcast_shape(inputs[0].shape, inputs[1].shape)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        require_shape(model, op, output, shape)
        quantized(model, op, output)
        self._check_arithmetic(model, op)

    def _check_arithmetic(self, model: Model, op: Operator) -> None:
        """Raise for options and scales with which the kernel does not compute what the reference does."""
        raise NotImplementedError

    def _call(self, model: Model, op: Operator, function: str, fields: Table, *, swapped: bool = False) -> KernelCall:
        """The call; `fields` are the kernel's own. `swapped`: the kernel's `a` is the second input."""
        first, second = (model.tensor(i) for i in op.inputs)
        a, b = (second, first) if swapped else (first, second)
        output = model.output_of(op)
        walk = pair_walk(a.shape, b.shape, output.shape)
        table: Table = {
            "a_data": constant_bytes(a),
            "b_data": constant_bytes(b),
            "outer": index_table(walk.outer),
            "axes": len(walk.outer),
            "a_row": walk.a.row_elements,
            "b_row": walk.b.row_elements,
            "columns": walk.columns,
            "depth": walk.depth,
            "a_column": walk.a.column_step,
            "b_column": walk.b.column_step,
            "a_depth": walk.a.depth_step,
            "b_depth": walk.b.depth_step,
            **fields,
        }
        # where an input is constant the kernel looks at its data alone, and gets the other's tensor twice
        tensors = (b.index if a.constant else a.index, a.index if b.constant else b.index)
        return KernelCall(function, function.removeprefix("td_"), table, tensors, output.index, rows=rows_of(output)[0])


def _extended(shape: Sequence[int], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + tuple(shape)


@dataclass(frozen=True)
class Side:
    """How one input is walked inside a row: elements from column to column and inside a column, 0 where it stays."""

    row_elements: int
    column_step: int
    depth_step: int


@dataclass(frozen=True)
class PairWalk:
    """How the kernels walk two inputs; the fields are explained in td_add.h."""

    outer: tuple[tuple[int, int, int], ...]
    columns: int
    depth: int
    a: Side
    b: Side

    def input_rows(self, count: int, side: int) -> list[int]:
        """For each of `count` output rows, the row of input `side` (0 or 1) that it reads: td_pair_rows."""
        found = []
        for row in range(count):
            at, above = 0, row
            for extent, *steps in self.outer[:-1]:
                above, here = divmod(above, extent)
                at += here * steps[side]
            found.append(at + above * self.outer[-1][1 + side])
        return found


def pair_walk(a: Sequence[int], b: Sequence[int], output: Sequence[int]) -> PairWalk:
    """The walk over inputs of shapes `a` and `b` that broadcast to `output`, with as few axes as possible."""
    rank = len(output)
    out, left, right = row_axes(output), row_axes(_extended(a, rank)), row_axes(_extended(b, rank))
    outer: list[tuple[int, int, int]] = []
    for axis in reversed(range(len(out.outer))):
        extent = out.outer[axis]
        if extent == 1:
            continue
        steps = tuple(0 if o[axis] == 1 else prod(o[axis + 1 :]) for o in (left.outer, right.outer))
        if outer and all(outer[-1][0] * outer[-1][1 + i] == steps[i] for i in (0, 1)):
            outer[-1] = (outer[-1][0] * extent, outer[-1][1], outer[-1][2])
        else:
            outer.append((extent, steps[0], steps[1]))
    sides = [
        Side(
            side.row_elements,
            0 if side.columns == 1 else side.depth,
            0 if side.depth == 1 and out.depth > 1 else 1,
        )
        for side in (left, right)
    ]
    columns, depth = out.columns, out.depth
    if depth == 1 and columns > 1:
        sides = [Side(s.row_elements, 0, s.column_step) for s in sides]
        columns, depth = 1, columns
    elif columns > 1 and all(s.column_step == depth * s.depth_step for s in sides):
        sides = [Side(s.row_elements, 0, s.depth_step) for s in sides]
        columns, depth = 1, columns * depth
    return PairWalk(tuple(outer) or ((1, 0, 0),), columns, depth, sides[0], sides[1])


def _smaller_than_one(real: float, what: str) -> tuple[int, int]:
    """(multiplier, right shift) of a factor in (0, 1), the only ones for which the reference does not stop."""
    if not 0.0 < real < 1.0:
        raise ValueError(f"the {what} needs a factor of {real:g}, which is not between 0 and 1")
    multiplier, shift = quantize_multiplier(real)
    if shift > 0:
        raise ValueError(f"the {what} needs a factor of {real:g}, which is too close to 1")
    return multiplier, -shift


class _Arithmetic(_Pairwise):
    """What ADD, SUB and MUL share: a fused activation, scales of the inputs and of the output."""

    function: ClassVar[str]

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, ActivationAttrs):
            raise refuse(model, op, "its options are missing")
        super().check(model, op)

    def _check_arithmetic(self, model: Model, op: Operator) -> None:
        output = quantized(model, op, model.output_of(op))
        clamp_bounds(model, op, cast(ActivationAttrs, op.attrs).activation, output)
        try:
            self._scaling(model, op)
        except (ValueError, OverflowError) as e:
            raise refuse(model, op, str(e)) from e

    def _scaling(self, model: Model, op: Operator) -> tuple[Table, bool]:
        """The fields that hold the arithmetic, and whether the kernel's `a` is the second input.

        Raises ValueError or OverflowError for scales that do not fit.
        """
        raise NotImplementedError

    def emit(self, model: Model, op: Operator) -> KernelCall:
        scaling, swapped = self._scaling(model, op)
        oq = quantized(model, op, model.output_of(op))
        low, high = clamp_bounds(model, op, cast(ActivationAttrs, op.attrs).activation, oq)
        fields: Table = {**scaling, "out_zero": oq.zero_point, "out_min": low, "out_max": high}
        return self._call(model, op, self.function, fields, swapped=swapped)

    def slow(self, model: Model, op: Operator, core: Core) -> str | None:
        if not core.mainline:
            return "library calls for every element: the core has no long multiplication"
        first, second = (model.tensor(i) for i in op.inputs)
        walk = pair_walk(first.shape, second.shape, model.output_of(op).shape)
        oq = quantized(model, op, model.output_of(op))
        if (walk.a.depth_step, walk.b.depth_step) != (1, 1):
            why = "one value of an input for a run of the other"
        elif clamp_bounds(model, op, cast(ActivationAttrs, op.attrs).activation, oq) != (-128, 127):
            why = "its fused activation clamps"
        elif self._shifts_left(model, op):
            why = "the output's scale is too small for a right shift"
        else:
            return None
        return f"the general loop: {why}"

    def _shifts_left(self, model: Model, op: Operator) -> bool:
        """Whether the result is not shifted right, which the fast loop does."""
        return False


class Add(_Arithmetic):
    """ADD: both inputs on a scale twice the larger one's, 2^20 times finer."""

    opcode = "ADD"
    function = "td_add"

    def _scaling(self, model: Model, op: Operator) -> tuple[Table, bool]:
        quants = [quantized(model, op, model.tensor(i)) for i in op.inputs]
        oq = quantized(model, op, model.output_of(op))
        twice = 2 * max(quants[0].scale, quants[1].scale)
        real = (quants[0].scale / twice, quants[1].scale / twice, twice / ((1 << _LEFT_SHIFT) * oq.scale))
        factors = [_smaller_than_one(r, what) for r, what in zip(real, ("first input", "second input"), strict=False)]
        multiplier, shift = _smaller_than_one(real[2], "sum")
        if shift == 0 and multiplier != 0:
            raise ValueError(f"the output's scale {oq.scale:g} is too small beside the inputs'")
        swapped = quants[1].scale > quants[0].scale
        a, b = (1, 0) if swapped else (0, 1)
        # Everything is doubled, so that the high word of a product is the reference's rounded high product. The larger
        # scale's factor is exactly 1/2, so `a` is only shifted. A shift of 0 means that b's is 1/2 too.
        b_multiplier, b_shift = factors[b]
        doubled = 1 << (_LEFT_SHIFT + 1)
        b_factor = doubled if b_shift or b_multiplier == 0 else 2 * doubled
        subtracts = self.opcode == "SUB"
        table: Table = {
            "a_bias": -(quants[a].zero_point << _LEFT_SHIFT),
            "b_factor": b_factor,
            "b_bias": -b_factor * quants[b].zero_point,
            "b_multiplier": b_multiplier,
            "b_shift": b_shift or 1,
            "b_sign": -2 if subtracts else 2,
            "out_multiplier": -multiplier if subtracts and swapped else multiplier,
            "out_shift": shift or 1,
        }
        return table, swapped


class Sub(Add):
    """SUB: as ADD with the second input's sign changed."""

    opcode = "SUB"


class Mul(_Arithmetic):
    """MUL."""

    opcode = "MUL"
    function = "td_mul"

    def _scaling(self, model: Model, op: Operator) -> tuple[Table, bool]:
        first, second = (quantized(model, op, model.tensor(i)) for i in op.inputs)
        oq = quantized(model, op, model.output_of(op))
        multiplier, shift = quantize_multiplier(first.scale * second.scale / oq.scale)
        table: Table = {
            "multiplier": multiplier,
            "left": max(shift, 0),
            "right": max(-shift, 0),
            "a_zero": first.zero_point,
            "b_zero": second.zero_point,
        }
        return table, False

    def _shifts_left(self, model: Model, op: Operator) -> bool:
        table, _ = self._scaling(model, op)
        return table["right"] == 0


class _Extreme(_Pairwise):
    """MAXIMUM and MINIMUM compare bytes, so all three tensors must have the same scale."""

    def _check_arithmetic(self, model: Model, op: Operator) -> None:
        oq = quantized(model, op, model.output_of(op))
        for tensor in (model.tensor(i) for i in op.inputs):
            q = quantized(model, op, tensor)
            if (q.scale, q.zero_point) != (oq.scale, oq.zero_point):
                raise refuse(model, op, "must have the output's scale and zero point", tensor=tensor)

    def emit(self, model: Model, op: Operator) -> KernelCall:
        return self._call(model, op, "td_extreme", {"larger": int(self.opcode == "MAXIMUM")})


class Maximum(_Extreme):
    """MAXIMUM."""

    opcode = "MAXIMUM"


class Minimum(_Extreme):
    """MINIMUM."""

    opcode = "MINIMUM"


KINDS: tuple[OperatorKind, ...] = (Add(), Sub(), Mul(), Maximum(), Minimum())
