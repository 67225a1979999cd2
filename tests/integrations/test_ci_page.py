"""docs/ci.md: its examples keep the schemas of the systems that they are for, its tables are those of the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.vendored_schemas import errors
from tinydeploy.cli.check import command

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
TEMPLATE = next(iter(yaml.safe_load_all((ROOT / "integrations/gitlab/tinydeploy.gitlab-ci.yml").read_text("utf-8"))))


def examples(kind: str) -> list[dict[str, Any]]:
    """The examples that are marked as of this kind."""
    found = re.findall(rf"<!-- {kind} -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return [yaml.safe_load(text) for text in found]


def documented(section: str, number: int) -> dict[str, str]:
    """What the first cells of a section's table number `number` name, with the last cell of their row."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[number]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]
    return {name: row[-1].strip("` |") for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def test_workflows() -> None:
    for workflow in examples("workflow"):
        workflow["on"] = workflow.pop(True)  # YAML 1.1, which GitHub does not go by
        assert errors("github-workflows", workflow) == []
        [step] = [s for s in workflow["jobs"]["check"]["steps"] if s["uses"].startswith("OWNER/")]
        assert set(step.get("with", {})) <= set(ACTION["inputs"])
        for step in workflow["jobs"]["check"]["steps"]:
            used = re.findall(r"steps\.models\.outputs\.([a-z-]+)", str(step))
            assert set(used) <= set(ACTION["outputs"])


def test_includes_of_the_template() -> None:
    for pipeline in examples("gitlab"):
        assert errors("gitlab-ci", pipeline) == []
        assert set(pipeline["include"][0]["inputs"]) <= set(TEMPLATE["spec"]["inputs"])


def test_configurations_of_pre_commit() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    for configuration in examples("pre-commit"):
        assert [each["id"] for repo in configuration["repos"] for each in repo["hooks"]] == [hook["id"]]


def test_inputs_and_outputs_of_the_action() -> None:
    told = documented("GitHub", 0)
    assert set(told) == set(ACTION["inputs"])
    for name, about in ACTION["inputs"].items():
        if about["default"]:
            assert told[name] == about["default"]
    assert set(documented("GitHub", 1)) == set(ACTION["outputs"])


def test_inputs_of_the_template() -> None:
    told = documented("GitLab", 0)
    assert set(told) == set(TEMPLATE["spec"]["inputs"])
    for name, about in TEMPLATE["spec"]["inputs"].items():
        if about.get("default"):
            assert told[name] == about["default"]


def test_every_format_of_check() -> None:
    [option] = [each for each in command.params if each.name == "format_"]
    assert set(documented("Reports", 0)) == set(option.type.choices)  # type: ignore[attr-defined]


@pytest.mark.parametrize("script", ["integrations/github/check.sh", "integrations/gitlab/tinydeploy.gitlab-ci.yml"])
def test_the_scripts_ask_for_reports_that_there_are(script: str) -> None:
    asked = re.findall(r"--report=([a-z]+)=", (ROOT / script).read_text("utf-8"))
    assert asked
    assert set(asked) <= set(documented("Reports", 0))
