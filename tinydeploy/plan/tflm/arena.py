"""Puts TensorFlow Lite Micro's arena together: what its greedy planner places below, what it never frees above.

Every allocation is repeated in TFLM's order with its size and alignment on a 32-bit Cortex-M. Sources, in
tensorflow/lite/micro: micro_allocator.cc, micro_allocation_info.cc, micro_interpreter.cc and
arena_allocator/single_arena_buffer_allocator.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from struct import iter_unpack

from tinydeploy.boards.board import Core
from tinydeploy.ir import Model, Operator, Tensor
from tinydeploy.plan.tflm.greedy import Request, height, place
from tinydeploy.plan.tflm.kernels import KernelMemory, KernelSet, kernel_memory
from tinydeploy.units import align_up

_ALIGNMENT = 16  # of buffers, of what kernels allocate, and of the arena itself
_POINTER = 4
NEVER = -1  # the scope of what no operator writes

# (size, alignment) of TFLM's structures
_ALLOCATOR = (36, 4)  # SingleArenaBufferAllocator
_PLANNER = (44, 4)  # GreedyMemoryPlanner
_MICRO_ALLOCATOR = (36, 4)
_OPTIONS_ALLOCATOR = (8, 4)  # MicroBuiltinDataAllocator
_SUBGRAPH = (8, 4)  # SubgraphAllocations
_TENSOR = (32, 4)  # TfLiteTensor, for the graph's inputs and outputs
_QUANTIZATION = (12, 4)  # TfLiteAffineQuantization
_EVAL_TENSOR_BYTES = 12
_NODE_BYTES = 32  # NodeAndRegistration
# while memory is planned
_SCRATCH_REQUEST_BYTES = 12
_SPARE_REQUESTS = 12  # kMaxScratchBuffersPerOp
_ALLOCATION_INFO_BYTES = 24
_PLANNED_BUFFER_BYTES = 40  # GreedyMemoryPlanner::per_buffer_size

_OFFLINE_PLAN = "OfflineMemoryAllocation"  # metadata

Offsets = Sequence[int | None]
"""For each tensor of the file where it is placed offline, in bytes, or None where TFLM is to choose."""


@dataclass(frozen=True)
class TflmArena:
    """TensorFlow Lite Micro's arena for a model, in bytes: computed, not measured.

    `nonpersistent_bytes` is the part that its greedy planner places, with activations and the kernels' scratch;
    `persistent_bytes` the part that it never frees. `scratch_bytes` is the most that one operator has as scratch, a
    part of the former. `setup_bytes` is what the arena must hold while memory is planned, which can be more than what
    is used in the end. `unknown` names the operators whose kernels are not known here: what they would add is missing.
    """

    nonpersistent_bytes: int
    persistent_bytes: int
    scratch_bytes: int
    setup_bytes: int
    unknown: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """What `MicroInterpreter::arena_used_bytes` answers."""
        return self.nonpersistent_bytes + self.persistent_bytes

    @property
    def arena_bytes(self) -> int:
        """The least arena, aligned to 16 bytes, that `AllocateTensors` can plan in: a multiple of 16.

        What kernels allocate for a moment while they prepare is left out: it decides in networks of a few buffers only.
        """
        return max(align_up(self.total_bytes, _ALIGNMENT), self.setup_bytes)


def predict_tflm_arena(model: Model, *, kernels: KernelSet, core: Core | None = None) -> TflmArena:
    """The arena that TensorFlow Lite Micro would use for the model's file with these kernels.

    CMSIS-NN's scratch depends on the core: without one it has the DSP extension, as M4, M7 and M33 have. TFLM sees what
    the file holds: operators that the reader has folded away count, and so do tensors that nothing uses. Other
    subgraphs than the first, which the reader does not read, would add 12 bytes for each tensor and 32 for each
    operator; custom allocators, resource variables and profilers are not counted.
    """
    return arena_with(as_in_file(model), _offline_offsets(model), kernels=kernels, core=core)


def arena_with(model: Model, offline: Offsets, *, kernels: KernelSet, core: Core | None = None) -> TflmArena:
    """The same for a model that is `as_in_file`, with these offsets in its metadata, whatever it says itself."""
    memory = kernels_memory(model, kernels=kernels, core=core)
    unknown = [str(op) for op, need in zip(model.operators, memory, strict=True) if not need.known]
    if core is not None and core.mve and kernels == "cmsis-nn":
        unknown.append(f"{core.name}: CMSIS-NN's scratch with Helium")
    requests = [*tensor_requests(model, offline).values(), *chain.from_iterable(scratch_requests(memory))]
    persistent, before_interface = _persistent(model, offline, memory)
    scratches = sum(len(need.scratch) for need in memory)
    return TflmArena(
        nonpersistent_bytes=height(requests, place(requests)),
        persistent_bytes=persistent,
        scratch_bytes=max((sum(align_up(b, _ALIGNMENT) for b in need.scratch) for need in memory), default=0),
        setup_bytes=_setup(before_interface, len(model.tensors), scratches, len(requests)),
        unknown=tuple(unknown),
    )


def as_in_file(model: Model) -> Model:
    """The model with all operators of its file, in the file's order and numbered by it: none is folded away."""
    kept: Iterator[Operator] = iter(model.operators)
    folded = {op.index: op for op in model.folded_operators}
    count = len(model.operators) + len(folded)
    operators = (folded[index] if index in folded else next(kept) for index in range(count))
    tensors = list(model.tensors)
    for op in model.folded_operators:
        for index in op.outputs:
            tensors[index] = replace(tensors[index], constant=False, data=None)
    return replace(
        model,
        tensors=tuple(tensors),
        operators=tuple(replace(op, index=index) for index, op in enumerate(operators)),
        folded_operators=(),
    )


