"""What is written for Renode, kept as files beside this one: platforms of several boards, scripts, a test.

After a wanted change: `python -m tests.golden.test_renode_files` writes them anew; read the difference before
committing, and load the platforms in a Renode if there is one (tests/emulator/test_renode_platforms.py does).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tinydeploy import __version__
from tinydeploy.boards import find_board
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.readme import project_readme
from tinydeploy.emulate.renode.script import machine_script, robot_test, run_script

FOLDER = Path(__file__).parent / "renode"
# One board for each kind of UART, with and without an FPU, a cycle counter, bit-banding and stubs.
BOARDS = (
    "adafruit_feather_m4_express",
    "mps3_corstone300_an547",
    "nrf52840dk",
    "nucleo_f103rb",
    "nucleo_l4r5zi",
    "nucleo_u575zi_q",
    "rpi_pico",
    "stm32f746g_disco",
    "teensy40",
)
LINES = ("tinydeploy: output 0 crc32 0x12345678", "tinydeploy: done")


def files() -> dict[str, str]:
    """Every golden file's text, by file name."""
    found = {f"{name}.repl": make_platform(find_board(name), marker_address=0xE000007C).repl for name in BOARDS}
    found["stm32f746g_disco_strict.repl"] = make_platform(find_board("stm32f746"), stubs=False).repl
    board = find_board("nrf52840dk")
    platform = make_platform(board)
    found["machine.resc"] = machine_script(board, "kws", "kws.elf")
    found["run.resc"] = run_script(board, platform, "kws")
    found["test.robot"] = robot_test(board, platform, "kws", LINES, seconds=10)
    readme = project_readme(board, platform, "kws", "kws.elf", LINES)
    found["README.md"] = readme.replace(__version__, "9.9.9")
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_file(name: str) -> None:
    assert files()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_every_file_has_its_golden_one() -> None:
    assert sorted(files()) == sorted(path.name for path in FOLDER.iterdir())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
