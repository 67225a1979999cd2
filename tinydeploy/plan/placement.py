"""Dynamic storage allocation: offsets for buffers that come and go, in an arena as small as can be found.

Greedy orders first, then an exact search, which can prove that nothing is smaller. Everything is deterministic:
effort is counted in visits, never in seconds, unless the caller sets a limit of its own. Sizes are aligned bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinydeploy.plan.search import fit
from tinydeploy.plan.shape import Rectangle, Shape, Stop, aligned, never, pieces_of
from tinydeploy.plan.types import Buffer, Proof

VISITS = 200_000  # of the exact search: about half a second in CPython


@dataclass(frozen=True)
class Placed:
    """`offsets[i]` belongs to the i-th buffer given; `arena_bytes` is the highest end of a buffer, aligned."""

    offsets: tuple[int, ...]
    arena_bytes: int
    proof: Proof


def place(
    items: Sequence[Buffer | Rectangle], *, capacity: int | None = None, visits: int = VISITS, stop: Stop = never
) -> Placed:
    """Place buffers or rectangles into one arena, as small as can be found with the given effort.

    Two that live at one time never overlap then; each offset is a multiple of its item's alignment. `visits` limits
    the exact search, `stop` ends it as soon as it returns True; the best placement so far is returned.

    Without `capacity`, the lower bound is the most bytes alive at one time. `proof.optimal` is set only when the arena
    equals it, or when the exact search has finished without finding anything smaller.
    With `capacity` the first placement within it will do. Where there is none, which is proved, the lower bound is
    above the capacity; where none was found, the arena is.
    """
    work = _Work(items, visits, stop)
    bound = work.shape.bound
    goal = bound if capacity is None else max(bound, capacity)
    work.start(goal)
    if work.height > goal and capacity is None:
        proved = work.shrink(bound)
        if bound < work.height <= proved:
            method = "exact search finished: nothing smaller exists"
            return work.placed(Proof(bound, True, method, exhaustive=True))
    elif work.height > goal >= bound and work.reach(goal, visits) is False:
        return work.placed(Proof(goal + 1, False, "exact search finished: nothing fits the capacity"))
    if work.height == bound:
        how = "exact search" if work.searched else "greedy placement"
        return work.placed(Proof(bound, True, f"{how} meets the lower bound"))
    if work.height <= goal:
        return work.placed(Proof(bound, False, "the first placement found within the capacity"))
    return work.placed(Proof(bound, False, "best found; the exact search did not finish"))


def lower_bound(items: Iterable[Buffer | Rectangle]) -> int:
    """The most aligned bytes alive at one step: no arena can be smaller."""
    return max(live_bytes(items).values(), default=0)


def live_bytes(items: Iterable[Buffer | Rectangle]) -> dict[int, int]:
    """Aligned bytes alive from each step at which they change, by step, in order."""
    change: dict[int, int] = {}
    for item in items:
        for first, end, low, high in pieces_of(item):
            change[first] = change.get(first, 0) + high - low
            change[end] = change.get(end, 0) - (high - low)
    alive = 0
    result = {}
    for step in sorted(change):
        alive += change[step]
        result[step] = alive
    return result


class _Work:
    """What is being placed: parts that share no time, the best offsets so far, and the effort that is left."""

    def __init__(self, items: Sequence[Buffer | Rectangle], visits: int, stop: Stop) -> None:
        self.shape = Shape(items)
        self.numbers = self.shape.parts()
        self.parts = [Shape([items[b] for b in numbers]) for numbers in self.numbers]
        self.best: list[list[int]] = [[] for _ in self.parts]
        self.visits = visits
        self.stop = stop
        self.searched = False

    @property
    def height(self) -> int:
        """The arena of the best offsets."""
        heights = [part.height(offsets) for part, offsets in zip(self.parts, self.best, strict=True)]
        return max([0, *self.shape.size, *heights])  # what uses nothing lies at 0 and counts with its size

    def start(self, goal: int) -> None:
        """Greedy placements of each part until one needs no more than `goal`."""
        for i, part in enumerate(self.parts):
            tries = (offsets for order in _orders(part) for offsets in _greedy(part, order, goal))
            self.best[i] = next(tries)
            for tried in tries:
                if part.height(self.best[i]) <= goal:
                    break
                self.best[i] = min(self.best[i], tried, key=part.height)

    def reach(self, capacity: int, visits: int) -> bool | None:
        """Every part within `capacity`, spending at most `visits`: True; False: impossible; None: not found."""
        left = visits
        for i, part in sorted(enumerate(self.parts), key=lambda pair: (pair[1].count, pair[0])):
            if part.height(self.best[i]) > capacity:
                self.searched = True
                outcome = fit(part, capacity, left, self.stop)
                left -= outcome.visits
                self.visits -= outcome.visits
                if outcome.offsets is None:
                    return False if outcome.complete else None
                self.best[i] = outcome.offsets
        return True

    def shrink(self, bound: int) -> int:
        """Make the arena as small as the effort allows; returns what no arena can be smaller than.

        First the bound itself, for which half of the effort is well spent. Then halving what lies between that and the
        best, with a little effort for each step; what remains goes into the proof that nothing is smaller.
        """
        unit = self.shape.unit
        proved = hope = bound
        target, share = bound, self.visits // 2
        while self.visits > 0 and not self.stop():
            last = target == self.height - unit
            found = self.reach(target, share)
            if found is False:
                proved = max(proved, target + unit)
            if not found:
                hope = max(hope, target + unit)
            if proved >= self.height or (last and found is None and share >= self.visits):
                break
            if hope < self.height - unit:
                target, share = hope + (self.height - hope) // (2 * unit) * unit, self.visits // 8
            else:
                target, share = self.height - unit, self.visits
        return proved

    def placed(self, proof: Proof) -> Placed:
        """The result, in the order of what was given."""
        offsets = [0] * self.shape.count
        for numbers, best in zip(self.numbers, self.best, strict=True):
            for b, offset in zip(numbers, best, strict=True):
                offsets[b] = offset
        return Placed(tuple(offsets), self.height, proof)


def _orders(shape: Shape) -> Iterator[list[int]]:
    """Orders in which a greedy placement does well, each with a stable tie-break."""
    crowd = shape.crowding()
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


def _greedy(shape: Shape, order: Sequence[int], capacity: int) -> Iterator[list[int]]:
    """Each item in turn at the lowest free offset; and then the same, but against the top of the arena, where that is
    free, for what can't lie at the bottom: a chain, in which each meets only the one before and the one after, always
    comes out perfect by that."""
    for both_ends in (False, True):
        offsets = [-1] * shape.count
        for b in order:
            taken = sorted(
                (offsets[c] - below, offsets[c] + above) for c, below, above in shape.near[b] if offsets[c] >= 0
            )
            at = _lowest(taken, shape.alignment[b])
            top = (capacity - shape.size[b]) // shape.alignment[b] * shape.alignment[b]
            if both_ends and at > 0 <= top and all(top <= low or top >= high for low, high in taken):
                at = top
            offsets[b] = at
        yield offsets


def _lowest(taken: Iterable[tuple[int, int]], alignment: int) -> int:
    """The lowest aligned offset in none of the sorted open intervals."""
    at = 0
    for low, high in taken:
        if at <= low:
            break
        if high > at:
            at = aligned(high, alignment)
    return at
