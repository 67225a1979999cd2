"""`emit`: what `invoke` of a library will do, before it is text: stages, straight lines, and segments as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinydeploy.codegen.constants import ConstantPool
from tinydeploy.codegen.literals import c_integer
from tinydeploy.codegen.names import c_identifier, comment_text, require_identifier
from tinydeploy.codegen.support import check_supported
from tinydeploy.codegen.turns import MOST_ROWS, MOST_STAGES, Turn, encode
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import ConstArray, printable, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.types import FEED, ROW_ALIGNMENT, Plan, Segment, Step

_MOST_COUNTED = 0xFFFF  # in 16 bits: rows of a stage, offsets of rows in units of ROW_ALIGNMENT


@dataclass(frozen=True)
class Call:
    """One kernel call: its constant table, the tensors that it names, and the rows where they are always the same."""

    function: str
    tensors: tuple[int, ...]
    table: str
    fields: Mapping[str, str]
    accumulators: str | None
    rows: tuple[int, int] | None
    window: bool

    def statement(self, first: int | str, end: int | str) -> str:
        """The call in C, for the rows of the step."""
        if self.rows is not None:
            first, end = self.rows
        arguments = [f"&{self.table}", "a", *(f"&t_{t}" for t in self.tensors)]
        if self.accumulators is not None:
            arguments.append(f"&{self.accumulators}")
        arguments += [str(first), str(end)]
        if self.window:
            arguments.append("window")
        return f"{self.function}({', '.join(arguments)});"


@dataclass(frozen=True)
class Feeding:
    """A stage that asks the application for rows: of which of the model's inputs, and which tensor that is."""

    input: int
    tensor: int


@dataclass(frozen=True)
class Stage:
    """What one marker stands for: an operator, or an input that is fed. Neither calls nor feeding: nothing runs."""

    marker: int
    title: str
    calls: tuple[Call, ...] = ()
    feeding: Feeding | None = None


@dataclass(frozen=True)
class Line:
    """Some rows of a stage, outside all segments."""

    stage: Stage
    first_row: int
    end_row: int


@dataclass(frozen=True)
class Loop:
    """A segment: its stages, and the table in which they take turns. `most_rows`: of any stage."""

    name: str
    stages: tuple[Stage, ...]
    table: tuple[int, ...]
    most_rows: int

    @property
    def counter_bytes(self) -> int:
        """Of the count of rows that a stage has done."""
        return 2 if self.most_rows <= _MOST_COUNTED else 4

    @property
    def windows(self) -> bool:
        """Whether any of its kernels wants row pointers."""
        return any(call.window for stage in self.stages for call in stage.calls)

    @property
    def feeds(self) -> bool:
        """Whether it asks the application for rows."""
        return any(stage.feeding for stage in self.stages)


@dataclass(frozen=True)
class Place:
    """A `td_tensor_t`: `offset` counts from the pointer to the arena. `rows`: the name of its row table, under which
    `ring_rows` is 0."""

    name: str
    offset: int
    row_bytes: int
    ring_rows: int
    rows: str = "NULL"


@dataclass(frozen=True)
class Program:
    """All that a library's `invoke` does. `window_rows`: the most row pointers one step wants."""

    name: str
    stages: tuple[Stage, ...]
    items: tuple[Line | Loop, ...]
    places: tuple[Place, ...]
    row_tables: Mapping[str, tuple[int, ...]]
    pool: ConstantPool
    window_rows: int

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every kernel call that stands in the code."""
        stages: list[Stage] = []
        for item in self.items:
            stages += item.stages if isinstance(item, Loop) else [item.stage]
        return tuple(call for stage in stages for call in stage.calls)

    @property
    def kernels(self) -> frozenset[str]:
        """The names of the kernel functions that are called."""
        return frozenset(call.function for call in self.calls)

    @property
    def fields(self) -> int:
        """How many fields all constant tables have together."""
        return sum(len(call.fields) for stage in self.stages for call in stage.calls)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The segments."""
        return tuple(item for item in self.items if isinstance(item, Loop))

    @property
    def table_bytes(self) -> int:
        """Flash for the segments' programs and the tables of rows."""
        return 2 * sum(len(t) for t in (*(loop.table for loop in self.loops), *self.row_tables.values()))

    @property
    def counter_bytes(self) -> int:
        """Stack for the counters of the segment with the most stages."""
        return max((loop.counter_bytes * len(loop.stages) for loop in self.loops), default=0)