def kernels_memory(model: Model, *, kernels: KernelSet, core: Core | None) -> tuple[KernelMemory, ...]:
    """What each operator's kernel takes."""
    dsp = core is None or core.dsp
    return tuple(kernel_memory(model, op, kernels, dsp=dsp) for op in model.operators)


def tensor_requests(model: Model, offline: Offsets) -> dict[int, Request]:
    """The buffers of the tensors that are placed, by tensor index, in the order in which TFLM's
    `AllocationInfoBuilder` lists them.

    Scope 0 is before the first operator, each operator has the next one. A tensor that is never written lives from −1.
    """
    first: dict[int, int] = dict.fromkeys(model.inputs, 0)
    last = dict(first)
    for scope, op in enumerate(model.operators, start=1):
        for index in op.outputs:
            first.setdefault(index, scope)
        last.update((index, scope) for index in (*op.inputs, *op.outputs))
    for index in model.outputs:
        first.setdefault(index, len(model.operators))
        last[index] = len(model.operators)
    requests = {}
    for tensor, offset in zip(model.tensors, offline, strict=True):
        planned = offset is not None if tensor.variable else not tensor.constant
        if planned and tensor.bytes:
            lives = (first.get(tensor.index, NEVER), last.get(tensor.index, NEVER))
            requests[tensor.index] = Request(align_up(tensor.bytes, _ALIGNMENT), *lives, offset)
    return requests


def scratch_requests(memory: Sequence[KernelMemory]) -> list[list[Request]]:
    """The buffers of each operator's scratch; they come behind those of the tensors."""
    return [
        [Request(align_up(size, _ALIGNMENT), scope, scope) for size in need.scratch]
        for scope, need in enumerate(memory, start=1)
    ]


def _offline_offsets(model: Model) -> Offsets:
    """The offset that the file's metadata gives each tensor, or None where TFLM is to choose.

    The metadata holds int32 numbers: a version, a subgraph, a count, and an offset or −1 for each tensor. TFLM refuses
    one of another count.
    """
    table = model.metadata.get(_OFFLINE_PLAN, b"")
    numbers = [number for (number,) in iter_unpack("<i", table[: len(table) // 4 * 4])]
    if len(numbers) < 3 or numbers[2] != len(model.tensors) or len(numbers) < 3 + numbers[2]:
        return (None,) * len(model.tensors)
    return tuple(number if number >= 0 else None for number in numbers[3 : 3 + numbers[2]])


class _Tail:
    """The arena's upper end, from which TFLM allocates downwards."""

    def __init__(self) -> None:
        self.used = 0

    def add(self, size: int, alignment: int = _ALIGNMENT) -> None:
        """Allocate: the arena's end is aligned, so the distance from it is aligned as the address is."""
        self.used = align_up(self.used + size, alignment)


def _persistent(model: Model, offline: Offsets, memory: Sequence[KernelMemory]) -> tuple[int, int]:
    """The bytes that are never freed: in all, and when memory is planned."""
    tail = _Tail()
    for structure in (_ALLOCATOR, _PLANNER, _MICRO_ALLOCATOR, _OPTIONS_ALLOCATOR, _SUBGRAPH):
        tail.add(*structure)
    tail.add(_EVAL_TENSOR_BYTES * len(model.tensors), _POINTER)
    tail.add(_NODE_BYTES * len(model.operators), _POINTER)
    for need in memory:
        tail.add(*need.options)
    for need in memory:
        if need.state:
            tail.add(need.state)
    for need in memory:
        for table in need.tables:
            tail.add(table)
    scratches = sum(len(need.scratch) for need in memory)
    if scratches:
        tail.add(_POINTER * scratches, _POINTER)
    for tensor in model.tensors:
        if tensor.variable and offline[tensor.index] is None:
            tail.add(tensor.bytes)
    planned = tail.used
    for interface in (model.inputs, model.outputs):
        tail.add(_POINTER * len(interface))
        for index in interface:
            _add_tensor(tail, model.tensor(index))
    return tail.used, planned


def _add_tensor(tail: _Tail, tensor: Tensor) -> None:
    """The description of an input or output of the graph, for the application."""
    tail.add(*_TENSOR)
    if tensor.quantization is not None:
        tail.add(*_QUANTIZATION)
        tail.add(4 * (1 + len(tensor.quantization.zero_points)), _POINTER)


def _setup(persistent: int, tensors: int, scratches: int, buffers: int) -> int:
    """The arena while memory is planned: requests and life times at the lower end, then the planner's tables."""
    requests = _SCRATCH_REQUEST_BYTES * (scratches + _SPARE_REQUESTS)
    infos = _POINTER + _ALLOCATION_INFO_BYTES * (tensors + scratches)
    tables = align_up(requests + infos, _ALIGNMENT) + _PLANNED_BUFFER_BYTES * buffers
    return align_up(persistent, _ALIGNMENT) + align_up(tables, _ALIGNMENT)
