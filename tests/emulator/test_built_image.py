"""The image that `build` leaves for a part: it runs by itself and writes to no port."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import needs_gcc, needs_unicorn
from tinydeploy.boards import find_board
from tinydeploy.cli.main import run
from tinydeploy.emulate import Job, UnicornEmulator
from tinydeploy.pipeline import MARKER_ADDRESS


@needs_gcc
@needs_unicorn
@pytest.mark.parametrize("board", ["stm32g0b1", "stm32l4r5"])
def test_a_built_image_has_no_markers(board: str, tmp_path: Path) -> None:
    """An M0+ has nothing at the marker port: a store there would be a HardFault on the part."""
    assert run(["build", "digits", "--board", board, "--toolchain", "gcc", "-o", str(tmp_path)]) == 0
    job = Job(tmp_path / "build" / "digits.elf", stop_symbol="digits_done", marker_address=MARKER_ADDRESS)
    result = UnicornEmulator().run(find_board(board), job)
    assert result.fault is None
    assert result.instructions > 20_992  # a MAC takes one at the least
    assert result.instructions_by_step == {}
