"""Whole and streamed plans on emulated boards: the same outputs, and hardly more instructions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import needs_gcc, needs_unicorn
from tests.support.row_networks import random_row_network
from tinydeploy.boards import find_board
from tinydeploy.emulate import UnicornEmulator
from tinydeploy.ir import Model
from tinydeploy.pipeline import PlanOptions, Ran, build_image, load, plan_model, run_model
from tinydeploy.tflite import parse_model
from tinydeploy.verify import random_inputs

pytestmark = [needs_unicorn, needs_gcc]

WHOLE = PlanOptions(execution="whole", solver="builtin")
BOARDS = ("stm32l4r5", "stm32g0b1")


def ran(model: Model, board: str, options: PlanOptions, folder: Path, samples: int = 1) -> Ran:
    planned = plan_model(model, find_board(board), options)
    built = build_image(planned, folder, toolchain="gcc", name="net")
    found = run_model(built, UnicornEmulator(), random_inputs(planned.model, 0, samples))
    # all of the arena but what aligns its last buffer
    assert planned.plan.arena_bytes - 32 < found.watermark("arena") <= planned.plan.arena_bytes
    assert found.watermark("stack") < built.image.stack_bytes
    return found


def assert_same(a: Ran, b: Ran) -> None:
    for ours, theirs in zip(a.outputs, b.outputs, strict=True):
        assert {t: value.tobytes() for t, value in ours.items()} == {t: value.tobytes() for t, value in theirs.items()}


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", ["kws", "resnet8", "vww"])
def test_streaming_costs_hardly_any_instructions(name: str, board: str, tmp_path: Path) -> None:
    model = load(name)
    whole = ran(model, board, WHOLE, tmp_path / "whole")
    streamed = ran(model, board, replace(WHOLE, execution="streamed"), tmp_path / "streamed")
    assert_same(whole, streamed)
    before, after = (each.built.planned.plan.arena_bytes for each in (whole, streamed))
    assert after < 0.7 * before
    assert streamed.instructions <= 1.03 * whole.instructions


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("seed", range(4))
def test_random_networks(seed: int, board: str, tmp_path: Path) -> None:
    model = parse_model(random_row_network(np.random.default_rng([seed, 4])).data)
    whole = ran(model, board, WHOLE, tmp_path / "whole")
    for execution, fed in (("overlap", False), ("streamed", False), ("streamed", True)):
        options = replace(WHOLE, execution=execution, feed_rows=fed)  # type: ignore[arg-type]
        assert_same(whole, ran(model, board, options, tmp_path / f"{execution}{fed}"))
