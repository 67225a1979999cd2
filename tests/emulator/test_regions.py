"""Arenas over several memories, on emulated boards: bit-exact, and nothing touched but what the plan says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import BOTH, needs_unicorn
from tinydeploy.boards import find_board
from tinydeploy.catalog import model_path
from tinydeploy.elf import read_elf
from tinydeploy.emulate import UnicornEmulator
from tinydeploy.pipeline import PlanOptions, Ran, build_image, load, plan_model, run_model
from tinydeploy.plan import Execution
from tinydeploy.verify import random_inputs, verify

pytestmark = needs_unicorn


def ran(model: str, board: str, options: PlanOptions, folder: Path, toolchain: str = "gcc") -> Ran:
    """Two samples, each compared layer by layer."""
    planned = plan_model(load(model), find_board(board), options)
    built = build_image(planned, folder, toolchain=toolchain)
    found = run_model(built, UnicornEmulator(), random_inputs(planned.model, 0, 2), layers=True)
    path = model_path(model)
    assert path is not None
    assert verify(planned.model, path.read_bytes(), found.inputs, found.outputs, layers=True).bit_exact
    return found


# What is left holds vww's arena only in pieces. Its largest tensors are 36,864 bytes, and 27,648 for the input.
SPREAD: dict[str, tuple[str, Execution, tuple[str, ...], str, dict[str, int]]] = {
    "whole tensors, three memories": (
        "nucleo_h743zi",
        "whole",
        ("dtcm=88K", "axisram=491K", "sram1=108K"),
        "dtcm,axisram,sram1",
        {"DTCM": 40 * 1024, "AXISRAM": 21 * 1024 - 1032, "SRAM1": 20 * 1024},
    ),
    "rows in turn": (
        "nucleo_h743zi",
        "overlap",
        ("dtcm=93856", "axisram=475K"),
        "dtcm,axisram",
        {"DTCM": 37216, "AXISRAM": 36 * 1024},
    ),
    "rows streamed": (
        "nucleo_h743zi",
        "streamed",
        ("dtcm=103072", "axisram=491K"),
        "DTCM,AXISRAM",
        {"DTCM": 28000, "AXISRAM": 20 * 1024},
    ),
    "CCM below SRAM": (
        "stm32f4_disco",
        "overlap",
        ("sram1=77472", "sram2=15K", "ccm=36K"),
        "sram1,ccm",
        {"SRAM1": 37216, "CCM": 28 * 1024},
    ),
}


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("case", SPREAD)
def test_spread_arenas_compute_the_same(tmp_path: Path, case: str, toolchain: str) -> None:
    board, execution, reserve, regions, room = SPREAD[case]
    options = PlanOptions(execution=execution, reserve=reserve, regions=regions)
    found = ran("vww", board, options, tmp_path, toolchain)
    planned, image = found.built.planned, found.built.image
    plan = planned.plan
    assert {share.region for share in plan.shares} == set(room)
    by_name = {region.name: region for region in planned.board.regions}
    watermarks = found.results[0].watermarks
    symbols = read_elf(image.elf)
    for share in plan.shares:
        region = by_name[share.region]
        assert share.bytes <= room[share.region]
        assert region.base <= share.address
        assert share.address + share.bytes <= region.end
        assert symbols.address_of(f"{found.built.tree.name}_arena_{share.region.lower()}") == share.address
        # each memory is used up to its share's end, but for what aligns the next
        assert share.bytes - 16 < watermarks[f"arena in {share.region}"] <= share.bytes
    assert sum(share.bytes for share in plan.shares) == plan.arena_bytes == image.arena_bytes
    assert image.stack_top <= by_name["AXISRAM" if "AXISRAM" in by_name else "SRAM2"].end
    assert 0 <= plan.arena_bytes - found.arena_watermark < 16 * len(plan.shares)


STACKS = {("stm32f746", ("dtcm=48K", "sram2=16K")): "SRAM1", ("stm32f746", ()): "SRAM2", ("stm32h743", ()): "AXISRAM"}


@pytest.mark.parametrize(
    ("board", "options", "address", "region"),
    [
        ("stm32f746", PlanOptions(), 0x20000000, "DTCM"),
        ("stm32f746", PlanOptions(reserve=("dtcm=16K",)), 0x20004000, "DTCM"),
        ("stm32f746", PlanOptions(reserve=("dtcm=48K", "sram2=16K")), 0x20010000, "SRAM1"),
        ("stm32f746", PlanOptions(regions="sram2,sram1", reserve=("SRAM1=1024",)), 0x20010000, "SRAM1"),
        ("stm32h743", PlanOptions(), 0x20000000, "DTCM"),
        ("stm32h743", PlanOptions(regions="sram3"), 0x30040000, "SRAM3"),
        ("stm32l476", PlanOptions(regions="sram2"), 0x10000000, "SRAM2"),
        ("stm32g474", PlanOptions(), 0x20000000, "SRAM1"),
    ],
)
def test_one_region_where_it_fits(tmp_path: Path, board: str, options: PlanOptions, address: int, region: str) -> None:
    found = ran("vww", board, options, tmp_path)
    built = found.built
    assert read_elf(built.image.elf).address_of(f"{built.tree.name}_arena") == address
    assert {place.region for place in built.planned.plan.placements.values()} == {region}
    assert "_ARENA_BYTES" in built.tree.files[f"{built.tree.name}.h"]
    stack = built.image.stack_top - 1
    home = built.planned.board.region_at(stack)
    assert home is not None
    assert home.name == STACKS.get((board, options.reserve), home.name)
