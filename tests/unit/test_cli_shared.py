"""`plan` and `build` with several models: the report's sums, the folder, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.firmware import needs_any
from tests.support.stateful import STATE_BYTES, stateful_network
from tinydeploy.boards import find_board
from tinydeploy.catalog import load
from tinydeploy.errors import UsageError
from tinydeploy.pipeline import PlanOptions
from tinydeploy.pipeline.shared import plan_together

Run = Callable[..., "tuple[int, str, str]"]


def report(run: Run, *args: str) -> dict[str, Any]:
    code, out, err = run(*args, "--format", "json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture(name="stateful")
def _stateful(tmp_path: Path) -> str:
    path = tmp_path / "keeper.tflite"
    path.write_bytes(stateful_network())
    return str(path)


def test_the_report_adds_up(run: Run, stateful: str) -> None:
    alone = {m: report(run, "plan", m, "--board", "stm32f746") for m in ("kws", "vww", stateful)}
    found = report(run, "plan", "kws", stateful, "vww", "--board", "stm32f746")
    assert [m["library"] for m in found["models"]] == ["kws", "keeper", "vww"]
    sram, flash = found["sram"], found["flash"]
    assert sram["shared_bytes"] == alone["vww"]["sram"]["arena_bytes"]
    assert STATE_BYTES <= sram["state_bytes"] < STATE_BYTES + 16
    assert sram["arena_bytes"] == sram["shared_bytes"] + sram["state_bytes"]
    assert sram["stack_bytes"] == max(a["sram"]["stack_bytes"] for a in alone.values())
    assert sram["total_bytes"] == sram["arena_bytes"] + sram["stack_bytes"] + sram["static_bytes"]
    assert sram["decided_by"] == {"shared": "vww", "stack": "kws"}
    assert sram["apart_bytes"] == sum(m["place"]["working_bytes"] + m["place"]["state_bytes"] for m in found["models"])
    assert flash["weights_bytes"] == sum(a["flash"]["weights_bytes"] for a in alone.values())
    codes = [a["flash"]["code_bytes"] for a in alone.values()]
    assert max(codes) < flash["code_bytes"] < sum(codes)  # kernels and start-up code count once
    assert [m["place"]["survives"] for m in found["models"]] == [[], ["state"], []]
    assert found["models"][1]["place"]["state_offset"] == sram["shared_bytes"]
    # each model's own report is as it would be alone, but for where its state lies
    for model in (found["models"][0], found["models"][2]):
        same = alone[model["library"]]
        assert model["sram"]["arena_bytes"] == same["sram"]["arena_bytes"]
        assert [t["offset"] for t in model["tensors"]] == [t["offset"] for t in same["tensors"]]


def test_people_read_who_decides(run: Run) -> None:
    code, out, _ = run("plan", "kws", "vww", "--board", "stm32f746")
    assert code == 0
    assert "vww (arena), kws (stack)" in out
    assert "another model's run leaves nothing as it was" in out


def test_too_small_a_board_is_1(run: Run) -> None:
    code, out, err = run("plan", "vww", "mobilenet_v2_035", "--board", "stm32f446", "--execution", "whole")
    assert code == 1
    assert "vww, mobilenet_v2_035 do not fit nucleo_f446re: SRAM is" in err
    assert "(shared " in err and "+ state 0 + stack" in err
    assert "does not fit" in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--map"], "--map and --draw show the arena of one model"),
        (["--draw", "x.svg"], "--map and --draw show the arena of one model"),
        (["--keep", "nobody"], "'nobody' is a tensor of none of the models"),
        (["--keep", "kws:nobody"], "'nobody' is no tensor"),
        (["--keep", "kws:9999"], "'9999' is no tensor"),
    ],
)
def test_wrong_usage_is_2(run: Run, args: list[str], words: str) -> None:
    code, out, err = run("plan", "kws", "ad", "--board", "stm32f746", *args)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("options", [PlanOptions(reserve=("dtcm=16K",)), PlanOptions(regions="dtcm")])
def test_memories_cannot_be_chosen(options: PlanOptions) -> None:
    with pytest.raises(UsageError, match="for one model"):
        plan_together([load("kws"), load("ad")], find_board("stm32f746"), options)


def test_names_and_networks_are_refused(run: Run, tmp_path: Path) -> None:
    to = str(tmp_path / "out")
    for args, exit_code, words in (
        (["kws", "ad", "--name", "one"], 2, "1 names for 2 models"),
        (["kws", "ad", "--name", "one", "--name", "one"], 2, "'one' clashes"),
        (["kws", "--name", "one", "--name", "two"], 2, "2 names for one model"),
        (["kws", "mcunet"], 3, "has no weights"),
    ):
        code, out, err = run("build", *args, "--board", "stm32f746", "-o", to)
        assert (code, out) == (exit_code, ""), err
        assert words in err
    assert not (tmp_path / "out").exists()


@needs_any
def test_a_folder_with_two_libraries(run: Run, stateful: str, tmp_path: Path) -> None:
    to = tmp_path / "out"
    found = report(run, "build", "ad", stateful, stateful, "--board", "stm32l4r5", "-o", str(to), "--feed-rows")
    built = found["build"]
    assert built["names"] == ["ad", "keeper", "keeper_2"]
    assert {p.name for p in to.glob("*.h")} == {
        *(f"{n}{end}.h" for n in built["names"] for end in ("", "_data", "_io", "_info")),
        "models_arena.h",
    }
    assert [p.name for p in to.iterdir() if p.is_dir()].count("runtime") == 1
    assert built["files"] == sorted(
        str(p.relative_to(to)) for p in to.rglob("*") if p.is_file() and "build" not in p.parts
    )
    weights = built["weights_bytes"]
    assert weights["keeper"] == weights["keeper_2"] > 0  # equal constants of two libraries are not merged
    assert sum(weights.values()) == built["flash_bytes"]["weights"] == found["flash"]["weights_bytes"]
    text = (to / "models_arena.h").read_text()
    assert f"#define MODELS_ARENA_BYTES {found['sram']['arena_bytes']}\n" in text
    first, second = (m["place"] for m in found["models"][1:])
    assert first["state_offset"] + first["state_bytes"] <= second["state_offset"]
    for name, place in (("keeper", first), ("keeper_2", second)):
        span = f"[{place['state_offset']}, {place['state_offset'] + place['state_bytes']})"
        assert f"{name} works in [0, {place['working_bytes']}) and keeps state in {span}" in text
        reset = f"memset((uint8_t *)arena + {place['state_offset']}, -7, {STATE_BYTES});"
        assert reset in (to / f"{name}.c").read_text()
    assert "What survives another model's invoke: state, and nothing else." in text
