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
BEAM_SHARE = 8  # of the visits allowed is what one beam may take
TRIES = 4  # at other ceilings, where the exact search has not finished
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

    When the visits are used up, a beam from either end, and then a few tries at ceilings between the bound and the
    best order: a generous one is met, and a tight one refuted, quickly.
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
    for forward in (True, False):
        side = _Side(graph, forward=forward)
        order = side.beam(low, visits // BEAM_SHARE)
        peak = max(graph.steps(order)[0])
        best = replace(best, visits=best.visits + side.visits)
        if peak < best.peak_bytes:
            best = replace(best, order=order, peak_bytes=peak)
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

    def beam(self, ceiling: int, visits: int) -> tuple[int, ...]:
        """An order found level by level: sets with the lowest peak so far are kept, then those with the fewest bytes.

        As many as the visits allow, on each level. Peaks up to `ceiling` are all as good.
        """
        last = self.visits + visits
        near = self.near[0]
        level = [(ceiling, near[1], 0, near[3], near[4])]
        levels: list[dict[int, tuple[int, int, int, int, int, int]]] = []
        for depth in range(self.graph.count):
            stop = self.visits + (last - self.visits) // (self.graph.count - depth)
            found: dict[int, tuple[int, int, int, int, int, int]] = {}
            for peak, live, _, placed, ready in level:
                if found and self.visits >= stop:
                    break
                for cost, beyond, v in self._moves(placed, ready, live, peak):
                    new = placed | 1 << v
                    height = max(peak, cost)
                    if new not in found or height < found[new][0]:
                        found[new] = (height, beyond, len(found), new, self._ready(new, ready, v), v)
            levels.append(found)
            level = sorted(entry[:5] for entry in found.values())
        order = []
        placed = self.graph.everything
        for found in reversed(levels):
            v = found[placed][5]
            order.append(v)
            placed ^= 1 << v
        return tuple(reversed(order) if self.forward else order)

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
        self.count += 1
        heappush(self.near, (depth, live, self.count, new, self._ready(new, ready, v)))

    def _ready(self, placed: int, ready: int, v: int) -> int:
        """What can be placed next once v has been placed, too; `ready` is what could before."""
        ready &= ~(1 << v)
        for w in bits(self.frees[v]):
            if not self.waits_for[w] & ~placed:
                ready |= 1 << w
        return ready

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
