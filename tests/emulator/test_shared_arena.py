"""Several models in one arena on emulated boards: whoever ran before, each answers as TensorFlow Lite Micro does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import needs_any, needs_unicorn
from tests.support.host_kernels import tflm_outputs
from tests.support.in_turn import Turn, run_in_turn
from tests.support.model_files import SKIP_REASON
from tests.support.stateful import stateful_network
from tinydeploy.boards import find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import Model
from tinydeploy.pipeline import PlanOptions
from tinydeploy.pipeline.shared import plan_together
from tinydeploy.plan import Execution
from tinydeploy.plan.validate.shared import validate_shared
from tinydeploy.report.shared import PlannedTogether
from tinydeploy.tflite import parse_model, read_model
from tinydeploy.verify import Sample, random_inputs
from tinydeploy.verify.tflm import TflmReference

pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
pytestmark = [needs_unicorn, needs_any]

BOARD = find_board("stm32f746")


def shipped(name: str) -> bytes:
    path = model_path(name)
    assert path is not None
    return path.read_bytes()


def assert_as_tflm(data: bytes, model: Model, sample: Sample, outputs: Sample) -> None:
    expected = tflm_outputs(data, [sample[t] for t in model.inputs])
    for index, value in zip(model.outputs, expected, strict=True):
        assert outputs[index].tobytes() == value.tobytes()


@pytest.mark.parametrize(
    ("names", "order", "options"),
    [
        (("kws", "vww"), (0, 1, 0), PlanOptions(execution="streamed")),
        (("kws", "vww", "ad"), (2, 0, 1, 2, 0), PlanOptions(execution="whole")),
        (("ad", "kws", "vww"), (1, 0, 2, 1), PlanOptions(execution="streamed", feed_rows=True)),
    ],
    ids=["two", "three", "fed"],
)
def test_all_answer_as_if_they_were_alone(
    tmp_path: Path, names: tuple[str, ...], order: tuple[int, ...], options: PlanOptions
) -> None:
    planned = plan_together([load(name) for name in names], BOARD, options)
    turns = [Turn(m, random_inputs(planned.members[m].model, seed, 1)[0]) for seed, m in enumerate(order)]
    found, _ = run_in_turn(planned, turns, tmp_path)
    for turn, outputs in zip(turns, found, strict=True):
        assert_as_tflm(shipped(names[turn.member]), planned.members[turn.member].model, turn.sample, outputs)


def test_options_are_those_of_all(tmp_path: Path) -> None:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip(SKIP_REASON)
    path = Path(folder) / "mcunet_vww.tflite"
    planned = plan_together(
        [read_model(path), load("kws")], BOARD, PlanOptions(execution="streamed", feed_rows=True, io="int8")
    )
    member = planned.members[0]
    assert read_model(path).tensor(read_model(path).inputs[0]).dtype.label == "float32"
    assert member.model.tensor(member.model.inputs[0]).dtype.label == "int8"
    assert all(each.plan.fed for each in planned.members)
    assert planned.arena.arena_bytes < 20 * 1024
    turns = [Turn(m, random_inputs(planned.members[m].model, 5, 1)[0]) for m in (1, 0, 1)]
    (first, _, second), _ = run_in_turn(planned, turns, tmp_path)
    for turn, outputs in ((turns[0], first), (turns[2], second)):
        assert_as_tflm(shipped("kws"), planned.members[1].model, turn.sample, outputs)


# --- state ------------------------------------------------------------------------------------------------------------


def told_state(x: np.ndarray, state: np.ndarray) -> np.ndarray:
    """What TensorFlow Lite Micro answers when the variable of the network has this value."""
    return tflm_outputs(stateful_network(as_input=True), [x, state])[0]


def with_state(model: Model, other: Model, options: PlanOptions) -> tuple[PlannedTogether, list[Turn], np.ndarray]:
    """The network with state written to before its first run, then the other, then the network again."""
    planned = plan_together([model, other], BOARD, options)
    (state,) = planned.arena.tenants[0].survives
    value = np.random.default_rng(3).integers(-128, 128, model.tensor(state).shape).astype(np.int8)
    samples = [random_inputs(model, seed, 1)[0] for seed in (0, 1)]
    between = random_inputs(planned.members[1].model, 2, 1)[0]
    turns = [Turn(0, samples[0], {state: value.tobytes()}), Turn(1, between), Turn(0, samples[1])]
    return planned, turns, value


@pytest.mark.parametrize(("execution", "other"), [("whole", "state"), ("overlap", "kws"), ("streamed", "kws")])
def test_state_outlives_another_models_run(tmp_path: Path, execution: Execution, other: str) -> None:
    model = parse_model(stateful_network())
    rival = replace(model, name="rival") if other == "state" else load("kws")
    planned, turns, value = with_state(model, rival, PlanOptions(execution=execution))
    found, survived = run_in_turn(planned, turns, tmp_path)
    assert [v.tobytes() for v in survived[0].values()] == [value.tobytes()]
    (x,), (y,) = model.inputs, model.outputs
    for turn, outputs in zip(turns, found, strict=True):
        if turn.member == 0:
            assert np.array_equal(outputs[y], told_state(turn.sample[x], value))
    if other == "state":  # its own is as `init` left it: the real zero
        reset = np.full_like(value, -7)
        assert np.array_equal(found[1][y], told_state(turns[1].sample[x], reset))
        assert np.array_equal(found[1][y], tflm_outputs(stateful_network(), [turns[1].sample[x]])[0])


def test_state_that_is_not_apart_is_lost(tmp_path: Path) -> None:
    """The same program with the state where the other model works: what the layout is for."""
    model = parse_model(stateful_network())
    planned, turns, value = with_state(model, load("kws"), PlanOptions(execution="whole"))
    owner, rival = planned.arena.tenants
    (state,) = owner.survives
    place = owner.plan.placements[state]
    low = replace(place, offset=owner.working_bytes)
    plan = replace(owner.plan, placements=owner.plan.placements | {state: low})
    changed = replace(
        planned,
        arena=replace(planned.arena, tenants=(replace(owner, plan=plan, survives=()), rival)),
        members=(replace(planned.members[0], plan=plan), planned.members[1]),
    )
    assert low.offset < rival.working_bytes
    with pytest.raises(PlanInvalidError, match="is a variable, but not among what survives"):
        validate_shared(changed.arena)
    found, _ = run_in_turn(changed, turns, tmp_path)
    (x,), (y,) = model.inputs, model.outputs
    assert not np.array_equal(found[2][y], told_state(turns[2].sample[x], value))


@pytest.mark.parametrize("execution", ["whole", "streamed"])
def test_what_is_kept_outlives_another_models_run(tmp_path: Path, execution: Execution) -> None:
    model = load("kws")
    (x,), (y,) = model.inputs, model.outputs
    inner = model.operators[2].outputs[0]
    keep = tuple(f"kws:{t}" for t in (x, inner, y))
    planned = plan_together([model, load("vww")], BOARD, PlanOptions(execution=execution, keep=keep))
    assert set(planned.arena.tenants[0].survives) == {x, inner, y}
    assert planned.arena.tenants[1].survives == ()
    turns = [Turn(m, random_inputs(planned.members[m].model, 7, 1)[0]) for m in (0, 1)]
    _, (kept, _) = run_in_turn(planned, turns, tmp_path)
    assert np.array_equal(kept[x], turns[0].sample[x])
    (reference,) = TflmReference().run(model, shipped("kws"), [turns[0].sample], layers=True)
    for index in (inner, y):
        assert np.array_equal(kept[index], reference[index])
