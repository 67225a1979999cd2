"""Ending a process with everything that it started: compilers, reference interpreters, emulators."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


def end_tree(pid: int) -> None:
    """Kill a process that leads a group of its own, and all below it; it may have ended already.

    Who has left the group is found by who started it, which takes psutil; who has lost who started it, by the group.
    """
    below = _below(pid)
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    _end(below)


def end_children() -> None:
    """Kill all that this process has started, and what is below it."""
    _end(_below(os.getpid()))


def _end(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _below(pid: int) -> list[int]:
    try:
        import psutil
    except ImportError:
        return []
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []
