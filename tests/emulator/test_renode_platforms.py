"""A real Renode, where there is one, loads every board's platform and runs an exported folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware import needs_any, needs_unicorn
from tinydeploy.boards import all_boards, find_board
from tinydeploy.catalog import load
from tinydeploy.emulate.renode.install import find_renode
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.script import path_token
from tinydeploy.errors import MissingToolError
from tinydeploy.pipeline import PlanOptions, plan_model
from tinydeploy.pipeline.renode_project import RenodeProject, export_project
from tinydeploy.verify.inputs import random_inputs

try:
    RENODE = find_renode(os.environ.get("TINYDEPLOY_RENODE"))
except MissingToolError as missing:
    pytest.skip(f"Renode cannot be installed from a registry: {missing.hint}", allow_module_level=True)


def _monitor(folder: Path, *commands: str) -> str:
    """What Renode says to a script of commands."""
    script = folder / "script.resc"
    script.write_text("\n".join([*commands, "quit", ""]), encoding="utf-8")
    done = subprocess.run(
        [str(RENODE.path), "--disable-gui", "--console", "--plain", "-e", f"include {path_token(str(script))}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def test_every_platform_loads(tmp_path: Path) -> None:
    boards = all_boards()
    commands = []
    for board in boards:
        file = tmp_path / f"{board.id}.repl"
        file.write_text(make_platform(board, marker_address=0xE000007C).repl, encoding="utf-8")
        commands += [f'mach create "{board.id}"', f"machine LoadPlatformDescription {path_token(str(file))}"]
        commands += [f'echo "sound {board.id}"', "mach clear"]
    said = _monitor(tmp_path, *commands)
    assert not re.search("error|exception|warning", said, re.IGNORECASE), said
    assert re.findall(r"^sound (\S+)", said, re.MULTILINE) == [b.id for b in boards]


def test_stubs_answer(tmp_path: Path) -> None:
    """Start-up of an F4: HSE and PLL on and ready, by bit-banding off again; the marker is a word."""
    file = tmp_path / "f4.repl"
    file.write_text(make_platform(find_board("stm32f4_disco"), marker_address=0xE000007C).repl, encoding="utf-8")
    said = _monitor(
        tmp_path,
        "using sysbus",
        "mach create",
        f"machine LoadPlatformDescription {path_token(str(file))}",
        "sysbus WriteDoubleWord 0x40023800 0x01010001",
        "sysbus ReadDoubleWord 0x40023800",
        "sysbus WriteDoubleWord 0x42470060 0x0",  # bit 24 of RCC.CR, in the bit-band region
        "sysbus ReadDoubleWord 0x40023800",
        "sysbus WriteByte 0x40023871 0x81",
        "sysbus ReadDoubleWord 0x40023870",
        "sysbus WriteDoubleWord 0xE000007C 0x5",
        "sysbus ReadDoubleWord 0xE000007C",
    )
    words = [int(w, 16) for w in re.findall(r"^0x([0-9A-Fa-f]{8})\s*$", said, re.MULTILINE)]
    assert words == [0x03030003, 0x00030003, 0x00008100, 5]
    assert "WARNING" not in said and "ERROR" not in said


def _export(folder: Path, board: str) -> RenodeProject:
    model = load("digits")
    planned = plan_model(model, find_board(board), PlanOptions(solver="builtin"))
    return export_project(planned, folder, random_inputs(model, 3, 1)[0], whence="random, seed 3")


@needs_unicorn
@needs_any
@pytest.mark.parametrize(
    "board", ["nucleo_f103rb", "stm32f746", "nucleo_l4r5zi", "nrf52840dk", "rpi_pico", "teensy40", "nucleo_u575zi_q"]
)
def test_an_exported_folder_prints_what_it_does_here(board: str, tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    project = _export(folder, board)
    said = _monitor(tmp_path, f"include {path_token(str(folder / 'run.resc'))}", "sleep 5")
    printed = re.findall(r"\[host: .*?\|virt: .*?\] (.+)$", said.replace("\r", ""), re.MULTILINE)
    cycles = [(ours, theirs) for ours, theirs in zip(project.lines, printed, strict=True) if "cycles" in ours]
    assert [p for p in printed if "cycles" not in p] == [p for p in project.lines if "cycles" not in p]
    for ours, theirs in cycles:  # both count instructions; Renode looks at its clock every few
        assert abs(int(ours.split()[-1]) - int(theirs.split()[-1])) <= 16
    assert "WARNING" not in said and "ERROR" not in said


@needs_any
@pytest.mark.parametrize("board", ["adafruit_feather_m4_express", "mps3_corstone300_an547"])
def test_folders_with_remarks(board: str, tmp_path: Path) -> None:
    """A SERCOM without control registers, of which Renode warns; a Cortex-M55, which only Renode has."""
    _export(tmp_path / "x", board)
    said = _monitor(tmp_path, f"include {path_token(str(tmp_path / 'x' / 'run.resc'))}", "sleep 5")
    assert "tinydeploy: done" in said and "non existing peripheral" not in said and "abort" not in said
