"""The suites beside this file, run as a user runs them: what must pass passes, each check fails in its own words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.firmware import build, needs_any, needs_unicorn
from tinydeploy import pipeline
from tinydeploy.boards import find_board
from tinydeploy.verify import random_inputs

pytest.importorskip("robot", reason="robotframework is not installed: pip install 'tinydeploy[robot]'")
pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tinydeploy[verify]'")
pytestmark = [needs_unicorn, needs_any]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# USART1 of the STM32F7: ISR at +0x1c, TDR at +0x28
FIRMWARE = {
    "firmware": """
static void put(char c)
{
    while (!(*(volatile unsigned *)0x4001101Cu & 0x80u)) { }
    *(volatile unsigned *)0x40011028u = (unsigned char)c;
}
int main(void)
{
    const char *text = "self-test passed\\n";
    while (*text) { put(*text++); }
    return 0;
}
""",
    # the byte behind the chip's 320 KiB of SRAM
    "faulty": "int main(void) { *(volatile unsigned *)0x20050000u = 7u; return 0; }",
    "badly": "int main(void) { return 3; }",
}

FAILS = tomllib.loads((HERE / "failing.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The figures of `digits`, from the stages themselves, and files that the suites read."""
    folder = tmp_path_factory.mktemp("truth")
    planned = pipeline.plan_model(pipeline.load("digits"), find_board("stm32f746"), pipeline.PlanOptions())
    plain = pipeline.build_image(planned, folder / "plain", markers=False)
    given = random_inputs(planned.model, 0, 1)
    ran = pipeline.run_model(pipeline.build_image(planned, folder / "marked"), _unicorn(), given)
    assert ran.cycles is not None
    (place,) = planned.model.outputs
    scores = ran.outputs[0][place]
    (asked,) = given[0].values()
    np.save(folder / "scores.npy", scores)
    np.save(folder / "inputs.npy", np.stack([np.zeros_like(asked), asked, asked]))
    stack = ran.watermark("stack")
    layers = ran.instructions_by_operator
    assert layers[0] == max(layers.values())
    for name, source in FIRMWARE.items():
        (folder / f"{name}.elf").write_bytes(build(source, "stm32f746").elf.read_bytes())
    return {
        "ARENA": str(planned.plan.arena_bytes),
        "STACK": str(stack),
        "SRAM": str(planned.plan.arena_bytes + stack + ran.built.image.static_bytes),
        "WEIGHTS": str(plain.constant_bytes),
        "CODE": str(plain.code_bytes),
        "INSTRUCTIONS": str(ran.instructions),
        "CYCLES": str(ran.cycles),
        "LATENCY": repr(1e3 * ran.cycles / 216_000_000),
        "LAYER 0": str(layers[0]),
        "NAME 0": planned.model.tensor(planned.model.operators[0].outputs[0]).name,
        "NAME": planned.model.tensor(place).name,
        "SCORES": str(scores.tolist()),
        "SCORES FILE": str(folder / "scores.npy"),
        "INPUTS FILE": str(folder / "inputs.npy"),
        "FIRMWARE": str(folder / "firmware.elf"),
        "FAULTY": str(folder / "faulty.elf"),
        "BADLY": str(folder / "badly.elf"),
    }


def _unicorn() -> Any:
    from tinydeploy.emulate import UnicornEmulator

    return UnicornEmulator()


@pytest.fixture(scope="module")
def ran(variables: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Both suites, by name: each test's status, message and keywords."""
    return {
        name: run_suite(HERE / f"{name}.robot", tmp_path_factory.mktemp(name), variables)
        for name in ("passing", "failing")
    }


def run_suite(suite: Path, folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a suite in a process of its own, and read what it wrote: (status, message, keywords) by test."""
    from robot.api import ExecutionResult, ResultVisitor

    class Keywords(ResultVisitor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.tests: dict[str, Any] = {}
            self.names: set[str] = set()

        def visit_test(self, test: Any) -> None:
            self.names = set()
            test.body.visit(self)
            self.tests[test.name] = (test.status, test.message, self.names)

        def start_keyword(self, keyword: Any) -> None:
            self.names.add(getattr(keyword, "kwname", None) or keyword.name)

    given = [f"--variable={name}:{value}" for name, value in variables.items()]
    nothing = folder / "nothing"  # no Renode on PATH
    nothing.mkdir()
    paths = [p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "renode").exists()]
    done = subprocess.run(
        [sys.executable, "-m", "robot", "--outputdir", str(folder / "out"), *given, str(suite)],
        cwd=nothing,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode < 250, done.stdout + done.stderr  # above: Robot Framework itself failed
    assert "[ ERROR ]" not in done.stderr, done.stderr
    visitor = Keywords()
    ExecutionResult(str(folder / "out" / "output.xml")).visit(visitor)
    return visitor.tests


def test_what_must_pass_passes(ran: dict[str, dict[str, Any]]) -> None:
    tests = ran["passing"]
    assert len(tests) == 13
    assert {name: message for name, (status, message, _) in tests.items() if status != "PASS"} == {}


@pytest.mark.parametrize("name", FAILS)
def test_what_must_fail_says_why(name: str, ran: dict[str, dict[str, Any]], variables: Mapping[str, str]) -> None:
    status, message, _ = ran["failing"][name]
    expected = re.sub(r"\{([A-Z 0]+)(-1)?\}", lambda m: f"{int(variables[m[1]]) - bool(m[2]):,}", FAILS[name])
    assert status == "FAIL"
    assert re.fullmatch(expected, message), message


def test_the_table_has_every_test_that_fails(ran: dict[str, dict[str, Any]]) -> None:
    assert set(ran["failing"]) == set(FAILS)


def test_every_keyword_is_used_and_every_check_has_failed(ran: dict[str, dict[str, Any]]) -> None:
    from robot.libdoc import LibraryDocumentation

    keywords = {keyword.name for keyword in LibraryDocumentation("tinydeploy.robot.Deploy").keywords}
    used = {suite: {k for *_, names in tests.values() for k in names} for suite, tests in ran.items()}
    assert keywords - used["passing"] == set()
    checks = {name for name in keywords if " Should " in name}
    assert len(checks) == 18
    assert checks - used["failing"] == set()


def test_the_suite_of_the_manual_does_what_the_manual_says(tmp_path: Path) -> None:
    manual = (ROOT / "docs" / "robot.md").read_text("utf-8")
    first = re.search(r"```robotframework\n(.*?)```", manual, re.DOTALL)
    assert first is not None
    suite = tmp_path / "keyword_spotting.robot"
    suite.write_text(first[1], "utf-8")
    tests = run_suite(suite, tmp_path, {})
    failed = {name: message for name, (status, message, _) in tests.items() if status != "PASS"}
    assert list(failed) == ["Room For The Radio"] and len(tests) == 5
    assert failed["Room For The Radio"] in " ".join(manual.split())


def test_the_suite_of_the_manual_for_renode_is_the_one_that_is_tested() -> None:
    manual = (ROOT / "docs" / "robot.md").read_text("utf-8")
    suite = (HERE / "beside_renode.robot").read_text("utf-8")
    lines = [
        line.strip() for line in manual.partition("Renode's load and run them")[2].partition("```\n")[0].splitlines()
    ]
    shown = [line for line in lines[lines.index("*** Test Cases ***") + 1 :] if line]
    tested = [line.strip() for line in suite.splitlines()]
    assert len(shown) == 13 and [line for line in shown if line not in tested] == []
