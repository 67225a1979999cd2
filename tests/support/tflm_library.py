"""The tests' own stand-in for TensorFlow Lite Micro as a library, and a model that it can compute."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which

import pytest

from tests.support.tflite_writer import GraphBuilder

HEADERS = Path(__file__).with_name("tflm_stand_in")
CORTEX_M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")
_STRICT = ("-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror")

needs_cmake = pytest.mark.skipif(which("cmake") is None, reason="cmake is not on PATH: pip install cmake")
needs_host_cxx = pytest.mark.skipif(which("c++") is None, reason="c++ is not on PATH: apt install g++")
needs_make = pytest.mark.skipif(which("make") is None, reason="make is not on PATH: apt install make")
needs_arm_cxx = pytest.mark.skipif(
    which("arm-none-eabi-g++") is None,
    reason="arm-none-eabi-g++ is not on PATH: apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
)


def build_library(
    folder: Path,
    flags: Sequence[str] = CORTEX_M7,
    *,
    source: str | None = None,
    compiler: str = "arm-none-eabi-g++",
    archiver: str = "arm-none-eabi-ar",
) -> Path:
    """`libtflm.a` in `folder`, of the stand-in or of another source."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (HEADERS / "stand_in.cc").read_text("utf-8") if source is None else source
    (folder / "library.cc").write_text(text, "utf-8")
    call = [compiler, *flags, *_STRICT, "-DTF_LITE_STATIC_MEMORY", f"-I{HEADERS}", "-c", "library.cc"]
    subprocess.run(call, cwd=folder, check=True)
    library = folder / "libtflm.a"
    library.unlink(missing_ok=True)
    subprocess.run([archiver, "rcs", library.name, "library.o"], cwd=folder, check=True)
    return library


def chain() -> bytes:
    """RESHAPE, RELU: what the stand-in computes."""
    g = GraphBuilder()
    x = g.tensor("x", (1, 4, 6), scale=0.25, zero_point=-3)
    flat = g.tensor("flat", (1, 24), scale=0.25, zero_point=-3)
    y = g.tensor("y", (1, 24), scale=0.25, zero_point=-3)
    shape = g.tensor("shape", (2,), "int32", data=[1, 24])
    g.op("RESHAPE", [x, shape], [flat])
    g.op("RELU", [flat], [y])
    return g.build(inputs=[x], outputs=[y])
