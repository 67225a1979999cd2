"""From a model to the placement problem: the program's steps, live ranges, and which tensors share bytes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory, printable, refuse, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.types import Buffer, Problem, Step

MemoryOf = Callable[[Model, Operator], Memory]


def stated_memory(model: Model, op: Operator) -> Memory:
    """What the operator's kind says that the planner may do; nothing special for an opcode without a kind."""
    kind = kind_of(op.opcode)
    return kind.memory(model, op) if kind is not None else Memory()


def build_problem(model: Model, *, in_place: bool = True, memory_of: MemoryOf = stated_memory) -> Problem:
    """What must be placed for `model`, with one step for each operator in the model's order.

    Live ranges are half-open in steps. A model input lives from step 0 (it is written before the run) to its last
    reader, a model output from its producer to the end, a variable tensor throughout, a tensor that nobody reads
    during its own step. Constants are in flash and have no buffer.

    Reshape-like operators share their input's buffer and their step is elided, unless the input is a constant or a
    variable tensor: then the step runs and copies. With `in_place`, an element-wise operator writes over an input
    whose every sharer is dead after the step. `in_place=False` keeps all results apart, for comparison.

    Raises `UnsupportedModelError` for a model without operators or with a constant as output, and `ModelError` for
    an operator that reads what nothing has computed, or that computes what exists already.
    """
    check_flow(model)
    ranges = _tensor_ranges(model)
    shared: list[list[int]] = []  # tensors that lie at one offset, buffer by buffer
    home: dict[int, list[int]] = {}
    scratch: list[tuple[int, int]] = []
    steps: list[Step] = []

    def settle(tensor: int, group: list[int] | None = None) -> None:
        if group is None:
            group = []
            shared.append(group)
        group.append(tensor)
        home[tensor] = group

    for index in sorted(ranges, key=lambda i: (ranges[i][0], i)):
        tensor = model.tensors[index]
        if tensor.variable or index in model.inputs:
            settle(index)

    for step, op in enumerate(model.operators):
        memory = memory_of(model, op)
        source = alias_source(model, op, memory)
        if source is not None:
            settle(op.outputs[0], home[source])
        else:
            over = _overwritten(model, op, memory, step, ranges, home) if in_place else None
            for position, output in enumerate(op.outputs):
                settle(output, home[over] if over is not None and position == 0 else None)
        if memory.scratch_bytes > 0:
            scratch.append((step, memory.scratch_bytes))
        rows = rows_of(model.output_of(op))[0] if op.outputs else 0
        steps.append(Step(op.index, 0, rows, elided=source is not None))

    buffers = [_buffer(model, number, group, ranges) for number, group in enumerate(shared)]
    for step, size in scratch:
        owner = model.operators[step].index
        buffers.append(Buffer(len(buffers), size, step, step + 1, scratch_of=owner))
    return Problem(tuple(steps), tuple(buffers), ranges)


def _name(model: Model) -> str:
    return model.path or printable(model.name)


def check_flow(model: Model) -> None:
    """Raise unless there is something to run and every tensor has one origin, and has it before it is read.

    `UnsupportedModelError` for a model without operators or with a constant as output, `ModelError` for the rest.
    """
    if not model.operators:
        raise UnsupportedModelError(f"{_name(model)}: has no operators, so there is nothing to run")
    known = set(model.inputs) | {t.index for t in model.tensors if t.constant or t.variable}
    for op in model.operators:
        for index in op.inputs:
            if index >= 0 and index not in known:
                raise _flow_error(model, op, index, "is read before anything has computed it")
        for index in op.outputs:
            if index in known:
                raise _flow_error(model, op, index, "is computed, but has a value already")
            known.add(index)
    for index in model.outputs:
        tensor = model.tensors[index]
        label = f"{_name(model)}: output tensor {index} '{printable(tensor.name)}'"
        if index not in known:
            raise ModelError(f"{label} is computed by no operator")
        if tensor.constant:
            raise UnsupportedModelError(
                f"{label} is a constant: no operator computes it",
                hint="remove the output from the model; its value is known without a run",
            )
    for index in model.inputs:
        if model.tensors[index].constant:
            label = f"{_name(model)}: input tensor {index} '{printable(model.tensors[index].name)}'"
            raise ModelError(f"{label} is a constant")


def _flow_error(model: Model, op: Operator, index: int, why: str) -> ModelError:
    return ModelError(str(refuse(model, op, why, tensor=model.tensors[index])))


def _tensor_ranges(model: Model) -> dict[int, tuple[int, int]]:
    """`[first, end)` of every tensor that needs an arena, by tensor index."""
    count = len(model.operators)
    first: dict[int, int] = dict.fromkeys(model.inputs, 0)
    end: dict[int, int] = dict.fromkeys(model.inputs, 1)
    for step, op in enumerate(model.operators):
        for index in op.inputs:
            if index >= 0 and not model.tensors[index].constant:
                end[index] = step + 1
                if model.tensors[index].variable:
                    first[index] = 0
        for index in op.outputs:
            first[index] = step
            end[index] = step + 1
    for index in (*model.outputs, *(i for i in first if model.tensors[i].variable)):
        first.setdefault(index, 0)
        end[index] = count
        if model.tensors[index].variable:
            first[index] = 0
    return {index: (first[index], end[index]) for index in sorted(first)}


def alias_source(model: Model, op: Operator, memory: Memory) -> int | None:
    """The tensor whose bytes are the operator's output, or None when the step must run."""
    if memory.alias is None or len(op.outputs) != 1 or memory.scratch_bytes:
        return None
    source = model.input_of(op, memory.alias)
    # a variable tensor may be rewritten by a later operator while the output still lives: that step copies
    if source is None or source.constant or source.variable:
        return None
    return source.index if source.bytes == model.output_of(op).bytes else None


def _overwritten(
    model: Model,
    op: Operator,
    memory: Memory,
    step: int,
    ranges: dict[int, tuple[int, int]],
    home: dict[int, list[int]],
) -> int | None:
    """The input that the output may lie over: no tensor of its buffer is needed after this step."""
    if len(op.outputs) != 1:
        return None
    output = model.output_of(op)
    for position in memory.in_place:
        source = model.input_of(op, position)
        if source is None or source.constant or source.variable or source.bytes < output.bytes:
            continue
        group = home[source.index]
        needed_later = any(ranges[t][1] > step + 1 or t in model.outputs for t in group)
        # the same bytes may also come in at a position that the operator reads in another order
        read_otherwise = any(
            home.get(index) is group and other not in memory.in_place for other, index in enumerate(op.inputs)
        )
        if not needed_later and not read_otherwise:
            return source.index
    return None


def _buffer(model: Model, number: int, tensors: list[int], ranges: dict[int, tuple[int, int]]) -> Buffer:
    """The buffer of tensors that lie at one offset, with its profile where its bytes in use change."""
    first = min(ranges[t][0] for t in tensors)
    end = max(ranges[t][1] for t in tensors)
    times = sorted({first, end, *(t for index in tensors for t in ranges[index])})
    profile: list[tuple[int, int, int]] = []
    for left, right in pairwise(times):
        size = max(model.tensors[t].bytes for t in tensors if ranges[t][0] <= left and right <= ranges[t][1])
        if profile and profile[-1][2] == size:
            profile[-1] = (profile[-1][0], right, size)
        else:
            profile.append((left, right, size))
    return Buffer(
        number,
        max(model.tensors[t].bytes for t in tensors),
        first,
        end,
        tuple(tensors),
        persistent=any(model.tensors[t].variable for t in tensors),
        profile=tuple(profile) if len(profile) > 1 else (),
    )
