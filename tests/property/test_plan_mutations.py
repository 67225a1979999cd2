"""The validator refuses every plan that really corrupts, and no sound one: checked against bytes counted one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.plan_nets import memory_of, networks
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import Model
from tinydeploy.plan import Plan, make_plan, validate


def plan_of(model: Model) -> Plan:
    return make_plan(model, solver="builtin", memory_of=memory_of)


def refuses(model: Model, plan: Plan) -> bool:
    try:
        validate(model, plan, memory_of=memory_of)
    except PlanInvalidError:
        return True
    return False


def moved(plan: Plan, number: int, offset: int, arena_bytes: int) -> Plan:
    """The plan with one buffer elsewhere, and all books kept accordingly."""
    buffer = plan.problem.buffers[number]
    offsets = tuple(offset if i == number else o for i, o in enumerate(plan.offsets))
    placements = {t: replace(p, offset=offsets[p.buffer]) for t, p in plan.placements.items()}
    scratch = dict(plan.scratch_offsets)
    if buffer.scratch_of is not None:
        scratch[buffer.scratch_of] = offset
    proof = replace(plan.proof, optimal=False, exhaustive=False)
    return replace(
        plan, offsets=offsets, placements=placements, scratch_offsets=scratch, arena_bytes=arena_bytes, proof=proof
    )


def clash(model: Model, plan: Plan, number: int, *, aligned: bool) -> bool:
    """Whether a buffer covers a byte that another one covers at the same step, byte by byte. Unless they are to
    be `aligned` and apart, inputs that nobody reads neither do harm nor take it."""
    unread = {t for t in model.inputs if t not in model.outputs} - {t for op in model.operators for t in op.inputs}

    def covers(i: int, step: int) -> set[int]:
        buffer = plan.problem.buffers[i]
        if buffer.tensors and unread.issuperset(buffer.tensors) and not aligned:
            return set()
        if aligned or buffer.scratch_of is not None:
            sizes = [size for first, end, size in buffer.pieces if first <= step < end]
            size = sizes[0] if sizes and aligned else buffer.bytes if sizes else 0
        else:
            parts = buffer.profile or ((buffer.first, buffer.end, buffer.bytes),)
            size = next((size for first, end, size in parts if first <= step < end), 0)
        return set(range(plan.offsets[i], plan.offsets[i] + size))

    return any(
        covers(number, step) & covers(other, step)
        for step in range(len(plan.problem.steps))
        for other in range(len(plan.problem.buffers))
        if other != number
    )


@settings(max_examples=300)
@given(networks(max_operators=9), st.data())
def test_a_buffer_moved_anywhere(model: Model, data: st.DataObject) -> None:
    plan = plan_of(model)
    number = data.draw(st.integers(0, len(plan.offsets) - 1))
    arena = plan.arena_bytes + 64
    room = (arena - plan.problem.buffers[number].aligned_bytes) // 16
    mutant = moved(plan, number, 16 * data.draw(st.integers(0, room)), arena)
    if clash(model, mutant, number, aligned=False):
        assert refuses(model, mutant)
    elif not clash(model, mutant, number, aligned=True):
        validate(model, mutant, memory_of=memory_of)


@settings(max_examples=100)
@given(networks(), st.data())
def test_bounds_and_alignment(model: Model, data: st.DataObject) -> None:
    plan = plan_of(model)
    number = data.draw(st.integers(0, len(plan.offsets) - 1))
    assert refuses(model, moved(plan, number, plan.offsets[number] + 8, plan.arena_bytes + 64))
    assert refuses(model, moved(plan, number, -16, plan.arena_bytes))
    top = max(offset + b.bytes for offset, b in zip(plan.offsets, plan.problem.buffers, strict=True))
    assert refuses(model, replace(plan, arena_bytes=top - 1))


@settings(max_examples=200)
@given(networks(), st.data())
def test_steps_out_of_order_missing_or_twice(model: Model, data: st.DataObject) -> None:
    plan = plan_of(model)
    steps = plan.problem.steps
    at = data.draw(st.integers(0, len(steps) - 1))

    def with_steps(*changed: object) -> Plan:
        return replace(plan, problem=replace(plan.problem, steps=tuple(changed)))  # type: ignore[arg-type]

    assert refuses(model, with_steps(*steps[:at], *steps[at + 1 :]))
    assert refuses(model, with_steps(*steps[: at + 1], *steps[at:]))
    assert refuses(model, with_steps(*steps[:at], replace(steps[at], end_row=steps[at].end_row - 1), *steps[at + 1 :]))
    assert refuses(model, with_steps(*steps[:at], replace(steps[at], elided=not steps[at].elided), *steps[at + 1 :]))
    assume(at + 1 < len(steps))
    first, second = model.operators[steps[at].operator], model.operators[steps[at + 1].operator]
    swapped = with_steps(*steps[:at], steps[at + 1], steps[at], *steps[at + 2 :])
    if set(first.outputs) & set(second.inputs):
        assert refuses(model, swapped)


@settings(max_examples=200)
@given(networks())
def test_claims_that_are_not_so(model: Model) -> None:
    plan = plan_of(model)
    proof, peak = plan.proof, plan.peak
    # called optimal above the bound, without a search that finished
    loose = replace(proof, optimal=True, exhaustive=False)
    assert refuses(model, replace(plan, arena_bytes=proof.lower_bound_bytes + 16, proof=loose))
    for delta in (-16, 16):
        wrong = replace(proof, lower_bound_bytes=proof.lower_bound_bytes + delta)
        assert refuses(model, replace(plan, proof=wrong))
        assert refuses(model, replace(plan, peak=replace(peak, live_bytes=peak.live_bytes + delta)))
        live = (plan.live_bytes[0] + delta, *plan.live_bytes[1:])
        assert refuses(model, replace(plan, live_bytes=live))
    assert refuses(model, replace(plan, live_bytes=plan.live_bytes[:-1]))
    assert refuses(model, replace(plan, peak=replace(peak, buffers=peak.buffers[1:])))
    tensor, (first, end) = next(iter(plan.problem.tensor_ranges.items()))
    ranges = {**plan.problem.tensor_ranges, tensor: (first, end + 1)}
    assert refuses(model, replace(plan, problem=replace(plan.problem, tensor_ranges=ranges)))
    places = {t: p for t, p in plan.placements.items() if t != tensor}
    assert refuses(model, replace(plan, placements=places))
    buffers = tuple(replace(b, bytes=b.bytes - 1) for b in plan.problem.buffers)
    assert refuses(model, replace(plan, problem=replace(plan.problem, buffers=buffers)))


def test_the_oracle_itself_sees_a_clash() -> None:
    from tests.support.plan_nets import Net

    net = Net()
    x = net.input(32)
    y = net.op("CONV_2D", [x], 32)
    plan = plan_of(net.model(y))
    assert not clash(net.model(y), plan, 0, aligned=True)
    assert clash(net.model(y), moved(plan, 1, plan.offsets[0], plan.arena_bytes), 1, aligned=False)
    with pytest.raises(PlanInvalidError, match="writes tensor 1 't1' over its own input tensor 0 't0'"):
        validate(net.model(y), moved(plan, 1, plan.offsets[0], plan.arena_bytes), memory_of=memory_of)
