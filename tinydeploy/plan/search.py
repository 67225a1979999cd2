"""The exact search for a placement within a capacity: a skyline filled cell by cell, with conflict-directed backjumps.

Ideas from M. Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning", ASPLOS
2023 (sections with floors, rising offsets, several orders in turn with growing limits) and from P. Prosser, "Hybrid
Algorithms for the Constraint Satisfaction Problem", 1993 (conflict-directed backjumping); put together differently.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tinydeploy.plan.shape import Shape, Stop, aligned, never

NOWHERE = 1 << 200  # above every capacity


@dataclass(frozen=True)
class Outcome:
    """`offsets` within the capacity; None with `complete`: there are none; None without: the effort ran out."""

    offsets: list[int] | None
    complete: bool
    visits: int


def fit(shape: Shape, capacity: int, visits: int, stop: Stop = never) -> Outcome:
    """Offsets within `capacity`, looked for in several orders in turn, each from the start with a growing limit.

    What one order is lost in for ever, another solves at once, and which is which can't be told beforehand.
    A visit is a look at a neighbour or a section, a few microseconds in CPython. Deterministic unless `stop` ends it.
    """
    if shape.bound > capacity:
        return Outcome(None, True, 0)
    rankings = _rankings(shape)
    share = 200 * shape.count + 2000
    used = 0
    while True:
        for fewest in (False, True):
            for ranking in rankings:
                run = _Run(shape, capacity, ranking, fewest, min(share, visits - used), stop)
                finished = run.solve()
                used += run.visits
                if finished:
                    return Outcome(run.least if run.solved else None, run.solved or shape.exact, used)
                if used >= visits or stop():
                    return Outcome(None, False, used)
        share *= 2


def _rankings(shape: Shape) -> list[list[int]]:
    """Orders in which what could lie equally low is tried: crowded, long, or large ones first. By number: its rank."""
    crowd = shape.crowding()
    length = [end - first for first, end in zip(shape.first, shape.end, strict=True)]
    keys: tuple[list[tuple[int, ...]], ...] = (
        [(-crowd[b], -length[b] * shape.size[b], -length[b]) for b in range(shape.count)],
        [(-length[b], -shape.size[b], -crowd[b]) for b in range(shape.count)],
        [(-shape.size[b], -length[b], -crowd[b]) for b in range(shape.count)],
    )
    rankings = []
    for key in keys:
        rank = [0] * shape.count
        for position, b in enumerate(sorted(range(shape.count), key=lambda b: (*key[b], b))):
            rank[b] = position
        rankings.append(rank)
    return rankings


@dataclass
class _Level:
    """A decision: which of `choices` lies exactly at `floor`, or (the last possibility) that all of `there` lie higher.

    `there` are the choices and their twins. `conflict`: the levels (as bits) to which what has failed here so far can
    be traced. The rest undoes the choice.
    """

    floor: int
    there: list[int]
    choices: list[int]
    conflict: int
    tried: int = 0
    placed: int = -1
    raised: list[tuple[int, int, int]] = field(default_factory=list)
    floors: list[tuple[int, int]] = field(default_factory=list)


class _Run:
    """One search with one order, complete unless the visits run out.

    Some solution has everything at 0 or resting on something else, and can be built by rising offset. `least[b]` is
    the lowest place left for b, `why[b]` the levels that made it so; a section's floor is the lowest `least` of what
    is still to be placed in it. Each level takes a section with the lowest floor of all; either one of those that could
    begin there does, or they all lie higher: then each must rest on something that is still to be placed.

    A section fails when what is left does not fit between its floor and the capacity. That is due to those levels only
    that pushed up what is left in it; the search goes back to the last of them at once, whatever it did elsewhere in
    the meantime. Without that it would try everything that is possible early in time for each failure late in time.
    """

    def __init__(self, shape: Shape, capacity: int, rank: list[int], fewest: bool, visits: int, stop: Stop) -> None:
        self.shape = shape
        self.capacity = capacity
        self.rank = rank
        self.fewest = fewest
        self.limit = visits
        self.stop = stop
        self.visits = 0
        self.solved = False
        self.least = [0] * shape.count
        self.why = [0] * shape.count
        self.level_of = [-1] * shape.count  # −1: still to be placed
        self.waiting: list[set[int]] = [set() for _ in range(shape.sections)]
        self.left = list(shape.live)
        for b in range(shape.count):
            for first, end, _, _ in shape.pieces[b]:
                for s in range(first, end):
                    self.waiting[s].add(b)
        self.floor = [0 if there else NOWHERE for there in self.waiting]
        self.remaining = sum(bool(pieces) for pieces in shape.pieces)
        self.twin = self._twins()
        self.levels: list[_Level] = []

    def _twins(self) -> list[int]:
        """For each number, the one just like it that must lie below it, or −1: only one order need be tried."""
        last: dict[object, int] = {}
        twin = [-1] * self.shape.count
        for b in sorted(range(self.shape.count), key=self.rank.__getitem__):
            likeness = (self.shape.pieces[b], self.shape.size[b], self.shape.alignment[b])
            twin[b] = last.get(likeness, -1)
            last[likeness] = b
        return twin

    def solve(self) -> bool:
        """Whether the search came to its end; then `solved` says whether `least` is a placement."""
        if self.remaining:
            self._open()
        else:
            self.solved = True
        while not self.solved:
            if self.visits >= self.limit or self.stop():
                return False
            level = self.levels[-1]
            if level.tried > len(level.choices):
                if not self._back(level):
                    return True
                continue
            conflict = self._raise(level) if level.tried == len(level.choices) else self._put(level)
            level.tried += 1
            if conflict:
                self._undo(level)
                level.conflict |= conflict
            elif self.remaining:
                self._open()
            else:
                self.solved = True
        return True

    def _open(self) -> None:
        """A new level at a section with the lowest floor: the fullest, or the one with the fewest choices."""
        floor = min(self.floor)
        least, left = self.least, self.left
        self.visits += len(left) // 4
        best = -1
        best_key = (0, 0)
        for s, at in enumerate(self.floor):
            if at == floor:
                few = sum(least[b] == floor for b in self.waiting[s]) if self.fewest else 0
                key = (few, -left[s])
                if best < 0 or key < best_key:
                    best, best_key = s, key
        there = sorted((b for b in self.waiting[best] if least[b] == floor), key=self.rank.__getitem__)
        conflict = 0
        choices = []
        for b in there:
            conflict |= self.why[b]
            twin = self.twin[b]
            if twin < 0 or self.level_of[twin] >= 0:
                choices.append(b)
            else:
                conflict |= self.why[twin]
        self.levels.append(_Level(floor, there, choices, conflict))

    def _put(self, level: _Level) -> int:
        """Place the level's next choice at its floor and push up what it meets; the conflict, or 0."""
        shape, least, floor = self.shape, self.least, level.floor
        depth = len(self.levels) - 1
        b = level.choices[level.tried]
        level.placed = b
        self.level_of[b] = depth
        self.remaining -= 1
        touched: set[int] = set()
        for first, end, low, high in shape.pieces[b]:
            touched.update(range(first, end))
            for s in range(first, end):
                self.waiting[s].discard(b)
                self.left[s] -= high - low
        self.visits += len(shape.near[b])
        for c, below, _ in shape.near[b]:
            if self.level_of[c] < 0 and floor + below > least[c]:
                at = aligned(floor + below, shape.alignment[c])
                self._lift(level, c, at, 1 << depth, touched)
                if at + shape.size[c] > self.capacity:
                    return 1 << depth
        return self._settle(level, touched)

    def _raise(self, level: _Level) -> int:
        """Nothing there lies at the floor: each rests on something still to be placed; the conflict, or 0."""
        shape, least = self.shape, self.least
        touched: set[int] = set()
        for b in level.there:
            at = NOWHERE
            why = 1 << (len(self.levels) - 1)
            self.visits += len(shape.near[b])
            for c, _, above in shape.near[b]:
                if self.level_of[c] >= 0:
                    why |= 1 << self.level_of[c]
                else:
                    why |= self.why[c]
                    at = min(at, max(least[c] + above, level.floor + 1))
            at = aligned(at, shape.alignment[b]) if at < NOWHERE else at
            if at + shape.size[b] > self.capacity:
                return why
            self._lift(level, b, at, why, touched)
        return self._settle(level, touched)

    def _lift(self, level: _Level, b: int, at: int, why: int, touched: set[int]) -> None:
        """Nothing below `at` is left for b; `touched` collects the sections whose floor may rise by that."""
        before = self.least[b]
        level.raised.append((b, before, self.why[b]))
        self.least[b] = at
        self.why[b] = why
        floor = self.floor
        for first, end, _, _ in self.shape.pieces[b]:
            touched.update(s for s in range(first, end) if floor[s] == before)

    def _settle(self, level: _Level, touched: set[int]) -> int:
        """Work out the floors of these sections; the conflict of the first that fails, or 0."""
        floor, least = self.floor, self.least.__getitem__
        self.visits += len(touched)
        for s in sorted(touched):
            there = self.waiting[s]
            at = min(map(least, there)) if there else NOWHERE
            if at != floor[s]:
                level.floors.append((s, floor[s]))
                floor[s] = at
                if there and at + self.left[s] > self.capacity:
                    conflict = 0
                    for b in there:
                        conflict |= self.why[b]
                    return conflict
        return 0

    def _undo(self, level: _Level) -> None:
        for s, at in reversed(level.floors):
            self.floor[s] = at
        for b, at, why in reversed(level.raised):
            self.least[b] = at
            self.why[b] = why
        level.floors.clear()
        level.raised.clear()
        b = level.placed
        if b >= 0:
            level.placed = -1
            self.level_of[b] = -1
            self.remaining += 1
            for first, end, low, high in self.shape.pieces[b]:
                for s in range(first, end):
                    self.waiting[s].add(b)
                    self.left[s] += high - low

    def _back(self, level: _Level) -> bool:
        """All has failed here: back to the last level that has to do with it; False when there is none."""
        conflict = level.conflict & ~(1 << (len(self.levels) - 1))
        if not conflict:
            return False
        self.levels.pop()
        while len(self.levels) > conflict.bit_length():
            self._undo(self.levels.pop())
        self._undo(self.levels[-1])
        self.levels[-1].conflict |= conflict
        return True
