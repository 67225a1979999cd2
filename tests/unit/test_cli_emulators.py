"""--emulator, --renode, --repl and --elf on the command line, with a stand-in for Renode."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import fake_renode
from tests.support.firmware import build, needs_any, needs_unicorn
from tinydeploy.boards import find_board
from tinydeploy.cli import main
from tinydeploy.emulate.renode.platform import make_platform

pytestmark = [
    needs_any,
    needs_unicorn,
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-in cannot be installed on Windows: it needs a shell"),
]

BOARD = ("--board", "stm32f746")
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(name="run")
def _run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process: exit code, standard output, standard error without progress."""
    monkeypatch.delenv("TINYDEPLOY_RENODE", raising=False)

    def run(*args: str) -> tuple[int, str, str]:
        code = main.run(args)
        captured = capfd.readouterr()
        errors = "".join(line for line in captured.err.splitlines(keepends=True) if not line.endswith("…\n"))
        return code, captured.out, errors

    return run


@pytest.fixture(name="elf")
def _elf() -> str:
    return str(build("int main(void) { return 0; }", "stm32f746").elf)


def renode(tmp_path: Path, scenario: str = "normal") -> tuple[str, ...]:
    return ("--emulator", "renode", "--renode", str(fake_renode.install(tmp_path, scenario)))


def test_the_report_names_renode_and_has_no_cycles(run: Run, tmp_path: Path, elf: str) -> None:
    code, out, err = run("emulate", elf, *BOARD, *renode(tmp_path), "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["provenance"]["tools"]["emulator"] == "renode 1.16.1.18832 (mono)"
    assert data["cycles"] == {"value": None, "kind": "unavailable"}
    assert data["uart"] == "hello\n"
    text = run("emulate", elf, *BOARD, *renode(tmp_path))[1]
    assert text.startswith("hello\n")
    assert "Renode counts instructions, no cycles" in text
    assert "share" not in text  # no table of functions, of which nothing is known


def test_renode_is_found_by_the_environment(
    run: Run, tmp_path: Path, elf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_renode.install(tmp_path)
    monkeypatch.setenv("TINYDEPLOY_RENODE", str(tmp_path))
    assert run("emulate", elf, *BOARD, "--emulator", "renode")[0] == 0


def test_a_warning_is_a_failed_run(run: Run, tmp_path: Path, elf: str) -> None:
    code, _, err = run("emulate", elf, *BOARD, *renode(tmp_path, "warns"))
    assert code == 5
    assert "write to 0x40012344, outside every memory of stm32f746g_disco, at pc 0x080003a6" in err


def test_a_model_that_fails_names_its_layer(run: Run, tmp_path: Path) -> None:
    code, _, err = run("run", "digits", *BOARD, "--no-verify", *renode(tmp_path, "warns"))
    assert code == 5
    assert "digits on stm32f746g_disco: write to 0x40012344" in err
    assert "step 7" in err


def test_a_missing_and_a_wrong_renode(run: Run, tmp_path: Path, elf: str) -> None:
    code, _, err = run("emulate", elf, *BOARD, "--emulator", "renode", "--renode", str(tmp_path / "nowhere"))
    assert (code, "there is no Renode at" in err, "hint: get 1.15 or later" in err) == (4, True, True)
    for scenario, said in (("old", "is Renode 1.14.0.26341, which is too old"), ("other", "is not Renode")):
        code, _, err = run("emulate", elf, *BOARD, *renode(tmp_path, scenario))
        assert (code, said in err) == (4, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--repl", "own.repl"), "a platform of your own (repl) is for Renode"),
        (("--emulator", "renode", "--gdb", "0"), "--gdb is for the embedded emulator"),
        (("--emulator", "renode", "--trace", "x.json"), "--trace is for the embedded emulator"),
    ],
)
def test_what_an_emulator_cannot_do(run: Run, elf: str, options: tuple[str, ...], said: str) -> None:
    code, _, err = run("emulate", elf, *BOARD, *options)
    assert (code, said in err) == (2, True)


def test_a_platform_with_more_than_the_chip_is_warned_of(run: Run, tmp_path: Path, elf: str) -> None:
    own = tmp_path / "own.repl"
    more = "extra: Memory.MappedMemory @ sysbus 0x90000000\n    size: 0x10000\n"
    own.write_text(make_platform(find_board("stm32f746")).repl + "\n" + more)
    code, _, err = run("emulate", elf, *BOARD, *renode(tmp_path), "--repl", str(own))
    assert code == 0
    assert err.startswith("warning: ")
    assert "maps memory that stm32f746g_disco does not have: 64.0 KiB at 0x90000000" in err


def test_a_platform_that_is_not_there(run: Run, tmp_path: Path, elf: str) -> None:
    code, _, err = run("emulate", elf, *BOARD, *renode(tmp_path), "--repl", str(tmp_path / "gone.repl"))
    assert (code, "gone.repl" in err) == (2, True)


def test_run_takes_firmware_as_emulate_does(run: Run) -> None:
    elf = str(build("int main(void) { return 3; }", "stm32f746").elf)
    ran, emulated = (
        json.loads(run(*c, *BOARD, "--format", "json")[1]) for c in (("run", "--elf", elf), ("emulate", elf))
    )
    for data in (ran, emulated):
        del data["seconds_emulating"]
    assert ran == emulated
    assert run("run", "--elf", elf, *BOARD)[0] == 5  # for the program's own exit code


def test_run_takes_a_model_or_firmware(run: Run, elf: str) -> None:
    code, _, err = run("run", "digits", "--elf", elf, *BOARD)
    assert (code, "MODEL is for a model, and --elf runs firmware" in err) == (2, True)
    code, _, err = run("run", "--elf", elf, *BOARD, "--samples", "2")
    assert (code, "--samples is for a model" in err) == (2, True)
    code, _, err = run("run", *BOARD)
    assert (code, "Missing argument 'MODEL'" in err) == (2, True)
