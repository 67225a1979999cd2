"""The command line: exit codes of every kind of wrong input, one line and a hint, streams, start-up, completion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinydeploy import errors
from tinydeploy.cli import main

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "tuple[int, str, str]"]


def spawn(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tinydeploy", *args],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=ROOT,
        **options,
    )


def one_line_and_hint(err: str) -> None:
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2, err
    assert all(line.startswith("hint: ") for line in lines[1:])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["plam", "kws"], "Did you mean 'plan'?"),
        (["zzz"], "no command 'zzz'"),
        (["plan"], "Missing argument 'MODEL...'"),
        (["plan", "kws"], "--board"),
        (["plan", "kws", "--board", "stm32f746", "--format", "xml"], "xml"),
        (["plan", "kws", "--board", "stm32f746", "--stack-bytes", "-1"], "--stack-bytes"),
        (["plan", "kws", "--board", "stm32f746", "--reserve", "dtcm"], "is not REGION=BYTES"),
        (["build", "kws", "--board", "stm32f746", "-o", "x", "--reserve", "dtcm=65K"], "only 65,536 bytes"),
        (["run", "kws", "--board", "stm32f746", "--regions", "dtmc"], "did you mean dtcm?"),
        (["plan", "kws", "--board", "stm32f746", "--regions", "flash"], "FLASH of stm32f746g_disco is flash, not RAM"),
        (["cost", "kws", "--bits", "0"], "--bits"),
        (["cost", "kwz"], "did you mean the shipped model 'kws'"),
        (["cost", "alexnit"], "did you mean the shipped network 'alexnet'"),
        (["cost", "no/such/kws.tflite"], "no such file"),
        (["cost", "kws\x1b[31m.tflite"], "\\x1b[31m"),
        (["cost", "x" * 5000], "no shipped model"),
        (["cost", "kws", "--board", "stm32f747"], "stm32f746"),
        (["boards", "stm32f747"], "stm32f746"),
        (["emulate", "none.elf", "--board", "stm32f746"], "cannot read none.elf"),
        (["run", "kws", "--board", "stm32f746", "--samples", "0"], "--samples"),
        (["run", "kws", "--board", "stm32f746", "--seed", "-1"], "--seed"),
        (["run", "kws", "--board", "stm32f746", "--toolchain", "icc"], "icc"),
    ],
)
def test_wrong_usage_is_2_with_one_line(run: Run, args: list[str], words: str) -> None:
    code, out, err = run(*args)
    assert code == 2
    assert out == ""
    assert words in err
    one_line_and_hint(err)
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello", "not a TFLite model"), (b"\0\0\0\0TFL3" + bytes(40), "")],
)
def test_an_unreadable_model_is_3(run: Run, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    code, out, err = run("cost", str(path))
    assert (code, out) == (3, "")
    assert words in err
    assert "bad.tflite" in err
    one_line_and_hint(err)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.GateError("too large"), 1),
        (errors.UsageError("no"), 2),
        (errors.BoardError("no"), 2),
        (errors.ModelError("no"), 3),
        (errors.UnsupportedModelError("no"), 3),
        (errors.MissingToolError("no", hint="pip install it"), 4),
        (errors.RunError("no"), 5),
        (errors.MismatchError("no"), 6),
        (errors.BuildError("line one\nline two"), 70),
        (errors.PlanInvalidError("no"), 70),
        (ValueError("surprise"), 70),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_every_error_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr("tinydeploy.catalog.entries", fail)
    if isinstance(error, BrokenPipeError):
        monkeypatch.setattr(main.os, "dup2", lambda *args: None)  # it would close this process's own output
    got, out, err = run("models")
    assert got == code
    assert out == ""
    assert ("Traceback" in err) is (code == 70)
    assert ("please report it" in err) is (code == 70)
    if isinstance(error, BrokenPipeError):
        assert err == ""
    if isinstance(error, errors.BuildError):
        assert "error: line one\nline two" in err
    if isinstance(error, errors.MissingToolError):
        assert err == "error: no\nhint: pip install it\n"


def test_a_message_with_control_characters_stays_one_harmless_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise errors.ModelError("a\nb\x1b[2Jc\x07", hint="d\ne")

    monkeypatch.setattr("tinydeploy.catalog.entries", fail)
    assert run("models") == (3, "", "error: a b\\x1b[2Jc\\x07\nhint: d e\n")


def test_help_has_an_example_of_each_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "tinydeploy run kws.tflite --board stm32f746" in out
    for name in main.COMMANDS:
        assert f"\n  {name} " in out
        code, text, _ = run(name, "--help")
        assert code == 0
        assert text.count(f"    tinydeploy {name}") == 1, name
        assert "Example:" in text


def test_version(run: Run) -> None:
    import tinydeploy

    assert run("--version") == (0, f"tinydeploy, version {tinydeploy.__version__}\n", "")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["plan", "--help"], ["run", "--help"]])
def test_start_up_imports_nothing_heavy(args: list[str]) -> None:
    """The time itself never decides a test; what is imported decides the time."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tinydeploy", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "click" in imported
    heavy = (
        "numpy",
        "rich",
        "jinja2",
        "unicorn",
        "elftools",
        "tensorflow",
        "tflite_micro",
        "ai_edge_litert",
        "ortools",
    )
    assert not {name for name in imported if name.split(".")[0] in heavy}
    assert "tinydeploy.pipeline" not in imported
    assert "tinydeploy.ir" not in imported


