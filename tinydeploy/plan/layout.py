"""Each tensor's form and offset for a schedule of row steps: whole, a ring of its last rows, or its rows apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinydeploy.plan import bodies as placing
from tinydeploy.plan.bodies import Arrangement, Body, Box
from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.rows import RowGraph, Store
from tinydeploy.plan.schedule import Schedule
from tinydeploy.plan.types import ROW_ALIGNMENT

REACH = ROW_ALIGNMENT << 16  # of a table of rows, whose entries have 16 bits
_GROUPS = 3  # of the fullest segments that are tried as the only ones with rows apart
_MANY_ROWS = 1500  # of all stores together: with more than that, that is not tried
_MOST_SLOTS = 128  # of a tensor whose rows are worth places of their own; one of more is as good as whole
_MOST_TABLE_ROWS = 16_384  # in all tables of rows, two bytes of flash each
SCRATCH = -1  # in a body's key, before the actor's position


@dataclass(frozen=True)
class Lives:
    """When each row of each store is in use: `[born, end)` in ticks, by store and row."""

    born: tuple[tuple[int, ...], ...]
    end: tuple[tuple[int, ...], ...]
    ticks: int


@dataclass(frozen=True)
class Layout:
    """`slots`: by store, how many rows are kept; `apart`: the stores each of whose rows has a place of its own.

    `bodies` have the keys (store,), (store, row) for rows apart, or (SCRATCH, actor's position). `bound_bytes`: no
    arena can be smaller for this schedule.
    """

    bodies: tuple[Body, ...]
    arrangement: Arrangement
    slots: tuple[int, ...]
    apart: frozenset[int]
    bound_bytes: int


def lives_of(graph: RowGraph, schedule: Schedule) -> Lives:
    """When each row is in use: from the tick that writes it through the last that reads it."""
    ticks = max(1, len(schedule.ticks))  # what is given is there even if nothing runs
    born = [[0 if s.given else ticks] * s.rows for s in graph.stores]
    end = [[0] * s.rows for s in graph.stores]
    for t, (a, row) in enumerate(schedule.ticks):
        actor = schedule.actors[a]
        for s, spans in actor.writes:
            for r in range(*spans[row]):
                born[s][r] = min(born[s][r], t)
                end[s][r] = max(end[s][r], t + 1)
        for s, spans in actor.reads:
            for r in range(*spans[row]):
                end[s][r] = t + 1
    for store in graph.stores:
        for first, last in store.final_rows:
            end[store.id][first:last] = [ticks] * (last - first)
        if store.given:  # it is there at the start, even if nobody ever reads it
            end[store.id] = [max(e, 1) for e in end[store.id]]
    return Lives(tuple(map(tuple, born)), tuple(map(tuple, end)), ticks)


def lay_out(
    graph: RowGraph,
    schedule: Schedule,
    lives: Lives,
    *,
    behind: Collection[int] = (),
    budget: Budget = USUAL,
) -> Layout:
    """The smallest layout that is found; among equals one with fewer rows apart, which need tables.

    `behind`: tensors whose stores lie behind all others.
    """
    return _Search(graph, schedule, lives, frozenset(graph.views[t].store for t in behind), budget).layout()


def least_bytes(graph: RowGraph, schedule: Schedule, lives: Lives) -> int:
    """No layout of this schedule takes less."""
    return _Search(graph, schedule, lives, frozenset(), USUAL).bound


class _Search:
    def __init__(
        self, graph: RowGraph, schedule: Schedule, lives: Lives, behind: frozenset[int], budget: Budget
    ) -> None:
        self.graph = graph
        self.schedule = schedule
        self.lives = lives
        self.behind = behind
        self.budget = budget
        solid = {s.id for s in graph.stores if s.solid} | {s for a in schedule.actors for s in a.solid} | behind
        self.slots = tuple(
            s.rows if s.id in solid else ring_rows(lives.born[s.id], lives.end[s.id]) for s in graph.stores
        )
        self.may = self._may_lie_apart(solid)
        self.over = {
            (s, r): actor.over
            for actor in schedule.actors
            if actor.over
            for s, spans in actor.writes
            for span in spans
            for r in range(*span)
        }
        self.read = {
            (s, r) for actor in schedule.actors for s, spans in actor.reads for span in spans for r in range(*span)
        }
        self.scratch = self._scratch()
        self.bound = placing.lower_bound(self._bodies(frozenset()), lives.ticks)

    def _may_lie_apart(self, solid: Collection[int]) -> frozenset[int]:
        """Stores whose rows may have places of their own: of which few rows are kept, as far as tables stay small."""
        kept = [s for s in self.graph.stores if s.id not in solid and s.rows > 1 and self.slots[s.id] <= _MOST_SLOTS]
        left = _MOST_TABLE_ROWS
        found = set()
        for store in sorted(kept, key=lambda s: (s.rows, s.id)):
            left -= store.rows
            if left >= 0:
                found.add(store.id)
        return frozenset(found)

    def layout(self) -> Layout:
        """First without rows apart; then with all apart, which is the goal for having only some."""
        simple = self._tried(frozenset(), placing.EFFORT // 4)
        if simple.arrangement.bytes <= self.bound or not self.may:
            return simple
        goal = self._tried(self.may, placing.EFFORT)
        if goal.arrangement.bytes >= simple.arrangement.bytes or self._beyond_reach(goal):
            return simple
        apart: frozenset[int] = frozenset()
        few = sum(s.rows for s in self.graph.stores) <= _MANY_ROWS
        for group in self._by_fullness()[:_GROUPS] if few else ():
            apart |= group
            if apart != self.may:
                found = self._tried(apart, placing.EFFORT // 4)
                if found.arrangement.bytes <= goal.arrangement.bytes:
                    return found
        return goal

    def _tried(self, apart: frozenset[int], effort: int) -> Layout:
        bodies = self._bodies(apart)
        front = bodies[: len(bodies) - len(self.behind)]
        bound = placing.lower_bound(front, self.lives.ticks) if self.behind else self.bound
        arrangement = placing.stack(
            placing.arrange(front, bound, effort=effort, budget=self.budget), bodies[len(front) :]
        )
        return Layout(tuple(bodies), arrangement, self.slots, apart, self.bound)

    @staticmethod
    def _beyond_reach(layout: Layout) -> bool:
        """Whether rows of one tensor lie further from each other than its table can say."""
        places: dict[int, list[int]] = {}
        for body, at in zip(layout.bodies, layout.arrangement.offsets, strict=True):
            if body.key[0] in layout.apart:
                places.setdefault(body.key[0], []).append(at)
        return any(max(each) - min(each) >= REACH for each in places.values())

    def _by_fullness(self) -> list[frozenset[int]]:
        """The stores that may lie apart, segment by segment, those of the fullest segments first."""
        live = placing.live_bytes(self._bodies(frozenset()), self.lives.ticks)
        spans = list(pairwise((*segment_starts(self.schedule), self.lives.ticks)))
        peaks = {span: max(live[slice(*span)]) for span in spans if span[1] > span[0]}
        born, end = self.lives.born, self.lives.end
        return [
            frozenset(s for s in self.may if min(born[s]) < last and max(end[s]) > first)
            for first, last in sorted(peaks, key=lambda span: (-peaks[span], span))
        ]

    # -- bodies

    def _bodies(self, apart: frozenset[int]) -> list[Body]:
        """Those that lie behind all others are the last."""
        found = [*self.scratch]
        for store in sorted(self.graph.stores, key=lambda store: store.id in self.behind):
            if store.id in apart:
                boxes = [self._box(store, r, 0) for r in range(store.rows)]
                found += [Body((store.id, r), (box,)) for r, box in enumerate(boxes)]
            else:
                found.append(self._body(store))
        return found

    def _body(self, store: Store) -> Body:
        slots = self.slots[store.id]
        boxes: list[Box] = []
        for r in range(store.rows):
            box = self._box(store, r, r % slots * store.row_bytes)
            last = boxes[-1] if boxes else box
            same = (last.first, last.end, last.group) == (box.first, box.end, box.group)
            if boxes and slots == store.rows and same:
                whole = Box(last.offset, last.bytes + box.bytes, box.first, box.end, box.group, box.over)
                boxes[-1] = whole
            else:
                boxes.append(box)
        return Body((store.id,), tuple(boxes))

    def _box(self, store: Store, row: int, offset: int) -> Box:
        """A row that nobody reads is in no group: it ends in some tick, but no result is made from it there."""
        first, end = self.lives.born[store.id][row], self.lives.end[store.id][row]
        group = store.id if (store.id, row) in self.read else -1
        return Box(offset, store.row_bytes, first, end, group, self.over.get((store.id, row), frozenset()))

    def _scratch(self) -> list[Body]:
        """A body for each actor that needs scratch, or sums rows up."""
        times: dict[int, list[int]] = {}
        for t, (a, _) in enumerate(self.schedule.ticks):
            if self.schedule.actors[a].scratch_bytes:
                times.setdefault(a, []).append(t)
        found = []
        for a, ticks in times.items():
            actor = self.schedule.actors[a]
            spans = [(ticks[0], ticks[-1] + 1)] if actor.carries else runs(ticks)
            found.append(Body((SCRATCH, a), tuple(Box(0, actor.scratch_bytes, *span) for span in spans)))
        return found


def segment_starts(schedule: Schedule) -> list[int]:
    """The tick at which each segment begins."""
    found: list[int] = []
    for t, (a, _) in enumerate(schedule.ticks):
        while len(found) < len(schedule.cuts) - 1 and a >= schedule.cuts[len(found)]:
            found.append(t)
    return found


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring numbers, rising, as half-open spans."""
    found: list[tuple[int, int]] = []
    for n in numbers:
        if found and found[-1][1] == n:
            found[-1] = (found[-1][0], n + 1)
        else:
            found.append((n, n + 1))
    return found


def ring_rows(born: Sequence[int], end: Sequence[int]) -> int:
    """How many slots a ring needs so that no row is overwritten before its last reader is done."""
    rows = len(born)
    slots = 1
    for r in range(rows):
        while r + slots < rows and born[r + slots] < end[r]:
            slots += 1
    return slots
