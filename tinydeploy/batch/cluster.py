"""`run_on_cluster`: many cases on the workers of a Dask cluster, which need tinydeploy but none of the files.

Each worker thread keeps a process of its own that measures, as on one machine, so that a case that crashes or takes too
long costs the cluster nothing. A worker that is lost loses nothing either: the scheduler gives what it had to others.
A model is sent once, as the result of a task that is done again where that is lost.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from tinydeploy.batch.cache import Memory
from tinydeploy.batch.identity import identity
from tinydeploy.batch.key import key_of, versions_for
from tinydeploy.batch.material import Material, Shelf
from tinydeploy.batch.measure import refused
from tinydeploy.batch.pool import Progress
from tinydeploy.batch.types import Case, Outcome
from tinydeploy.batch.worker import Worker
from tinydeploy.errors import MissingToolError, TinydeployError, UsageError
from tinydeploy.operators.base import printable

_CONNECT_SECONDS = 20.0
_LOOK_SECONDS = 2.0  # how often the cluster is looked at
_ALONE_SECONDS = 120.0  # that it may be without workers
_AHEAD = 4  # cases that wait at a worker for each of its threads
_AGAIN = "run the same command again once it is back: what is done is not done again"
_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):\d{1,5}/?")
_LIKE = "such as tcp://192.168.0.7:8786, as `dask scheduler` says when it starts"
_SAME = "install the same tinydeploy, with the same tools, on all workers as here"

# --- the client's side ------------------------------------------------------------------------------------------------


def run_on_cluster(
    cases: Sequence[Case],
    address: str,
    *,
    cache: Memory | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Measure all cases on the cluster whose scheduler is at `address`; the rest is as in `run_cases`.

    Raises `MissingToolError` without Dask here or without tinydeploy there, and `UsageError` when nothing answers, when
    workers have another tinydeploy or other tools than each other, and when the cluster is lost on the way.
    """
    try:
        import distributed
    except ImportError as missing:
        raise MissingToolError(
            "--dask needs the package distributed, which is not installed", hint="pip install 'tinydeploy[sweep]'"
        ) from missing
    client = _connect(distributed, address)
    run = _Run(client, address, cases, cache)
    try:
        yield from run.outcomes(on_progress)
    finally:
        run.end()


def _connect(distributed: Any, address: str) -> Any:
    """A client of the scheduler there. Raises `UsageError`: a thread waits, since who accepts connections and then says
    nothing keeps Dask waiting for longer than its time-out."""
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"'{printable(address, 200)}' is no address of a Dask scheduler", hint=_LIKE)
    if address.startswith(("tls:", "wss:")) and not distributed.Security().get_connection_args("client")["ssl_context"]:
        raise UsageError(f"{address} needs certificates", hint="Dask's configuration names them: distributed.comm.tls")
    came: SimpleQueue[Any] = SimpleQueue()

    def connect() -> None:
        try:
            came.put(distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False))
        except Exception as error:  # whatever its transports raise
            came.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        found = came.get(timeout=_CONNECT_SECONDS * 1.25)
    except Empty:
        found = TimeoutError("something is there, but it does not speak as a scheduler does")
    if isinstance(found, Exception):
        raise UsageError(f"no Dask scheduler answers at {address}", hint=str(found) or None) from found
    return found


