"""The program: in which order row steps run, so that the fewest bytes are alive at once.

Operators are cut into segments. Inside a segment they take turns row by row, each row made only when somebody needs
it; between segments tensors are whole. The cuts are found by a shortest path: nodes are the places between operators,
an edge is a segment, and its length is the most bytes alive in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinydeploy.plan.rows import Actor, RowGraph

EFFORT = 250_000  # row steps that may be gone through in the search for cuts: about a second in CPython

Tick = tuple[int, int]
"""(actor's position, row step): the unit of a program's time."""


@dataclass(frozen=True)
class Schedule:
    """The program, tick by tick, and the actors as they go. `cuts`: positions at which segments begin, and the end.

    `live_bytes`: of each tick, exact, without alignment. `complete`: all cuts worth a look were looked at.
    """

    actors: tuple[Actor, ...]
    ticks: tuple[Tick, ...]
    cuts: tuple[int, ...]
    peak_bytes: int
    complete: bool


def one_by_one(graph: RowGraph) -> Schedule:
    """Operators one after the other, each through all its rows."""
    search = _Search(graph, 0)
    cuts = list(range(len(graph.actors) + 1))
    return search.schedule(cuts)


def streamed(graph: RowGraph, effort: int = EFFORT) -> Schedule:
    """Segments with the least peak; among those the fewest calls."""
    search = _Search(graph, effort)
    return search.schedule(search.cuts())


class _Search:
    def __init__(self, graph: RowGraph, effort: int) -> None:
        self.graph = graph
        self.left = effort
        self.count = len(graph.actors)
        stores = graph.stores
        self.bytes = [s.rows * s.row_bytes for s in stores]
        self.made = [-1 if s.given else self.count for s in stores]  # by whom
        self.last = [self.count if s.final else -1 for s in stores]
        for position, actor in enumerate(graph.actors):
            for store, _ in actor.writes:
                self.made[store] = min(self.made[store], position)
            for store, _ in actor.reads:
                self.last[store] = max(self.last[store], position)
        for s in stores:  # what nobody reads is written all the same
            self.last[s.id] = max(self.last[s.id], self.made[s.id])
        self.across = [
            sum(self.bytes[s] for s in range(len(stores)) if self.made[s] < cut <= self.last[s])
            for cut in range(self.count + 1)
        ]
        self.found: dict[tuple[int, int], tuple[int, Callable[[list[Actor]], Iterator[Tick]]]] = {}

    # -- the cuts

    def cuts(self) -> list[int]:
        """Where segments begin: least peak first, then fewest calls."""
        n = self.count
        to_end = [0] * (n + 1)  # the peak of going on one operator after the other
        for i in reversed(range(n)):
            to_end[i] = max(to_end[i + 1], self.peak(i, i + 1, None) or 0)
        limit = to_end[0]
        best = [limit + 1] * (n + 1)
        best[0] = 0
        queue = [(0, 0)]
        while queue:
            reached, i = heapq.heappop(queue)
            if reached > best[i]:
                continue
            if reached >= limit:
                break
            for j in range(i + 1, n + 1):
                if max(reached, self.across[j]) >= limit or self.left <= 0:
                    continue
                length = self.peak(i, j, limit - 1)
                if length is not None and max(reached, length) < best[j]:
                    best[j] = max(reached, length)
                    heapq.heappush(queue, (best[j], j))
                    limit = min(limit, max(best[j], to_end[j]))
        return self._fewest_calls(limit)

    def _fewest_calls(self, limit: int) -> list[int]:
        """The path of segments within the limit that makes the fewest calls."""
        n = self.count
        calls = [0] + [-1] * n
        before = [0] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                known = self.found.get((i, j))
                if calls[i] < 0 or known is None or known[0] > limit:
                    continue
                more = calls[i] + (1 if j == i + 1 else sum(a.steps for a in self.graph.actors[i:j]))
                if calls[j] < 0 or more < calls[j]:
                    calls[j], before[j] = more, i
        cuts = [n]
        while cuts[-1]:
            cuts.append(before[cuts[-1]])
        return cuts[::-1]

    def schedule(self, cuts: Sequence[int]) -> Schedule:
        actors = list(self.graph.actors)
        ticks: list[Tick] = []
        peak = 0
        for i, j in pairwise(cuts):
            if j == i + 1:
                actors[i] = self.graph.alone.get(i, actors[i])
            peak = max(peak, self.peak(i, j, None) or 0)
            _, turns = self.found[i, j]
            ticks += [(i + a, row) for a, row in turns(actors[i:j])]
        return Schedule(tuple(actors), tuple(ticks), tuple(cuts), peak, self.left > 0)

    # -- one segment

    def peak(self, i: int, j: int, limit: int | None) -> int | None:
        """The most bytes alive in segment [i, j), or None when that is above the limit."""
        known = self.found.get((i, j))
        if known is not None:
            return known[0] if limit is None or known[0] <= limit else None
        actors = list(self.graph.actors[i:j])
        if j == i + 1:
            actors = [self.graph.alone.get(i, actors[0])]
        ways = (lazily,) if _is_chain(actors) else (lazily, eagerly)
        best: tuple[int, Callable[[list[Actor]], Iterator[Tick]]] | None = None
        for turns in ways:
            peak = self._replay(i, j, actors, turns(actors), limit if best is None else best[0] - 1)
            if peak is not None:
                best = (peak, turns)
        if best is not None:
            self.found[i, j] = best
            return best[0]
        return None

    def _replay(self, i: int, j: int, actors: list[Actor], turns: Iterator[Tick], limit: int | None) -> int | None:
        """Live bytes through the ticks of a segment; None as soon as they pass the limit."""
        stores = self.graph.stores
        size = {}
        needed: dict[int, dict[int, int]] = {}  # by store and reader: the lowest row that is still to be read
        low: dict[int, int] = {}
        there: dict[int, int] = {}
        for a, actor in enumerate(actors):
            for s, spans in actor.reads:
                needed.setdefault(s, {})[a] = spans[0][0]
            for s, _ in actor.writes:
                there[s] = 0
        live = 0
        for s, store in enumerate(stores):
            if self.made[s] < i <= self.last[s] or (self.made[s] < 0 and i == 0):
                there[s] = store.rows
                live += self.bytes[s]
        for s in there:
            size[s] = stores[s].row_bytes
            low[s] = 0
            if self.last[s] >= j:
                needed.setdefault(s, {})[-1] = 0
        peak = live
        steps = 0
        carried = [False] * len(actors)
        for a, row in turns:
            steps += 1
            actor = actors[a]
            written = 0
            for s, spans in actor.writes:
                more = spans[row][1] - spans[row][0]
                there[s] += more
                written += more * size[s]
            scratch = actor.scratch_bytes
            if scratch and actor.carries:
                if not carried[a]:
                    carried[a] = True
                    live += scratch
                scratch = 0
            touched = [s for s, _ in actor.writes]
            freed = 0
            over = 0
            for s, spans in actor.reads:
                readers = needed[s]
                readers[a] = spans[row + 1][0] if row + 1 < actor.steps else stores[s].rows
                lowest = min(readers.values())
                if lowest > low[s]:
                    gone = (min(lowest, there[s]) - min(low[s], there[s])) * size[s]
                    low[s] = lowest
                    freed += gone
                    if s in actor.over:
                        over = max(over, gone)
            top = live + written + scratch - min(over, written)
            if top > peak:
                peak = top
                if limit is not None and peak > limit:
                    self.left -= steps
                    return None
            live += written - freed
            for s in touched:  # rows that nobody waits for
                readers = needed.get(s, {})
                lowest = min(readers.values(), default=stores[s].rows)
                already = min(lowest, there[s])
                if already > low[s]:
                    live -= (already - low[s]) * size[s]
                    low[s] = already
            if actor.carries and row + 1 == actor.steps:
                live -= actor.scratch_bytes
        self.left -= steps
        return peak


def _is_chain(actors: list[Actor]) -> bool:
    """Whether there is only one way to take turns."""
    readers: dict[int, int] = {}
    for actor in actors:
        for s, _ in actor.reads:
            readers[s] = readers.get(s, 0) + 1
    made = {s for actor in actors for s, _ in actor.writes}
    joined = any(sum(s in made for s, _ in actor.reads) > 1 for actor in actors)
    return not joined and all(readers.get(s, 0) <= 1 for s in made)


def lazily(actors: list[Actor]) -> Iterator[Tick]:
    """Each row when somebody needs it: what nobody in the segment reads is drawn on in equal shares, and draws on the
    rest."""
    maker = {s: a for a, actor in enumerate(actors) for s, _ in actor.writes}
    rows = dict.fromkeys(maker, 0)
    read = {s for actor in actors for s, _ in actor.reads}
    ends = [a for a, actor in enumerate(actors) if not any(s in read for s, _ in actor.writes)]
    done = [0] * len(actors)
    queue = [(0.0, a) for a in ends]
    heapq.heapify(queue)
    rest = iter([a for a in range(len(actors)) if a not in ends])
    while True:
        if queue:
            _, wanted = heapq.heappop(queue)
        else:  # rows at the end that no one draws on
            wanted = next(rest, -1)
            if wanted < 0:
                return
        goal = done[wanted] + 1 if wanted in ends else actors[wanted].steps
        stack = [(wanted, goal)]
        while stack:
            a, upto = stack[-1]
            actor = actors[a]
            row = done[a]
            if row >= upto:
                stack.pop()
                continue
            for s, spans in actor.reads:
                if s in maker and rows[s] < spans[row][1]:
                    stack.append((maker[s], done[maker[s]] + 1))
                    break
            else:
                yield a, row
                done[a] = row + 1
                for s, spans in actor.writes:
                    rows[s] = spans[row][1]
        if wanted in ends and done[wanted] < actors[wanted].steps:
            heapq.heappush(queue, (done[wanted] / actors[wanted].steps, wanted))


def eagerly(actors: list[Actor]) -> Iterator[Tick]:
    """Each row as soon as what it needs is there, the last operator first."""
    rows = {s: 0 for actor in actors for s, _ in actor.writes}
    last = {s: a for a, actor in enumerate(actors) for s, _ in actor.reads}
    inside = [[(s, spans) for s, spans in actor.reads if s in rows] for actor in actors]
    done = [0] * len(actors)
    a = len(actors) - 1
    while a >= 0:
        actor, row = actors[a], done[a]
        if row < actor.steps and all(rows[s] >= spans[row][1] for s, spans in inside[a]):
            yield a, row
            done[a] = row + 1
            for s, spans in actor.writes:
                rows[s] = spans[row][1]
                a = max(a, last.get(s, a))
        else:
            a -= 1
