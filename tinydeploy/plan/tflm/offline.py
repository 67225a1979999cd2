"""Where TensorFlow Lite Micro's tensors are to lie, and in which order its operators run: `OfflineMemoryAllocation`.

plan = plan_offline(model, kernels="cmsis-nn")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tinydeploy.boards.board import Core
from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory
from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.order import ORDER_VISITS, Order, orders, reordered
from tinydeploy.plan.tflm.arena import TflmArena, as_in_file, kernels_memory
from tinydeploy.plan.tflm.candidates import (
    KERNEL_SETS,
    Candidate,
    Terms,
    arenas_with,
    best_candidate,
    bound,
    idle_bytes,
)
from tinydeploy.plan.tflm.kernels import KernelSet
from tinydeploy.plan.types import ALIGNMENT, Proof
from tinydeploy.plan.validate.offline import validate_offline
from tinydeploy.units import align_up

_CONTROL_DEPENDENCIES = "model_control_dependencies"  # metadata that names operators by their place in the file


@dataclass(frozen=True)
class OfflinePlan:
    """A placement of tensors for TFLM, made for one set of kernels, and what it comes to with either.

    `order`: the operators by their place in the file, as they are to stand. `offsets`: by tensor index, in bytes from
    the start of the arena's non-persistent part; None for what TFLM has elsewhere (constants, variables) or is to
    place itself. By set of kernels: `greedy` are the arenas of the file without any placement, `arenas` those with
    this one, `bounds` the most bytes alive at one time in this order. `proof` is about the non-persistent part with
    `kernels`: its floor holds for every order, and so does `optimal`.
    """

    kernels: KernelSet
    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    greedy: Mapping[KernelSet, TflmArena]
    arenas: Mapping[KernelSet, TflmArena]
    bounds: Mapping[KernelSet, int]
    proof: Proof

    @property
    def reordered(self) -> bool:
        """Whether the operators are to stand in another order than the file's."""
        return self.order != tuple(range(len(self.order)))

    @property
    def nonpersistent_bytes(self) -> int:
        """The part of the arena that is planned, with `kernels`."""
        return self.arenas[self.kernels].nonpersistent_bytes

    @property
    def greedy_bytes(self) -> int:
        """The same without any placement in the file."""
        return self.greedy[self.kernels].nonpersistent_bytes


def plan_offline(
    model: Model, *, kernels: KernelSet, core: Core | None = None, budget: Budget = USUAL, cp_sat: bool = False
) -> OfflinePlan:
    """The placement with the least arena for `kernels` that is found; of equal ones, the least for the other kernels.

    TFLM's rules: whole tensors that do not overlap, multiples of 16 bytes, scratch while its operator runs. The
    operators are put in another order only where that makes the arena smaller. What the file says of places already
    is not looked at. Give the model as it was read. Deterministic, and checked by the validator.

    `cp_sat` adds OR-Tools where the built-in search has proved nothing; without it the same comes out everywhere.
    Raises `MissingToolError` for it without OR-Tools, and `PlanInvalidError` if the validator refuses the result.
    """
    whole = as_in_file(model)
    terms = Terms(kernels, core, budget, cp_sat)
    best = best_candidate(whole, terms)
    floor = bound(whole, kernels, terms)
    if _movable(whole):
        offered = _orders(whole, terms)
        floor = _floor(whole, offered)
        for order in sorted(offered, key=lambda order: order.peak_bytes):
            if order.peak_bytes < best.arenas[kernels].nonpersistent_bytes:
                other = best_candidate(reordered(whole, order.order), terms)
                if other.arenas[kernels].arena_bytes < best.arenas[kernels].arena_bytes:
                    best = other
    plan = OfflinePlan(
        kernels=kernels,
        order=tuple(op.index for op in best.model.operators),
        offsets=best.offsets,
        greedy=arenas_with(whole, (None,) * len(whole.tensors), terms),
        arenas=best.arenas,
        bounds=MappingProxyType({each: bound(best.model, each, terms) for each in KERNEL_SETS}),
        proof=_proof(best, bound(best.model, kernels, terms), floor, kernels),
    )
    validate_offline(model, plan.order, plan.offsets)
    return plan


def _movable(model: Model) -> bool:
    """Whether only the tensors between operators say in which order these may run."""
    if _CONTROL_DEPENDENCIES in model.metadata:
        return False
    return all(op.outputs and not any(model.tensors[t].variable for t in op.outputs) for op in model.operators)


def _orders(model: Model, terms: Terms) -> tuple[Order, ...]:
    """Orders of operators with low peaks, the file's first."""
    used = {index for op in model.operators for index in op.inputs} | set(model.outputs)
    # what nobody reads is written before the first operator and then given up; variables are not in this part at all
    placed = replace(
        model,
        inputs=tuple(index for index in model.inputs if index in used),
        tensors=tuple(replace(t, shape=(0,)) if t.variable else t for t in model.tensors),
    )
    needs = kernels_memory(model, kernels=terms.kernels, core=terms.core)
    scratch = [sum(align_up(size, ALIGNMENT) for size in need.scratch) for need in needs]

    def memory_of(_: Model, op: Operator) -> Memory:
        return Memory(scratch_bytes=scratch[op.index])

    return orders(placed, in_place=False, memory_of=memory_of, visits=terms.budget.scaled(ORDER_VISITS))


def _floor(model: Model, offered: tuple[Order, ...]) -> int:
    """What no placement in any order can go below."""
    given = sum(align_up(model.tensor(index).bytes, ALIGNMENT) for index in model.inputs)
    return max(offered[0].lower_bound_bytes, given, idle_bytes(model))


def _proof(best: Candidate, lower_bound: int, floor: int, kernels: KernelSet) -> Proof:
    reached = best.arenas[kernels].nonpersistent_bytes
    if reached == floor:
        method = "meets what every order of operators needs"
    elif reached == lower_bound:
        method = "meets what is alive in this order of operators; another order may need less"
    elif best.exhaustive:
        method = "exact search finished: nothing smaller exists in this order of operators"
    else:
        method = "best found; the exact search did not finish"
    return Proof(lower_bound, reached == floor, method, best.exhaustive, floor)
