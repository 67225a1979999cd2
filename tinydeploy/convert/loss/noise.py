"""Signal to quantization noise: how much of a float tensor the int8 model keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10

import numpy as np

from tinydeploy.convert.types import Array


@dataclass
class Noise:
    """Sums of squares of the float values and of what the int8 values are off, over what was added."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, truth: Array, found: Array) -> None:
        """Add a tensor's values as the float model has them and as the int8 model has them."""
        exact = truth.astype(np.float64).ravel()
        off = exact - found.astype(np.float64).ravel()
        self.signal += float(np.dot(exact, exact))
        self.noise += float(np.dot(off, off))

    @property
    def sqnr_db(self) -> float | None:
        """10·log10(signal / noise) in dB; None without signal or without noise."""
        return 10 * log10(self.signal / self.noise) if self.signal > 0 and self.noise > 0 else None

    @classmethod
    def together(cls, parts: Iterable[Noise]) -> Noise:
        """That of several tensors."""
        each = tuple(parts)
        return cls(sum(part.signal for part in each), sum(part.noise for part in each))
