"""Fixed-point parameters, computed at generation time exactly as TensorFlow Lite Micro computes them at start-up.

Scales are single-precision floats in the file; products of them are taken in the precision that the reference uses,
because a multiplier that differs in its last bit can change an output.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from tinydeploy.ir import Activation, DType, Quantization

INT8_MIN, INT8_MAX = -128, 127
_RANGES = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}


def f32(value: float) -> float:
    """`value` rounded to single precision; infinite where it is too large."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return rounded


def round_half_away(value: float) -> int:
    """To the nearest integer, halves away from zero, like C's round()."""
    floor = math.floor(abs(value))
    up = floor + (1 if abs(value) - floor >= 0.5 else 0)
    return up if value >= 0 else -up


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`real >= 0` as (multiplier, shift): real ≈ multiplier · 2^(shift − 31), multiplier 0 or in [2^30, 2^31).

    As `QuantizeMultiplier` in TensorFlow Lite: below 2^−32 it becomes 0. Raises ValueError above 2^30.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise ValueError(f"a scale factor of {real:g} is too large")
    return multiplier, shift


def conv_scales(input_scale: float, weight_scales: Sequence[float], output_scale: float) -> list[tuple[int, int]]:
    """(multiplier, shift) for each weight scale, computed in double precision as for convolutions."""
    return [quantize_multiplier(input_scale * w / output_scale) for w in weight_scales]


def activation_range(activation: Activation, output: Quantization, dtype: DType = DType.INT8) -> tuple[int, int]:
    """The quantized bounds of a fused activation.

    Raises ValueError for one that is not a clamp, and for bounds that leave 32 bits, which TFLM refuses too.
    """
    low, high = _RANGES[dtype]

    def quantized(real: float) -> int:
        ratio = f32(real / output.scale)
        if abs(ratio) > 1 << 31:
            raise ValueError(f"the fused {activation.value}'s bounds do not fit the output's scale {output.scale:g}")
        return output.zero_point + round_half_away(ratio)

    if activation is Activation.NONE:
        return low, high
    if activation is Activation.RELU:
        return max(low, quantized(0.0)), high
    if activation is Activation.RELU6:
        return max(low, quantized(0.0)), min(high, quantized(6.0))
    if activation is Activation.RELU_N1_TO_1:
        return max(low, quantized(-1.0)), min(high, quantized(1.0))
    raise ValueError(f"a fused {activation.value} is not a clamp")


def high_mul(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul on int32."""
    if a == b == -(1 << 31):
        return (1 << 31) - 1
    return (a * b + (1 << 30)) >> 31


def round_shift(x: int, exponent: int) -> int:
    """gemmlowp's RoundingDivideByPOT: x · 2^−exponent to nearest, halves away from zero."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def wrap32(x: int) -> int:
    """`x` modulo 2^32 as a signed 32-bit integer."""
    return (x + (1 << 31)) % (1 << 32) - (1 << 31)


def requantize(x: int, multiplier: int, shift: int) -> int:
    """`MultiplyByQuantizedMultiplier` with two roundings, on int32."""
    if shift > 0:
        return high_mul(wrap32(x << shift), multiplier)
    return round_shift(high_mul(x, multiplier), -shift)
