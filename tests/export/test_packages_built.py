"""Packages are built and run here, with the tools that can be had, and with stand-ins for frameworks that cannot.

What comes out must be what the reference interpreter computes from the same zeros.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import needs_gcc
from tests.support.host_kernels import host_compiler
from tests.support.model_files import ROOT
from tests.support.packages import package, planned, run, spread, tool, written
from tinydeploy.errors import MissingToolError
from tinydeploy.pipeline import PlanOptions
from tinydeploy.verify.references import reference_outputs

STAND_INS = ROOT / "tests" / "support" / "stand_ins"
STRICT = "-O0 -Wall -Wextra -Werror"


@cache
def reference(model: str) -> tuple[list[int], int]:
    """What a shipped model of one input makes of zeros, and the first of its highest scores."""
    of = planned(model).model
    shape, dtype = of.tensor(of.inputs[0]).shape, of.tensor(of.inputs[0]).dtype.label
    data = (ROOT / "models" / f"{model}.tflite").read_bytes()
    try:
        (first, *_) = reference_outputs(of, data, [{of.inputs[0]: np.zeros(shape, dtype)}])
    except MissingToolError:
        pytest.skip("no reference interpreter: pip install 'tinydeploy[verify]'")
    scores = first.samples[0][of.outputs[0]].ravel().tolist()
    return scores, scores.index(max(scores))


def check(printed: str, model: str = "digits", said: str | None = None) -> None:
    """What an example prints is what the reference says."""
    scores, best = reference(model)
    found = re.search(rf"^{model}: output 0:([ \d-]+)$", printed, re.MULTILINE)
    assert found is not None, printed
    assert list(map(int, found[1].split())) == scores
    assert f"{model}: output 0 says {said or f'class {best}'}\n" in printed


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = [f'digit {d}, "{d}" %s' for d in range(10)]
    return written(tmp_path_factory.mktemp("digits"), package(labels=labels)[1])


@pytest.fixture(name="other", scope="module")
def _other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is called as one of the kernels."""
    return written(tmp_path_factory.mktemp("other"), package(planned("kws"), name="add")[1])


def said() -> str:
    """The label of the class that the reference sees in zeros."""
    best = reference("digits")[1]
    return f'digit {best}, "{best}" %s'


def test_make_builds_the_library_and_the_example(folder: Path, tmp_path: Path) -> None:
    make, compiler = tool("make", "apt install make"), host_compiler()
    settings = (f"CC={compiler}", f"BUILD={tmp_path / 'build'}", f"CFLAGS={STRICT}", f"PREFIX={tmp_path / 'root'}")
    run(make, "-s", "-j2", "-C", folder, "example", "install", *settings)
    check(run(tmp_path / "build" / "digits_example"), said=said())
    installed = {p.relative_to(tmp_path / "root").as_posix() for p in (tmp_path / "root").rglob("*.*")}
    assert installed == {"lib/libdigits.a", "include/digits.h", "include/digits_io.h", "include/digits_info.h"}
    assert run(make, "-C", folder, "all", *settings).count("\n") <= 3  # nothing is compiled a second time
    run(make, "-s", "-C", folder, "clean", *settings)
    assert not list((tmp_path / "build").iterdir())


@needs_gcc
def test_make_takes_a_compiler_for_a_board(folder: Path, tmp_path: Path) -> None:
    cross = ("CC=arm-none-eabi-gcc", "AR=arm-none-eabi-ar", f"CFLAGS=-mcpu=cortex-m7 -mthumb {STRICT}")
    run(tool("make", "apt install make"), "-s", "-j2", "-C", folder, f"BUILD={tmp_path}", *cross)
    assert "digits_invoke" in run("arm-none-eabi-nm", tmp_path / "libdigits.a")


@needs_gcc
def test_the_example_of_an_arena_in_several_memories_compiles(tmp_path: Path) -> None:
    written(tmp_path, package(spread(), ["c"])[1])
    flags = ("-mcpu=cortex-m7", "-mthumb", "-std=c99", *STRICT.split(), "-fsyntax-only", "-Isrc")
    run("arm-none-eabi-gcc", *flags, "examples/plain-c/main.c", cwd=tmp_path)


