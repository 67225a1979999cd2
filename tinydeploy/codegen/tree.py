"""`SourceTree`: a generated folder as a value, and how it is written to disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.errors import UsageError


@dataclass(frozen=True)
class SourceTree:
    """Files by relative path (POSIX slashes).

    `name` is the library's C prefix. `sources` are what a firmware project compiles, `example` what the example adds
    to it. `constant_bytes` sums the constant arrays by role (weights, bias, table); `arena_symbol` is where the
    example keeps the arena, `done_symbol` the function that it enters when the outputs are there, `feed_symbol` the one
    that hands over a row of an input, None where every input lies in the arena.
    """

    name: str
    files: Mapping[str, str]
    sources: tuple[str, ...]
    example: tuple[str, ...]
    constant_bytes: Mapping[str, int]
    constant_prefix: str
    arena_symbol: str
    done_symbol: str
    feed_symbol: str | None = None

    def write(self, folder: Path) -> None:
        """Write all files below `folder`, each replaced as a whole; raises UsageError when it cannot."""
        write_files(self.files, folder)


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write files by relative path below `folder`, each replaced as a whole; raises UsageError when it cannot."""
    try:
        for relative, text in files.items():
            _replace(folder / relative, text)
    except OSError as e:
        raise UsageError(f"cannot write to {folder}: {e.strerror or e}") from e


def _replace(path: Path, text: str) -> None:
    import tempfile  # slow to import, and planning needs none

    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return  # an unchanged file keeps its time stamp, for the user's build system
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".td-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
