"""The README's samples are what the commands print. `python -m tests.golden.test_readme` writes them anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinydeploy.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PLAN = ("plan", "models/kws.tflite", "--board", "stm32f746")
RUN = ("run", "models/kws.tflite", "--board", "stm32f746")


def printed(arguments: tuple[str, ...]) -> str:
    """What a command prints, from the top of the repository."""
    command = [sys.executable, "-m", "tinydeploy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(text: str, name: str) -> str:
    """The sample between the markers, without its fence."""
    found = re.search(rf"<!-- {name} -->\n```console\n(.*?)```\n<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, name
    return found[1]


def sample(arguments: tuple[str, ...]) -> str:
    """A command with what it prints, as a block of Markdown."""
    lines = f"$ tinydeploy {' '.join(arguments)}\n{printed(arguments)}".rstrip().splitlines()
    return "```console\n" + "".join(line.rstrip() + "\n" for line in lines) + "```\n"


def test_the_plan_is_current() -> None:
    shown = block(README.read_text("utf-8"), "plan").split("\n", 1)
    assert shown[0] == "$ tinydeploy " + " ".join(PLAN)
    assert [line.rstrip() for line in shown[1].rstrip().splitlines()] == [
        line.rstrip() for line in printed(PLAN).rstrip().splitlines()
    ]


def test_the_run_is_of_the_same_model_and_was_exact() -> None:
    text = README.read_text("utf-8")
    shown, plan = block(text, "run"), block(text, "plan")
    assert shown.startswith("$ tinydeploy " + " ".join(RUN))
    assert "bit-exact with tflite-micro" in shown
    sha = re.search(r"sha256 (\w+)", plan)
    assert sha is not None
    assert sha[0] in shown
    opcodes = re.findall(r"^ *\d+ +([A-Z_0-9]+) ", plan, re.MULTILINE)
    assert opcodes
    assert re.findall(r"^ *\d+ +([A-Z_0-9]+) ", shown, re.MULTILINE) == opcodes


@pytest.mark.parametrize("command", sorted(cli.list_commands(None)))  # type: ignore[arg-type]
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"`tinydeploy {command}" in README.read_text("utf-8") or f"`{command}`" in README.read_text("utf-8")


def fenced(language: str) -> str:
    """The README's only sample in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```\n", README.read_text("utf-8"), re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_budgets_shown_are_kept(tmp_path: Path) -> None:
    text = fenced("toml")
    (tmp_path / "tinydeploy.toml").write_text(text, encoding="utf-8")
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / "models" / "kws.tflite", tmp_path / "models")
    command = [sys.executable, "-m", "tinydeploy", "check", "--no-cache", "--format", "json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    first = run("--update")
    assert first.returncode == 0, first.stderr
    second = run()
    assert second.returncode == 0, second.stderr
    assert second.stdout.count('"instructions"') >= 4  # a budget and a growth on each board
    (tmp_path / "tinydeploy.toml").write_text(text.replace('arena = "4K"', 'arena = "3K"'), encoding="utf-8")
    assert run().returncode == 1


def test_the_suite_shown_passes(tmp_path: Path) -> None:
    (tmp_path / "suite.robot").write_text(fenced("robotframework"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "robot", "--outputdir", str(tmp_path), str(tmp_path / "suite.robot")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 test, 1 passed, 0 failed" in done.stdout


def refresh() -> None:
    """Write both samples anew."""
    text = README.read_text("utf-8")
    for name, arguments in (("plan", PLAN), ("run", RUN)):
        new = sample(arguments)
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, new=new: m[1] + new + m[2], text, flags=re.DOTALL
        )
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    refresh()
