"""Everything that a model's operators compute, read step by step while it runs, and put together from the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinydeploy.ir import Model
from tinydeploy.operators.base import Memory, Span, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.types import Placement, Plan, Step


@dataclass(frozen=True)
class _Rows:
    """Rows `[first, end)` of a tensor, read as one step ends."""

    tensor: int
    first: int
    end: int


@dataclass
class LayerReads:
    """What to read as each step ends (`Job.step_reads`), so that all of a tensor is seen that is never there at once.

    `steps`: what runs, with the marker of each, in order; they are steps of the plan, or parts of them. `arena`: the
    arena's address.
    """

    model: Model
    plan: Plan
    steps: Sequence[tuple[int, Step]]
    arena: int
    wanted: dict[int, list[list[tuple[int, int]]]] = field(default_factory=dict)
    _rows: dict[int, list[list[_Rows]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for marker, step in self.steps:
            rows = [] if step.elided or step.feeds is not None else list(self._written(step))
            self._rows.setdefault(marker, []).append(rows)
            self.wanted.setdefault(marker, []).append([place for r in rows for place in self._places(r)])

    def _written(self, step: Step) -> Iterable[_Rows]:
        op = self.model.operators[step.operator]
        kind = kind_of(op.opcode)
        rows = kind.rows(self.model, op) if kind is not None and op.index in self.plan.by_rows else None
        for tensor in op.outputs:
            spans: Sequence[Span] = [(0, rows_of(self.model.tensor(tensor))[0])]
            if rows is not None:
                spans = [s for s in rows.writes[step.first_row : step.end_row] if s[0] < s[1]]
            if spans:
                yield _Rows(tensor, spans[0][0], spans[-1][1])

    def _unread(self) -> set[int]:
        """Tensors with rows that no operator reads, where rows are given up as soon as they are not needed."""
        if not self.plan.by_rows:
            return set()
        found = {t for op in self.model.operators for t in op.outputs} - {*self.model.outputs, *self.plan.kept}
        for op in self.model.operators:
            kind = kind_of(op.opcode)
            rows = kind.rows(self.model, op) if kind is not None and op.index in self.plan.by_rows else None
            for position, index in enumerate(op.inputs):
                spans = rows.reads.get(position, ()) if rows is not None else ((0, 1 << 31),)
                read = {row for first, end in spans for row in range(first, min(end, self._count(index)))}
                if index in found and len(read) == self._count(index):
                    found.remove(index)
        return found

    def _count(self, index: int) -> int:
        return rows_of(self.model.tensor(index))[0] if index >= 0 else 0

    def _places(self, rows: _Rows) -> Iterable[tuple[int, int]]:
        """Address and bytes, row by row, or in one piece where the tensor is whole."""
        place = self.plan.placements[rows.tensor]
        count, row_bytes = rows_of(self.model.tensor(rows.tensor))
        if not place.row_offsets and place.ring_rows == count:
            at = self.plan.distance(place.offset) + rows.first * row_bytes
            yield self.arena + at, (rows.end - rows.first) * row_bytes
            return
        for row in range(rows.first, rows.end):
            yield self.arena + self.plan.distance(row_offset(place, row, row_bytes)), row_bytes

    def tensors(self, seen: Mapping[int, Sequence[Sequence[bytes]]], inputs: Mapping[int, bytes]) -> dict[int, bytes]:
        """Each tensor's bytes, from `RunResult.step_data` of a run on `inputs`.

        Where nothing runs because the bytes are the inputs', they are taken from these. A tensor of which some rows are
        never read is left out: the next row of the same step may lie over them.
        """
        written = {r.tensor for occurrences in self._rows.values() for rows in occurrences for r in rows}
        found = {index: bytearray(self.model.tensor(index).bytes) for index in written}
        for marker, occurrences in self._rows.items():
            for expected, pieces in zip(occurrences, seen.get(marker, ()), strict=True):
                data = b"".join(pieces)
                for rows in expected:
                    _, row_bytes = rows_of(self.model.tensor(rows.tensor))
                    size = (rows.end - rows.first) * row_bytes
                    at = rows.first * row_bytes
                    found[rows.tensor][at : at + size], data = data[:size], data[size:]
        unread = self._unread()
        whole = {index: bytes(data) for index, data in found.items() if index not in unread}
        known = {**inputs, **whole}
        for step in self.plan.problem.steps:
            if step.elided:
                op = self.model.operators[step.operator]
                kind = kind_of(op.opcode)
                memory = kind.memory(self.model, op) if kind is not None else Memory()
                if memory.cuts:
                    source = known.get(op.inputs[memory.cut_from])
                    for output, at in zip(op.outputs, memory.cuts, strict=True):
                        if source is not None:
                            known[output] = whole[output] = source[at : at + self.model.tensor(output).bytes]
                    continue
                data = b"".join(known.get(i, b"") for i in op.inputs)
                if len(op.outputs) == 1 and len(data) == self.model.tensor(op.outputs[0]).bytes:
                    known[op.outputs[0]] = whole[op.outputs[0]] = data
        return whole


def row_offset(place: Placement, row: int, row_bytes: int) -> int:
    """Where a row lies in the arena."""
    return place.row_offsets[row] if place.row_offsets else place.offset + row % place.ring_rows * row_bytes
