"""A model as rows: which rows each row step of an operator reads and writes, and which tensors are the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory, Rows, Span, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.problem import MemoryOf, alias_source, check_flow, stated_memory
from tinydeploy.plan.types import FEED


@dataclass(frozen=True)
class Store:
    """Bytes in an arena that one tensor is, or several that are the same bytes, cut into equal rows.

    `given`: there before the first step. `final`: to be intact after the last, `final_rows` of it. `solid`: its rows
    must lie one behind the other whatever reads them.
    """

    id: int
    tensors: tuple[int, ...]
    rows: int
    row_bytes: int
    given: bool
    final: bool
    solid: bool
    final_rows: tuple[Span, ...] = ()


@dataclass(frozen=True)
class View:
    """Where a tensor's bytes are: `offset` bytes into a store."""

    store: int
    offset: int


Reads = tuple[tuple[int, tuple[Span, ...]], ...]
"""By store: the rows that each row step takes."""


@dataclass(frozen=True)
class Actor:
    """One operator, or the application that feeds an input, and the rows of its steps, in rows of stores.

    `over`: stores of which an output row may lie over the row that the same step reads. `solid`: stores whose rows must
    lie one behind the other. `scratch_bytes` are needed in each step; with `carries` they hold sums from the first
    step to the last. `one_at_a_time`: no call may go through several row steps.
    """

    operator: int
    feeds: int | None
    steps: int
    reads: Reads
    writes: Reads
    scratch_bytes: int = 0
    carries: bool = False
    one_at_a_time: bool = False
    over: frozenset[int] = frozenset()
    solid: frozenset[int] = frozenset()
    by_rows: bool = True


@dataclass(frozen=True)
class RowGraph:
    """All stores, and the actors in an order that can be executed. `elided` operators have no actor.

    `alone`: by actor's position, how it goes when no other takes turns with it, where that is different.
    """

    stores: tuple[Store, ...]
    views: dict[int, View]
    actors: tuple[Actor, ...]
    alone: dict[int, Actor]
    elided: frozenset[int]


@dataclass
class _Draft:
    """A store while it is being found out."""

    tensors: list[int]
    rows: int
    row_bytes: int
    solid: bool = False


