"""`sweep --dask` on a cluster of this machine, whose workers and scheduler are killed on the way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.small_networks import write_networks
from tinydeploy.batch import Case, Outcome, measure
from tinydeploy.batch.cluster import _Run
from tinydeploy.batch.rows import row_of
from tinydeploy.batch.tables import _csv_cell
from tinydeploy.errors import UsageError
from tinydeploy.pipeline import PlanOptions

pytest.importorskip("distributed", reason="pip install 'tinydeploy[sweep]'")

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ("stm32f746", "stm32l4r5", "stm32u575", "rp2040")
OPTIONS = PlanOptions(execution="whole", effort="quick")
ARGS = ("--execution", "whole", "--effort", "quick", "--boards", ",".join(BOARDS))


class Cluster:
    """A scheduler and workers, each a process; none of them is started again by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        places = {name: str(folder / "temporary") for name in ("TMPDIR", "TEMP", "TMP")}
        (folder / "temporary").mkdir()
        self.environment = {**os.environ, **places, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
        self.scheduler = self.start("dask_scheduler", "--port", "0")

    @property
    def address(self) -> str:
        """The scheduler's."""
        wait_for(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        return str(json.loads(self.file.read_text())["address"])

    def start(self, module: str, *args: str, root: Path = ROOT) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{module}-{len(self.processes)}.log").open("wb")
        common = ("--scheduler-file", str(self.file), "--no-dashboard", "--host", "127.0.0.1")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *args, *common],
                env={**self.environment, "PYTHONPATH": str(root)},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self, root: Path = ROOT) -> subprocess.Popen[bytes]:
        """One that computes one case at a time."""
        return self.start("dask_worker", "--nthreads", "1", "--no-nanny", root=root)

    def sweep(self, *args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tinydeploy", "sweep", *ARGS, *map(str, args)],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_is_lost_when_a_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """500 models on 4 boards, planned by three workers, of which one is killed on the way."""
    models = write_networks(tmp_path / "nets", 500)
    out, journal = tmp_path / "t.csv", tmp_path / "t.csv.journal"
    workers = [cluster.worker() for _ in range(3)]
    program = cluster.sweep(tmp_path / "nets", "-o", out, "--dask", cluster.address, "--format", "json")
    try:
        wait_for(lambda: lines_of(journal) > 300 or program.poll() is not None)
        workers[1].kill()
        assert 300 < lines_of(journal) < 1700
        text, err = program.communicate(timeout=600)
    finally:
        program.kill()
    assert program.returncode == 0, err
    assert json.loads(text)["known"] == 0
    table = read(out)
    assert [(row["model"], row["board"]) for row in table] == [(str(m), b) for m in models for b in BOARDS]
    assert {row["status"] for row in table} <= {"ok", "does-not-fit"}
    assert len({row["key"] for row in table}) == lines_of(journal) - 1 == 2000
    for row in table[::97]:  # all boards, models far apart
        here = row_of(measure(Case(row["model"], row["board"], OPTIONS)))
        expected = {name: str(_csv_cell(cell)) for name, cell in here.items()}
        assert {**expected, "work_seconds": "", "key": ""} == {**row, "work_seconds": "", "key": ""}
    # the one that was killed leaves its folder, but no process and nothing in it
    cluster.scheduler.kill()
    for worker in workers:
        worker.kill()
    wait_for(lambda: not [p for p in (tmp_path / "temporary").glob("tinydeploy-*") if any(p.iterdir())])


def test_a_cluster_that_is_lost_leaves_its_work(cluster: Cluster, tmp_path: Path) -> None:
    write_networks(tmp_path / "nets", 100)
    out, journal = tmp_path / "t.csv", tmp_path / "t.csv.journal"
    cluster.worker()
    args = (tmp_path / "nets", "-o", out, "--format", "json")
    program = cluster.sweep(*args, "--dask", cluster.address)
    try:
        wait_for(lambda: lines_of(journal) > 50 or program.poll() is not None)
        cluster.scheduler.kill()
        text, err = program.communicate(timeout=120)
    finally:
        program.kill()
    assert (program.returncode, text) == (2, ""), err
    assert f"error: the Dask scheduler at {cluster.address} has gone\n" in err
    assert "hint: run the same command again" in err
    assert not out.exists()
    done = lines_of(journal) - 1
    assert 50 <= done < 400
    shutil.rmtree(tmp_path / "cache")
    program = cluster.sweep(*args)  # without the cluster
    text, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert json.loads(text)["known"] == done
    assert len({row["key"] for row in read(out)}) == 400


class _Future:
    """One whose outcome cannot be had the first time: the connection that would bring it has just gone."""

    status = "finished"

    def __init__(self, client: _Client) -> None:
        self._client = client

    def add_done_callback(self, call: Callable[[_Future], None]) -> None:
        call(self)

    def result(self) -> Outcome:
        self._client.asked += 1
        if self._client.asked == 1:
            raise ConnectionResetError("stream is closed")
        return Outcome(self._client.case, "ok")


class _Client:
    """As much of Dask's client as one case needs."""

    def __init__(self, case: Case, *, gone: bool) -> None:
        self.case, self.gone, self.asked = case, gone, 0

    def nthreads(self) -> dict[str, int]:
        if self.gone and self.asked:
            raise OSError("no connection")
        return {"worker": 1}

    def run(self, function: Callable[..., object], *args: object, on_error: str = "raise") -> dict[str, object]:
        return {"worker": function(*args)}

    def submit(self, function: Callable[..., object], *args: object, **options: object) -> _Future:
        return _Future(self)

    def close(self, timeout: float) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("gone", [False, True])
def test_an_outcome_whose_connection_is_lost_is_had_again_unless_the_scheduler_has_gone(gone: bool) -> None:
    case = Case("digits", "stm32f746")
    client = _Client(case, gone=gone)
    run = _Run(client, "tcp://there:1", [case], None)
    if gone:
        with pytest.raises(UsageError, match="has gone"):
            list(run.outcomes(lambda progress: None))
    else:
        assert [(position, outcome.status) for position, outcome in run.outcomes(lambda progress: None)] == [(0, "ok")]
        assert client.asked == 2


def test_a_case_that_takes_too_long_costs_the_cluster_nothing(cluster: Cluster, tmp_path: Path) -> None:
    write_networks(tmp_path / "nets", 1)
    cluster.worker()
    program = cluster.sweep(
        tmp_path / "nets", "-o", tmp_path / "t.csv", "--dask", cluster.address, "--timeout", "0.0001"
    )
    _, err = program.communicate(timeout=120)
    assert program.returncode == 5
    assert "4 of 4 cases have no answer" in err
    program = cluster.sweep(tmp_path / "nets", "-o", tmp_path / "t.csv", "--dask", cluster.address)
    _, err = program.communicate(timeout=120)
    assert program.returncode == 0, err
    assert [row["status"] for row in read(tmp_path / "t.csv")] == ["ok"] * 4


def test_workers_of_another_version_are_told(cluster: Cluster, tmp_path: Path) -> None:
    write_networks(tmp_path / "nets", 1)
    other = tmp_path / "other"
    shutil.copytree(ROOT / "tinydeploy", other / "tinydeploy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("firmware", "boards", "models"):
        (other / name).symlink_to(ROOT / name)
    with (other / "tinydeploy" / "codegen" / "templates" / "model.c.j2").open("a") as template:
        template.write("/* edited */\n")
    cluster.worker(root=other)
    program = cluster.sweep(tmp_path / "nets", "-o", tmp_path / "t.csv", "--dask", cluster.address)
    _, err = program.communicate(timeout=120)
    assert program.returncode == 2
    assert "error: the Dask worker tcp://127.0.0.1:" in err
    assert "has tinydeploy 0." in err


@pytest.fixture(name="mute")
def _mute() -> Iterator[str]:
    """The address of something that accepts connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_no_scheduler(tmp_path: Path, mute: str) -> None:
    impatient = "import tinydeploy.batch.cluster as c, tinydeploy.cli.main as m; c._CONNECT_SECONDS = 0.5; m.main()"
    args = ("digits", "--boards", "rp2040")
    refused = {
        "tcp://127.0.0.1:9": "no Dask scheduler answers at tcp://127.0.0.1:9",
        mute: f"no Dask scheduler answers at {mute}",
        "tls://127.0.0.1:9": "tls://127.0.0.1:9 needs certificates",
        "http://127.0.0.1:8787": "'http://127.0.0.1:8787' is no address of a Dask scheduler",
        "cluster": "'cluster' is no address of a Dask scheduler",
    }
    programs = {
        address: subprocess.Popen(
            [sys.executable, "-c", impatient, "sweep", *args, "-o", str(tmp_path / f"{number}.csv"), "--dask", address],
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, address in enumerate(refused)
    }
    for address, program in programs.items():
        _, err = program.communicate(timeout=120)
        assert program.returncode == 2, err
        assert err.splitlines()[0] == f"error: {refused[address]}"
        assert "Traceback" not in err
