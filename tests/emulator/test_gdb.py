"""GDB itself against the embedded emulator: lines, frames, watchpoints, and outputs that stay what they are."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from tests.support.firmware import BOTH, needs_unicorn
from tinydeploy.boards import find_board
from tinydeploy.emulate import GdbServer, UnicornEmulator
from tinydeploy.pipeline import PlanOptions, Ran, build_image, load, plan_model, run_model
from tinydeploy.verify import random_inputs

GDB = which("gdb-multiarch") or which("arm-none-eabi-gdb")
pytestmark = [
    needs_unicorn,
    pytest.mark.skipif(GDB is None, reason="no GDB for Arm on PATH: apt install gdb-multiarch"),
]


def session(board: str, folder: Path, toolchain: str, *commands: str) -> tuple[str, Ran, Ran]:
    """What GDB prints, the run that it debugged, and the same run alone."""
    planned = plan_model(load("digits"), find_board(board), PlanOptions())
    built = build_image(planned, folder, toolchain=toolchain)
    samples = random_inputs(planned.model, 0, 1)
    server, found = GdbServer(0), list[Ran]()
    thread = threading.Thread(
        target=lambda: found.append(run_model(built, UnicornEmulator(debugger=server), samples, trace=True))
    )
    thread.start()
    try:
        call = [str(GDB), "-nx", "-batch", "-d", str(folder), str(built.image.elf)]
        for command in ("set pagination off", f"target remote 127.0.0.1:{server.port}", *commands):
            call += ["-ex", command]
        done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    finally:
        server.close()
        thread.join(60)
    assert not thread.is_alive()
    return done.stdout + done.stderr, found[0], run_model(built, UnicornEmulator(), samples, trace=True)


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32f746", "stm32g0b1", "stm32u575"])
def test_a_session(tmp_path: Path, board: str, toolchain: str) -> None:
    said, debugged, alone = session(
        board,
        tmp_path,
        toolchain,
        "break td_fully_connected",
        "continue",
        "backtrace -frame-arguments none",
        "list",
        "info registers pc sp xpsr",
        "step",
        "stepi 20",
        "monitor step",
        "delete",
        "watch *(char *)digits_arena@16",
        "continue",
        "info breakpoints",
        "delete",
        "continue",
    )
    frames = re.findall(r"^#\d+ .*?(\w+) \(.*\) at (\S+):(\d+)$", said, re.M)
    assert frames[0][:2] == ("td_fully_connected", "./runtime/fully_connected.c")
    assert frames[-1][:2] == ("main", "./example/main.c")
    assert "digits_invoke" in [name for name, _, _ in frames]
    source = (tmp_path / "runtime" / "fully_connected.c").read_text().splitlines()
    shown = [(int(number) - 1, line) for number, line in re.findall(r"^(\d+)\t(.*)$", said, re.M)]
    assert sum(source[number : number + 1] == [line] for number, line in shown) >= 10
    assert re.search(r"^pc .*<td_fully_connected", said, re.M)
    assert re.search(r"^step \d+$", said, re.M)
    assert "Old value = " in said and "New value = " in said
    assert "exited normally" in said
    for ours, expected in zip(debugged.outputs, alone.outputs, strict=True):
        assert all(np.array_equal(ours[tensor], expected[tensor]) for tensor in expected)
    for fact in ("instructions", "instructions_by_function", "instructions_by_step", "cycles", "watermarks", "trace"):
        assert getattr(debugged.worst, fact) == getattr(alone.worst, fact)


def test_memory_and_registers_of_the_floating_point_unit(tmp_path: Path) -> None:
    said, debugged, alone = session(
        "stm32f746",
        tmp_path,
        "gcc",
        "tbreak main",
        "continue",
        "set var $d0 = 1.5",
        "print $d0",
        "print $fpscr",
        "print/x *(unsigned *)0x08000000",
        "set var *(unsigned *)0x08000000 = 0",
        "x/1x 0xe000ed00",
        "load",
        "info mem",
        "detach",
    )
    assert "$1 = 1.5" in said
    assert f"= {debugged.built.image.stack_top:#x}" in said  # the vector table's first word
    assert "Writing to flash memory forbidden" in said
    assert "Cannot access memory at address 0xe000ed00" in said
    assert "does not support flash erase" in said
    assert debugged.worst.reads == alone.worst.reads