def test_a_plan_imports_only_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tinydeploy", "plan", "kws", "--board", "stm32f746"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "numpy" in imported
    unneeded = {"numpy.ma", "numpy.testing", "jinja2", "difflib", "tempfile", "elftools", "unicorn", "ortools"}
    assert not imported & unneeded


def test_json_goes_to_standard_output_alone(run: Run) -> None:
    code, out, err = run("cost", "kws", "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["schema_version"] == 1
    assert data["totals"]["macs"] == 2_656_768  # published for MLPerf Tiny's keyword spotting
    assert data["model"]["path"].endswith("kws.tflite")
    assert len(data["model"]["sha256"]) == 64


def test_cost_of_a_network_with_bits_and_board(run: Run) -> None:
    code, out, _ = run("cost", "alexnet", "--bits", "32", "--board", "stm32f746", "--format", "json")
    assert code == 0
    data = json.loads(out)
    assert data["model_size"] == {"bits": 32, "bytes": 4 * 60_954_656}  # 61 M parameters, 244 MB
    assert data["board"] == "stm32f746g_disco"
    assert data["estimate"]["kind"] == data["kinds"]["estimate"] == "modelled"
    assert data["provenance"]["options"] == {"board": "stm32f746", "bits": 32}


def test_a_path_wins_over_a_shipped_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kws").write_bytes(b"not a model")
    assert run("cost", "kws")[0] == 3


@pytest.mark.parametrize("format_", ["table", "md", "json"])
def test_listings(run: Run, format_: str) -> None:
    code, out, err = run("boards", "--format", format_)
    assert (code, err) == (0, "")
    assert "stm32f746" in out.replace("\\", "")
    code, out, _ = run("boards", "stm32f746", "--format", format_)
    assert code == 0
    assert "DTCM" in out
    code, out, _ = run("ops", "--format", format_)
    assert code == 0
    assert "DEPTHWISE_CONV_2D" in out.replace("\\", "")
    code, out, _ = run("models", "--format", format_)
    assert code == 0
    assert "alexnet" in out
    assert "kws" in out


def test_ops_are_those_of_the_registry(run: Run) -> None:
    from tinydeploy.operators.registry import kinds

    data = json.loads(run("ops", "--format", "json")[1])
    assert [(e["opcode"], e["runs"]) for e in data["operators"]] == [(k.opcode, k.runs) for k in kinds()]
    assert all(e["about"] for e in data["operators"])


def test_models_are_those_of_models_toml(run: Run) -> None:
    import tomllib

    described = tomllib.loads((ROOT / "models" / "models.toml").read_text(encoding="utf-8"))
    data = json.loads(run("models", "--format", "json")[1])
    shipped = {m["name"]: m["bytes"] for m in data["models"] if m["kind"] == "model"}
    assert shipped == {name: facts["bytes"] for name, facts in described.items()}
    assert {m["name"] for m in data["models"] if m["kind"] == "network"} >= {"alexnet", "vgg16", "resnet50"}
    for model in data["models"]:
        if model["kind"] == "model":
            facts = described[model["name"]]
            assert model["weights"] == facts["weights"]
            told = facts.get("accuracy")
            assert (model["accuracy"] or {}).get("int8_correct") == (told and told["int8_correct"])
    assert "97.6% (439 of 450)" in run("models")[1]  # what the digits' script measured


def test_the_regions_of_a_merged_span_are_marked(run: Run) -> None:
    """Static data and stack of the STM32F746 may lie in three RAMs, which are one behind the other."""
    rows = [line.split() for line in run("boards", "stm32f746")[1].splitlines()]
    marked = {row[0] for row in rows if row[1:2] == ["*"]}
    assert marked == {"FLASH", "DTCM", "SRAM1", "SRAM2"}


def test_a_closed_pipe_is_quiet() -> None:
    """`tinydeploy … | head` must not complain."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tinydeploy", "cost", "alexnet", "-q", "--format", "json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
            cwd=ROOT,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full on this system")


@needs_full
@pytest.mark.parametrize("args", [["ops"], ["boards", "--format", "json"], ["--help"], ["plan", "--help"]], ids=str)
def test_a_full_disk_is_no_bug(args: list[str]) -> None:
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "tinydeploy", *args]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False, cwd=ROOT
        )
    assert done.returncode == 2
    assert done.stderr == "error: cannot write the output: No space left on device\n"


@needs_full
def test_the_exit_code_survives_a_full_standard_error() -> None:
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "tinydeploy", "plan", "nothing_of_that_name", "--board", "stm32f746"]
        assert subprocess.run(command, stderr=full, timeout=120, check=False, cwd=ROOT).returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize(("args", "code"), [("ops >&-", 0), ("plan none --board x >&- 2>&-", 2), ("--help >&-", 0)])
def test_closed_streams(args: str, code: int) -> None:
    command = f"'{sys.executable}' -m tinydeploy {args}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_without_a_command_the_help_is_readable(run: Run) -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("Usage: tinydeploy")
    assert any(line.split()[:1] == ["emulate"] for line in lines)


def test_a_terminal_without_the_characters_gets_others() -> None:
    done = spawn("models", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert "alexnet" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tinydeploy pl", "plan"),
        ("tinydeploy cost kw", "kws"),
        ("tinydeploy cost alex", "alexnet"),
        ("tinydeploy plan kws --board stm32f74", "stm32f746"),
        ("tinydeploy plan kws --solver cp", "cp-sat"),
    ],
)
def test_shell_completion(words: str, expected: str) -> None:
    env = {
        **os.environ,
        "_TINYDEPLOY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = spawn(env=env)
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_networks_are_not_offered_where_weights_are_needed() -> None:
    env = {
        **os.environ,
        "_TINYDEPLOY_COMPLETE": "bash_complete",
        "COMP_WORDS": "tinydeploy run alex",
        "COMP_CWORD": "2",
    }
    assert "plain,alexnet" not in spawn(env=env).stdout.splitlines()


def test_progress_shows_only_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    from tinydeploy.cli import common

    monkeypatch.setattr(common, "_SLOW_SECONDS", 0.2)
    with common.progress() as stage:
        stage("quick")
        stage("slow")
        time.sleep(0.6)
        stage("quick again")
    assert capsys.readouterr() == ("", "slow …\n")


def _relu6(tmp_path: Path, scale: float) -> str:
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")
    from tests.support.tflite_writer import GraphBuilder

    g = GraphBuilder()
    x = g.tensor("x", (1, 8), scale=0.1, zero_point=-5)
    y = g.tensor("y", (1, 8), scale=scale, zero_point=-5)
    g.op("RELU6", [x], [y])
    (tmp_path / "m.tflite").write_bytes(g.build(inputs=[x], outputs=[y]))
    return str(tmp_path / "m.tflite")


def test_a_clamp_that_should_rescale_is_told(run: Run, tmp_path: Path) -> None:
    """TensorFlow Lite Micro's RELU6 clamps and never rescales, whatever its output's scale says."""
    other = _relu6(tmp_path, 0.05)
    (warning,) = json.loads(run("plan", other, "--board", "stm32f746", "--format", "json")[1])["warnings"]
    assert warning.startswith("operator 0 (RELU6): ")
    assert "0.05" in warning and "0.1" in warning
    assert f"warning: {warning}" in run("plan", other, "--board", "stm32f746")[1]
    same = _relu6(tmp_path, 0.1)
    assert json.loads(run("plan", same, "--board", "stm32f746", "--format", "json")[1])["warnings"] == []


def test_code_that_cannot_be_estimated_is_not_called_0_bytes(run: Run) -> None:
    code, out, err = run("plan", "alexnet", "--board", "stm32f746")
    assert code == 1
    for text in (out, err):
        assert "code not known" in text
        assert "code 0" not in text
    data = json.loads(run("plan", "alexnet", "--board", "stm32f746", "--format", "json")[1])
    assert data["kinds"]["flash.code_bytes"] == data["kinds"]["flash.total_bytes"] == "unknown"


@pytest.mark.parametrize("command", [["build", "-o", "lib"], ["run"]], ids=str)
def test_a_network_has_nothing_to_build_whatever_its_size(run: Run, command: list[str]) -> None:
    """AlexNet does not fit either, but a larger board would not help."""
    code, _, err = run(*command, "alexnet", "--board", "stm32f746")
    assert code == 3
    assert "has no weights" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX cannot be installed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_that_clears_up(tmp_path: Path, number: signal.Signals) -> None:
    """Twice, as people do: the second one must not end the clearing up."""
    program = """
import os, signal, sys, tempfile, time
from tinydeploy.cli import main
def work(**_):
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        try:
            exec("os.kill(os.getpid(), int(sys.argv[2])); time.sleep(60)")
        finally:
            os.kill(os.getpid(), int(sys.argv[2]))
main.cli.main = work
sys.exit(main.run([]))
"""
    (tmp_path / "program.py").write_text(program)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "program", str(scratch), str(int(number))]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=paths, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")
    assert list(scratch.iterdir()) == []
