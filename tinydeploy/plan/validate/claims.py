"""What a plan says about itself, compared with what its replay saw: live ranges, buffers, live bytes, the proof."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from tinydeploy.ir import Model
from tinydeploy.plan.types import FEED, Placement, Plan
from tinydeploy.plan.validate.refusal import Refusal
from tinydeploy.plan.validate.seen import NEVER, Seen


def check_claims(model: Model, plan: Plan, seen: Seen, refusal: Refusal) -> None:
    """Return if all that the plan says besides its program and its places is so, or raise `PlanInvalidError`.

    Where operators go by rows, figures are bounds: see `_Claims.check_live_bytes`.
    """
    claims = _Claims(model, plan, seen, refusal)
    claims.check_ranges()
    claims.check_segments()
    claims.check_buffers()
    claims.check_live_bytes()


class _Claims:
    def __init__(self, model: Model, plan: Plan, seen: Seen, refusal: Refusal) -> None:
        self.model = model
        self.plan = plan
        self.seen = seen
        self.refuse = refusal.because
        self.named = refusal.named
        self.buffer_of = {b.scratch_of: b.id for b in plan.problem.buffers if b.scratch_of is not None}

    # -- steps

    def check_ranges(self) -> None:
        """A tensor lives in the steps that write or read rows of it, and between them. The plan may count in all steps
        of the operators that do so, some of which may only write padding."""
        seen, plan = self.seen, self.plan
        widest: dict[int, tuple[int, int]] = {}
        for key, steps in seen.steps_of.items():
            op = self.model.operators[key] if key >= 0 else None
            for index in (*op.outputs, *op.inputs) if op else (-1 - key,):
                first, end = widest.get(index, (steps[0], 0))
                widest[index] = (min(first, steps[0]), max(end, steps[-1] + 1))
        for index, (first, last) in seen.written.items():
            end = max(last, seen.read.get(index, first)) + 1
            stated = plan.problem.tensor_ranges.get(index, (-1, -1))
            place = plan.placements[index]
            low, high = widest.get(index, (first, end))
            sound = min(low, first) <= stated[0] <= first and end <= stated[1] <= max(high, end)
            if not sound or (place.first, place.end) != stated:
                self.refuse(f"{self.named(index)} lives in steps [{first}, {end}), the plan says otherwise")
        for index in (plan.placements.keys() | plan.problem.tensor_ranges.keys()) - seen.written.keys():
            self.refuse(f"tensor {index} has a place or a live range, but is never used")

    def check_segments(self) -> None:
        """Segments are in order, and hold all steps of their operators and of the inputs that are fed in them."""
        plan = self.plan
        steps = plan.problem.steps
        before = 0
        for segment in plan.segments:
            if not before <= segment.first < segment.end <= len(steps):
                self.refuse(f"steps [{segment.first}, {segment.end}) are no segment behind step {before}")
            before = segment.end
            inside = steps[segment.first : segment.end]
            run = {step.operator for step in inside if step.operator != FEED and not step.elided}
            if run != set(segment.operators) or len(run) != len(segment.operators):
                self.refuse(f"the segment at step {segment.first} runs other operators than it names")
            for step in inside:
                key = step.operator if step.feeds is None else -1 - step.feeds
                where = self.seen.steps_of[key]
                if not step.elided and not segment.first <= where[0] <= where[-1] < segment.end:
                    self.refuse(f"the segment at step {segment.first} holds some of an operator's steps, but not all")

    # -- buffers

    def check_buffers(self) -> None:
        """Buffers hold what they say: the reports are made from them."""
        plan = self.plan
        if len(plan.offsets) != len(plan.problem.buffers):
            self.refuse(f"there are {len(plan.problem.buffers)} buffers but {len(plan.offsets)} offsets")
        owner: dict[int, int] = {}
        for position, (buffer, offset) in enumerate(zip(plan.problem.buffers, plan.offsets, strict=True)):
            what = f"buffer {position}"
            if buffer.id != position:
                self.refuse(f"{what} has the id {buffer.id}")
            if offset < 0 or offset + buffer.bytes > plan.arena_bytes:
                self.refuse(f"{what} at [{offset}, {offset + buffer.bytes}) is outside the arena")
            if offset % plan.alignment:
                self.refuse(f"{what} at {offset} is not aligned to {plan.alignment} bytes")
            for index in buffer.tensors:
                place = plan.placements.get(index)
                if index in owner or place is None or place.buffer != position:
                    self.refuse(f"{self.named(index)} is not in its buffer {position} alone")
                owner[index] = position
                self._check_inside(index, place, offset, buffer.bytes)
                if self.model.tensors[index].variable and not buffer.persistent:
                    self.refuse(f"{what} holds the variable {self.named(index)} and is not persistent")
            if buffer.scratch_of is not None and (
                buffer.tensors or plan.scratch_offsets.get(buffer.scratch_of) != offset
            ):
                self.refuse(f"{what} is not where the scratch of operator {buffer.scratch_of} is")
        for index in plan.placements.keys() - owner.keys():
            self.refuse(f"{self.named(index)} is in no buffer")
        self._check_times()
        self._check_scratch()

    def _check_inside(self, index: int, place: Placement, offset: int, size: int) -> None:
        """Rows with places of their own may lie anywhere behind their buffer's first."""
        end = place.offset if place.row_offsets else place.offset + place.ring_rows * self.seen.row_bytes[index]
        moved = place.offset != offset if self.seen.exact else place.offset < offset
        if moved or end > offset + size:
            self.refuse(f"{self.named(index)} does not lie where its buffer {place.buffer} does, or is larger")

    def _check_times(self) -> None:
        """A buffer is there while anything in it is alive."""
        for value in self.seen.values:
            born = [tick for tick in value.born if tick != NEVER]
            buffer = self.plan.problem.buffers[self.plan.placements[value.tensor].buffer]
            if born and not buffer.first <= self._step_of(min(born)) <= self._step_of(max(value.last)) < buffer.end:
                self.refuse(f"buffer {buffer.id} is too short for {self.named(value.tensor)}")

    def _check_scratch(self) -> None:
        for work in self.seen.working:
            buffer = self.plan.problem.buffers[self.buffer_of[work.operator]]
            if not buffer.first <= self._step_of(work.first) <= work.step < buffer.end:
                self.refuse(f"buffer {buffer.id} is too short for the scratch of operator {work.operator}")
        if not self.buffer_of.keys() == self.plan.scratch_offsets.keys() == {w.operator for w in self.seen.working}:
            self.refuse("scratch is planned for operators that need none")

    def _step_of(self, tick: int) -> int:
        """The step that a tick is in; steps without ticks come before the step that begins where they do."""
        return bisect_right(self.seen.ticks, tick, key=lambda span: span[0]) - 1

    # -- live bytes

    def check_live_bytes(self) -> None:
        """Live bytes of each step: the most bytes alive in one of its ticks.

        With whole tensors these are the aligned bytes of what is alive, those once that lie over each other. Where
        operators go by rows there is a range. At the least, rows count while somebody will read them, without
        alignment, and a result that may lie over what it is made from does not count twice. At the most, they count
        aligned, as they lie in the arena, and until no row before them is read either: a planner may give up rows in
        order. The most of all steps is the lower bound, aligned.
        """
        plan, proof, peak = self.plan, self.plan.proof, self.plan.peak
        least, most = self._live_by_tick()
        if len(plan.live_bytes) != len(self.seen.ticks):
            self.refuse(f"live bytes are given for {len(plan.live_bytes)} steps of {len(self.seen.ticks)}")
        for step, stated in enumerate(plan.live_bytes):
            ticks = self._ticks_of(step)
            low, high = max(least[t] for t in ticks), max(most[t] for t in ticks)
            if not (high if self.seen.exact else low) <= stated <= high:
                self.refuse(f"{high} bytes are alive in step {step}, the plan says {stated}")
        top = max(plan.live_bytes, default=0)
        bound = -(-top // plan.alignment) * plan.alignment
        if proof.lower_bound_bytes != bound or bound > plan.arena_bytes:
            self.refuse(f"at most {top} bytes are alive at once, the plan's lower bound is {proof.lower_bound_bytes}")
        if not 0 <= peak.step < len(plan.live_bytes) or not plan.live_bytes[peak.step] == top == peak.live_bytes:
            self.refuse(f"the peak of {top} bytes is not as the plan says, {peak.live_bytes} in step {peak.step}")
        ticks = self._ticks_of(peak.step)
        needed, alive = self._alive(ticks, in_order=False), self._alive(ticks, in_order=True)
        named = set(peak.buffers)
        throughout = {b for b, spans in needed.items() if _cover(spans, ticks)}
        if not throughout <= named <= alive.keys() or len(named) != len(peak.buffers):
            self.refuse(f"the buffers alive at the peak in step {peak.step} are not those that the plan names")
        if proof.optimal and plan.arena_bytes != bound and not proof.exhaustive:
            self.refuse(f"the arena of {plan.arena_bytes} bytes is called optimal, but the lower bound is {bound}")

    def _ticks_of(self, step: int) -> range:
        """A step without ticks counts as the tick that comes next."""
        first, end = self.seen.ticks[step]
        last = self.seen.ticks[-1][1] - 1
        return range(first, end) if first < end else range(min(first, last), min(first, last) + 1)

    def _live_by_tick(self) -> tuple[list[int], list[int]]:
        """(the least, the most)."""
        seen, alignment = self.seen, self.plan.alignment
        count = seen.ticks[-1][1] if seen.ticks else 0
        exact, padded = [0] * (count + 1), [0] * (count + 1)

        def count_in(change: list[int], first: int, end: int, size: int) -> None:
            change[first] += size
            change[end] -= size

        for value in seen.values:
            for born, last, given_up in zip(value.born, value.last, value.given_up(), strict=True):
                if born != NEVER:
                    count_in(exact, born, last + 1, value.unit)
                    count_in(padded, born, given_up + 1, -(-value.unit // alignment) * alignment)
        for work in seen.working:
            count_in(exact, work.first, work.end, work.bytes)
            count_in(padded, work.first, work.end, -(-work.bytes // alignment) * alignment)
        least, most = list(accumulate(exact)), list(accumulate(padded))
        for overlap in seen.overlaps:
            ending = {
                (id(value), i): value.unit
                for value, first, end in overlap.inputs
                for i in range(first // value.unit, (end - 1) // value.unit + 1)
                if value.last[i] == overlap.tick
            }
            least[overlap.tick] -= min(overlap.bytes, sum(ending.values()))
            most[overlap.tick] -= overlap.shared
        return least[:count], most[:count]

    def _alive(self, ticks: range, *, in_order: bool) -> dict[int, list[tuple[int, int]]]:
        """By buffer: when something in it is alive within these ticks; `in_order`: or not given up yet."""
        found: dict[int, list[tuple[int, int]]] = {}

        def note(buffer: int, first: int, end: int) -> None:
            if first < ticks.stop and end > ticks.start:
                found.setdefault(buffer, []).append((first, end))

        for value in self.seen.values:
            buffer = self.plan.placements[value.tensor].buffer
            for born, last in zip(value.born, value.given_up() if in_order else value.last, strict=True):
                if born != NEVER:
                    note(buffer, born, last + 1)
        for work in self.seen.working:
            note(self.buffer_of[work.operator], work.first, work.end)
        return found


def _cover(spans: list[tuple[int, int]], ticks: range) -> bool:
    """Whether the spans leave no gap in these ticks."""
    reached = ticks.start
    for first, end in sorted(spans):
        if first > reached:
            break
        reached = max(reached, end)
    return reached >= ticks.stop
