"""`plan`, `build`, `run` and `emulate` on a shipped model: what they print, write, and end with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.json_schema import PLAN, RUN, check
from tinydeploy.cli import main
from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.verify import ReferenceRun

pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")

MODELS = Path(__file__).resolve().parents[2] / "models"
BOARD = ("--board", "stm32f746")
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(name="run")
def _run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: exit code, standard output, standard error without progress."""

    def run(*args: str) -> tuple[int, str, str]:
        code = main.run(args)
        captured = capfd.readouterr()
        errors = "".join(line for line in captured.err.splitlines(keepends=True) if not line.endswith("…\n"))
        return code, captured.out, errors

    return run


def test_plan(run: Run) -> None:
    code, out, err = run("plan", "digits", *BOARD, "--stack-bytes", "2000", "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    check(data, PLAN)
    assert data["board"] == "stm32f746g_disco"
    assert data["sram"]["stack_bytes"] == 2000
    assert data["model"]["sha256"] == hashlib.sha256((MODELS / "digits.tflite").read_bytes()).hexdigest()
    assert data["kinds"]["flash.code_bytes"] == "estimated"


@pytest.mark.parametrize(
    ("model", "arena"),
    # the lower bounds of whole tensors with 16-byte alignment, nothing in place
    [("kws", 16_000), ("vww", 55_296), ("resnet8", 49_152), ("ad", 768)],
)
def test_plan_reaches_the_lower_bound(run: Run, model: str, arena: int) -> None:
    data = json.loads(run("plan", model, *BOARD, "--execution", "whole", "--no-in-place", "--format", "json")[1])
    assert (data["sram"]["arena_bytes"], data["sram"]["lower_bound_bytes"]) == (arena, arena)
    assert data["sram"]["optimal"] is True


def test_plan_on_a_board_that_is_too_small(run: Run) -> None:
    """vww wants 55,296 bytes of arena for whole tensors; the F103 has 20,480 bytes of SRAM."""
    whole = ("--execution", "whole", "--stack-bytes", "1024")
    code, out, err = run("plan", "vww", "--board", "stm32f103", *whole, "--format", "json")
    assert code == 1
    data = json.loads(out)
    assert data["fits"] is False
    assert data["sram"]["capacity_bytes"] == 20_480
    over = 55_296 + 1024 + data["sram"]["static_bytes"] - 20_480
    assert data["sram"]["over_bytes"] == over
    assert f"{over:,} bytes too small" in err
    assert err.startswith("error: ")
    code, out, err = run("run", "vww", "--board", "stm32f103")
    assert (code, out) == (1, "")
    assert "hint: `tinydeploy plan`" in err


def test_run_on_given_inputs_layer_by_layer(run: Run, tmp_path: Path) -> None:
    samples = MODELS / "digits_samples.npy"
    args = ("--input", str(samples), "--layers", "--output", str(tmp_path / "out"), "--format", "json")
    code, out, err = run("run", "digits", *BOARD, *args)
    assert (code, err) == (0, "")
    data = json.loads(out)
    check(data, RUN)
    assert data["run"]["samples"] == data["verified"]["inputs"] == 20
    assert data["verified"]["bit_exact"] is True
    assert data["verified"]["tensors"] == len(data["layers"])
    assert data["verified"]["against"].startswith("tflite-micro ")
    assert data["run"]["arena_watermark_bytes"] <= data["sram"]["arena_bytes"]
    assert sum(layer["instructions"] for layer in data["run"]["layers"]) <= data["run"]["instructions"]
    (output,) = data["outputs"]
    scores = np.load(output["file"])
    assert (scores.shape, scores.dtype) == ((20, 1, 10), np.int8)
    assert hashlib.sha256(scores.tobytes()).hexdigest() == output["sha256"]
    labels = np.load(MODELS / "digits_labels.npy")
    assert (scores[:, 0].argmax(axis=1) == labels).mean() >= 0.9  # 0.9756 on 450 images


def test_run_on_made_up_inputs_is_repeatable(run: Run) -> None:
    def digest(*args: str) -> str:
        code, out, _ = run("run", "digits", *BOARD, "--no-verify", "--format", "json", *args)
        assert code == 0
        data = json.loads(out)
        assert data["verified"] is None
        assert data["not_verified"] == "--no-verify"
        return str(data["outputs"][0]["sha256"])

    assert digest("--seed", "1", "--samples", "2") == digest("--seed", "1", "--samples", "2")
    assert digest("--seed", "1") != digest("--seed", "2")


def test_one_sample_is_written_in_the_tensors_shape(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("run", "digits", *BOARD, "--no-verify", "--output", str(tmp_path), "--format", "json")
    assert code == 0
    assert np.load(json.loads(out)["outputs"][0]["file"]).shape == (1, 10)


def references(change: bool) -> Callable[..., tuple[ReferenceRun, ...]]:
    """The real references, their first layer changed by one in one element of the second sample."""
    from tinydeploy.verify.references import reference_outputs

    def changed(model: Any, data: bytes, samples: Any, *, layers: bool = False) -> tuple[ReferenceRun, ...]:
        runs = reference_outputs(model, data, samples, layers=layers)
        first = model.operators[0].outputs[0]
        altered = [dict(sample) for sample in runs[0].samples]
        altered[1][first] = altered[1][first].copy()
        altered[1][first].reshape(-1)[7] ^= 1
        return (ReferenceRun(runs[0].name, runs[0].version, tuple(altered)), *runs[1:])

    return changed


def test_a_difference_is_6_and_names_layer_and_element(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydeploy.verify.reference_outputs", references(change=True))
    code, out, err = run("run", "digits", *BOARD, "--samples", "2", "--layers", "--format", "json")
    assert code == 6
    data = json.loads(out)
    assert data["verified"]["bit_exact"] is False
    first = data["verified"]["first_difference"]
    assert (first["sample"], first["operator"], first["opcode"]) == (1, 0, data["layers"][0]["opcode"])
    shape = data["layers"][0]["output_shape"]
    assert int(np.ravel_multi_index(first["index"], shape)) == 7
    assert data["verified"]["second"]["agrees"] is False
    assert f"operator 0 ({data['layers'][0]['opcode']})" in err
    assert err.startswith("error: ")


def test_without_a_reference_the_run_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object, **options: object) -> None:
        raise MissingToolError("nothing is installed", hint="pip install 'tinydeploy[verify]'")

    monkeypatch.setattr("tinydeploy.verify.reference_outputs", missing)
    code, out, _ = run("run", "digits", *BOARD)
    assert code == 0
    assert "not verified: nothing is installed (pip install 'tinydeploy[verify]')" in out
    code, out, err = run("run", "digits", *BOARD, "--layers")
    assert (code, out) == (4, "")
    assert "hint: pip install" in err


def test_a_reference_that_refuses_the_model_is_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise UnsupportedModelError("tflite-micro crashed on this model (SIGSEGV)")

    monkeypatch.setattr("tinydeploy.verify.reference_outputs", refuse)
    assert run("run", "digits", *BOARD)[0] == 3


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("digits", "--input", "x.npy", "--seed", "1"), 2, "--seed"),
        (("digits", "--input", "x.npy", "--samples", "2"), 2, "--samples"),
        (("digits", "--layers", "--no-verify"), 2, "--layers"),
        (("digits", "--input", "no_such.npy"), 2, "cannot read the input no_such.npy"),
        (("digits", "--input", str(MODELS / "digits_labels.npy")), 2, "expected"),
        (("digits", "--input", str(MODELS / "digits_samples.npy"), "--input", "b"), 2, "1 input(s), 2 given"),
        (("mcunet",), 3, "has no weights"),
        (("alexnet",), 3, "has no weights"),
    ],
)
def test_wrong_input_of_run(run: Run, args: tuple[str, ...], code: int, words: str) -> None:
    got, out, err = run("run", *args, *BOARD)
    assert (got, out) == (code, "")
    assert words in err
    assert err.startswith("error: ")


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_a_missing_toolchain_is_4(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toolchain: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "ziglang", None)
    code, out, err = run("run", "digits", *BOARD, "--no-verify", "--toolchain", toolchain)
    assert (code, out) == (4, "")
    assert "hint: " in err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--board", "mps3_corstone300_an547"), 2, "Helium"),
        ((*BOARD, "--output", str(MODELS / "digits.tflite")), 2, "cannot write to"),
    ],
    ids=["core", "output"],
)
def test_what_cannot_work_is_told_before_compiling(
    run: Run, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, words: str
) -> None:
    from tinydeploy import pipeline

    monkeypatch.setattr(pipeline, "build_image", lambda *_, **__: pytest.fail("compiled"))
    found, out, err = run("run", "digits", *args, "--no-verify")
    assert (found, out) == (code, "")
    assert words in err


