"""Several models in one arena, where never two run at once: what they work in is shared, their state lies behind it.

    [ shared: the largest of all working parts | state of the first | state of the second | … ]

State is what must outlive another model's run: variable tensors, and what the user keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tinydeploy.ir import Model
from tinydeploy.plan.problem import MemoryOf, stated_memory
from tinydeploy.plan.types import ALIGNMENT, Placement, Plan, SharedArena, Tenant
from tinydeploy.plan.validate import validate
from tinydeploy.plan.validate.shared import validate_shared
from tinydeploy.units import align_up


def state_of(model: Model, kept: Collection[int] = ()) -> tuple[int, ...]:
    """The tensors that other models must leave as they are; to be planned `behind` all others."""
    used = {i for op in model.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    return tuple(i for i, t in enumerate(model.tensors) if (i in used and t.variable) or i in kept)


def share(planned: Sequence[tuple[Model, Plan]], *, memory_of: MemoryOf = stated_memory) -> SharedArena:
    """One arena for models whose plans have their state behind all else (see `state_of`); checked by the validator.

    The arena is as small as these plans allow: every model's state is alive while any model runs.
    """
    fronts = [_working_bytes(model, plan) for model, plan in planned]
    shared = max(fronts)
    top = shared
    tenants = []
    for (model, plan), front in zip(planned, fronts, strict=True):
        state = state_of(model, plan.kept)
        first = align_up(top, ALIGNMENT) if state else top
        moved = _moved(plan, state, first - front) if state else plan
        end = moved.arena_bytes if state else first
        validate(model, moved, memory_of=memory_of)
        tenants.append(Tenant(model, moved, front, first, end, state))
        top = end
    arena = SharedArena(tuple(tenants), shared, top, max(plan.alignment for _, plan in planned))
    validate_shared(arena)
    return arena


def _working_bytes(model: Model, plan: Plan) -> int:
    """What lies before the state, and before what is in one buffer with it."""
    buffers = {plan.placements[t].buffer for t in state_of(model, plan.kept)}
    return min((plan.offsets[b] for b in buffers), default=plan.arena_bytes)


def _moved(plan: Plan, state: Collection[int], by: int) -> Plan:
    """The plan with its state `by` bytes further up; no bound speaks of the space between."""
    buffers = {plan.placements[t].buffer for t in state}

    def place(placement: Placement) -> Placement:
        if placement.buffer not in buffers:
            return placement
        rows = tuple(at + by for at in placement.row_offsets)
        return replace(placement, offset=placement.offset + by, row_offsets=rows)

    return replace(
        plan,
        offsets=tuple(at + by if i in buffers else at for i, at in enumerate(plan.offsets)),
        placements={t: place(placement) for t, placement in plan.placements.items()},
        arena_bytes=plan.arena_bytes + by,
        proof=replace(plan.proof, optimal=False, exhaustive=False) if by else plan.proof,
        occupied=tuple(replace(o, offset=o.offset + by) if o.buffer in buffers else o for o in plan.occupied),
    )
