"""Offsets for bodies: things of several boxes that must keep their distance, each box in use at times of its own.

A whole tensor whose rows are given up one after the other is a body of one box a row; a ring of rows is a body of one
box a slot and row; a row that may lie anywhere is a body of one box. Two boxes may share bytes when they share no tick.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.types import ROW_ALIGNMENT
from tinydeploy.units import align_up

EFFORT = 300_000  # pairs of bodies that may be looked at in the search for an order: half a second in CPython


@dataclass(frozen=True)
class Box:
    """`bytes` at `offset` of a body, in use during ticks `[first, end)`.

    `over`: a group of boxes that end one tick after this one begins, over which it may lie if it does not begin
    behind them: results written over the elements that they are made from.
    """

    offset: int
    bytes: int
    first: int
    end: int
    group: int = -1
    over: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Body:
    """Boxes with fixed distances. `bytes` from its offset to its end; `key` is for the caller."""

    key: tuple[int, ...]
    boxes: tuple[Box, ...]

    @property
    def bytes(self) -> int:
        """From the first byte of the body to its last."""
        return max(box.offset + box.bytes for box in self.boxes)


@dataclass(frozen=True)
class Arrangement:
    """`offsets[i]` belongs to the i-th body; `bytes` is the highest end of a box."""

    offsets: tuple[int, ...]
    bytes: int


def lower_bound(bodies: Sequence[Body], ticks: int) -> int:
    """The most bytes in use at one tick, aligned; of boxes that may lie over each other the larger counts."""
    return align_up(max(live_bytes(bodies, ticks), default=0), ROW_ALIGNMENT)


def live_bytes(bodies: Sequence[Body], ticks: int) -> list[int]:
    """Bytes in use at each tick."""
    change = [0] * (ticks + 1)
    ending: dict[tuple[int, int], int] = {}
    for body in bodies:
        for box in body.boxes:
            change[box.first] += box.bytes
            change[box.end] -= box.bytes
            if box.group >= 0:
                at = (box.end - 1, box.group)
                ending[at] = ending.get(at, 0) + box.bytes
    live = list(accumulate(change[:ticks]))
    shared: dict[int, int] = {}
    for body in bodies:
        for box in body.boxes:
            for group in box.over:
                both = min(box.bytes, ending.get((box.first, group), 0))
                shared[box.first] = max(shared.get(box.first, 0), both)
    for tick, both in shared.items():
        live[tick] -= both
    return live


def arrange(bodies: Sequence[Body], bound: int, *, effort: int = EFFORT, budget: Budget = USUAL) -> Arrangement:
    """Offsets for the bodies, the arena as small as is found; ends at once when it is `bound`."""
    if not bodies:
        return Arrangement((), 0)
    space = Space(bodies)
    effort = budget.scaled(effort)
    best: Arrangement | None = None
    best_order: list[int] = []
    for order in orders(bodies):
        found = space.place(order, None if best is None else best.bytes)
        effort -= space.meetings
        if found is not None and (best is None or found.bytes < best.bytes):
            best, best_order = found, order
            if best.bytes <= bound:
                return best
    assert best is not None
    return _improve(space, best, best_order, bound, effort, budget)


def stack(arrangement: Arrangement, bodies: Sequence[Body]) -> Arrangement:
    """The arrangement with more bodies behind it, one behind the other."""
    offsets, top = list(arrangement.offsets), arrangement.bytes
    for body in bodies:
        offsets.append(top)
        top = align_up(top + body.bytes, ROW_ALIGNMENT)
    return Arrangement(tuple(offsets), top)


def orders(bodies: Sequence[Body]) -> list[list[int]]:
    size = [b.bytes for b in bodies]
    first = [min(x.first for x in b.boxes) for b in bodies]
    end = [max(x.end for x in b.boxes) for b in bodies]
    area = [sum(x.bytes * (x.end - x.first) for x in b.boxes) for b in bodies]
    several = [len(b.boxes) > 1 for b in bodies]
    live = live_bytes(bodies, max(end))
    crowd = [max(live[begun:ended], default=0) for begun, ended in zip(first, end, strict=True)]
    indices = range(len(bodies))
    found = [
        sorted(indices, key=lambda i: (-crowd[i], -size[i], first[i], i)),
        sorted(indices, key=lambda i: (-several[i], -crowd[i], -area[i], first[i], i)),
        sorted(indices, key=lambda i: (-size[i], first[i], i)),
        sorted(indices, key=lambda i: (-several[i], -size[i], first[i], i)),
        sorted(indices, key=lambda i: (-several[i], -area[i] if several[i] else 0, first[i], -size[i], i)),
        sorted(indices, key=lambda i: (-area[i], first[i], i)),
        sorted(indices, key=lambda i: (first[i] - end[i], -size[i], first[i], i)),
        sorted(indices, key=lambda i: (first[i], -size[i], i)),
    ]
    return [list(o) for o in dict.fromkeys(tuple(o) for o in found)]


def _improve(space: Space, best: Arrangement, order: list[int], bound: int, effort: int, budget: Budget) -> Arrangement:
    """Local search over orders: what sticks out at the top comes earlier."""
    source = random.Random(0)
    current, current_order = best, order
    count = len(order)
    while effort > 0 and not budget.expired and best.bytes > bound and count > 1:
        trial = list(current_order)
        tops = space.tops(current)
        moved = source.choice(tops)
        at = trial.index(moved)
        trial.insert(source.randrange(at + 1), trial.pop(at))
        if source.random() < 0.3:
            i, j = source.randrange(count), source.randrange(count)
            trial[i], trial[j] = trial[j], trial[i]
        found = space.place(trial, current.bytes + max(ROW_ALIGNMENT, current.bytes // 50))
        effort -= space.meetings
        if found is not None and (found.bytes <= current.bytes or source.random() < 0.05):
            current, current_order = found, trial
            if found.bytes < best.bytes:
                best = found
    return best


class Space:
    """The boxes as arrays, and placement of bodies in any order, each as low as it goes."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self.bodies = bodies
        self.sizes = [body.bytes for body in bodies]
        self.near = _conflicts(bodies)
        self.meetings = 10 * len(bodies) + sum(len(spans) for met in self.near for _, spans in met)

    def tops(self, arrangement: Arrangement) -> list[int]:
        """Bodies that reach the end of the arena."""
        ends = [at + size for at, size in zip(arrangement.offsets, self.sizes, strict=True)]
        return [b for b, end in enumerate(ends) if end == max(ends)]

    def place(self, order: Sequence[int], limit: int | None) -> Arrangement | None:
        """Each body in turn at the lowest offset that is free; None once the arena reaches the limit."""
        offsets = [-1] * len(self.bodies)
        top = 0
        for b in order:
            offsets[b] = at = self.lowest(b, offsets, 0)
            if at + self.sizes[b] > top:
                top = at + self.sizes[b]
                if limit is not None and top >= limit:
                    return None
        return Arrangement(tuple(offsets), align_up(top, ROW_ALIGNMENT))

    def lowest(self, b: int, offsets: Sequence[int], floor: int) -> int:
        """The lowest offset from `floor` on at which a body is clear of those that have one; -1 says none yet."""
        taken = []
        for c, spans in self.near[b]:
            at = offsets[c]
            if at >= 0:
                taken += [(at + low, at + high) for low, high in spans]
        taken.sort()
        at = floor
        for low, high in taken:
            if at <= low:
                break
            if high > at:
                at = align_up(high, ROW_ALIGNMENT)
        return at


