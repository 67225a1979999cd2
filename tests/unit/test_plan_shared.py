"""Several models in one arena: how large it is, whose state lies where, and what the validator refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.plan_nets import Net, memory_of
from tests.support.stateful import STATE_BYTES, stateful_network
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.catalog import load
from tinydeploy.codegen.shared import library_names
from tinydeploy.errors import PlanInvalidError, UsageError
from tinydeploy.ir import Model
from tinydeploy.plan import Plan, make_plan
from tinydeploy.plan.shared import share, state_of
from tinydeploy.plan.types import Execution, SharedArena, Tenant
from tinydeploy.plan.validate.shared import validate_shared
from tinydeploy.tflite import parse_model

EXECUTIONS: tuple[Execution, ...] = ("whole", "overlap", "streamed")


def chain(first: int, second: int, state: int = 0) -> Model:
    """`first` bytes become `second` bytes, with the help of `state` bytes that stay."""
    net = Net()
    x = net.input(1, first)
    more = [net.tensor((1, state), variable=True)] if state else []
    return net.model(net.op("CONV_2D", [x, *more], 1, second))


def shared(*models: Model, kept: tuple[tuple[int, ...], ...] = ()) -> SharedArena:
    planned = []
    for model, keep in zip(models, kept or ((),) * len(models), strict=True):
        behind = state_of(model, keep)
        planned.append((model, make_plan(model, kept=keep, behind=behind, memory_of=memory_of)))
    return share(planned, memory_of=memory_of)


def test_sizes_by_hand() -> None:
    # whole tensors, 16 bytes: 112 + 32 work in the first, 64 + 48 in the second, 16 + 16 in the third
    arena = shared(chain(100, 30, state=20), chain(64, 40, state=50), chain(9, 9))
    assert [t.working_bytes for t in arena.tenants] == [144, 112, 32]
    assert arena.shared_bytes == 144
    assert [(t.state_first, t.state_bytes) for t in arena.tenants] == [(144, 32), (176, 64), (240, 0)]
    assert arena.arena_bytes == 144 + 32 + 64
    assert [t.plan.arena_bytes for t in arena.tenants] == [176, 240, 32]
    assert arena.alignment == 16
    assert not arena.tenants[1].plan.proof.optimal  # the second's state lies further up than it must for itself


def test_state_lies_behind_the_larger_of_the_two() -> None:
    arena = shared(chain(16, 16, state=16), chain(160, 160))
    assert arena.tenants[0].plan.placements[1].offset == 320
    assert arena.arena_bytes == 320 + 16
    assert arena.tenants[1].plan == make_plan(chain(160, 160), memory_of=memory_of)  # as if it were alone


def test_kept_results_are_state_only_if_asked_for() -> None:
    model = chain(100, 30)
    (output,) = model.outputs
    assert shared(model, model).arena_bytes == 144
    arena = shared(model, model, kept=((output,), ()))
    assert arena.tenants[0].survives == (output,)
    assert arena.shared_bytes == 144  # the second's
    assert arena.tenants[0].plan.placements[output].offset == 144
    assert arena.arena_bytes == 144 + 32
    arena = shared(model, model, kept=(model.inputs, ()))
    assert (arena.tenants[0].working_bytes, arena.tenants[0].state_bytes) == (32, 112)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_shipped_models_need_the_largest(execution: Execution) -> None:
    models = [load(name) for name in ("kws", "vww", "ad")]
    plans = [(model, make_plan(model, execution=execution)) for model in models]
    arena = share(plans)
    assert arena.arena_bytes == max(plan.arena_bytes for _, plan in plans)
    assert [t.plan for t in arena.tenants] == [plan for _, plan in plans]


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_state_costs_its_bytes_and_no_more(execution: Execution) -> None:
    model, other = parse_model(stateful_network()), load("kws")
    (state,) = state_of(model)
    plan = make_plan(model, execution=execution, behind=(state,))
    rival = make_plan(other, execution=execution)
    arena = share([(model, plan), (other, rival)])
    size = -(-STATE_BYTES // plan.alignment) * plan.alignment
    assert model.tensor(state).variable
    assert arena.tenants[0].plan.placements[state].offset == arena.shared_bytes
    assert arena.arena_bytes == max(rival.arena_bytes, plan.placements[state].offset) + size


def test_kept_rows_of_a_streamed_plan_survive() -> None:
    model = load("kws")
    kept = model.operators[2].outputs
    plan = make_plan(model, execution="streamed", kept=kept, behind=kept)
    assert plan.segments
    arena = share([(model, plan), (load("vww"), make_plan(load("vww"), execution="streamed"))])
    place = arena.tenants[0].plan.placements[kept[0]]
    assert place.offset >= arena.shared_bytes == 28_032
    assert arena.arena_bytes - place.offset == model.tensor(kept[0]).bytes


def test_a_kept_part_moves_with_what_it_is_a_part_of() -> None:
    """The second half of 6 rows of 5 bytes begins at byte 15, which is no place for the whole."""
    g = GraphBuilder()
    x, y, z = (g.tensor(name, (3, 5), scale=0.3) for name in "xyz")
    both = g.tensor("both", (6, 5), scale=0.3)
    for source, result in ((x, y), (y, z)):
        g.op("TANH", [source], [result])
    g.op("CONCATENATION", [y, z], [both], axis=0)
    end = g.tensor("end", (6, 5), scale=0.3)
    g.op("TANH", [both], [end])
    model = parse_model(g.build([x], [end]))
    plan = make_plan(model, execution="streamed", fed=(x,), kept=(z,), behind=(z,))
    assert plan.placements[z].offset % plan.alignment == 15 % 4
    larger = load("ad")
    arena = share([(larger, make_plan(larger)), (model, plan)])
    assert arena.tenants[1].plan.placements[z].offset == arena.shared_bytes + 15
    assert arena.arena_bytes == arena.shared_bytes + 32


# --- what is refused --------------------------------------------------------------------------------------------------


def moved(plan: Plan, tensor: int, offset: int) -> Plan:
    place = plan.placements[tensor]
    buffers = tuple(offset if b == place.buffer else at for b, at in enumerate(plan.offsets))
    places = plan.placements | {tensor: replace(place, offset=offset)}
    return replace(plan, placements=places, offsets=buffers)


def with_tenant(arena: SharedArena, number: int, tenant: Tenant) -> SharedArena:
    tenants = [*arena.tenants]
    tenants[number] = tenant
    return replace(arena, tenants=tuple(tenants))


def state_into_the_other(arena: SharedArena) -> SharedArena:
    """The first's state one byte into what the second works in."""
    first = arena.tenants[0]
    at = arena.shared_bytes - 1
    return with_tenant(arena, 0, replace(first, plan=moved(first.plan, 1, at), state_first=at))