def cmake(source: Path, build: Path, *options: str, targets: tuple[str, ...] = ("all",)) -> None:
    """Configure, and build what is asked for."""
    program = tool("cmake", "pip install 'tinydeploy[test]'")
    tool("make", "apt install make")
    environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CMAKE_GENERATOR")}
    makefiles = ("-G", "Unix Makefiles", f"-DCMAKE_C_COMPILER={host_compiler()}")
    run(program, "-S", source, "-B", build, *makefiles, f"-DCMAKE_C_FLAGS={STRICT}", *options, env=environment)
    if targets:
        run(program, "--build", build, "-j2", "--target", *targets, env=environment)


def test_cmake_installs_what_another_project_finds(folder: Path, tmp_path: Path) -> None:
    build, root, user = tmp_path / "build", tmp_path / "root", tmp_path / "user"
    cmake(folder, build, targets=("all", "tinydeploy_digits_example"))
    check(run(build / "tinydeploy_digits_example"), said=said())
    run(tool("cmake", "pip install 'tinydeploy[test]'"), "--install", build, "--prefix", root)
    written(
        user,
        {
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(user CXX C)\n"
            "find_package(digits 1.0 REQUIRED)\nadd_executable(digits user.cpp)\n"
            "target_link_libraries(digits PRIVATE digits::digits)\n",
            "user.cpp": "#include <digits.h>\n#include <digits_info.h>\n#include <cstdio>\n"
            "alignas(16) static uint8_t a[32];\n"
            "int main() { std::puts(digits_info.model_sha256); return digits_init(a + 1) == digits_init(a); }\n",
        },
    )
    cmake(user, tmp_path / "user_build", f"-DCMAKE_PREFIX_PATH={root}")
    assert run(tmp_path / "user_build" / "digits").strip() == planned().model.sha256


def test_two_packages_in_one_project_of_cmake(folder: Path, other: Path, tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(app C)\n"
            f'add_subdirectory("{folder}" one)\nadd_subdirectory("{other}" two)\n'
            "add_executable(app app.c)\ntarget_link_libraries(app PRIVATE digits::digits add::add)\n",
            "app.c": two_models("printf"),
        },
    )
    cmake(tmp_path, tmp_path / "build")
    check_two(run(tmp_path / "build" / "app"))


def two_models(log: str) -> str:
    """A program that runs both packages' models on zeros and prints the class of each."""
    body = "".join(
        f"    if ({name}_init({name}_arena) != 0) {{ return 1; }}\n"
        f"    memset({name}_input_0({name}_arena), 0, {name.upper()}_INPUT_0_COUNT);\n"
        f"    {name}_invoke({name}_arena);\n"
        f'    {log}("{name} %u\\n", (unsigned){name}_output_0_argmax({name}_output_0({name}_arena)));\n'
        for name in ("digits", "add")
    )
    arenas = "".join(
        f"static uint8_t {n}_arena[{n.upper()}_ARENA_BYTES] __attribute__((aligned({n.upper()}_ARENA_ALIGNMENT)));\n"
        for n in ("digits", "add")
    )
    headers = "".join(f'#include "{name}{end}.h"\n' for name in ("digits", "add") for end in ("", "_io"))
    return f"#include <stdio.h>\n#include <string.h>\n{headers}{arenas}int main(void)\n{{\n{body}    return 0;\n}}\n"


def check_two(printed: str) -> None:
    """What `two_models` prints is what the reference says."""
    assert printed == f"digits {reference('digits')[1]}\nadd {reference('kws')[1]}\n"


def test_the_sketch_is_built_as_arduino_builds_it(folder: Path, tmp_path: Path) -> None:
    """Every C file below src/ as C, the sketch as C++ behind Arduino.h, with src/ alone to include from."""
    compiler = host_compiler()
    sketch = (folder / "examples" / "digits" / "digits.ino").read_text("utf-8")
    core = STAND_INS / "arduino"
    written(tmp_path, {"digits.ino.cpp": f"#include <Arduino.h>\nvoid setup();\nvoid loop();\n{sketch}"})
    sources = sorted((folder / "src").rglob("*.c"))
    run(compiler, "-c", *STRICT.split(), "-std=gnu11", f"-I{folder / 'src'}", *sources, cwd=tmp_path)
    cxx = (*STRICT.split(), "-std=gnu++11", f"-I{core}", f"-I{folder / 'src'}")
    objects = sorted(p.name for p in tmp_path.glob("*.o"))
    program = tmp_path / "sketch"
    plus_plus = tool("g++", "apt install g++")
    run(plus_plus, *cxx, "digits.ino.cpp", core / "main.cpp", *objects, "-o", program, cwd=tmp_path)
    check(run(program), said=said())


def test_the_application_of_zephyr_and_a_second_module(folder: Path, other: Path, tmp_path: Path) -> None:
    """Zephyr links its libraries whole: two copies of a kernel would be an error."""
    options = (f"-DZephyr_DIR={STAND_INS / 'zephyr'}", f"-DZEPHYR_EXTRA_MODULES={other}", "-DCONFIG_TINYDEPLOY_ADD=y")
    cmake(folder / "examples" / "zephyr-app", tmp_path / "build", *options)
    check(run(tmp_path / "build" / "zephyr_final"), said=said())
    libraries = {p.name for p in (tmp_path / "build").rglob("*.a")}
    assert libraries == {"libapp.a", "libtinydeploy-runtime.a", "libtinydeploy_digits.a", "libtinydeploy_add.a"}


def test_a_module_that_is_not_chosen_adds_nothing(folder: Path, other: Path, tmp_path: Path) -> None:
    options = (f"-DZephyr_DIR={STAND_INS / 'zephyr'}", f"-DZEPHYR_EXTRA_MODULES={other}")
    cmake(folder / "examples" / "zephyr-app", tmp_path, *options, targets=())
    targets = {p.name for p in tmp_path.rglob("CMakeFiles/*.dir")}
    assert "tinydeploy_digits.dir" in targets and "tinydeploy_add.dir" not in targets


def test_modules_of_different_runtimes_are_refused(folder: Path, other: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    listing = (other / "zephyr" / "CMakeLists.txt").read_text("utf-8")
    content = re.findall(r'TINYDEPLOY_CONTENT "(\w+)"', listing)[0]
    written(changed, {"zephyr/CMakeLists.txt": listing.replace(content, "0" * 12)})
    options = (f"-DZephyr_DIR={STAND_INS / 'zephyr'}", f"-DZEPHYR_EXTRA_MODULES={changed}", "-DCONFIG_TINYDEPLOY_ADD=y")
    with pytest.raises(AssertionError, match="are of different versions of"):
        cmake(folder / "examples" / "zephyr-app", tmp_path / "build", *options)


def test_the_project_of_esp_idf(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDF_PATH", str(STAND_INS / "esp_idf"))
    cmake(folder / "examples" / "esp-idf", tmp_path)
    check(run(tmp_path / "esp_idf_final"), said=said())


@pytest.mark.parametrize("model, feed_rows", [("kws", True), ("everything", False)])
def test_examples_run_for_models_that_are_fed_and_models_with_many_outputs(
    model: str, feed_rows: bool, tmp_path: Path
) -> None:
    of = planned(model, PlanOptions(feed_rows=feed_rows))
    written(tmp_path, package(of, ["arduino"], name="net")[1])
    sources = sorted((tmp_path / "src").rglob("*.c"))
    run(
        host_compiler(),
        *STRICT.split(),
        "-std=c99",
        "-Isrc",
        "examples/plain-c/main.c",
        *sources,
        "-o",
        "main",
        cwd=tmp_path,
    )
    printed = run(tmp_path / "main").splitlines()
    values = [found[1].split() for line in printed if (found := re.match(r"net: output \d+[^:]*:(.*)", line))]
    counts = [of.model.tensor(tensor).elements for tensor in of.model.outputs]
    assert [len(value) for value in values if value] == counts
    sketch = (tmp_path / "examples/net/net.ino").read_text("utf-8")
    written(tmp_path, {"net.cpp": f"#include <Arduino.h>\n{sketch}"})
    cxx = ("-fsyntax-only", *STRICT.split(), f"-I{STAND_INS / 'arduino'}", "-Isrc")
    run(tool("g++", "apt install g++"), *cxx, "net.cpp", cwd=tmp_path)
