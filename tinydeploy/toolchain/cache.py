"""Keeps objects between builds, so that a second build compiles only what changed.

An object is found by the hash of everything that it was made from: compiler and version, flags, the source's text, and
the text of every header that the compiler then opened. Headers are remembered by the name under which they were found,
so a tree that moves keeps its objects. Safe under concurrent builds: every file is written aside and moved into place,
and what was used within the last hour is never pruned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tinydeploy.files import prune, write_file

KEPT_BYTES = 512 * 1024 * 1024
_ENTRIES_KEPT = 16  # sets of headers for one source and flags
_TABLE = "entries.json"  # which headers each object of a source was made from


class ObjectCache:
    """Objects in a folder. A folder that cannot be written is no error: then nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[Path, str | None] = {}
        self._stored = False

    def key(self, source: Path, parts: Sequence[str]) -> str:
        """The hash of a source and of what it is compiled with."""
        digest = hashlib.sha256(source.read_bytes())
        for part in (source.name, *parts):
            digest.update(b"\0" + part.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def find(self, key: str, source: Path, includes: Sequence[Path]) -> Path | None:
        """The object for a key, if the headers that it was made from are still what would be found."""
        for headers, name in self._entries(key):
            if all(self._current(header, source, includes) == digest for header, digest in headers):
                found = self._path(key, name)
                with contextlib.suppress(OSError):
                    for used in (found, self._path(key, _TABLE)):
                        os.utime(used)
                if found.is_file():
                    return found
        return None

    def store(self, key: str, made: Path, source: Path, headers: Sequence[Path], includes: Sequence[Path]) -> Path:
        """Keep an object; the path of the kept one, or `made` itself where nothing can be kept."""
        named = []
        for header in headers:
            name = _name_of(header, source, includes)
            digest = self._hash(header)
            if digest is None:
                return made
            named.append([name, digest])
        title = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32] + ".o"
        entries = [entry for entry in self._entries(key) if entry[1] != title][: _ENTRIES_KEPT - 1]
        target = self._path(key, title)
        try:
            write_file(target, made.read_bytes(), durable=False)
            write_file(self._path(key, _TABLE), json.dumps([[named, title], *entries]).encode(), durable=False)
        except OSError:
            return made
        self._stored = True
        return target

    def prune(self) -> None:
        """Remove the objects that were not used for longest, until the rest is small enough; nothing to do where this
        has stored none."""
        if self._stored:
            prune(self._folder, KEPT_BYTES)

    def _path(self, key: str, name: str) -> Path:
        return self._folder / key[:2] / key[2:40] / name

    def _entries(self, key: str) -> list[tuple[list[tuple[str, str]], str]]:
        try:
            raw = json.loads(self._path(key, _TABLE).read_bytes())
            return [([(str(n), str(d)) for n, d in headers], Path(str(name)).name) for headers, name in raw]
        except (OSError, ValueError, TypeError):
            return []

    def _current(self, name: str, source: Path, includes: Sequence[Path]) -> str | None:
        for folder in (source.parent, *includes):
            digest = self._hash(folder / name)
            if digest is not None:
                return digest
        return None

    def _hash(self, path: Path) -> str | None:
        if path not in self._hashes:
            try:
                self._hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                self._hashes[path] = None
        return self._hashes[path]


def _name_of(header: Path, source: Path, includes: Sequence[Path]) -> str:
    """The name under which an #include would find it again, the shortest of several; its whole path when none would.

    A name that another folder would now answer first is found by `_current` in that folder, so the object is stale.
    """
    names = [str(header)]
    for folder in (source.parent, *includes):
        with contextlib.suppress(ValueError):
            names.append(header.relative_to(folder.absolute()).as_posix())
    return min(names, key=len)


def read_dependencies(text: str) -> list[str]:
    """The prerequisites in a compiler's dependency file (make's syntax), the source itself first."""
    _, _, rest = text.replace("\\\r\n", " ").replace("\\\n", " ").partition(": ")
    names, word = [], ""
    position = 0
    while position < len(rest):
        character = rest[position]
        following = rest[position + 1] if position + 1 < len(rest) else ""
        if (character == "\\" and following in " #") or (character == "$" and following == "$"):
            word += following
            position += 2
            continue
        if character.isspace():
            if word:
                names.append(word)
            word = ""
            if character == "\n":
                break
        else:
            word += character
        position += 1
    if word:
        names.append(word)
    return names