def state_over_state(arena: SharedArena) -> SharedArena:
    """The second's state one byte into the first's."""
    first, second = arena.tenants
    at = first.state_end - 1
    return with_tenant(arena, 1, replace(second, plan=moved(second.plan, 1, at), state_first=at))


def output_into_state(arena: SharedArena) -> SharedArena:
    """The second's output, nothing of which survives, over the first's state."""
    first, second = arena.tenants
    return with_tenant(arena, 1, replace(second, plan=moved(second.plan, 2, first.state_first)))


def state_forgotten(arena: SharedArena) -> SharedArena:
    return with_tenant(arena, 0, replace(arena.tenants[0], survives=()))


def result_that_is_not_kept(arena: SharedArena) -> SharedArena:
    return with_tenant(arena, 0, replace(arena.tenants[0], survives=(1, 2)))


def works_outside(arena: SharedArena) -> SharedArena:
    """The second's output over the first's state again, and the second says so."""
    arena = output_into_state(arena)
    return with_tenant(arena, 1, replace(arena.tenants[1], working_bytes=480))


def too_small(arena: SharedArena) -> SharedArena:
    return replace(arena, arena_bytes=arena.arena_bytes - 1)


def badly_aligned(arena: SharedArena) -> SharedArena:
    return replace(arena, alignment=8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            state_into_the_other,
            r"tensor 2 't2' at \[160, 320\) of the shared arena lies over tensor 1 't1' at \[319, 335\)",
        ),
        (
            state_over_state,
            r"tensor 1 't1' at \[320, 336\) of the shared arena lies over tensor 1 't1' at \[335, 367\)",
        ),
        (output_into_state, r"tensor 2 't2' at \[320, 480\) lies neither where its model works nor in its state"),
        (works_outside, "works, or keeps state, outside of the shared arena"),
        (state_forgotten, "tensor 1 't1' is a variable, but not among what survives"),
        (result_that_is_not_kept, "tensor 2 't2' is to survive, but may be overwritten by its own model"),
        (too_small, "too small"),
        (badly_aligned, "not aligned"),
    ],
)
def test_plans_in_which_models_meet_are_refused(change: Callable[[SharedArena], SharedArena], words: str) -> None:
    arena = shared(chain(16, 16, state=16), chain(160, 160, state=32))
    validate_shared(arena)
    with pytest.raises(PlanInvalidError, match=words):
        validate_shared(change(arena))


