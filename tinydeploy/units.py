"""Units and small arithmetic that every layer shares. Bytes are integers; people see KiB (1024)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from tinydeploy.errors import UsageError

KIB = 1024

_QUANTITY = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)(\.[0-9]+)?\s*([A-Za-z\u00b5\u03bc]*)", re.ASCII)
_MOST_CHARACTERS = 32
_MOST = 1 << 50  # of bytes or of anything counted: more than that is a slip of the hand
_BYTES = {"": 1, "b": 1, "k": KIB, "kib": KIB, "m": KIB**2, "mib": KIB**2, "g": KIB**3, "gib": KIB**3}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_MICROSECONDS = {"us": 1, "\u00b5s": 1, "\u03bcs": 1, "ms": 10**3, "s": 10**6}


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


def parse_bytes(text: str | int) -> int:
    """Bytes from `8192`, `8_192`, `8,192`, `8K`, `8 KiB` or `1.5 MiB`: K and KiB are 1024, M and MiB 1024 KiB.

    Raises `UsageError` for all else: KB too, which is 1000 bytes to some and 1024 to others.
    """
    return _whole(text, _BYTES, "a size", "a number of bytes, or with K or KiB (1024 bytes), M or MiB: 8192, 8K, 8 KiB")


def parse_count(text: str | int) -> int:
    """A count from `8000000`, `8_000_000`, `8,000,000`, `8M` or `7.5 M`: k, M and G are powers of 1000.

    Raises `UsageError` for all else.
    """
    return _whole(text, _COUNTS, "a count", "a number, or with k, M or G (powers of 1000): 8000000, 8,000,000, 8M")


def parse_milliseconds(text: str) -> float:
    """Milliseconds from `30 ms`, `1.5 s` or `800 us`. Raises `UsageError` for all else, a number alone included."""
    hint = "a number with its unit, us, ms or s: 30 ms"
    return float(_quantity(text, _MICROSECONDS, "a time", hint) / 1000)


def _whole(text: str | int, units: Mapping[str, int], what: str, hint: str) -> int:
    value = _quantity(text, units, what, hint)
    if value != int(value):
        raise UsageError(f"{ascii(text)[:60]} is not {what}: it comes to a fraction", hint=hint)
    return int(value)


def _quantity(text: str | int, units: Mapping[str, int], what: str, hint: str) -> Decimal:
    shown = str(text).strip() if isinstance(text, str | int) and not isinstance(text, bool) else ""
    match = _QUANTITY.fullmatch(shown[: _MOST_CHARACTERS + 1])
    factor = units.get(match[3].lower()) if match is not None else None
    if match is None or factor is None or len(shown) > _MOST_CHARACTERS:
        raise UsageError(f"{ascii(text)[:60]} is not {what}", hint=hint)
    value = Decimal(match[1].replace(",", "").replace("_", "") + (match[2] or "")) * factor
    if value > _MOST:
        raise UsageError(f"{ascii(text)[:60]} is not {what}: nothing is so large", hint=hint)
    return value
