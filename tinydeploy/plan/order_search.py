"""The search for an order of operators with the least peak: exact as far as its visits go, then as low as it gets.

A *visit* is one operator tried after (or before) one set of operators, or one edge of a minimum cut looked at.

What keeps the search small, for a peak that is to stay within a ceiling:

- Only sets are remembered, not orders: what is alive after a set does not depend on how it was reached.
- The ceiling starts at a lower bound. When nothing more is in reach below it, it rises to the cheapest step that was
  held back, which is a lower bound, too. So the first complete order is optimal.
- An operator that fits under the ceiling and does not raise the bytes alive is run at once: bytes alive are
  submodular, so doing it early makes no later step dearer.
- By the same argument, a set with the fewest bytes alive of all sets between it and the search's root is a place
  through which some optimal order goes, if it is in reach: the search starts afresh from there. The cut is found by
  maximum flow as soon as a set has no more bytes alive than the root.
- All of it works from the end backwards, too, and is often quick in one direction only: both take turns. The ceiling
  that one has proved, and the operators whose place it has settled, hold for the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from heapq import heappop, heappush

from tinydeploy.plan.liveness import Graph, bits

TURN_VISITS = 1_000  # of one direction before the other has its turn
TRIES = 6  # at other ceilings, where the exact search has not finished
TRY_SHARE = 10  # of the visits allowed is what one try may take


@dataclass(frozen=True)
class Found:
    """An order of a graph's operators (empty: none below the limit), its peak or else the limit, the bound proved for
    every order (0 for none above the ceiling), and the visits spent."""

    order: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int
    visits: int


def settle(graph: Graph, limit: int, ceiling: int, visits: int) -> Found:
    """An order with the least peak, if that is below the limit; peaks up to `ceiling` are all as good.

    When the visits are used up, a few more tries at ceilings in between: a generous one is met or refuted quickly.
    """
    exact = _Search(graph, ceiling, limit, visits)
    end = exact.run()
    bound = exact.ceiling if exact.ceiling > ceiling else 0
    best = Found((), limit, bound, exact.spent)
    if end is End.REFUTED:
        return replace(best, lower_bound_bytes=limit)
    if end is End.MET:
        return replace(best, order=exact.order, peak_bytes=max(graph.steps(exact.order)[0]))
    low = exact.ceiling
    for _ in range(TRIES):
        middle = (low + best.peak_bytes) // 2
        if not low < middle < best.peak_bytes:
            break
        search = _Search(graph, middle, middle + 1, visits // TRY_SHARE)
        end = search.run()
        best = replace(best, visits=best.visits + search.spent)
        if end is End.MET:
            best = replace(best, order=search.order, peak_bytes=max(graph.steps(search.order)[0]))
        else:
            low = middle
            if end is End.REFUTED:
                best = replace(best, lower_bound_bytes=search.ceiling)
    return best


class End(Enum):
    """How a search ended."""

    MET = "an order under the ceiling"
    REFUTED = "no order below the limit"
    GIVEN_UP = "visits used up"


class _Search:
    """Both directions with what they share. `order` is the result once the search has `MET` its ceiling."""

    def __init__(self, graph: Graph, ceiling: int, limit: int, visits: int) -> None:
        self.ceiling = ceiling
        self.limit = limit
        self.visits = visits
        self.everything = graph.everything
        self.sides = (_Side(graph, forward=True), _Side(graph, forward=False))
        self.order: tuple[int, ...] = ()

    @property
    def spent(self) -> int:
        """Visits of both directions."""
        return sum(side.visits for side in self.sides)

    def run(self) -> End:
        """Take turns until an order is found, refuted, or the visits are used up."""
        turn = 0
        while self.spent < self.visits:
            side, other = self.sides[turn % 2], self.sides[1 - turn % 2]
            turn += 1
            stop = side.visits + TURN_VISITS
            while side.visits < stop:
                goal = self.everything & ~other.root
                if side.root == goal:
                    forward, backward = self.sides
                    self.order = (*forward.settled, *reversed(backward.settled))
                    return End.MET
                if not side.expand(goal, self.ceiling):
                    self.ceiling = side.cheapest_held_back()
                    if self.ceiling >= self.limit:
                        return End.REFUTED
        return End.GIVEN_UP


class _Side:
    """The search from one end. `root` is the set of the operators in `settled`: they are in place for good.

    Sets are of operators placed so far: those that have run or, backwards, those that run after all others. `goal` is
    all that was left for this side when it last started afresh: what the other side settles later takes nothing away
    from the search under way, and is cut off its result.
    """

    def __init__(self, graph: Graph, *, forward: bool) -> None:
        self.graph = graph
        self.forward = forward
        self.waits_for = graph.before if forward else graph.after
        self.frees = graph.after if forward else graph.before
        self.visits = 0
        self.root = 0
        self.settled: list[int] = []
        self._start(self._live(0), graph.everything)

    def expand(self, goal: int, ceiling: int) -> bool:
        """Look at the most promising set: at all that can be placed next, or start afresh from there, for `goal`.

        False if nothing is left under the ceiling.
        """
        while self.held_back and self.held_back[0][0] <= ceiling:
            _, _, depth, live, placed, ready, v = heappop(self.held_back)
            self._reach(placed, ready, v, depth, live)
        if not self.near:
            return False
        depth, live, _, placed, ready = heappop(self.near)
        if placed == self.goal or (live <= self.root_live and placed != self.root):
            self._settle(placed, live, goal)
            return True
        moves = self._moves(placed, ready & self.goal, live, ceiling)
        for cost, beyond, v in moves:
            if cost <= ceiling:
                self._reach(placed, ready, v, depth - 1, beyond)
            elif placed | 1 << v not in self.came_from:
                self.count += 1
                heappush(self.held_back, (cost, self.count, depth - 1, beyond, placed, ready, v))
        return True

    def cheapest_held_back(self) -> int:
        """The lowest ceiling under which there is more to see."""
        return self.held_back[0][0]

    def _start(self, live: int, goal: int) -> None:
        self.root_live = live
        self.goal = goal
        self.count = 0  # of the entries so far: among equals, the first comes first
        self.came_from: dict[int, tuple[int, int]] = {self.root: (self.root, -1)}
        ready = 0
        for v in bits(self.graph.everything & ~self.root):
            if not self.waits_for[v] & ~self.root:
                ready |= 1 << v
        # deepest first, then the fewest bytes alive: (−operators, bytes alive, count, set, what can come next)
        self.near: list[tuple[int, int, int, int, int]] = [(0, live, 0, self.root, ready)]
        # cheapest step first: (bytes at the step, count, −operators, bytes alive, set, what can come next, operator)
        self.held_back: list[tuple[int, int, int, int, int, int, int]] = []

    def _moves(self, placed: int, ready: int, live: int, ceiling: int) -> list[tuple[int, int, int]]:
        """What can be placed next, as (bytes alive at the step, bytes alive beyond it, operator).

        One operator alone if it fits under the ceiling without raising the bytes alive.
        """
        graph, forward = self.graph, self.forward
        found = []
        run = placed if forward else graph.everything & ~placed
        for v in bits(ready):
            self.visits += 1
            freed, extra = graph.change(v, run | 1 << v)
            change = graph.born[v] - freed
            beyond = live + change if forward else live - change
            cost = (live if forward else beyond) + extra
            if beyond <= live and cost <= ceiling:
                return [(cost, beyond, v)]
            found.append((cost, beyond, v))
        return found

    def _reach(self, placed: int, ready: int, v: int, depth: int, live: int) -> None:
        new = placed | 1 << v
        if new in self.came_from:
            return
        self.came_from[new] = (placed, v)
        ready &= ~(1 << v)
        for w in bits(self.frees[v]):
            if not self.waits_for[w] & ~new:
                ready |= 1 << w
        self.count += 1
        heappush(self.near, (depth, live, self.count, new, ready))

    def _settle(self, placed: int, live: int, goal: int) -> None:
        """Start afresh, for `goal`, from the set with the fewest bytes alive between the root and `placed`.

        What lies outside of `goal` has been settled by the other side, and leaving it out costs no byte: that side
        has cut where the fewest bytes are alive, too.
        """
        path: list[int] = []
        at = placed
        while at != self.root:
            at, v = self.came_from[at]
            path.append(v)
        path.reverse()
        if placed != self.goal and len(path) > 1:
            valley, looked_at = self._valley(placed)
            self.visits += looked_at
            path = [v for v in path if valley >> v & 1]
        path = [v for v in path if goal >> v & 1]
        for v in path:
            self.root |= 1 << v
        self.settled += path
        self._start(live if self.root == placed else self._live(self.root), goal)

    def _valley(self, placed: int) -> tuple[int, int]:
        if self.forward:
            return self.graph.valley(self.root, placed, largest=True)
        everything = self.graph.everything
        run, looked_at = self.graph.valley(everything & ~placed, everything & ~self.root, largest=False)
        return everything & ~run, looked_at

    def _live(self, placed: int) -> int:
        run = placed if self.forward else self.graph.everything & ~placed
        return self.graph.steps(list(bits(run)))[1][-1] if run else self.graph.start_bytes
