"""MEAN, REDUCE_MAX over constant axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tinydeploy.ir import DType, Model, Operator, ReducerAttrs, Tensor
from tinydeploy.ir.shapes import normal_axis
from tinydeploy.operators.accumulation import accumulating_rows
from tinydeploy.operators.base import ConstArray, KernelCall, OperatorKind, Rows, Work, refuse, rows_of
from tinydeploy.operators.fixed_point import quantize_multiplier
from tinydeploy.operators.rules import (
    integers,
    quantized,
    require_arity,
    require_computed,
    require_integers,
    require_output,
    require_shape,
    strides,
)

_MOST_ELEMENTS = 1 << 23  # that make one output element: their sum stays inside int32


@dataclass(frozen=True)
class Run:
    """Neighbouring axes walked as one: `extent` steps of `step` elements."""

    extent: int
    step: int


def runs_of(shape: Sequence[int], reduced: frozenset[int]) -> tuple[list[Run], list[Run]]:
    """(kept, reduced) runs of axes, the innermost first; axes of extent 1 are left out."""
    found: tuple[list[Run], list[Run]] = ([], [])
    previous: bool | None = None
    steps = strides(shape)
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            continue
        kind = axis in reduced
        if kind is previous:
            found[kind][-1] = Run(found[kind][-1].extent * shape[axis], found[kind][-1].step)
        else:
            found[kind].append(Run(shape[axis], steps[axis]))
        previous = kind
    return found


def mean_scale(input_scale: float, output_scale: float, elements: int) -> tuple[int, int]:
    """(multiplier, shift) with the division by `elements` in it, as QuantizedMeanOrSum of TensorFlow Lite."""
    multiplier, shift = quantize_multiplier(input_scale / output_scale)
    extra = min(elements.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // elements, shift - extra


def _axes(model: Model, op: Operator) -> frozenset[int]:
    """The reduced axes. Raises `ValueError` for one that is out of range."""
    rank = len(model.tensor(op.inputs[0]).shape)
    return frozenset(normal_axis(a, rank) for a in integers(model.tensor(op.inputs[1]).data or b""))


class _Reduction(OperatorKind):
    """What both share: the rules of the axes, and the walk over them."""

    accumulator_bytes: ClassVar[int]  # of one output element, while rows are added up

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, ReducerAttrs):
            raise refuse(model, op, "its options are missing")
        require_arity(model, op, 2)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        require_integers(model, op, 1, "axes")
        try:
            axes = _axes(model, op)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        shape = [1 if i in axes else n for i, n in enumerate(source.shape) if op.attrs.keep_dims or i not in axes]
        require_shape(model, op, output, shape)
        if max(len(runs) for runs in runs_of(source.shape, axes)) > 2:
            raise refuse(model, op, "more than two separate runs of axes are not supported")
        self._check_scales(model, op, source, output)

    def _check_scales(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        raise NotImplementedError

    def rows(self, model: Model, op: Operator) -> Rows | None:
        if not self._one_row(model, op):
            return None
        source = model.tensor(op.inputs[0])
        return accumulating_rows(source, rows_of(source)[0], model.output_of(op).elements * self.accumulator_bytes)

    @staticmethod
    def _one_row(model: Model, op: Operator) -> bool:
        """Whether an input row is some columns of what the one output row holds."""
        _, reduced = runs_of(model.tensor(op.inputs[0]).shape, _axes(model, op))
        output = model.output_of(op)
        return len(reduced) == 1 and reduced[0].step == output.elements and rows_of(output)[0] == 1

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source = model.tensor(op.inputs[0])
        kept, reduced = ([*runs, Run(1, 0), Run(1, 0)][:2] for runs in runs_of(source.shape, _axes(model, op)))
        return self._call(model, op, kept, reduced)

    def emit_rows(self, model: Model, op: Operator) -> KernelCall:
        if self.rows(model, op) is None:
            return self.emit(model, op)
        elements = model.output_of(op).elements
        rows, row_bytes = rows_of(model.tensor(op.inputs[0]))
        columns = Run(row_bytes // elements, elements)
        call = self._call(model, op, [Run(elements, 1), Run(1, 0)], [columns, Run(rows, row_bytes)])
        return replace(call, function=f"{call.function}_accumulate", rows=rows, accumulates=True)

    def _call(self, model: Model, op: Operator, kept: Sequence[Run], reduced: Sequence[Run]) -> KernelCall:
        """The whole kernel's, with two runs each, the inner one first."""
        output = model.output_of(op)
        rows, row_bytes = rows_of(output)
        name = self.opcode.lower()
        table: dict[str, int | float | ConstArray | None] = {
            "walk.keep_inner": kept[0].extent,
            "walk.keep_outer_step": kept[1].step,
            "walk.keep_inner_step": kept[0].step,
            "walk.reduce_outer": reduced[1].extent,
            "walk.reduce_inner": reduced[0].extent,
            "walk.reduce_outer_step": reduced[1].step,
            "walk.reduce_inner_step": reduced[0].step,
            "walk.row_elements": row_bytes,
            **self._scaling(model, op, model.tensor(op.inputs[0]), output),
        }
        return KernelCall(f"td_{name}", name, table, op.inputs[:1], output.index, rows=rows)

    def _scaling(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> dict[str, int]:
        return {}


class Mean(_Reduction):
    """MEAN."""

    opcode = "MEAN"
    accumulator_bytes = 4

    def work(self, model: Model, op: Operator) -> Work:
        return Work(ops=model.tensor(op.inputs[0]).elements, counted="one addition for each input element")

    def _check_scales(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        if source.elements // output.elements > _MOST_ELEMENTS:
            raise refuse(model, op, f"a mean of more than {_MOST_ELEMENTS} elements is not supported")
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        try:
            quantize_multiplier(sq.scale / oq.scale)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e

    def _scaling(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> dict[str, int]:
        elements = source.elements // output.elements
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        multiplier, shift = mean_scale(sq.scale, oq.scale, elements)
        return {
            "zero_sum": elements * sq.zero_point,
            "multiplier": multiplier,
            "shift": shift,
            "out_zero": oq.zero_point,
        }


class ReduceMax(_Reduction):
    """REDUCE_MAX, of a global max pooling; input and output have the same scale."""

    opcode = "REDUCE_MAX"
    accumulator_bytes = 1

    def work(self, model: Model, op: Operator) -> Work:
        return Work(ops=model.tensor(op.inputs[0]).elements, counted="one comparison for each input element")

    def _check_scales(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        if (sq.scale, sq.zero_point) != (oq.scale, oq.zero_point):
            raise refuse(model, op, "input and output must have the same scale and zero point", tensor=output)


KINDS: tuple[OperatorKind, ...] = (Mean(), ReduceMax())
