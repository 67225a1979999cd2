"""Batches in processes of their own: some cases are ill, and the others never notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.support.ill_measure import ILL_START
from tinydeploy.batch import Case, Outcome, Progress, run_cases, worker

ROOT = Path(__file__).resolve().parents[2]
BOARD = "stm32f746"


@pytest.fixture(autouse=True)
def _ill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker, "START", ILL_START)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


def make(folder: Path, *kinds: str, timeout: float | None = None) -> list[Case]:
    """A case for each kind, with a file of its own that says which it is."""
    cases = []
    for number, kind in enumerate(kinds):
        path = folder / f"{kind}-{number}.tflite"
        path.write_text(path.name)
        cases.append(Case(str(path), BOARD, timeout_seconds=timeout))
    return cases


def by_position(cases: list[Case], jobs: int = 2) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}
    with closing(run_cases(cases, jobs=jobs)) as outcomes:
        for position, outcome in outcomes:
            assert position not in found
            assert outcome.case == cases[position]
            found[position] = outcome
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE for p in pids)


def pids_of(case: Case) -> list[int]:
    path = Path(case.model).with_suffix(".pids")
    assert wait_for(path.exists)
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_process_that_dies_takes_only_its_case_along(tmp_path: Path, jobs: int) -> None:
    cases = make(tmp_path, "ok", "segv", "ok", "exit", "ok", "memory", "ok", "litter", "ok")
    found = by_position(cases, jobs)
    assert {p: o.message for p, o in found.items() if o.status == "ok"} == {
        p: f"{kind}-{p}.tflite" for p, kind in ((0, "ok"), (2, "ok"), (4, "ok"), (6, "ok"), (7, "litter"), (8, "ok"))
    }
    assert {p: (o.status, o.message) for p, o in found.items() if o.status != "ok"} == {
        1: ("crashed", "the worker process was ended by SIGSEGV"),
        3: ("crashed", "the worker process ended with code 3: last words"),
        5: ("crashed", "the worker process was ended by SIGKILL"),
    }
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_case_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    cases = make(tmp_path, "hang", "ok", "ok", timeout=2.0)
    found = by_position(cases, jobs=1)
    assert [found[p].status for p in range(3)] == ["timed-out", "ok", "ok"]
    assert found[0].message == "no end after 2 s"
    assert found[0].seconds >= 2.0
    assert wait_for(lambda: gone(pids_of(cases[0])), 5)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_file_that_is_missing_is_an_outcome(tmp_path: Path) -> None:
    cases = [Case(str(tmp_path / "none.tflite"), BOARD), *make(tmp_path, "ok"), Case("digits", "no-such-board")]
    found = by_position(cases)
    assert [found[p].status for p in range(3)] == ["refused", "ok", "refused"]
    assert "no such file" in found[0].message


def test_progress_counts_and_names_what_runs(tmp_path: Path) -> None:
    cases = make(tmp_path, "slow", "segv", "slow", "slow")
    told: list[Progress] = []
    with closing(run_cases(cases, jobs=2, on_progress=told.append)) as outcomes:
        assert len(list(outcomes)) == 4
    assert told[0] == Progress(total=4)
    assert told[-1] == Progress(total=4, done=4, failed=1)
    assert max(len(p.running) for p in told) == 2
    assert {case for p in told for case in p.running} == set(cases)
    assert [p.done for p in told] == sorted(p.done for p in told)


def test_closing_early_ends_everything(tmp_path: Path) -> None:
    cases = make(tmp_path, "ok", "hang", "ok")
    with closing(run_cases(cases, jobs=1)) as outcomes:
        assert next(outcomes)[0] == 0
        # the next one is begun by itself
        pids = pids_of(cases[1])
        assert not gone(pids)
    assert wait_for(lambda: gone(pids), 5)
    assert list((tmp_path / "temporary").iterdir()) == []


# --- signals ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys, tempfile
from contextlib import closing
from tests.support.ill_measure import ILL_START
from tinydeploy.batch import Case, run_cases, worker
from tinydeploy.cli.batch_progress import watching
from tinydeploy.cli import main

worker.START = ILL_START

def work(*args, **kwargs):
    cases = [Case(model, "stm32f746") for model in sys.argv[1:]]
    with watching() as show, closing(run_cases(cases, jobs=2, on_progress=show)) as outcomes:
        for position, outcome in outcomes:
            print(position, outcome.status, flush=True)

main.cli.main = work
sys.exit(main.run([]))
"""


def start(tmp_path: Path, cases: list[Case]) -> subprocess.Popen[str]:
    places = {name: str(tmp_path / "temporary") for name in ("TMPDIR", "TEMP", "TMP")}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *(case.model for case in cases)],
        env={**os.environ, **places, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX cannot be installed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    cases = make(tmp_path, "ok", "hang", "hang")
    program = start(tmp_path, cases)
    try:
        pids = [*pids_of(cases[1]), *pids_of(cases[2])]
        began = time.monotonic()
        program.send_signal(number)
        program.send_signal(signal.SIGINT)  # people press it twice
        out, err = program.communicate(timeout=30)
        assert time.monotonic() - began < 10
    finally:
        program.kill()
    assert program.returncode in (128 + number, 130)  # both can be there before Python looks
    assert (out, err) == ("0 ok\n", "interrupted\n")
    assert wait_for(lambda: gone(pids), 5)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX cannot be installed")
def test_workers_do_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    cases = make(tmp_path, "hang", "hang")
    program = start(tmp_path, cases)
    try:
        pids = [*pids_of(cases[0]), *pids_of(cases[1])]
    finally:
        program.kill()
        program.communicate()
    assert wait_for(lambda: gone(pids), 10)
    left = [path for path in (tmp_path / "temporary").rglob("*") if path.parent.parent != tmp_path]
    assert left == []  # but for the empty folder of the command itself
