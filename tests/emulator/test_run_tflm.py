"""`run --runtime tflm` with a stand-in for TensorFlow Lite Micro: linked, run, counted; and wrong libraries told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.firmware import needs_unicorn, needs_zig
from tests.support.tflm_library import CORTEX_M7, HEADERS, build_library, chain, needs_arm_cxx
from tinydeploy.boards import find_board
from tinydeploy.cli import main
from tinydeploy.emulate import Job, UnicornEmulator
from tinydeploy.pipeline.tflm.placing import PlannedForTflm, plan_for_tflm
from tinydeploy.tflite import parse_model
from tinydeploy.toolchain import CxxLibrary, find_toolchain

pytestmark = [needs_arm_cxx, needs_unicorn]
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a stand-in that takes at the arena's end what TFLM is predicted to take."""
    folder = tmp_path_factory.mktemp("tflm")
    (folder / "chain.tflite").write_bytes(chain())
    planned = plan_for_tflm(chain(), parse_model(chain()), kernels="reference")
    build_library(folder, (*CORTEX_M7, f"-DSTAND_IN_PERSISTENT={planned.arena.persistent_bytes}"))
    return folder


@pytest.fixture(name="run")
def _run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """`run` on the model, with the stand-in unless other options are given."""

    def run(*args: str, library: Path | None = None, include: Path = HEADERS) -> tuple[int, str, str]:
        given = ("--tflm-lib", str(library or folder / "libtflm.a"), "--tflm-include", str(include))
        call = ("run", str(folder / "chain.tflite"), "--board", "stm32f746", "--runtime", "tflm", *given, *args)
        code = main.run(call)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_both_runtimes_side_by_side(run: Run) -> None:
    code, out, err = run("--samples", "2", "--format", "json")
    assert code == 0, err
    data = json.loads(out)
    tflm = data["tflm"]
    assert (data["verified"]["bit_exact"], tflm["verified"]["bit_exact"]) == (True, True)
    assert tflm["verified"]["inputs"] == 2
    # the stand-in takes what TFLM is predicted to take, with every tensor where the file says
    assert tflm["arena"]["used_bytes"] == tflm["arena"]["predicted_bytes"] <= tflm["arena"]["bytes"]
    # 64 bytes of tensors, of which the last eight are padding that nobody writes
    assert tflm["arena"]["used_bytes"] - 8 <= tflm["arena_watermark_bytes"] <= tflm["arena"]["used_bytes"]
    assert [layer["opcode"] for layer in tflm["layers"]] == ["RESHAPE", "RELU"]
    reshape, relu = (layer["instructions"] for layer in tflm["layers"])
    assert 24 <= relu < reshape + 1000
    assert sum((reshape, relu, tflm["interpreter_instructions"])) == tflm["instructions"]
    ratio = tflm["instructions"] / data["run"]["instructions"]
    assert tflm["ratios"]["instructions"] == pytest.approx(ratio, abs=1e-4)
    assert tflm["setup_instructions"] > 100
    assert tflm["stack_watermark_bytes"] > 0
    assert tflm["flash_bytes"] == tflm["model_bytes"] + tflm["code_bytes"]
    # the array, with the metadata in it
    assert tflm["model_bytes"] == len(plan_for_tflm(chain(), parse_model(chain()), kernels="reference").data)
    assert data["kinds"]["tflm.instructions"] == "emulated"
    assert any("stand_in_relu_kernel" in name for name in tflm["functions"])


