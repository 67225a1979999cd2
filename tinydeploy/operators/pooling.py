"""AVERAGE_POOL_2D, MAX_POOL_2D."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, cast

from tinydeploy.ir import DType, Model, Operator, Padding, Pool2DAttrs
from tinydeploy.ir.shapes import window_output, window_padding
from tinydeploy.operators.accumulation import accumulating_rows
from tinydeploy.operators.base import KernelCall, OperatorKind, Rows, Window, Work, refuse, rows_of, window_rows
from tinydeploy.operators.fixed_point import f32
from tinydeploy.operators.rules import (
    clamp_bounds,
    quantized,
    require_arity,
    require_computed,
    require_output,
    require_shape,
)

_U16 = 65535
_MOST_ELEMENTS = 1 << 23  # of a window: their sum stays inside int32
_SCALE_TOLERANCE = 1e-6  # between input and output, in TensorFlow Lite Micro


class _Pool2D(OperatorKind):
    """What both share."""

    counted: ClassVar[str]
    accumulator_bytes: ClassVar[int]  # of one output element, while rows are added up

    def work(self, model: Model, op: Operator) -> Work:
        a = cast(Pool2DAttrs, op.attrs)
        return Work(ops=model.output_of(op).elements * a.filter_h * a.filter_w, counted=self.counted)

    def window(self, model: Model, op: Operator) -> Window | None:
        a = cast(Pool2DAttrs, op.attrs)
        top, left = self._padding(model, op)
        return Window(a.filter_h, a.filter_w, a.stride_h, a.stride_w, top, left)

    def rows(self, model: Model, op: Operator) -> Rows | None:
        """Of one output row: the input rows are added up where that takes less memory than the window's rows."""
        window = cast(Window, self.window(model, op))
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        accumulating = None
        if output.shape[:2] == (1, 1):
            inside = min(window.kernel_h - window.pad_top, source.shape[1])
            accumulating = accumulating_rows(source, inside, output.elements * self.accumulator_bytes)
        return accumulating or window_rows(model, op, window)

    @staticmethod
    def _padding(model: Model, op: Operator) -> tuple[int, int]:
        """(top, left)."""
        a = cast(Pool2DAttrs, op.attrs)
        source, output, explicit = model.tensor(op.inputs[0]), model.output_of(op), a.explicit_padding
        top, _ = window_padding(source.shape[1], output.shape[1], a.filter_h, a.stride_h, 1, a.padding, explicit[:2])
        left, _ = window_padding(source.shape[2], output.shape[2], a.filter_w, a.stride_w, 1, a.padding, explicit[2:])
        return top, left

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, Pool2DAttrs):
            raise refuse(model, op, "its options are missing")
        a = op.attrs
        require_arity(model, op, 1)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        if len(source.shape) != 4:
            raise refuse(model, op, "must have rank 4 (N, H, W, C)", tensor=source)
        if a.padding is Padding.EXPLICIT:
            raise refuse(model, op, "explicit padding is not supported")
        if max(a.filter_h, a.filter_w, a.stride_h, a.stride_w) > _U16:
            raise refuse(model, op, f"window and strides must not be above {_U16}")
        n, in_h, in_w, channels = source.shape
        try:
            h = window_output(in_h, a.filter_h, a.stride_h, 1, a.padding)
            w = window_output(in_w, a.filter_w, a.stride_w, 1, a.padding)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        require_shape(model, op, output, (n, h, w, channels))
        if min(a.filter_h, in_h) * min(a.filter_w, in_w) > _MOST_ELEMENTS:
            raise refuse(model, op, f"a window of more than {_MOST_ELEMENTS} elements is not supported")
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        if abs(f32(sq.scale - oq.scale)) > _SCALE_TOLERANCE or sq.zero_point != oq.zero_point:
            raise refuse(model, op, "input and output must have the same scale and zero point", tensor=output)
        clamp_bounds(model, op, a.activation, oq)

    def emit(self, model: Model, op: Operator) -> KernelCall:
        a = cast(Pool2DAttrs, op.attrs)
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        top, left = self._padding(model, op)
        low, high = clamp_bounds(model, op, a.activation, quantized(model, op, output))
        name = self.opcode.lower()
        return KernelCall(
            f"td_{name}",
            name,
            {
                "in_h": source.shape[1],
                "in_w": source.shape[2],
                "out_h": output.shape[1],
                "out_w": output.shape[2],
                "channels": source.shape[3],
                "kernel_h": a.filter_h,
                "kernel_w": a.filter_w,
                "stride_h": a.stride_h,
                "stride_w": a.stride_w,
                "pad_top": top,
                "pad_left": left,
                "out_min": low,
                "out_max": high,
            },
            (source.index,),
            output.index,
            window_rows=min(a.filter_h, source.shape[1]),
            rows=rows_of(output)[0],
        )

    def emit_rows(self, model: Model, op: Operator) -> KernelCall:
        call, rows = self.emit(model, op), self.rows(model, op)
        if rows is None or not rows.accumulator_bytes:
            return call
        name = f"{call.function}_accumulate"
        return replace(call, function=name, window_rows=0, rows=len(rows.writes), accumulates=True)


class AveragePool2D(_Pool2D):
    """AVERAGE_POOL_2D; padding does not count."""

    opcode = "AVERAGE_POOL_2D"
    accumulator_bytes = 4
    counted = "one addition for each window element"


class MaxPool2D(_Pool2D):
    """MAX_POOL_2D."""

    opcode = "MAX_POOL_2D"
    accumulator_bytes = 1
    counted = "one comparison for each window element"


KINDS: tuple[OperatorKind, ...] = (AveragePool2D(), MaxPool2D())
