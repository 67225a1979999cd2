"""From a schedule of row steps and its layout to a plan: the steps, what lies where, and what is alive when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from tinydeploy.ir import Model
from tinydeploy.operators.base import rows_of
from tinydeploy.plan.bodies import Box, live_bytes
from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.layout import SCRATCH, Layout, Lives, lay_out, least_bytes, lives_of, runs
from tinydeploy.plan.order import Order
from tinydeploy.plan.problem import MemoryOf, stated_memory
from tinydeploy.plan.regions import Room
from tinydeploy.plan.rows import RowGraph, build_rows
from tinydeploy.plan.schedule import Schedule, floor_bytes, one_by_one, streamed
from tinydeploy.plan.spread import spread_rows
from tinydeploy.plan.types import (
    FEED,
    ROW_ALIGNMENT,
    Buffer,
    Execution,
    Occupied,
    Peak,
    Placement,
    Plan,
    Problem,
    Proof,
    RowsAlive,
    Segment,
    Share,
    Step,
)

_Found = tuple[tuple[int, ...], RowGraph, Schedule]


def plan_rows(
    model: Model,
    execution: Execution,
    offered: Sequence[Order],
    *,
    fed: Sequence[int] = (),
    kept: Sequence[int] = (),
    in_place: bool = True,
    behind: Collection[int] = (),
    cut_after: Collection[int] = (),
    rooms: Sequence[Room] = (),
    budget: Budget = USUAL,
    memory_of: MemoryOf = stated_memory,
) -> Plan:
    """The plan for `overlap` or `streamed`, not yet validated. Deterministic.

    `behind`: tensors that lie behind all others. `cut_after`: operators after which no other may take turns with those
    before. Of the orders `offered`, the first of which is the model's own, the one whose schedule has the least peak is
    laid out.
    """
    graphs = [
        (each.order, build_rows(model, each.order, fed=fed, kept=kept, in_place=in_place, memory_of=memory_of))
        for each in offered
    ]

    def laid_out(found: _Found, execution: Execution) -> Plan:
        order, graph, schedule = found
        lives = lives_of(graph, schedule)
        layout = lay_out(graph, schedule, lives, behind=behind, budget=budget)
        shares: tuple[Share, ...] = ()
        if rooms:
            layout, shares = spread_rows(graph, schedule, layout, rooms)
        plan = _Assembly(model, order, graph, schedule, lives, layout, tuple(fed), tuple(kept)).plan(execution)
        return replace(plan, shares=shares)

    in_turn = [(order, graph, one_by_one(graph)) for order, graph in graphs]
    least = min(in_turn, key=lambda found: found[2].peak_bytes)
    if execution == "overlap":
        return laid_out(least, "overlap")
    best: _Found | None = None
    for order, graph in graphs:
        below = None if best is None else best[2].peak_bytes
        schedule = streamed(graph, budget, cut_after, below, share=len(offered))
        if schedule is not None:
            best = order, graph, schedule
    assert best is not None  # the first had no limit
    plan = laid_out(best, "streamed")
    _, graph, schedule = least
    # fewer bytes alive may need more room
    if least_bytes(graph, schedule, lives_of(graph, schedule)) < plan.arena_bytes:
        plan = min(plan, laid_out(least, "overlap"), key=lambda each: cost(each, rooms))
    return plan


def cost(plan: Plan, rooms: Sequence[Room]) -> tuple[bool, int]:
    """What fits the rooms comes first, then the smaller arena."""
    return bool(rooms) and not plan.shares, plan.arena_bytes


class _Assembly:
    """Turns ticks into steps, and stores into buffers and tensors' places."""

    def __init__(
        self,
        model: Model,
        order: Sequence[int],
        graph: RowGraph,
        schedule: Schedule,
        lives: Lives,
        layout: Layout,
        fed: tuple[int, ...],
        kept: tuple[int, ...],
    ) -> None:
        self.model = model
        self.fed = fed
        self.kept = kept
        self.graph = graph
        self.schedule = schedule
        self.lives = lives
        self.layout = layout
        self.offset = {b.key: at for b, at in zip(layout.bodies, layout.arrangement.offsets, strict=True)}
        self._make_steps(order)

    # -- steps

    def _make_steps(self, order: Sequence[int]) -> None:
        """Ticks of one actor in a row are one step. `step_of`: by tick; `ticks_of`: by step, half-open."""
        actors, ticks = self.schedule.actors, self.schedule.ticks
        segment = [0] * len(actors)
        for number, (i, j) in enumerate(pairwise(self.schedule.cuts)):
            segment[i:j] = [number] * (j - i)
        self.steps: list[Step] = []
        self.step_of: list[int] = []
        self.ticks_of: list[tuple[int, int]] = []
        segments: dict[int, tuple[int, int]] = {}
        waiting = list(order)
        previous = -1
        for t, (a, row) in enumerate(ticks):
            actor = actors[a]
            if a == previous and not actor.one_at_a_time:
                step = self.steps[-1]
                self.steps[-1] = Step(step.operator, step.first_row, self._end(a, row), feeds=step.feeds)
                self.ticks_of[-1] = (self.ticks_of[-1][0], t + 1)
                self.step_of.append(len(self.steps) - 1)
                continue
            if actor.operator != FEED and actor.operator in waiting:
                self._elide(waiting, actor.operator, t)
            first = row if actor.by_rows else 0
            self.steps.append(Step(actor.operator, first, self._end(a, row), feeds=actor.feeds))
            self.ticks_of.append((t, t + 1))
            self.step_of.append(len(self.steps) - 1)
            begun = segments.get(segment[a], (len(self.steps) - 1, 0))[0]
            segments[segment[a]] = (begun, len(self.steps))
            previous = a
        self._elide(waiting, None, len(ticks))
        if not ticks:
            self.step_of = [0]
        self.segments = []
        for number, (first, end) in sorted(segments.items()):
            i, j = self.schedule.cuts[number : number + 2]
            if j - i > 1:
                named = tuple(a.operator for a in actors[i:j] if a.operator != FEED)
                self.segments.append(Segment(first, end, named))

    def _end(self, a: int, row: int) -> int:
        actor = self.schedule.actors[a]
        if actor.by_rows:
            return row + 1
        op = self.model.operators[actor.operator]
        return rows_of(self.model.output_of(op))[0] if op.outputs else 0

    def _elide(self, waiting: list[int], upto: int | None, tick: int) -> None:
        """Steps of the operators before `upto` that do not run: their outputs are bytes that are there."""
        while waiting and waiting[0] != upto:
            number = waiting.pop(0)
            if number in self.graph.elided:
                rows = rows_of(self.model.output_of(self.model.operators[number]))[0]
                self.steps.append(Step(number, 0, rows, elided=True))
                self.ticks_of.append((tick, tick))
        if waiting:
            waiting.pop(0)

    # -- lives in steps

    def _ranges(self) -> dict[int, tuple[int, int]]:
        """Each tensor's live range in steps, from what writes it to what reads it last."""
        model = self.model
        first: dict[int, int] = {}
        end: dict[int, int] = {}
        for index in self.graph.views:
            if model.tensors[index].variable or (index in model.inputs and index not in self.fed):
                first[index], end[index] = 0, 1
        for number, step in enumerate(self.steps):
            op = None if step.operator == FEED else model.operators[step.operator]
            written = op.outputs if op is not None else [t for t in (step.feeds,) if t is not None]
            for index in written:
                first.setdefault(index, number)
                end[index] = number + 1
            for index in op.inputs if op is not None else ():
                if index >= 0 and not model.tensors[index].constant:
                    first.setdefault(index, number)
                    end[index] = number + 1
        for index in first:
            if index in model.outputs or index in self.kept or model.tensors[index].variable:
                end[index] = len(self.steps)
        return {index: (first[index], end[index]) for index in sorted(first)}

    # -- the plan

    def plan(self, execution: Execution) -> Plan:
        """All of it."""
        live_ticks = live_bytes(self.layout.bodies, self.lives.ticks)
        last = len(live_ticks) - 1
        widest = [
            max(range(min(a, last), max(b, min(a, last) + 1)), key=live_ticks.__getitem__) for a, b in self.ticks_of
        ]
        live = tuple(live_ticks[t] for t in widest)
        ranges = self._ranges()
        buffers, offsets, home = self._buffers(widest)
        placements = {}
        for index, span in ranges.items():
            placements[index] = self._place(index, home, *span)
        scratch = {
            self.schedule.actors[body.key[1]].operator: at
            for body, at in zip(self.layout.bodies, self.layout.arrangement.offsets, strict=True)
            if body.key[0] == SCRATCH
        }
        arena = self.layout.arrangement.bytes
        bound = self.layout.bound_bytes
        exact = arena == bound
        method = "best layout found"
        step = max(range(len(live)), key=lambda s: (live[s], not self.steps[s].elided, -s))
        floor = floor_bytes(self.graph)
        if exact:
            method = "no program of row steps needs less" if arena <= floor else "no layout of this program needs less"
        at_peak = [b.id for b in buffers if any(f <= step < e and size for f, e, size in b.pieces)]
        sizes = {b.id: next((size for f, e, size in b.pieces if f <= step < e), 0) for b in buffers}
        return Plan(
            problem=Problem(tuple(self.steps), tuple(buffers), ranges),
            offsets=tuple(offsets),
            placements=placements,
            arena_bytes=arena,
            alignment=ROW_ALIGNMENT,
            proof=Proof(bound, exact, method, floor_bytes=floor, complete=self.schedule.complete),
            peak=Peak(
                step,
                live[step],
                tuple(sorted(at_peak, key=lambda b: (-sizes[b], b))),
                self.schedule.ticks[widest[step]][1] if self.schedule.ticks else 0,
                self._rows_alive(widest[step], buffers, home),
            ),
            live_bytes=live,
            scratch_offsets=scratch,
            execution=execution,
            by_rows=frozenset(a.operator for a in self.schedule.actors if a.by_rows and a.operator != FEED),
            segments=tuple(self.segments),
            fed=self.fed,
            kept=self.kept,
            occupied=self._occupied(buffers, home),
        )

    def _occupied(self, buffers: Sequence[Buffer], home: dict[int, int]) -> tuple[Occupied, ...]:
        scratch = {b.scratch_of: b.id for b in buffers if b.scratch_of is not None}
        found = []
        for body, at in zip(self.layout.bodies, self.layout.arrangement.offsets, strict=True):
            if body.key[0] == SCRATCH:
                buffer = scratch[self.schedule.actors[body.key[1]].operator]
            else:
                buffer = home[body.key[0]]
            for box in body.boxes:
                first, end = self._steps_of(box.first, box.end)
                found.append(Occupied(buffer, at + box.offset, box.bytes, first, end))
        return tuple(found)

    def _steps_of(self, first: int, end: int) -> tuple[int, int]:
        """The steps of ticks `[first, end)`; the last tick goes on through steps in which nothing runs."""
        return self.step_of[first], len(self.steps) if end == self.lives.ticks else self.step_of[end - 1] + 1

    def _place(self, index: int, home: dict[int, int], first: int, end: int) -> Placement:
        view = self.graph.views[index]
        store = self.graph.stores[view.store]
        rows, _ = rows_of(self.model.tensors[index])
        if store.id in self.layout.apart:
            offsets = tuple(self.offset[store.id, r] for r in range(store.rows))
            return Placement(index, home[store.id], min(offsets), first, end, rows, "", offsets)
        slots = self.layout.slots[store.id]
        kept = rows if slots == store.rows else slots
        return Placement(index, home[store.id], self.offset[store.id,] + view.offset, first, end, kept)

    def _buffers(self, widest: Sequence[int]) -> tuple[list[Buffer], list[int], dict[int, int]]:
        """One buffer for each store and each scratch, its profile the bytes in use at each step's fullest tick."""
        by_key: dict[tuple[int, ...], list[int]] = {}
        for number, body in enumerate(self.layout.bodies):
            key = body.key if body.key[0] == SCRATCH else body.key[:1]
            by_key.setdefault(key, []).append(number)
        buffers: list[Buffer] = []
        offsets: list[int] = []
        home: dict[int, int] = {}
        for key, numbers in by_key.items():
            bodies = [self.layout.bodies[n] for n in numbers]
            places = [self.layout.arrangement.offsets[n] for n in numbers]
            profile = self._profile([box for body in bodies for box in body.boxes], widest)
            if not profile:
                continue
            size = max(at + body.bytes for at, body in zip(places, bodies, strict=True)) - min(places)
            if len(bodies) > 1:
                size = max(n for _, _, n in profile)
            scratch = self.schedule.actors[key[1]].operator if key[0] == SCRATCH else None
            tensors = () if key[0] == SCRATCH else self.graph.stores[key[0]].tensors
            if key[0] != SCRATCH:
                home[key[0]] = len(buffers)
            buffers.append(
                Buffer(
                    len(buffers),
                    size,
                    profile[0][0],
                    profile[-1][1],
                    tensors,
                    scratch,
                    any(self.model.tensors[t].variable for t in tensors),
                    ROW_ALIGNMENT,
                    tuple(profile),
                )
            )
            offsets.append(min(places))
        return buffers, offsets, home

    def _rows_alive(self, tick: int, buffers: Sequence[Buffer], home: dict[int, int]) -> tuple[RowsAlive, ...]:
        """What is in use at a tick, the largest first."""
        found = []
        for store in self.graph.stores:
            born, end = self.lives.born[store.id], self.lives.end[store.id]
            alive = [r for r in range(store.rows) if born[r] <= tick < end[r]]
            for first, last in runs(alive):
                found.append(RowsAlive(home[store.id], first, last, (last - first) * store.row_bytes))
        for buffer in buffers:
            if buffer.scratch_of is not None and any(f <= self.step_of[tick] < e and n for f, e, n in buffer.pieces):
                found.append(RowsAlive(buffer.id, 0, 0, buffer.bytes))
        return tuple(sorted(found, key=lambda each: (-each.bytes, each.buffer, each.first)))

    def _profile(self, boxes: Sequence[Box], widest: Sequence[int]) -> list[tuple[int, int, int]]:
        """Bytes of the boxes in use as `(first step, end step, bytes)`, at each step's fullest tick."""
        first, end = min(box.first for box in boxes), max(box.end for box in boxes)
        in_use = [0] * (end - first + 1)
        for box in boxes:
            in_use[box.first - first] += box.bytes
            in_use[box.end - first] -= box.bytes
        in_use = list(accumulate(in_use))
        found: list[tuple[int, int, int]] = []
        for step in range(*self._steps_of(first, end)):
            size = in_use[widest[step] - first] if first <= widest[step] < end else 0
            if found and found[-1][2] == size:
                found[-1] = (found[-1][0], step + 1, size)
            else:
                found.append((step, step + 1, size))
        return found
