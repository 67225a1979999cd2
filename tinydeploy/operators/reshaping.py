"""Operators that only move bytes: RESHAPE, SQUEEZE, EXPAND_DIMS, CONCATENATION, PAD, PADV2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import cast

import numpy as np

from tinydeploy.ir import Activation, ConcatenationAttrs, DType, Model, Operator, SqueezeAttrs, Tensor
from tinydeploy.ir.shapes import concatenation_shape, normal_axis
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
from tinydeploy.operators.rules import (
    MOVES_BYTES,
    constant_bytes,
    index_table,
    integers,
    quantized,
    require_arity,
    require_computed,
    require_data,
    require_integers,
    require_output,
    require_shape,
    require_size,
    row_axes,
)

_PLAIN = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.FLOAT32)


class _SameBytes(OperatorKind):
    """Another shape for the same bytes."""

    allowed: tuple[DType, ...] = _PLAIN

    def work(self, model: Model, op: Operator) -> Work:
        return Work(counted=MOVES_BYTES)

    def memory(self, model: Model, op: Operator) -> Memory:
        return Memory(alias=0)

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 1, 2)
        source = require_computed(model, op, 0, *self.allowed)
        output = require_output(model, op, source.dtype)
        if source.elements != output.elements:
            why = f"{list(source.shape)} and {list(output.shape)} have different numbers of elements"
            raise refuse(model, op, why)
        self._check_shape(model, op, source, output)

    def _check_shape(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        raise NotImplementedError

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        rows, row_bytes = rows_of(output)
        return _copy(None, source.index, output.index, rows, (rows, 0, rows), (0, 0), (1, row_bytes))


def _copy(
    data: ConstArray | None,
    source: int,
    output: int,
    rows: int,
    period: tuple[int, int, int],
    place: tuple[int, int],
    runs: tuple[int, int],
) -> KernelCall:
    """`period` is (period, first, count), `place` (offset, step), `runs` (runs, run); see td_copy.h."""
    table: dict[str, int | float | ConstArray | None] = {
        "data": data,
        "period": period[0],
        "first": period[1],
        "count": period[2],
        "offset": place[0],
        "step": place[1],
        "runs": runs[0],
        "run": runs[1],
    }
    return KernelCall("td_copy", "copy", table, (source,), output, rows=rows)


class Reshape(_SameBytes):
    """RESHAPE. The output tensor's shape decides, as in TensorFlow Lite Micro."""

    opcode = "RESHAPE"

    def _check_shape(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        shape = model.input_of(op, 1)
        if shape is not None and not shape.constant:
            raise refuse(model, op, "the new shape must be constant", tensor=shape)


class Squeeze(_SameBytes):
    """SQUEEZE."""

    opcode = "SQUEEZE"

    def _check_shape(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        require_arity(model, op, 1)
        dims = op.attrs.squeeze_dims if isinstance(op.attrs, SqueezeAttrs) else ()
        rank = len(source.shape)
        try:
            gone = {normal_axis(d, rank) for d in dims} or {i for i, n in enumerate(source.shape) if n == 1}
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        if any(source.shape[i] != 1 for i in gone):
            raise refuse(model, op, f"axes {sorted(gone)} of {list(source.shape)} are not all of size 1")
        require_shape(model, op, output, [n for i, n in enumerate(source.shape) if i not in gone])


class ExpandDims(_SameBytes):
    """EXPAND_DIMS."""

    opcode = "EXPAND_DIMS"
    allowed = (DType.INT8, DType.INT16, DType.FLOAT32)  # TensorFlow Lite Micro's

    def _check_shape(self, model: Model, op: Operator, source: Tensor, output: Tensor) -> None:
        require_arity(model, op, 2)
        axes = require_integers(model, op, 1, "axis")
        rank = len(source.shape)
        if len(axes) != 1 or not -rank - 1 <= axes[0] <= rank:
            raise refuse(model, op, f"axis {list(axes)} is not one of {rank + 1}")
        shape = list(source.shape)
        shape.insert(axes[0] % (rank + 1), 1)
        require_shape(model, op, output, shape)


@dataclass(frozen=True)
class _Part:
    """Where one input of a CONCATENATION goes; the fields are explained in td_copy.h."""

    tensor: Tensor
    period: tuple[int, int, int]
    place: tuple[int, int]
    runs: tuple[int, int]

    def reads(self, count: int) -> tuple[Span, ...]:
        """For each of `count` output rows, the input's row that is copied there."""
        period, first, extent = self.period
        found = []
        for row in range(count):
            above, here = divmod(row, period)
            at = above * extent + min(max(here - first, 0), extent)
            found.append((at, at + 1) if first <= here < first + extent else (at, at))
        return tuple(found)


class Concatenation(OperatorKind):
    """CONCATENATION along any axis, of tensors that all have the same scale; one call for each input."""

    opcode = "CONCATENATION"

    def work(self, model: Model, op: Operator) -> Work:
        return Work(counted=MOVES_BYTES)

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, ConcatenationAttrs):
            raise refuse(model, op, "its options are missing")
        if op.attrs.activation is not Activation.NONE:
            raise refuse(model, op, "a fused activation is not supported")
        require_arity(model, op, max(len(op.inputs), 1))
        output = require_output(model, op, DType.INT8)
        oq = quantized(model, op, output)
        inputs = [model.tensor(i) for i in op.inputs]
        for tensor in inputs:
            require_dtype(model, op, tensor, DType.INT8)
            require_size(model, op, tensor)
            q = quantized(model, op, tensor)
            if (q.scale, q.zero_point) != (oq.scale, oq.zero_point):
                raise refuse(model, op, "must have the output's scale and zero point", tensor=tensor)
            if tensor.constant:
                require_data(model, op, tensor, "input")
        try:
            shape = concatenation_shape([t.shape for t in inputs], op.attrs.axis)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        require_shape(model, op, output, shape)

    def memory(self, model: Model, op: Operator) -> Memory:
        shape = model.output_of(op).shape
        if not isinstance(op.attrs, ConcatenationAttrs):
            return Memory()
        axis = normal_axis(op.attrs.axis, len(shape))
        if prod(shape[:axis]) != 1:
            return Memory()
        sizes = [model.tensor(i).bytes for i in op.inputs]
        return Memory(parts=tuple(accumulate(sizes[:-1], initial=0)))

    def rows(self, model: Model, op: Operator) -> Rows | None:
        if not isinstance(op.attrs, ConcatenationAttrs):
            return None
        count, _ = rows_of(model.output_of(op))
        reads: dict[int, tuple[Span, ...]] = {}
        solid = set()
        for position, part in enumerate(self._parts(model, op)):
            rows, row_bytes = rows_of(part.tensor)
            if part.tensor.constant:
                continue
            reads[position] = part.reads(count)
            if part.runs[0] * part.runs[1] * part.tensor.dtype.bytes != row_bytes:
                reads[position] = ((0, rows),) * count
                solid.add(position)
        return Rows(reads, one_by_one(count), solid=frozenset(solid), one_at_a_time=True)

    def emit(self, model: Model, op: Operator) -> tuple[KernelCall, ...]:
        output = model.output_of(op)
        rows, _ = rows_of(output)
        calls = []
        for part in self._parts(model, op):
            # a constant is read through `data`, so any tensor will do
            source = output.index if part.tensor.constant else part.tensor.index
            data = constant_bytes(part.tensor)
            calls.append(_copy(data, source, output.index, rows, part.period, part.place, part.runs))
        return tuple(calls)

    @staticmethod
    def _parts(model: Model, op: Operator) -> Iterator[_Part]:
        output = model.output_of(op)
        rank = len(output.shape)
        axis = normal_axis(cast(ConcatenationAttrs, op.attrs).axis, rank)
        out = row_axes(output.shape)
        rows, _ = rows_of(output)
        start = 0
        for index in op.inputs:
            tensor = model.tensor(index)
            part = row_axes(tensor.shape)
            extent = tensor.shape[axis]
            if axis < len(out.outer):
                inner = prod(out.outer[axis + 1 :])
                period = (out.outer[axis] * inner, start * inner, extent * inner)
                place, runs = (0, 0), (1, out.row_elements)
            elif axis == rank - 1:
                period, place, runs = (rows, 0, rows), (start, out.depth), (part.columns, part.depth)
            else:
                period, place, runs = (rows, 0, rows), (start * out.depth, 0), (1, part.row_elements)
            if runs[0] == 1:
                place = (place[0], 0)
            yield _Part(tensor, period, place, runs)
            start += extent


class Pad(OperatorKind):
    """PAD: with the output's zero point, or the value that is given as third input."""

    opcode = "PAD"
    most_axes = 5  # of TensorFlow Lite Micro

    def work(self, model: Model, op: Operator) -> Work:
        return Work(counted=MOVES_BYTES)

    def window(self, model: Model, op: Operator) -> Window | None:
        source, paddings = model.tensor(op.inputs[0]), model.tensor(op.inputs[1])
        values = integers(paddings.data) if paddings.data is not None and paddings.dtype is DType.INT32 else ()
        if len(source.shape) != 4 or len(values) != 8 or values[0] or values[1]:
            return None
        return Window(1, 1, pad_top=values[2], pad_left=values[4])

    def rows(self, model: Model, op: Operator) -> Rows | None:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        inside, outside = row_axes(source.shape).outer, row_axes(output.shape).outer
        paddings = model.tensor(op.inputs[1]).data
        if paddings is None:
            return None
        before = integers(paddings)[0 : 2 * len(outside) : 2]
        count, _ = rows_of(output)
        reads = []
        done = 0  # input rows come in order, with padding in between
        for row in range(count):
            held = True
            for axis in reversed(range(len(outside))):
                row, at = divmod(row, outside[axis])
                held = held and 0 <= at - before[axis] < inside[axis]
            reads.append((done, done + held))
            done += held
        return Rows({0: tuple(reads)}, one_by_one(count))

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 2, 3)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        rank = len(source.shape)
        if not 1 <= rank <= self.most_axes:
            raise refuse(model, op, f"must have 1 to {self.most_axes} axes", tensor=source)
        paddings = require_integers(model, op, 1, "paddings")
        if len(paddings) != 2 * rank or min(paddings) < 0:
            raise refuse(model, op, f"the paddings {list(paddings)[:16]} are not two numbers for each of {rank} axes")
        shape = [n + paddings[2 * i] + paddings[2 * i + 1] for i, n in enumerate(source.shape)]
        require_shape(model, op, output, shape)
        oq = quantized(model, op, output)
        value = model.input_of(op, 2)
        if len(op.inputs) == 3 and value is None:
            raise refuse(model, op, "its pad value is missing")
        if value is not None:
            require_dtype(model, op, value, DType.INT8)
            require_data(model, op, value, "pad value")
            vq = quantized(model, op, value)
            if value.elements != 1 or (vq.scale, vq.zero_point) != (oq.scale, oq.zero_point):
                raise refuse(model, op, "must be one value with the output's scale and zero point", tensor=value)

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        pairs = np.array(integers(model.tensor(op.inputs[1]).data or b"")).reshape(-1, 2).tolist()
        value = model.input_of(op, 2)
        inside, outside = row_axes(source.shape), row_axes(output.shape)
        outer = [
            (outside.outer[i], pairs[i][0], inside.outer[i], prod(inside.outer[i + 1 :]))
            for i in reversed(range(len(outside.outer)))
        ]
        before, after = pairs[-1]
        left, right = pairs[2] if len(source.shape) == 4 else (0, 0)
        if before or after:
            runs = (inside.columns, inside.depth)
        else:
            runs = (1, inside.row_elements)
        rows, row_bytes = rows_of(output)
        return KernelCall(
            "td_pad",
            "pad",
            {
                "outer": index_table(outer) if outer else None,
                "axes": len(outer),
                "row_bytes": row_bytes,
                "left": left * outside.depth,
                "right": right * outside.depth,
                "runs": runs[0],
                "run": runs[1],
                "run_left": before,
                "run_right": after,
                "value": quantized(model, op, output).zero_point
                if value is None
                else int(np.frombuffer(value.data or b"", np.int8)[0]),
            },
            (source.index,),
            output.index,
            rows=rows,
        )


class PadV2(Pad):
    """PADV2: PAD with a value."""

    opcode = "PADV2"


KINDS: tuple[OperatorKind, ...] = (
    Reshape(),
    Squeeze(),
    ExpandDims(),
    Concatenation(),
    Pad(),
    PadV2(),
)
