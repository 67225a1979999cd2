"""Plans of real models, and the planner's options. The arenas are the published lower bounds for whole tensors."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.errors import MissingToolError, UsageError
from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory
from tinydeploy.plan import make_plan
from tinydeploy.plan import solver as cp_sat

# Peak live bytes of whole tensors with 16-byte alignment and nothing in place, computed apart from this project.
LOWER_BOUNDS = {
    "vww_96_int8": 55_296,
    "kws_ref_model": 16_000,
    "pretrainedResnet_quant": 49_152,
    "ad01_int8": 768,
    "mcunet_vww": 161_472,
}


def model_file(name: str) -> Path:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("set TINYDEPLOY_MODELS to a folder with the MLPerf Tiny models")
    path = Path(folder) / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder that TINYDEPLOY_MODELS names")
    return path


def without_scratch(model: Model, op: Operator) -> Memory:
    return replace(memory_of(model, op), scratch_bytes=0)


@pytest.mark.parametrize(("name", "bound"), LOWER_BOUNDS.items())
def test_real_models_reach_the_lower_bound(name: str, bound: int) -> None:
    from tinydeploy.tflite import read_model

    model = read_model(model_file(name))
    apart = make_plan(model, in_place=False, solver="builtin", memory_of=without_scratch)
    assert apart.arena_bytes == apart.proof.lower_bound_bytes == apart.peak.live_bytes == bound
    assert apart.proof.optimal
    over = make_plan(model, solver="builtin", memory_of=without_scratch)
    assert over.proof.optimal
    assert over.arena_bytes <= bound


def test_planning_loads_neither_numpy_nor_ortools() -> None:
    code = "import sys, tinydeploy.plan; print([m for m in ('numpy', 'ortools') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def residual() -> Net:
    net = Net()
    x = net.input(1, 8, 8, 4)
    a = net.op("CONV_2D", [x], 1, 8, 8, 4)
    net.op("ADD", [x, a], 1, 8, 8, 4)
    return net


def test_places_follow_from_buffers() -> None:
    net = residual()
    plan = make_plan(net.model(2), solver="builtin", memory_of=memory_of)
    assert plan.arena_bytes == 512  # the sum lies over the input
    assert plan.placements[0].offset == plan.placements[2].offset != plan.placements[1].offset
    assert [p.ring_rows for p in plan.placements.values()] == [8, 8, 8]
    assert plan.live_bytes == (512, 512)
    assert (plan.peak.step, plan.peak.live_bytes, set(plan.peak.buffers)) == (0, 512, {0, 1})


def test_solver_options(monkeypatch: pytest.MonkeyPatch) -> None:
    model = residual().model(2)
    with pytest.raises(UsageError, match="unknown solver 'gurobi'"):
        make_plan(model, solver="gurobi", memory_of=memory_of)  # type: ignore[arg-type]
    monkeypatch.setattr(cp_sat, "available", lambda: False)
    with pytest.raises(MissingToolError):
        make_plan(model, solver="cp-sat", memory_of=memory_of)
    assert make_plan(model, solver="auto", memory_of=memory_of).proof.optimal


def test_the_default_asks_the_operators_own_statements() -> None:
    net = Net()
    x = net.input(1, 8)
    weights = net.tensor((4, 8), constant=True)
    net.op("FULLY_CONNECTED", [x, weights], 1, 4)
    net.op("SOME_CUSTOM_THING", [2], 1, 4)  # of which nothing is known, so nothing is assumed
    plan = make_plan(net.model(3))
    assert [s.elided for s in plan.problem.steps] == [False, False]
    assert plan.arena_bytes == 32
