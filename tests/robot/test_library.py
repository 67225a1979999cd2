"""The library as Python sees it: what no suite can provoke, and names that come out of hostile model files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.firmware import needs_any, needs_unicorn
from tests.support.tflite_writer import pack, unpack
from tinydeploy.catalog import model_path
from tinydeploy.pipeline import PlanOptions
from tinydeploy.robot import Deploy
from tinydeploy.robot.arguments import CONVERTERS, Count
from tinydeploy.robot.failures import KeywordError
from tinydeploy.robot.results import Result

pytest.importorskip("robot", reason="robotframework is not installed: pip install 'tinydeploy[robot]'")
needs_reference = pytest.mark.usefixtures("reference")

HOSTILE = "*HTML*<script>alert(1)</script>"


@pytest.fixture
def reference() -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tinydeploy[verify]'")


@pytest.fixture
def deploy() -> Deploy:
    """The library, as a suite imports it."""
    return Deploy(board="stm32f746")


def digits() -> bytes:
    """The bytes of a shipped model."""
    path = model_path("digits")
    assert path is not None
    return path.read_bytes()


def one_bit_wrong(result: Result, tensor: int) -> Result:
    """The same, with the lowest bit of a tensor's first element changed."""
    assert result.ran is not None
    (sample,) = result.ran.outputs
    wrong = np.array(sample[tensor])
    wrong.reshape(-1)[0] ^= 1
    return replace(result, ran=replace(result.ran, outputs=({**sample, tensor: wrong},)))


@needs_any
@needs_unicorn
@needs_reference
def test_one_wrong_bit_is_seen(deploy: Deploy) -> None:
    result = deploy.run_on_board("digits")
    deploy.use_result(one_bit_wrong(result, result.planned.model.outputs[0]))
    with pytest.raises(KeywordError, match=r"outputs differ from tflite-micro .* \[0, 0\] is .*1 of 10 elements"):
        deploy.outputs_should_match_reference()
    deploy.use_result(result)
    deploy.outputs_should_match_reference()


@needs_any
@needs_unicorn
@needs_reference
def test_what_is_no_result_is_not_used(deploy: Deploy) -> None:
    with pytest.raises(KeywordError, match="str is no result"):
        deploy.use_result("Run On Board")  # type: ignore[arg-type]


def test_the_first_layer_that_differs_is_named(deploy: Deploy) -> None:
    result = deploy.run_on_board("digits", layers=True)
    deploy.use_result(one_bit_wrong(result, result.planned.model.operators[2].outputs[0]))
    with pytest.raises(KeywordError, match=r"outputs differ .* operator 2 \(DEPTHWISE_CONV_2D\)"):
        deploy.outputs_should_match_reference()


@needs_any
@needs_unicorn
def test_another_file_than_the_one_that_ran_is_no_reference(deploy: Deploy, tmp_path: Path) -> None:
    file = tmp_path / "changing.tflite"
    file.write_bytes(digits())
    deploy.run_on_board(str(file))
    file.write_bytes(digits() + b"\0")
    with pytest.raises(KeywordError, match=r"changing\.tflite has changed since it was planned"):
        deploy.outputs_should_match_reference()


@needs_any
def test_a_failed_run_is_the_current_result(deploy: Deploy) -> None:
    pytest.importorskip("unicorn", reason="unicorn is not installed: pip install 'tinydeploy[run]'")
    deploy.plan_model("kws", stack_bytes=64)  # type: ignore[arg-type]
    with pytest.raises(KeywordError, match="the stack reaches down to"):
        deploy.run_on_board()
    with pytest.raises(KeywordError, match=r"the run failed \(stack-overflow\)"):
        deploy.faults_should_be_none()


def test_plan_model_has_every_option_of_a_plan() -> None:
    ours = {p.name: p.default for p in signature(Deploy.plan_model).parameters.values()}
    theirs = {field.name: field.default for field in fields(PlanOptions)}
    assert set(theirs) == set(ours) - {"self", "model", "board"}
    for name, default in theirs.items():
        assert ours[name] == (None if default == () else default), name


def test_counts_are_read_as_renode_answers_them() -> None:
    read = CONVERTERS[Count]
    assert read("0x00000000000239EB\r\n") == 145_899
    for text in ("0x", "0xFG", "0x-1", "0x_1", "0x" + "1" * 40, "239EB"):
        with pytest.raises(ValueError, match="is not a count"):
            read(text)


def test_it_imports_without_robot_framework() -> None:
    code = "import sys; sys.modules['robot'] = None; from tinydeploy.robot import Deploy; Deploy(board='stm32f746')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class _Tags(HTMLParser):
    """The tags of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs in ([], [("style", "text-align: right")])
        self.tags.add(tag)


def test_hostile_names_do_nothing_in_the_log(tmp_path: Path) -> None:
    model = unpack(digits())
    for tensor in model.subgraphs[0].tensors:
        tensor.name = HOSTILE.encode()
    (tmp_path / f"{HOSTILE.replace('/', '')}.tflite").write_bytes(pack(model))
    (file,) = tmp_path.iterdir()
    suite = tmp_path / "hostile.robot"
    suite.write_text(
        "*** Settings ***\nLibrary    tinydeploy.robot.Deploy    board=stm32f746\n*** Test Cases ***\n"
        "Fits Not\n    Plan Model    ${MODEL}    stack_bytes=1M\n    Model Should Fit\n"
        "Is Too Large\n    Arena Should Be At Most    1\n",
        "utf-8",
    )
    subprocess.run(
        [sys.executable, "-m", "robot", "-d", str(tmp_path / "out"), "--variable", f"MODEL:{file}", str(suite)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=120,
        check=False,
    )
    tests = list(_tests(tmp_path / "out" / "output.xml"))
    assert [test.status for test in tests] == ["FAIL", "FAIL"]
    assert "does not fit" in tests[0].message and "alive at operator" in tests[1].message
    assert all(HOSTILE[:14] in test.message and not test.message.startswith("*HTML*") for test in tests)
    pages = [m.message for test in tests for k in test.body for m in getattr(k, "messages", ()) if m.html]
    assert len(pages) == 1 and "&lt;script&gt;" in pages[0]
    assert _Tags(pages[0]).tags <= {"p", "b", "table", "tr", "th", "td"}


def _tests(output: Path) -> Iterator[Any]:
    from robot.api import ExecutionResult

    yield from ExecutionResult(str(output)).suite.tests
