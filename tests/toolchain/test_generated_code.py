"""What a generated library promises to whoever compiles it: it stands alone, C99 and C++, no heap, no doubles."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import BOTH, needs_gcc, needs_unicorn, needs_zig
from tests.support.host_kernels import random_inputs, tflm_outputs
from tests.support.random_networks import random_network
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.boards import find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.codegen import SourceTree, emit, generate
from tinydeploy.codegen.generate import RUNTIME_VERSION
from tinydeploy.emulate import Job, MemoryWrite, UnicornEmulator
from tinydeploy.ir import Model
from tinydeploy.operators.convolution import _BLOCK_TAPS, _PATCH_BYTES
from tinydeploy.pipeline import DEFAULT_STACK_BYTES, PlanOptions, build_image, plan_model, run_model
from tinydeploy.plan import make_plan
from tinydeploy.resources import firmware_dir
from tinydeploy.tflite import parse_model
from tinydeploy.toolchain import find_toolchain
from tinydeploy.toolchain.driver import COMMON_FLAGS
from tinydeploy.toolchain.gcc import Gcc

STRICT = ("-Wall", "-Wextra", "-Werror")
PORT = firmware_dir() / "port"
needs_host = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("g++") is None, reason="no host compiler: apt install gcc g++"
)


def tree_of(model: Model, name: str) -> SourceTree:
    plan = make_plan(model, solver="builtin")
    return generate(model, plan, emit(model, plan, name=name))


@pytest.fixture(scope="module", name="everything")
def _everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the model that uses every operator, written into a folder that nothing else is in."""
    folder = tmp_path_factory.mktemp("everything")
    tree_of(load("everything"), "net").write(folder)
    return folder


def call(command: Sequence[str], folder: Path, *, code: int = 0) -> str:
    """Standard output and error of a command that must end with `code`."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert (done.returncode != 0) == (code != 0), f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def sources(folder: Path) -> list[str]:
    """What the README says to compile: the library's four files and everything in runtime/."""
    runtime = sorted(f"runtime/{p.name}" for p in (folder / "runtime").glob("*.c"))
    return ["net.c", "net_data.c", "net_io.c", "net_info.c", *runtime]


def readme_flags(folder: Path) -> list[str]:
    """The options that the README names, taken from its text, as a reader would."""
    text = " ".join((folder / "README.md").read_text("utf-8").split())
    assert "Compile `net.c`, `net_data.c`, `net_io.c`, `net_info.c` and everything in `runtime/` as C99" in text
    assert "with this folder and `runtime/` on the include path" in text
    named = re.findall(r"`(-[^`]+)`", text)
    assert "-ffunction-sections" in named and "-Wl,--gc-sections" in named
    return ["-std=c99", "-I.", "-Iruntime", *named]


# --- stands alone -----------------------------------------------------------------------------------------------------


@needs_host
def test_compiles_on_the_host_as_its_readme_says(everything: Path, tmp_path: Path) -> None:
    program = str(tmp_path / "example")
    command = ["gcc", *readme_flags(everything), *STRICT, *sources(everything), "example/main.c", "-o", program]
    call(command, everything)
    call([program], everything)


@needs_gcc
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_compiles_with_gcc_for_arm_as_its_readme_says(everything: Path, tmp_path: Path, core: str) -> None:
    """newlib's empty system calls stand for a firmware project."""
    machine = [f"-mcpu={core}", "-mthumb", "--specs=nosys.specs", "-O2", "-Wl,--no-warnings"]
    command = ["arm-none-eabi-gcc", *machine, *readme_flags(everything), *STRICT, "-Wconversion"]
    call([*command, *sources(everything), "example/main.c", "-o", str(tmp_path / "a.elf")], everything)


@needs_zig
@pytest.mark.parametrize("core", ["cortex_m0plus", "cortex_m4", "cortex_m33"])
def test_compiles_with_zig_as_its_readme_says(everything: Path, tmp_path: Path, core: str) -> None:
    """Zig has no C library for bare metal: the <string.h> that the README asks for is the project's own."""
    flags = [f for f in readme_flags(everything) if not f.startswith("-Wl")]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "thumb-freestanding-eabi", f"-mcpu={core}", "-O2"]
    command += [*flags, *STRICT, "-isystem", str(PORT / "freestanding")]
    for source in [*sources(everything), "example/main.c"]:
        call([*command, "-c", source, "-o", str(tmp_path / "x.o")], everything)