Near = list[list[tuple[int, list[tuple[int, int]]]]]


def _conflicts(bodies: Sequence[Body]) -> Near:
    """For each body b and other body c: open intervals of offset(b) − offset(c) at which boxes of both would meet."""
    by_pair: list[dict[int, list[tuple[int, int]]]] = [{} for _ in bodies]
    staircase = [_is_staircase(body) for body in bodies]
    boxes = [(c, box) for c, body in enumerate(bodies) for box in body.boxes]
    alive: dict[int, deque[Box]] = {}
    for c, box in sorted(boxes, key=lambda each: (each[1].first, each[0])):
        ended = []
        for b, others in alive.items():
            while others and others[0].end <= box.first:
                others.popleft()
            if not staircase[b]:
                others = alive[b] = deque(other for other in others if other.end > box.first)
            if not others:
                ended.append(b)
                continue
            if b == c:
                continue
            # the distance of the box's body from the other's, at which a box of each would begin together
            spans = by_pair[c].setdefault(b, [])
            if staircase[b] and not (box.over and any(other.group in box.over for other in others)):
                last = others[-1]
                spans.append((others[0].offset - box.offset - box.bytes, last.offset + last.bytes - box.offset))
                continue
            for other in others:
                distance = other.offset - box.offset
                low = distance - box.bytes
                if other.end == box.first + 1 and other.group >= 0 and other.group in box.over:
                    low = distance  # it may begin before the other, or with it
                spans.append((low, distance + other.bytes))
        for b in ended:
            del alive[b]
        alive.setdefault(c, deque()).append(box)
    near: Near = [[] for _ in bodies]
    for c, met in enumerate(by_pair):
        for b, spans in met.items():
            if spans:
                merged = _merged(spans)
                near[c].append((b, merged))
                near[b].append((c, [(-high, -low) for low, high in reversed(merged)]))
    return near


def _is_staircase(body: Body) -> bool:
    """Whether its boxes follow one another without gaps and end in the order in which they begin: those in use at one
    tick are a run of bytes."""
    return all(
        a.offset + a.bytes == b.offset and a.first <= b.first and a.end <= b.end for a, b in pairwise(body.boxes)
    )


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    found = [spans[0]]
    for low, high in spans[1:]:
        if low < found[-1][1]:
            if high > found[-1][1]:
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found
