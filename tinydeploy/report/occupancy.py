"""What lies where in the arena and when, made ready for pictures: a time axis, and each buffer with its pieces."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import log2

from tinydeploy.ir import Model, Tensor
from tinydeploy.operators.base import printable, rows_of
from tinydeploy.plan.types import FEED, Buffer, Occupied, Plan, RowsAlive, Segment
from tinydeploy.report.document import number, shape

COLOURS = 8  # that a picture tells apart; scratch has one of its own
_NAME = 60  # characters of a name


@dataclass(frozen=True)
class Band:
    """Steps `[first, end)` that are together on the time axis: one step, or a streamed segment."""

    first: int
    end: int
    segment: Segment | None = None


@dataclass(frozen=True)
class Timeline:
    """The time axis: step s is `[edges[s], edges[s + 1])` of 0 … 1, `bands` are in order.

    A step outside segments is as wide as any other. A segment of n steps of k operators is as wide as
    k · (1 + log2(n / k)) such steps: in proportion to n, thousands of rows would leave nothing to everything else.
    """

    bands: tuple[Band, ...]
    edges: tuple[float, ...]

    def at(self, time: float) -> float:
        """Where a time in steps, which can be within one, lies on the axis."""
        step = min(int(time), len(self.edges) - 2)
        return self.edges[step] + (time - step) * (self.edges[step + 1] - self.edges[step])


@dataclass(frozen=True)
class Piece:
    """`bytes` at `offset` of the arena from `first` to `end`, in steps and parts of them."""

    offset: int
    bytes: int
    first: float
    end: float


@dataclass(frozen=True)
class Holder:
    """A buffer for a picture: `name` for a label, `about` as lines that say all of it, both harmless to show.

    `colour` is 0 for scratch and otherwise 1 … COLOURS; buffers that are in use at the same time have different
    colours as far as there are enough. `pieces` are in order of time.
    """

    buffer: int
    name: str
    about: tuple[str, ...]
    colour: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Occupancy:
    """All that pictures of a plan need, beside the model and the plan themselves.

    `holders` are in order of their first step. No two pieces are at the same place at the same time.
    """

    model: Model
    plan: Plan
    timeline: Timeline
    holders: tuple[Holder, ...]

    @cached_property
    def by_buffer(self) -> Mapping[int, Holder]:
        """Each buffer's holder."""
        return {h.buffer: h for h in self.holders}

    @cached_property
    def alive_at_peak(self) -> tuple[tuple[Holder, int, str], ...]:
        """Who is alive at the peak, the largest first: the holder, its bytes, and which rows ("" for all of it)."""
        plan, buffers = self.plan, self.plan.problem.buffers
        if plan.peak.rows:
            return tuple((self.by_buffer[r.buffer], r.bytes, _rows(r)) for r in plan.peak.rows)
        step = plan.peak.step
        sizes = {b: sum(n for f, e, n in buffers[b].pieces if f <= step < e) for b in plan.peak.buffers}
        return tuple((self.by_buffer[b], size, "") for b, size in sizes.items())


def occupancy_of(model: Model, plan: Plan) -> Occupancy:
    """The plan, ready for pictures. Deterministic."""
    pieces = _pieces(plan)
    buffers = [plan.problem.buffers[b] for b in pieces]
    buffers.sort(key=lambda b: (b.first, b.id))
    colours = _colours(buffers)
    folder = _folder(model)
    holders = tuple(
        Holder(b.id, _name(model, plan, b, folder), _about(model, plan, b), colours[b.id], pieces[b.id])
        for b in buffers
    )
    return Occupancy(model, plan, timeline_of(plan), holders)


def timeline_of(plan: Plan) -> Timeline:
    """The time axis of a plan."""
    bands: list[Band] = []
    widths: list[float] = []
    total = len(plan.problem.steps)
    for segment in (*plan.segments, Segment(total, total, ())):
        before = bands[-1].end if bands else 0
        bands += [Band(s, s + 1) for s in range(before, segment.first)]
        widths += [1.0] * (segment.first - before)
        steps = segment.end - segment.first
        if steps:
            bands.append(Band(segment.first, segment.end, segment))
            operators = min(steps, max(1, len(segment.operators)))
            widths += [operators * (1 + log2(steps / operators)) / steps] * steps
    whole = sum(widths) or 1.0
    return Timeline(tuple(bands), (0.0, *(min(1.0, edge / whole) for edge in accumulate(widths))))


def operator_label(model: Model, plan: Plan, step: int) -> str:
    """What runs in a step, for people."""
    running = plan.problem.steps[step]
    if running.operator == FEED:
        fed = "" if running.feeds is None else f" {printable(model.tensors[running.feeds].name, _NAME)}"
        return f"rows of the input{fed} are handed over"
    return f"operator {running.operator} {printable(model.operators[running.operator].opcode, _NAME)}"


def peak_label(model: Model, plan: Plan) -> str:
    """The peak, for people."""
    row = f", row {plan.peak.row}" if plan.peak.rows else ""
    at = f"step {plan.peak.step}: {operator_label(model, plan, plan.peak.step)}{row}"
    return f"peak {number(plan.peak.live_bytes)} B at {at}"


def spans(numbers: tuple[int, ...]) -> str:
    """Operators' numbers for people: 0–7, 9."""
    found: list[tuple[int, int]] = []
    for n in sorted(numbers):
        if found and found[-1][1] == n - 1:
            found[-1] = (found[-1][0], n)
        else:
            found.append((n, n))
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in found)


