"""Which models on which boards are checked, with which options and limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tinydeploy.config import Limits, load_config, parse_budget
from tinydeploy.errors import UsageError
from tinydeploy.gates.baseline import Entry, read_baseline, write_baseline
from tinydeploy.gates.targets import Chosen, Target, resolve
from tinydeploy.resources import boards_dir


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three files that are named like models; the working directory is one inside of it."""
    for name in ("models/a.tflite", "models/b.tflite", "other/c.tflite", "src/here"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path


def targets(project: Path, text: str, **chosen: Any) -> dict[tuple[str, str], Target]:
    (project / "tinydeploy.toml").write_text(text)
    found = resolve(load_config(Path("../tinydeploy.toml")), Chosen(**chosen))
    return {(target.model, target.board): target for target in found}


def test_models_times_boards(project: Path) -> None:
    found = targets(
        project,
        """
        [check]
        boards = ["stm32f746", "nrf52dk"]
        [[check.model]]
        path = "models/*.tflite"
        [[check.model]]
        path = "digits"
        boards = ["nrf52dk", "nrf52dk"]
        """,
    )
    assert list(found) == [
        ("models/a.tflite", "stm32f746g_disco"),
        ("models/a.tflite", "nrf52dk"),
        ("models/b.tflite", "stm32f746g_disco"),
        ("models/b.tflite", "nrf52dk"),
        ("digits", "nrf52dk"),
    ]
    first = found["models/a.tflite", "stm32f746g_disco"]
    assert Path(first.case.model) == Path("../models/a.tflite")  # as seen from the working directory
    assert (first.case.depth, first.case.verify, first.case.timeout_seconds) == ("run", True, None)
    assert Path(first.model_file) == Path("../models/a.tflite")
    assert found["digits", "nrf52dk"].model_file == ""


def test_the_nearer_limit_goes_over_the_other(project: Path) -> None:
    text = """
    [check]
    boards = ["stm32f746", "nrf52dk"]
    [check.budget]
    arena = 1
    flash = 10
    stack = 20
    timeout = 9
    [check.board.stm32f746g_disco.budget]
    arena = 2
    stack = 21
    [[check.model]]
    path = "digits"
    [check.model.budget]
    arena = 3
    [check.model.board.nrf52dk.budget]
    arena = 4
    """
    found = targets(project, text)
    disco, nordic = found["digits", "stm32f746g_disco"].limits.budgets, found["digits", "nrf52dk"].limits.budgets
    assert [disco[name].limit for name in ("arena", "flash", "stack")] == [3, 10, 21]
    assert [nordic[name].limit for name in ("arena", "flash", "stack")] == [4, 10, 20]
    assert found["digits", "nrf52dk"].case.timeout_seconds == 9
    given = Limits({"arena": parse_budget("arena", 5)})
    found = targets(project, text, limits=given)
    assert {target.limits.budgets["arena"].limit for target in found.values()} == {5}


def test_options_come_from_the_nearest_place(project: Path) -> None:
    text = """
    execution = "overlap"
    stack_bytes = "2K"
    toolchain = "zig"
    [check]
    boards = ["nrf52dk"]
    samples = 3
    seed = 1
    [[check.model]]
    path = "digits"
    seed = 2
    feed_rows = true
    inputs = ["x=../in.npy", "other.npy"]
    """
    ((name, _),) = found = targets(project, text, settings={"samples": 7})
    case = found[name, "nrf52dk"].case
    assert name == "digits --execution overlap --feed-rows --stack-bytes 2048"
    assert (case.options.execution, case.options.feed_rows, case.options.stack_bytes) == ("overlap", True, 2048)
    assert (case.samples, case.seed, case.toolchain) == (7, 2, "zig")
    assert [Path(each.rpartition("=")[2]) for each in case.inputs] == [Path("../../in.npy"), Path("../other.npy")]


def test_a_pattern_leaves_out_what_has_an_entry_of_its_own(project: Path) -> None:
    found = targets(
        project,
        """
        check.boards = ["nrf52dk"]
        [[check.model]]
        path = "models/*.tflite"
        [[check.model]]
        path = "models/b.tflite"
        io = "int8"
        [[check.model]]
        path = "models/b.tflite"
        """,
    )
    assert [model for model, _ in found] == ["models/a.tflite", "models/b.tflite --io int8", "models/b.tflite"]


def test_the_command_line_limits_the_check(project: Path) -> None:
    text = """
    board = "nrf52dk"
    [[check.model]]
    path = "models/*.tflite"
    [check.model.budget]
    arena = 7
    """
    found = targets(project, text, models=("../models/b.tflite", "../other/c.tflite"), boards=("stm32f746",))
    assert list(found) == [("models/b.tflite", "stm32f746g_disco"), ("other/c.tflite", "stm32f746g_disco")]
    assert found["models/b.tflite", "stm32f746g_disco"].limits.budgets["arena"].limit == 7
    assert not found["other/c.tflite", "stm32f746g_disco"].limits.budgets


def test_without_a_configuration() -> None:
    (found,) = resolve(None, Chosen(models=("digits", "digits"), boards=("stm32f746",)))
    assert (found.model, found.board, found.case.depth) == ("digits", "stm32f746g_disco", "run")


def test_a_board_of_ones_own_is_found_beside_the_configuration(project: Path) -> None:
    from tinydeploy.resources import boards_dir

    text = (boards_dir() / "nrf52dk.toml").read_text().replace('id = "nrf52dk"', 'id = "mine"')
    (project / "mine.toml").write_text(text)
    found = targets(
        project,
        """
        [check]
        boards = ["./mine.toml"]
        [check.board."./mine.toml".budget]
        arena = 3
        [[check.model]]
        path = "digits"
        """,
    )
    target = found["digits", "mine"]
    assert Path(target.case.board) == Path("../mine.toml")
    assert target.limits.budgets["arena"].limit == 3


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "there is nothing to check"),
        ("[[check.model]]\npath = 'digits'", "no board is named"),
        (
            "board = 'nrf52dk'\n[[check.model]]\npath = 'digit'",
            "tinydeploy.toml:2: there is no file and no shipped model",
        ),
        ("board = 'nrf52dk'\n[[check.model]]\npath = 'x*.tflite'", "tinydeploy.toml:2: no file matches x*.tflite"),
        ("board = 'nrf52dk'\n[[check.model]]\npath = '/x*'", "tinydeploy.toml:2: the pattern cannot be used"),
        ("board = 'nrf52'\n[[check.model]]\npath = 'digits'", "no board called `nrf52`"),
        ("board = 'nrf52dk'\n[check.board.nrf.budget]\n[[check.model]]\npath = 'digits'", "no board called `nrf`"),
        ("board = 'nrf52dk'" + "\n[[check.model]]\npath = 'digits'" * 2, ":4: digits on nrf52dk is there already"),
        ("[check]\nboards = ['nrf52']\n[[check.model]]\npath = 'digits'", "toml:2: there is no board called `nrf52`"),
        (
            "board = 'nrf52dk'\n[check.board.nrf.budget]\n[[check.model]]\npath = 'digits'",
            "toml:2: there is no board called `nrf`",
        ),
        (
            "board = 'nrf52dk'\n[check.board.stm32f746.budget]\narena = 1\n[[check.model]]\npath = 'digits'",
            "toml:2: these limits hold nothing: no model of them is checked on stm32f746",
        ),
        (
            (
                "check.boards = ['nrf52dk', 'stm32f746']\n[[check.model]]\npath = 'digits'\nboards = ['nrf52dk']\n"
                "[check.model.board.stm32f746.budget]\narena = 1\n[[check.model]]\npath = 'kws'"
            ),
            "toml:5: these limits hold nothing: no model of them is checked on stm32f746",
        ),
        (
            (
                "board = 'stm32f746'\n[check.board.stm32f746.budget]\narena = 1\n"
                "[check.board.stm32f746g_disco.budget]\narena = 9\n[[check.model]]\npath = 'digits'"
            ),
            "toml:4: stm32f746g_disco and stm32f746 are the same board",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(project: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        targets(project, text)
    assert words in caught.value.message


def test_limits_of_boards_that_are_left_out_today_are_no_mistake(project: Path) -> None:
    text = """
        [check]
        boards = ["stm32f746", "nrf52dk"]
        [check.board.stm32f746.budget]
        arena = 1
        [[check.model]]
        path = "digits"
        [check.model.board.stm32f746.budget]
        flash = 1
        """
    assert list(targets(project, text, boards=("nrf52dk",))) == [("digits", "nrf52dk")]
    assert list(targets(project, text, models=("kws",), boards=("nrf52dk",))) == [("kws", "nrf52dk")]


def test_a_model_named_twice_on_the_command_line_is_one(project: Path) -> None:
    text = "board = 'nrf52dk'"
    found = targets(project, text, models=("../models/a.tflite", "./../src/../models/a.tflite", "digits", "digits"))
    assert list(found) == [("models/a.tflite", "nrf52dk"), ("digits", "nrf52dk")]


def test_options_of_the_command_line_that_make_two_cases_one(project: Path) -> None:
    text = "board = 'nrf52dk'\n[[check.model]]\npath = 'digits'\n[[check.model]]\npath = 'digits'\nio = 'int8'"
    assert len(targets(project, text, models=("digits",))) == 2
    with pytest.raises(UsageError, match="digits --io int8 on nrf52dk is there already"):
        targets(project, text, models=("digits",), settings={"io": "int8"})


def test_two_boards_of_one_id(project: Path) -> None:
    shipped = (boards_dir() / "nrf52dk.toml").read_text()
    (project / "same.toml").write_text(shipped)
    (project / "other.toml").write_text(shipped.replace("65_536", "32_768"))
    text = "[check]\nboards = ['nrf52dk', './{}.toml']\n[[check.model]]\npath = 'digits'"
    assert len(targets(project, text.format("same"))) == 1
    with pytest.raises(UsageError, match="different boards with one `id`, nrf52dk"):
        targets(project, text.format("other"))


def test_names_that_a_baseline_could_not_hold(project: Path) -> None:
    for name in (b"format", b"\xff\xe4.tflite"):
        (project / os.fsdecode(name)).write_bytes(b"")
    text = "board = 'nrf52dk'\n[[check.model]]\npath = 'format'\n[[check.model]]\npath = '*.tflite'"
    found = targets(project, text)
    assert list(found) == [("./format", "nrf52dk"), ("\\xff\\xe4.tflite", "nrf52dk")]
    lock = project / "tinydeploy.lock"
    write_baseline(lock, dict.fromkeys(found, Entry("abc", "0.1.0")))
    assert set(read_baseline(lock)) == set(found)
