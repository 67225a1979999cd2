"""The scripts of an exported folder: nothing from a model or a board gets into them unescaped."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.support.reports import HOSTILE
from tinydeploy.boards import find_board
from tinydeploy.codegen import c_identifier
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.readme import project_readme
from tinydeploy.emulate.renode.script import machine_script, path_token, robot_test, robot_text, run_script
from tinydeploy.errors import UsageError

BOARD = find_board("stm32f746")
PLATFORM = make_platform(BOARD)
EVIL = HOSTILE + '"\nquit\n$bin=@/etc/passwd\n${X}    Fatal Error\n`rm`'


def test_paths_are_the_scripts_own() -> None:
    text = machine_script(BOARD, "kws", "kws.elf") + run_script(BOARD, PLATFORM, "kws")
    assert re.findall(r"[\w$]*/\S+", text) == ["$ORIGIN/platform.repl", "$ORIGIN/kws.elf", "$ORIGIN/machine.resc"]


def test_vector_table_is_where_the_image_starts() -> None:
    assert "cpu VectorTableOffset 0x8000000\n" in machine_script(BOARD, "kws", "kws.elf")
    assert "cpu VectorTableOffset 0x10000000\n" in machine_script(find_board("rpi_pico"), "kws", "kws.elf")


@pytest.mark.parametrize("name", ["", "1kws", 'a"b', "a b", "kws\nquit", "$x", "ä", EVIL, "x" * 101])
def test_names_that_are_none(name: str) -> None:
    for write in (
        lambda: machine_script(BOARD, name, "kws.elf"),
        lambda: run_script(BOARD, PLATFORM, name),
        lambda: robot_test(BOARD, PLATFORM, name, ["x"], seconds=1),
    ):
        with pytest.raises(UsageError, match="cannot be a name in a Renode script"):
            write()


@pytest.mark.parametrize("elf", ["", "../kws.elf", "/kws.elf", "a b.elf", "kws.elf\nquit", ".elf", "-x.elf"])
def test_files_that_are_none(elf: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        machine_script(BOARD, "kws", elf)


def test_a_hostile_board_name_stays_in_its_line() -> None:
    board = replace(BOARD, name=EVIL)
    plain, evil = machine_script(BOARD, "kws", "kws.elf"), machine_script(board, "kws", "kws.elf")
    assert plain.splitlines()[1:] == evil.splitlines()[1:]
    for text in (
        evil,
        run_script(board, PLATFORM, "kws"),
        robot_test(board, PLATFORM, "kws", ["x"], seconds=1),
        project_readme(board, PLATFORM, "kws", "kws.elf", ["x"]),
    ):
        assert "passwd\n" not in text and "quit\n" not in text and "\x1b" not in text and "`rm`" not in text


def test_a_models_name_is_an_identifier_before_it_gets_here() -> None:
    name = c_identifier(EVIL)
    assert f'$name?="{name}"' in machine_script(BOARD, name, f"{name}.elf")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("tinydeploy: done", "tinydeploy: done"),
        ("output 0: 1  2", "output 0: 1${SPACE} 2"),
        (" x ", "${SPACE}x${SPACE}"),
        ("${SECRET} @{LIST} %{HOME}", r"\$\{SECRET\} \@\{LIST\} \%\{HOME\}"),
        ("a=b # no comment", r"a\=b \# no comment"),
        ("back\\slash", "back\\\\slash"),
        ("", "${EMPTY}"),
    ],
)
def test_lines_are_literal_in_robot_files(text: str, escaped: str) -> None:
    assert robot_text(text) == escaped


def test_robot_reads_the_lines_as_they_are() -> None:
    """Robot Framework's own reader: one argument each, which is the line."""
    api = pytest.importorskip("robot.api.parsing", reason="pip install 'tinydeploy[robot]'")
    lines = ["tinydeploy: output 0 crc32 0x12345678", "two  spaces # and ${no} variable", "tinydeploy: done"]
    model = api.get_model(robot_test(BOARD, PLATFORM, "kws", lines, seconds=10))
    (test,) = next(s for s in model.sections if type(s).__name__ == "TestCaseSection").body
    waits = [s for s in test.body if getattr(s, "keyword", None) == "Wait For Line On Uart"]
    assert [len(s.args) for s in waits] == [1, 1, 1]
    assert [s.args[0].replace("${SPACE}", " ").replace("\\", "") for s in waits] == lines
    assert not [e for s in test.body for e in s.errors]


@pytest.mark.parametrize(
    ("path", "token"), [("/a/b.resc", "@/a/b.resc"), ("/a b/c d.resc", "@/a\\ b/c\\ d.resc"), ("x", "@x")]
)
def test_paths_for_the_monitor(path: str, token: str) -> None:
    assert path_token(path) == token


@pytest.mark.parametrize("path", ["", "/a;quit", "/a\nquit", "/a\tb"])
def test_paths_that_the_monitor_cannot_take(path: str) -> None:
    with pytest.raises(UsageError, match="monitor cannot take the path"):
        path_token(path)
