"""Who measures: this version of tinydeploy, down to the bytes of its sources, so that an edit is another version."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tinydeploy import __version__
from tinydeploy.resources import firmware_dir, models_dir


class Identity(NamedTuple):
    """The version, and the hash of Python modules, C sources and networks: the same wherever they are installed."""

    version: str
    sources_sha256: str

    def __str__(self) -> str:
        return f"tinydeploy {self.version} ({self.sources_sha256[:12]})"


@cache
def identity() -> Identity:
    """Of the tinydeploy that runs here. Boards are not part of it: a board's content is that of a case."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name, folder in (("package", package), ("firmware", firmware_dir()), ("models", models_dir() / "networks")):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.suffix in (".py", ".c", ".h") and inside.parts[0] != "_data":
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{name}/{inside.as_posix()} {content}\n".encode())
    return Identity(__version__, digest.hexdigest())
