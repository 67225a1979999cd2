"""Ending a process with everything that it started: compilers, reference interpreters, emulators, workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

APART: Mapping[str, Any]
if sys.platform == "win32":
    APART = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    APART = {"start_new_session": True}
"""Arguments of `Popen` for a process at the head of a group of its own, which no Ctrl-C of the terminal reaches."""

_GONE_SECONDS = 5.0


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started `APART`, and all below it, and wait until they are gone; it may have ended.

    Who has left the group is found by who started it, which takes psutil; who has lost who started it, by the group.
    """
    below = _below(process.pid)
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    _end(below)
    process.wait()


def end_children() -> None:
    """Kill all that this process has started, and what is below it."""
    _end(_below(os.getpid()))


def _end(processes: Sequence[Any]) -> None:
    if not processes:
        return
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has ended
            process.kill()
    psutil.wait_procs(processes, _GONE_SECONDS)


def _below(pid: int) -> Sequence[Any]:
    """All that a process has started, and what these have; none without psutil."""
    try:
        import psutil
    except ImportError:
        return ()
    try:
        return tuple(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()
