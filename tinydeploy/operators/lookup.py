"""Functions of one int8: LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU, HARD_SWISH, as 256-byte tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import frexp
from typing import cast

import numpy as np

from tinydeploy.ir import DType, LeakyReluAttrs, Model, Operator, Quantization, Tensor
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    Memory,
    OperatorKind,
    Rows,
    Window,
    Work,
    refuse,
    rows_of,
    same_rows,
)
from tinydeploy.operators.fixed_functions import input_radius, logistic, tanh
from tinydeploy.operators.fixed_point import (
    f32,
    quantize_multiplier,
    requantize,
    round_half_away,
    round_shift,
    wrap32,
)
from tinydeploy.operators.rules import quantized, require_arity, require_computed, require_output, require_shape

_INTEGER_BITS = 4  # of the input of LOGISTIC and TANH


def clamp8(value: int) -> int:
    """`value` saturated to int8."""
    return max(-128, min(127, value))


def table_of(function: Callable[[int], int], source: DType = DType.INT8) -> ConstArray:
    """A function of an 8-bit type as bytes, by the byte of its argument."""
    values = [function(byte - 256 if source is DType.INT8 and byte > 127 else byte) & 255 for byte in range(256)]
    return ConstArray("uint8_t", np.array(values, np.uint8), "table")


def lookup_call(source: Tensor, output: Tensor, table: ConstArray) -> KernelCall:
    """A call of td_lookup."""
    rows, row_bytes = rows_of(output)
    fields: dict[str, int | float | ConstArray | None] = {"table": table, "row_bytes": row_bytes}
    return KernelCall("td_lookup", "lookup", fields, (source.index,), output.index, rows=rows)


class Unary(OperatorKind):
    """What element-wise functions of one input share. Also serves float networks, with their costs."""

    def work(self, model: Model, op: Operator) -> Work:
        return Work(ops=model.output_of(op).elements, counted="one for each output element")

    def memory(self, model: Model, op: Operator) -> Memory:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        return Memory(in_place=(0,) if source.dtype.bytes == output.dtype.bytes else ())

    def window(self, model: Model, op: Operator) -> Window | None:
        return Window(1, 1) if len(model.output_of(op).shape) == 4 else None

    def rows(self, model: Model, op: Operator) -> Rows | None:
        return same_rows(model, op)


class _Function(Unary):
    """int8 to int8."""

    def check(self, model: Model, op: Operator) -> None:
        require_arity(model, op, 1)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        require_shape(model, op, output, source.shape)
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        try:
            self.function_of(op, sq, oq)
        except (ValueError, OverflowError) as e:
            raise refuse(model, op, str(e)) from e

    def function_of(self, op: Operator, source: Quantization, output: Quantization) -> Callable[[int], int]:
        """`function`, for a kind whose attributes matter too."""
        return self.function(source, output)

    @abstractmethod
    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        """The function on int8 values. Raises ValueError for scales with which the reference does not run."""

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        function = self.function_of(op, quantized(model, op, source), quantized(model, op, output))
        return lookup_call(source, output, table_of(function))


def _fixed_point_input(source: Quantization) -> tuple[Callable[[int], int], int]:
    """(difference from the zero point → fixed-point input, radius beyond which the function is saturated)."""
    fraction, shift = frexp(source.scale * (1 << (31 - _INTEGER_BITS)))
    if not 0 <= shift <= 62:
        raise ValueError(f"an input scale of {source.scale:g} is out of range")
    multiplier = round_half_away(fraction * (1 << 31))
    return lambda x: requantize(x, multiplier, shift), input_radius(_INTEGER_BITS, shift)


def _saturating(source: Quantization, inner: Callable[[int], int]) -> Callable[[int], int]:
    """`inner` of the fixed-point input, and the ends of int8 beyond its radius."""
    scaled, radius = _fixed_point_input(source)

    def function(value: int) -> int:
        x = value - source.zero_point
        if x <= -radius:
            return -128
        if x >= radius:
            return 127
        return clamp8(inner(scaled(x)))

    return function


class Logistic(_Function):
    """LOGISTIC; the output's zero point must be −128, its scale is taken to be 1/256."""

    opcode = "LOGISTIC"

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        if output.zero_point != -128:
            raise ValueError(f"the output's zero point must be -128, not {output.zero_point}")
        return _saturating(source, lambda x: round_shift(logistic(x, _INTEGER_BITS), 23) - 128)