def test_a_stack_that_is_too_small_is_5_with_the_option(run: Run) -> None:
    code, out, err = run("run", "digits", *BOARD, "--no-verify", "--stack-bytes", "64")
    assert (code, out) == (5, "")
    assert "the stack reaches down to" in err
    assert "hint: --stack-bytes" in err


def test_build_then_emulate(run: Run, tmp_path: Path) -> None:
    code, out, err = run("build", "digits", *BOARD, "-o", str(tmp_path), "--name", "dig", "--format", "json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    check(data, PLAN)
    built = data["build"]
    assert built["name"] == "dig"
    assert all((tmp_path / name).is_file() for name in built["files"])
    assert any(symbol["name"] == "dig_invoke" for symbol in built["symbols"])
    assert built["flash_bytes"]["code"] > 1000
    elf = built["elf"]
    code, out, err = run("emulate", elf, *BOARD, "--format", "json")
    assert (code, err) == (0, "")
    emulated = json.loads(out)
    assert emulated["elf"]["sha256"] == hashlib.sha256(Path(elf).read_bytes()).hexdigest()
    counts = {f["name"]: f["instructions"] for f in emulated["functions"]}
    assert counts["dig_invoke"] > 0
    assert sum(counts.values()) == emulated["instructions"]
    assert emulated["instructions"] / 2 <= emulated["cycles"]["value"] < 3 * emulated["instructions"]
    assert emulated["cycles"]["kind"] == "modelled: cortex-m7 instruction timing, zero wait states"
    assert emulated["kinds"]["cycles"] == "modelled"
    assert emulated["fault"] is None
    code, out, err = run("emulate", elf, *BOARD)
    assert "(modelled: cortex-m7 instruction timing, zero wait states)" in " ".join(out.split())


def test_a_fault_is_5_and_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinydeploy.emulate import Fault, RunResult, UnicornEmulator

    message = "write to 0x60000000, which is no memory, at 0x08000123 in td_conv_2d"
    fault = Fault("unmapped-write", message, 0x08000123, 0x60000000, "td_conv_2d", 3, {"r0": 7})
    result = RunResult(99, {}, {"td_conv_2d": 99}, {}, (), b"hi\n", 0.1, 0, fault)

    def fake(self: Any, *_: Any) -> RunResult:
        if self._on_output is not None:
            self._on_output(b"hi\n")
        return result

    monkeypatch.setattr(UnicornEmulator, "run", fake)
    elf = tmp_path / "x.elf"
    elf.write_bytes(b"")
    code, out, err = run("emulate", str(elf), *BOARD)
    assert code == 5
    assert out.startswith("hi\n")
    assert err == f"error: {elf}: {message}\n"
    code, out, err = run("emulate", str(elf), *BOARD, "--format", "json")
    assert code == 5
    data = json.loads(out)
    assert data["uart"] == "hi\n"
    assert data["cycles"] == {"value": None, "kind": "unavailable"}
    assert (data["fault"]["kind"], data["fault"]["address"]) == ("unmapped-write", 0x60000000)
    assert data["fault"]["registers"] == {"r0": 7}
    code, out, err = run("run", "digits", *BOARD, "--no-verify")
    assert (code, out) == (5, "")
    assert message in err


def test_a_program_that_ends_with_another_code_is_5(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinydeploy.emulate import RunResult, UnicornEmulator

    monkeypatch.setattr(UnicornEmulator, "run", lambda *args: RunResult(9, {}, {"main": 9}, {}, (), b"", 0.0, 3, None))
    elf = tmp_path / "x.elf"
    elf.write_bytes(b"")
    code, _, err = run("emulate", str(elf), *BOARD)
    assert code == 5
    assert "exit code 3" in err


def test_what_was_printed_before_an_interruption_is_seen(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firmware's main loop never ends; its output must not wait for that."""
    from tinydeploy.emulate import UnicornEmulator

    def fake(self: Any, *_: Any) -> Any:
        self._on_output(b"booted\n")
        raise KeyboardInterrupt

    monkeypatch.setattr(UnicornEmulator, "run", fake)
    elf = tmp_path / "x.elf"
    elf.write_bytes(b"")
    code, out, err = run("emulate", str(elf), *BOARD)
    assert (code, out, err) == (130, "booted\n", "\ninterrupted\n")  # click ends the terminal's line


@pytest.mark.parametrize(
    ("kind", "interrupts", "words"),
    [
        (
            "time-out",
            ("SysTick", "IRQ 37"),
            "(SysTick, IRQ 37), and this emulator delivers none: Renode does (--emulator renode)",
        ),
        ("unsupported", (), "Renode has exceptions: --emulator renode"),
        ("no-exit", (), "SYS_EXIT"),
        ("unmapped-read", ("SysTick",), None),
    ],
)
def test_what_waits_for_ever_is_told_why(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    interrupts: tuple[str, ...],
    words: str | None,
) -> None:
    from tinydeploy.emulate import Fault, PeripheralUse, RunResult, UnicornEmulator

    fault = Fault(kind, "no end after 3 s", 0x08000123, None, "HAL_Delay", None, {})
    used = (PeripheralUse(0x40023800, 20, 1, True), PeripheralUse(0x40020000, 0, 1, False))
    result = RunResult(9, {}, {}, {}, (), b"", 0.1, 0, fault, used, interrupts=interrupts)
    monkeypatch.setattr(UnicornEmulator, "run", lambda *args: result)
    elf = tmp_path / "x.elf"
    elf.write_bytes(b"")
    code, out, err = run("emulate", str(elf), *BOARD)
    assert code == 5
    assert (words in err) if words else ("hint" not in err)
    assert "2 peripheral registers have no model" in out
    assert "waits let through at 0x40023800\n" in out
    data = json.loads(run("emulate", str(elf), *BOARD, "--format", "json")[1])
    assert data["interrupts"] == list(interrupts)
    assert data["peripherals"][0] == {"address": 0x40023800, "reads": 20, "writes": 1, "polled": True}


def test_something_that_is_no_elf_is_2(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.elf"
    path.write_bytes(b"hello")
    code, out, err = run("emulate", str(path), *BOARD)
    assert (code, out) == (2, "")
    assert "x.elf" in err
