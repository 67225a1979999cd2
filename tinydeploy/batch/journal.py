"""The journal of a sweep: outcomes as they come in, a line each, so that whatever ends the sweep ends no finished work.

Lines are only ever appended. The first says what the file is; every other is `{"key": …, "sha256": …, "outcome": …}`.
Who was killed while writing has left a line without its end: it is cut off. What is damaged is done and written again.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, BinaryIO

import filelock

from tinydeploy.batch.cache import is_fact
from tinydeploy.batch.stored import digest_of, outcome_data, outcome_of
from tinydeploy.batch.types import Case, Outcome
from tinydeploy.errors import UsageError

_SYNC_SECONDS = 1.0
_FIRST = {"journal": "tinydeploy sweep", "version": 1}


class Journal:
    """A journal that is open: a `Memory`, whose `len` is the number of outcomes in it."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Read what is there, unless `fresh`, which throws it away.

        Raises `UsageError` for a file that is no journal, or that another sweep is writing, and `OSError`.
        """
        self._places: dict[str, int] = {}  # where in the file a key's line begins
        self._mutex = threading.Lock()
        self._lock = filelock.FileLock(f"{path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UsageError(f"another sweep is writing {path}", hint="wait for it, or write elsewhere") from None
        try:
            self._file: BinaryIO = path.open("r+b" if path.exists() else "x+b")
            try:
                self._end = 0 if fresh else self._read(path)
                self._file.truncate(self._end)
                self._synced = monotonic()
                if not self._end:
                    self._append(_FIRST)
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._unlock()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: str, case: Case) -> Outcome | None:
        """See `Memory.find`."""
        with self._mutex:
            place = self._places.get(key)
            if place is None:
                return None
            self._file.seek(place)
            line = self._file.readline()
        try:
            entry = _parsed(line)
            if entry["sha256"] != digest_of(entry["outcome"]):
                raise ValueError("damaged")
            return replace(outcome_of(entry["outcome"], case), cached=True, key=key)
        except (ValueError, TypeError, LookupError):
            with self._mutex:
                self._places.pop(key, None)
            return None

    def store(self, outcome: Outcome) -> None:
        """See `Memory.store`. It survives this process at once, and a loss of power after a second."""
        with self._mutex:
            if is_fact(outcome) and outcome.key not in self._places:
                self._places[outcome.key] = self._end
                data = outcome_data(outcome)
                self._append({"key": outcome.key, "sha256": digest_of(data), "outcome": data})
                if monotonic() - self._synced > _SYNC_SECONDS:
                    self._sync()

    def prune(self) -> None:
        """Nothing: a journal is as long as its sweep."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sync()
        self._file.close()
        self._unlock()

    def _read(self, path: Path) -> int:
        """Find the outcomes; where the last line ends that has an end."""
        end = 0
        for line in self._lines():
            if not end and _parsed(line) != _FIRST:
                raise UsageError(f"{path} is no journal of a sweep", hint="--fresh throws it away and starts anew")
            key = _parsed(line).get("key")
            if isinstance(key, str):
                self._places[key] = end
            end += len(line)
        return end

    def _lines(self) -> Iterator[bytes]:
        return (line for line in self._file if line.endswith(b"\n"))

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        self._end += len(data)

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = monotonic()

    def _unlock(self) -> None:
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def _parsed(line: bytes) -> dict[str, Any]:
    """Empty for a line that is damaged: its case is done once more."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
