"""Who measures: this version of tinydeploy, down to the bytes of its sources, so that an edit is another version."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from tinydeploy import __version__
from tinydeploy.resources import firmware_dir, models_dir


@cache
def identity() -> str:
    """The version, and the hash of Python, C, templates and networks: the same wherever they are installed.

    Boards are not part of it, nor are models: their content is that of a case.
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name, folder in (("package", package), ("firmware", firmware_dir()), ("models", models_dir() / "networks")):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and inside.parts[0] != "_data" and "__pycache__" not in inside.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{name}/{inside.as_posix()} {content}\n".encode())
    return f"{__version__} (sources {digest.hexdigest()[:16]})"