def test_the_table_and_markdown(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    assert "TFLM: bit-exact with tflite-micro" in out
    assert "B of its arena (emulated), as computed for reference kernels" in out
    assert "TFLM / ours" in run("--format", "md")[1]
    # nothing is told twice
    assert [out.count(what) for what in ("stack used", "operators of the file", "RESHAPE")] == [1, 1, 1]
    assert not re.search(r"^(stack|arena|instructions|cycles) +\d", out, re.MULTILINE)


def test_another_arena_than_predicted_is_told(run: Run, tmp_path: Path) -> None:
    library = build_library(tmp_path, (*CORTEX_M7, "-DSTAND_IN_PERSISTENT=16"))
    out = run("--no-verify", library=library)[1]
    assert "TFLM uses 80 B of its arena (emulated), and" in out


def test_an_operator_whose_memory_is_not_known(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets more than what is known, and the report says what it used."""
    known = PlannedForTflm.arena.fget
    assert known is not None
    less = property(lambda planned: replace(known(planned), unknown=("operator 1 (RELU)",)))
    monkeypatch.setattr(PlannedForTflm, "arena", less)
    library = build_library(tmp_path, (*CORTEX_M7, "-DSTAND_IN_PERSISTENT=1000"))
    code, out, err = run(library=library)
    assert code == 0, err
    assert "TFLM uses 1,064 B of its arena (emulated)" in out
    assert "operator 1 (RELU), whose memory is not known here" in out


def test_an_arena_that_is_too_small(run: Run, tmp_path: Path) -> None:
    library = build_library(tmp_path, (*CORTEX_M7, "-DSTAND_IN_PERSISTENT=65536"))
    code, _, err = run(library=library)
    assert code == 5
    assert "AllocateTensors failed: the stand-in wants 65600 bytes" in err
    assert "--kernels cmsis-nn" in err


def test_a_library_that_stops_itself_is_told(run: Run, tmp_path: Path) -> None:
    """With the operator; a failed check of TFLM's ends so, and says nothing."""
    source = (HEADERS / "stand_in.cc").read_text("utf-8").replace("from[i] > zero_point ?", "(abort(), true) ?")
    library = build_library(tmp_path, source=f"#include <stdlib.h>\n{source}")
    code, _, err = run(library=library)
    assert code == 5
    assert "the library called abort() in operator 1 (RELU)" in err
    assert "schema" not in err


def test_a_library_whose_kernels_are_not_bit_exact_is_no_failure(run: Run, tmp_path: Path) -> None:
    """As CMSIS-NN's in some networks: the same comes out for the file without our placement."""
    wrong = (HEADERS / "stand_in.cc").read_text("utf-8").replace("from[i] > zero_point ?", "from[i] > 100 ?")
    library = build_library(tmp_path, source=wrong)
    code, out, err = run("--seed", "3", library=library)
    assert code == 0, err
    assert "tinydeploy: bit-exact" in out
    assert "TFLM: differs from tflite-micro" in out
    assert "the same comes out without our placement" in out
    tflm = json.loads(run("--seed", "3", "--format", "json", library=library)[1])["tflm"]
    assert (tflm["verified"]["bit_exact"], tflm["same_without_placement"]) == (False, True)


def test_other_outputs_with_our_placement_alone_are_a_failure(run: Run, tmp_path: Path) -> None:
    source = (HEADERS / "stand_in.cc").read_text("utf-8")
    wrong = source.replace("from[i] > zero_point ?", "from[i] > (placed ? 100 : zero_point) ?")
    wrong = wrong.replace("    return buffer.", "    placed = true;\n    return buffer.")
    code, out, err = run("--seed", "3", library=build_library(tmp_path, source=f"static bool placed;\n{wrong}"))
    assert code == 6
    assert "with our placement in the file alone" in out
    assert "TensorFlow Lite Micro with the library" in err
    assert "a bug in tinydeploy" in err


@pytest.mark.parametrize("given", [(), ("--tflm-lib", "libtflm.a"), ("--tflm-include", ".")])
def test_without_a_library(
    given: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main.run(("run", "chain.tflite", "--board", "stm32f746", "--runtime", "tflm", *given)) == 4
    err = capfd.readouterr().err
    assert "--tflm-lib" in err
    assert "--tflm-include" in err


def test_a_library_for_our_runtime(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call = ("run", str(folder / "chain.tflite"), "--board", "stm32f746", "--tflm-lib", str(folder / "libtflm.a"))
    assert main.run(call) == 2
    assert "--tflm-lib is for --runtime tflm" in capfd.readouterr().err


def test_no_archive(run: Run, folder: Path) -> None:
    code, _, err = run(library=folder / "library.o")
    assert (code, "is no archive of objects" in err) == (2, True)


def test_a_damaged_archive(run: Run, folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "libtflm.a").read_bytes())
    data[8 + 48 : 8 + 58] = b"no number "
    (tmp_path / "libtflm.a").write_bytes(data)
    code, _, err = run(library=tmp_path / "libtflm.a")
    assert (code, "is a damaged archive" in err) == (2, True)


def test_a_library_for_another_machine(run: Run, folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "library.o").read_bytes())
    data[18:20] = (62).to_bytes(2, "little")  # e_machine: EM_X86_64
    (tmp_path / "other.o").write_bytes(data)
    subprocess.run(["arm-none-eabi-ar", "rcS", "libtflm.a", "other.o"], cwd=tmp_path, check=True)
    code, _, err = run(library=tmp_path / "libtflm.a")
    assert (code, "is built for x86-64, not for Cortex-M" in err) == (2, True)


def test_floats_passed_in_another_way(run: Run, tmp_path: Path) -> None:
    code, _, err = run(library=build_library(tmp_path, ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft")))
    assert code == 2
    assert "-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16" in err


def test_a_kernel_that_is_missing(run: Run, tmp_path: Path) -> None:
    renamed = "#define stand_in_relu_kernel another_kernel\n" + (HEADERS / "stand_in.cc").read_text("utf-8")
    code, _, err = run(library=build_library(tmp_path, source=renamed))
    assert code == 2
    assert "the library lacks tflite::stand_in_relu_kernel" in err


def test_headers_that_are_missing(run: Run, tmp_path: Path) -> None:
    code, _, err = run(include=tmp_path)
    assert (code, "no tensorflow/lite/micro/micro_interpreter.h in" in err) == (2, True)
    micro = tmp_path / "tensorflow/lite/micro"
    micro.mkdir(parents=True)
    (micro / "micro_interpreter.h").write_bytes((HEADERS / "tensorflow/lite/micro/micro_interpreter.h").read_bytes())
    code, _, err = run(include=tmp_path)
    assert (code, "none of the folders has tensorflow/lite/micro/micro_mutable_op_resolver.h" in err) == (2, True)


def test_headers_of_another_version(run: Run, tmp_path: Path) -> None:
    for header in HEADERS.rglob("*.h"):
        target = tmp_path / header.relative_to(HEADERS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(header.read_text("utf-8").replace("arena_used_bytes", "arena_bytes_in_use"), "utf-8")
    code, _, err = run(include=tmp_path)
    assert code == 2
    assert "TFLM's headers are not as expected (tflm_tflm.cc" in err
    assert "arena_used_bytes" in err


@needs_zig
def test_zig_has_no_library_for_cxx(run: Run) -> None:
    code, _, err = run("--toolchain", "zig")
    assert (code, "apt install gcc-arm-none-eabi" in err) == (4, True)


def test_constructors_run_and_there_is_no_heap(tmp_path: Path) -> None:
    """What a library in C++ finds before main; the exit code says what was wrong."""
    library = build_library(
        tmp_path / "library",
        source="struct Made { Made() : value(41) {} ~Made() {} volatile int value; };\nMade made;\n"
        "int value() { return made.value; }\n",
    )
    (tmp_path / "main.cc").write_text(
        "#include <stdlib.h>\nint value();\nint main()\n{\n"
        "    void *volatile some = malloc(16);\n    return value() + (some == nullptr ? 1 : 2);\n}\n"
    )
    board = find_board("stm32f746")
    image = find_toolchain("gcc").build(
        [tmp_path / "main.cc"], [], board, tmp_path / "out", library=CxxLibrary(library, ())
    )
    result = UnicornEmulator().run(board, Job(image.elf))
    assert (result.fault, result.exit_code) == (None, 42)


def test_a_library_that_tells_nothing_of_its_operators(run: Run, tmp_path: Path) -> None:
    """TFLM built without error strings calls no profiler."""
    silent = (HEADERS / "stand_in.cc").read_text("utf-8").replace("profiler_ != nullptr", "false")
    library = build_library(tmp_path, source=silent)
    tflm = json.loads(run("--format", "json", library=library)[1])["tflm"]
    assert [layer["instructions"] for layer in tflm["layers"]] == [None, None]
    assert tflm["interpreter_instructions"] == tflm["instructions"] > 48
    assert "built without error strings" in run(library=library)[1]


def test_the_keys_are_documented(run: Run) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text("utf-8")
    tflm = json.loads(run("--format", "json")[1])["tflm"]
    assert [key for key in tflm if f"`tflm.{key}" not in page] == []
    assert [key for key in tflm["layers"][0] if f"`{key}`" not in page] == []
