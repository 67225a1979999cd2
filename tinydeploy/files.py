"""Files written so that a reader finds a whole one or none, and those that several processes share removed by age."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tinydeploy.errors import UsageError

_ASIDE = ".aside-"
_SPARED_SECONDS = 3600.0  # somebody may be about to read what was touched since, or be writing it


@contextlib.contextmanager
def replaced(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a path beside `target` to write to, which then takes its place; without a whole file it is left alone.

    `durable`: what is there survives a loss of power, too. Raises `OSError`.
    """
    aside = target.with_name(f"{_ASIDE}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield aside
        if durable:
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_file(target: Path, data: bytes, *, durable: bool = True) -> None:
    """Write all of a file at once, as `replaced` does; folders above it are made. Raises `OSError`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target, durable=durable) as aside:
        aside.write_bytes(data)


def write_files(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write files by relative path (POSIX slashes) below `folder`, each replaced as a whole, text as UTF-8.

    A file that is there with the same content is left alone: it keeps its time stamp, for the user's build system.
    Raises `UsageError` when it cannot.
    """
    try:
        for relative, content in files.items():
            path, data = folder / relative, content.encode() if isinstance(content, str) else content
            if not (path.is_file() and path.read_bytes() == data):
                write_file(path, data, durable=False)
    except OSError as e:
        raise UsageError(f"cannot write to {folder}: {e.strerror or e}") from e


def prune(folder: Path, keep_bytes: int, *, spared_seconds: float = _SPARED_SECONDS) -> None:
    """Remove files below `folder`, those first that were not touched for longest, until `keep_bytes` are left.

    Files touched within `spared_seconds` stay; what a killed process has left half written goes after that time.
    Other processes may read, write and prune at the same time. A folder that cannot be read is left alone.
    """
    now = time.time()
    found: list[tuple[float, int, Path]] = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with contextlib.suppress(OSError):
                status = path.stat()
                if now - status.st_mtime < spared_seconds:
                    keep_bytes -= status.st_size
                elif name.startswith(_ASIDE):
                    path.unlink()
                else:
                    found.append((status.st_mtime, status.st_size, path))
    for _, size, path in sorted(found, reverse=True):
        keep_bytes -= size
        if keep_bytes < 0:
            with contextlib.suppress(OSError):
                path.unlink()
                path.parent.rmdir()  # if that was its last file
