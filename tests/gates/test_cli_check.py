"""`tinydeploy check`: gates that pass and gates that fail, on real models."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.firmware import needs_any, needs_unicorn
from tinydeploy.batch import Case, Outcome, measure
from tinydeploy.cli import main
from tinydeploy.errors import MissingToolError
from tinydeploy.gates.baseline import Entry, read_baseline, write_baseline

BOARD = ("--board", "stm32f746")
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(name="run")
def _run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process, in an empty folder and with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")

    def run(*args: str) -> tuple[int, str, str]:
        code = main.run(args)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def network(middle: int, *, inserted: bool = False) -> bytes:
    """Convolutions on a 16 × 16 map: 3 × 3 to `middle` channels, one more if asked, then to 4."""
    rng = np.random.default_rng(3)
    g = writer.GraphBuilder()

    def conv(x: int, before: int, after: int, kernel: int, name: str) -> int:
        shape = (after, kernel, kernel, before)
        w = g.tensor(f"{name}/w", shape, scale=0.01, data=writer.weights_int8(rng, shape))
        b = g.tensor(f"{name}/b", (after,), "int32", scale=0.0005, data=np.zeros(after))
        y = g.tensor(name, (1, 16, 16, after), scale=0.05)
        g.op("CONV_2D", [x, w, b], [y], version=3, padding="SAME", activation="RELU")
        return y

    image = g.tensor("image", (1, 16, 16, 4), scale=0.05)
    x = conv(image, 4, middle, 3, "first")
    if inserted:
        x = conv(x, middle, middle, 1, "inserted")
    return g.build([image], [conv(x, middle, 4, 1, "last")])


def test_options_alone(run: Run) -> None:
    # digits' arena is 512 B
    code, out, err = run("check", "digits", *BOARD, "--depth", "plan", "--budget", "arena=512")
    assert (code, err) == (0, "")
    assert "passed: 2 budgets of 1 case, all kept" in out
    code, out, err = run("check", "digits", *BOARD, "--depth", "plan", "--budget", "arena=511")
    assert (code, err) == (1, "")
    assert "failed: 1 budget exceeded, 1 of 1 case not passed" in out
    assert "digits on stm32f746g_disco: arena 512 B is 1 B over its budget of 511 B" in out
    assert "alive at MAX_POOL_2D #1" in out


def test_a_board_that_is_too_small(run: Run) -> None:
    # its weights alone, a byte each, are more than the 64 KiB of flash of an STM32F030R8
    code, out, _ = run("check", "resnet8", "--board", "nucleo_f030r8", "--depth", "plan", "--format", "json")
    (case,) = json.loads(out)["cases"]
    (verdict,) = case["verdicts"]
    assert (code, case["status"], verdict["budget"], verdict["result"]) == (1, "does-not-fit", "fits", "exceeded")
    assert "flash is " in verdict["message"]
    assert "bytes too small" in verdict["message"]


@needs_unicorn
@needs_any
def test_a_gate_over_a_models_life(run: Run) -> None:
    """Without a baseline, with one, after a change that is allowed, and after one that is not."""
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    Path("net.tflite").write_bytes(network(8))
    Path("tinydeploy.toml").write_text(
        'check.boards = ["stm32f746"]\n'
        "[check.budget]\nmatches_reference = true\nno_slow_kernels = true\ntimeout = 300\n"
        '[check.growth]\narena = "0"\ninstructions = "20%"\n'
        '[[check.model]]\npath = "net.tflite"\n'
    )
    code, out, _ = run("check")
    assert code == 2
    assert "the growth of arena cannot be judged: tinydeploy.lock has no entry for this case: --update adds it" in out
    code, out, _ = run("check", "--update")
    assert code == 0
    assert "tinydeploy.lock is up to date" in out
    lock = Path("tinydeploy.lock").read_text()
    assert run("check")[0] == 0
    Path("net.tflite").write_bytes(network(8, inserted=True))
    code, out, _ = run("check", "--format", "json")
    data = json.loads(out)
    assert (code, data["exit_code"], data["passed"]) == (1, 1, False)
    (case,) = data["cases"]
    wrong = {verdict["budget"]: verdict for verdict in case["verdicts"] if verdict["result"] != "passed"}
    assert set(wrong) == {"arena", "instructions"}
    assert wrong["instructions"]["culprit"].startswith("CONV_2D #1 'inserted' is new, ")
    assert wrong["instructions"]["baseline"] == int(lock.partition("instructions = ")[2].partition("\n")[0])
    assert wrong["arena"]["over_by"] == case["figures"]["arena_bytes"] - case["baseline"]["arena_bytes"] > 0
    assert (wrong["arena"]["file"], wrong["arena"]["line"]) == ("tinydeploy.toml", 7)
    assert Path("tinydeploy.lock").read_text() == lock  # a check writes nothing
    assert run("check", "--growth", "arena=any", "--growth", "instructions=any")[0] == 0


def test_update_writes_what_was_measured_and_nothing_else(run: Run) -> None:
    for name in ("a", "b", "c"):
        Path(f"{name}.tflite").write_bytes(network(8))
    Path("tinydeploy.toml").write_text(
        'check.boards = ["stm32f746"]\ncheck.depth = "plan"\n[[check.model]]\npath = "*.tflite"\n'
    )
    assert run("check", "--update")[0] == 0
    before = Path("tinydeploy.lock").read_text().split("\n\n")
    for name in ("a", "b"):
        Path(f"{name}.tflite").write_bytes(network(12))
    assert run("check", "b.tflite", "--update")[0] == 0
    after = Path("tinydeploy.lock").read_text().split("\n\n")
    assert [part.splitlines()[0] for part in after if part not in before] == ['["b.tflite".stm32f746g_disco]']
    Path("c.tflite").unlink()
    code, out, _ = run("check")
    assert code == 0
    assert "tinydeploy.lock has entries that nothing checks any more, and --update drops: c.tflite on" in out
    code, out, _ = run("check", "--update")
    assert '["c.tflite"' not in Path("tinydeploy.lock").read_text()
    assert "dropped from tinydeploy.lock" in out
    Path("a.tflite").write_bytes(b"no model")
    before_text = Path("tinydeploy.lock").read_text()
    code, out, _ = run("check", "--update")
    assert code == 3  # the model cannot be read; its entry stays
    assert Path("tinydeploy.lock").read_text() == before_text
    assert "not written into tinydeploy.lock, since it went wrong: a.tflite on stm32f746g_disco" in out


def test_one_that_fails_does_not_stop_the_others(run: Run) -> None:
    Path("bad.tflite").write_bytes(b"no model")
    code, out, _ = run("check", "bad.tflite", "digits", *BOARD, "--depth", "plan", "--format", "json")
    data = json.loads(out)
    assert code == 3
    assert [case["status"] for case in data["cases"]] == ["refused", "ok"]
    code, out, _ = run("check", "bad.tflite", "digits", *BOARD, "--depth", "plan", "--budget", "arena=1")
    assert code == 1  # a budget that is exceeded goes before everything else


def test_reports_of_one_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(Path("summary.md")))
    Path("summary.md").write_text("before\n")
    reports = [f"--report={name}={name}.out" for name in ("table", "json", "md", "junit", "sarif")]
    code, out, _ = run("check", "digits", *BOARD, "--depth=plan", "--budget=arena=1", "--format=github", *reports)
    assert code == 1
    assert out.startswith("::error ")
    assert Path("summary.md").read_text().startswith("before\n")
    assert Path("summary.md").read_text().endswith(Path("md.out").read_text())
    assert json.loads(Path("json.out").read_text())["exit_code"] == 1
    assert json.loads(Path("sarif.out").read_text())["version"] == "2.1.0"
    assert ElementTree.parse("junit.out").getroot().find(".//failure") is not None
    assert "arena 512 B is 511 B over its budget of 1 B" in Path("table.out").read_text()


@pytest.mark.parametrize(
    "args, words",
    [
        ((), "there is nothing to check"),
        (("digits",), "no board is named"),
        (("digits", *BOARD, "--budget", "arena"), "--budget arena: must be NAME=LIMIT"),
        (("digits", *BOARD, "--budget", "arean=1"), "there is no budget `arean`"),
        (("digits", *BOARD, "--growth", "arena=-1"), "is not a size"),
        (("digits", *BOARD, "--report", "pdf=x"), "the formats are table, json, md, junit, github, sarif"),
        (("digits", *BOARD, "--config", "none.toml"), "none.toml: no such file"),
        (("digits", *BOARD, "--timeout", "0"), "must be a number of seconds above 0"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("check", *args)
    assert (code, out) == (2, "")
    assert words in err


def test_a_conflicted_baseline_is_told_before_anything_is_measured(run: Run) -> None:
    Path("tinydeploy.lock").write_text("format = 1\n<<<<<<< HEAD\n")
    code, out, err = run("check", "digits", *BOARD)
    assert (code, out) == (2, "")
    assert "tinydeploy.lock:2: holds the marks of a merge conflict" in err


def test_a_missing_compiler_is_no_pass(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, out, _ = run("check", "digits", *BOARD, "--toolchain", "gcc", "--budget", "code=1M", "--depth", "build")
    assert code == 4
    assert "1 of 2   missing-tool" in out
    assert "missing-tool: arm-none-eabi-gcc is not on PATH" in out


def test_the_configuration_gives_commands_their_defaults(run: Run) -> None:
    Path("tinydeploy.toml").write_text(
        'board = "stm32f746"\nexecution = "whole"\nin_place = false\nstack_bytes = "3K"\n'
    )
    code, out, _ = run("plan", "digits", "--format", "json")
    options = json.loads(out)["provenance"]["options"]
    assert (code, options["board"], options["execution"], options["in_place"]) == (0, "stm32f746", "whole", False)
    assert json.loads(out)["sram"]["stack_bytes"] == 3072
    code, out, _ = run("plan", "digits", "--board", "nrf52dk", "--execution", "streamed", "--format", "json")
    options = json.loads(out)["provenance"]["options"]
    assert (options["board"], options["execution"], options["in_place"]) == ("nrf52dk", "streamed", False)
    Path("other.toml").write_text("")
    code, _, err = run("--config", "other.toml", "plan", "digits")
    assert code == 2
    assert "--board" in err
    Path("tinydeploy.toml").write_text("bord = 'x'")
    code, _, err = run("cost", "digits")
    assert code == 2
    assert "tinydeploy.toml:1: bord: unknown key" in err
    assert "did you mean `board`?" in err


def test_every_key_of_the_report_is_documented(run: Run) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    section = page.partition("\n## check\n")[2].partition("\n## ")[0]
    data: Any = json.loads(run("check", "digits", *BOARD, "--depth", "plan", "--format", "json")[1])
    case = data["cases"][0]
    keys = {"command": "", **data, **data["baseline"], **case, **case["verdicts"][0]}
    common = {"schema_version", "command", "kinds", "provenance"}
    named = {name for code in re.findall(r"`([^`]+)`", section) for name in re.findall(r"[a-z_0-9]+", code)}
    assert set(keys) - named <= common


def test_the_example_in_the_manual_is_one(tmp_path: Path) -> None:
    from tinydeploy.config import BUDGETS, load_config

    page = (Path(__file__).resolve().parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
    examples = page.split("```toml\n")[1:]
    assert examples
    for number, text in enumerate(examples):
        if "format = 1" not in text:
            path = tmp_path / f"{number}.toml"
            path.write_text(text.partition("```")[0])
            load_config(path)
    assert not [name for name in BUDGETS if f"`{name}`" not in page]


def test_the_command_starts_without_what_it_may_not_need() -> None:
    code = "import sys; from tinydeploy.cli import check; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_options_are_wrong_usage(run: Run) -> None:
    code, out, _ = run("check", "digits", *BOARD, "--depth", "plan", "--keep", "no such tensor")
    assert code == 2
    assert "'no such tensor' is no tensor that the model computes" in out


def test_what_ended_a_case_is_told_once(run: Run) -> None:
    Path("broken.tflite").write_bytes(b"no model")
    code, out, _ = run("check", "broken.tflite", *BOARD, "--budget", "arena=1K", "--budget", "no_slow_kernels=true")
    assert code == 3
    assert out.count("broken.tflite on stm32f746g_disco") == 1
    assert "broken.tflite on stm32f746g_disco: refused: " in out


@needs_unicorn
@needs_any
def test_outputs_that_nothing_was_compared_with_are_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> object:
        raise MissingToolError("neither is installed", hint="run with --no-verify")

    monkeypatch.setattr("tinydeploy.verify.reference_outputs", missing)

    def here(cases: Sequence[Case], **_: object) -> Generator[tuple[int, Outcome], None, None]:
        yield from enumerate(map(measure, cases))

    monkeypatch.setattr(sys.modules["tinydeploy.gates.check"], "run_cases", here)  # a function of the package, too
    code, out, _ = run("check", "digits", *BOARD)
    assert (code, out.count("not verified")) == (0, 1)
    assert "note: outputs are not verified: neither is installed; pip install 'tinydeploy[verify]'" in out


@pytest.mark.parametrize("args", [("boards",), ("ops",), ("models",), ("doctor", "--help"), ("plan", "--help")])
def test_what_takes_nothing_from_the_configuration_goes_on_without(run: Run, args: tuple[str, ...]) -> None:
    Path("tinydeploy.toml").write_text("jobs = 0")
    code, out, err = run(*args)
    assert (code, err) == (0, "")
    assert out


def test_another_configuration_than_one_that_is_wrong(run: Run) -> None:
    Path("tinydeploy.toml").write_text("jobs = 0")
    Path("good.toml").write_text('check.boards = ["stm32f746"]')
    assert run("check", "digits", "--depth", "plan", "--config", "good.toml")[0] == 0
    for args in (
        ("check", "digits", *BOARD),
        ("plan", "digits", *BOARD),
        ("--config", "tinydeploy.toml", "cost", "kws"),
    ):
        code, out, err = run(*args)
        assert (code, out) == (2, "")
        assert err.startswith("error: tinydeploy.toml:1: jobs: must be a whole number")


@pytest.mark.parametrize(
    "args, words",
    [
        (("--budget", "matches_reference=1"), "--budget matches_reference=1: must be true or false"),
        (("--budget", "arena=x"), "--budget arena=x: 'x' is not a size"),
        (("--growth", "arena=-1%"), "--growth arena=-1%: '-1%' is not a size"),
        (("--timeout", "0"), "--timeout 0: must be a number of seconds above 0"),
        (("--report", "junit"), "--report junit: must be FORMAT=FILE"),
        (("--report", "json=none/x.json"), "--report json=none/x.json: there is no folder none"),
        (("--report", "json=.."), "--report json=..: it is a folder"),
    ],
)
def test_mistakes_are_told_with_the_option(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("check", "digits", *BOARD, "--update", *args)
    assert (code, out) == (2, "")
    assert f"error: {words}" in err
    assert not Path("tinydeploy.lock").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk cannot be installed on this system")
def test_a_full_disk_hides_no_answer(run: Run) -> None:
    args = ("check", "digits", *BOARD, "--depth", "plan", "--budget", "arena=1")
    code, out, err = run(*args, "--report", "md=/dev/full", "--report", "json=check.json")
    assert (code, err) == (2, "error: cannot write to /dev/full: No space left on device\n")
    assert "arena 512 B is 511 B over its budget of 1 B" in out
    assert json.loads(Path("check.json").read_text())["exit_code"] == 1
    code, out, err = run(*args, "--log-file", "/dev/full")
    assert (code, err) == (1, "cannot write to /dev/full: No space left on device\n")


def test_updates_of_two_checks_at_once_are_both_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dict.fromkeys([("kws", "nrf52dk")], Entry("abc", "0.1.0"))

    def meanwhile(cases: Any, **_: object) -> Any:
        write_baseline(Path("tinydeploy.lock"), other)
        yield from enumerate(map(measure, cases))

    monkeypatch.setattr(sys.modules["tinydeploy.gates.check"], "run_cases", meanwhile)
    assert run("check", "digits", *BOARD, "--depth", "plan", "--update")[0] == 0
    assert set(read_baseline(Path("tinydeploy.lock"))) == {*other, ("digits", "stm32f746g_disco")}
