"""`run` and `emulate` with --trace and --gdb, from the command line."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.firmware import build, needs_any, needs_unicorn
from tests.support.rsp import Client
from tinydeploy.cli import main

pytestmark = [needs_unicorn, needs_any]
BOARD = ("--board", "stm32f746")


def events(path: Path) -> list[tuple[dict[str, Any], str]]:
    """Ends of slices, each with the function that it lies in."""
    found, stack = [], []
    for event in json.loads(path.read_text())["traceEvents"]:
        if event["ph"] == "B":
            stack.append(event)
        elif event["ph"] == "E":
            stack.pop()
            around = next((e["name"] for e in reversed(stack) if e["cat"] == "function"), "")
            found.append((event, around))
    assert not stack
    return found


def test_run_writes_a_trace_whose_totals_are_the_reports(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kws.json"
    assert main.run(("run", "kws", *BOARD, "--no-verify", "--trace", str(path), "--format", "json")) == 0
    report = json.loads(capfd.readouterr().out)
    functions: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    for event, around in events(path):
        count = event["args"]["instructions"]
        if event["cat"] == "function":
            functions[event["name"]] += count
            functions[around] -= count
        else:
            layers[event["name"]] += count
    del functions[""]
    assert functions == report["run"]["functions"]
    counts = {layer["index"]: layer["instructions"] for layer in report["run"]["layers"]}
    expected = {f"{layer['index']} {layer['opcode']}": counts[layer["index"]] for layer in report["layers"]}
    assert {name: layers[name] for name in expected} == expected
    assert layers.total() == report["run"]["instructions"]
    about = json.loads(path.read_text())["otherData"]
    assert about["sha256"]["model"] == report["model"]["sha256"]
    assert (about["board"], about["complete"]) == ("stm32f746g_disco", True)
    assert about["kinds"]["cycles"].startswith("modelled")
    # streamed: the first layer comes in turns of rows that follow on one another
    rows = [event["args"]["rows"] for event, _ in events(path) if event["name"] == "0 CONV_2D"]
    assert len(rows) > 1 and rows[0][0] == 0
    assert all(after[0] == before[1] for before, after in pairwise(rows))


@pytest.mark.parametrize(("name", "words"), [("x.txt", "must end in .json"), ("none/x.json", "there is no folder")])
def test_a_trace_that_cannot_be_written_costs_no_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    assert main.run(("run", "kws", *BOARD, "--trace", str(tmp_path / name))) == 2
    captured = capfd.readouterr()
    assert words in captured.err and not captured.out


def test_a_trace_that_cannot_be_written_after_all_costs_no_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elf = build("int main(void) { return 0; }", "stm32f746").elf
    path = tmp_path / "x.json"
    path.symlink_to(tmp_path / "none" / "x.json")
    for call in (("emulate", str(elf)), ("run", "digits", "--no-verify")):
        assert main.run((*call, *BOARD, "--trace", str(path), "--format", "json")) == 2
        captured = capfd.readouterr()
        assert json.loads(captured.out)
        assert f"cannot write {path}: No such file or directory" in captured.err


def test_emulate_traces_firmware_that_faults(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    elf = build("int main(void) { *(volatile int *)0x30000000 = 1; return 0; }", "stm32f746").elf
    path = tmp_path / "x.speedscope.json"
    assert main.run(("emulate", str(elf), *BOARD, "--trace", str(path), "--format", "json")) == 5
    report = json.loads(capfd.readouterr().out)
    counts = {f["name"]: f["instructions"] for f in report["functions"]}
    data = json.loads(path.read_text())
    assert {frame["name"] for frame in data["shared"]["frames"]} == set(counts)
    assert data["profiles"][-1]["endValue"] == report["instructions"] == sum(counts.values())


def test_run_waits_for_a_debugger_and_then_reports_as_ever(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "tinydeploy", "run", "kws", *BOARD, "--no-verify", "--format", "json"]
    alone = json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    with subprocess.Popen([*call, "--gdb", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and process.stdout is not None
        line = next(line for line in process.stderr if line.startswith("waiting for a debugger"))
        match = re.fullmatch(
            r"waiting for a debugger: gdb-multiarch -d (\S+) -d (\S+) (\S+) -ex 'target remote 127\.0\.0\.1:(\d+)'\n",
            line,
        )
        assert match is not None
        assert (Path(match[1]) / "kws.c").is_file() and (Path(match[2]) / "firmware/port/startup.c").is_file()
        assert Path(match[3]).is_file()
        with Client(int(match[4])) as client:
            assert client.ask("c") == "W00"
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    debugged = json.loads(out)
    for report in (alone, debugged):
        del report["run"]["seconds_emulating"]
        report["provenance"] = None
    assert debugged == alone


def test_one_run_is_debugged(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(("run", "kws", *BOARD, "--samples", "2", "--gdb", "0")) == 2
    assert "2 samples are 2 runs" in capfd.readouterr().err


def test_a_port_that_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main.run(("run", "kws", *BOARD, "--gdb", str(port))) == 2
    assert f"cannot listen on port {port}" in capfd.readouterr().err
