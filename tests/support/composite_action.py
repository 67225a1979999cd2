"""Runs a composite GitHub Action as a runner does, as far as that goes without GitHub: expressions, conditions, the
files that steps write to. Steps that use other actions are only noted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_FINISHED = ("success()", "failure()", "always()", "cancelled()")


@dataclass
class Ran:
    """What came of it. `used`: the actions that steps use, with their `with`; `log`: all that steps printed."""

    outputs: dict[str, str] = field(default_factory=dict)
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    log: str = ""
    summary: str = ""
    exit_code: int = 0


class CompositeAction:
    """An action's file. `skip`: steps by name that are not run, with the outputs that they would have."""

    def __init__(self, file: Path, skip: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.file = file
        self.data: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        self._skip = skip or {}

    def run(self, folder: Path, inputs: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Ran:
        """Run it in `folder`/workspace, with files of the runner's beside that."""
        unknown = set(inputs) - set(self.data["inputs"])
        assert not unknown, unknown
        given = {name: str(about.get("default", "")) for name, about in self.data["inputs"].items()} | dict(inputs)
        workspace, temporary = folder / "workspace", folder / "temp"
        workspace.mkdir(exist_ok=True)
        temporary.mkdir(exist_ok=True)
        ran, steps = Ran(), dict[str, dict[str, str]]()
        for number, step in enumerate(self.data["runs"]["steps"]):
            values = _Values(given, steps)
            condition = str(step.get("if", "success()"))
            if ran.exit_code and not any(status in condition for status in _FINISHED[1:]):
                continue
            if not values.holds(condition):
                continue
            outputs = steps.setdefault(step.get("id", str(number)), {})
            if "uses" in step:
                ran.used.append((step["uses"], {name: values.text(v) for name, v in step.get("with", {}).items()}))
            elif step["name"] in self._skip:
                outputs.update(self._skip[step["name"]])
            else:
                files = {name: temporary / f"{name}-{number}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
                for file in files.values():
                    file.touch()
                done = subprocess.run(
                    ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", values.text(step["run"])],
                    cwd=workspace,
                    env={
                        **os.environ,
                        "GITHUB_ACTIONS": "true",
                        "GITHUB_ACTION_PATH": str(self.file.parent),
                        "GITHUB_WORKSPACE": str(workspace),
                        "RUNNER_TEMP": str(temporary),
                        **{name: str(path) for name, path in files.items()},
                        **(environment or {}),
                        **{name: values.text(value) for name, value in step.get("env", {}).items()},
                    },
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    encoding="utf-8",
                    check=False,
                )
                ran.log += done.stdout + done.stderr  # two streams, read in whatever order: as bad as it can be
                ran.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
                ran.exit_code = ran.exit_code or done.returncode
                lines = files["GITHUB_OUTPUT"].read_text("utf-8").splitlines()
                outputs.update(line.split("=", 1) for line in lines)
        values = _Values(given, steps)
        ran.outputs = {name: values.text(about["value"]) for name, about in self.data["outputs"].items()}
        return ran


@dataclass(frozen=True)
class _Values:
    """What expressions refer to."""

    inputs: Mapping[str, str]
    steps: Mapping[str, Mapping[str, str]]

    def text(self, value: object) -> str:
        return _EXPRESSION.sub(lambda match: self._value(match[1]), str(value))

    def holds(self, condition: str) -> bool:
        return all(self._term(term.strip()) for term in condition.removeprefix("${{").removesuffix("}}").split("&&"))

    def _term(self, term: str) -> bool:
        if term in _FINISHED:
            return term in ("success()", "always()")
        match = re.fullmatch(r"(\S+) (==|!=) (\S+)", term)
        assert match is not None, term
        return (self._value(match[1]) == self._value(match[3])) == (match[2] == "==")

    def _value(self, expression: str) -> str:
        parts = expression.split(".")
        if expression.startswith("'"):
            return expression.strip("'")
        if expression.startswith("hashFiles("):
            return "0123456789abcdef"
        if parts[0] == "inputs":
            return self.inputs[parts[1]]
        assert parts[0] == "steps" and parts[2] == "outputs", expression
        return self.steps.get(parts[1], {}).get(parts[3], "")