def test_scratch_over_state_is_refused() -> None:
    net = Net()
    x = net.input(1, 8)
    working = net.model(net.op("DEPTHWISE_CONV_2D", [x], 1, 8))
    arena = shared(chain(16, 16, state=16), working)
    tenant = arena.tenants[1]
    assert tenant.plan.scratch_offsets
    over = replace(tenant, plan=replace(tenant.plan, scratch_offsets={0: arena.tenants[0].state_first}))
    with pytest.raises(
        PlanInvalidError, match=r"the scratch of .* lies neither where its model works nor in its state"
    ):
        validate_shared(with_tenant(arena, 1, over))


def test_a_plan_whose_state_is_not_behind_is_refused() -> None:
    model, other = chain(16, 16, state=400), chain(400, 400)
    plan = make_plan(model, memory_of=memory_of)  # with nothing behind: the largest lies first
    assert plan.placements[1].offset == 0
    with pytest.raises(PlanInvalidError, match="lies neither where its model works nor in its state"):
        share([(model, plan), (other, make_plan(other, memory_of=memory_of))], memory_of=memory_of)


# --- names ------------------------------------------------------------------------------------------------------------


def named(*names: str) -> list[Model]:
    return [replace(chain(1, 1), name=name) for name in names]


def test_names_do_not_clash() -> None:
    assert library_names(named("kws", "vww")) == ("kws", "vww")
    assert library_names(named("kws", "KWS", "k w s", "kws")) == ("kws", "kws_2", "k_w_s", "kws_3")
    assert library_names(named("kws", "kws data")) == ("kws", "kws_data_2")  # kws_data.h is a file of the first
    assert library_names(named("models", "models_arena")) == ("models_2", "models_arena_2")
    first, second = library_names(named("x" * 40, "x" * 40))
    assert first == "x" * 31 and second == "x" * 29 + "_2"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("a",), "1 names for 2 models"),
        (("a", "a"), "'a' clashes"),
        (("a", "a_data"), "'a_data' clashes"),
        (("models", "b"), "'models' clashes"),
        (("a", "B"), "cannot be the name"),
    ],
)
def test_names_that_are_given_are_taken_or_refused(given: tuple[str, ...], words: str) -> None:
    assert library_names(named("kws", "kws"), ("one", "two")) == ("one", "two")
    with pytest.raises(UsageError, match=words):
        library_names(named("kws", "kws"), given)
