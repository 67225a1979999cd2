"""`Worker`: a process that measures one case after the other, and is replaced when a case ends it."""

from __future__ import annotations

import contextlib
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

from tinydeploy.batch.child import START
from tinydeploy.batch.material import Material
from tinydeploy.batch.types import Case, Outcome
from tinydeploy.operators.base import printable
from tinydeploy.processes import APART, end_tree

_SIGKILL = 9
_KILLED_HINT = "a system ends processes so when its memory is at an end: --jobs 1 takes the least"


class Worker:
    """A process of its own, started with the first case. `folder` is made, and holds all that it leaves behind."""

    def __init__(self, folder: Path) -> None:
        self._ready = False
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._over = False

    def answer(self, case: Case, material: Material) -> Outcome:
        """What the case comes to. That the process dies of it, or takes longer than the case may, is an outcome, too.

        From one thread at a time.
        """
        process = self._started()
        started, late = monotonic(), threading.Event()
        watch = threading.Timer(case.timeout_seconds or 0, self._end_late, (process, late))
        try:
            assert process.stdin is not None and process.stdout is not None
            if not self._ready:
                pickle.load(process.stdout)
                self._ready = True
            started = monotonic()
            if case.timeout_seconds is not None:
                watch.start()
            pickle.dump((case, material), process.stdin)
            process.stdin.flush()
            outcome: Outcome = pickle.load(process.stdout)
            return outcome
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self._end(process)
            took = monotonic() - started
            if late.is_set():
                return Outcome(case, "timed-out", f"no end after {case.timeout_seconds:g} s", seconds=took)
            hint = _KILLED_HINT if process.returncode == -_SIGKILL else None
            return Outcome(case, "crashed", f"the worker process {self._why(process)}", hint, seconds=took)
        finally:
            if watch.is_alive():
                watch.cancel()
                watch.join()
            if process.returncode is not None:
                self._ready = False

    def end(self) -> None:
        """End the process and all that it started, whatever it is at. From any thread; what is asked then crashes."""
        with self._lock:
            self._over = True
            if self._process is not None:
                self._end(self._process)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True)
                with (self._folder / "errors").open("wb") as errors:
                    self._process = subprocess.Popen(
                        [sys.executable, "-P", "-c", START, str(self._folder), *sys.path],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        **APART,
                    )
            if self._over:
                self._end(self._process)
            return self._process

    def _why(self, process: subprocess.Popen[bytes]) -> str:
        if process.returncode < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-process.returncode).name}"
        said = (self._folder / "errors").read_text("utf-8", "replace").strip() if self._folder.exists() else ""
        words = f": {printable(said.splitlines()[-1], 300)}" if said else ""
        return f"ended with code {process.returncode}{words}"

    def _end_late(self, process: subprocess.Popen[bytes], late: threading.Event) -> None:
        late.set()
        self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if process.returncode is None:  # else its number may be somebody else's by now
                end_tree(process)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
