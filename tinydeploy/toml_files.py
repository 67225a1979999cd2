"""TOML files of the user's: read with care, and with the line on which a key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError

_MOST_BYTES = 4 * 1024 * 1024
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
_HEADER = re.compile(r"\s*(\[\[?)(.+?)\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w\-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w\-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w\-]+|"[^"]*"|'[^']*'""")

_DEEPEST = 16  # more parts than any path has that is looked for

Key = str | int
"""A key of a table, or a position in an array of tables."""


def read_text(path: Path, *, hint: str | None = None, error: type[UsageError] = UsageError) -> str:
    """The file's text. Raises `error` for one that cannot be read, is far too large, or is not UTF-8."""
    shown = printable_path(path)
    try:
        if path.is_dir():
            raise error(f"{shown}: is a folder", hint=hint)
        if not path.exists():
            raise error(f"{shown}: no such file", hint=hint)
        if not path.is_file():  # a device or a pipe might never end
            raise error(f"{shown}: is not a regular file", hint=hint)
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as failure:
        raise error(f"{shown}: cannot be read: {failure.strerror or failure}", hint=hint) from None
    except ValueError:  # a NUL inside the path
        raise error(f"{shown}: is not a valid path", hint=hint) from None
    if len(data) > _MOST_BYTES:
        raise error(f"{shown}: is larger than {_MOST_BYTES >> 20} MiB", hint=hint)
    try:
        return data.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as failure:
        raise error(f"{shown}: is not UTF-8 text (byte {failure.start})", hint=hint) from None


def parse(text: str, shown: str, *, hint: str | None = None, error: type[UsageError] = UsageError) -> dict[str, Any]:
    """The text as a document; `shown` is what messages call it. Raises `error`, which names the line."""
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise error(f"{shown}:{line}: holds the marks of a merge conflict ({conflict[1]})", hint=hint)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error(f"{shown}: is nested too deeply", hint=hint) from None
    except ValueError as failure:  # TOMLDecodeError, and integers of thousands of digits
        why = "".join(c if c.isprintable() else " " for c in str(failure)[:200])
        raise error(f"{shown}: is not valid TOML: {why}", hint=hint) from None


def printable_path(path: Path) -> str:
    """The path for one line of a message."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(path)[:400])


def line_of(text: str, keys: Sequence[Key]) -> int | None:
    """The line, from 1, on which the key at that path stands, or else what of the path stands somewhere.

    Found by looking for headers and keys, not by parsing: inside of a multi-line string it may be mistaken.
    """
    whole, begun = _lines(text)
    path = tuple(keys)
    if path in begun:
        return begun[path]
    return next((whole[path[:n]] for n in range(len(path) - 1, 0, -1) if path[:n] in whole), None)


@lru_cache(maxsize=4)
def _lines(text: str) -> tuple[Mapping[tuple[Key, ...], int], Mapping[tuple[Key, ...], int]]:
    """The first line of each path that stands on a line, and of all that begin so: of `[[a]]` the first for `a`."""
    whole: dict[tuple[Key, ...], int] = {}
    begun: dict[tuple[Key, ...], int] = {}
    table: tuple[Key, ...] = ()
    seen: dict[tuple[Key, ...], int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.fullmatch(line)
        key = _KEY.match(line)
        if header is not None:
            table = _resolve(_parts(header[2]), seen, array=header[1] == "[[")
            here = table
        elif key is not None:
            here = (*table, *_parts(key[1]))
        else:
            continue
        whole.setdefault(here, number)
        for n in range(1, len(here) + 1):
            begun.setdefault(here[:n], number)
    return whole, begun


def _resolve(parts: Sequence[str], seen: dict[tuple[Key, ...], int], *, array: bool) -> tuple[Key, ...]:
    """The path of a header, with positions in arrays of tables; `seen` has the last position in each of them."""
    path: tuple[Key, ...] = ()
    for number, part in enumerate(parts):
        path = (*path, part)
        if array and number == len(parts) - 1:
            seen[path] = seen.get(path, -1) + 1
        if path in seen:
            path = (*path, seen[path])
    return path


def _parts(dotted: str) -> list[str]:
    return [found[0].strip("\"'") for found in islice(_PART.finditer(dotted), _DEEPEST)]


def dotted(keys: Sequence[Key]) -> str:
    """A path of keys for people: `check.model[1].budget.arena`."""
    told = ""
    for key in keys:
        told += f"[{key}]" if isinstance(key, int) else f".{key}" if told else key
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in told[:200])


def nearest(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """A hint for a name that is not among the known ones."""
    import difflib  # only needed for this message

    near = difflib.get_close_matches(name[:64], list(known), n=1)
    listed = f"known here: {', '.join(sorted(known))}"
    return f"did you mean `{near[0]}`? {listed}" if near else listed
