"""`SourceTree`: a generated folder as a value, and how it is written to disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.files import write_files


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
