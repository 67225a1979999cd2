"""Which tools are there, which versions, and whether each of them works: every one is tried once on a shipped model."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tinydeploy.boards import find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.errors import MissingToolError, TinydeployError, UsageError
from tinydeploy.pipeline.building import Built, build_image
from tinydeploy.pipeline.emulators import EmulatorChoice, choose_emulator
from tinydeploy.pipeline.options import PlanOptions
from tinydeploy.pipeline.planning import plan_model
from tinydeploy.pipeline.running import Ran, run_model

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator
    from tinydeploy.report.plans import Planned
    from tinydeploy.verify import Sample

State = Literal["works", "missing", "broken"]
MODEL, BOARD = "digits", "stm32f746"
_TRIAL_SECONDS = 180
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tool:
    """One tool. `purpose`: which commands want it. `tried`: what it did, or why it does not work. `remedy`: how to get
    it. `seconds`: how long the trial took."""

    name: str
    purpose: str
    state: State
    version: str
    tried: str
    remedy: str
    seconds: float


@dataclass(frozen=True)
class _Trial:
    """How to try a tool: `attempt` returns its version and what it did; MissingToolError says that it is not there."""

    name: str
    purpose: str
    remedy: str
    attempt: Callable[[], tuple[str, str]]


class _Absent(Exception):  # noqa: N818 - no error: most tools are optional
    """The tool is not installed."""


def names() -> tuple[str, ...]:
    """What the tools are called."""
    return tuple(trial.name for trial in _Bench(Path(), None).trials())


def examine(
    folder: Path, *, renode: str | None = None, on_trial: Callable[[str], None] = lambda name: None
) -> Iterator[Tool]:
    """Try every tool, one after the other, with files in `folder`; `renode` as in `find_renode`. `on_trial` is told the
    name of each before it is tried."""
    bench = _Bench(folder, renode)
    for trial in bench.trials():
        on_trial(trial.name)
        started = time.monotonic()
        state: State = "works"
        version, remedy = "", trial.remedy
        try:
            version, tried = trial.attempt()
        except (_Absent, MissingToolError) as absent:
            state, tried = "missing", str(absent)
        except TinydeployError as problem:
            state, tried, remedy = "broken", problem.message, problem.hint or remedy
        except Exception as problem:  # what a damaged installation raises is anybody's guess
            _log.debug("%s", trial.name, exc_info=True)
            state, tried = "broken", f"{type(problem).__name__}: {problem}"
        yield Tool(trial.name, trial.purpose, state, version, tried, remedy, round(time.monotonic() - started, 2))


class _Bench:
    """What trials hand on to each other: the images that compilers made, and what an emulator computed with them."""

    def __init__(self, folder: Path, renode: str | None) -> None:
        self._folder = folder
        self._renode = renode
        self._built: dict[str, Built] = {}
        self._ran: Ran | None = None

    def trials(self) -> tuple[_Trial, ...]:
        """In the order in which a newcomer needs them."""
        from tinydeploy.emulate.renode.install import HOW

        wheels = "pip install 'tinydeploy[{}]'".format
        return (
            _Trial("arm-none-eabi-gcc", "build, run", "apt install gcc-arm-none-eabi", lambda: self._compile("gcc")),
            _Trial("zig", "build, run (without GCC)", wheels("run"), lambda: self._compile("zig")),
            _Trial("unicorn", "run, emulate, check", wheels("run"), self._unicorn),
            _Trial("tflite-micro", "run: bit-exactness", wheels("verify"), lambda: self._refer("tflite-micro")),
            _Trial("ai-edge-litert", "run: second witness", wheels("verify"), lambda: self._refer("ai-edge-litert")),
            _Trial(
                "renode",
                "run --emulator renode, renode export",
                HOW,
                self._try_renode,
            ),
            _Trial("robotframework", "tests with tinydeploy.robot.Deploy", wheels("robot"), _robot),
            _Trial("ortools", "plan --solver cp-sat", wheels("solver"), _ortools),
            _Trial("pyarrow", "sweep to Parquet", wheels("sweep"), _pyarrow),
            _Trial("distributed", "sweep --dask", wheels("sweep"), _distributed),
            _Trial("gdb", "run --gdb, from your side", "apt install gdb-multiarch", _gdb),
            _Trial("tensorflow", "export of float models", wheels("export"), _tensorflow),
            _Trial("pillow", "export: images as calibration data", wheels("export"), _pillow),
            _Trial("onnx2tf", "export of ONNX files", wheels("onnx"), _onnx2tf),
        )

    @staticmethod
    def _planned() -> Planned:
        return plan_model(load(MODEL), find_board(BOARD), PlanOptions())

    def _compile(self, name: str) -> tuple[str, str]:
        from tinydeploy.toolchain import find_toolchain

        version = find_toolchain(name).version
        built = build_image(self._planned(), self._folder / name, toolchain=name)
        self._built[name] = built
        return version, f"built {MODEL} for {BOARD}: {built.image.flash_bytes:,} B of flash"

    def _any_image(self) -> Built:
        for built in self._built.values():
            return built
        raise _Absent("no compiler made an image to try it with")

    def _unicorn(self) -> tuple[str, str]:
        using = choose_emulator(EmulatorChoice(), find_board(BOARD))
        ran = self._run(using.emulator)
        self._ran = ran
        return using.version, f"ran {MODEL} on {BOARD}: {ran.instructions:,} instructions"

    def _run(self, emulator: Emulator) -> Ran:
        built = self._any_image()
        return run_model(built, emulator, self._samples(built.planned))

    @staticmethod
    def _samples(planned: Planned) -> list[Sample]:
        from tinydeploy.verify import random_inputs

        return list(random_inputs(planned.model, 0, 1))

    def _refer(self, name: str) -> tuple[str, str]:
        from tinydeploy.verify import LitertReference, TflmReference, compare, reference_outputs

        reference = next(r for r in (TflmReference(), LitertReference()) if r.name == name)
        version = reference.version
        model, path = load(MODEL), model_path(MODEL)
        assert path is not None  # it is shipped
        runs = reference_outputs(model, path.read_bytes(), self._samples(self._planned()), references=[reference])
        if self._ran is None:
            return version, f"computed {MODEL}; nothing ran here to compare it with"
        seen = compare(model, list(self._ran.outputs), runs)
        what = "the same bits as the emulated board" if seen.bit_exact else "other bits than the emulated board"
        return version, f"computed {MODEL}: {what}"

    def _try_renode(self) -> tuple[str, str]:
        try:
            using = choose_emulator(EmulatorChoice("renode", self._renode), find_board(BOARD))
        except MissingToolError as error:
            if self._renode is None and shutil.which("renode") is None:
                raise
            raise UsageError(error.message, hint=error.hint) from error  # it is there, and not what it is taken for
        ran = self._run(using.emulator)
        words = f"ran {MODEL} on {BOARD}: {ran.instructions:,} instructions"
        if self._ran is not None and ran.instructions != self._ran.instructions:
            words += f" ({ran.instructions - self._ran.instructions:+,} against unicorn)"
        return using.version, words


def _python(package: str, code: str, done_what: str) -> tuple[str, str]:
    """Run Python code in a process of its own: large packages load slowly, a broken one may take the process along."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        raise _Absent(f"the package {package} is not installed") from None
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TRIAL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ValueError(_last_line(done.stderr) or f"exit code {done.returncode}")
    return version, done_what


def _ortools() -> tuple[str, str]:
    code = """
from ortools.sat.python import cp_model
model, solver = cp_model.CpModel(), cp_model.CpSolver()
x = model.new_int_var(2, 9, "x")
model.minimize(x)
assert solver.solve(model) == cp_model.OPTIMAL and solver.value(x) == 2, "a wrong answer"
"""
    return _python("ortools", code, "solved a problem of one variable")


def _pyarrow() -> tuple[str, str]:
    # Read without threads: those that are still there as Python ends now and then abort it (apache/arrow#34314).
    code = """
import io, pyarrow, pyarrow.parquet
file = io.BytesIO()
pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), file)
read = pyarrow.parquet.read_table(file, use_threads=False, pre_buffer=False)
assert read.to_pydict() == {"x": [1]}, "read other than was written"
"""
    return _python("pyarrow", code, "wrote a table and read it again")


def _distributed() -> tuple[str, str]:
    return _python("distributed", "import distributed", "imported")


def _tensorflow() -> tuple[str, str]:
    for package in ("tensorflow", "tensorflow-cpu"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        return _python(package, "import tensorflow", "imported")
    raise _Absent("the package tensorflow is not installed")


def _pillow() -> tuple[str, str]:
    code = """
import io
from PIL import Image
file = io.BytesIO()
Image.new("RGB", (2, 2), (9, 8, 7)).save(file, "PNG")
assert Image.open(file).getpixel((1, 1)) == (9, 8, 7), "read other than was written"
"""
    return _python("pillow", code, "wrote an image and read it again")


def _onnx2tf() -> tuple[str, str]:
    return _python("onnx2tf", "import onnx2tf", "imported")


def _robot() -> tuple[str, str]:
    return _python("robotframework", "import robot.running, tinydeploy.robot", "imported, with the keywords")


def _gdb() -> tuple[str, str]:
    for command in ("gdb-multiarch", "arm-none-eabi-gdb"):
        path = shutil.which(command)
        if path is None:
            continue
        call = [path, "-nx", "-batch", "-ex", "set architecture armv7e-m", "-ex", "show version"]
        done = subprocess.run(call, capture_output=True, text=True, errors="replace", timeout=30, check=False)
        if done.returncode:
            raise ValueError(f"{command} knows no Cortex-M: {_last_line(done.stderr)}")
        version = next((line for line in done.stdout.splitlines() if "GDB" in line or "gdb" in line), command)
        return version, "took the architecture armv7e-m"
    raise _Absent("neither gdb-multiarch nor arm-none-eabi-gdb is on PATH")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def failed(tools: Mapping[str, Tool], required: frozenset[str]) -> list[Tool]:
    """Those that are broken, and those of the required ones that are missing."""
    return [t for t in tools.values() if t.state == "broken" or (t.state == "missing" and t.name in required)]