class Tanh(_Function):
    """TANH; the output's quantization is taken to be scale 1/128, zero point 0."""

    opcode = "TANH"

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        return _saturating(source, lambda x: round_shift(tanh(x, _INTEGER_BITS), 24))


class Relu(_Function):
    """RELU: rescaled to the output's quantization, not below its zero point."""

    opcode = "RELU"

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        multiplier, shift = quantize_multiplier(source.scale / output.scale)

        def function(value: int) -> int:
            scaled = wrap32(output.zero_point + requantize(value - source.zero_point, multiplier, shift))
            return clamp8(max(output.zero_point, scaled))

        return function


class Relu6(_Function):
    """RELU6: a clamp on the input's quantization; TensorFlow Lite Micro does not rescale to the output's."""

    opcode = "RELU6"

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        six = round_half_away(f32(6.0 / source.scale)) + source.zero_point
        if six >= 1 << 31:
            raise ValueError(f"an input scale of {source.scale:g} is out of range")
        return lambda value: min(clamp8(six), max(source.zero_point, value))

    def caveat(self, model: Model, op: Operator) -> str | None:
        sq, oq = (quantized(model, op, tensor) for tensor in (model.tensor(op.inputs[0]), model.output_of(op)))
        if (sq.scale, sq.zero_point) == (oq.scale, oq.zero_point):
            return None
        return (
            f"its output is labelled scale {oq.scale:g}, zero point {oq.zero_point}, but TensorFlow Lite Micro only "
            f"clamps here and leaves the input's {sq.scale:g} and {sq.zero_point}: what follows reads other numbers "
            "than it was trained on"
        )


class LeakyRelu(_Function):
    """LEAKY_RELU with a slope that is not negative: one factor above the zero point, another below."""

    opcode = "LEAKY_RELU"

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, LeakyReluAttrs):
            raise refuse(model, op, "its options are missing")
        if op.attrs.alpha < 0:  # the reference's own versions disagree there
            raise refuse(model, op, f"a negative slope, {op.attrs.alpha:g}, is not supported")
        super().check(model, op)

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        return self._sloped(1.0, source, output)

    def function_of(self, op: Operator, source: Quantization, output: Quantization) -> Callable[[int], int]:
        return self._sloped(cast(LeakyReluAttrs, op.attrs).alpha, source, output)

    @staticmethod
    def _sloped(alpha: float, source: Quantization, output: Quantization) -> Callable[[int], int]:
        above = quantize_multiplier(source.scale / output.scale)
        below = quantize_multiplier(source.scale * alpha / output.scale)

        def function(value: int) -> int:
            x = value - source.zero_point
            return clamp8(wrap32(output.zero_point + requantize(x, *(above if x >= 0 else below))))

        return function


class HardSwish(_Function):
    """HARD_SWISH, x · relu6(x + 3) / 6, in 16-bit fixed point as TensorFlow Lite's reference computes it."""

    opcode = "HARD_SWISH"

    def function(self, source: Quantization, output: Quantization) -> Callable[[int], int]:
        fine_scale = f32(source.scale / 128)
        out_multiplier, out_shift = _multiplier16(fine_scale / output.scale)
        gate_multiplier, gate_shift = _multiplier16(fine_scale / (3 / 32768))
        if out_shift > 0:
            raise ValueError(f"the output's scale {output.scale:g} is too small beside the input's {source.scale:g}")
        if min(out_shift, gate_shift) < -15:
            raise ValueError("the scales are too far apart for 16 bits")

        def function(value: int) -> int:
            fine = (value - source.zero_point) << 7
            gate = fine
            if gate_shift > 0:
                gate = _clamp16(gate << (gate_shift - 1))
            gate = (gate * gate_multiplier + (1 << 14)) >> 15
            gate = _clamp16(gate << 1) if gate_shift > 0 else round_shift(gate, -gate_shift)
            gate = (gate + (1 << 15)) >> 1  # from [−1, 1] to [0, 1]
            product = gate * ((fine * out_multiplier + (1 << 14)) >> 15)
            towards_zero = abs(product) >> 15
            result = round_shift(towards_zero if product >= 0 else -towards_zero, -out_shift)
            return clamp8(result + output.zero_point)

        return function


def _clamp16(value: int) -> int:
    return max(-32768, min(32767, value))


def _multiplier16(real: float) -> tuple[int, int]:
    """As `quantize_multiplier`, with a multiplier of 16 bits."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


KINDS: tuple[OperatorKind, ...] = (Logistic(), Tanh(), Relu(), Relu6(), LeakyRelu(), HardSwish())
