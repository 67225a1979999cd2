"""Catching what a C++ library writes to standard error, so that its words can stand in an error of ours.

The file descriptor is the process's, so captures take turns; what a successful call wrote is passed on
afterwards.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_turn = threading.Lock()
_FD = 2


class NativeError(Exception):
    """A native call failed; `words` is what it had written."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def call_quietly(function: Callable[[], T]) -> T:
    """Call `function`; if it raises `RuntimeError` or `ValueError`, raise `NativeError` with its words.

    Standard error is diverted for the length of the call only, one call at a time.
    """
    with _turn:
        try:
            saved = os.dup(_FD)
        except OSError:  # the process has no standard error
            return _plain(function)
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), _FD)
            try:
                result = function()
            except (RuntimeError, ValueError) as error:
                raise NativeError(_words(sink.fileno()) or str(error)) from error
            else:
                written = _read(sink.fileno())
            finally:
                os.dup2(saved, _FD)
                os.close(saved)
        if written:
            with contextlib.suppress(OSError):
                os.write(_FD, written)
        return result


def _plain(function: Callable[[], T]) -> T:
    try:
        return function()
    except (RuntimeError, ValueError) as error:
        raise NativeError(str(error)) from error


def _read(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 1 << 16)


def _words(fd: int) -> str:
    lines = _read(fd).decode("utf-8", "replace").splitlines()
    return "; ".join(line.strip() for line in lines if line.strip())[:400]
