"""Plans by rows, broken in many ways: the replay refuses exactly those that corrupt a byte in a slow simulator."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.byte_arena import corruption
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import Model, Padding
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.operators.base import rows_of
from tinydeploy.plan import Plan, Step, make_plan, validate
from tinydeploy.plan.problem import stated_memory
from tinydeploy.plan.types import FEED, Execution
from tinydeploy.plan.validate.refusal import Refusal
from tinydeploy.plan.validate.replay import Replay


def refuses(model: Model, plan: Plan) -> bool:
    """Whether the replay refuses; what the plan claims about itself is not looked at."""
    try:
        Replay(model, plan, stated_memory, Refusal(model)).run()
    except PlanInvalidError:
        return True
    return False


def network(seed: int) -> Model:
    """Images through chains, residuals, branches that join on channels, reductions and reshapes."""
    draw = Random(seed)
    net = NetworkBuilder("net")
    images = [net.input((1, draw.randint(3, 9), draw.randint(1, 3), draw.randint(1, 4)))]
    for _ in range(draw.randint(2, 6)):
        x = draw.choice(images[-2:])
        h, w = x.shape[1:3]
        kind = draw.choice(["conv", "conv", "depthwise", "pool", "relu", "add", "join", "pad"])
        kernel = (min(draw.randint(1, 3), h), min(draw.randint(1, 3), w))
        stride, padding = draw.randint(1, 2), draw.choice([Padding.SAME, Padding.VALID])
        alike = [t for t in images if t.shape == x.shape]
        if kind == "conv":
            made = net.conv2d(x, draw.randint(1, 5), kernel, stride=stride, padding=padding)
        elif kind == "depthwise":
            made = net.depthwise_conv2d(x, kernel, stride=stride, padding=padding)
        elif kind == "pool":
            made = net.max_pool(x, kernel, stride=stride, padding=padding)
        elif kind == "relu":
            made = net.relu(x)
        elif kind == "add":
            made = net.add(x, draw.choice(alike))
        elif kind == "join" and h * w > 1:
            made = net.concat([x, draw.choice([t for t in images if t.shape[:3] == x.shape[:3]])])
        else:
            made = net.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)])
        images.append(made)
    end = draw.choice(["image", "mean", "flat"])
    if end == "mean":
        return net.build(net.global_average_pool(images[-1]))
    return net.build(net.linear(net.flatten(images[-1]), 3) if end == "flat" else images[-1])


@cache
def planned(seed: int) -> tuple[Model, Plan]:
    model = network(seed)
    execution: Execution = "overlap" if seed % 3 == 0 else "streamed"
    return model, make_plan(model, execution=execution, fed=model.inputs if seed % 2 else (), solver="builtin")


PLANS = st.integers(0, 59).map(planned)


def with_steps(plan: Plan, steps: list[Step]) -> Plan:
    return replace(plan, problem=replace(plan.problem, steps=tuple(steps)))


@pytest.mark.parametrize("seed", range(60))
def test_sound_plans_corrupt_nothing(seed: int) -> None:
    model, plan = planned(seed)
    validate(model, plan)
    assert corruption(model, plan) is None


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_a_tensor_moved(case: tuple[Model, Plan], data: st.DataObject) -> None:
    model, plan = case
    index = data.draw(st.sampled_from(sorted(plan.placements)))
    place = plan.placements[index]
    by = 4 * data.draw(st.integers(-8, 8))
    moved = replace(place, offset=place.offset + by, row_offsets=tuple(o + by for o in place.row_offsets))
    assume(moved.offset >= 0)
    mutant = replace(plan, arena_bytes=plan.arena_bytes + 64, placements={**plan.placements, index: moved})
    assert refuses(model, mutant) == (corruption(model, mutant) is not None)


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_a_ring_with_fewer_rows(case: tuple[Model, Plan], data: st.DataObject) -> None:
    model, plan = case
    outside = (*model.outputs, *(i for i in model.inputs if i not in plan.fed))
    rings = [i for i, p in plan.placements.items() if p.ring_rows > 1 and not p.row_offsets and i not in outside]
    assume(rings)
    index = data.draw(st.sampled_from(rings))
    place = plan.placements[index]
    fewer = replace(place, ring_rows=data.draw(st.integers(1, place.ring_rows - 1)))
    mutant = replace(plan, placements={**plan.placements, index: fewer})
    if corruption(model, mutant) is not None:
        assert refuses(model, mutant)


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_a_row_elsewhere(case: tuple[Model, Plan], data: st.DataObject) -> None:
    """A tensor whose rows have places of their own, and one of them lies wrong."""
    model, plan = case
    index = data.draw(st.sampled_from(sorted(plan.placements)))
    place, (rows, size) = plan.placements[index], rows_of(model.tensor(index))
    assume(size % 4 == 0 or place.row_offsets)
    offsets = list(place.row_offsets or (place.offset + r % place.ring_rows * size for r in range(rows)))
    offsets[data.draw(st.integers(0, rows - 1))] = 4 * data.draw(st.integers(0, (plan.arena_bytes - size) // 4))
    scattered = replace(place, offset=min(offsets), ring_rows=rows, row_offsets=tuple(offsets))
    mutant = replace(plan, placements={**plan.placements, index: scattered})
    if corruption(model, mutant) is not None:
        assert refuses(model, mutant)


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_two_steps_change_places(case: tuple[Model, Plan], data: st.DataObject) -> None:
    model, plan = case
    steps = list(plan.problem.steps)
    assume(len(steps) > 1)
    at = data.draw(st.integers(0, len(steps) - 2))
    steps[at], steps[at + 1] = steps[at + 1], steps[at]
    mutant = with_steps(plan, steps)
    if corruption(model, mutant) is not None or (steps[at].operator, steps[at].feeds) == (
        steps[at + 1].operator,
        steps[at + 1].feeds,
    ):
        assert refuses(model, mutant)


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_rows_left_out_done_twice_or_out_of_order(case: tuple[Model, Plan], data: st.DataObject) -> None:
    model, plan = case
    steps = list(plan.problem.steps)
    at = data.draw(st.integers(0, len(steps) - 1))
    step = steps[at]
    for changed in (
        replace(step, end_row=step.end_row - 1),
        replace(step, end_row=step.end_row + 1),
        replace(step, first_row=step.first_row + 1),
        replace(step, first_row=step.first_row - 1),
        replace(step, feeds=model.inputs[0] if step.operator != FEED else None),
    ):
        assert refuses(model, with_steps(plan, [*steps[:at], changed, *steps[at + 1 :]]))
    assert refuses(model, with_steps(plan, steps[:at] + steps[at + 1 :]))
    assert refuses(model, with_steps(plan, steps[: at + 1] + steps[at:]))


@settings(max_examples=200, deadline=None)
@given(PLANS, st.data())
def test_sums_moved(case: tuple[Model, Plan], data: st.DataObject) -> None:
    model, plan = case
    assume(plan.scratch_offsets)
    owner = data.draw(st.sampled_from(sorted(plan.scratch_offsets)))
    offset = 4 * data.draw(st.integers(0, plan.arena_bytes // 4))
    mutant = replace(plan, arena_bytes=plan.arena_bytes + 256, scratch_offsets={owner: offset})
    assert refuses(model, mutant) == (corruption(model, mutant) is not None)


@pytest.mark.parametrize("seed", range(60))
def test_claims_that_are_not_so(seed: int) -> None:
    model, plan = planned(seed)
    several = Counter(step.operator for step in plan.problem.steps)
    lies = [
        replace(plan, arena_bytes=plan.arena_bytes + 4, proof=replace(plan.proof, optimal=True, exhaustive=False)),
        replace(plan, proof=replace(plan.proof, lower_bound_bytes=plan.proof.lower_bound_bytes + plan.alignment)),
        replace(plan, proof=replace(plan.proof, lower_bound_bytes=plan.proof.lower_bound_bytes - plan.alignment)),
        replace(plan, peak=replace(plan.peak, live_bytes=plan.peak.live_bytes + 1)),
        replace(plan, peak=replace(plan.peak, step=len(plan.problem.steps))),
        replace(plan, live_bytes=plan.live_bytes[:-1]),
        replace(plan, live_bytes=tuple(2 * n + 64 for n in plan.live_bytes)),
        replace(plan, live_bytes=tuple(n // 4 for n in plan.live_bytes)),
        *(replace(plan, segments=(replace(s, end=s.end - 1),)) for s in plan.segments[:1]),
        *(replace(plan, segments=(replace(s, operators=s.operators[1:]),)) for s in plan.segments[:1]),
        *(replace(plan, by_rows=plan.by_rows - {i}) for i in plan.by_rows if several[i] > 1),
    ]
    for lie in lies:
        with pytest.raises(PlanInvalidError):
            validate(model, lie)
