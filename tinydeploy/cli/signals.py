"""Signals that end a command: each as Ctrl-C does, so that temporary folders and processes go with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # those that this system has


class Interrupted(KeyboardInterrupt):
    """Of a type of its own: where `KeyboardInterrupt` itself went through an `exec`, as those of `dataclasses` are,
    CPython ends with 130 whatever the program asks for."""


@contextmanager
def heeded() -> Iterator[list[int]]:
    """Within, the first signal raises `Interrupted`, and no other disturbs the clearing up that follows.

    Yields a list that gets the number of the signal that came.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: Any) -> NoReturn:
        came.append(number)
        for each in before:
            signal.signal(each, lambda *_: None)
        raise Interrupted

    # Python takes signals in one thread only.
    wanted = _wanted() if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.getsignal(number) for number in wanted}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wanted() -> list[signal.Signals]:
    """Without those that whoever started this wants ignored, as `nohup` does."""
    found = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]
