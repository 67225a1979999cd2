"""Writing an export into a folder that may hold an older one, or things that are the user's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath

from tinydeploy.errors import UsageError
from tinydeploy.files import write_files
from tinydeploy.operators.base import printable

RECORD = ".tinydeploy-export.json"
"""In the folder: the files that the last export wrote, with their SHA-256 by relative path."""
_MOST_RECORD_BYTES = 1 << 20
_SHOWN = 3


def write_export(files: Mapping[str, str | bytes], folder: Path, *, force: bool = False) -> tuple[str, ...]:
    """Write the files; what an older export wrote and this one does not goes. Returns the paths that went.

    A file that no export wrote, or that was changed since, is never lost: what stands in the way is a `UsageError`
    before anything is written, unless `force`, and what does not stand in the way stays. Raises `UsageError`, too,
    where the folder cannot be written to.
    """
    known = _recorded(folder)
    theirs = [
        path for path, content in files.items() if not _replaceable(folder / path, _bytes(content), known.get(path))
    ]
    if theirs and not force:
        more = f" and {len(theirs) - _SHOWN} more" if len(theirs) > _SHOWN else ""
        raise UsageError(
            f"{printable(str(folder), 300)} holds files that no export wrote, or that were changed since: "
            f"{', '.join(theirs[:_SHOWN])}{more}",
            hint="another folder, or --force to write over them",
        )
    gone = [path for path in known if path not in files and _is(folder / path, known[path])]
    for path in gone:
        with contextlib.suppress(OSError):
            (folder / path).unlink()
            for empty in PurePosixPath(path).parents[:-1]:
                (folder / empty).rmdir()  # if that was its last file
    record = {path: sha256(_bytes(content)).hexdigest() for path, content in sorted(files.items())}
    write_files({**files, RECORD: json.dumps(record, indent=1) + "\n"}, folder)
    return tuple(gone)


def _replaceable(path: Path, data: bytes, known: str | None) -> bool:
    """Whether nothing is lost by writing there."""
    try:
        found = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # for a file where a folder must be there are better words
        return True
    except OSError:
        return False
    return found == data or sha256(found).hexdigest() == known


def _is(path: Path, hashed: str) -> bool:
    try:
        return sha256(path.read_bytes()).hexdigest() == hashed
    except OSError:
        return False


def _recorded(folder: Path) -> dict[str, str]:
    """What the last export wrote; nothing where that is not known. Paths that lead out of the folder are left out."""
    path = folder / RECORD
    try:
        if path.stat().st_size > _MOST_RECORD_BYTES:
            return {}
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {name: hashed for name, hashed in record.items() if isinstance(hashed, str) and _inside(name)}


def _inside(name: str) -> bool:
    parts = PurePosixPath(name)
    return not parts.is_absolute() and ".." not in parts.parts and "\\" not in name and ":" not in name


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
