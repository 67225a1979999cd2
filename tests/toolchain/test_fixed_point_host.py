"""The runtime's fixed-point arithmetic in C against big integers, over corner cases."""

from __future__ import annotations

import subprocess
from itertools import product
from pathlib import Path

import numpy as np

from tests.support.host_kernels import SANITIZERS, WARNINGS, host_compiler
from tinydeploy.operators.fixed_point import high_mul, requantize, round_shift
from tinydeploy.resources import firmware_dir

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
VALUES = sorted(
    {
        sign * ((1 << bit) + near)
        for bit in range(31)
        for near in (-2, -1, 0, 1, 2)
        for sign in (-1, 1)
        if abs((1 << bit) + near) <= INT32_MAX
    }
    | {INT32_MIN, INT32_MIN + 1, INT32_MAX, INT32_MAX - 1}
    | {int(v) for v in np.random.default_rng(7).integers(INT32_MIN, INT32_MAX, size=40)}
)
MULTIPLIERS = (0, 1 << 30, (1 << 30) + 1, 1518500250, 0x7FFF0000, INT32_MAX - 1, INT32_MAX, 1, 12345)
SHIFTS = (-31, -30, -16, -2, -1, 0, 1, 2, 7, 16, 29, 30)

PROGRAM = """\
#include <stdio.h>
#include "td_runtime.h"
#include "td_pairs.h"
int main(void)
{
    int32_t given[3];
    while (fread(given, sizeof given, 1, stdin) == 1) {
        const int32_t x = given[0], m = given[1], s = given[2];
        const int32_t found[4] = {
            td_high_mul(x, m), s < 0 && x > -INT32_MAX && x < INT32_MAX ? td_round_shift(x, -s) : 0,
            td_requantize(x, m, s), td_high_word(x, m),
        };
        fwrite(found, sizeof found, 1, stdout);
    }
    return 0;
}
"""


def gemmlowp_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul as gemmlowp writes it: a nudge by sign, then a division towards zero."""
    if a == b == INT32_MIN:
        return INT32_MAX
    total = a * b + ((1 << 30) if a * b >= 0 else 1 - (1 << 30))
    return abs(total) // (1 << 31) * (1 if total >= 0 else -1)


def test_the_shorter_high_product_is_gemmlowps() -> None:
    for a, b in product(VALUES, (*VALUES[::7], *MULTIPLIERS)):
        assert high_mul(a, b) == gemmlowp_high_mul(a, b), (a, b)


def test_rounding_shift_is_to_nearest_halves_away_from_zero() -> None:
    for x, exponent in product(VALUES, range(32)):
        whole, rest = divmod(abs(x), 1 << exponent)
        nearest = whole + (1 if 2 * rest >= 1 << exponent else 0)
        assert round_shift(x, exponent) == (nearest if x >= 0 else -nearest), (x, exponent)


def test_c_computes_what_big_integers_say(tmp_path: Path) -> None:
    source, binary = tmp_path / "fixed.c", tmp_path / "fixed"
    source.write_text(PROGRAM)
    includes = [f"-I{firmware_dir() / d}" for d in ("include", "kernels")]
    subprocess.run([host_compiler(), *WARNINGS, *SANITIZERS, *includes, str(source), "-o", str(binary)], check=True)
    given = list(product(VALUES, MULTIPLIERS, SHIFTS))
    done = subprocess.run([str(binary)], input=np.array(given, "<i4").tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, "<i4").reshape(-1, 4).tolist()
    for (x, m, s), (high, shifted, requantized, word) in zip(given, found, strict=True):
        assert high == high_mul(x, m), (x, m)
        assert shifted == (round_shift(x, -s) if s < 0 and abs(x) < INT32_MAX else 0), (x, s)
        assert requantized == requantize(x, m, s), (x, m, s)
        assert word == (x * m + (1 << 31)) >> 32, (x, m)
