"""What is placed, as rectangles of time and bytes, and the same as the arrays that the searches work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd

from tinydeploy.plan.types import Buffer


@dataclass(frozen=True)
class Gap:
    """Times `[lower, upper)` of a rectangle's life in which it uses less: only bytes `[low, high)` counted from its
    offset, with `window = (low, high)`, or nothing at all, without."""

    lower: int
    upper: int
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class Rectangle:
    """`size` bytes during times `[lower, upper)`, at an offset that is a multiple of `alignment` (any number from 1).

    Times are integers of any unit. Gaps lie within the life, in order, and do not overlap.
    Raises ValueError for anything else.
    """

    id: str
    lower: int
    upper: int
    size: int
    alignment: int = 1
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.lower < self.upper:
            raise ValueError(f"its life [{self.lower}, {self.upper}) is empty")
        if self.size < 0 or self.alignment < 1:
            raise ValueError("a size is at least 0 and an alignment at least 1")
        at = self.lower
        for gap in self.gaps:
            if not at <= gap.lower < gap.upper <= self.upper:
                raise ValueError(f"gap {gap.lower}-{gap.upper} is empty, outside its life, or not after the one before")
            if gap.window is not None and not 0 <= gap.window[0] <= gap.window[1] <= self.size:
                raise ValueError(f"window {gap.window[0]}:{gap.window[1]} is not within its {self.size} bytes")
            at = gap.upper

    @property
    def pieces(self) -> tuple[tuple[int, int, int, int], ...]:
        """The life as `(from, to, low, high)`, in order: bytes `[low, high)` from the offset are used then."""
        found = []
        at = self.lower
        for gap in self.gaps:
            found.append((at, gap.lower, 0, self.size))
            found.append((gap.lower, gap.upper, *(gap.window or (0, 0))))
            at = gap.upper
        found.append((at, self.upper, 0, self.size))
        return tuple(piece for piece in found if piece[0] < piece[1])


def pieces_of(item: Buffer | Rectangle) -> tuple[tuple[int, int, int, int], ...]:
    """A life as `(from, to, low, high)`; a buffer's bytes are aligned ones, and in use from its offset on."""
    if isinstance(item, Rectangle):
        return item.pieces
    return tuple((first, end, 0, size) for first, end, size in item.pieces)


def aligned(value: int, alignment: int) -> int:
    """The least multiple of `alignment` that is not below `value`; unlike `units.align_up` for any alignment."""
    return -(-value // alignment) * alignment


class Shape:
    """The instance as arrays, by number. Time is in sections, between two moments at which something begins or ends.

    `pieces[b]` are `(from section, to section, low, high)` with bytes in use. `near[b]` lists `(c, below, above)` for
    each c that meets b: c may lie at `offset(b) + below` or higher, or at `offset(b) − above` or lower. Usually
    `below` is b's size and `above` is c's; with gaps they are what the sections that both use need.
    `unit` divides every offset at which something that rests on others can lie, and so every arena worth a look.
    `exact`: what `near` says is all there is to say. Where windows begin above 0 two rectangles can also interlock,
    one above the other in one section and below it in another, which no search here tries.
    """

    def __init__(self, items: Sequence[Buffer | Rectangle]) -> None:
        everything = [pieces_of(item) for item in items]
        times = sorted({t for pieces in everything for left, right, _, _ in pieces for t in (left, right)})
        section = {t: i for i, t in enumerate(times)}
        self.count = len(items)
        self.sections = max(0, len(times) - 1)
        self.size = [item.size if isinstance(item, Rectangle) else item.aligned_bytes for item in items]
        self.alignment = [item.alignment for item in items]
        self.pieces = [
            tuple((section[left], section[right], low, high) for left, right, low, high in pieces if high > low)
            for pieces in everything
        ]
        self.first = [pieces[0][0] if pieces else 0 for pieces in self.pieces]
        self.end = [pieces[-1][1] if pieces else 0 for pieces in self.pieces]
        self.exact = all(low == 0 for pieces in self.pieces for _, _, low, _ in pieces)
        self.live = [0] * self.sections
        for pieces in self.pieces:
            for left, right, low, high in pieces:
                for s in range(left, right):
                    self.live[s] += high - low
        self.bound = max([0, *self.live, *self.size])
        self.unit = self._unit()
        self.near: list[list[tuple[int, int, int]]] = [[] for _ in items]
        alive: list[int] = []
        for b in sorted((i for i in range(self.count) if self.pieces[i]), key=lambda i: (self.first[i], i)):
            alive = [c for c in alive if self.end[c] > self.first[b]]
            for c in alive:
                met = self._meet(b, c)
                if met is not None:
                    below, above = met
                    self.near[b].append((c, below, above))
                    self.near[c].append((b, above, below))
            alive.append(b)

    def _unit(self) -> int:
        grain = max(1, gcd(*(edge for pieces in self.pieces for _, _, low, high in pieces for edge in (low, high))))
        return grain if all(grain % a == 0 for a in self.alignment) else gcd(grain, *self.alignment)

    def _meet(self, b: int, c: int) -> tuple[int, int] | None:
        """How far c must lie above b and b above c; None when they never use bytes in one section."""
        if len(self.pieces[b]) == 1 == len(self.pieces[c]) and self.exact:  # nearly always
            return self.pieces[b][0][3], self.pieces[c][0][3]
        shared = [
            (high - other_low, other_high - low)
            for left, right, low, high in self.pieces[b]
            for other_left, other_right, other_low, other_high in self.pieces[c]
            if left < other_right and other_left < right
        ]
        return (max(below for below, _ in shared), max(above for _, above in shared)) if shared else None

    def height(self, offsets: Sequence[int]) -> int:
        """The arena that these offsets need."""
        return max((offset + size for offset, size in zip(offsets, self.size, strict=True)), default=0)

    def parts(self) -> list[list[int]]:
        """The numbers of what shares no section with anything else's, apart; what uses nothing is in none."""
        parts: list[list[int]] = []
        reach = 0
        for b in sorted((i for i in range(self.count) if self.pieces[i]), key=lambda i: (self.first[i], i)):
            if self.first[b] >= reach or not parts:
                parts.append([])
            parts[-1].append(b)
            reach = max(reach, self.end[b])
        return parts

    def crowding(self) -> list[int]:
        """For each number, the most bytes alive in a section of its life."""
        return [max(self.live[first:end], default=0) for first, end in zip(self.first, self.end, strict=True)]


def never() -> bool:
    """The limit of a search that has none but its visits."""
    return False


Stop = Callable[[], bool]
"""Asked now and then by a search whether to end: a clock, which nothing below the command line reads by itself."""
