"""The models that a sweep is given: files, folders, patterns, lists of them, and names of shipped ones."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinydeploy.catalog import model_path
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable


def find_candidates(named: Sequence[str]) -> tuple[str, ...]:
    """Every model once, in the order in which they are named.

    A folder stands for all .tflite files below it, a pattern for what it matches, each sorted; `@FILE` for the lines of
    a file, without blank ones and those that begin with #. Raises `UsageError` for what names no model.
    """
    found = [model for name in named for model in _named(name)]
    return tuple(dict.fromkeys(found))


def _named(name: str) -> Iterator[str]:
    if not name.startswith("@") or _is_there(name):
        yield from _models(name)
        return
    for line in _lines(Path(name[1:])):
        yield from _models(line)


def _models(name: str) -> Sequence[str]:
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


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(f"{printable(str(path), 200)}: the list cannot be read: {why}") from None
    found = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not found:
        raise UsageError(f"{printable(str(path), 200)}: the list is empty")
    return found


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # far too long, or a NUL inside
        return False