@needs_host
def test_pedantic_compilers_have_nothing_to_say(everything: Path, tmp_path: Path) -> None:
    flags = ["-std=c99", "-pedantic-errors", "-Wshadow", "-Wundef", "-Wstrict-prototypes", "-Wmissing-prototypes"]
    flags.append("-Wconversion")
    for source in sources(everything):
        call(["gcc", *flags, *STRICT, "-I.", "-Iruntime", "-c", source, "-o", str(tmp_path / "x.o")], everything)


@needs_host
def test_every_header_stands_alone_in_c_and_in_cpp(everything: Path, tmp_path: Path) -> None:
    own = ["net.h", "net_io.h", "net_info.h"]
    for header in [*own, "net_data.h", *sorted(p.name for p in (everything / "runtime").glob("td_*.h"))]:
        for compiler, standard, name in (("gcc", "-std=c99", "x.c"), ("g++", "-std=c++11", "x.cpp")):
            if compiler == "g++" and not (firmware_dir() / "include" / header).is_file() and header not in own:
                continue  # the kernels' own headers and the table of constants are for C alone
            (tmp_path / name).write_text(f'#include "{header}"\n#include "{header}"\n')
            command = [compiler, standard, *STRICT, "-Wno-unused-function", f"-I{everything}", "-c", name, "-o", "x.o"]
            call([*command, f"-I{everything / 'runtime'}"], tmp_path)


@needs_host
def test_a_cpp_program_gets_the_same_outputs(tmp_path: Path) -> None:
    """The header in C++11 with all warnings, linked with the library in C."""
    rng = np.random.default_rng(5)
    data = random_network(rng).data
    model = parse_model(data)
    tree_of(model, "net").write(tmp_path)
    given = random_inputs(data, rng)
    text = [
        "#include <cstdio>",
        '#include "net.h"',
        "alignas(NET_ARENA_ALIGNMENT) static uint8_t arena[NET_ARENA_BYTES];",
    ]
    text += ["int main() {", "    if (net_init(arena) != 0) { return 1; }"]
    for i, index in enumerate(model.inputs):
        ctype = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float"}[model.tensor(index).dtype.label]
        text.append(f"    {ctype} *in{i} = net_input_{i}(arena);")
        text.append(f"    if (std::fread(in{i}, sizeof *in{i}, NET_INPUT_{i}_COUNT, stdin) == 0) {{ return 2; }}")
    text.append("    net_invoke(arena);")
    for i in range(len(model.outputs)):
        text.append(
            f"    std::fwrite(net_output_{i}(arena), sizeof *net_output_{i}(arena), NET_OUTPUT_{i}_COUNT, stdout);"
        )
    (tmp_path / "main.cpp").write_text("\n".join([*text, "    return 0;", "}", ""]))
    objects = []
    for source in sources(tmp_path):
        objects.append(f"{Path(source).stem}.o")
        call(["gcc", "-std=c99", *STRICT, "-I.", "-Iruntime", "-c", source, "-o", objects[-1]], tmp_path)
    call(["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I.", "main.cpp", *objects, "-o", "program"], tmp_path)
    stdin = b"".join(np.ascontiguousarray(a).tobytes() for a in given)
    done = subprocess.run([str(tmp_path / "program")], input=stdin, capture_output=True, check=True)
    assert done.stdout == b"".join(np.ascontiguousarray(a).tobytes() for a in tflm_outputs(data, given))


# --- several models in one image --------------------------------------------------------------------------------------

_BOTH_MODELS = """
#include "{a}.h"
#include "{b}.h"
__attribute__((section(".arena"), aligned(16))) uint8_t first[{A}_ARENA_BYTES];
__attribute__((section(".arena"), aligned(16))) uint8_t second[{B}_ARENA_BYTES];
__attribute__((noinline, used)) void done(void) {{ __asm volatile("" ::: "memory"); }}
int main(void)
{{
    if ({a}_init(first) != 0 || {b}_init(second) != 0) {{ return 1; }}
    {a}_invoke(first);
    {b}_invoke(second);
    done();
    return 0;
}}
"""


