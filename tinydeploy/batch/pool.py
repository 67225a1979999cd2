"""`run_cases`: many cases at once, each in a process of its own. Whatever one of them does, the others go on."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tinydeploy.batch.cache import Memory
from tinydeploy.batch.key import key_of
from tinydeploy.batch.material import Shelf
from tinydeploy.batch.measure import refused
from tinydeploy.batch.types import Case, Outcome
from tinydeploy.batch.worker import Worker
from tinydeploy.errors import TinydeployError

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 0.5  # Python looks for Ctrl-C only now and then while it waits, on Windows not at all


@dataclass(frozen=True)
class Progress:
    """How far a batch is. `failed`: of `done`, those whose status is not `ok`; `running`: what is being worked at."""

    total: int
    done: int = 0
    failed: int = 0
    running: tuple[Case, ...] = ()


def default_jobs() -> int:
    """As many as there are cores for this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_cases(
    cases: Sequence[Case],
    *,
    jobs: int | None = None,
    cache: Memory | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Measure all cases, up to `jobs` of them at once; yield each one's position and outcome as soon as it is known.

    Each case has exactly one outcome: also one that takes longer than its `timeout_seconds`, or whose process dies.
    What the cache knows is not done again. `on_progress` is called in the thread that iterates.

    Closing the iterator (use `contextlib.closing`), or an exception such as `KeyboardInterrupt`, ends all processes
    with all that they have started, and removes their temporary files.
    """
    total = len(cases)
    with tempfile.TemporaryDirectory(prefix="tinydeploy-", ignore_cleanup_errors=True) as folder:
        crew = _Crew(cases, min(jobs or default_jobs(), total), cache, Path(folder))
        running: dict[int, Case] = {}
        done = failed = 0
        try:
            crew.start()
            while done < total:
                on_progress(Progress(total, done, failed, tuple(running.values())))
                position, outcome = crew.next_event()
                if outcome is None:
                    running[position] = cases[position]
                    continue
                running.pop(position, None)
                done += 1
                _tell(outcome)
                failed += outcome.status != "ok"
                yield position, outcome
            on_progress(Progress(total, done, failed))
        finally:
            crew.end()
    if cache is not None:
        cache.prune()


def _tell(outcome: Outcome) -> None:
    told = f"{outcome.status} {outcome.message}".strip()
    known = ", known from before" if outcome.cached else ""
    _log.info("%s on %s: %s (%.2f s%s)", outcome.case.model, outcome.case.board, told, outcome.seconds, known)


class _Crew:
    """Threads, each with a worker process that it waits for. An event is a case's position, with None as it begins."""

    def __init__(self, cases: Sequence[Case], jobs: int, cache: Memory | None, folder: Path) -> None:
        self._cache = cache
        self._shelf = Shelf()
        self._events: SimpleQueue[tuple[int, Outcome | None] | BaseException] = SimpleQueue()
        self._todo: SimpleQueue[tuple[int, Case]] = SimpleQueue()
        for numbered in enumerate(cases):
            self._todo.put(numbered)
        self._over = threading.Event()
        self._workers = [Worker(folder / str(number)) for number in range(jobs)]
        self._threads = [threading.Thread(target=self._work, args=(w,), daemon=True) for w in self._workers]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def next_event(self) -> tuple[int, Outcome | None]:
        while True:
            with contextlib.suppress(Empty):
                event = self._events.get(timeout=_PATIENCE_SECONDS)
                if isinstance(event, BaseException):
                    raise event
                return event

    def end(self) -> None:
        self._over.set()
        for worker in self._workers:
            worker.end()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self, worker: Worker) -> None:
        try:
            while not self._over.is_set():
                position, case = self._todo.get_nowait()
                self._events.put((position, None))
                self._events.put((position, self._outcome(case, worker)))
        except Empty:
            worker.end()
        except BaseException as error:
            self._events.put(error)

    def _outcome(self, case: Case, worker: Worker) -> Outcome:
        try:
            material = self._shelf.material(case)
        except TinydeployError as error:
            return refused(case, error)
        if self._cache is None:
            return worker.answer(case, material)
        found = self._cache.find(key_of(case, material), case)
        if found is None:
            found = worker.answer(case, material)
            self._cache.store(found)
        return found
