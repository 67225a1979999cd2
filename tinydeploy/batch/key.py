"""The key of a case: the hash of all that its outcome depends on, and so the same only for the same outcome."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tinydeploy.batch.identity import identity
from tinydeploy.batch.material import Material
from tinydeploy.batch.types import Case
from tinydeploy.errors import MissingToolError

_SOLVER = "ortools"


def key_of(case: Case, material: Material) -> str:
    """64 hexadecimal digits. Of tools, only the versions of those count that a case of this depth goes by.

    The names that the user gave are part of it: messages repeat them.
    """
    asked = asdict(case)
    del asked["timeout_seconds"]
    parts: dict[str, Any] = {
        "case": asked,
        "model": hashlib.sha256(material.data).hexdigest() if material.data is not None else None,
        "board": repr(material.board),
        "identity": identity(),
        "tools": dict(_planning_tools(case.options.solver)),
    }
    if case.depth != "plan":
        parts["toolchain"] = _toolchain(case.toolchain)
    if case.depth == "run":
        parts["inputs"] = [_input(spec) for spec in case.inputs]
        parts["emulator"] = _emulator(case.emulator)
        parts["references"] = _references() if case.verify else None
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _planning_tools(solver: str) -> tuple[tuple[str, str], ...]:
    return () if solver == "builtin" else ((_SOLVER, _version(_SOLVER)),)


@cache
def _toolchain(name: str | None) -> str:
    from tinydeploy.toolchain import find_toolchain

    try:
        return find_toolchain(name).version
    except MissingToolError:
        return ""


@cache
def _emulator(name: str) -> str:
    return _version(name)


@cache
def _references() -> tuple[str, ...]:
    from tinydeploy.verify import find_references

    try:
        return tuple(f"{reference.name} {reference.version}" for reference in find_references())
    except MissingToolError:
        return ()


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
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
