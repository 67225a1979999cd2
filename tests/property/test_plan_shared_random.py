"""Random networks in one arena: no byte of one's state is anybody else's, and the arena is as small as it must be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plan_nets import memory_of, networks
from tinydeploy.ir import Model
from tinydeploy.operators.base import rows_of
from tinydeploy.plan import make_plan
from tinydeploy.plan.shared import share, state_of
from tinydeploy.plan.types import Tenant


def bytes_of(tenant: Tenant, tensor: int) -> set[int]:
    """The addresses of a tensor's rows, each by the runtime's rule."""
    place = tenant.plan.placements[tensor]
    rows, row_bytes = rows_of(tenant.model.tensors[tensor])
    found: set[int] = set()
    for row in range(rows):
        at = place.row_offsets[row] if place.row_offsets else place.offset + row % place.ring_rows * row_bytes
        found.update(range(at, at + row_bytes))
    return found


@settings(max_examples=60)
@given(st.lists(networks(8), min_size=2, max_size=3), st.data())
def test_state_is_apart(models: list[Model], data: st.DataObject) -> None:
    planned = []
    for model in models:
        computed = [t for op in model.operators for t in op.outputs]
        kept = tuple(data.draw(st.lists(st.sampled_from(computed), max_size=1)))
        behind = state_of(model, kept)
        plan = make_plan(model, kept=kept, behind=behind, memory_of=memory_of)
        planned.append((model, plan))
    arena = share(planned, memory_of=memory_of)
    for owner in arena.tenants:
        state = set().union(*(bytes_of(owner, t) for t in owner.survives))
        assert not state or (min(state) >= arena.shared_bytes and max(state) < arena.arena_bytes)
        for other in arena.tenants:
            if other is not owner:
                assert not state.intersection(*([set().union(*(bytes_of(other, t) for t in other.plan.placements))]))
    assert arena.shared_bytes == max(t.working_bytes for t in arena.tenants)
    padding = sum(16 for t in arena.tenants if t.survives)
    assert arena.arena_bytes <= arena.shared_bytes + sum(t.state_bytes for t in arena.tenants) + padding
