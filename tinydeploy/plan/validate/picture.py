"""Which byte of which value every byte of an arena holds, as runs of bytes that follow each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Picture:
    """The arena, byte by byte.

    Every byte of every value has a number of its own, its stamp; the bytes of one value are numbered in order. Along a
    run of an arena stamp and address rise together, so a run is kept as their difference; None is rubbish.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._edges = [0, size]  # run i is [edges[i], edges[i + 1])
        self._shifts: list[int | None] = [None]

    def copy(self) -> Picture:
        """Another picture of the same bytes."""
        other = Picture(self.size)
        other._edges, other._shifts = self._edges.copy(), self._shifts.copy()
        return other

    def write(self, start: int, end: int, stamp: int) -> None:
        """The bytes `[start, end)` now hold `stamp`, `stamp` + 1, …"""
        if start >= end:
            return
        edges, shifts = self._edges, self._shifts
        shift = stamp - start
        left = bisect_right(edges, start) - 1
        right = bisect_left(edges, end, left + 1)  # the runs from left to before right are written to
        before, behind = shifts[left], shifts[right - 1]
        new_edges: list[int] = [start]
        new_shifts: list[int | None] = [shift]
        if edges[left] < start:
            if before == shift:
                new_edges = [edges[left]]
            else:
                new_edges, new_shifts = [edges[left], start], [before, shift]
        elif left > 0 and shifts[left - 1] == shift:
            left -= 1
            new_edges = [edges[left]]
        if edges[right] > end:
            if behind != shift:
                new_edges.append(end)
                new_shifts.append(behind)
        elif right < len(shifts) and shifts[right] == shift:
            right += 1
        edges[left:right] = new_edges
        shifts[left:right] = new_shifts

    def differs(self, start: int, end: int, stamp: int) -> tuple[int, int | None] | None:
        """The first byte of `[start, end)` that does not hold `stamp`, `stamp` + 1, …, and the stamp that it holds
        (None: rubbish); None when all do."""
        if start >= end:
            return None
        edges, shifts = self._edges, self._shifts
        shift = stamp - start
        run = bisect_right(edges, start) - 1
        while edges[run] < end:
            found = shifts[run]
            if found != shift:
                at = max(edges[run], start)
                return at, None if found is None else found + at
            run += 1
        return None
