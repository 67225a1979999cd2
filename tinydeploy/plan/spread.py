"""An arena spread over several memories: bodies that straddle no hole, the busiest where the core is soonest.

The rooms are laid one behind the other as windows of one space of offsets, the fastest first. A body is placed in a
window as it would be in an arena of its own. What stays empty at the end of a window is left out afterwards, so that
offsets count the bytes that are used, and nothing else.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tinydeploy.ir import Model
from tinydeploy.plan.bodies import Arrangement, Body, Box, Space, orders
from tinydeploy.plan.layout import REACH, SCRATCH, Layout
from tinydeploy.plan.regions import Room
from tinydeploy.plan.rows import RowGraph
from tinydeploy.plan.schedule import Schedule
from tinydeploy.plan.types import ALIGNMENT, ROW_ALIGNMENT, Plan, Share
from tinydeploy.units import align_up

EFFORT = 600_000  # pairs of bodies that may be looked at: about a second in CPython


@dataclass(frozen=True)
class Spread:
    """Where bodies lie: offsets by body, and where the offsets are."""

    offsets: tuple[int, ...]
    shares: tuple[Share, ...]

    @property
    def bytes(self) -> int:
        """Of the whole arena."""
        return sum(share.bytes for share in self.shares)


def spread_rows(
    graph: RowGraph, schedule: Schedule, layout: Layout, rooms: Sequence[Room]
) -> tuple[Layout, tuple[Share, ...]]:
    """The layout, changed so that it lies in the rooms, and where that is; as it is where that was not found."""
    traffic = _traffic_of_rows(graph, schedule)
    busy = [traffic[body.key] for body in layout.bodies]
    together = [body.key[0] if body.key[0] in layout.apart else None for body in layout.bodies]
    found = spread(layout.bodies, busy, layout.arrangement, rooms, together)
    if not found.shares:
        return layout, ()
    return replace(layout, arrangement=Arrangement(found.offsets, found.bytes)), found.shares


def spread_whole(model: Model, plan: Plan, rooms: Sequence[Room]) -> Plan:
    """A plan of whole tensors, changed so that it lies in the rooms; as it is where that was not found."""
    problem = plan.problem
    home = {tensor: buffer.id for buffer in problem.buffers for tensor in buffer.tensors}
    busy = [0] * len(problem.buffers)
    for op in model.operators:
        for tensor in (*op.inputs, *op.outputs):
            if tensor in home:
                busy[home[tensor]] += model.tensors[tensor].bytes
    for buffer in problem.buffers:
        if buffer.scratch_of is not None:
            busy[buffer.id] += 2 * buffer.bytes
    bodies = [Body((b.id,), tuple(Box(0, size, first, end) for first, end, size in b.pieces)) for b in problem.buffers]
    found = spread(bodies, busy, Arrangement(plan.offsets, plan.arena_bytes), rooms)
    if not found.shares:
        return plan
    at = found.offsets
    return replace(
        plan,
        offsets=at,
        placements={t: replace(place, offset=at[place.buffer]) for t, place in plan.placements.items()},
        arena_bytes=found.bytes,
        scratch_offsets={op: at[b.id] for b in problem.buffers for op in (b.scratch_of,) if op is not None},
        occupied=tuple(replace(o, offset=o.offset - plan.offsets[o.buffer] + at[o.buffer]) for o in plan.occupied),
        proof=plan.proof
        if found.bytes == plan.arena_bytes
        else replace(plan.proof, optimal=False, exhaustive=False, method="best spread over memories found"),
        shares=found.shares,
    )


def spread(
    bodies: Sequence[Body],
    busy: Sequence[int],
    packed: Arrangement,
    rooms: Sequence[Room],
    together: Sequence[int | None] | None = None,
    *,
    effort: int = EFFORT,
) -> Spread:
    """Offsets for the bodies in the rooms, such that the most traffic is found to be in the fastest of them.

    `busy`: by body, the bytes that are read and written in it. `packed`: where they lie in one piece; a room that is
    large enough for that is used alone, and no more of it. `together`: bodies with the same number lie in one room, so
    near to each other that a table of rows reaches them. The result has no shares where none was found.
    """
    enough = [room for room in rooms if room.bytes >= packed.bytes]
    if enough:
        cut = [room.first(packed.bytes) for room in enough]
        room = min(cut, key=lambda each: each.cost(0, packed.bytes))
        search = _Search(bodies, busy, [room], together)
        return search.spread(search.best(effort, packed.offsets))
    search = _Search(bodies, busy, rooms, together)
    return search.spread(search.best(effort, None))


class _Search:
    """Orders of the bodies, each of which is placed as soon as it can be in the first window that has room."""

    def __init__(
        self,
        bodies: Sequence[Body],
        busy: Sequence[int],
        rooms: Sequence[Room],
        together: Sequence[int | None] | None,
    ) -> None:
        self.space = Space(bodies)
        self.bodies = bodies
        self.busy = busy
        self.rooms = [room for room in rooms if room.bytes]
        self.together = together if together is not None else [None] * len(bodies)
        self.starts = [0, *accumulate(room.bytes for room in self.rooms)]
        self.even = len({zone.speed for room in self.rooms for zone in room.zones}) < 2

    def best(self, effort: int, known: Sequence[int] | None) -> Sequence[int] | None:
        """The offsets with the least cost; `known` ones are good enough to begin with."""
        best = known
        if known is not None and self.even:
            return known
        indices = range(len(self.bodies))
        dense = sorted(indices, key=lambda b: (-self.busy[b] / max(1, self.space.sizes[b]), b))
        order = dense
        for trial in (dense, *orders(self.bodies)):
            found, used, settled = self._persist(trial, effort // 4)
            effort -= used
            if found is not None and (best is None or self.cost(found) < self.cost(best)):
                best, order = found, settled
            if best is not None and (self.even or effort <= 0):
                return best
        if best is None:
            return None
        source = random.Random(0)
        least = self.cost(best)
        while effort > 0:
            trial = list(order)
            slow = [b for b in indices if self.cost_of(b, best[b]) > self.busy[b]]
            if not slow:
                break
            at = trial.index(source.choice(slow))
            trial.insert(source.randrange(at + 1), trial.pop(at))
            found, _ = self._place(trial, frozenset())
            effort -= self.space.meetings
            if found is not None and self.cost(found) <= least:
                best, order, least = found, trial, self.cost(found)
        return best

    def cost(self, offsets: Sequence[int]) -> float:
        """Traffic, each byte as many times as its memory is slow."""
        return sum(self.cost_of(b, at) for b, at in enumerate(offsets))

    def cost_of(self, b: int, at: int) -> float:
        """One body's share of that."""
        window = self.window_of(at)
        return self.busy[b] * self.rooms[window].cost(at - self.starts[window], self.space.sizes[b])

    def window_of(self, offset: int) -> int:
        """The window that an offset is in."""
        return max(w for w in range(len(self.rooms)) if self.starts[w] <= offset)

    def _persist(self, order: Sequence[int], effort: int) -> tuple[list[int] | None, int, list[int]]:
        """Places in an order in which what found no place comes ever earlier; also the effort, and the order.

        Where that goes in circles, some other body comes first as well.
        """
        current = list(order)
        seen: set[int] = set()
        source = random.Random(0)
        barred: frozenset[tuple[int, int]] = frozenset()
        used = 0
        while used <= effort:
            offsets, failed = self._place(current, barred)
            used += self.space.meetings
            if offsets is not None:
                return offsets, used, current
            assert failed is not None
            body, window = failed
            group = self.together[body]
            if group is not None and window is not None:
                barred |= {(group, window)}  # the others of its group were in the way of it
            else:
                at = current.index(body)
                current.insert(at // 2, current.pop(at))
            known = hash(tuple(current))
            if known in seen:
                current.insert(0, current.pop(source.randrange(len(current))))
            seen.add(known)
        return None, used, current

    def _place(
        self, order: Sequence[int], barred: frozenset[tuple[int, int]]
    ) -> tuple[list[int] | None, tuple[int, int | None] | None]:
        """Offsets, or the body that found no place, with the window that it was bound to."""
        offsets = [-1] * len(self.bodies)
        bound: dict[int, int] = {}
        for b in order:
            group = self.together[b]
            windows: Sequence[int] = range(len(self.rooms))
            if group is not None:
                windows = [bound[group]] if group in bound else [w for w in windows if (group, w) not in barred]
            for w in windows:
                start, end = self.starts[w], self.starts[w + 1]
                if group is not None:
                    end = min(end, start + REACH)
                at = self.space.lowest(b, offsets, start)
                if at + self.space.sizes[b] <= end:
                    offsets[b] = at
                    if group is not None:
                        bound[group] = w
                    break
            else:
                return None, (b, bound.get(group) if group is not None else None)
        return offsets, None

    def spread(self, offsets: Sequence[int] | None) -> Spread:
        """With the empty ends of windows left out."""
        if offsets is None:
            return Spread((), ())
        window = [self.window_of(at) for at in offsets]
        top: Counter[int] = Counter()
        for b, at in enumerate(offsets):
            w = window[b]
            top[w] = max(top[w], at + self.space.sizes[b] - self.starts[w])
        shares: list[Share] = []
        begins: dict[int, int] = {}
        offset = 0
        for w in sorted(top):
            size = align_up(top[w], ROW_ALIGNMENT if w == max(top) else ALIGNMENT)
            begins[w] = offset
            shares.append(Share(self.rooms[w].first(size).name, self.rooms[w].base, offset, size))
            offset += size
        moved = tuple(begins[w] + at - self.starts[w] for w, at in zip(window, offsets, strict=True))
        return Spread(moved, tuple(shares))


def _traffic_of_rows(graph: RowGraph, schedule: Schedule) -> Counter[tuple[int, ...]]:
    """Bytes read and written, by the keys that bodies have: a store, one of its rows, or the scratch of an actor."""
    found: Counter[tuple[int, ...]] = Counter()
    for a, row in schedule.ticks:
        actor = schedule.actors[a]
        for store, spans in (*actor.reads, *actor.writes):
            size = graph.stores[store].row_bytes
            for r in range(*spans[row]):
                found[store,] += size
                found[store, r] += size
        found[SCRATCH, a] += 2 * actor.scratch_bytes
    return found
