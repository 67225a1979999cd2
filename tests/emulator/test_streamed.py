"""Row-streamed plans on emulated boards: bit-exact layer by layer, within the memory that the plan says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.firmware import BOTH, needs_unicorn
from tests.support.streamed_plans import streamed_plan
from tinydeploy.boards import find_board
from tinydeploy.catalog import model_path
from tinydeploy.emulate import UnicornEmulator
from tinydeploy.pipeline import PlanOptions, Ran, build_image, load, plan_model, run_model
from tinydeploy.plan import Plan
from tinydeploy.report.plans import Planned
from tinydeploy.verify import random_inputs, verify

pytestmark = needs_unicorn


def ran(planned: Planned, folder: Path, plan: Plan | None = None, toolchain: str = "gcc") -> Ran:
    """Two samples, layer by layer, with another plan than the one that was made."""
    changed = planned if plan is None else replace(planned, plan=plan)
    built = build_image(changed, folder, toolchain=toolchain)
    return run_model(built, UnicornEmulator(), random_inputs(planned.model, 0, 2), layers=True)


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32g0b1"])
@pytest.mark.parametrize("fed", [False, True])
def test_layers_watermarks_and_counts(tmp_path: Path, board: str, toolchain: str, fed: bool) -> None:
    planned = plan_model(load("kws"), find_board(board), PlanOptions(execution="whole"))
    whole = ran(planned, tmp_path / "whole", toolchain=toolchain)
    plan = streamed_plan(planned.model, feed=fed, scatter=fed)
    streamed = ran(planned, tmp_path / "streamed", plan, toolchain)
    path = model_path("kws")
    assert path is not None
    said = verify(planned.model, path.read_bytes(), streamed.inputs, streamed.outputs, layers=True)
    assert said.bit_exact
    assert said.tensors == len({t for op in planned.model.operators for t in op.outputs})
    # all of the arena but what aligns its last ring
    assert plan.arena_bytes - 16 < streamed.watermark("arena") <= plan.arena_bytes
    # a count of 16 bits for each stage, and what the loop saves
    assert streamed.watermark("stack") <= whole.watermark("stack") + 2 * len(planned.model.operators) + 48
    # the sum of all operators is all but what feeds them
    by_operator = streamed.instructions_by_operator
    assert set(by_operator) == {op.index for op in planned.model.operators}
    assert 0.99 * streamed.instructions < sum(by_operator.values()) <= streamed.instructions
    for op, count in whole.instructions_by_operator.items():
        assert count <= by_operator[op] <= 1.5 * count + 25 * 60  # 25 rows, each a turn; adding rows up costs most
    assert streamed.instructions <= 1.03 * whole.instructions
