"""QUANTIZE (from float, and between 8-bit types) and DEQUANTIZE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import DType, Model, Operator, Quantization
from tinydeploy.operators.base import ConstArray, KernelCall, OperatorKind, refuse, rows_of
from tinydeploy.operators.fixed_point import quantize_multiplier, requantize, wrap32
from tinydeploy.operators.lookup import Unary, lookup_call, table_of
from tinydeploy.operators.rules import quantized, require_arity, require_computed, require_output, require_shape

if TYPE_CHECKING:
    from tinydeploy.boards import Core

# what TensorFlow Lite Micro converts into int8 and uint8
_PAIRS = {
    (DType.FLOAT32, DType.INT8),
    (DType.INT8, DType.INT8),
    (DType.INT8, DType.UINT8),
    (DType.UINT8, DType.INT8),
}
_RANGES = {DType.INT8: (-128, 127), DType.UINT8: (0, 255)}


def affine_quantize(
    values: NDArray[np.float32], q: Quantization, limits: tuple[int, int] = (-128, 127)
) -> NDArray[np.int64]:
    """round(x / scale) + zero point, saturated to `limits`: single-precision division, halves away from zero.

    A quotient beyond 32 bits saturates; a NaN gives an arbitrary value.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        ratio = (values / np.float32(q.scale)).astype(np.float64)
    ratio = np.clip(np.nan_to_num(ratio), -(2.0**20), 2.0**20)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio).astype(np.int64)
    return np.clip(rounded + q.zero_point, *limits)


def float_thresholds(q: Quantization) -> NDArray[np.int32]:
    """For each int8 value from −127 the smallest float that reaches it, by `td_float_order`; 255 values.

    A value that no float reaches gets a threshold above all finite numbers and infinity.
    """
    wanted = np.arange(-127, 128)
    low = np.full(255, -0x7F800002, np.int64)  # below −infinity: reaches nothing
    high = np.full(255, 0x7F800001, np.int64)  # above infinity: taken to reach everything
    while (high - low > 1).any():
        middle = (low + high) // 2
        bits = np.where(middle < 0, middle ^ 0x7FFFFFFF, middle).astype(np.int32)
        reaches = affine_quantize(bits.view(np.float32), q) >= wanted
        low, high = np.where(reaches, low, middle), np.where(reaches, middle, high)
    return high.astype(np.int32)


class Quantize(Unary):
    """QUANTIZE."""

    opcode = "QUANTIZE"

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 1)
        source = require_computed(model, op, 0, DType.FLOAT32, DType.INT8, DType.UINT8)
        output = require_output(model, op, DType.INT8, DType.UINT8)
        require_shape(model, op, output, source.shape)
        if (source.dtype, output.dtype) not in _PAIRS:
            raise refuse(model, op, f"from {source.dtype.label} to {output.dtype.label} is not supported")
        oq = quantized(model, op, output)
        if source.dtype is not DType.FLOAT32:
            try:
                quantize_multiplier(quantized(model, op, source).scale / oq.scale)
            except ValueError as e:
                raise refuse(model, op, str(e)) from e

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        oq = quantized(model, op, output)
        if source.dtype is DType.FLOAT32:
            rows, row_bytes = rows_of(output)
            thresholds = ConstArray("int32_t", float_thresholds(oq), "table")
            return KernelCall(
                "td_quantize",
                "quantize",
                {"thresholds": thresholds, "row_elements": row_bytes},
                (source.index,),
                output.index,
                rows=rows,
            )
        sq = quantized(model, op, source)
        multiplier, shift = quantize_multiplier(sq.scale / oq.scale)
        low, high = _RANGES[output.dtype]

        def requantized(value: int) -> int:
            scaled = requantize(value - sq.zero_point, multiplier, shift)
            return max(low, min(high, wrap32(scaled + oq.zero_point)))

        return lookup_call(source, output, table_of(requantized, source.dtype))


class Dequantize(Unary):
    """DEQUANTIZE of 8-bit types."""

    opcode = "DEQUANTIZE"

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 1)
        source = require_computed(model, op, 0, DType.INT8, DType.UINT8)
        output = require_output(model, op, DType.FLOAT32)
        require_shape(model, op, output, source.shape)
        quantized(model, op, source)

    def slow(self, model: Model, op: Operator, core: Core) -> str | None:
        return None if core.hard_float else "library calls for every element: the core has no floating-point unit"

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        q = quantized(model, op, source)
        rows, row_bytes = rows_of(output)
        return KernelCall(
            "td_dequantize",
            "dequantize",
            {
                "scale": q.scale,
                "row_elements": row_bytes // DType.FLOAT32.bytes,
                "zero": q.zero_point,
                "is_unsigned": int(source.dtype is DType.UINT8),
            },
            (source.index,),
            output.index,
            rows=rows,
        )


KINDS: tuple[OperatorKind, ...] = (Quantize(), Dequantize())
