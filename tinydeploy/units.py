"""Units and small arithmetic that every layer shares. Bytes are integers; people see KiB (1024)."""

from __future__ import annotations

KIB = 1024


def align_up(value: int, alignment: int) -> int:
    """The least multiple of `alignment` (a power of two) that is not below `value`."""
    return (value + alignment - 1) & ~(alignment - 1)


def kib(value: int) -> str:
    """`value` bytes for people: `55,296 B` below 1 KiB stays in bytes, above it reads `54.0 KiB`."""
    if abs(value) < KIB:
        return f"{value} B"
    if abs(value) < KIB * KIB:
        return f"{value / KIB:.1f} KiB"
    return f"{value / (KIB * KIB):.2f} MiB"


def count(value: float) -> str:
    """A count for people: 7.49 M, 264 k, 12."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {suffix}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
