"""`renode export`: what is in the folder, and what its image prints, on every kind of UART.

The images run on the embedded emulator; what they must print is made from TensorFlow Lite Micro's outputs.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import BOTH, needs_any, needs_gcc, needs_unicorn
from tests.support.reports import HOSTILE
from tinydeploy.boards import Board, all_boards, find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.cli import main
from tinydeploy.emulate.renode.peripherals import check
from tinydeploy.emulate.renode.repl import load as load_repl
from tinydeploy.emulate.renode.repl import memories
from tinydeploy.errors import GateError, UsageError
from tinydeploy.pipeline import PlanOptions, plan_model
from tinydeploy.pipeline.renode_project import RenodeProject, export_project
from tinydeploy.verify import Sample
from tinydeploy.verify.inputs import random_inputs
from tinydeploy.verify.references import reference_outputs

pytestmark = [needs_unicorn, needs_any]
pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")

OPTIONS = PlanOptions(solver="builtin")
UART_BOARDS = (
    "nucleo_f401re",
    "stm32f746",
    "nucleo_l4r5zi",
    "nrf52840dk",
    "rpi_pico",
    "adafruit_feather_m4_express",
    "teensy40",
)


@cache
def _expected(name: str) -> tuple[Sample, list[np.ndarray]]:
    """A random sample, and the reference's outputs for it."""
    model, path = load(name), model_path(name)
    assert path is not None
    (sample,) = random_inputs(model, 7, 1)
    run = reference_outputs(model, path.read_bytes(), [sample])[0]
    return sample, [run.samples[0][index] for index in model.outputs]


def _export(
    folder: Path, board: Board, name: str = "digits", options: PlanOptions = OPTIONS, **more: object
) -> RenodeProject:
    planned = plan_model(load(name), board, options)
    return export_project(planned, folder, _expected(name)[0], whence="test", **more)  # type: ignore[arg-type]


def _check_printed(lines: Sequence[str], outputs: list[np.ndarray]) -> None:
    """Each output's first values, the largest, and its CRC-32; then the end."""
    for index, output in enumerate(outputs):
        data = output.astype(output.dtype.newbyteorder("<")).tobytes()
        assert f"tinydeploy: output {index} crc32 0x{zlib.crc32(data):08x}" in lines
        told = next(line for line in lines if line.startswith(f"tinydeploy: output {index} ") and " = " in line)
        flat = output.reshape(-1)
        bits = flat.view("<u4") if output.dtype == np.float32 else flat
        shown = [f"0x{v:08x}" if output.dtype == np.float32 else str(v) for v in bits[:16]]
        assert told.partition(" = ")[2] == " ".join(shown) + (" ..." if len(flat) > 16 else "")
        largest = lines[lines.index(told) + 1]
        at, value = largest.removeprefix("  largest at ").split(": ")
        assert flat[int(at)] == flat.max() and int(at) == int(flat.argmax())
        assert value == shown[int(at)] if int(at) < 16 else True
    assert lines[-1] == "tinydeploy: done"


def test_every_kind_of_uart_is_tried() -> None:
    have = {b.uart.model for b in all_boards() if b.uart is not None}
    assert {find_board(n).uart.model for n in UART_BOARDS} == have - {"cmsdk"}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", UART_BOARDS)
def test_the_image_prints_the_references_outputs(name: str, tmp_path: Path) -> None:
    board = find_board(name)
    project = _export(tmp_path, board)
    _check_printed(project.lines, _expected("digits")[1])
    assert any(line.startswith("tinydeploy: cycles ") for line in project.lines) is (name != "rpi_pico")
    assert project.seen is not None and project.seen.exit_code == 0


def test_other_uarts(tmp_path: Path) -> None:
    """Arm's CMSDK UART is on a board that this emulator has not: here it is on another. None at all: semihosting."""
    board = find_board("stm32f746")
    uart = find_board("mps3_corstone300_an547").uart
    for number, changed in enumerate((replace(board, uart=uart), replace(board, uart=None))):
        _check_printed(_export(tmp_path / str(number), changed).lines, _expected("digits")[1])


@pytest.mark.parametrize("toolchain", BOTH)
def test_both_toolchains_and_fed_rows(toolchain: str, tmp_path: Path) -> None:
    project = _export(tmp_path, find_board("stm32f746"), options=replace(OPTIONS, feed_rows=True), toolchain=toolchain)
    _check_printed(project.lines, _expected("digits")[1])


def test_several_outputs_and_floats(tmp_path: Path) -> None:
    for name in ("everything", "unet"):
        _check_printed(_export(tmp_path / name, find_board("stm32h743"), name).lines, _expected(name)[1])


