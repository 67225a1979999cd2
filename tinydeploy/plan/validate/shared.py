"""The check of several models in one arena: none of them writes where something lies that another one needs later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from tinydeploy.plan.types import Plan, SharedArena, Tenant
from tinydeploy.plan.validate.places import Place, cut
from tinydeploy.plan.validate.refusal import Refusal


def validate_shared(arena: SharedArena) -> None:
    """Return if each model's state outlives whatever the others do. Raises `PlanInvalidError`, which names the tensors.

    The replay of a plan (`validate`, which each must have passed) proves that its program writes only where the plan
    has a tensor or scratch; so it is enough that none of these places is a byte of another model's state.
    """
    for tenant in arena.tenants:
        _check_tenant(arena, tenant)
    for writer, owner in permutations(arena.tenants, 2):
        named = Refusal(owner.model).named
        for index in owner.survives:
            for first, end in _spans_of(owner, index):
                for what, low, high in _written(writer):
                    if max(first, low) < min(end, high):
                        Refusal(writer.model).because(
                            f"{what} at [{low}, {high}) of the shared arena lies over {named(index)} at "
                            f"[{first}, {end}), which is state of {owner.model.path or owner.model.name}"
                        )


def _check_tenant(arena: SharedArena, tenant: Tenant) -> None:
    """It lies in the arena, its state is complete, and all that it writes is where it says."""
    refusal, plan = Refusal(tenant.model), tenant.plan
    if plan.arena_bytes > arena.arena_bytes or arena.alignment % plan.alignment:
        refusal.because(f"the shared arena of {arena.arena_bytes} bytes is too small, or not aligned for this model")
    for index in plan.placements:
        if tenant.model.tensors[index].variable and index not in tenant.survives:
            refusal.because(f"{refusal.named(index)} is a variable, but not among what survives")
    for index in tenant.survives:
        if index not in plan.placements:
            refusal.because(f"{refusal.named(index)} is to survive, but has no place")
        if not (tenant.model.tensors[index].variable or index in plan.kept):
            refusal.because(f"{refusal.named(index)} is to survive, but may be overwritten by its own model")
        for first, end in _spans_of(tenant, index):
            if not tenant.state_first <= first <= end <= tenant.state_end:
                refusal.because(f"{refusal.named(index)} does not lie in the state of its model")
    if tenant.working_bytes > arena.shared_bytes or tenant.state_end > arena.arena_bytes:
        refusal.because("the model works, or keeps state, outside of the shared arena")
    for what, first, end in _written(tenant):
        if end > tenant.working_bytes and not tenant.state_first <= first <= end <= tenant.state_end:
            refusal.because(f"{what} at [{first}, {end}) lies neither where its model works nor in its state")


def _spans_of(tenant: Tenant, index: int) -> Iterator[tuple[int, int]]:
    """Where a tensor lies, as half-open spans of the arena."""
    place = Place(tenant.plan.placements[index], *cut(tenant.model.tensors[index]))
    for address, first, end in place.runs(0, place.placement.ring_rows):
        yield address, address + end - first


def _written(tenant: Tenant) -> Iterator[tuple[str, int, int]]:
    """All that a run, its initialisation, or the application that writes its inputs may write."""
    refusal, plan = Refusal(tenant.model), tenant.plan
    for index in plan.placements:
        for first, end in _spans_of(tenant, index):
            yield refusal.named(index), first, end
    for operator, first, size in _scratch(plan):
        yield f"the scratch of {tenant.model.operators[operator]}", first, first + size


def _scratch(plan: Plan) -> Iterator[tuple[int, int, int]]:
    for buffer in plan.problem.buffers:
        if buffer.scratch_of is not None:
            yield buffer.scratch_of, plan.scratch_offsets[buffer.scratch_of], buffer.bytes
