"""The replay: runs a plan's program on a picture of the arena and looks at every byte that is read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory
from tinydeploy.plan.types import FEED, ROW_ALIGNMENT, Placement, Plan, Step
from tinydeploy.plan.validate import accesses
from tinydeploy.plan.validate.accesses import ELEMENT_WISE, Calls, Read, Turn, Write
from tinydeploy.plan.validate.picture import Picture
from tinydeploy.plan.validate.places import Place, cut
from tinydeploy.plan.validate.refusal import Refusal
from tinydeploy.plan.validate.seen import NEVER, Overlap, Seen, Value, Working

_ROW_TABLE = ROW_ALIGNMENT << 16  # how far rows with places of their own may lie apart: a table's entry has 16 bits

Piece = tuple[int, int, Value, int]
"""Bytes `[first, end)` of a tensor are those of a value from a byte on."""


class Replay:
    """One check of one plan."""

    def __init__(
        self, model: Model, plan: Plan, memory_of: Callable[[Model, Operator], Memory], refusal: Refusal
    ) -> None:
        self.model = model
        self.plan = plan
        self.memory_of = memory_of
        self.refuse = refusal.because
        self.named = refusal.named
        self.operators = {op.index: op for op in model.operators}
        self.seen = Seen(exact=plan.execution == "whole")
        self.tick = 0
        self.stamps = 0
        self.scratch_bytes = {b.scratch_of: b.bytes for b in plan.problem.buffers if b.scratch_of is not None}
        self.starts: list[int] = []  # of each thing's stamps
        self.things: list[str] = []

    def run(self) -> Seen:
        """Raise `PlanInvalidError` unless every byte that is read is the one that was written for it."""
        self._check_program()
        self._check_places()
        self.picture = Picture(self.plan.arena_bytes)
        self._find_values()
        self.calls = {i: self._row_steps(self.operators[i]) for i in sorted(self.plan.by_rows)}
        self.done: dict[int, int] = {}  # row steps, by operator, or by −1 − input
        self.accumulators: dict[int, int] = {}  # stamp, by operator
        self._start()
        for number, step in enumerate(self.plan.problem.steps):
            self._step(number, step)
        self._finish()
        return self.seen

    # -- what must hold before the replay

    def _check_program(self) -> None:
        plan, model = self.plan, self.model
        steps_of = self.seen.steps_of
        for number, step in enumerate(plan.problem.steps):
            if step.operator == FEED:
                if step.feeds not in plan.fed or step.elided:
                    self.refuse(f"step {number} feeds {self.named(-1 if step.feeds is None else step.feeds)}")
                steps_of.setdefault(-1 - (step.feeds or 0), []).append(number)
                continue
            if step.operator not in self.operators or step.feeds is not None:
                self.refuse(f"step {number} names operator {step.operator}, which does not exist, or feeds an input")
            steps_of.setdefault(step.operator, []).append(number)
        for index, op in self.operators.items():
            count = len(steps_of.get(index, ()))
            if count != 1 and (index not in plan.by_rows or not count):
                self.refuse(f"{op} is in {count} steps, not in one")
        if not plan.by_rows <= self.operators.keys():
            self.refuse("an operator that does not exist goes by rows")
        for index in plan.fed:
            if index not in model.inputs or model.tensors[index].variable or plan.fed.count(index) != 1:
                self.refuse(f"{self.named(index)} is fed, but is no input, or one that holds state")
        for index in plan.kept:
            if index not in self._needed():
                self.refuse(f"{self.named(index)} is kept, but never computed")
        if plan.execution == "whole" and (plan.by_rows or plan.fed or plan.segments):
            self.refuse("operators that run as a whole go by rows")
        if plan.arena_bytes < 0:
            self.refuse(f"the arena has {plan.arena_bytes} bytes")
        if plan.alignment < 1 or plan.alignment & (plan.alignment - 1):
            self.refuse(f"the alignment {plan.alignment} is not a power of two")

    def _needed(self) -> set[int]:
        """The tensors that need bytes in an arena."""
        used = set(self.model.inputs) | set(self.model.outputs)
        for op in self.model.operators:
            used |= {i for i in (*op.inputs, *op.outputs) if i >= 0}
        return {i for i in used if not self.model.tensors[i].constant}

    def _check_places(self) -> None:
        plan = self.plan
        self.places: dict[int, Place] = {}
        needed = self._needed()
        for index in sorted(needed - plan.placements.keys()):
            self.refuse(f"{self.named(index)} has no place")
        for index, place in plan.placements.items():
            if index != place.tensor or index not in needed:
                self.refuse(f"the place under {index} is that of tensor {place.tensor}, or nobody needs it")
            self.places[index] = Place(place, *cut(self.model.tensors[index]))
            self.seen.row_bytes[index] = self.places[index].row_bytes
            self._check_place(index, place)
        for index in (*self._given(), *self.model.outputs, *plan.kept):
            if not self.places[index].whole:
                self.refuse(f"{self.named(index)} is read or written from outside, but not in one piece")
        for owner, offset in plan.scratch_offsets.items():
            if owner not in self.operators:
                self.refuse(f"scratch belongs to operator {owner}, which does not exist")
            self._check_span(f"the scratch of {self.operators[owner]}", offset, 0)
            if offset % plan.alignment:
                self.refuse(f"the scratch of {self.operators[owner]} at {offset} is not aligned to {plan.alignment}")

    def _check_place(self, index: int, place: Placement) -> None:
        name, rows, size = self.named(index), self.places[index].rows, self.places[index].row_bytes
        element = self.model.tensors[index].dtype.bytes
        if place.row_offsets:
            if len(place.row_offsets) != rows or place.ring_rows != rows or min(place.row_offsets) != place.offset:
                self.refuse(f"{name} has places for {len(place.row_offsets)} of its {rows} rows from {place.offset} on")
            if max(place.row_offsets) - place.offset >= _ROW_TABLE:
                self.refuse(f"{name} has rows that lie too far apart for a table")
            for offset in place.row_offsets:
                self._check_span(f"a row of {name}", offset, size)
                if offset % max(element, ROW_ALIGNMENT):
                    self.refuse(f"a row of {name} at {offset} is not aligned")
            return
        if not min(rows, 1) <= place.ring_rows <= rows:
            self.refuse(f"{name} keeps {place.ring_rows} rows of {rows}")
        self._check_span(name, place.offset, place.ring_rows * size)
        if place.offset % element:
            self.refuse(f"{name} at {place.offset} is not aligned for its elements")

    def _check_span(self, what: str, offset: int, size: int) -> None:
        if offset < 0 or offset + size > self.plan.arena_bytes:
            self.refuse(f"{what} at [{offset}, {offset + size}) is outside the arena of {self.plan.arena_bytes} bytes")

    # -- values

    def _find_values(self) -> None:
        """What each tensor's bytes are: a value of its own, or bytes of others where its operator is elided."""
        self.contents: dict[int, tuple[Piece, ...]] = {}
        elided = {step.operator for step in self.plan.problem.steps if step.elided}
        for index in sorted(self._needed()):
            if index in self.model.inputs or self.model.tensors[index].variable:
                self._own(index)
        for op in self.model.operators:
            for output in op.outputs:
                if output in self.contents or self.model.tensors[output].constant:
                    self.refuse(f"{op} computes {self.named(output)}, which has a value already")
            if op.index in elided:
                self.contents.update(self._view(op))
                continue
            for output in op.outputs:
                self._own(output)
        self.elided_from = {o: op for op in self.model.operators if op.index in elided for o in op.outputs}

    def _own(self, index: int) -> None:
        tensor = self.model.tensors[index]
        place = self.places[index]
        unit = tensor.bytes if self.seen.exact else place.row_bytes
        units = tensor.bytes // unit if unit else 0
        never = ([NEVER] * units for _ in range(3))
        value = Value(index, self._new(self.named(index), tensor.bytes), max(unit, 1), *never)
        self.seen.values.append(value)
        self.contents[index] = ((0, tensor.bytes, value, 0),)

    def _new(self, thing: str, size: int) -> int:
        """The first of `size` new stamps."""
        self.starts.append(self.stamps)
        self.things.append(thing)
        self.stamps += max(size, 1)
        return self.starts[-1]

    def _view(self, op: Operator) -> Iterator[tuple[int, tuple[Piece, ...]]]:
        """The outputs of an elided operator as bytes of its inputs."""
        from tinydeploy.plan.validate.moves import moves_of

        moves = moves_of(self.model, op)
        if moves is None or op.index in self.plan.by_rows:
            self.refuse(f"{op} is elided, but must run")
        for output, numbers in zip(op.outputs, moves.outputs, strict=True):
            width = self.model.tensors[output].dtype.bytes
            pieces: list[Piece] = []
            for first, end, number in _stretches(numbers.reshape(-1).tolist()):
                position = bisect_right(moves.begins, number) - 1
                source = op.inputs[moves.sources[position]] if number >= 0 else -1
                if source < 0 or self.model.tensors[source].constant:
                    self.refuse(f"{op} is elided, but must run")
                if self.model.tensors[source].variable:
                    self.refuse(f"{op} is elided, but {self.named(source)} is a variable that changes later")
                start = (number - moves.begins[position]) * width
                for low, high, value, at in self._pieces(source, start, start + (end - first) * width):
                    shift = first * width - start
                    pieces.append((low + shift, high + shift, value, at))
            yield output, tuple(pieces)

    def _pieces(self, index: int, first: int, end: int) -> Iterator[Piece]:
        """What the bytes `[first, end)` of a tensor are."""
        for low, high, value, at in self.contents[index]:
            left, right = max(low, first), min(high, end)
            if left < right:
                yield left, right, value, at + left - low

    # -- the replay

    def _given(self) -> list[int]:
        """What is there before the run."""
        state = [i for i in sorted(self._needed()) if self.model.tensors[i].variable]
        inputs = dict.fromkeys(i for i in self.model.inputs if i not in self.plan.fed and i not in state)
        return [*state, *inputs]

    def _start(self) -> None:
        """Before the run inputs are written and variables hold their state."""
        for index in self._given():
            self._write(self.picture, Write(index, 0, self.places[index].rows))
            self._bear(Write(index, 0, self.places[index].rows), 0)
        for index in self._given():
            self._expect_whole(index, "before the first step")

    def _row_steps(self, op: Operator) -> Calls:
        steps = max(self.plan.problem.steps[s].end_row for s in self.seen.steps_of[op.index])
        calls = accesses.by_rows(self.model, op, steps)
        if calls is None:
            self.refuse(f"{op} cannot go by {steps} row steps")
        return calls

    def _step(self, number: int, step: Step) -> None:
        begun = self.tick
        if step.operator == FEED:
            assert step.feeds is not None
            self._in_order(step, -1 - step.feeds, self.places[step.feeds].rows)
            for row in range(step.first_row, step.end_row):
                self._turn(self.picture, None, Turn((), (Write(step.feeds, row, row + 1),)), number)
                self.tick += 1
        else:
            op = self.operators[step.operator]
            calls = self.calls.get(op.index)
            rows = self.places[op.outputs[0]].rows if op.outputs else 0
            self._in_order(step, op.index, rows if calls is None else len(calls[0]))
            if step.elided:
                self._elide(number, op)
            elif calls is None:
                self._with_scratch(number, op, ((accesses.whole(self.model, op),),), 0, 1)
            else:
                self._with_scratch(number, op, calls, step.first_row, step.end_row)
        self.seen.ticks.append((begun, self.tick))

    def _in_order(self, step: Step, key: int, rows: int) -> None:
        """The step goes on where the last one of its operator has ended, and a single one does all."""
        what = str(self.operators[key]) if key >= 0 else f"the feeding of {self.named(-1 - key)}"
        expected = self.done.get(key, 0)
        runs_once = key >= 0 and key not in self.calls
        if step.first_row != expected or not expected <= step.end_row <= rows or (runs_once and step.end_row != rows):
            self.refuse(f"{what} computes rows [{step.first_row}, {step.end_row}) of {rows} where {expected} is next")
        if step.first_row == step.end_row and not runs_once:
            self.refuse(f"{what} has a step without rows")
        self.done[key] = step.end_row

    def _elide(self, number: int, op: Operator) -> None:
        """Nothing runs: the outputs' bytes are those of the inputs."""
        for index in op.inputs:
            if index >= 0 and not self.model.tensors[index].constant:
                self.seen.read[index] = number
        for index in op.outputs:
            self.seen.written[index] = (number, number)
        if self.seen.exact:
            for index in op.outputs:
                for first, end, value, at in self.contents[index]:
                    value.use(at, at + end - first, self.tick)
                    self._expect(self.picture, index, first, end, self._address(index, 0) + first, f"at {op}")
            self.tick += 1

    def _with_scratch(self, number: int, op: Operator, calls: Calls, first: int, end: int) -> None:
        begun = self.tick
        stamp, size, adds = self._take_scratch(op, len(calls[0]))
        before = self.picture.copy() if len(calls) > 1 and end - first > 1 else None
        for row in range(first, end):
            for turns in calls:
                self._turn(self.picture, op, turns[row], number)
            self.tick += 1
        for turns in calls if before is not None else ():
            for turn in turns[first:end]:  # the calls one after the other, as the program makes them
                assert before is not None
                self._turn(before, op, turn, None)
        for index in dict.fromkeys(op.inputs):
            if index >= 0 and self.model.tensors[index].variable:
                self._renew(index, op)
        if stamp is None:
            return
        offset = self.plan.scratch_offsets[op.index]
        self._intact(self.picture, offset, offset + size, stamp, f"the scratch of {op}", "within its step")
        if adds:
            self.accumulators[op.index] = stamp
            if self.done[op.index] == len(calls[0]):
                begun = self.seen.ticks[self.seen.steps_of[op.index][0]][0] if first else begun
                self.seen.working.append(Working(op.index, number, begun, self.tick, size))
        else:
            self.seen.working.append(Working(op.index, number, begun, self.tick, size))

    def _take_scratch(self, op: Operator, steps: int) -> tuple[int | None, int, bool]:
        """(stamp, size, whether it is kept from step to step) of the scratch: rubbish to begin with."""
        adds = op.index in self.plan.by_rows and accesses.accumulates(self.model, op, steps)
        scratch = self.memory_of(self.model, op).scratch_bytes
        size = accesses.accumulator_bytes(self.model, op) if adds else scratch
        if size <= 0:
            return None, 0, adds
        offset = self.plan.scratch_offsets.get(op.index)
        if offset is None:
            self.refuse(f"{op} needs {size} bytes of scratch and has none")
        if self.scratch_bytes.get(op.index, 0) < size:
            self.refuse(f"{op} needs {size} bytes of scratch, its buffer has fewer")
        size = self.scratch_bytes[op.index]
        what = f"the scratch of {op}"
        self._check_span(what, offset, size)
        if adds and offset % ROW_ALIGNMENT:
            self.refuse(f"{what} at {offset} is not aligned for sums")
        stamp = self.accumulators.get(op.index)
        if stamp is None:
            stamp = self._new(what, size)
            self.picture.write(offset, offset + size, stamp)
        else:
            self._intact(self.picture, offset, offset + size, stamp, what, "between its steps")
        return stamp, size, adds

    def _turn(self, picture: Picture, op: Operator | None, turn: Turn, number: int | None) -> None:
        """One row step of a kernel: reads, then writes. `number`: of the step, or None to note nothing."""
        spans = []
        for read in turn.reads:
            address = self._address(read.tensor, read.anchor) + read.first
            address -= read.anchor * self.places[read.tensor].row_bytes
            why = f"when {op} reads it"
            origin = self.elided_from.get(read.tensor)
            if origin is not None and origin.index not in self.done:
                self.refuse(f"{op} reads {self.named(read.tensor)} before the step of {origin}")
            self._expect(picture, read.tensor, read.first, read.end, address, why)
            spans.append((address, address + read.end - read.first, read))
            if number is not None:
                self.seen.read[read.tensor] = number
                for first, end, value, at in self._pieces(read.tensor, read.first, read.end):
                    value.use(at, at + end - first, self.tick)
        for read in turn.spanned if number is not None else ():
            for first, end, value, at in self._pieces(read.tensor, read.first, read.end):
                value.span(at, at + end - first, self.tick)
        for write in turn.writes:
            for address, first, end in self.places[write.tensor].runs(write.first, write.end):
                for start, stop, read in spans:
                    if max(start, address) < min(stop, address + end - first):
                        self._check_overwriting(op, write, address, end - first, read, start)
            self._write(picture, write)
            if number is not None:
                self._bear(write, number)
                self._note_overlap(op, write, spans)
        if len(turn.writes) > 1 or any(write.end - write.first > 1 for write in turn.writes):
            for write in turn.writes:
                for address, first, end in self.places[write.tensor].runs(write.first, write.end):
                    self._expect(picture, write.tensor, first, end, address, f"after {op} has written its outputs")

    def _may_lie_over(self, op: Operator | None, write: Write, read: Read) -> bool:
        """Whether every element of what is read is read before an output that begins no later overwrites it."""
        if op is None or op.opcode not in ELEMENT_WISE or len(op.outputs) != 1:
            return False
        result, source = self.model.tensors[write.tensor], self.model.tensors[read.tensor]
        made = (write.end - write.first) * self.places[write.tensor].row_bytes // result.dtype.bytes
        taken = (read.end - read.first) // source.dtype.bytes
        return not source.variable and made == taken and result.dtype.bytes <= source.dtype.bytes

    def _check_overwriting(
        self, op: Operator | None, write: Write, address: int, size: int, read: Read, start: int
    ) -> None:
        """The write at `address` meets the read at `start`."""
        in_one_piece = size == (write.end - write.first) * self.places[write.tensor].row_bytes
        if not (self._may_lie_over(op, write, read) and address <= start and in_one_piece):
            self.refuse(f"{op} writes {self.named(write.tensor)} over its own input {self.named(read.tensor)}")

    def _note_overlap(self, op: Operator | None, write: Write, spans: list[tuple[int, int, Read]]) -> None:
        if op is None or op.opcode not in ELEMENT_WISE:
            return
        legal = {(start, stop): read for start, stop, read in spans if self._may_lie_over(op, write, read)}
        if not legal:
            return
        size = self.places[write.tensor].row_bytes * (write.end - write.first)
        address, alignment = self._address(write.tensor, write.first), self.plan.alignment
        inputs: list[tuple[Value, int, int]] = []
        shared = 0
        for (start, stop), read in legal.items():
            for first, end, value, at in self._pieces(read.tensor, read.first, read.end):
                inputs.append((value, at, at + end - first))
            ends = (-(-e // alignment) * alignment for e in (stop, address + size))
            shared += max(min(ends) - max(start, address), 0)
        self.seen.overlaps.append(Overlap(self.tick, size, tuple(inputs), shared))

    def _write(self, picture: Picture, write: Write) -> None:
        ((_, _, value, _),) = self.contents[write.tensor]
        for address, first, end in self.places[write.tensor].runs(write.first, write.end):
            picture.write(address, address + end - first, value.stamp + first)

    def _bear(self, write: Write, number: int) -> None:
        ((_, _, value, _),) = self.contents[write.tensor]
        size = self.places[write.tensor].row_bytes
        value.bear(write.first * size, write.end * size, self.tick)
        first, _ = self.seen.written.get(write.tensor, (number, number))
        self.seen.written[write.tensor] = (first, number)

    def _renew(self, index: int, op: Operator) -> None:
        """The operator may have changed the state: what was a copy of it is one no more."""
        self._expect_whole(index, f"after {op}")
        ((_, _, value, _),) = self.contents[index]
        value.stamp = self._new(self.named(index), self.model.tensors[index].bytes)
        self._write(self.picture, Write(index, 0, self.places[index].rows))

    def _finish(self) -> None:
        """After the run: inputs are fed altogether, outputs can be read, variables keep their state."""
        for index in self.plan.fed:
            if self.done.get(-1 - index, 0) != self.places[index].rows:
                self.refuse(f"of {self.named(index)} not all rows are fed")
        last = len(self.plan.problem.steps) - 1
        state = [i for i in sorted(self._needed()) if self.model.tensors[i].variable]
        for indices, why in (
            (self.model.outputs, "as an output of the model"),
            (self.plan.kept, "as a result that is kept"),
            (state, "as state for the next run"),
        ):
            for index in indices:
                if index not in self.seen.written:
                    self.refuse(f"{self.named(index)} is needed {why} and never computed")
                self._expect_whole(index, f"at the end, {why}")
                self.seen.read[index] = last
                for first, end, value, at in self.contents[index]:
                    value.use(at, at + end - first, self.tick - 1)

    # -- looking at the picture

    def _address(self, index: int, row: int) -> int:
        return self.places[index].at(row)

    def _expect_whole(self, index: int, when: str) -> None:
        self._expect(self.picture, index, 0, self.model.tensors[index].bytes, self._address(index, 0), when)

    def _expect(self, picture: Picture, index: int, first: int, end: int, address: int, when: str) -> None:
        """Bytes `[first, end)` of a tensor, all of them, are those from `address` on."""
        for low, high, value, at in self._pieces(index, first, end):
            here = address + low - first
            self._intact(picture, here, here + high - low, value.stamp + at, self.named(index), when)

    def _intact(self, picture: Picture, start: int, end: int, stamp: int, what: str, when: str) -> None:
        if start < 0 or end > picture.size:
            self.refuse(f"{what} is lost {when}: [{start}, {end}) is outside the arena")
        wrong = picture.differs(start, end, stamp)
        if wrong is None:
            return
        at, found = wrong
        holds = "nothing that was written"
        if found is not None:
            thing = bisect_right(self.starts, found) - 1
            byte = found - self.starts[thing]
            holds = self.things[thing]
            if holds == what:
                holds = f"byte {byte} of it" if byte != stamp - self.starts[thing] + at - start else "an older state"
        self.refuse(f"{what} is lost {when}: byte {at} of the arena holds {holds}")


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int, int]]:
    """(first, end, number at first) of each stretch in which numbers rise by one."""
    first = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1 or numbers[at] == 0:
            yield first, at, numbers[first]
            first = at
