"""`line_of`: quantizing 16-bit samples by a multiplication in integers, exactly as by a division of floats.

What the 65,536 samples become rises with them in steps, and in nearly every quantization there is a straight line in
whole numbers that takes each step where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import Quantization
from tinydeploy.operators.quantization import affine_quantize

Array = NDArray[Any]

_SAMPLES = np.arange(-32768, 32768)
_LAST = 65535
_SUM_BITS = 48  # so that C can leave the lower 16 out of a sum of two products in 32 bits
_SHIFTS = range(40, 17, -1)  # what is left behind them fits an int32_t


@dataclass(frozen=True)
class Line:
    """A sample x becomes `base` + ((x + 32768) · `factor` + `offset`) / 2^`shift`, rounded down, then saturated.

    The sum is below 2^48; `factor` < 2^32, `offset` < 2^`shift`, 18 <= `shift` <= 40.
    """

    base: int
    factor: int
    offset: int
    shift: int

    def values(self, limits: tuple[int, int]) -> Array:
        """What each sample becomes, from -32768 on."""
        steps = ((_SAMPLES + 32768) * self.factor + self.offset) >> self.shift
        return (self.base + steps).clip(*limits)


@dataclass(frozen=True)
class _Bounds:
    """A line must be at or above `steps[i]` where x + 32768 is `at[i]`, and below `ends[i]` where it is `before[i]`."""

    at: Array
    steps: Array
    before: Array
    ends: Array

    def offsets(self, factor: int, shift: int) -> tuple[int, int]:
        """The least and the greatest offset with which a line keeps to them; their distance is concave in `factor`."""
        least = ((self.steps << shift) - self.at * factor).max()
        return int(least), int(((self.ends << shift) - self.before * factor).min()) - 1

    def room(self, factor: int, shift: int) -> int:
        """For the offset."""
        least, greatest = self.offsets(factor, shift)
        return greatest - least


@lru_cache(16)
def line_of(quantization: Quantization, limits: tuple[int, int]) -> Line | None:
    """The line that makes of every sample x what `affine_quantize` makes of x / 32768, or None where there is none.

    `limits`: of the type, lowest and highest.
    """
    exact = affine_quantize(_SAMPLES.astype(np.float32) / np.float32(32768), quantization, limits)
    bounds = _bounds(exact, limits)
    for shift in _SHIFTS:
        line = _line(bounds, shift)
        if line is not None and np.array_equal(line.values(limits), exact):
            return line
    return None


def _bounds(exact: Array, limits: tuple[int, int]) -> _Bounds:
    """Of every step, and of the first and last sample where saturation does not see to them."""
    steps = np.arange(exact[0] + 1, exact[-1] + 1)
    first = np.searchsorted(exact, steps)  # that comes to the step
    at, above, before, ends = first, steps, first - 1, steps
    if exact[0] != limits[0] or not steps.size:
        at, above = np.append(at, 0), np.append(above, exact[0])
    if exact[-1] != limits[1] or not steps.size:
        before, ends = np.append(before, _LAST), np.append(ends, exact[-1] + 1)
    return _Bounds(at, above, before, ends)


def _line(bounds: _Bounds, shift: int) -> Line | None:
    """The one with the factor that leaves the offset most room."""
    factor, high = 0, (1 << _SUM_BITS - 16) - 1
    while factor < high:
        middle = (factor + high) // 2
        if bounds.room(middle + 1, shift) > bounds.room(middle, shift):
            factor = middle + 1
        else:
            high = middle
    least, greatest = bounds.offsets(factor, shift)
    base, offset = divmod(least, 1 << shift)
    if least > greatest or _LAST * factor + offset >= 1 << _SUM_BITS:
        return None
    return Line(base, factor, offset, shift)
