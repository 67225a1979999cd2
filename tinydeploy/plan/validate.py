"""The check of every plan: replays its program on a picture of the arena. Shares no code with what makes plans.

The picture says, for every byte of the arena, which value it holds. Each step must find its inputs untouched, byte
for byte; what it writes replaces what was there. Everything else that a plan claims (live ranges, live bytes, the
peak, the lower bound, the arena's size) is computed again from the model and the places, and compared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import Model, Operator, Tensor
from tinydeploy.operators.base import Memory, printable
from tinydeploy.plan.types import Placement, Plan, Step

# Operators whose output is the input's bytes under another shape.
RESHAPE_LIKE = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})

# Operators that compute element i of the output from element i of each input of the same size, in rising order.
# SOFTMAX does so once it has gone over its row for the maximum and the sum.
ELEMENT_WISE = frozenset(
    {
        "ABS", "ADD", "DEQUANTIZE", "DIV", "ELU", "EXP", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MINIMUM",
        "MUL", "NEG", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SQRT", "SQUARE",
        "SOFTMAX", "SQUARED_DIFFERENCE", "SUB", "TANH",
    }
)  # fmt: skip


def validate(model: Model, plan: Plan, *, memory_of: Callable[[Model, Operator], Memory] | None = None) -> None:
    """Return if running `plan` computes what `model` says and all that the plan claims is so.

    `memory_of` says how much scratch an operator needs (by default its kind does); nothing else is asked of it: which
    operators may be elided or work in place is decided here. Raises `PlanInvalidError`, which names the tensors.
    """
    _Replay(model, plan, memory_of or _stated).run()


def _stated(model: Model, op: Operator) -> Memory:
    from tinydeploy.operators.registry import kind_of

    kind = kind_of(op.opcode)
    return kind.memory(model, op) if kind is not None else Memory()


@dataclass(frozen=True)
class _Span:
    """Bytes `[start, end)` of the arena."""

    start: int
    end: int

    def meets(self, other: _Span) -> bool:
        return max(self.start, other.start) < min(self.end, other.end)


class _Picture:
    """Which value every byte of an arena holds, as runs of equal bytes. A value is a number; 0 is rubbish."""

    def __init__(self, size: int) -> None:
        self.edges = [0, size]  # run i is [edges[i], edges[i + 1])
        self.values = [0]

    def write(self, span: _Span, value: int) -> None:
        if span.start >= span.end:
            return
        left, right = self._cut(span.start), self._cut(span.end)
        self.edges[left + 1 : right] = []
        self.values[left:right] = [value]

    def differs(self, span: _Span, value: int) -> tuple[int, int] | None:
        """The first byte of the span that does not hold `value`, and what it holds; None when all do."""
        if span.start >= span.end:
            return None
        run = bisect_right(self.edges, span.start) - 1
        while run < len(self.values) and self.edges[run] < span.end:
            if self.values[run] != value:
                return max(self.edges[run], span.start), self.values[run]
            run += 1
        return None

    def _cut(self, at: int) -> int:
        """Make `at` an edge; its place among the edges."""
        run = bisect_right(self.edges, at) - 1
        if self.edges[run] != at:
            run += 1
            self.edges.insert(run, at)
            self.values.insert(run, self.values[run - 1])
        return run


class _Replay:
    """One check of one plan."""

    def __init__(self, model: Model, plan: Plan, memory_of: Callable[[Model, Operator], Memory]) -> None:
        self.model = model
        self.plan = plan
        self.memory_of = memory_of
        self.value: dict[int, int] = {}  # of each tensor, the value that its bytes must hold
        self.meaning = ["nothing that was written"]
        self.written: dict[int, int] = {}  # step
        self.read: dict[int, int] = {}  # last step
        self.scratch: dict[int, _Span] = {}  # by step

    def run(self) -> None:
        self._check_shape_of_plan()
        self.picture = _Picture(self.plan.arena_bytes)
        self._check_places()
        self._start()
        for number, step in enumerate(self.plan.problem.steps):
            self._step(number, step)
        self._finish()
        ranges = self._check_ranges()
        self._check_buffers(ranges)
        self._check_live_bytes(ranges)

    # -- what must hold before the replay

    def _check_shape_of_plan(self) -> None:
        plan, model = self.plan, self.model
        order = [step.operator for step in plan.problem.steps]
        known = {op.index: op for op in model.operators}
        self.operators = known
        for index in order:
            if index not in known:
                self._refuse(f"a step names operator {index}, which does not exist")
        for index, op in known.items():
            if order.count(index) != 1:
                self._refuse(f"{op} is in {order.count(index)} steps, not in one")
        if plan.arena_bytes < 0:
            self._refuse(f"the arena has {plan.arena_bytes} bytes")
        if plan.alignment < 1 or plan.alignment & (plan.alignment - 1):
            self._refuse(f"the alignment {plan.alignment} is not a power of two")
        if len(plan.offsets) != len(plan.problem.buffers):
            self._refuse(f"there are {len(plan.problem.buffers)} buffers but {len(plan.offsets)} offsets")

    def _needed(self) -> set[int]:
        """The tensors that need bytes in an arena."""
        used = set(self.model.inputs) | set(self.model.outputs)
        for op in self.model.operators:
            used |= {i for i in (*op.inputs, *op.outputs) if i >= 0}
        return {i for i in used if not self.model.tensors[i].constant}

    def _check_places(self) -> None:
        plan = self.plan
        for index in sorted(self._needed() - plan.placements.keys()):
            self._refuse(f"{self._named(index)} has no place")
        for index, place in plan.placements.items():
            if index != place.tensor or not 0 <= index < len(self.model.tensors):
                self._refuse(f"the place under {index} is that of tensor {place.tensor}")
            self._check_span(self._named(index), place.offset, self.model.tensors[index].bytes)
            if place.offset % self.model.tensors[index].dtype.bytes:
                self._refuse(f"{self._named(index)} at {place.offset} is not aligned for its elements")
            if place.ring_rows != _rows(self.model.tensors[index]):
                self._refuse(f"{self._named(index)} keeps {place.ring_rows} rows, not all of its rows")
        for owner, offset in plan.scratch_offsets.items():
            if owner not in self.operators:
                self._refuse(f"scratch belongs to operator {owner}, which does not exist")
            self._check_span(f"the scratch of {self.operators[owner]}", offset, 0)

    def _check_span(self, what: str, offset: int, size: int) -> None:
        if offset < 0 or offset + size > self.plan.arena_bytes:
            self._refuse(f"{what} at [{offset}, {offset + size}) is outside the arena of {self.plan.arena_bytes} bytes")
        if offset % self.plan.alignment:
            self._refuse(f"{what} at {offset} is not aligned to {self.plan.alignment} bytes")

    # -- the replay

    def _start(self) -> None:
        """Before the run: inputs are written, variables hold their state."""
        resident = [i for i in sorted(self._needed()) if self.model.tensors[i].variable]
        resident += [i for i in dict.fromkeys(self.model.inputs) if i not in resident]
        for index in resident:
            self.written[index] = 0
            self._write(index)
        for index in resident:
            self._expect(index, "before the first step")

    def _step(self, number: int, step: Step) -> None:
        op = self.operators[step.operator]
        rows = _rows(self.model.tensors[op.outputs[0]]) if op.outputs else 0
        if (step.first_row, step.end_row) != (0, rows):
            self._refuse(f"{op} computes rows [{step.first_row}, {step.end_row}) of {rows}")
        inputs = [i for i in dict.fromkeys(op.inputs) if i >= 0 and not self.model.tensors[i].constant]
        for index in inputs:
            if index not in self.value:
                self._refuse(f"{op} reads {self._named(index)} before it is computed")
            self._expect(index, f"when {op} reads it")
            self.read[index] = number
        for index in op.outputs:
            if index in self.value:
                self._refuse(f"{op} computes {self._named(index)}, which has a value already")
            self.written[index] = number
        if step.elided:
            self._elide(op)
            return
        self._use_scratch(number, op, inputs)
        for output in op.outputs:
            for index in inputs:
                if self._span(output).meets(self._span(index)) and not self._may_overwrite(op, output, index):
                    self._refuse(f"{op} writes {self._named(output)} over its own input {self._named(index)}")
            self._write(output)
        for output in op.outputs:
            self._expect(output, f"after {op} has written its outputs")
        for index in inputs:
            if self.model.tensors[index].variable:  # the operator may have changed the state: what aliased it is stale
                self._expect(index, f"after {op}")
                self._write(index)

    def _elide(self, op: Operator) -> None:
        """Nothing runs: the output's bytes must be those of the input."""
        source = self.model.input_of(op, 0)
        if op.opcode not in RESHAPE_LIKE or len(op.outputs) != 1 or source is None or source.constant:
            self._refuse(f"{op} is elided, but must run")
        output = op.outputs[0]
        if source.variable:
            self._refuse(f"{op} is elided, but {self._named(source.index)} is a variable that changes later")
        if self._span(source.index) != self._span(output):
            self._refuse(
                f"{op} is elided, but {self._named(output)} does not lie where {self._named(source.index)} does"
            )
        self.value[output] = self.value[source.index]

    def _may_overwrite(self, op: Operator, output: int, index: int) -> bool:
        """Whether element-wise work in rising order reads every element of the input before it is overwritten."""
        result, source = self.model.tensors[output], self.model.tensors[index]
        return (
            op.opcode in ELEMENT_WISE
            and len(op.outputs) == 1
            and not source.variable
            and self._span(output).start == self._span(index).start
            and result.elements == source.elements
            and result.dtype.bytes <= source.dtype.bytes
        )

    def _use_scratch(self, number: int, op: Operator, inputs: list[int]) -> None:
        """Scratch is rubbish during and after the step, and touches neither inputs nor outputs."""
        size = self.memory_of(self.model, op).scratch_bytes
        offset = self.plan.scratch_offsets.get(op.index)
        if size <= 0:
            return
        if offset is None:
            self._refuse(f"{op} needs {size} bytes of scratch and has none")
        self._check_span(f"the scratch of {op}", offset, size)
        span = _Span(offset, offset + size)
        self.scratch[number] = span
        for index in (*inputs, *op.outputs):
            if span.meets(self._span(index)):
                self._refuse(f"the scratch of {op} overlaps {self._named(index)}")
        self.meaning.append(f"the scratch of {op}")
        self.picture.write(span, len(self.meaning) - 1)

    def _finish(self) -> None:
        """After the run: outputs can be read, variables keep their state."""
        last = len(self.plan.problem.steps) - 1
        for index in self.model.outputs:
            if index not in self.value:
                self._refuse(f"{self._named(index)} is an output and never computed")
            self._expect(index, "at the end, as an output of the model")
            self.read[index] = last
        for index in self._needed():
            if self.model.tensors[index].variable:
                self._expect(index, "at the end, as state for the next run")
                self.read[index] = last

    def _span(self, index: int) -> _Span:
        start = self.plan.placements[index].offset
        return _Span(start, start + self.model.tensors[index].bytes)

    def _write(self, index: int) -> None:
        self.meaning.append(self._named(index))
        self.value[index] = len(self.meaning) - 1
        self.picture.write(self._span(index), self.value[index])

    def _expect(self, index: int, when: str) -> None:
        wrong = self.picture.differs(self._span(index), self.value[index])
        if wrong is not None:
            at, found = wrong
            self._refuse(f"{self._named(index)} is lost {when}: byte {at} of the arena holds {self.meaning[found]}")

    # -- what the plan claims

    def _check_ranges(self) -> dict[int, tuple[int, int]]:
        """The live ranges that the replay saw, equal to those that the plan states."""
        seen = {i: (first, max(first, self.read.get(i, first)) + 1) for i, first in self.written.items()}
        for index, (first, end) in seen.items():
            stated = self.plan.problem.tensor_ranges.get(index)
            place = self.plan.placements[index]
            if stated != (first, end) or (place.first, place.end) != (first, end):
                self._refuse(f"{self._named(index)} lives in steps [{first}, {end}), the plan says otherwise")
        for index in (self.plan.placements.keys() | self.plan.problem.tensor_ranges.keys()) - seen.keys():
            self._refuse(f"tensor {index} has a place or a live range, but is never used")
        return seen

    def _check_buffers(self, ranges: dict[int, tuple[int, int]]) -> None:
        """Buffers hold what they say: the reports are made from them."""
        plan = self.plan
        owner: dict[int, int] = {}
        scratch: dict[int, int] = {}
        for position, (buffer, offset) in enumerate(zip(plan.problem.buffers, plan.offsets, strict=True)):
            what = f"buffer {position}"
            if buffer.id != position:
                self._refuse(f"{what} has the id {buffer.id}")
            if offset < 0 or offset + buffer.bytes > plan.arena_bytes:
                self._refuse(f"{what} at [{offset}, {offset + buffer.bytes}) is outside the arena")
            for index in buffer.tensors:
                place: Placement | None = plan.placements.get(index)
                if index in owner or place is None or (place.buffer, place.offset) != (position, offset):
                    self._refuse(f"{self._named(index)} does not lie where its buffer {position} does")
                owner[index] = position
                first, end = ranges[index]
                if first < buffer.first or end > buffer.end or self.model.tensors[index].bytes > buffer.bytes:
                    self._refuse(f"{what} is too short or too small for {self._named(index)}")
                if self.model.tensors[index].variable and not buffer.persistent:
                    self._refuse(f"{what} holds the variable {self._named(index)} and is not persistent")
            if buffer.scratch_of is not None:
                if buffer.tensors or plan.scratch_offsets.get(buffer.scratch_of) != offset:
                    self._refuse(f"{what} is not where the scratch of operator {buffer.scratch_of} is")
                scratch[buffer.scratch_of] = buffer.bytes
        for index in plan.placements.keys() - owner.keys():
            self._refuse(f"{self._named(index)} is in no buffer")
        for number, span in self.scratch.items():
            op = self.operators[plan.problem.steps[number].operator]
            if scratch.get(op.index) != span.end - span.start:
                self._refuse(f"{op} needs {span.end - span.start} bytes of scratch, its buffer has another size")
        if scratch.keys() != plan.scratch_offsets.keys() or len(scratch) != len(self.scratch):
            self._refuse("scratch is planned for operators that need none")

    def _check_live_bytes(self, ranges: dict[int, tuple[int, int]]) -> None:
        """Live bytes of each step: the bytes that live tensors and scratch cover, aligned; the most is the bound."""
        plan = self.plan
        covering: list[list[_Span]] = [[] for _ in plan.problem.steps]
        holders: list[set[int]] = [set() for _ in plan.problem.steps]
        for index, (first, end) in ranges.items():
            for number in range(first, end):
                covering[number].append(self._span(index))
                holders[number].add(plan.placements[index].buffer)
        by_operator = {b.scratch_of: b.id for b in plan.problem.buffers if b.scratch_of is not None}
        for number, span in self.scratch.items():
            covering[number].append(span)
            holders[number].add(by_operator[plan.problem.steps[number].operator])
        live = tuple(_covered(spans, plan.alignment) for spans in covering)
        if live != plan.live_bytes:
            for number, (found, stated) in enumerate(zip(live, plan.live_bytes, strict=False)):
                if found != stated:
                    self._refuse(f"{found} bytes are alive in step {number}, the plan says {stated}")
            self._refuse(f"live bytes are given for {len(plan.live_bytes)} steps of {len(live)}")
        most = max(live, default=0)
        proof, peak = plan.proof, plan.peak
        if proof.lower_bound_bytes != most:
            self._refuse(f"at most {most} bytes are alive at once, the plan's lower bound is {proof.lower_bound_bytes}")
        if not 0 <= peak.step < len(live) or live[peak.step] != most or peak.live_bytes != most:
            self._refuse(f"the peak of {most} bytes is not as the plan says, {peak.live_bytes} in step {peak.step}")
        if set(peak.buffers) != holders[peak.step] or len(set(peak.buffers)) != len(peak.buffers):
            self._refuse(f"the buffers alive at the peak in step {peak.step} are not those that the plan names")
        if proof.optimal and plan.arena_bytes != most and not proof.exhaustive:
            self._refuse(f"the arena of {plan.arena_bytes} bytes is called optimal, but the lower bound is {most}")

    def _named(self, index: int) -> str:
        if not 0 <= index < len(self.model.tensors):
            return f"tensor {index} (which does not exist)"
        return f"tensor {index} '{printable(self.model.tensors[index].name)}'"

    def _refuse(self, why: str) -> NoReturn:
        raise PlanInvalidError(f"{self.model.path or printable(self.model.name)}: invalid plan: {why}")


def _covered(spans: list[_Span], alignment: int) -> int:
    """Bytes in the union of the spans, each rounded up to the alignment."""
    edges: dict[int, int] = {}
    for span in spans:
        if span.end > span.start:
            end = -(-span.end // alignment) * alignment
            edges[span.start] = edges.get(span.start, 0) + 1
            edges[end] = edges.get(end, 0) - 1
    total = depth = 0
    for left, right in pairwise(sorted(edges)):
        depth += edges[left]
        total += right - left if depth else 0
    return total


def _rows(tensor: Tensor) -> int:
    """Rows as the runtime counts them: N·H for rank 4, else everything but the last axis."""
    extents = tensor.shape[:2] if len(tensor.shape) == 4 else tensor.shape[:-1]
    rows = 1
    for extent in extents:
        rows *= extent
    return rows
