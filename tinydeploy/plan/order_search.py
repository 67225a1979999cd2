"""The search for an order of operators with the least peak: exact as far as its visits go, then a beam.

A *visit* is one operator tried after (or before) one set of operators, or one edge of a minimum cut looked at.

What keeps the exact search small, for a peak that is to stay within a ceiling:

- Only sets are remembered, not orders: what is alive after a set does not depend on how it was reached.
- The ceiling starts at a lower bound. When nothing more is in reach below it, it rises to the cheapest step that it
  held back, which is a lower bound, too. So the first complete order is optimal.
- An operator that fits under the ceiling and does not raise the bytes alive is run at once: bytes alive are
  submodular, so doing it early makes no later step dearer.
- By the same argument, a set with the fewest bytes alive of all sets between it and the search's root is a place
  through which some optimal order goes, if it is in reach: the search starts afresh from there. The cut is found by
  maximum flow as soon as a set has no more bytes alive than the root.
- All of it works from the end backwards, too, and is often quick in one direction only: both take turns, with more
  visits each time. What one direction has settled, and the ceiling, hold for the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush

from tinydeploy.plan.liveness import Graph, bits

FIRST_VISITS = 2_000  # of the exact search's first turn in each direction

Move = tuple[int, int, int]
"""Bytes alive at the step, bytes alive on its far side, and the operator."""


@dataclass(frozen=True)
class Found:
    """An order of a graph's operators (empty: none below the limit), its peak or else the limit, the bound proved for
    every order, and the visits spent."""

    order: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int
    visits: int


class Walk:
    """The graph walked from its start, or backwards from its end: `done` are the operators already placed."""

    def __init__(self, graph: Graph, *, forward: bool) -> None:
        self.graph = graph
        self.forward = forward
        self.visits = 0
        self.waits_for = graph.before if forward else graph.after
        self.frees = graph.after if forward else graph.before

    def ready(self, done: int) -> int:
        """The operators that can be placed next."""
        return sum(1 << v for v in bits(self.graph.everything & ~done) if not self.waits_for[v] & ~done)

    def ready_after(self, v: int, done: int, ready: int) -> int:
        """The same once v has been placed, too; `done` has it, `ready` is from before."""
        ready &= ~(1 << v)
        for w in bits(self.frees[v]):
            if not self.waits_for[w] & ~done:
                ready |= 1 << w
        return ready

    def moves(self, done: int, ready: int, live: int, ceiling: int) -> list[Move]:
        """All that can be placed next; or the first alone that fits under the ceiling without raising the bytes."""
        graph, forward = self.graph, self.forward
        found = []
        run = done if forward else graph.everything & ~done
        for v in bits(ready):
            freed, extra = graph.change(v, run | 1 << v)
            change = graph.born[v] - freed
            beyond = live + change if forward else live - change
            cost = (live if forward else beyond) + extra
            self.visits += 1
            if beyond <= live and cost <= ceiling:
                return [(cost, beyond, v)]
            found.append((cost, beyond, v))
        return found


def settle(graph: Graph, limit: int, ceiling: int, visits: int) -> Found:
    """An order with the least peak; beyond `visits`, the best of two beams; none unless it stays below the limit.

    Peaks up to `ceiling` are all as good; the bound proved is 0 when nothing was found out above it.
    """
    search = _Exact(graph, ceiling, limit, visits)
    order = search.run()
    if order is None:
        return Found((), limit, limit, search.spent)
    bound = search.ceiling if search.ceiling > ceiling else 0
    if order:
        return Found(tuple(order), max(graph.steps(order)[0]), bound, search.spent)
    best = Found((), limit, bound, search.spent)
    for forward in (True, False):
        tried, looked_at = beam(graph, search.ceiling, visits // 4, forward=forward)
        peak = max(graph.steps(tried)[0])
        better = peak < best.peak_bytes
        best = replace(
            best,
            order=tuple(tried) if better else best.order,
            peak_bytes=min(peak, best.peak_bytes),
            visits=best.visits + looked_at,
        )
    return best


class _Exact:
    """The exact search. `head` and `tail` are what the operators in `low`, and those not in `high`, are settled to."""

    def __init__(self, graph: Graph, ceiling: int, limit: int, visits: int) -> None:
        self.graph = graph
        self.ceiling = ceiling
        self.limit = limit
        self.visits = visits
        self.spent = 0
        self.low, self.high = 0, graph.everything
        self.head: list[int] = []
        self.tail: list[int] = []  # last operator first

    def run(self) -> list[int] | None:
        """An optimal order; None if no order stays below the limit; an empty one when the visits are used up."""
        share, forward = FIRST_VISITS, True
        while self.spent < self.visits:
            walk = Walk(self.graph, forward=forward)
            done = self._walk(walk, min(share, self.visits - self.spent))
            self.spent += walk.visits
            if done is None:
                return None
            if done:
                return [*self.head, *reversed(self.tail)]
            share, forward = (share if forward else 4 * share), not forward
        return []

    def _walk(self, walk: Walk, visits: int) -> bool | None:
        graph = self.graph
        settled = self.head if walk.forward else self.tail
        goal = self.high if walk.forward else graph.everything & ~self.low
        root = self.low if walk.forward else graph.everything & ~self.high
        live = self._live()[0 if walk.forward else 1]
        while True:
            reached = self._leg(walk, root, live, goal, visits)
            if not isinstance(reached, tuple):
                return reached
            path, live = reached
            settled += path
            for v in path:
                root |= 1 << v
            if walk.forward:
                self.low = root
            else:
                self.high = graph.everything & ~root
            if root == goal:
                return True

    def _live(self) -> tuple[int, int]:
        """Bytes alive after `low`, and after `high`."""
        live = []
        for inside in (self.low, self.high):
            order = list(bits(inside))
            live.append(self.graph.steps(order)[1][-1] if order else self.graph.start_bytes)
        return live[0], live[1]

    def _leg(
        self, walk: Walk, root: int, root_live: int, goal: int, visits: int
    ) -> tuple[list[int], int] | bool | None:
        """The operators to the goal, or to a set through which an optimal order goes, and the bytes alive there.

        None if no order stays below the limit, False if the visits are used up.
        """
        came_from: dict[int, tuple[int, int]] = {root: (root, -1)}
        ready = walk.ready(root) & goal
        # deepest first, then the fewest bytes alive; the counter keeps the order of equals
        near: list[tuple[int, int, int, int, int]] = [(0, root_live, 0, root, ready)]
        held_back: list[tuple[int, int, int, int, int, int, int]] = []
        count = 0
        while True:
            if not near:
                self.ceiling = held_back[0][0]
                if self.ceiling >= self.limit:
                    return None
                while held_back and held_back[0][0] <= self.ceiling:
                    _, depth, live, _, done, ready, v = heappop(held_back)
                    if done | 1 << v not in came_from:
                        came_from[done | 1 << v] = (done, v)
                        count += 1
                        after = walk.ready_after(v, done | 1 << v, ready) & goal
                        heappush(near, (depth, live, count, done | 1 << v, after))
                continue
            depth, live, _, done, ready = heappop(near)
            if done == goal or (live <= root_live and done != root):
                return self._cut(walk, root, done, live, _path(came_from, done), goal)
            moves = walk.moves(done, ready, live, self.ceiling)
            if walk.visits > visits:
                return False
            for cost, beyond, v in moves:
                new = done | 1 << v
                if new in came_from:
                    continue
                count += 1
                if cost > self.ceiling:
                    heappush(held_back, (cost, depth - 1, beyond, count, done, ready, v))
                    continue
                came_from[new] = (done, v)
                heappush(near, (depth - 1, beyond, count, new, walk.ready_after(v, new, ready) & goal))

    def _cut(self, walk: Walk, root: int, done: int, live: int, path: list[int], goal: int) -> tuple[list[int], int]:
        """The part of the path to the set with the fewest bytes alive between the root and `done`."""
        if done == goal or len(path) == 1:
            return path, live
        everything = self.graph.everything
        if walk.forward:
            valley, looked_at = self.graph.valley(root, done, largest=True)
        else:
            outside, looked_at = self.graph.valley(everything & ~done, everything & ~root, largest=False)
            valley = everything & ~outside
        walk.visits += looked_at
        path = [v for v in path if valley >> v & 1]
        run = list(bits(valley if walk.forward else everything & ~valley))
        return path, self.graph.steps(run)[1][-1]


def _path(came_from: dict[int, tuple[int, int]], done: int) -> list[int]:
    path: list[int] = []
    while True:
        done, v = came_from[done]
        if v < 0:
            return path[::-1]
        path.append(v)


def beam(graph: Graph, ceiling: int, visits: int, *, forward: bool) -> tuple[list[int], int]:
    """An order found level by level, keeping the sets with the lowest peak so far and then the fewest bytes alive.

    As many sets are kept as the visits allow. Peaks up to `ceiling` are all as good. Also returns the visits spent.
    """
    walk = Walk(graph, forward=forward)
    root = 0
    live = graph.start_bytes if forward else graph.steps(range(graph.count))[1][-1]
    level: list[tuple[int, int, int, int, int]] = [(ceiling, live, 0, root, walk.ready(root))]
    came_from: list[dict[int, tuple[int, int]]] = []
    for depth in range(graph.count):
        share = walk.visits + max(1, (visits - walk.visits) // (graph.count - depth))
        best: dict[int, tuple[int, int, int, int, int]] = {}
        origin: dict[int, tuple[int, int]] = {}
        for peak, live, _, done, ready in level:
            if walk.visits >= share and best:
                break
            for cost, beyond, v in walk.moves(done, ready, live, peak):
                new = done | 1 << v
                height = max(peak, cost)
                if new not in best or height < best[new][0]:
                    best[new] = (height, beyond, len(best), new, walk.ready_after(v, new, ready))
                    origin[new] = (done, v)
        level = sorted(best.values())
        came_from.append(origin)
    order = []
    done = graph.everything
    for origin in reversed(came_from):
        done, v = origin[done]
        order.append(v)
    return (order[::-1] if forward else order), walk.visits
