"""What a TensorFlow Lite Micro firmware is given: the right operators, the model's bytes, and projects that build."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.tflite_writer import GraphBuilder
from tests.support.tflm_library import (
    HEADERS,
    build_library,
    chain,
    needs_arm_cxx,
    needs_cmake,
    needs_host_cxx,
    needs_make,
)
from tinydeploy.boards import find_board
from tinydeploy.errors import UnsupportedModelError, UsageError
from tinydeploy.export.tflm import Export, resolver_methods, tflm_files
from tinydeploy.files import write_files
from tinydeploy.pipeline.tflm.placing import PlannedForTflm, plan_for_tflm
from tinydeploy.tflite import parse_model


def _planned(data: bytes, name: str = "chain") -> PlannedForTflm:
    return plan_for_tflm(data, parse_model(data, name=name), kernels="reference")


def _files(data: bytes, name: str = "chain") -> Mapping[str, str | bytes]:
    planned = _planned(data, name)
    board = find_board("stm32f746")
    greedy = planned.plan.greedy["reference"]
    return tflm_files(
        Export(planned.data, planned.model, planned.arena, "reference", board, greedy, planned.original.sha256)
    )


def _text(files: Mapping[str, str | bytes], path: str) -> str:
    text = files[path]
    assert isinstance(text, str)
    return text


def test_operators_that_are_folded_away_here_are_registered_too() -> None:
    """TFLM runs what is in the file: SHAPE, STRIDED_SLICE and PACK before the RESHAPE of an open batch."""
    g = GraphBuilder()
    x = g.tensor("x", (1, 4, 6), scale=0.5, shape_signature=(-1, 4, 6))
    shape, first, joined = (
        g.tensor("shape", (3,), "int32"),
        g.tensor("first", (), "int32"),
        g.tensor("j", (2,), "int32"),
    )
    begin, end, step = (g.tensor("c", (1,), "int32", data=[v]) for v in (0, 1, 1))
    y = g.tensor("y", (1, 24), scale=0.5, shape_signature=(-1, 24))
    g.op("SHAPE", [x], [shape])
    g.op("STRIDED_SLICE", [shape, begin, end, step], [first], shrink_axis_mask=1)
    g.op("PACK", [first, g.tensor("n", (), "int32", data=24)], [joined], axis=0, valuesCount=2)
    g.op("RESHAPE", [x, joined], [y])
    data = g.build(inputs=[x], outputs=[y])
    model = parse_model(data)
    assert len(model.operators) == 1
    assert resolver_methods(model) == ("AddPack", "AddReshape", "AddShape", "AddStridedSlice")
    operators = json.loads(_text(_files(data), "manifest.json"))["operators"]
    assert operators["opcodes"] == {"PACK": 1, "RESHAPE": 1, "SHAPE": 1, "STRIDED_SLICE": 1}


@pytest.mark.parametrize(
    ("opcode", "method"),
    [  # those whose names follow no rule, as micro_mutable_op_resolver.h has them
        ("PADV2", "AddPadV2"),
        ("CUMSUM", "AddCumSum"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("RELU6", "AddRelu6"),
        ("HARD_SWISH", "AddHardSwish"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("REVERSE_V2", "AddReverseV2"),
        ("ADD_N", "AddAddN"),
    ],
)
def test_the_resolvers_methods(opcode: str, method: str) -> None:
    g = GraphBuilder()
    x, y = (g.tensor(name, (1, 8), scale=0.5) for name in "xy")
    g.op(opcode, [x], [y])
    assert resolver_methods(parse_model(g.build(inputs=[x], outputs=[y]))) == (method,)


def test_operators_without_a_kernel_are_all_named() -> None:
    g = GraphBuilder()
    tensors = [g.tensor(f"t{i}", (1, 8), scale=0.5) for i in range(4)]
    for position, opcode in enumerate(("GELU", "RELU", "ATAN2")):
        g.op(opcode, [tensors[position]], [tensors[position + 1]])
    with pytest.raises(UnsupportedModelError, match=r"no kernel for operator 0 \(GELU\), operator 2 \(ATAN2\)$"):
        resolver_methods(parse_model(g.build(inputs=[tensors[0]], outputs=[tensors[3]])))


def test_what_cmsis_nn_refuses_is_named() -> None:
    """By cmsis_nn/fully_connected.cc: "Currently only Int8 is supported for per channel quantization"."""
    g = GraphBuilder()
    x, y, z = (g.tensor(name, (1, 4), "int16", scale=0.5) for name in "xyz")
    for data, result, scale in ((x, y, 0.5), (y, z, [0.5] * 4)):
        g.op("FULLY_CONNECTED", [data, g.tensor("w", (4, 4), scale=scale, data=np.ones((4, 4))), -1], [result])
    planned = _planned(g.build(inputs=[x], outputs=[z]))
    export = Export(planned.data, planned.model, planned.arena, "reference")
    assert "chain_tflm.cc" in tflm_files(export)
    with pytest.raises(UnsupportedModelError, match=r"CMSIS-NN refuses operator 1 \(FULLY_CONNECTED\) \(int16 with a"):
        tflm_files(replace(export, kernels="cmsis-nn"))


def test_the_array_is_the_file_with_the_placement() -> None:
    data = chain()
    files = _files(data)
    body = _text(files, "chain_model.cc").partition("] = {")[2]
    array = bytes(map(int, re.findall(r"\d+", body)))
    assert array == files["chain.tflite"] == _planned(data).data
    assert f"CHAIN_MODEL_BYTES {len(array)}\n" in _text(files, "chain_model.h")
    assert "alignas(16)" in _text(files, "chain_model.cc")


def test_the_manifest() -> None:
    data = chain()
    files = _files(data)
    told = json.loads(_text(files, "manifest.json"))
    hashes = {f: hashlib.sha256(c if isinstance(c, bytes) else c.encode()).hexdigest() for f, c in files.items()}
    assert {f["path"]: f["sha256"] for f in told["files"]} == {f: h for f, h in hashes.items() if f != "manifest.json"}
    assert told["model"]["original_sha256"] == hashlib.sha256(data).hexdigest()
    assert told["model"]["sha256"] == hashes["chain.tflite"]
    # x and flat are alive together, then flat and y: 24 bytes each, so 32 with alignment
    assert told["arena"]["nonpersistent_bytes"] == 64
    places = {p["name"]: p["offset"] for p in told["tensors"]}
    assert set(places) == {"x", "flat", "y"}
    assert {places["x"], places["flat"]} == {places["flat"], places["y"]} == {0, 32}
    assert told["kinds"]["arena"].startswith("computed")
    assert [o["zero_point"] for o in told["outputs"]] == [-3]


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = _files(chain()), _files(chain())
    assert first == second
    assert all("\r" not in text for text in first.values() if isinstance(text, str))


def test_hostile_names_stay_in_json() -> None:
    name = 'evil*/ #include "x"\\\n$(rm) ${x} <b>'
    g = GraphBuilder()
    x, y = (g.tensor(f"{name}{i}", (1, 8), scale=0.5) for i in range(2))
    g.op("RELU", [x], [y])
    files = _files(g.build(inputs=[x], outputs=[y]), name)
    assert "evil_include_x_rm_x_b_tflm.h" in files
    assert json.loads(_text(files, "manifest.json"))["inputs"][0]["name"] == f"{name}0"
    for path, text in files.items():
        if isinstance(text, str) and path != "manifest.json":
            assert not re.search(r'evil\*/|#include "x"|\$\(rm\)|\$\{x\}|<b>', text), path
            assert text.count("/*") == text.count("*/"), path


def test_a_name_that_is_no_identifier_is_refused() -> None:
    planned = _planned(chain())
    with pytest.raises(UsageError, match="cannot be the name"):
        tflm_files(Export(planned.data, planned.model, planned.arena, "reference"), "my-model")


@needs_cmake
@needs_host_cxx
def test_the_cmake_project_builds_and_runs(tmp_path: Path) -> None:
    """With the stand-in on this computer, whose pointers have 64 bits: so the arena's size must be given."""
    library = build_library(tmp_path / "library", (), compiler="c++", archiver="ar")
    write_files(_files(chain()), tmp_path / "chain")
    call = ["cmake", "-S", "chain", "-B", "build", f"-DTFLM_INCLUDE={HEADERS}", f"-DTFLM_LIB={library}"]
    larger = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror -DCHAIN_ARENA_BYTES=4096"
    subprocess.run([*call, "-DCHAIN_EXAMPLE=ON", larger], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path, check=True, capture_output=True)
    assert subprocess.run(["build/chain_main"], cwd=tmp_path, check=False).returncode == 0
    missing = subprocess.run(
        ["cmake", "-S", "chain", "-B", "other"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode != 0
    assert "set TFLM_INCLUDE" in " ".join(missing.stderr.split())


@needs_make
@needs_arm_cxx
def test_the_make_fragment_builds(tmp_path: Path) -> None:
    write_files(_files(chain()), tmp_path / "nets" / "chain")
    (tmp_path / "section.h").write_text('#define CHAIN_MODEL_SECTION __attribute__((section(".qspi")))\n')
    (tmp_path / "user.c").write_text('#include "chain_tflm.h"\nint main(void) { return chain_setup(); }\n')
    (tmp_path / "Makefile").write_text(
        f"TFLM_INCLUDE := {HEADERS} {tmp_path}\n"
        "TFLM_LIB := libtflm.a\n"
        "include nets/chain/tflm.mk\n"
        "all: $(CHAIN_TFLM_SOURCES)\n"
        "\tarm-none-eabi-g++ -mcpu=cortex-m4 -mthumb -Wall -Wextra -Werror -include section.h $(CHAIN_TFLM_CXXFLAGS)"
        " -c $^\n"
        "\tarm-none-eabi-gcc -std=c99 -Wall -Wextra -Wpedantic -Werror $(CHAIN_TFLM_INCLUDES) -c user.c\n"
        "\t@echo $(CHAIN_TFLM_LIBS)\n"
    )
    done = subprocess.run(["make", "-s"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "libtflm.a\n", "")
    sections = subprocess.run(
        ["arm-none-eabi-objdump", "-h", "chain_model.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    size, alignment = re.search(r"\.qspi +(\w+) .* 2\*\*(\d)", sections).groups()  # type: ignore[union-attr]
    assert (int(size, 16), int(alignment)) == (len(_planned(chain()).data), 4)


@needs_arm_cxx
@pytest.mark.parametrize("optimize", ["-O2", "-O3", "-Os"])
def test_every_input_comes_in_by_the_function_that_an_emulator_knows(tmp_path: Path, optimize: str) -> None:
    """Also with several inputs, where GCC would call a copy of it under another name."""
    g = GraphBuilder()
    x, y, z = (g.tensor(name, (1, 8), scale=0.5) for name in "xyz")
    g.op("ADD", [x, y], [z])
    write_files(_files(g.build(inputs=[x, y], outputs=[z]), "two"), tmp_path)
    call = ["arm-none-eabi-g++", "-std=c++17", "-mcpu=cortex-m7", "-mthumb", optimize, "-Werror", "-c", "two_main.cc"]
    subprocess.run(call, cwd=tmp_path, check=True)
    names = subprocess.run(["arm-none-eabi-nm", "two_main.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[1:] for line in names.stdout.splitlines() if "feed_row" in line] == [["T", "two_feed_row"]]


@needs_host_cxx
def test_the_arenas_size_is_for_32_bits(tmp_path: Path) -> None:
    write_files(_files(chain()), tmp_path)
    call = ["c++", "-std=c++17", f"-I{HEADERS}", "-DTF_LITE_STATIC_MEMORY", "-fsyntax-only", "chain_tflm.cc"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "CHAIN_ARENA_BYTES is for a 32-bit target" in done.stderr


@needs_arm_cxx
def test_the_arenas_size_is_for_short_enumerations(tmp_path: Path) -> None:
    """TFLM's structures are larger with the others."""
    write_files(_files(chain()), tmp_path)
    call = ["arm-none-eabi-g++", "-std=c++17", "-mcpu=cortex-m7", "-mthumb", "-fsyntax-only", "chain_main.cc"]
    subprocess.run(call, cwd=tmp_path, check=True)
    call.append("-fno-short-enums")
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "CHAIN_ARENA_BYTES is for short enumerations" in done.stderr) == (1, True)
    subprocess.run([*call, "-DCHAIN_ARENA_BYTES=4096"], cwd=tmp_path, check=True)


@needs_host_cxx
def test_an_arena_that_is_known_in_part_must_be_given(tmp_path: Path) -> None:
    planned = _planned(chain())
    arena = replace(planned.arena, unknown=("operator 1 (RELU)",))
    files = tflm_files(Export(planned.data, planned.model, arena, "reference"), "chain")
    assert "not known: operator 1" in _text(files, "chain_arena.h")
    assert "not known: operator 1" in _text(files, "README.md")
    write_files(files, tmp_path)
    call = ["c++", "-std=c++17", f"-I{HEADERS}", "-DTF_LITE_STATIC_MEMORY", "-fsyntax-only", "chain_tflm.cc"]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "CHAIN_ARENA_BYTES must be defined" in done.stderr) == (1, True)
    subprocess.run([*call, "-DCHAIN_ARENA_BYTES=4096"], cwd=tmp_path, check=True)


def test_scales_are_exact_in_the_header() -> None:
    header = _text(_files(chain()), "chain_tflm.h")
    scale = re.search(r"CHAIN_OUTPUT_0_SCALE (\S+)f\n", header)
    assert scale is not None
    assert np.float32(scale[1]) == np.float32(0.25)
    assert "CHAIN_OUTPUT_0_ZERO_POINT (-3)\n" in header
    assert "CHAIN_INPUT_0_SHAPE { 1, 4, 6 }\n" in header


def test_the_manifests_keys_are_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "tflm.md").read_text("utf-8")
    told = json.loads(_text(_files(chain()), "manifest.json"))
    inner = [key for value in told.values() if isinstance(value, dict) and value is not told["kinds"] for key in value]
    inner += [key for table in ("inputs", "tensors", "files") for key in told[table][0]]
    named = {*told, *inner} - {"tinydeploy", "tflite_micro_commit"}
    assert [key for key in sorted(named) if f"`{key}" not in page] == []
