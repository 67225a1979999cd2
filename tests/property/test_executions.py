"""Whole, overlapped and streamed plans of random networks: the same bytes, those of TensorFlow Lite Micro.

Each network is planned in five ways, each plan is generated and compiled for this computer with sanitizers, and all run
on the same samples. The arena is exactly as large as the plan says, with poison behind it, and bytes that no plan
uses must stay as they were painted. The seeds are fixed; `TINYDEPLOY_SEED` set to another number looks further, and
`TINYDEPLOY_NETWORKS` says how many networks are tried.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pytest

from tests.support.host_kernels import random_inputs, tflm_outputs
from tests.support.host_models import GARBAGE, Array, HostModel, run_models_on_host
from tests.support.row_networks import RowNetwork, random_row_network
from tinydeploy.ir import Conv2DAttrs, Model, Padding
from tinydeploy.plan import Plan, make_plan
from tinydeploy.tflite import parse_model
from tinydeploy.transform import fold_pads

FIRST = int(os.environ.get("TINYDEPLOY_SEED", "0")) * 1_000_000
COUNT = int(os.environ.get("TINYDEPLOY_NETWORKS", "40"))
BATCH = 20
SAMPLES = 2
SLACK = 32  # at the arena's end: alignment, and bytes that happen to look like paint
WAYS = ("whole", "overlap", "streamed", "fed", "kept")


@dataclass(frozen=True)
class Planned:
    """A network with the plan of each way to execute it. `kept`: the tensor that stays readable in the last."""

    network: RowNetwork
    model: Model
    plans: dict[str, Plan]
    kept: int


@cache
def planned(seed: int) -> Planned:
    network = random_row_network(np.random.default_rng([seed, 4]))
    model = fold_pads(parse_model(network.data))
    computed = {t for op in model.operators for t in op.outputs}
    kept = network.kept if network.kept in computed else model.outputs[-1]
    plans = {
        "whole": make_plan(model, solver="builtin"),
        "overlap": make_plan(model, execution="overlap"),
        "streamed": make_plan(model, execution="streamed"),
        "fed": make_plan(model, execution="streamed", fed=tuple(dict.fromkeys(model.inputs))),
        "kept": make_plan(model, execution="streamed", kept=(kept,)),
    }
    return Planned(network, model, plans, kept)


def samples_of(data: bytes, seed: int) -> tuple[tuple[Array, ...], ...]:
    rng = np.random.default_rng([seed, 5])
    return tuple(random_inputs(data, rng) for _ in range(SAMPLES))


def given(plan: Plan, _: Model) -> Plan:
    """A plan that is made already."""
    return plan


def kept_bytes(case: Planned, arena: Array) -> bytes:
    """The tensor that is kept, out of the arena after a run."""
    offset = case.plans["kept"].placements[case.kept].offset
    return arena[offset : offset + case.model.tensor(case.kept).bytes].tobytes()


def untouched(plan: Plan) -> Array:
    """By byte of the arena: whether the plan never uses it."""
    free = np.ones(plan.arena_bytes, bool)
    for box in plan.occupied:
        free[box.offset : box.offset + box.bytes] = False
    return free


@pytest.mark.parametrize("first", range(0, COUNT, BATCH))
def test_all_executions_give_the_same_bytes(first: int) -> None:
    seeds = range(FIRST + first, FIRST + min(first + BATCH, COUNT))
    cases = [planned(seed) for seed in seeds]
    models = [
        HostModel(
            case.network.data,
            samples_of(case.network.data, seed),
            model=case.model,
            plan=partial(given, plan),
            arena=True,
        )
        for seed, case in zip(seeds, cases, strict=True)
        for plan in case.plans.values()
    ]
    results = iter(zip(models, run_models_on_host(models), strict=True))
    wrong = []
    alive = many = 0
    for seed, case in zip(seeds, cases, strict=True):
        expected = [tflm_outputs(case.network.with_kept, sample) for sample in samples_of(case.network.data, seed)]
        outputs = list(parse_model(case.network.with_kept).outputs)
        for way, plan in case.plans.items():
            _, by_sample = next(results)
            for theirs, (*ours, arena) in zip(expected, by_sample, strict=True):
                for position, a in enumerate(ours):
                    if a.tobytes() != np.ascontiguousarray(theirs[position]).tobytes():
                        wrong.append(f"seed {seed}, {way}, output {position}")
                    many += a.size >= 16
                    alive += a.size >= 16 and len(np.unique(a)) >= 4
                if way == "kept" and kept_bytes(case, arena) != theirs[outputs.index(case.kept)].tobytes():
                    wrong.append(f"seed {seed}, the tensor that is kept")
                if (arena[untouched(plan)] != GARBAGE).any():
                    wrong.append(f"seed {seed}, {way}, bytes that the plan does not use")
                highest = int(np.flatnonzero(arena != GARBAGE)[-1]) + 1
                if highest <= plan.arena_bytes - SLACK:
                    wrong.append(f"seed {seed}, {way}, {plan.arena_bytes} bytes planned, {highest} used")
    assert not wrong
    assert alive > 0.6 * many  # else the networks would show nothing


def test_arenas_shrink() -> None:
    """Overlapping is never worse than whole tensors, streaming never worse than either, but for fragmentation."""
    gained: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + COUNT):
        plans = planned(seed).plans
        whole, overlap, streamed = (plans[way].arena_bytes for way in ("whole", "overlap", "streamed"))
        assert overlap <= whole and streamed <= whole
        assert streamed <= 1.1 * overlap, seed
        gained["overlap"] += overlap < 0.9 * whole
        gained["streamed"] += streamed < 0.7 * overlap
        gained["fed"] += plans["fed"].arena_bytes < 0.7 * streamed
        for plan in plans.values():
            assert plan.proof.floor_bytes <= plan.proof.lower_bound_bytes <= plan.arena_bytes
    assert all(gained[way] > 0.1 * COUNT for way in ("overlap", "streamed", "fed")), gained


def test_the_networks_are_those_that_are_promised() -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + COUNT):
        case = planned(seed)
        model, plan = case.model, case.plans["streamed"]
        readers = Counter(t for op in model.operators for t in set(op.inputs) if not model.tensor(t).constant)
        seen["streams"] += bool(plan.segments)
        seen["long segment"] += any(len(segment.operators) > 4 for segment in plan.segments)
        seen["rows apart"] += any(place.row_offsets for place in plan.placements.values())
        seen["several outputs"] += len(model.outputs) > 1
        seen["read by several"] += any(n > 1 for n in readers.values())
        seen["two images"] += any(
            len(model.tensor(t).shape) == 4 and model.tensor(t).shape[0] == 2 for t in model.inputs
        )
        seen["vectors"] += any(len(model.tensor(t).shape) < 4 for t in model.inputs)
        seen["float input"] += any(model.tensor(t).dtype.label == "float32" for t in model.inputs)
        seen["float output"] += any(model.tensor(t).dtype.label == "float32" for t in model.outputs)
        windows = [op.attrs for op in model.operators if isinstance(op.attrs, Conv2DAttrs)]
        seen["explicit padding"] += any(a.padding is Padding.EXPLICIT for a in windows)
        seen["strides"] += any(a.stride_h == 3 for a in windows)
        seen["dilation"] += any(a.dilation_h > 1 for a in windows)
    assert min(seen.values()) >= 0.03 * COUNT, seen
