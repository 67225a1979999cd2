"""Ranges of addresses, `[begin, end)`: joined, and taken away from one another."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same addresses by rising address, overlaps and neighbours as one."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def less(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of `spans` is not in `taken`, by rising address; spans stay apart as they are."""
    without = sorted(taken)
    found = []
    for begin, end in sorted(spans):
        for low, high in without:
            if low < end and high > begin:
                if low > begin:
                    found.append((begin, low))
                begin = max(begin, high)
        if begin < end:
            found.append((begin, end))
    return found