@needs_gcc
def test_the_folder_stands_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    project = _export(folder, find_board("nucleo_l4r5zi"), name="digits")
    written = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert {"README.md", "digits.elf", "machine.resc", "platform.repl", "run.resc", "test.robot"} == {
        f for f in written if "/" not in f
    }
    assert set(project.files) <= set(written)
    for file in ("machine.resc", "platform.repl", "run.resc", "test.robot", "README.md"):
        assert str(tmp_path) not in (folder / file).read_text("utf-8")
    entries = load_repl(folder / "platform.repl")
    assert check(entries) == []
    assert {(m.base, m.bytes) for m in memories(entries)} == {
        (r.base, r.bytes) for r in find_board("nucleo_l4r5zi").regions
    }
    test = (folder / "test.robot").read_text("utf-8")
    crc = next(line for line in project.lines if "crc32" in line)
    assert f"    Wait For Line On Uart    {crc}\n    Wait For Line On Uart    tinydeploy: done\n" in test
    assert "Register Failing Log String    non existing peripheral\n" in test
    assert (folder / "digits.elf").read_bytes()[:4] == b"\x7fELF"
    assert "TD_STEP_PORT" not in (folder / "firmware/example/main.c").read_text("utf-8")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    model = load("digits")
    tensors = tuple(replace(t, name=HOSTILE + '"); evil("') if t.index in model.outputs else t for t in model.tensors)
    evil = replace(model, name=HOSTILE + '"; quit', tensors=tensors)
    planned = plan_model(evil, find_board("stm32f746"), OPTIONS)
    project = export_project(planned, tmp_path, _expected("digits")[0], whence='x"); evil("\\n')
    _check_printed(project.lines, _expected("digits")[1])
    written = [*tmp_path.iterdir(), tmp_path / "firmware/example/main.c", tmp_path / "firmware/example/inputs.c"]
    for file in written:
        if file.suffix in (".resc", ".robot", ".repl", ".md", ".c"):
            text = file.read_text("utf-8")
            assert not [bad for bad in ("evil(", '"; quit', "\x1b", "\u202e", "<b>", "[red]") if bad in text], file


def test_a_board_that_this_emulator_has_not(tmp_path: Path) -> None:
    """Its image is built without Helium, which Renode has only in part, and the test waits for the end alone."""
    project = _export(tmp_path, find_board("mps3_corstone300_an547"))
    assert project.seen is None and "Helium" in project.unseen
    waits = [s for s in (tmp_path / "test.robot").read_text("utf-8").splitlines() if "Wait For Line" in s]
    assert waits == ["    Wait For Line On Uart    tinydeploy: done"]


def test_an_image_that_is_too_large_with_its_inputs(tmp_path: Path) -> None:
    board = find_board("stm32f746")
    project = _export(tmp_path / "fits", board)
    short = replace(board.flash, bytes=(project.built.image.flash_bytes // 1024) * 1024)
    regions = tuple(short if r.name == short.name else r for r in board.regions)
    with pytest.raises(GateError, match="too small") as caught:
        _export(tmp_path / "short", replace(board, flash=short, regions=regions))
    assert "holds its inputs" in str(caught.value.hint)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = _expected("digits")[0]
    given = tmp_path / "given.npy"
    (array,) = sample.values()
    np.save(given, array)
    args = [
        "renode",
        "export",
        "digits",
        "--board",
        "nucleo_f446re",
        "-o",
        str(tmp_path / "out"),
        "--input",
        str(given),
    ]
    assert main.run([*args, "--format", "json", "--name", "mine"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["command"] == "renode export"
    renode = report["renode"]
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    assert [key for key in renode if f"renode.{key}" not in page] == []
    assert renode["name"] == "mine" and renode["uart"] == "usart2" and renode["not_run"] is None
    assert renode["instructions"] > 10_000
    _check_printed(renode["printed"], _expected("digits")[1])
    assert {"mine.elf", "run.resc", "test.robot", "platform.repl", "README.md"} <= set(renode["files"])
    assert report["provenance"]["options"]["seed"] is None
    assert main.run(args) == 0
    assert "cd " in capsys.readouterr().out


def test_what_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = tmp_path / "two.npy"
    (array,) = _expected("digits")[0].values()
    np.save(two, np.stack([array, array]))
    out = ["-o", str(tmp_path / "out")]
    assert main.run(["renode", "export", "digits", "--board", "stm32f746", *out, "--input", str(two)]) == 2
    assert "runs once, and the inputs hold 2 samples" in capsys.readouterr().err
    assert main.run(["renode", "export", "digits", "--board", "stm32f746", *out, "--name", 'a"b']) == 2
    assert main.run(["renode", "export", "digits", "--board", "nowhere", *out]) == 2
    assert main.run(["renode", "export", "mobilenet_v2_035", "--board", "nucleo_f030r8", *out]) == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        _export(tmp_path / "file", find_board("stm32f746"))
