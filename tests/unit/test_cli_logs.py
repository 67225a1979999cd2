"""-q, -v and --log-file: what goes to standard error, what into the file, and nothing of it to standard output."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy.cli import common, logs

Run = Callable[..., "tuple[int, str, str]"]


PLAN = ("plan", "digits", "--board", "stm32f746")


def test_v_tells_stages_and_vv_what_they_did_on_standard_error_only(run: Run) -> None:
    silent, once, twice = run(*PLAN), run(*PLAN, "-v"), run(*PLAN, "-vv")
    assert silent[0] == once[0] == twice[0] == 0
    assert silent[1] == once[1] == twice[1]
    assert silent[2] == ""
    assert "planning took" in once[2]
    assert "lower bound" not in once[2]
    assert "lower bound" in twice[2]


def test_the_group_takes_them_too_and_the_last_word_counts(run: Run) -> None:
    assert "planning took" in run("-v", *PLAN)[2]
    assert run("-v", *PLAN, "-q")[2] == ""
    assert "planning took" in run("-q", *PLAN, "-v")[2]


def test_q_shows_no_progress_but_errors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "_SLOW_SECONDS", 0.0)
    monkeypatch.setattr("tinydeploy.pipeline.planning.make_plan", _slowly)
    with_progress, without = run(*PLAN), run(*PLAN, "-q")
    assert "planning …" in with_progress[2]
    assert without[2] == ""
    assert without[1] == with_progress[1]
    assert run("plan", "digits", "--board", "stm32f747", "-q")[2].startswith("error: there is no board")


def _slowly(*args: object, **kwargs: object) -> object:
    import time

    from tinydeploy.plan import make_plan

    time.sleep(0.1)
    return make_plan(*args, **kwargs)  # type: ignore[arg-type]


def test_the_log_file_has_the_command_the_stages_and_the_error_and_grows(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    assert run(*PLAN, "--log-file", str(file))[2] == ""
    first = file.read_text("utf-8")
    assert "plan digits --board stm32f746 --log-file" in first.splitlines()[0]
    assert "planning took" in first
    assert "ended after" in first.splitlines()[-1]
    assert run("plan", "digits", "--board", "none", "-q", "--log-file", str(file))[0] == 2
    both = file.read_text("utf-8")
    assert both.startswith(first)
    assert "error: there is no board" in both[len(first) :]
    assert run(*PLAN)[0] == 0  # the handlers of the runs before are gone
    assert file.read_text("utf-8") == both


def test_a_bug_leaves_its_traceback_in_the_log_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError("surprise")

    monkeypatch.setattr("tinydeploy.pipeline.planning.make_plan", fail)
    file = tmp_path / "log.txt"
    assert run(*PLAN, "--log-file", str(file))[0] == 70
    assert "ValueError: surprise" in file.read_text("utf-8")
    assert "Traceback" in file.read_text("utf-8")


def test_a_log_file_that_cannot_be_written_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    code, out, err = run(*PLAN, "--log-file", str(tmp_path))
    assert (code, out) == (2, "")
    assert "cannot write to" in err


def test_what_is_logged_steers_no_terminal(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    assert run("plan", "kws\x1b[31m.tflite", "--board", "stm32f746", "--log-file", str(file))[0] == 2
    assert "\x1b" not in file.read_text("utf-8")
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\x1b[2Jb\nc", None, None)
    assert logs._Plain("%(message)s").format(record) == "a\\x1b[2Jb\n    c"
