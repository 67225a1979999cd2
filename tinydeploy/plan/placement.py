"""Offsets for buffers: greedy orders, a local search, and an exact search that can prove that nothing is smaller.

Everything is deterministic: effort is counted in visits, never in seconds. Sizes are aligned bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import gcd

from tinydeploy.plan.types import Buffer, Proof
from tinydeploy.units import align_up

LOCAL_VISITS = 1_000_000  # pairs of buffers looked at by the local search: under a second in CPython
EXACT_VISITS = 8_000_000  # the same for the exact search, where a visit is a buffer at one step
MAX_DEPTH = 600  # of the exact search, below Python's own limit


@dataclass(frozen=True)
class Placed:
    """`offsets[i]` belongs to the i-th buffer given; `arena_bytes` is the highest end of a buffer, aligned."""

    offsets: tuple[int, ...]
    arena_bytes: int
    proof: Proof


def place(buffers: Sequence[Buffer], *, local_visits: int = LOCAL_VISITS, exact_visits: int = EXACT_VISITS) -> Placed:
    """Place the buffers into one arena, as small as can be found with the given effort.

    Two buffers that live at one step never overlap at it; each offset is a multiple of its buffer's alignment.
    The lower bound is the most bytes alive at one step. `proof.optimal` is set only when the arena equals it, or
    when the exact search has finished without finding anything smaller.
    """
    shape = Shape(buffers)
    bound = lower_bound(buffers)
    best: list[int] | None = None
    for order in _orders(shape):
        for tried in (_greedy(shape, order), _from_both_ends(shape, order, bound)):
            if best is None or shape.height(tried) < shape.height(best):
                best = tried
            if shape.height(best) == bound:
                return _placed(shape, best, bound, "greedy placement meets the lower bound")
    assert best is not None  # there is always an order
    # small instances are settled by the exact search at once; hard ones profit from a better start
    by_crowding, by_time = _rankings(shape)
    best, finished = _search(shape, best, bound, by_crowding, exact_visits // 8)
    if not finished:
        best, finished = _search(shape, best, bound, by_time, exact_visits // 4)
    if not finished:
        best = _improve(shape, best, bound, local_visits)
        if shape.height(best) == bound:
            return _placed(shape, best, bound, "local search meets the lower bound")
        best, finished = _search(shape, best, bound, by_crowding, exact_visits)
    if shape.height(best) == bound:
        return _placed(shape, best, bound, "exact search meets the lower bound")
    if finished:
        return _placed(shape, best, bound, "exact search finished: nothing smaller exists", exhaustive=True)
    return _placed(shape, best, bound, "best found; the exact search did not finish")


def lower_bound(buffers: Iterable[Buffer]) -> int:
    """The most aligned bytes alive at one step: no arena can be smaller."""
    return max(live_bytes(buffers).values(), default=0)


def live_bytes(buffers: Iterable[Buffer]) -> dict[int, int]:
    """Aligned bytes alive from each step at which they change, by step, in order."""
    change: dict[int, int] = {}
    for buffer in buffers:
        for first, end, size in buffer.pieces:
            change[first] = change.get(first, 0) + size
            change[end] = change.get(end, 0) - size
    alive = 0
    result = {}
    for step in sorted(change):
        alive += change[step]
        result[step] = alive
    return result


def _rankings(shape: Shape) -> tuple[list[int], list[int]]:
    """Two orders in which the exact search tries what could lie equally low; each is quick where the other is lost."""
    crowd = _crowding(shape)
    everything = range(shape.count)
    by_crowding = sorted(
        everything, key=lambda b: (-crowd[b], shape.first[b] - shape.end[b], -shape.size[b], shape.first[b], b)
    )
    by_time = sorted(everything, key=lambda b: (shape.first[b], -shape.size[b], b))
    return by_crowding, by_time


def _search(shape: Shape, best: list[int], bound: int, ranking: list[int], visits: int) -> tuple[list[int], bool]:
    """The exact search: first for the lower bound, then below what there is; and whether it came to its end."""
    search = _Exact(shape, ranking, visits)
    found = search.solve(bound)
    if found is not None:
        return found, True
    while not search.exhausted:
        found = search.solve(shape.height(best) - shape.unit)
        if found is None:
            break
        best = found
    return best, not search.exhausted


def _placed(shape: Shape, offsets: list[int], bound: int, method: str, *, exhaustive: bool = False) -> Placed:
    arena = shape.height(offsets)
    optimal = arena == bound or exhaustive
    return Placed(tuple(offsets), arena, Proof(bound, optimal, method, exhaustive and arena > bound))


class Shape:
    """The instance as arrays. `near[b]` lists `(c, below, above)` for each c that shares a step with b:
    c may lie at `offset(b) + below` or higher, or at `offset(b) − above` or lower.

    Usually `below` is b's size and `above` is c's; with profiles they are the largest sizes over the shared steps.
    `unit` divides every offset at which a buffer that rests on others can lie, and so every arena worth a look.
    """

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self.count = len(buffers)
        self.size = [b.aligned_bytes for b in buffers]
        self.first = [b.first for b in buffers]
        self.end = [b.end for b in buffers]
        self.alignment = [b.alignment for b in buffers]
        self.pieces = [b.pieces for b in buffers]
        grain = max(1, gcd(*(size for p in self.pieces for _, _, size in p)))
        aligned = all(grain % alignment == 0 for alignment in self.alignment)
        self.unit = grain if aligned else gcd(grain, *self.alignment)
        self.near: list[list[tuple[int, int, int]]] = [[] for _ in buffers]
        alive: list[int] = []
        for b in sorted((i for i in range(self.count) if self.size[i]), key=lambda i: (self.first[i], i)):
            alive = [c for c in alive if self.end[c] > self.first[b]]
            for c in alive:
                below, above = self._heights(b, c)
                if below and above:
                    self.near[b].append((c, below, above))
                    self.near[c].append((b, above, below))
            alive.append(b)

    def _heights(self, b: int, c: int) -> tuple[int, int]:
        """The largest sizes of b and c over the steps that both live in."""
        first, end = max(self.first[b], self.first[c]), min(self.end[b], self.end[c])
        tops = [
            max((size for left, right, size in self.pieces[i] if left < end and right > first), default=0)
            for i in (b, c)
        ]
        return tops[0], tops[1]

    def height(self, offsets: Sequence[int]) -> int:
        """The arena that these offsets need."""
        return max((offset + size for offset, size in zip(offsets, self.size, strict=True)), default=0)


def _orders(shape: Shape) -> Iterable[list[int]]:
    """Orders in which a greedy placement does well, each with a stable tie-break."""
    crowd = _crowding(shape)
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda b: (-shape.size[b], shape.first[b]),  # large ones first: TensorFlow Lite Micro's order
        lambda b: (-crowd[b], -shape.size[b], shape.first[b]),
        lambda b: (-shape.size[b] * (shape.end[b] - shape.first[b]), shape.first[b]),
        lambda b: (shape.first[b], -shape.size[b]),
        lambda b: (-shape.end[b], -shape.size[b]),
        lambda b: (shape.first[b] - shape.end[b], -shape.size[b]),
        lambda b: (-crowd[b], shape.first[b] - shape.end[b], -shape.size[b]),
    )
    for key in keys:
        yield sorted(range(shape.count), key=lambda b: (*key(b), b))


def _crowding(shape: Shape) -> list[int]:
    """For each buffer, the most bytes alive at a step of its life."""
    times = sorted({t for pieces in shape.pieces for left, right, _ in pieces for t in (left, right)})
    slot = {t: i for i, t in enumerate(times)}
    alive = [0] * len(times)
    for pieces in shape.pieces:
        for left, right, size in pieces:
            for i in range(slot[left], slot[right]):
                alive[i] += size
    return [max(alive[slot[first] : slot[end]], default=0) for first, end in zip(shape.first, shape.end, strict=True)]


def _greedy(shape: Shape, order: Sequence[int]) -> list[int]:
    """Each buffer in turn at the lowest offset that its placed neighbours leave free."""
    offsets = [-1] * shape.count
    for b in order:
        offsets[b] = _lowest(_taken(shape, offsets, b), shape.alignment[b])
    return offsets


def _taken(shape: Shape, offsets: Sequence[int], b: int) -> list[tuple[int, int]]:
    """Where b cannot lie because of what is placed (offset not negative): open intervals of offsets, sorted."""
    return sorted((offsets[c] - below, offsets[c] + above) for c, below, above in shape.near[b] if offsets[c] >= 0)


def _lowest(taken: Iterable[tuple[int, int]], alignment: int) -> int:
    """The lowest aligned offset in none of the sorted intervals."""
    at = 0
    for low, high in taken:
        if at <= low:
            break
        if high > at:
            at = align_up(high, alignment)
    return at


def _from_both_ends(shape: Shape, order: Sequence[int], capacity: int) -> list[int]:
    """Each buffer in turn at the bottom of the arena or against its top, whichever is free; else as in `_greedy`.

    A chain, in which each buffer meets only the one before and the one after, always comes out perfect.
    """
    offsets = [-1] * shape.count
    for b in order:
        alignment = shape.alignment[b]
        taken = _taken(shape, offsets, b)
        at = _lowest(taken, alignment)
        top = (capacity - shape.size[b]) // alignment * alignment
        if at > 0 and all(top <= low or top >= high for low, high in taken):
            at = top
        offsets[b] = at
    return offsets


def _improve(shape: Shape, start: list[int], bound: int, visits: int) -> list[int]:
    """Local search over orders: what sticks out at the top is placed earlier, with some fixed random disturbance.

    An order that places by rising offset reproduces a placement or a lower one, so the search starts from that.
    """
    if not shape.count:
        return start
    source = random.Random(0)
    best = start
    best_height = shape.height(best)
    order = sorted(range(shape.count), key=lambda b: (best[b], b))
    current, current_height = best, best_height
    cost = 10 * shape.count + sum(len(n) for n in shape.near)
    while visits > 0 and best_height > bound:
        visits -= cost
        trial = list(order)
        tops = [b for b in range(shape.count) if current[b] + shape.size[b] == current_height]
        moved = source.choice(tops)
        at = trial.index(moved)
        trial.insert(source.randrange(at + 1), trial.pop(at))
        if source.random() < 0.5:
            i, j = source.randrange(shape.count), source.randrange(shape.count)
            trial[i], trial[j] = trial[j], trial[i]
        offsets = _greedy(shape, trial)
        height = shape.height(offsets)
        # a slightly worse order is kept now and then, or the search ends in the first local minimum
        if height <= current_height or source.random() < 0.02:
            order, current, current_height = trial, offsets, height
        if height < best_height:
            best, best_height = offsets, height
    return best


class _Exact:
    """Depth-first search for a placement within a capacity, complete unless the visits run out.

    Some best placement has every buffer either at 0 or resting on another, so it can be built by rising offset, each
    buffer at the least offset above its placed neighbours. Branches are cut when
    - the bytes still to be placed at some step no longer fit above the lowest place left at it, or
    - a buffer is skipped that would have fitted whole below everything still to come (it could be moved down later).
    When what is left falls apart in time, the parts are solved one by one.
    """

    def __init__(self, shape: Shape, ranking: list[int], visits: int) -> None:
        self.shape = shape
        self.visits = visits
        times = sorted({t for pieces in shape.pieces for left, right, _ in pieces for t in (left, right)})
        slot = {t: i for i, t in enumerate(times)}
        self.slots = [
            [(i, size) for left, right, size in pieces for i in range(slot[left], slot[right]) if size]
            for pieces in shape.pieces
        ]
        self.sections = len(times)
        self.rank = [0] * shape.count
        for position, b in enumerate(ranking):
            self.rank[b] = position
        self.twin = self._twins(ranking)

    @property
    def exhausted(self) -> bool:
        """Whether the visits ran out, so that finding nothing proves nothing."""
        return self.visits <= 0

    def _twins(self, ranking: list[int]) -> list[int]:
        """For each buffer, the one like it that is placed just before it, or −1: only one order need be tried."""
        last: dict[tuple[object, ...], int] = {}
        twin = [-1] * self.shape.count
        for b in ranking:
            likeness = (self.shape.pieces[b], self.shape.alignment[b])
            twin[b] = last.get(likeness, -1)
            last[likeness] = b
        return twin

    def solve(self, capacity: int) -> list[int] | None:
        """Offsets within `capacity`, or None: there are none, or (`exhausted`) the visits ran out."""
        shape = self.shape
        self.capacity = capacity
        self.offset = [-1] * shape.count
        self.least = [0] * shape.count
        self.left = [0] * self.sections
        self.trail: list[tuple[int, list[tuple[int, int]]]] = []
        todo = []
        for b in range(shape.count):
            if shape.size[b]:
                todo.append(b)
            else:
                self.offset[b] = 0
            for section, size in self.slots[b]:
                self.left[section] += size
        if max(self.left, default=0) > capacity:
            return None
        todo.sort(key=lambda b: (shape.first[b], b))
        for part in self._parts(todo):
            if not self._descend(part, 0, -1, 0):
                return None
        return self.offset

    def _parts(self, todo: list[int]) -> list[list[int]]:
        """What shares no step, apart; `todo` is sorted by first step."""
        parts: list[list[int]] = []
        reach = -1
        for b in todo:
            if self.shape.first[b] >= reach or not parts:
                parts.append([])
            parts[-1].append(b)
            reach = max(reach, self.shape.end[b])
        parts.sort(key=len)
        return parts

    def _descend(self, todo: list[int], floor: int, last: int, depth: int) -> bool:
        """Place all of `todo` at `floor` or higher; among equal offsets only ranks above `last`."""
        shape, least, rank = self.shape, self.least, self.rank
        self.visits -= len(todo)
        if depth > MAX_DEPTH:
            self.visits = 0
        if self.visits <= 0 or not self._room(todo, floor):
            return False
        ceiling = min(least[b] + shape.size[b] for b in todo)
        choices = sorted(
            (least[b], rank[b], b)
            for b in todo
            if floor <= least[b] < ceiling
            and (least[b] > floor or rank[b] > last)
            and (self.twin[b] < 0 or self.offset[self.twin[b]] >= 0)
        )
        for at, place_in_order, b in choices:
            mark = len(self.trail)
            if self._put(b, at):
                for part in self._parts([c for c in todo if c != b]):
                    if not self._descend(part, at, place_in_order, depth + 1):
                        break
                else:
                    return True
            self._undo(mark)
            if self.visits <= 0:
                return False
        return False

    def _room(self, todo: list[int], floor: int) -> bool:
        """Whether, at every step, what is left fits between the lowest place left and the capacity."""
        lowest: dict[int, int] = {}
        for b in todo:
            at = max(self.least[b], floor)
            for section, _ in self.slots[b]:
                if at < lowest.get(section, self.capacity + 1):
                    lowest[section] = at
            self.visits -= len(self.slots[b])
        left, capacity = self.left, self.capacity
        return all(at + left[section] <= capacity for section, at in lowest.items())

    def _put(self, b: int, at: int) -> bool:
        """Place b, push its neighbours up; False when one of them no longer fits."""
        shape = self.shape
        pushed: list[tuple[int, int]] = []
        self.trail.append((b, pushed))
        self.offset[b] = at
        for section, size in self.slots[b]:
            self.left[section] -= size
        for c, below, _ in shape.near[b]:
            if self.offset[c] < 0 and at + below > self.least[c]:
                pushed.append((c, self.least[c]))
                self.least[c] = align_up(at + below, shape.alignment[c])
                if self.least[c] + shape.size[c] > self.capacity:
                    return False
        return at + shape.size[b] <= self.capacity

    def _undo(self, mark: int) -> None:
        while len(self.trail) > mark:
            b, pushed = self.trail.pop()
            for c, before in reversed(pushed):
                self.least[c] = before
            for section, size in self.slots[b]:
                self.left[section] += size
            self.offset[b] = -1