def emit(model: Model, plan: Plan, *, name: str | None = None) -> Program:
    """The library's program and constants; `name` is the C prefix, made from the model's name without it.

    Raises UnsupportedModelError where an operator has no kernel or a streamed plan is larger than the tables have
    room for, UsageError when `name` is not an identifier.
    """
    check_supported(model)
    prefix = require_identifier(name) if name is not None else c_identifier(model.name)
    return _Emitter(model, plan, ConstantPool(f"{prefix}_k")).program(prefix)


def executed(plan: Plan) -> tuple[Step, ...]:
    """The plan's steps as the library takes them, one for each marker.

    In segments elided steps are left out, and a step of more rows than a turn has room for becomes several.
    """
    taken: list[Step] = []
    at = 0
    for segment in plan.segments:
        taken += plan.problem.steps[at : segment.first]
        taken += _turns(plan, segment)
        at = segment.end
    return (*taken, *plan.problem.steps[at:])


def marker_of(model: Model, step: Step) -> int:
    """What is written to the marker port as the step begins: its operator, or behind these the input that it feeds."""
    return step.operator if step.feeds is None else len(model.operators) + model.inputs.index(step.feeds)


def _turns(plan: Plan, segment: Segment) -> Iterable[Step]:
    for step in plan.problem.steps[segment.first : segment.end]:
        if step.elided:
            continue
        if not _by_rows(plan, step):
            yield step  # a turn of one row, which the calls take as all of them
            continue
        for first in range(step.first_row, step.end_row, MOST_ROWS):
            yield Step(step.operator, first, min(first + MOST_ROWS, step.end_row), feeds=step.feeds)


def _by_rows(plan: Plan, step: Step) -> bool:
    return step.operator == FEED or step.operator in plan.by_rows


