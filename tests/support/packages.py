"""Packages of small models, made the way `export --package` makes them, and what builds and runs them here."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from tinydeploy.boards import find_board
from tinydeploy.catalog import load
from tinydeploy.codegen import generate
from tinydeploy.codegen.extras import Extras
from tinydeploy.codegen.program import emit
from tinydeploy.export.packages import FORMS, Form, Package, package_files, package_of
from tinydeploy.files import write_files
from tinydeploy.pipeline import PlanOptions, plan_model
from tinydeploy.report.plans import Planned


@cache
def planned(model: str = "digits", options: PlanOptions | None = None, board: str = "stm32f746") -> Planned:
    """A shipped model on a board."""
    return plan_model(load(model), find_board(board), options or PlanOptions())


@cache
def spread() -> Planned:
    """A model whose arena lies in two memories of a chip, because neither has room for all of it."""
    options = PlanOptions(reserve=("dtcm=103072", "axisram=491K"), regions="DTCM,AXISRAM")
    return planned("vww", options, "nucleo_h743zi")


def package(
    of: Planned | None = None,
    forms: Sequence[Form] = FORMS,
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    version: str = "1.0.0",
) -> tuple[Package, Mapping[str, str]]:
    """What the package says of itself, and its files."""
    of = of or planned()
    tree = generate(of.model, of.plan, emit(of.model, of.plan, name=name), Extras(labels=tuple(labels)))
    made = package_of(tree, [(of.model, of.plan)], of.board, version=version)
    return made, package_files(tree, made, forms)


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """The files in `folder`."""
    write_files(files, folder)
    return folder


def tool(name: str, install: str) -> str:
    """The path of a program, in this environment or on PATH, or a skip that says how to install it."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {install}")
    return found


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