class _Run:
    """Keeps the workers busy, and sees that each case comes to exactly one outcome."""

    def __init__(self, client: Any, address: str, cases: Sequence[Case], cache: Memory | None) -> None:
        self._client = client
        self._address = address
        self._cases = cases
        self._cache = cache
        self._name = f"tinydeploy-{uuid4().hex[:12]}"
        self._shelf = Shelf()
        self._versions: dict[Case, Mapping[str, str]] = {}
        self._sent: tuple[str, Any] = ("", None)  # the latest model's hash, and its bytes on the cluster
        self._out: dict[int, tuple[Any, str]] = {}  # future and key, by position
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._threads = 0
        self._looked = 0.0

    def outcomes(self, on_progress: Callable[[Progress], None]) -> Generator[tuple[int, Outcome], None, None]:
        total, done, failed, begun = len(self._cases), 0, 0, 0
        while done < total:
            self._look()
            came: list[tuple[int, Outcome | None]] = []
            while begun < total and len(self._out) < self._threads * _AHEAD:
                came.append((begun, self._begin(begun)))
                begun += 1
            on_progress(Progress(total, done, failed, tuple(self._cases[position] for position in self._out)))
            with contextlib.suppress(Empty):
                position = self._ended.get(timeout=_LOOK_SECONDS / 4)
                came.append((position, self._end(position)))
            for position, outcome in came:
                if outcome is not None:
                    done += 1
                    failed += outcome.status != "ok"
                    yield position, outcome
        on_progress(Progress(total, done, failed))

    def end(self) -> None:
        """Leave nothing running on the cluster, if it is still there, and wait not long for that."""

        def leave() -> None:
            with contextlib.suppress(Exception):  # whatever has become of the cluster
                self._client.run(end_here, self._name)

        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(_LOOK_SECONDS)
        with contextlib.suppress(Exception):
            self._client.close(timeout=_LOOK_SECONDS)

    def _begin(self, position: int) -> Outcome | None:
        """Send a case off; or its outcome, where that is known, or it cannot be sent."""
        case = self._cases[position]
        try:
            material = self._shelf.material(case)
        except TinydeployError as error:
            return refused(case, error)
        key = key_of(case, material, self._versions_for(case))
        found = self._cache.find(key, case) if self._cache is not None else None
        if found is not None:
            return found
        bare = replace(material, data=None)
        future = self._client.submit(
            measure_here, self._name, case, bare, self._data(material), key=f"{self._name}-{uuid4().hex}", pure=False
        )
        self._out[position] = (future, key)
        future.add_done_callback(lambda _: self._ended.put(position))
        return None

    def _data(self, material: Material) -> Any:
        """The bytes of the model on the cluster: a task, since the scheduler can do a task again."""
        digest = material.data_sha256
        if material.data is not None and self._sent[0] != digest:
            self._sent = (digest, self._client.submit(bytes, material.data, key=f"{self._name}-model-{digest}"))
        return self._sent[1] if material.data is not None else None

    def _end(self, position: int) -> Outcome | None:
        """What came of a case; None where it was lost and is sent off once more."""
        from distributed import KilledWorker

        case = self._cases[position]
        future, key = self._out.pop(position)
        if future.status in ("cancelled", "lost"):
            self._look(at_once=True)
            return self._begin(position)
        try:
            outcome: Outcome = future.result()
        except KilledWorker:
            return Outcome(case, "crashed", "one worker of the cluster after the other was lost with this case")
        except (OSError, CancelledError):
            if future.status == "error":  # it is the task's own
                raise
            self._look(at_once=True)  # the way to the outcome was lost: with the scheduler, or not
            return self._begin(position)
        if outcome.key not in ("", key):
            raise UsageError(f"the workers of {self._address} are not all of the same kind", hint=_SAME)
        if self._cache is not None:
            self._cache.store(outcome)
        return outcome

    # --- what the workers are -----------------------------------------------------------------------------------------

    def _look(self, *, at_once: bool = False) -> None:
        """Count the workers' threads, every now and then; wait for a cluster that has none to get some.

        Raises `UsageError` when that takes too long, or when the scheduler has gone.
        """
        if self._threads and not at_once and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        patience = time.monotonic() + _ALONE_SECONDS
        while True:
            try:
                self._threads = sum(self._client.nthreads().values())
            except (OSError, RuntimeError, TimeoutError) as error:
                raise UsageError(f"the Dask scheduler at {self._address} has gone", hint=_AGAIN) from error
            self._looked = time.monotonic()
            if self._threads:
                return
            if self._looked > patience:
                raise UsageError(f"the Dask cluster at {self._address} has no workers", hint=_AGAIN)
            time.sleep(_LOOK_SECONDS / 4)

    def _versions_for(self, case: Case) -> Mapping[str, str]:
        """What cases of this kind go by: the same on all workers. Raises `UsageError`, `MissingToolError`."""
        kind = replace(case, model="", board="", seed=0, samples=1, timeout_seconds=None)
        if kind not in self._versions:
            answers = self._client.run(versions_for, kind, on_error="return")
            for worker, versions in answers.items():
                self._check(worker, versions, next(iter(answers.values())))
            self._versions[kind] = next(iter(answers.values()))
        return self._versions[kind]

    def _check(self, worker: str, versions: Any, first: Mapping[str, str]) -> None:
        if isinstance(versions, ModuleNotFoundError):
            raise MissingToolError(f"the Dask worker {worker} lacks {versions.name or versions}", hint=_SAME)
        if isinstance(versions, BaseException):
            raise UsageError(f"the Dask worker {worker} does not work: {versions!r}", hint=_SAME)
        for name, wanted in {**first, "tinydeploy": identity()}.items():
            if versions[name] != wanted:
                there = f"{name} {versions[name] or '(none)'}, not {wanted or 'none'}"
                raise UsageError(f"the Dask worker {worker} has {there}", hint=_SAME)


# --- the workers' side ------------------------------------------------------------------------------------------------

_here: dict[tuple[str, int], tuple[Worker, Path]] = {}  # by run and thread
_over: set[str] = set()  # runs whose last tasks may still be waiting
_lock = threading.Lock()


def measure_here(run: str, case: Case, material: Material, data: bytes | None) -> Outcome:
    """What a case comes to, on a worker of the cluster."""
    place = (run, threading.get_ident())
    with _lock:
        if run in _over:
            return Outcome(case, "crashed", "the run is over")
        if place not in _here:
            folder = Path(tempfile.mkdtemp(prefix="tinydeploy-"))
            _here[place] = (Worker(folder), folder)
        worker = _here[place][0]
    return worker.answer(case, replace(material, data=data))


def end_here(run: str) -> None:
    """End what a run has left on a worker of the cluster."""
    with _lock:
        _over.add(run)
        left = [_here.pop(place) for place in list(_here) if place[0] == run]
    for worker, folder in left:
        worker.end()
        shutil.rmtree(folder, ignore_errors=True)