def _pieces(plan: Plan) -> dict[int, tuple[Piece, ...]]:
    """Each buffer's pieces in order of time.

    A plan's pieces are in whole steps, so that both owners claim bytes that change hands within a step: here they meet
    in the middle of it, and no two pieces are at the same place at the same time.
    """
    leave: dict[int, list[Occupied]] = {}
    enter: dict[int, list[Occupied]] = {}
    for o in plan.occupied:
        enter.setdefault(o.first, []).append(o)
        if o.first < o.end - 1:
            leave.setdefault(o.end - 1, []).append(o)
    late = {o for step, new in enter.items() for o in _touching(new, leave.get(step, ()))}
    early = {o for step, old in leave.items() for o in _touching(old, enter.get(step, ()))}
    found: dict[int, list[Piece]] = {}
    for o in sorted(plan.occupied, key=lambda o: (o.first, o.offset)):
        first = o.first + (0.5 if o in late else 0.0)
        end = o.end - (0.5 if o in early else 0.0)
        found.setdefault(o.buffer, []).append(Piece(o.offset, o.bytes, first, end))
    return {buffer: tuple(pieces) for buffer, pieces in found.items()}


def _touching(these: Iterable[Occupied], those: Iterable[Occupied]) -> list[Occupied]:
    """Those of these that have a byte in common with any of those."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted((o.offset, o.offset + o.bytes) for o in those):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    found = []
    for o in these:
        before = bisect_left(joined, (o.offset + o.bytes, 0))  # ranges that begin below the end
        if before and joined[before - 1][1] > o.offset:
            found.append(o)
    return found


def _colours(buffers: list[Buffer]) -> dict[int, int]:
    """For each buffer the colour that it shares least with others of its time, the largest first; 0 for scratch."""

    def area(buffer: Buffer) -> int:
        return sum((end - first) * size for first, end, size in buffer.pieces)

    shared: list[list[Buffer]] = [[] for _ in range(COLOURS)]
    found = {b.id: 0 for b in buffers}
    for buffer in sorted((b for b in buffers if b.scratch_of is None), key=lambda b: (-area(b), b.id)):
        meets = [sum(area(o) for o in these if o.first <= buffer.end and buffer.first <= o.end) for these in shared]
        colour = min(range(COLOURS), key=lambda c: (meets[c], len(shared[c]), c))
        shared[colour].append(buffer)
        found[buffer.id] = colour + 1
    return found


def _rows(alive: RowsAlive) -> str:
    if alive.end - alive.first < 2:
        return f"row {alive.first}" if alive.end > alive.first else ""
    return f"rows {alive.first}–{alive.end - 1}"


def _tensors(model: Model, plan: Plan, buffer: Buffer) -> list[Tensor]:
    """A buffer's tensors, the one that is there first before the others."""
    ranges = plan.problem.tensor_ranges
    return [model.tensors[t] for t in sorted(buffer.tensors, key=lambda t: (ranges[t][0], t))]


def _name(model: Model, plan: Plan, buffer: Buffer, folder: str) -> str:
    """For a label: without what all names begin with, and of names that a converter has joined the first alone."""
    if buffer.scratch_of is not None:
        return f"scratch of operator {buffer.scratch_of}"
    name = _tensors(model, plan, buffer)[0].name.removeprefix(folder)
    return printable(name.partition(";")[0] or name, _NAME)


def _folder(model: Model) -> str:
    """What most names begin with, up to the first slash: it tells nothing, and there is little room."""
    names = [model.tensors[t].name for op in model.operators for t in op.outputs]
    heads = Counter(head + slash for head, slash, _ in (name.partition("/") for name in names))
    head, times = heads.most_common(1)[0] if heads else ("", 0)
    return head if head.endswith("/") and 2 * times > len(names) else ""


def _about(model: Model, plan: Plan, buffer: Buffer) -> tuple[str, ...]:
    steps = f"steps {buffer.first}–{buffer.end - 1}"
    if buffer.scratch_of is not None:
        op = model.operators[buffer.scratch_of]
        offset = plan.offsets[buffer.id]
        return (
            f"scratch of operator {op.index} {printable(op.opcode, _NAME)}",
            f"{number(buffer.bytes)} B at offset {number(offset)}, {steps}",
        )
    lines = []
    for tensor in _tensors(model, plan, buffer):
        rows, row_bytes = rows_of(tensor)
        place = plan.placements[tensor.index]
        form = f"{rows} rows of {number(row_bytes)} B"
        if place.row_offsets:
            form += ", each with a place of its own"
        elif place.ring_rows < rows:
            form += f", the last {place.ring_rows} kept in a ring of {number(place.ring_rows * row_bytes)} B"
        lines += [
            printable(tensor.name, _NAME),
            f"tensor {tensor.index}, {_origin(model, plan, tensor.index)}",
            f"{tensor.dtype.label} {shape(tensor.shape)}, {number(tensor.bytes)} B: {form}",
            f"offset {number(place.offset)}, steps {place.first}–{place.end - 1}",
        ]
    most = max(size for _, _, size in buffer.pieces)
    lines.append(f"at most {number(most)} B of the arena at once, {steps}")
    return tuple(lines)


def _origin(model: Model, plan: Plan, tensor: int) -> str:
    words = []
    if tensor in model.inputs:
        words.append("input, handed over row by row" if tensor in plan.fed else "input")
    words += [f"of operator {op.index} {printable(op.opcode, _NAME)}" for op in model.operators if tensor in op.outputs]
    if model.tensors[tensor].variable:
        words.append("state")
    if tensor in model.outputs:
        words.append("output")
    if tensor in plan.kept:
        words.append("kept")
    return ", ".join(words)
