"""Streamed plans without the planner: every chain of operators that can go row by row does, each tensor in a ring.

Nothing shares space, so that what the generated code does with rings, row tables, segments and fed rows can be tested
apart from how plans are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Rows, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan import make_plan
from tinydeploy.plan.types import ALIGNMENT, FEED, ROW_ALIGNMENT, Placement, Plan, Segment, Step
from tinydeploy.units import align_up


def streamed_plan(model: Model, *, feed: bool = False, scatter: bool = False, chunk: int = 1) -> Plan:
    """Each row as late as its reader allows, `chunk` row steps at a time.

    `feed`: inputs are handed over by rows where a segment is all that reads them. `scatter`: rows of rings lie in
    places of their own, in falling order, instead of one behind the other.
    """
    whole = make_plan(model, in_place=False, solver="builtin")
    builder = _Streamer(model, feed, chunk)
    for group in _groups(model, whole):
        if len(group) == 1:
            builder.whole(group[0], whole)
        else:
            builder.segment(group)
    placements, arena_bytes = _place(model, whole, builder, scatter)
    scratch = {}
    for number, size in builder.scratch.items():
        scratch[number] = arena_bytes
        arena_bytes += align_up(size, ALIGNMENT)
    return replace(
        whole,
        problem=replace(whole.problem, steps=tuple(builder.steps)),
        placements=placements,
        arena_bytes=arena_bytes,
        scratch_offsets=scratch,
        execution="streamed",
        by_rows=frozenset(builder.rows),
        segments=tuple(builder.segments),
        fed=tuple(builder.fed),
    )


def _streams(model: Model, op: Operator) -> Rows | None:
    kind = kind_of(op.opcode)
    return None if kind is None else kind.rows(model, op)


def _groups(model: Model, whole: Plan) -> list[list[int]]:
    """The operators in order, those that take turns together in one list."""
    groups: list[list[int]] = []
    open_group = False
    for step in whole.problem.steps:
        streams = not step.elided and _streams(model, model.operators[step.operator]) is not None
        if streams and open_group:
            groups[-1].append(step.operator)
        else:
            groups.append([step.operator])
        open_group = streams
    return groups


@dataclass
class _Streamer:
    model: Model
    feed: bool
    chunk: int
    steps: list[Step] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    rows: dict[int, Rows] = field(default_factory=dict)
    scratch: dict[int, int] = field(default_factory=dict)
    fed: list[int] = field(default_factory=list)
    rings: dict[int, int] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)  # row steps, by operator, or by ~tensor where it is fed

    def whole(self, number: int, plan: Plan) -> None:
        """One step for one operator."""
        self.steps += [step for step in plan.problem.steps if step.operator == number]

    def segment(self, numbers: Sequence[int]) -> None:
        """Operators that take turns."""
        model, first = self.model, len(self.steps)
        ops = [model.operators[n] for n in numbers]
        for op in ops:
            self.rows[op.index] = rows = _streams(model, op) or Rows({}, ())
            if rows.accumulator_bytes:
                self.scratch[op.index] = rows.accumulator_bytes
        makers = {t: op.index for op in ops for t in op.outputs}
        if self.feed:
            read = {t for op in ops for t in op.inputs}
            elsewhere = {t for op in model.operators if op.index not in numbers for t in op.inputs}
            for tensor in sorted(set(model.inputs) & read - elsewhere - set(model.outputs)):
                makers[tensor] = ~tensor
                self.fed.append(tensor)
        outside = {t for op in model.operators if op.index not in numbers for t in op.inputs} | set(model.outputs)
        self.rings |= {t: 1 for t in makers if t not in outside and not self._solid(t, ops)}
        self.readers = {t: [op for op in ops if t in op.inputs] for t in makers}
        self.makers = makers
        for op in reversed(ops):
            self._advance(op.index, len(self.rows[op.index].writes))
        for tensor in [t for t in self.fed if makers.get(t) == ~t]:
            self._advance(~tensor, rows_of(model.tensor(tensor))[0])
        self.segments.append(Segment(first, len(self.steps), tuple(numbers)))

    def _solid(self, tensor: int, ops: Sequence[Operator]) -> bool:
        return any(op.inputs[p] == tensor for op in ops for p in self.rows[op.index].solid)

    def _count(self, actor: int) -> int:
        return rows_of(self.model.tensor(~actor))[0] if actor < 0 else len(self.rows[actor].writes)

    def _advance(self, actor: int, end: int) -> None:
        """Run an actor until it has done its row steps before `end`, and before that whatever it needs."""
        while self.done.get(actor, 0) < end:
            first = self.done.get(actor, 0)
            last = min(first + self.chunk, self._count(actor))
            if actor >= 0:
                op = self.model.operators[actor]
                for position, reads in self.rows[actor].reads.items():
                    self._ensure(op.inputs[position], max(high for _, high in reads[first:last]))
            self.done[actor] = last
            if actor < 0:
                self.steps.append(Step(FEED, first, last, feeds=~actor))
                self._grow(~actor, last)
            else:
                self.steps.append(Step(actor, first, last))
                for tensor in self.model.operators[actor].outputs:
                    self._grow(tensor, max(high for _, high in self.rows[actor].writes[first:last]))

    def _ensure(self, tensor: int, rows: int) -> None:
        maker = self.makers.get(tensor)
        if maker is None or not rows:
            return
        if maker < 0:
            self._advance(maker, rows)
        else:
            writes = self.rows[maker].writes
            self._advance(maker, next(i for i, (_, high) in enumerate(writes) if high >= rows) + 1)

    def _grow(self, tensor: int, written: int) -> None:
        """A ring holds what is written and any reader still wants."""
        if tensor not in self.rings:
            return
        wanted = written
        for op in self.readers[tensor]:
            at = self.done.get(op.index, 0)
            for position, reads in self.rows[op.index].reads.items():
                if op.inputs[position] == tensor:
                    wanted = min([wanted, *(low for low, high in reads[at:] if high > low)])
        self.rings[tensor] = max(self.rings[tensor], written - wanted)


def _place(model: Model, whole: Plan, builder: _Streamer, scatter: bool) -> tuple[dict[int, Placement], int]:
    placements: dict[int, Placement] = {}
    at = 0
    shared: dict[int, int] = {}  # of a buffer with tensors that are the same bytes
    for index, place in whole.placements.items():
        rows, row_bytes = rows_of(model.tensor(index))
        kept = min(builder.rings.get(index, rows), rows)
        if kept == rows and place.buffer in shared:
            placements[index] = replace(place, offset=shared[place.buffer])
        elif scatter and index in builder.rings:
            size = align_up(row_bytes, ROW_ALIGNMENT)
            offsets = tuple(at + (kept - 1 - r % kept) * size for r in range(rows))
            placements[index] = replace(place, offset=min(offsets), ring_rows=kept, row_offsets=offsets)
            at += align_up(kept * size, ALIGNMENT)
        else:
            placements[index] = replace(place, offset=at, ring_rows=kept)
            shared[place.buffer] = at
            at += align_up(kept * row_bytes, ALIGNMENT)
    return placements, at
