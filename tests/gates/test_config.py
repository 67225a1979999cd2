"""The configuration file: what it says, and how each mistake in it is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tinydeploy.batch import Case
from tinydeploy.cli.common import PLANNING
from tinydeploy.config import BUDGETS, GROWTHS, PLAN_KEYS, Config, find_config, load_config, parse_budget, parse_growth
from tinydeploy.errors import UsageError
from tinydeploy.pipeline import PlanOptions
from tinydeploy.toml_files import line_of

EXAMPLE = """\
emulator = "unicorn"
stack_bytes = "2 KiB"

[check]
boards = ["stm32f746", "stm32l4r5"]
depth = "build"
baseline = "ci/base.lock"

[check.budget]
arena = "64 KiB"
matches_reference = true

[check.growth]
arena = "0"
instructions = "1.5%"
latency = "200 us"

[check.board.stm32l4r5.budget]
latency = "120 ms"

[[check.model]]
path = "kws"

[[check.model]]
path = "models/*.tflite"  # all of them
io = "int8"
inputs = ["audio=a.npy"]
[check.model.budget]
arena = 100_000
[check.model.board.stm32f746.growth]
arena = "any"
"""


def load(folder: Path, text: str, name: str = "tinydeploy.toml") -> Config:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def test_an_example(tmp_path: Path) -> None:
    config = load(tmp_path, EXAMPLE)
    assert config.defaults == {"emulator": "unicorn", "stack_bytes": 2048}
    assert config.baseline == tmp_path / "ci" / "base.lock"
    assert config.check.settings == {"boards": ("stm32f746", "stm32l4r5"), "depth": "build"}
    limits = config.check.limits
    assert {name: budget.limit for name, budget in limits.budgets.items()} == {
        "arena": 65536,
        "matches_reference": True,
    }
    assert (limits.growths["arena"].amount, limits.growths["arena"].percent) == (0, None)
    assert limits.growths["instructions"].percent == Decimal("1.5")
    assert limits.growths["latency"].amount == 0.2
    assert config.check.by_board["stm32l4r5"].budgets["latency"].limit == 120.0
    kws, others = config.models
    assert (kws.path, others.path) == ("kws", "models/*.tflite")
    assert others.rules.settings == {"io": "int8", "inputs": ("audio=a.npy",)}
    assert others.rules.limits.budgets["arena"].limit == 100_000
    assert not others.rules.by_board["stm32f746"].growths["arena"].limited
    # where a budget is written is what annotations point at
    assert limits.budgets["arena"].place.line == 10
    assert others.rules.limits.budgets["arena"].place.line == 29
    assert kws.place.line == 21


def test_pyproject_has_the_same_keys(tmp_path: Path) -> None:
    text = EXAMPLE.replace("[check", "[tool.tinydeploy.check").replace("[[check", "[[tool.tinydeploy.check")
    text = "[project]\nname = 'x'\n[tool.tinydeploy]\n" + text.replace("[[check", "[[tool.tinydeploy.check")
    own = load(tmp_path, EXAMPLE)
    shared = load(tmp_path, text, "pyproject.toml")
    assert shared.defaults == own.defaults
    assert shared.check.settings == own.check.settings
    assert [entry.path for entry in shared.models] == [entry.path for entry in own.models]
    assert shared.check.limits.budgets["arena"].place.line == 13


@pytest.mark.parametrize(
    "text, line, words, hint",
    [
        ("[chekc]", 1, "chekc: unknown key", "did you mean `check`?"),
        ("emulator = 'qemu'", 1, 'emulator: must be "unicorn" or "renode"', ""),
        ("\n\njobs = 0", 3, "jobs: must be a whole number from 1 to 2147483647", ""),
        ("jobs = true", 1, "jobs: must be a whole number", ""),
        ("[check]\nboards = 'stm32f746'", 2, "check.boards: must be a list of strings", ""),
        ("[check]\nboards = ['a', 3]", 2, "check.boards: must be a list of strings", ""),
        ("[check.budget]\narene = 1", 2, "check.budget.arene: unknown key", "did you mean `arena`?"),
        ("[check.budget]\narena = '64 KB'", 2, "check.budget.arena:", "KiB"),
        ("[check.budget]\narena = 1.5", 2, "check.budget.arena: must be", ""),
        ("[check.budget]\nlatency = 30", 2, "check.budget.latency:", "30 ms"),
        ("[check.budget]\ntimeout = 0", 2, "check.budget.timeout: must be a number of seconds", ""),
        ("[check.budget]\nmatches_reference = 'yes'", 2, "matches_reference: must be true or false", ""),
        ("[check.budget]\nmatches_reference = []", 2, "matches_reference: must be true or false", ""),
        ("[check.budget]\narena = true", 2, "check.budget.arena: must be a size, such as 65536", ""),
        ("[check.budget]\narena = 0x" + "f" * 9999, 2, "check.budget.arena: must be a size, such as 65536", ""),
        ("[check.budget]\ncycles = 1.5", 2, "check.budget.cycles: must be a whole number", ""),
        ("[check.growth]\nlatency = 1.5", 2, 'check.growth.latency: must be a time, such as "30 ms"', '"2%"'),
        ("[check.budget]\ntimeout = '2 s'", 2, "check.budget.timeout: must be a number of seconds", ""),
        ("\n[[check.models]]", 2, "check.models: unknown key", "did you mean `model`?"),
        ("jobs = 1\n[tool.tinydeploy]", 2, "tool: unknown key", ""),
        ("[check.budget]\narena = '2%'", 2, "check.budget.arena:", ""),
        ("[check.growth]\nmatches_reference = 'any'", 2, "matches_reference: unknown key", ""),
        ("[check.growth]\ninstructions = '-1%'", 2, "check.growth.instructions:", '"2%"'),
        ("[check.board.x]\nbudgets = 1", 2, "check.board.x.budgets: unknown key", "did you mean `budget`?"),
        ("[check.board]\nx = 1", 2, "check.board.x: must be a table", ""),
        ("[check.model]\npath = 'a'", 1, "check.model: must be written as [[check.model]]", ""),
        ("[[check.model]]\nio = 'int8'", 1, "check.model[0]: has no `path`", ""),
        ("[[check.model]]\npath = 'a'\n\n[[check.model]]\npath = 'b'\nfeed_row = 1", 6,
         "check.model[1].feed_row: unknown key",
         "did you mean `feed_rows`?"),
        ("check = { budget = { arena = 'x' } }", 1, "check.budget.arena:", ""),
        ("[check]\ndepth = 'deep'", 2, 'check.depth: must be "plan" or "build" or "run"', ""),
        ("'\\u001b[31m' = 1", 1, "unknown key", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path / 'tinydeploy.toml'}:{line}: ")
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    "data, words",
    [
        (b"a = ", "is not valid TOML"),
        (b"a = \xff", "is not UTF-8 text (byte 4)"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"jobs = 1\n<<<<<<< HEAD\njobs = 2\n", ":2: holds the marks of a merge conflict"),
        (b"#" * (5 << 20), "is larger than 4 MiB"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "tinydeploy.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="tinydeploy") as caught:
        load_config(path)
    assert words in caught.value.message


def test_files_of_windows(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf# caf\xc3\xa9\r\n[check.budget]\r\narena = '64K'\r\n"
    (tmp_path / "tinydeploy.toml").write_bytes(text)
    budget = load_config(tmp_path / "tinydeploy.toml").check.limits.budgets["arena"]
    assert (budget.limit, budget.place.line) == (65536, 3)


def test_the_nearest_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "project" / "src" / "deep"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    (tmp_path / "project" / ".git").mkdir()
    (tmp_path / "tinydeploy.toml").write_text("jobs = 1")
    assert find_config(Path()) is None  # it is somebody else's: above the repository
    (tmp_path / "project" / "pyproject.toml").write_text("[tool.tinydeploy]\njobs = 2")
    found = find_config(Path())
    assert found is not None
    assert (found.defaults, found.file) == ({"jobs": 2}, Path("../../pyproject.toml"))
    (tmp_path / "project" / "tinydeploy.toml").write_text("jobs = 3")
    assert getattr(find_config(Path()), "defaults", None) == {"jobs": 3}
    for text in (
        "[project]\nname = 'no configuration of ours'",
        "[project]\ndependencies = ['tinydeploy']\n[tool.other]\ncommands = '[tool.tinydeploy]'",
    ):
        (tmp_path / "project" / "src" / "pyproject.toml").write_text(text)
        assert getattr(find_config(Path()), "defaults", None) == {"jobs": 3}
    for text in ("tool.tinydeploy.jobs = 4", "[ tool . 'tinydeploy' ]\njobs = 4", "[tool]\ntinydeploy = {jobs = 4}"):
        (tmp_path / "project" / "src" / "pyproject.toml").write_text(text)
        assert getattr(find_config(Path()), "defaults", None) == {"jobs": 4}


def test_every_option_of_a_plan_is_a_key(tmp_path: Path) -> None:
    assert set(PLAN_KEYS) == set(get_type_hints(PlanOptions)) == set(PLANNING)


@pytest.mark.parametrize("key", ["execution", "io", "solver", "effort"])
def test_choices_of_the_plan_are_those_of_the_pipeline(tmp_path: Path, key: str) -> None:
    for value in get_args(get_type_hints(PlanOptions)[key]):
        assert load(tmp_path, f'{key} = "{value}"').defaults == {key: value}


def test_depths_are_those_of_a_case(tmp_path: Path) -> None:
    for value in get_args(get_type_hints(Case)["depth"]):
        assert load(tmp_path, f'[check]\ndepth = "{value}"').check.settings == {"depth": value}


@pytest.mark.parametrize(
    "name, value, limit",
    [
        ("arena", "64K", 65536),
        ("arena", 7, 7),
        ("instructions", "7.5M", 7_500_000),
        ("latency", "1.5 s", 1500.0),
        ("timeout", "90", 90.0),
        ("timeout", 2.5, 2.5),
        ("flash", "any", None),
        ("no_slow_kernels", "true", True),
        ("no_slow_kernels", False, False),
    ],
)
def test_budgets(name: str, value: Any, limit: Any) -> None:
    assert parse_budget(name, value).limit == limit


def test_names_that_are_unknown() -> None:
    with pytest.raises(UsageError, match="no budget `instuctions`") as caught:
        parse_budget("instuctions", "1")
    assert "did you mean `instructions`?" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no growth of `timeout`"):
        parse_growth("timeout", "1")
    assert set(GROWTHS) < set(BUDGETS)


def test_lines_are_found_in_arrays_and_dotted_keys() -> None:
    text = '[a]\nb.c = 1\n[[m]]\nx = 1\n[m.sub]\ny = 2\n[[m]]\nx = 2\n[m.sub]\n"y" = 3\n'
    assert line_of(text, ("a", "b", "c")) == 2
    assert line_of(text, ("m", 0, "sub", "y")) == 6
    assert line_of(text, ("m", 1, "sub", "y")) == 10
    assert line_of(text, ("m", 1, "x")) == 8
    assert line_of(text, ("m", 1, "sub", "z", "deep")) == 9
    assert line_of(text, ("m",)) == 3
    assert line_of(text, ("z",)) is None


def test_lines_of_a_file_that_is_made_to_be_slow() -> None:
    assert line_of("[" + " " * 100_000 + "x\nboard = 1\n", ("board",)) == 2
    assert line_of("[" + "a." * 100_000 + "a]\n" * 2 + "\n[b]\n", ("b",)) == 4
    text = "[[check.model]]\nkeep = 1\n" * 20_000
    assert line_of(text, ("check", "model", 19_999, "keep")) == 40_000
    assert [line_of(text, ("check", "model", n)) for n in range(20_000)] == list(range(1, 40_000, 2))
