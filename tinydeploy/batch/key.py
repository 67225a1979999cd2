"""The key of a case: the hash of all that its outcome depends on, and so the same only for the same outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path

from tinydeploy.batch.identity import identity
from tinydeploy.batch.material import Material
from tinydeploy.batch.types import Case
from tinydeploy.boards import Board
from tinydeploy.errors import MissingToolError


def key_of(case: Case, material: Material, versions: Mapping[str, str] | None = None) -> str:
    """64 hexadecimal digits. `versions`: what `versions_for(case)` is where the case is measured, if not here.

    The names that the user gave are part of it, since messages repeat them; the time-out is not.
    """
    asked = asdict(case)
    del asked["timeout_seconds"]
    parts = {
        "case": asked,
        "model": material.data_sha256,
        "board": _told(material.board),
        "inputs": [_input(spec) for spec in case.inputs],
        "versions": dict(versions_for(case) if versions is None else versions),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def versions_for(case: Case) -> Mapping[str, str]:
    """What a case goes by on this machine, with versions: a plan does not hang on a compiler. Empty: not there."""
    found = {"tinydeploy": identity()}
    if case.options.solver != "builtin":
        found["ortools"] = _package("ortools")
    if case.depth != "plan":
        found["toolchain"] = _toolchain(case.toolchain)
    if case.depth == "run":
        found["emulator"] = emulator_version(case.emulator, case.renode)
    if case.depth == "run" and case.verify:
        found["references"] = _references()
    return found


@cache
def _told(board: Board) -> str:
    """All that its file says."""
    return repr(board)


@cache
def _toolchain(name: str | None) -> str:
    from tinydeploy.toolchain import find_toolchain

    try:
        return find_toolchain(name).version
    except MissingToolError:
        return ""


@cache
def emulator_version(name: str, renode: str | None) -> str:
    """The version of an emulator, empty where it is missing; `renode` as in `find_renode`."""
    if name != "renode":
        return _package(name)
    from tinydeploy.emulate.renode.install import find_renode

    try:
        return find_renode(renode).version
    except MissingToolError:
        return ""


@cache
def _references() -> str:
    from tinydeploy.verify import find_references

    try:
        return ", ".join(f"{reference.name} {reference.version}" for reference in find_references())
    except MissingToolError:
        return ""


@cache
def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _input(spec: str) -> str:
    """The hash of the file that an `--input` names, perhaps behind a name of the model's; empty if there is none."""
    at = 0
    while not Path(spec[at:]).is_file():
        at = spec.find("=", at) + 1
        if not at:
            return ""
    return hashlib.sha256(Path(spec[at:]).read_bytes()).hexdigest()