@dataclass
class _Emitter:
    model: Model
    plan: Plan
    pool: ConstantPool
    stages: dict[int, Stage] = field(default_factory=dict)  # by marker
    tables: dict[tuple[int, ...], str] = field(default_factory=dict)
    window_rows: int = 0

    def program(self, name: str) -> Program:
        steps = self.plan.problem.steps
        for step in steps:
            marker = marker_of(self.model, step)
            if marker not in self.stages:
                self.stages[marker] = self.stage(marker, step)
        items: list[Line | Loop] = []
        at = 0
        for number, segment in enumerate(self.plan.segments):
            items += self.lines(steps[at : segment.first])
            items.append(self.loop(f"segment_{number}", segment))
            at = segment.end
        items += self.lines(steps[at:])
        stages = tuple(self.stages.values())
        return Program(
            name,
            stages,
            tuple(items),
            tuple(self.places(stages)),
            {name: table for table, name in self.tables.items()},
            self.pool,
            self.window_rows,
        )

    def lines(self, steps: Sequence[Step]) -> Iterable[Line]:
        for step in steps:
            yield Line(self.stages[marker_of(self.model, step)], step.first_row, step.end_row)

    def loop(self, name: str, segment: Segment) -> Loop:
        numbers: dict[int, int] = {}  # of a stage, by marker, in the order in which they begin
        turns: list[Turn] = []
        most_rows = 0
        for step in _turns(self.plan, segment):
            most_rows = max(most_rows, step.end_row)
            stage = numbers.setdefault(marker_of(self.model, step), len(numbers))
            turns.append(Turn(stage, step.end_row - step.first_row if _by_rows(self.plan, step) else 1))
        if len(numbers) > MOST_STAGES:
            raise self.too_large(f"{len(numbers)} operators that take turns")
        return Loop(name, tuple(self.stages[marker] for marker in numbers), encode(turns), most_rows)

    def too_large(self, what: str) -> UnsupportedModelError:
        model = self.model
        return UnsupportedModelError(
            f"{printable(model.path or model.name, 400)}: streamed, the program's tables have no room for {what}",
            hint="--execution overlap runs one operator after the other",
        )

    def stage(self, marker: int, step: Step) -> Stage:
        if step.feeds is not None:
            title = comment_text(f"input {self.model.tensor(step.feeds).name}")
            return Stage(marker, title, feeding=Feeding(self.model.inputs.index(step.feeds), step.feeds))
        op = self.model.operators[step.operator]
        title = comment_text(f"{op.opcode} {self.model.layer_name(op)}")
        return Stage(marker, title, () if step.elided else tuple(self.calls(op, step)))

    def calls(self, op: Operator, step: Step) -> Iterable[Call]:
        kind = kind_of(op.opcode)
        if kind is None:
            return
        by_rows = op.index in self.plan.by_rows
        emission = kind.emit_rows(self.model, op) if by_rows else kind.emit(self.model, op)
        parts = emission if isinstance(emission, tuple) else (emission,)
        for i, part in enumerate(parts):
            table = f"op_{op.index}_{i}" if len(parts) > 1 else f"op_{op.index}"
            whole = (0, part.rows) if len(parts) > 1 else (step.first_row, step.end_row)
            self.window_rows = max(self.window_rows, part.window_rows)
            yield Call(
                part.function,
                (*part.inputs, part.output),
                table,
                {key: _field(value, self.pool) for key, value in part.table.items()},
                f"s_{op.index}" if part.accumulates else None,
                None if by_rows else whole,
                part.window_rows > 0,
            )

    def places(self, stages: Sequence[Stage]) -> Iterable[Place]:
        """Of everything that is named; an unused constant is a warning."""
        named = {t for stage in stages for call in stage.calls for t in call.tensors}
        named |= {stage.feeding.tensor for stage in stages if stage.feeding}
        for index, place in self.plan.placements.items():
            if index not in named:
                continue
            _, row_bytes = rows_of(self.model.tensor(index))
            if place.row_offsets:
                rows = self.row_table(place.row_offsets, place.offset)
                yield Place(f"t_{index}", self.plan.distance(place.offset), row_bytes, 0, rows)
            else:
                yield Place(f"t_{index}", self.plan.distance(place.offset), row_bytes, place.ring_rows)
        for stage in stages:
            for name in sorted({call.accumulators for call in stage.calls if call.accumulators}):
                at = self.plan.distance(self.plan.scratch_offsets[stage.marker])
                yield Place(name, at, self.accumulator_bytes(stage.marker), 1)

    def accumulator_bytes(self, operator: int) -> int:
        op = self.model.operators[operator]
        kind = kind_of(op.opcode)
        rows = kind.rows(self.model, op) if kind is not None else None
        return rows.accumulator_bytes if rows is not None else 0

    def row_table(self, offsets: Sequence[int], base: int) -> str:
        units = tuple((offset - base) // ROW_ALIGNMENT for offset in offsets)
        if max(units) > _MOST_COUNTED:
            raise self.too_large(f"rows that lie {max(offsets) - base} bytes apart")
        return self.tables.setdefault(units, f"rows_{len(self.tables)}")


def _field(value: int | float | ConstArray | None, pool: ConstantPool) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, ConstArray):
        return pool.add(value)
    if isinstance(value, float):
        return f"{value.hex()}f"  # exact: the value is a single-precision float
    return c_integer(int(value))