@dataclass
class _Builder:
    model: Model
    memory_of: MemoryOf
    fed: frozenset[int]
    kept: frozenset[int]
    in_place: bool
    drafts: list[_Draft] = field(default_factory=list)
    views: dict[int, View] = field(default_factory=dict)
    elided: set[int] = field(default_factory=set)

    def settle(self, tensor: int) -> None:
        rows, row_bytes = rows_of(self.model.tensors[tensor])
        self.views[tensor] = View(len(self.drafts), 0)
        self.drafts.append(_Draft([tensor], rows, row_bytes))

    def look_into(self, tensor: int, source: int, offset: int = 0) -> None:
        """`tensor` is `offset` bytes into `source`."""
        view = self.views[source]
        draft = self.drafts[view.store]
        self.views[tensor] = View(view.store, view.offset + offset)
        draft.tensors.append(tensor)
        if view.offset + offset or rows_of(self.model.tensors[tensor]) != (draft.rows, draft.row_bytes):
            draft.solid = True

    def settle_all(self, order: Sequence[int]) -> None:
        used = {i for op in self.model.operators for i in (*op.inputs, *op.outputs)} | set(self.model.outputs)
        for index, tensor in enumerate(self.model.tensors):
            if index in self.model.inputs or (tensor.variable and index in used):
                self.settle(index)
        parts = self._parts(order)
        for number in order:
            op = self.model.operators[number]
            memory = self.memory_of(self.model, op)
            source = alias_source(self.model, op, memory)
            if source is not None:
                self.look_into(op.outputs[0], source)
                self.elided.add(number)
            elif self._may_cut(op, memory):
                for output, offset in zip(op.outputs, memory.cuts, strict=True):
                    self.look_into(output, op.inputs[memory.cut_from], offset)
                self.elided.add(number)
            elif number not in self.elided:
                for output in op.outputs:
                    self._settle_in(output, parts)

    def _settle_in(self, tensor: int, parts: dict[int, tuple[int, int]]) -> None:
        """A tensor has a place of its own, unless it is a part of one that is put together later."""
        if tensor not in parts:
            self.settle(tensor)
            return
        whole, offset = parts[tensor]
        if whole not in self.views:
            self._settle_in(whole, parts)
        self.look_into(tensor, whole, offset)

    def _parts(self, order: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Tensors that are computed where a concatenation wants them, so that it need not run: (output, offset).

        Only whole rows of its output: who reads a row waits for all that write into it.
        """
        made = {t: number for number in order for t in self.model.operators[number].outputs}
        found: dict[int, tuple[int, int]] = {}
        for number in order:
            op = self.model.operators[number]
            parts = self.memory_of(self.model, op).parts
            if not parts or len(set(op.inputs)) < len(op.inputs):
                continue
            if any(offset % rows_of(self.model.output_of(op))[1] for offset in parts):
                continue
            if all(t in made and t not in found and self._runs(made[t]) for t in op.inputs):
                found |= {t: (op.outputs[0], offset) for t, offset in zip(op.inputs, parts, strict=True)}
                self.elided.add(number)
        return found

    def _runs(self, number: int) -> bool:
        """Whether an operator's output has a place that can be chosen."""
        op = self.model.operators[number]
        memory = self.memory_of(self.model, op)
        if number in self.elided:
            return bool(memory.parts)
        return alias_source(self.model, op, memory) is None and not self._may_cut(op, memory)

    def _may_cut(self, op: Operator, memory: Memory) -> bool:
        """Whether the outputs can be left where they are, in the input: whole rows of it, or they would live on with
        each other."""
        index = op.inputs[memory.cut_from] if memory.cuts else -1
        if index < 0 or self.model.tensors[index].constant or self.model.tensors[index].variable:
            return False
        return not any(offset % rows_of(self.model.tensors[index])[1] for offset in memory.cuts)

    def spans(self, tensor: int, spans: Iterable[Span]) -> tuple[int, tuple[Span, ...]]:
        """Rows of a tensor as rows of its store."""
        view = self.views[tensor]
        draft = self.drafts[view.store]
        _, row_bytes = rows_of(self.model.tensors[tensor])
        if not view.offset and row_bytes == draft.row_bytes:
            return view.store, tuple(spans)
        found = []
        for first, end in spans:
            low, high = view.offset + first * row_bytes, view.offset + end * row_bytes
            at = low // draft.row_bytes
            found.append((at, -(-high // draft.row_bytes) if end > first else at))
        return view.store, tuple(found)

    def actor(self, op: Operator, rows: Rows | None) -> Actor:
        model = self.model
        memory = self.memory_of(model, op)
        whole = Rows(
            {
                p: ((0, rows_of(model.tensors[i])[0]),)
                for p, i in enumerate(op.inputs)
                if i >= 0 and not model.tensors[i].constant
            },
            ((0, max((rows_of(model.tensors[o])[0] for o in op.outputs), default=0)),),
        )
        told = rows or whole
        reads: dict[int, tuple[Span, ...]] = {}
        for position, spans in told.reads.items():
            store, found = self.spans(op.inputs[position], spans)
            if store in reads:
                found = _together(reads[store], found)
            reads[store] = found
        writes = []
        for output in op.outputs:
            spans = told.writes if rows is not None else ((0, rows_of(model.tensors[output])[0]),)
            writes.append(self.spans(output, spans))
        return Actor(
            op.index,
            None,
            len(told.writes),
            tuple(reads.items()),
            tuple(writes),
            told.accumulator_bytes or memory.scratch_bytes,
            told.accumulator_bytes > 0,
            told.one_at_a_time,
            self._over(op, told, memory.in_place, reads) if self.in_place else frozenset(),
            frozenset(self.views[op.inputs[p]].store for p in (whole.reads if rows is None else rows.solid)),
            rows is not None,
        )

    def _over(
        self, op: Operator, rows: Rows, positions: Sequence[int], reads: Mapping[int, Sequence[Span]]
    ) -> frozenset[int]:
        """Stores whose rows the output may lie over while a step reads them: element by element, in rising order.

        `reads`, by store: one row in each step, or an output could lie over the second row alone, too far behind.
        An output that is a part of rows begins behind where these do.
        """
        model = self.model
        if len(op.outputs) != 1:
            return frozenset()
        output = model.output_of(op)
        view, row_bytes = self.views[output.index], rows_of(output)[1]
        if self.drafts[view.store].row_bytes != row_bytes or view.offset % row_bytes:
            return frozenset()
        found = set()
        for position in positions:
            index = op.inputs[position] if position < len(op.inputs) else -1
            if index < 0 or position not in rows.reads or model.tensors[index].variable:
                continue
            source, store = model.tensors[index], self.views[index].store
            steps = zip(reads[store], rows.reads[position], rows.writes, strict=True)
            each = all(b - a == d - c == f - e == 1 for (a, b), (c, d), (e, f) in steps)
            same = source.elements == output.elements and source.dtype.bytes >= output.dtype.bytes
            if each and same and not self.is_final(store):
                found.add(store)
        for position in rows.reads:
            if position not in positions:
                found.discard(self.views[op.inputs[position]].store)
        return frozenset(found)

    def is_final(self, store: int) -> bool:
        """Whether something in a store must be intact after the last step."""
        return bool(self.final_rows(store))

    def final_rows(self, store: int) -> tuple[Span, ...]:
        """The rows that must be intact after the last step."""
        model, draft = self.model, self.drafts[store]
        found = []
        for t in draft.tensors:
            if model.tensors[t].variable or t in model.outputs or t in self.kept:
                begin = self.views[t].offset
                found.append((begin // draft.row_bytes, -(-(begin + model.tensors[t].bytes) // draft.row_bytes)))
        return tuple(found)

    def feed(self, tensor: int) -> Actor:
        rows, _ = rows_of(self.model.tensors[tensor])
        spans = tuple((r, r + 1) for r in range(rows))
        return Actor(FEED, tensor, rows, (), (self.spans(tensor, spans),))


def build_rows(
    model: Model,
    order: Sequence[int],
    *,
    fed: Sequence[int] = (),
    kept: Sequence[int] = (),
    in_place: bool = True,
    memory_of: MemoryOf = stated_memory,
) -> RowGraph:
    """`model`, with its operators in `order`, as rows.

    `fed`: inputs that are handed over row by row. `kept`: tensors to be intact at the end. `in_place=False`: no row is
    written over one that the same step reads. Raises what `check_flow` raises.
    """
    check_flow(model)
    builder = _Builder(model, memory_of, frozenset(fed), frozenset(kept), in_place)
    builder.settle_all(order)
    actors: list[Actor] = []
    alone: dict[int, Actor] = {}
    waiting = [t for t in dict.fromkeys(model.inputs) if t in builder.fed]
    for number in order:
        if number in builder.elided:
            continue
        op = model.operators[number]
        for tensor in [
            t for t in waiting if builder.views[t].store in {builder.views[i].store for i in _read(model, op)}
        ]:
            actors.append(builder.feed(tensor))
            waiting.remove(tensor)
        kind = kind_of(op.opcode)
        rows = kind.rows(model, op) if kind is not None else None
        if rows is not None and rows.one_at_a_time:
            alone[len(actors)] = builder.actor(op, None)
        actors.append(builder.actor(op, rows))
    actors += [builder.feed(tensor) for tensor in waiting]  # nobody reads it, but the application hands it over
    return RowGraph(
        tuple(_store(model, builder, i, draft) for i, draft in enumerate(builder.drafts)),
        builder.views,
        tuple(actors),
        alone,
        frozenset(builder.elided),
    )


def _together(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, ...]:
    """What the row steps take of a store of which they read two tensors: from the first row that either is still to
    read, now or later, to the last that either has come to."""
    lasts = [max((r for r, (first, end) in enumerate(spans) if first < end), default=-1) for spans in (one, other)]
    found = []
    for r, spans in enumerate(zip(one, other, strict=True)):
        end = max(end for _, end in spans)
        waiting = [first for (first, _), last in zip(spans, lasts, strict=True) if r <= last]
        found.append((min(waiting, default=end), end))
    return tuple(found)


def _read(model: Model, op: Operator) -> list[int]:
    return [i for i in op.inputs if i >= 0 and not model.tensors[i].constant]


def _store(model: Model, builder: _Builder, number: int, draft: _Draft) -> Store:
    tensors = [model.tensors[t] for t in draft.tensors]
    held = any(t.variable for t in tensors)
    stored = any(t.index in model.inputs and t.index not in builder.fed for t in tensors)
    final = builder.is_final(number)
    return Store(
        number,
        tuple(draft.tensors),
        draft.rows,
        draft.row_bytes,
        given=held or stored,
        final=final,
        solid=draft.solid or held or stored or final,
        final_rows=builder.final_rows(number),
    )
