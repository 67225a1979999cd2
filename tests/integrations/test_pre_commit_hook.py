"""The pre-commit hook: its manifest, which files it runs for, and a commit of a project that uses it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
PACKAGED = ("pyproject.toml", "README.md", "LICENSE", MANIFEST.name, "tinydeploy", "boards", "firmware", "models")


def hook() -> dict[str, Any]:
    """The only one."""
    [found] = yaml.safe_load(MANIFEST.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def pre_commit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pre-commit, with environments of its own."""
    pytest.importorskip("pre_commit", reason="pip install pre-commit")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("GIT_")}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments],
        cwd=folder,
        env={**kept, "PRE_COMMIT_HOME": str(folder.parent / "pre-commit"), "PRE_COMMIT_COLOR": "never"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def committed(folder: Path) -> str:
    """Make a folder a repository with all that is in it; returns the commit."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "--no-verify", "-m", "all")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_manifest_is_valid() -> None:
    done = pre_commit(ROOT, "validate-manifest", str(MANIFEST))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "file", ["kws.tflite", "a/b/kws.tflite", "tinydeploy.toml", "fw/tinydeploy.lock", "pyproject.toml"]
)
def test_files_that_it_runs_for(file: str) -> None:
    assert re.search(hook()["files"], file)


@pytest.mark.parametrize("file", ["kws.tflite.md", "mytinydeploy.toml", "src/main.c", "tinydeploy.toml.bak"])
def test_files_that_it_does_not_run_for(file: str) -> None:
    assert not re.search(hook()["files"], file)


def test_a_commit_is_held_back_until_its_budgets_are_kept(tmp_path: Path) -> None:
    source, project = tmp_path / "source", tmp_path / "project"
    source.mkdir()
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    revision = committed(source)
    project.mkdir()
    shutil.copy(ROOT / "models" / "kws.tflite", project)
    # a plan needs nothing but the package itself
    hooks = [{"id": "tinydeploy-check", "additional_dependencies": []}]
    (project / ".pre-commit-config.yaml").write_text(
        yaml.safe_dump({"repos": [{"repo": str(source), "rev": revision, "hooks": hooks}]})
    )
    configuration = '[check]\nboards = ["stm32f746"]\ndepth = "plan"\nbudget.arena = "{}"\n'
    configuration += '[[check.model]]\npath = "kws.tflite"\n'
    (project / "tinydeploy.toml").write_text(configuration.format("1K"))
    committed(project)

    done = pre_commit(project, "run", "--all-files")
    assert done.returncode == 1, done.stdout
    assert "exit code: 1" in done.stdout
    assert "over its budget of 1,024 B" in done.stdout

    (project / "tinydeploy.toml").write_text(configuration.format("64K"))
    done = pre_commit(project, "run", "--all-files")
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout
