"""What is generated around inputs and outputs, and what a library says of itself: run here, and on emulated boards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import tflite_writer as writer
from tests.support.firmware import BOTH, needs_unicorn, run_image
from tests.support.host_kernels import SANITIZERS, WARNINGS, host_compiler, kernel_objects, tflm_outputs
from tests.support.streamed_plans import streamed_plan
from tinydeploy.boards import find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.codegen import Extras, Identity, emit, generate
from tinydeploy.codegen.extras import NO_EXTRAS
from tinydeploy.codegen.io import io_files
from tinydeploy.convert.data.feeding import quantize_array
from tinydeploy.convert.types import Pixels
from tinydeploy.elf import read_elf
from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model, Quantization, Tensor
from tinydeploy.pipeline import PlanOptions, build_image, plan_model
from tinydeploy.pipeline.building import generate_library
from tinydeploy.plan import make_plan
from tinydeploy.resources import models_dir
from tinydeploy.toolchain import find_toolchain

Array = NDArray[Any]
End = tuple[str, tuple[int, ...], float, int]  # dtype, shape, scale, zero point

STRICT = (
    *("-pedantic-errors", "-Wconversion", "-Wsign-conversion", "-Wdouble-promotion", "-Wfloat-equal", "-Wshadow"),
    *("-Wundef", "-Wcast-qual", "-Wstrict-prototypes", "-Wmissing-prototypes"),
)
CTYPES = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "float32": "float"}
SCALES = (0.5, 0.1, 1 / 3, 0.0078125, 1 / 255, 1e-3, 7.3, 1e-30, 3e-41, 1e30)


def ends(inputs: Sequence[End], outputs: Sequence[End] = ()) -> Model:
    """A model of which only inputs and outputs matter."""
    tensors = []
    for index, (dtype, shape, scale, zero_point) in enumerate([*inputs, *outputs]):
        q = None if dtype == "float32" else Quantization((float(np.float32(scale)),), (zero_point,))
        tensors.append(Tensor(index, f"tensor {index}", shape, DType[dtype.upper()], q))
    first = len(inputs)
    return Model("net", tuple(tensors), (), tuple(range(first)), tuple(range(first, len(tensors))))


def run_on_host(folder: Path, files: Mapping[str, str], main: str, given: bytes = b"") -> bytes:
    """Standard output of a C program with these files, under sanitizers."""
    for name, text in files.items():
        (folder / name).write_text(text)
    prelude = '#include <stdio.h>\n#include <stdlib.h>\n#include "net_io.h"\n'
    prelude += "static void give(void *to, size_t n) { if (fread(to, 1, n, stdin) != n) { exit(99); } }\n"
    prelude += "static void take(const void *from, size_t n) { if (fwrite(from, 1, n, stdout) != n) { exit(98); } }\n"
    (folder / "main.c").write_text(f"{prelude}int main(void)\n{{\n{main}\n    return 0;\n}}\n")
    sources = ["main.c", *(name for name in files if name.endswith(".c"))]
    compile_here(folder, sources, ["-Wno-unused-function", "-o", "program"])
    done = subprocess.run([str(folder / "program")], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    return done.stdout


def compile_here(folder: Path, sources: Sequence[str], options: Sequence[str]) -> None:
    command = [host_compiler(), *WARNINGS, *STRICT, *SANITIZERS, "-O1", "-I.", *sources, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]


def quantized_by_tflm(values: Array, dtype: str, scale: float, zero_point: int) -> Array:
    """TensorFlow Lite Micro's QUANTIZE. It has none to uint8, which is int8 with everything 128 higher."""
    if dtype == "uint8":
        return (quantized_by_tflm(values, "int8", scale, zero_point - 128).astype(np.int16) + 128).astype(np.uint8)
    data = writer.quantize(values.shape, dtype_out=dtype, quant_out=(scale, zero_point))
    return np.ascontiguousarray(tflm_outputs(data, [values])[0])


def borders(dtype: str, scale: float, zero_point: int) -> Array:
    """The floats around every border between two quantized values, three to each side, and a little beyond."""
    limits = np.iinfo(dtype)
    steps = np.arange(limits.min - zero_point - 3, limits.max - zero_point + 3, dtype=np.float32)
    with np.errstate(over="ignore", under="ignore"):
        near = [(steps + np.float32(0.5)) * np.float32(scale)]
        for towards in (-np.inf, np.inf):
            step = near[0]
            for _ in range(3):
                step = np.nextafter(step, np.float32(towards))
                near.append(step)
    values = np.concatenate([*near, np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)]).astype(np.float32)
    return values[np.isfinite(values)]


# --- floats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_floats_are_quantized_as_tflm_does_on_both_sides_of_every_border(tmp_path: Path, dtype: str) -> None:
    lowest = np.iinfo(dtype).min
    zero_points = {"int8": (-128, -3, 127), "uint8": (0, 125, 255), "int16": (0,)}[dtype]
    inputs = [(dtype, (1, 4), float(np.float32(s)), z) for s in SCALES for z in zero_points]
    given, expected, body = b"", b"", []
    for index, (_, _, scale, zero_point) in enumerate(inputs):
        values = borders(dtype, scale, zero_point)
        given += values.tobytes()
        reference = quantized_by_tflm(values, dtype, scale, zero_point)
        assert (quantize_array(values, scale, zero_point, dtype) == reference).all()
        assert {lowest, np.iinfo(dtype).max} <= set(reference.tolist()) or scale > 1e29
        expected += reference.tobytes()
        body.append(f"""    {{
        enum {{ N = {values.size} }};
        static float from[N];
        static {CTYPES[dtype]} to[N];
        give(from, sizeof from);
        net_input_{index}_from_floats(to, from, N);
        for (uint32_t i = 0; i < N; ++i) {{ if (to[i] != net_input_{index}_quantize(from[i])) {{ exit(97); }} }}
        take(to, sizeof to);
    }}""")
    assert run_on_host(tmp_path, io_files(ends(inputs), "net", NO_EXTRAS), "\n".join(body), given) == expected


def test_what_is_no_number_is_zero_and_infinities_saturate(tmp_path: Path) -> None:
    values = np.array([np.inf, -np.inf, 3.4e38, -3.4e38, np.nan, -np.nan], np.float32)
    body = "    float x; for (int i = 0; i < 6; ++i) { give(&x, 4); int8_t q = net_input_0_quantize(x); take(&q, 1); }"
    files = io_files(ends([("int8", (1, 4), 0.1, 5)]), "net", NO_EXTRAS)
    found = np.frombuffer(run_on_host(tmp_path, files, body, values.tobytes()), np.int8)
    assert found.tolist() == [127, -128, 127, -128, 5, 5]


def test_all_samples_of_audio(tmp_path: Path) -> None:
    """All of them, with a multiplication where one is exact: in the last but one none is."""
    inputs: list[End] = [("int16", (1, 4), 1 / 32768, 0)]
    inputs += [("int8", (1, 4), s, z) for s in (1 / 128, 2 / 255, 0.0031, 1 / 3, 7.3, 1e-8) for z in (-128, 0, 127)]
    inputs += [("int16", (1, 4), s, z) for s, z in ((2 / 32768, 0), (1.3 / 32768, 300))]
    inputs += [("uint8", (1, 4), s, z) for s, z in ((2 / 255, 128), (3e-3, 255))]
    inputs += [("int8", (1, 4), 0.0018998816376551986, 23), ("float32", (1, 4), 0, 0)]
    samples = np.arange(-32768, 32768).astype(np.int16)
    real = samples.astype(np.float32) / np.float32(32768)
    body = ["    static int16_t from[65536]; give(from, sizeof from);"]
    expected = b""
    for index, (dtype, _, scale, zero_point) in enumerate(inputs):
        body.append(f"    static {CTYPES[dtype]} to_{index}[65536];")
        body.append(f"    net_input_{index}_from_i16(to_{index}, from, 65536); take(to_{index}, sizeof to_{index});")
        expected += (real if dtype == "float32" else quantized_by_tflm(real, dtype, scale, zero_point)).tobytes()
    files = io_files(ends(inputs), "net", NO_EXTRAS)
    found = run_on_host(tmp_path, files, "\n".join(body), samples.tobytes())
    assert found == expected
    assert found[: 2 * 65536] == samples.tobytes()  # a scale of 1/32768: the samples as they are
    assert files["net_io.c"].count("/ 32768.0f") == 2


# --- pixels -----------------------------------------------------------------------------------------------------------

IMAGES: tuple[End, ...] = (
    ("int8", (1, 4, 4, 3), 1 / 255, -128),
    ("int8", (1, 4, 4, 1), 0.0078431377, 0),
    ("uint8", (1, 4, 4, 3), 0.02, 114),
    ("int16", (1, 4, 4, 1), 1 / 32768, 0),
    ("float32", (1, 4, 4, 3), 0, 0),
    ("int8", (1, 16), 0.01, 3),
)


@pytest.mark.parametrize("pixels", [Pixels(0, 1), Pixels(-1, 1), Pixels(0, 255), Pixels(1, 0), Pixels(-2.1, 2.64)])
def test_every_pixel_is_what_tflm_makes_of_its_value(tmp_path: Path, pixels: Pixels) -> None:
    real = np.array([pixels.low + (pixels.high - pixels.low) * p / 255 for p in range(256)]).astype(np.float32)
    body = ["    static uint8_t from[256]; for (uint32_t i = 0; i < 256; ++i) { from[i] = (uint8_t)i; }"]
    expected = b""
    for index, (dtype, _, scale, zero_point) in enumerate(IMAGES):
        body.append(f"    static {CTYPES[dtype]} to_{index}[256];")
        body.append(f"    net_input_{index}_row_from_u8(to_{index}, from, 256); take(to_{index}, sizeof to_{index});")
        expected += (real if dtype == "float32" else quantized_by_tflm(real, dtype, scale, zero_point)).tobytes()
    body.append("    net_input_2_row_from_u8(from, from, 256); take(from, sizeof from);")  # in place
    found = run_on_host(tmp_path, io_files(ends(IMAGES), "net", Extras(pixels=pixels)), "\n".join(body))
    assert found[:-256] == expected
    assert found[-256:] == found[512:768]


def test_pixels_that_become_what_the_quantization_undoes() -> None:
    """Scale 1/255 and zero point -128 for 0..1: p - 128, and no other function needs them."""
    model = ends([("int8", (1, 4, 4, 3), 1 / 255, -128)])
    text = io_files(model, "net", Extras(pixels=Pixels(0, 1)))["net_io.c"]
    table = text.partition("pixels_0[256] = {")[2].partition("}")[0]
    assert [int(value) for value in table.replace(",", " ").split()] == list(range(-128, 128))
    without = io_files(model, "net", NO_EXTRAS)
    assert "u8" not in without["net_io.h"] and "[256]" not in without["net_io.c"]


def test_the_pixels_of_cameras(tmp_path: Path) -> None:
    body = """    static uint16_t from[65536]; for (uint32_t i = 0; i < 65536; ++i) { from[i] = (uint16_t)i; }
    static int8_t colour[3 * 65536], grey[65536], luma[4];
    static const uint8_t yuyv[8] = { 1, 200, 2, 201, 3, 202, 255, 203 };
    net_input_0_row_from_rgb565(colour, from, 65536); take(colour, sizeof colour);
    net_input_1_row_from_rgb565(grey, from, 65536); take(grey, sizeof grey);
    net_input_1_row_from_yuyv(luma, yuyv, 4); take(luma, sizeof luma);"""
    model = ends([("int8", (1, 4, 4, 3), 1, -128), ("int8", (1, 4, 4, 1), 1, -128)])
    files = io_files(model, "net", Extras(pixels=Pixels(0, 255)))
    found = np.frombuffer(run_on_host(tmp_path, files, body), np.int8).astype(int) + 128
    pixel = np.arange(65536)
    five, six = (pixel >> 11, pixel & 31), pixel >> 5 & 63
    red, blue = (np.rint(part * 255 / 31) for part in five)
    rgb = np.stack([red, np.rint(six * 255 / 63), blue], axis=1)
    colour = found[: 3 * 65536].reshape(-1, 3)
    assert (np.abs(colour - rgb) <= 1).all()  # the usual repeated bits are within one of the exact proportion
    assert colour[0].tolist() == [0, 0, 0] and colour[-1].tolist() == [255, 255, 255]
    assert (np.diff(colour[[0, *(1 << i for i in range(16))]].sum(axis=1)) != 0).all()  # every bit counts
    grey = found[3 * 65536 : 4 * 65536]
    assert (np.abs(grey - colour @ [0.299, 0.587, 0.114]) < 0.51).all()
    assert found[-4:].tolist() == [1, 2, 3, 255]
    assert (
        "rgb565" not in io_files(ends([("int8", (1, 4, 4, 2), 1, 0)]), "net", Extras(pixels=Pixels(0, 1)))["net_io.h"]
    )


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_what_dequantize_gives(tmp_path: Path) -> None:
    outputs: list[End] = [("int8", (1, 16, 16), s, z) for s in (1 / 256, 0.1, 3e-41, 3e38) for z in (-128, 0, 127)]
    raw = np.arange(-128, 128).astype(np.int8)
    body = ["    static int8_t q[256]; give(q, sizeof q);"]
    expected = b""
    for index, (_, _, scale, zero_point) in enumerate(outputs):
        body.append(
            f"    for (uint32_t i = 0; i < 256; ++i) {{ float x = net_output_{index}_score(q, i); take(&x, 4); }}"
        )
        data = writer.dequantize((256,), quant_in=(float(np.float32(scale)), zero_point))
        expected += tflm_outputs(data, [raw])[0].tobytes()
    body.append("    static const float real[2] = { 0.25f, -7.5f };")
    body.append(f"    float x = net_output_{len(outputs)}_score(real, 1); take(&x, 4);")
    expected += np.float32(-7.5).tobytes()
    files = io_files(ends([], [*outputs, ("float32", (1, 5, 2), 0, 0)]), "net", NO_EXTRAS)
    assert run_on_host(tmp_path, files, "\n".join(body), raw.tobytes()) == expected
    assert "argmax" not in files["net_io.h"]  # none of them is one row of scores


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float32"])
def test_the_best_classes_and_of_equals_the_first(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(7)
    spread = [rng.integers(0, high, (40, 12)) for high in (1, 2, 4, 100)]  # all equal, many equal, few equal
    rows = np.concatenate([*spread, np.eye(12, dtype=np.int64), 1 - np.eye(12, dtype=np.int64)]).astype(dtype)
    ks = (0, 1, 2, 3, 11, 12, 13, 1000)
    body = f"""    for (int n = 0; n < {len(rows)}; ++n) {{
        {CTYPES[dtype]} row[12];
        give(row, sizeof row);
        uint32_t best = net_output_0_argmax(row);
        take(&best, 4);
        static const uint32_t ks[] = {{ {", ".join(map(str, ks))} }};
        for (int j = 0; j < {len(ks)}; ++j) {{
            uint32_t *top = malloc(4 * (ks[j] < 12 ? ks[j] : 12)); /* no byte more than it may write */
            uint32_t found = net_output_0_top(row, top, ks[j]);
            take(&found, 4);
            take(top, 4 * found);
            free(top);
        }}
    }}"""
    expected: list[int] = []
    for row in rows:
        order = np.argsort(-row.astype(np.float64), kind="stable")
        expected.append(int(np.argmax(row)))
        for k in ks:
            expected += [min(k, 12), *order[:k].tolist()]
    files = io_files(ends([], [(dtype, (1, 12), 0.1, 0)]), "net", NO_EXTRAS)
    found = np.frombuffer(run_on_host(tmp_path, files, body, rows.tobytes()), np.uint32)
    assert found.tolist() == expected


# --- labels -----------------------------------------------------------------------------------------------------------

HOSTILE = (
    'quo"te',
    "back\\",
    "??/??)??=",
    "\x01f\x7fdead",
    "\u00e9\u00e8f0",
    "line\nbreak\r",
    "%s%n%%",
    "/* */ // \\\n#error out",
    "größe/名前/\u202e",
    '"); system("x',
    "0123456789" * 20,
    "\t7",
)


@pytest.mark.parametrize("standard", ["-std=c99", "-std=gnu17"])
def test_labels_come_out_as_they_went_in(tmp_path: Path, standard: str) -> None:
    model = ends([], [("int8", (1, 12), 0.1, 0), ("int8", (1, 5), 0.1, 0), ("float32", (12,), 0, 0)])
    files = io_files(model, "net", Extras(labels=HOSTILE))
    assert all(text.isascii() and "\r" not in text for text in files.values())
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text("""#include "net_io.h"
#include <stdio.h>
int main(void)
{
    for (uint32_t i = 0; i < 12; ++i) {
        fputs(net_output_0_label(i), stdout);
        putchar(0);
        fputs(net_output_2_label(i), stdout);
        putchar(0);
    }
    return net_output_0_label(12)[0] + net_output_2_label(4294967295u)[0];
}
""")
    compile_here(tmp_path, ["main.c", "net_io.c"], [standard, "-trigraphs", "-o", "program"])
    done = subprocess.run([str(tmp_path / "program")], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [label.encode() for label in HOSTILE for _ in range(2)]
    assert "output_1_label" not in files["net_io.h"]


def test_as_many_labels_as_classes() -> None:
    scores: list[End] = [("int8", (1, 12), 0.1, 0), ("int8", (1, 3, 4), 0.1, 0)]
    with pytest.raises(UsageError, match=r"^2 labels for net, but output 0 has 12 classes$"):
        io_files(ends([], scores), "net", Extras(labels=("a", "b")))
    with pytest.raises(UsageError, match="no output that is one row of scores"):
        io_files(ends([], scores[1:]), "net", Extras(labels=("a", "b", "c", "d")))


# --- what a library knows of itself -----------------------------------------------------------------------------------


def test_a_program_can_print_what_the_library_knows(tmp_path: Path) -> None:
    """In C++, which has no designated initializers of its own in C++11."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler: apt install g++")
    model = load("kws")
    plan = make_plan(model, solver="builtin")
    identity = Identity(board="stm32f746g_disco", source='my "model"??/\n.keras', source_sha256="ab" * 32)
    tree = generate(model, plan, emit(model, plan, name="net"), Extras(identity=identity))
    for name in ("net_info.h", "net_info.c"):
        (tmp_path / name).write_text(tree.files[name])
    texts = ("name", "model", "model_sha256", "source", "source_sha256", "quantization", "board", "tinydeploy")
    numbers = ("runtime_version", "arena_bytes", "lower_bound_bytes", "floor_bytes", "constant_bytes", "macs")
    lines = [f"    std::puts(net_info.{key});" for key in texts]
    lines += [f'    std::printf("%u\\n", unsigned(net_info.{key}));' for key in numbers]
    main = '#include <cstdio>\n#include "net_info.h"\nint main() {\n' + "\n".join(lines) + "\n}\n"
    (tmp_path / "main.cpp").write_text(main)
    compile_here(tmp_path, ["net_info.c"], ["-c", "-o", "info.o"])
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", *SANITIZERS, "main.cpp", "info.o", "-o", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    told = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True, check=True).stdout.splitlines()
    from tinydeploy import __version__

    proof, constants = plan.proof, sum(tree.constant_bytes.values())
    assert told == [
        *("net", "kws", model.sha256, "my .model.../..keras", "ab" * 32, "int8 activations, int8 weights per channel"),
        *("stm32f746g_disco", __version__, "2", str(plan.arena_bytes), str(proof.lower_bound_bytes)),
        *(str(proof.floor_bytes), str(constants), "2656768"),  # MACs as the model's card has them
    ]


@pytest.mark.parametrize("toolchain", BOTH)
def test_what_is_not_used_is_not_in_the_image(tmp_path: Path, toolchain: str) -> None:
    planned = plan_model(load("kws"), find_board("stm32l4r5"), PlanOptions(solver="builtin"))
    labels = tuple(f"word {n}" for n in range(12))
    full = generate_library(planned, "net", Extras(labels=labels, pixels=Pixels(0, 1)))
    bare = replace(full, sources=tuple(s for s in full.sources if s not in ("net_io.c", "net_info.c")))
    assert len(bare.sources) == len(full.sources) - 2
    sizes = []
    for number, tree in enumerate((full, bare)):
        image = build_image(planned, tmp_path / str(number), toolchain=toolchain, markers=False, tree=tree).image
        sizes.append((image.flash_bytes, image.static_bytes, sorted(s.name for s in image.symbols)))
    assert sizes[0] == sizes[1]


# --- on a board -------------------------------------------------------------------------------------------------------

_ON_BOARD = """
#include "net_io.h"
enum { N = %(count)d };
__attribute__((section(".arena"), aligned(16))) float from[N]; /* start-up code leaves it alone */
int8_t out[3 * N + 256 + N];
uint32_t best[13];
float scores[12];
__attribute__((noinline, used)) void done(void) { __asm volatile("" ::: "memory"); }
int main(void)
{
    static uint8_t pixels[256];
    static int16_t samples[N];
    for (uint32_t i = 0; i < 256; ++i) { pixels[i] = (uint8_t)i; }
    for (uint32_t i = 0; i < N; ++i) { samples[i] = (int16_t)(i * 61u - 32768u); }
    net_input_0_from_floats(out, from, N);
    net_input_1_from_floats(out + N, from, N);
    net_input_0_from_i16(out + 2 * N, samples, N);
    net_input_0_row_from_u8(out + 3 * N, pixels, 256);
    best[0] = net_output_0_argmax(out);
    net_output_0_top(out, best + 1, 12);
    for (uint32_t i = 0; i < 12; ++i) { scores[i] = net_output_0_score(out, i); }
    done();
    return 0;
}
"""


@needs_unicorn
@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32g0b1", "stm32f746"])
def test_boards_with_and_without_floating_point_give_the_same(tmp_path: Path, board: str, toolchain: str) -> None:
    quants = ((0.1, 5), (1 / 255, -128))
    values = np.concatenate([borders("int8", float(np.float32(s)), z)[::6] for s, z in quants])
    values = np.concatenate([values, np.array([np.inf, -np.inf, 1e-45, 3e38], np.float32)]).astype(np.float32)
    model = ends([("int8", (1, 4, 4, 3), *q) for q in quants], [("int8", (1, 12), *quants[0])])
    for name, text in io_files(model, "net", Extras(pixels=Pixels(-1, 1))).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(_ON_BOARD % {"count": values.size})
    chosen = find_board(board)
    sources = [tmp_path / "main.c", tmp_path / "net_io.c"]
    image = find_toolchain(toolchain).build(sources, [tmp_path], chosen, tmp_path / "out")
    elf = read_elf(image.elf)
    from tinydeploy.emulate import MemoryWrite

    names = {"out": 4 * values.size + 256, "best": 52, "scores": 48}
    result = run_image(
        image,
        chosen,
        writes=[MemoryWrite(elf.address_of("from"), values.tobytes())],
        reads=[(elf.address_of(name), size) for name, size in names.items()],
        stop_symbol="done",
        stack_limit=image.stack_limit,
    )
    assert result.fault is None
    out, best, scores = result.reads
    finite = np.clip(values, -1e6, 1e6)  # TFLM's own result for infinities is undefined
    samples = (np.arange(values.size) * 61 - 32768).astype(np.int16).astype(np.float32) / np.float32(32768)
    pixels = (np.arange(256) / 127.5 - 1).astype(np.float32)
    expected = [quantized_by_tflm(finite, "int8", float(np.float32(s)), z) for s, z in quants]
    expected.append(quantized_by_tflm(samples, "int8", float(np.float32(quants[0][0])), quants[0][1]))
    expected.append(quantized_by_tflm(pixels, "int8", float(np.float32(quants[0][0])), quants[0][1]))
    assert out[: 3 * values.size + 256] == b"".join(e.tobytes() for e in expected)
    row = expected[0][:12]
    order = np.argsort(-row.astype(int), kind="stable").tolist()
    assert np.frombuffer(best, np.uint32).tolist() == [order[0], *order]
    assert (
        np.frombuffer(scores, np.float32).tolist()
        == ((row.astype(int) - 5).astype(np.float32) * np.float32(0.1)).tolist()
    )


# --- all of it together -----------------------------------------------------------------------------------------------

_APPLICATION = """#include "net.h"
#include "net_info.h"
#include "net_io.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t arena[NET_ARENA_BYTES] __attribute__((aligned(NET_ARENA_ALIGNMENT)));

static void camera(void *context, uint32_t input, uint32_t row, void *to)
{
    uint8_t line[NET_INPUT_0_ROW_BYTES];

    (void)context;
    (void)input;
    (void)row;
    if (fread(line, 1, sizeof line, stdin) != sizeof line) { exit(99); }
    net_input_0_row_from_u8(to, line, sizeof line);
}

int main(void)
{
    if (net_init(arena) != 0) { return 1; }
    for (int image = 0; image < 20; ++image) {
        net_invoke(arena, camera, NULL);
        const int8_t *const scores = net_output_0(arena);
        const uint32_t best = net_output_0_argmax(scores);
        printf("%s %.6f\\n", net_output_0_label(best), (double)net_output_0_score(scores, best));
    }
    puts(net_info.model_sha256);
    return 0;
}
"""


def test_images_row_by_row_from_bytes_to_labels(tmp_path: Path) -> None:
    """The application of docs/input-output.md: 20 digits as 8-bit images, against TensorFlow Lite Micro."""
    model = load("digits")
    labels = tuple(f"digit {n}" for n in range(10))
    plan = streamed_plan(model, feed=True)
    (index,) = model.inputs
    q = model.tensor(index).quantization
    assert q is not None
    images = np.load(models_dir() / "digits_samples.npy").astype(np.int16) + 128  # 0..255, as a camera would give them
    pixels = Pixels(q.scale * (-128 - q.zero_point), q.scale * (127 - q.zero_point))  # of which 0 becomes -128
    extras = Extras(labels=labels, pixels=pixels)
    tree = generate(model, plan, emit(model, plan, name="net"), extras)
    tree.write(tmp_path)
    (tmp_path / "main.c").write_text(_APPLICATION)
    objects = [str(tmp_path / s) for s in tree.sources if not s.startswith("runtime/")]
    command = [host_compiler(), *WARNINGS, *SANITIZERS, "-O1", "-I.", "-Iruntime", "main.c", *objects]
    done = subprocess.run(
        [*command, *kernel_objects(0), "-o", "program"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    given = images.astype(np.uint8).tobytes()
    said = subprocess.run([str(tmp_path / "program")], input=given, capture_output=True, check=True).stdout.decode()
    path = model_path("digits")
    assert path is not None
    expected = []
    for image in images:
        scores = np.ravel(tflm_outputs(path.read_bytes(), [(image - 128).astype(np.int8).reshape(1, 8, 8, 1)])[0])
        best = int(np.argmax(scores))
        out = model.tensor(model.outputs[0]).quantization
        assert out is not None
        expected.append(f"digit {best} {np.float32(out.scale) * np.float32(int(scores[best]) - out.zero_point):.6f}")
    assert said.splitlines() == [*expected, model.sha256]
    shown = np.load(models_dir() / "digits_labels.npy").tolist()
    assert sum(line.startswith(f"digit {n} ") for n, line in zip(shown, expected, strict=True)) >= 18


def test_the_programs_of_the_page_compile(tmp_path: Path) -> None:
    """With the libraries that the page builds: `vww` fed by rows, with pixels and labels, and `kws`."""
    page = Path(__file__).resolve().parents[2] / "docs" / "input-output.md"
    board = find_board("stm32f746")
    vww = Extras(labels=("no person", "person"), pixels=Pixels(0, 1))
    for name, feed, extras in (("vww", True, vww), ("kws", False, NO_EXTRAS)):
        planned = plan_model(load(name), board, PlanOptions(solver="builtin", feed_rows=feed, effort="quick"))
        generate_library(planned, name, extras).write(tmp_path)
    programs = [text.partition("```")[0] for text in page.read_text("utf-8").split("```c\n")[1:]]
    assert len(programs) == 4
    for number, text in enumerate(programs):
        (tmp_path / f"page{number}.c").write_text(text)
        command = [host_compiler(), *WARNINGS, "-Wconversion", "-I.", "-c", f"page{number}.c", "-o", "x.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
