"""Generated code of row-streamed plans on this computer, under sanitizers: the bytes that whole tensors give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from tests.support.host_kernels import random_inputs
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.random_networks import random_network
from tests.support.streamed_plans import streamed_plan
from tinydeploy.catalog import load, model_path
from tinydeploy.ir import Model
from tinydeploy.plan import Plan
from tinydeploy.plan.types import FEED
from tinydeploy.tflite import parse_model

WAYS: dict[str, Callable[[Model], Plan]] = {
    "rings": streamed_plan,
    "rows with places of their own": partial(streamed_plan, scatter=True),
    "fed": partial(streamed_plan, feed=True),
    "fed, three rows at a time": partial(streamed_plan, feed=True, scatter=True, chunk=3),
}


def _assert_same(files: list[bytes]) -> list[Plan]:
    """Every way of running each model gives the same bytes; the streamed plans that ran."""
    cases: list[HostModel] = []
    plans: list[Plan] = []
    for number, data in enumerate(files):
        rng = np.random.default_rng([number, 7])
        samples = tuple(random_inputs(data, rng) for _ in range(2))
        cases.append(HostModel(data, samples, in_place=False))
        for way in WAYS.values():
            cases.append(HostModel(data, samples, plan=way))
            plans.append(way(parse_model(data)))
    found = run_models_on_host(cases)
    stride = 1 + len(WAYS)
    for number in range(len(files)):
        whole, *streamed = found[number * stride : (number + 1) * stride]
        for name, ours in zip(WAYS, streamed, strict=True):
            assert [[a.tobytes() for a in s] for s in ours] == [[a.tobytes() for a in s] for s in whole], (number, name)
    return plans


def test_random_networks_give_what_whole_tensors_give() -> None:
    plans = _assert_same([random_network(np.random.default_rng([9, seed])).data for seed in range(24)])
    # the plans are what they are meant to be
    assert sum(bool(plan.segments) for plan in plans) > 0.8 * len(plans)
    assert sum(bool(plan.fed) for plan in plans) > 0.2 * len(plans)
    assert sum(any(p.row_offsets for p in plan.placements.values()) for plan in plans) > 0.2 * len(plans)


@pytest.mark.parametrize("name", ["digits", "kws"])
def test_shipped_networks_give_what_whole_tensors_give(name: str) -> None:
    path = model_path(name)
    assert path is not None
    plans = _assert_same([path.read_bytes()])
    assert all(any(p.ring_rows < 8 for p in plan.placements.values()) for plan in plans)


def test_the_first_network_is_fed() -> None:
    """What the tests above rely on."""
    plan = streamed_plan(load("digits"), feed=True)
    assert [s for s in plan.problem.steps if s.operator == FEED and s.feeds == plan.fed[0]]
