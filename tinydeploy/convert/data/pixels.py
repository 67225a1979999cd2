"""What 8-bit pixels become for a model: `LOW..HIGH` as it is written, and the value of each of the 256."""

from __future__ import annotations

import re
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tinydeploy.convert.types import Pixels
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

_NUMBER = r"([+-]?(?:\d{1,20}(?:\.\d{1,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?)"
_RANGE = re.compile(rf"\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*", re.ASCII)
_MOST = 1e6  # more is a slip of the hand


def parse_pixels(text: str) -> Pixels:
    """The range from `0..1`, `-1..1` or `0..255`; `1..0` has white become 0. Raises UsageError for all else."""
    found = _RANGE.fullmatch(text)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if low == high or not (isfinite(low) and isfinite(high)) or max(abs(low), abs(high)) > _MOST:
        raise UsageError(
            f"'{printable(text)}' does not say what pixels become",
            hint="LOW..HIGH, what pixels of 0 and 255 become for the model: 0..1, -1..1 or 0..255, as in training",
        )
    return Pixels(low, high)


def pixel_values(pixels: Pixels) -> NDArray[np.float32]:
    """What each pixel becomes, 256 values in proportion between `low` and `high`: computed in double precision and
    rounded once."""
    share = np.arange(256, dtype=np.float64) / 255.0
    return (pixels.low * (1.0 - share) + pixels.high * share).astype(np.float32)
