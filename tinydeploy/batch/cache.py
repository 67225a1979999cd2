"""`Memory`, which remembers outcomes by key, and `ResultCache`: a file each, for all processes on this machine at once.

A file is written aside, brought to the disk and moved into place, so whatever ends a process, and whenever, a reader
finds a whole file or none. One that is damaged all the same is taken for none and removed.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tinydeploy.batch.stored import digest_of, outcome_data, outcome_of
from tinydeploy.batch.types import Case, Outcome
from tinydeploy.files import prune, write_file

KEPT_BYTES = 256 * 1024 * 1024

_FACTS = ("ok", "does-not-fit", "differs", "refused", "failed")


class Memory(Protocol):
    """What remembers outcomes that are facts. All of it from any thread."""

    def find(self, key: str, case: Case) -> Outcome | None:
        """The outcome of `case`, whose key this is."""
        ...

    def store(self, outcome: Outcome) -> None:
        """Keep an outcome by its key, if it is a fact."""
        ...

    def prune(self) -> None:
        """Give back what is not needed; after a batch."""
        ...


class Memories:
    """Several, the nearest first: what a farther one knows the nearer ones are told."""

    def __init__(self, *memories: Memory) -> None:
        self._memories = memories

    def find(self, key: str, case: Case) -> Outcome | None:
        """See `Memory.find`."""
        for position, memory in enumerate(self._memories):
            found = memory.find(key, case)
            if found is not None:
                for nearer in self._memories[:position]:
                    nearer.store(found)
                return found
        return None

    def store(self, outcome: Outcome) -> None:
        """See `Memory.store`."""
        for memory in self._memories:
            memory.store(outcome)

    def prune(self) -> None:
        """See `Memory.prune`."""
        for memory in self._memories:
            memory.prune()


def is_fact(outcome: Outcome) -> bool:
    """Whether it holds for as long as its key does. A crash, a time-out or a missing tool may be gone another time."""
    return bool(outcome.key) and outcome.status in _FACTS and outcome.case.options.time_limit is None


class ResultCache:
    """Outcomes in a folder, by default one in the user's cache folder. One that cannot be written keeps nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        import platformdirs

        self._folder = folder or Path(platformdirs.user_cache_dir("tinydeploy", appauthor=False)) / "results"

    def find(self, key: str, case: Case) -> Outcome | None:
        """See `Memory.find`; one that is found counts as used."""
        path = self._path(key)
        try:
            text = path.read_bytes()
        except OSError:
            return None
        try:
            entry = json.loads(text)
            data: dict[str, Any] = entry["outcome"]
            if entry["key"] != key or entry["sha256"] != digest_of(data):
                raise ValueError("damaged")
            found = outcome_of(data, case)
        except (ValueError, TypeError, LookupError, RecursionError):
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return replace(found, cached=True, key=key)

    def store(self, outcome: Outcome) -> None:
        """See `Memory.store`."""
        key = outcome.key
        if not is_fact(outcome):
            return
        data = outcome_data(outcome)
        entry = {"key": key, "sha256": digest_of(data), "outcome": data}
        with contextlib.suppress(OSError):
            write_file(self._path(key), json.dumps(entry, indent=1).encode() + b"\n")

    def prune(self) -> None:
        """Remove what was not used for longest, until the rest is small enough."""
        prune(self._folder, KEPT_BYTES)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key[2:]}.json"
