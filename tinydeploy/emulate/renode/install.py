"""`find_renode`: which Renode there is, and whether it is one that can be used."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.emulate.renode.process import output_of
from tinydeploy.errors import MissingToolError

OLDEST = (1, 15)
_VERSION_SECONDS = 60.0  # Mono alone may take ten on a busy machine
_NAMES = ("renode", "renode.exe", "Renode.exe", "bin/renode")
_BANNER = re.compile(r"^Renode,? v(?:ersion )?\.?(\d+)\.(\d+)((?:\.\d+)*)", re.MULTILINE)
_NATIVE = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
HOW = (
    "get 1.15 or later from github.com/renode/renode/releases, and put it on PATH or name it "
    "(--renode, TINYDEPLOY_RENODE)"
)


@dataclass(frozen=True)
class Renode:
    """An installed Renode. `kind`: `portable` (a program without a runtime of its own beside it), `.NET` or `mono`."""

    path: Path
    version: str
    kind: str


def find_renode(given: str | None = None) -> Renode:
    """The Renode that `given` names (a file, or the folder it is in), or the one on PATH.

    Raises `MissingToolError` when there is none, when what is found is not Renode, and when it is too old.
    """
    path = _path(given)
    said = output_of([str(path), "--version"], _VERSION_SECONDS)
    match = None if said is None else _BANNER.search(said)
    if said is None or match is None:
        raise MissingToolError(f"{path} is not Renode: {_answer(said)}", hint=HOW)
    version = f"{match[1]}.{match[2]}{match[3]}"
    if (int(match[1]), int(match[2])) < OLDEST:
        raise MissingToolError(f"{path} is Renode {version}, which is too old", hint=HOW)
    return Renode(path, version, _kind(path, said))


def _path(given: str | None) -> Path:
    if given is None:
        found = shutil.which("renode")
        if found is None:
            raise MissingToolError("Renode is not installed: there is no `renode` on PATH", hint=HOW)
        return Path(found)
    path = Path(given).expanduser()
    if path.is_dir():
        inside = [path / name for name in _NAMES if (path / name).is_file()]
        if not inside:
            raise MissingToolError(f"there is no Renode in {path}", hint=HOW)
        path = inside[0]
    if not path.is_file():
        raise MissingToolError(f"there is no Renode at {path}", hint=HOW)
    return path.absolute()


def _answer(said: str | None) -> str:
    if said is None:
        return f"it cannot be run, or does not say its version within {_VERSION_SECONDS:g} s"
    words = " ".join(said.split())[:80]
    return f"asked for its version it says '{words}'" if words else "asked for its version it says nothing"


def _kind(path: Path, said: str) -> str:
    if re.search(r"runtime: *mono", said, re.IGNORECASE):
        return "mono"
    with path.open("rb") as file:
        return "portable" if file.read(4).startswith(_NATIVE) else ".NET"
