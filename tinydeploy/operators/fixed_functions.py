"""exp, logistic and tanh in 32-bit fixed point, for tables made at generation time.

The formulas and constants are those of gemmlowp (fixedpoint/fixedpoint.h), which TensorFlow Lite Micro calls at
run time, on plain integers: a value with b integer bits is raw · 2^(b − 31).
"""

from __future__ import annotations

from tinydeploy.operators.fixed_point import high_mul, round_shift

INT32_MAX = (1 << 31) - 1
_EXP_OF_MINUS_ONE_EIGHTH = 1895147668
_ONE_THIRD = 715827883
# exp(−2^k) for k = −2 … 4
_EXP_OF_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_48_OVER_17, _NEG_32_OVER_17 = 1515870810, -1010580540  # with 2 integer bits


def shift_up(x: int, exponent: int) -> int:
    """x · 2^exponent, saturated to int32 as gemmlowp does."""
    limit = (1 << (31 - exponent)) - 1
    if x > limit:
        return INT32_MAX
    return -(1 << 31) if x < -limit else x << exponent


def exp_on_negative_values(a: int, integer_bits: int) -> int:
    """exp(a) for a ≤ 0 with `integer_bits` (2 … 5) integer bits, as a value with none."""
    if a == 0:
        return INT32_MAX
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    reduced = (a & (quarter - 1)) - quarter  # in [−1/4, 0)
    result = _exp_on_last_quarter(shift_up(reduced, integer_bits))
    remainder = reduced - a
    for power, factor in zip(range(-2, integer_bits), _EXP_OF_MINUS_POWERS, strict=False):
        if remainder & (1 << (fraction_bits + power)):
            result = high_mul(result, factor)
    return result


def _exp_on_last_quarter(a: int) -> int:
    """exp(a) for a in [−1/4, 0) by a Taylor polynomial about −1/8."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4_over_4 = round_shift(high_mul(x2, x2), 2)
    rest = round_shift(high_mul(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return _EXP_OF_MINUS_ONE_EIGHTH + high_mul(_EXP_OF_MINUS_ONE_EIGHTH, x + rest)


def _reciprocal(a: int) -> tuple[int, int]:
    """2 / (1 + a) for a in [0, 1): (the value, one), both with 2 integer bits; Newton and Raphson."""
    half_denominator = (a + INT32_MAX + 1) // 2
    one = 1 << 29
    x = _48_OVER_17 + high_mul(half_denominator, _NEG_32_OVER_17)
    for _ in range(3):
        x += shift_up(high_mul(x, one - high_mul(half_denominator, x)), 2)
    return x, one


def logistic(a: int, integer_bits: int) -> int:
    """1 / (1 + exp(−a)), as a value without integer bits."""
    if a == 0:
        return 1 << 30
    x, _ = _reciprocal(exp_on_negative_values(-abs(a), integer_bits))
    positive = shift_up(x, 1)
    return positive if a > 0 else INT32_MAX - positive


def tanh(a: int, integer_bits: int) -> int:
    """tanh(a), as a value without integer bits; the same raw value with one more integer bit is 2a."""
    if a == 0:
        return 0
    x, one = _reciprocal(exp_on_negative_values(-abs(a), integer_bits + 1))
    magnitude = shift_up(x - one, 2)
    return magnitude if a > 0 else -magnitude


def input_radius(integer_bits: int, left_shift: int, signed_bits: int = 31) -> int:
    """The largest difference that a fixed-point input can express, as TensorFlow Lite's CalculateInputRadius."""
    return ((1 << integer_bits) - 1) * (1 << (signed_bits - integer_bits)) >> left_shift
