"""The program: in which order row steps run, so that the fewest bytes are alive at once.

Operators are cut into segments. Inside a segment they take turns row by row, each row made only when somebody needs
it; between segments tensors are whole. The cuts are found by a shortest path: nodes are the places between operators,
an edge is a segment, and its length is the most bytes alive in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.rows import Actor, RowGraph
from tinydeploy.plan.turns import Moves, Tick, Turns, eagerly, is_chain, lazily

EFFORT = 200_000  # row steps that may be gone through in the search for cuts: about a second in CPython

MOST_EFFORT = 400_000  # the same for networks of many operators and rows
_NEIGHBOURHOODS = 128  # of operators; in a network of fewer operators each is one
_FIRST_NEIGHBOURS = 3  # on either side, of which a cut is tried first where the least is alive


@dataclass(frozen=True)
class Schedule:
    """The program, tick by tick, and the actors as they go. `cuts`: positions at which segments begin, and the end.

    `peak_bytes`: the most bytes alive, without alignment; a row that is never read counts until its readers have passed
    it, or later segments have. `complete`: all cuts worth a look were looked at.
    """

    actors: tuple[Actor, ...]
    ticks: tuple[Tick, ...]
    cuts: tuple[int, ...]
    peak_bytes: int
    complete: bool


def one_by_one(graph: RowGraph) -> Schedule:
    """Operators one after the other, each through all its rows."""
    search = _Search(graph, 1 << 62, USUAL)
    cuts = list(range(len(graph.actors) + 1))
    return search.schedule(cuts)


def streamed(
    graph: RowGraph,
    budget: Budget = USUAL,
    cut_after: Collection[int] = (),
    below: int | None = None,
    *,
    share: int = 1,
) -> Schedule | None:
    """Segments with the least peak; among those the fewest calls. None where the peak would not be under `below`.

    `cut_after`: operators after which a segment ends, whether that is good or not. `share`: one of so many searches
    that have the effort together.
    """
    ticks = sum(actor.steps for actor in graph.actors)
    effort = min(max(EFFORT // share, 40 * ticks), MOST_EFFORT)
    search = _Search(graph, budget.scaled(effort), budget)
    forced = [i + 1 for i, actor in enumerate(graph.actors) if actor.operator in cut_after]
    cuts = search.cuts(forced, below)
    return None if cuts is None else search.schedule(cuts)


def floor_bytes(graph: RowGraph) -> int:
    """What no program of row steps can do without: each step needs the rows that it reads and writes at once, and
    what is given is all there when the first row is written."""
    found = 0
    given = sum(s.rows * s.row_bytes for s in graph.stores if s.given)
    first = None
    for position, actor in enumerate(graph.actors):
        ways = (actor, graph.alone.get(position, actor))
        found = max(found, min(_least(graph, way) for way in ways))
        if all(graph.stores[s].given for s, _ in actor.reads):
            written = min(_written(graph, way, 0) - _shared(graph, way, 0) for way in ways)
            first = written if first is None else min(first, written)
    return max(found, given + (first or 0))


def _least(graph: RowGraph, actor: Actor) -> int:
    """The most that one of its steps needs by itself."""
    most = 0
    for row in range(actor.steps):
        read = sum((spans[row][1] - spans[row][0]) * graph.stores[s].row_bytes for s, spans in actor.reads)
        most = max(most, read + _written(graph, actor, row) + actor.scratch_bytes - _shared(graph, actor, row))
    return most


def _written(graph: RowGraph, actor: Actor, row: int) -> int:
    return sum((spans[row][1] - spans[row][0]) * graph.stores[s].row_bytes for s, spans in actor.writes)


def _shared(graph: RowGraph, actor: Actor, row: int) -> int:
    """Bytes that a step writes over what it reads, at best."""
    read = [(spans[row][1] - spans[row][0]) * graph.stores[s].row_bytes for s, spans in actor.reads if s in actor.over]
    return min(_written(graph, actor, row), max(read, default=0))


class _Search:
    """Segments of one graph, their peaks found once each, until `effort` row steps have been gone through."""

    def __init__(self, graph: RowGraph, effort: int, budget: Budget) -> None:
        self.graph = graph
        self.left = effort
        self.budget = budget
        self.count = len(graph.actors)
        stores = graph.stores
        self.moves = [Moves(actor, graph) for actor in graph.actors]
        self.alone = {i: Moves(actor, graph) for i, actor in graph.alone.items()}
        self.rows = [s.rows for s in stores]
        self.row_bytes = [s.row_bytes for s in stores]
        self.bytes = [s.rows * s.row_bytes for s in stores]
        self.made = [-1 if s.given else self.count for s in stores]  # by whom
        self.last = [self.count if s.final else -1 for s in stores]
        parts: dict[int, list[tuple[int, int, int]]] = {}  # by store: (by whom, rows [first, end))
        for position, actor in enumerate(graph.actors):
            for store, spans in actor.writes:
                self.made[store] = min(self.made[store], position)
                self.last[store] = max(self.last[store], position)  # what nobody reads is written all the same
                parts.setdefault(store, []).append((position, min(spans)[0], max(end for _, end in spans)))
            for store, _ in actor.reads:
                self.last[store] = max(self.last[store], position)
        self.parts = {s: found for s, found in parts.items() if len(found) > 1}
        self.across = [
            sum(
                sum(self._parts_there(s, cut)) * self.row_bytes[s] if s in self.parts else self.bytes[s]
                for s in range(len(stores))
                if self.made[s] < cut <= self.last[s]
            )
            for cut in range(self.count + 1)
        ]
        self.peaks: dict[tuple[int, int], int] = {}
        self.above: dict[tuple[int, int], int] = {}  # limits that a segment's peak is known to pass

    def _parts_there(self, store: int, cut: int) -> bytearray:
        """By row of a store that several write: whether it is there before the actor at `cut`."""
        there = bytearray(self.rows[store])
        for position, first, end in self.parts[store]:
            if position < cut:
                there[first:end] = b"\1" * (end - first)
        return there

    # -- the cuts

    def cuts(self, forced: Sequence[int], below: int | None) -> list[int] | None:
        """Where segments begin: least peak first, then fewest calls; at `forced` places in any case.

        None where no peak under `below` was found.
        """
        n = self.count
        farthest = [next((cut for cut in forced if cut > i), n) for i in range(n)]
        to_end = [0] * (n + 1)  # the peak of going on one operator after the other
        for i in reversed(range(n)):
            to_end[i] = max(to_end[i + 1], self.peak(i, i + 1, None) or 0)
        limit = to_end[0] if below is None else min(to_end[0], below)
        # the ends where little is alive soon give a limit that saves most of the work with all ends
        for near in (_FIRST_NEIGHBOURS, n // _NEIGHBOURHOODS):
            limit = self._least_peak(self._ends(near), farthest, to_end, limit)
        return None if below is not None and limit >= below else self._fewest_calls(limit)

    def _least_peak(self, ends: Sequence[bool], farthest: Sequence[int], to_end: Sequence[int], limit: int) -> int:
        """The least peak of a path of segments between `ends`, and of single operators; `limit` if that is less."""
        n = self.count
        best = [limit + 1] * (n + 1)
        best[0] = 0
        queue = [(0, 0)]
        while queue:
            reached, i = heapq.heappop(queue)
            if reached > best[i]:
                continue
            if reached >= limit:
                break
            if self.budget.expired:
                self.left = 0
            for j in range(i + 1, farthest[i] + 1):
                if max(reached, self.across[j]) >= limit or self.left <= 0:
                    continue
                if j > i + 1 and not (ends[i] and ends[j]):
                    continue
                length = self.peak(i, j, limit - 1)
                if length is not None and max(reached, length) < best[j]:
                    best[j] = max(reached, length)
                    heapq.heappush(queue, (best[j], j))
                    limit = min(limit, max(best[j], to_end[j]))
        return limit

    def _ends(self, near: int) -> list[bool]:
        """Where segments of several operators may begin and end: where the least is alive among `near` neighbours.

        In a large network all ends would be too many: the search would end before it has begun.
        """
        least = [min(self.across[max(0, i - near) : i + near + 1]) for i in range(self.count + 1)]
        return [i in (0, self.count) or self.across[i] == least[i] for i in range(self.count + 1)]

    def _fewest_calls(self, limit: int) -> list[int]:
        """The path of segments within the limit that makes the fewest calls."""
        n = self.count
        calls = [0] + [-1] * n
        before = [0] * (n + 1)
        for j in range(1, n + 1):
            for i in range(j):
                if calls[i] < 0 or self.peaks.get((i, j), limit + 1) > limit:
                    continue
                more = calls[i] + (1 if j == i + 1 else sum(moves.steps for moves in self.moves[i:j]))
                if calls[j] < 0 or more < calls[j]:
                    calls[j], before[j] = more, i
        cuts = [n]
        while cuts[-1]:
            cuts.append(before[cuts[-1]])
        return cuts[::-1]

    def schedule(self, cuts: Sequence[int]) -> Schedule:
        """The program for these cuts."""
        actors = list(self.graph.actors)
        ticks: list[Tick] = []
        peak = 0
        for i, j in pairwise(cuts):
            if j == i + 1:
                actors[i] = self.graph.alone.get(i, actors[i])
            found = self._best_turns(i, j, None)
            assert found is not None  # there was no limit
            length, turns = found
            peak = max(peak, length)
            ticks += [(i + a, row) for a, row in turns(self._segment(i, j))]
        return Schedule(tuple(actors), tuple(ticks), tuple(cuts), peak, self.left > 0)

    # -- one segment

    def _segment(self, i: int, j: int) -> list[Moves]:
        return [self.alone.get(i, self.moves[i])] if j == i + 1 else self.moves[i:j]

    def peak(self, i: int, j: int, limit: int | None) -> int | None:
        """The most bytes alive in segment [i, j), or None when that is above the limit."""
        if (i, j) not in self.peaks:
            if limit is not None and self.above.get((i, j), -1) >= limit:
                return None
            found = self._best_turns(i, j, limit)
            if found is None:
                self.above[i, j] = limit or 0
                return None
            self.peaks[i, j], _ = found
        length = self.peaks[i, j]
        return length if limit is None or length <= limit else None

    def _best_turns(self, i: int, j: int, limit: int | None) -> tuple[int, Turns] | None:
        """The least peak within the limit of a segment, and how to take turns for it."""
        moves = self._segment(i, j)
        length = self._replay(i, j, moves, lazily, limit)
        least = max(self.across[i], self.across[j])
        if not is_chain(moves) and (length is None or length > least):
            other = self._replay(i, j, moves, eagerly, limit if length is None else length - 1)
            if other is not None:
                return other, eagerly
        return None if length is None else (length, lazily)

    def _replay(self, i: int, j: int, moves: list[Moves], turns: Turns, limit: int | None) -> int | None:
        """Live bytes through the ticks of a segment; None as soon as they pass the limit."""
        rows, size = self.rows, self.row_bytes
        most = 1 << 62 if limit is None else limit
        readers: dict[int, dict[int, int]] = {}  # by store and reader: the lowest row that is still to be read
        low: dict[int, int] = {}  # the lowest of all its readers
        there: dict[int, int] = {}  # how many rows there are
        parts: dict[int, bytearray] = {}  # which rows, where several make them
        for a, each in enumerate(moves):
            for s, first in each.starts:
                readers.setdefault(s, {})[a] = first
            for s, _, _ in each.writes:
                there[s] = 0
        live = 0
        for s in range(len(rows)):
            if self.made[s] < i <= self.last[s] or (self.made[s] < 0 and i == 0):
                there[s] = rows[s]
                live += self.bytes[s]
        for s in there:
            low[s] = 0
            if s in self.parts:
                parts[s] = self._parts_there(s, i)
                if there[s]:
                    live -= (rows[s] - sum(parts[s])) * size[s]
            if self.last[s] >= j:
                readers.setdefault(s, {})[-1] = 0
        top = live
        steps = 0
        begun = [False] * len(moves)
        for a, row in turns(moves):
            steps += 1
            each = moves[a]
            now = live + each.scratch
            if each.carried and not begun[a]:
                begun[a] = True
                live += each.carried
                now += each.carried
            for s, counts, ends in each.writes:
                if counts[row]:
                    there[s] = ends[row]
                    fresh = counts[row]
                    if s in parts:
                        fresh -= sum(parts[s][ends[row] - fresh : ends[row]])
                        parts[s][ends[row] - counts[row] : ends[row]] = b"\1" * counts[row]
                    live += fresh * size[s]
                    now += fresh * size[s]
            shared = 0
            for s, ends, nexts in each.reads:
                waiting = readers[s]
                waiting[a] = lowest = nexts[row]
                if len(waiting) > 1:
                    lowest = min(waiting.values())
                if lowest > low[s]:
                    if s in parts:
                        gone = sum(parts[s][low[s] : lowest]) * size[s]
                    else:
                        gone = (min(lowest, there[s]) - min(low[s], there[s])) * size[s]
                    low[s] = lowest
                    live -= gone
                    if s in each.over and lowest >= ends[row]:  # the row that is read, not those that are skipped
                        shared = max(shared, size[s])
            if shared:
                now -= min(shared, sum(counts[row] * size[s] for s, counts, _ in each.writes))
            if now > top:
                top = now
                if top > most:
                    self.left -= steps
                    return None
            for s, counts, ends in each.writes:  # rows that nobody waits for, or that everybody has skipped
                if s not in readers:
                    live -= counts[row] * size[s]
                elif low[s] > ends[row] - counts[row]:
                    live -= (min(low[s], ends[row]) - ends[row] + counts[row]) * size[s]
            if each.carried and row + 1 == each.steps:
                live -= each.carried
        self.left -= steps
        return top