@needs_unicorn
@pytest.mark.parametrize("toolchain", BOTH)
def test_two_models_in_one_image(tmp_path: Path, toolchain: str) -> None:
    """On one runtime/, each in an arena of its own, both bit-exact on a Cortex-M4."""
    from tinydeploy.elf import read_elf

    board = find_board("stm32l4r5")
    tree_sources: list[str] = []
    writes: list[tuple[str, Model, int]] = []
    expected: list[np.ndarray] = []
    given: list[np.ndarray] = []
    plans = {}
    for name, spec in (("digits", "digits"), ("keywords", "kws")):
        model = load(spec)
        plans[name] = plan = make_plan(model, solver="builtin")
        tree = generate(model, plan, emit(model, plan, name=name))
        tree.write(tmp_path)
        tree_sources += [s for s in tree.sources if s not in tree_sources]
        path = model_path(spec)
        assert path is not None
        data = path.read_bytes()
        inputs = random_inputs(data, np.random.default_rng(3))
        given.append(inputs[0])
        expected.append(tflm_outputs(data, inputs)[0])
        writes.append((name, model, model.inputs[0]))
    (tmp_path / "main.c").write_text(_BOTH_MODELS.format(a="digits", b="keywords", A="DIGITS", B="KEYWORDS"))
    image = find_toolchain(toolchain).build(
        [tmp_path / s for s in (*tree_sources, "main.c")], [tmp_path, tmp_path / "runtime"], board, tmp_path / "out"
    )
    elf = read_elf(image.elf)
    arenas = {"digits": elf.address_of("first"), "keywords": elf.address_of("second")}
    job = Job(
        image.elf,
        writes=[
            MemoryWrite(arenas[name] + plans[name].placements[index].offset, array.tobytes())
            for (name, _, index), array in zip(writes, given, strict=True)
        ],
        reads=[
            (arenas[name] + plans[name].placements[model.outputs[0]].offset, model.tensor(model.outputs[0]).bytes)
            for name, model, _ in writes
        ],
        stop_symbol="done",
        stack_limit=image.stack_limit,
    )
    result = UnicornEmulator().run(board, job)
    assert result.fault is None
    assert list(result.reads) == [np.ascontiguousarray(a).tobytes() for a in expected]


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_and_constants_of_c_and_python_agree() -> None:
    def defined(header: str, name: str) -> int:
        found = re.search(rf"^#define {name} (\d+)$", (firmware_dir() / "include" / header).read_text("utf-8"), re.M)
        assert found is not None
        return int(found[1])

    assert defined("td_runtime.h", "TD_RUNTIME_VERSION") == RUNTIME_VERSION
    assert defined("td_conv_2d.h", "TD_CONV_PATCH_BYTES") == _PATCH_BYTES
    assert defined("td_depthwise_conv_2d.h", "TD_DEPTHWISE_TAPS") == _BLOCK_TAPS


@needs_host
def test_another_runtime_is_a_compile_error(everything: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    shutil.copytree(everything, folder)
    header = folder / "runtime" / "td_runtime.h"
    text = header.read_text("utf-8")
    changed = re.sub(r"(#define TD_RUNTIME_VERSION) \d+", rf"\1 {RUNTIME_VERSION + 1}", text)
    assert changed != text
    header.write_text(changed)
    said = call(["gcc", "-std=c99", "-I.", "-Iruntime", "-c", "net.c", "-o", "x.o"], folder, code=1)
    assert f"generated for runtime version {RUNTIME_VERSION}" in said


# --- hostile names ----------------------------------------------------------------------------------------------------

HOSTILE = (
    '*/ #error "out" /*',
    "line\n#error out\nline",
    "line\r#error out",
    'quo"te\\',
    "??/\n#error trigraph",
    "back\\",
    "// x \\\n",
    "%s%n{{ 7 * 7 }}{% raw %}",
    "größe/名前/\u202e\u2028#error",
    "\x00\x1b[31m",
    "a" * 5000,
    "*/int main(void){return 9;}/*",
)


def hostile_model() -> bytes:
    """A chain of operators, each with another hostile tensor name, the input's and the output's included."""
    g = GraphBuilder(description=HOSTILE[0], name=HOSTILE[1])
    tensors = [g.tensor(name, (1, 4), scale=0.5, zero_point=3) for name in HOSTILE]
    for a, b in pairwise(tensors):
        constant = g.tensor(HOSTILE[0], (1, 4), scale=0.5, zero_point=3, data=[[1, 2, 3, 4]])
        g.op("ADD", [a, constant], [b], version=2)
    return g.build([tensors[0]], [tensors[-1], *tensors[1:-1]])


@needs_host
@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_names_do_not_reach_c(tmp_path: Path, title: str) -> None:
    """Every output is a tensor with such a name, and the model itself has one: all of it still compiles."""
    model = replace(parse_model(hostile_model()), name=title, sha256=title)
    plan = make_plan(model, solver="builtin")
    tree = generate(model, plan, emit(model, plan))
    assert re.fullmatch(r"[a-z][a-z0-9_]*", tree.name)
    tree.write(tmp_path)
    for name, text in tree.files.items():
        assert text.isascii() and "\r" not in text and "\0" not in text, name
        assert "#error out" not in text, name
    own = [s for s in (*tree.sources, *tree.example) if not s.startswith("runtime/")]
    for standard in ("-std=c99", "-std=gnu17"):
        for source in own:
            flags = [standard, "-trigraphs", *STRICT, "-I.", "-Iruntime"]
            call(["gcc", *flags, "-c", source, "-o", "x.o"], tmp_path)


@needs_host
@pytest.mark.parametrize("title", ["string", "stdint", "stddef", "signal", "time", "math", "arm_acle", "assert"])
def test_a_model_named_as_a_system_header_does_not_hide_it(tmp_path: Path, title: str) -> None:
    """Its folder is on the include path, before the system's."""
    model = replace(parse_model(hostile_model()), name=title)
    plan = make_plan(model, solver="builtin")
    tree = generate(model, plan, emit(model, plan))
    tree.write(tmp_path)
    assert tree.name != title
    text = f"#include <{title}.h>\n" if title != "arm_acle" else ""
    (tmp_path / "user.c").write_text(f'{text}#include <stdlib.h>\n#include <string.h>\n#include "{tree.name}.h"\n')
    for source in [*(s for s in tree.sources if "/" not in s), "user.c"]:
        call(["gcc", "-std=c99", *STRICT, "-I.", "-Iruntime", "-c", source, "-o", "x.o"], tmp_path)


# --- what the objects need --------------------------------------------------------------------------------------------


def _undefined(objects: Sequence[Path]) -> tuple[set[str], set[str]]:
    """(names that nothing among the objects defines, all names)."""
    out = subprocess.run(["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    wanted, defined = set(), set()
    for line in out.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in "Uw":
            wanted.add(words[1])
        elif len(words) == 3:
            defined.add(words[2])
    return wanted - defined, wanted | defined


@needs_gcc
@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32g0b1", "stm32f103", "stm32l4r5", "stm32u575"])
def test_nothing_is_needed_but_memcpy_memset_and_the_compilers_helpers(
    everything: Path, tmp_path: Path, toolchain: str, board: str
) -> None:
    """No heap, no output, nothing of libm, and not one helper for double precision."""
    from tinydeploy.toolchain.driver import Driver

    tools = find_toolchain(toolchain)
    assert isinstance(tools, Driver)
    objects = []
    for source in sources(everything):
        path = everything / source
        objects.append(tmp_path / f"{path.stem}.o")
        flags = [*tools.core_flags(find_board(board)), "-O2", *COMMON_FLAGS, *tools.source_flags(path)]
        include = [f"-I{everything}", f"-I{everything / 'runtime'}", "-isystem", str(PORT / "freestanding")]
        call([*tools._command, *flags, *include, "-c", str(path), "-o", str(objects[-1])], everything)
    wanted, names = _undefined(objects)
    helpers = {n for n in wanted if n.startswith("__aeabi_") or n.startswith("__gnu_thumb1_")}
    assert wanted - helpers <= {"memcpy", "memset"}
    double = re.compile(r"__aeabi_(d|cd|.*2d)|__.*df\d?|.*double")
    assert not [n for n in names if double.match(n)]
    if board in ("stm32l4r5", "stm32u575"):  # hardware division and single-precision floats
        assert helpers <= {f"__aeabi_mem{what}{n}" for what in ("cpy", "set", "clr") for n in ("", "4", "8")}


# --- the stack --------------------------------------------------------------------------------------------------------

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \((\w+[^)]*)\)')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


class _CallGraph:
    """Every function's frame and what it calls, as GCC wrote it down while compiling."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.frames: dict[str, int] = {}
        self.kinds: set[str] = set()
        self.calls: dict[str, set[str]] = {}
        for file in files:
            text = file.read_text("utf-8")
            for name, size, kind in _NODE.findall(text):
                self.frames[name] = max(self.frames.get(name, 0), int(size))
                self.kinds.add(kind)
            for caller, callee in _EDGE.findall(text):
                self.calls.setdefault(caller, set()).add(callee)

    def depth(self, name: str, above: tuple[str, ...] = ()) -> int:
        """The most stack below and with `name`. Fails on recursion."""
        assert name not in above, f"recursion: {' → '.join((*above, name))}"
        below = [self.depth(callee, (*above, name)) for callee in self.calls.get(name, ())]
        return self.frames.get(name, 0) + max(below, default=0)


@needs_gcc
@needs_unicorn
@pytest.mark.parametrize("board", ["stm32g0b1", "stm32f103", "stm32l4r5", "stm32f746"])
def test_no_recursion_and_the_stack_is_bounded_and_that_bound_is_met(tmp_path: Path, board: str) -> None:
    """The bound is the deepest path of the compiler's own call graph; a run of every operator never goes deeper."""
    chosen = find_board(board)
    model = load("everything")
    built = build_image(plan_model(model, chosen, PlanOptions(solver="builtin")), tmp_path, toolchain="gcc", name="net")
    tools = find_toolchain("gcc")
    assert isinstance(tools, Gcc)
    graphs = []
    for number, source in enumerate([*sources(tmp_path), "example/main.c", *sorted(map(str, PORT.glob("*.c")))]):
        target = tmp_path / f"graph{number}.o"
        flags = [*tools.core_flags(chosen), "-O2", *COMMON_FLAGS, *tools.source_flags(Path(source))]
        flags += ["-fcallgraph-info=su", "-DTD_STEP_PORT=0xE000007Cu", "-I.", "-Iruntime"]
        flags += ["-isystem", str(PORT / "freestanding")]
        call(["arm-none-eabi-gcc", *flags, "-c", source, "-o", str(target)], tmp_path)
        graphs.append(target.with_suffix(".ci"))
    graph = _CallGraph(graphs)
    assert graph.kinds == {"static"}  # no alloca, no arrays of variable length
    bound = graph.depth("Reset_Handler")
    path = model_path("everything")
    assert path is not None
    inputs = dict(zip(model.inputs, random_inputs(path.read_bytes(), np.random.default_rng(1)), strict=True))
    watermark = run_model(built, UnicornEmulator(), [inputs]).watermark("stack")
    helpers = 64 if chosen.core.name == "cortex-m0plus" else 0  # libgcc's divisions, of which GCC's graph knows no size
    assert 0 < watermark <= bound + helpers
    assert watermark >= bound - 64  # not a bound from the air
    assert bound + helpers <= DEFAULT_STACK_BYTES


# --- the same bytes every time ----------------------------------------------------------------------------------------

_DIGEST = """
import hashlib, json, sys
from tinydeploy.catalog import load
from tinydeploy.codegen import emit, generate
from tinydeploy.plan import make_plan
model = load(sys.argv[1])
plan = make_plan(model, solver="builtin")
tree = generate(model, plan, emit(model, plan))
print(json.dumps({name: hashlib.sha256(text.encode()).hexdigest() for name, text in tree.files.items()}))
"""


@pytest.mark.parametrize("spec", ["everything", "resnet8"])
def test_generation_is_deterministic(spec: str) -> None:
    """Twice in one process, and in others with other hash seeds."""
    if find_spec("jinja2") is None:
        pytest.skip("pip install tinydeploy")
    model = load(spec)
    here = []
    for _ in range(2):
        plan = make_plan(model, solver="builtin")
        here.append(dict(generate(model, plan, emit(model, plan)).files))
    assert here[0] == here[1]
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in here[0].items()}
    for seed in ("0", "1", "4711"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST, spec], env=env, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == digests
