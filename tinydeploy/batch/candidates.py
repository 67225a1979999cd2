"""The models that a sweep is given: files, folders, patterns, lists of them, and names of shipped ones."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinydeploy.catalog import model_path
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

_MOST_BYTES = 64 * 1024 * 1024


def find_candidates(named: Sequence[str]) -> tuple[str, ...]:
    """Every model once, as it is named first, in that order.

    A folder stands for all .tflite files below it, a pattern for what it matches, each sorted; `@FILE` for the lines of
    a file, without blank ones and those that begin with #. Raises `UsageError` for what names no model.
    """
    found: dict[str, str] = {}
    for name in named:
        for model in _named(name):
            path = model_path(model)
            found.setdefault(model if path is None else os.path.realpath(path), model)
    return tuple(found.values())


def _named(name: str) -> Iterator[str]:
    if not name.startswith("@") or _is_there(name):
        yield from _models(name)
        return
    for number, line in _lines(Path(name[1:])):
        try:
            yield from _models(line)
        except UsageError as error:
            raise UsageError(f"{printable(name[1:], 200)}:{number}: {error.message}", hint=error.hint) from None


def _models(name: str) -> Sequence[str]:
    if not name:
        raise UsageError("a model's name is empty")
    if _is_there(name):
        if not Path(name).is_dir():
            return [name]
        found = sorted(str(path) for path in Path(name).rglob("*.tflite") if path.is_file())
        if not found:
            raise UsageError(f"{printable(name, 200)}: there is no .tflite file below this folder")
        return found
    if glob.has_magic(name):
        found = sorted(path for path in glob.glob(name, recursive=True) if Path(path).is_file())  # noqa: PTH207
        if not found:
            raise UsageError(f"{printable(name, 200)}: no file matches")
        return found
    model_path(name)  # raises for an unknown name
    return [name]


def _lines(path: Path) -> list[tuple[int, str]]:
    """What the list names, with the number of each line. It may be a pipe, but not one without end."""
    shown = printable(str(path), 200)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        lines = data.decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(f"{shown}: the list cannot be read: {why}") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{shown}: the list is larger than {_MOST_BYTES >> 20} MiB")
    found = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    found = [(number, line) for number, line in found if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"{shown}: the list is empty")
    return found


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # far too long, or a NUL inside
        return False
