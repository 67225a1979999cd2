"""A model on TensorFlow Lite Micro, on the emulated board: built with a user's library, run, and counted as ours is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.boards import Board
from tinydeploy.errors import BuildError, RunError
from tinydeploy.export.tflm import Export, sources_of, tflm_files
from tinydeploy.files import write_files
from tinydeploy.operators.base import printable
from tinydeploy.pipeline.building import MARKER_ADDRESS
from tinydeploy.pipeline.running import arrays_of, invoke_cycles, invoke_instructions
from tinydeploy.pipeline.tflm.library import build_hint, explain
from tinydeploy.pipeline.tflm.placing import PlannedForTflm
from tinydeploy.plan.tflm import TflmArena
from tinydeploy.plan.tflm.arena import as_in_file

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator, Job, RunResult
    from tinydeploy.toolchain import CxxLibrary, Image
    from tinydeploy.verify import Sample

_SPARE_BYTES = 4096  # of the arena, where what a kernel takes is not known
STACK_BYTES = 4096  # TFLM's kernels and its set-up; `run` measures it
_INTERPRETER = 0xFFFFFFFE  # written to the marker port by the generated code, where no operator runs
_PREFIX = "tflm"  # of the image's C names: it holds one model
_FAILED = {
    1: "this TensorFlow Lite Micro reads models of another schema version",
    2: "the resolver refuses an operator",
    3: "AllocateTensors failed",
    4: "Invoke failed",
}
_ABORTED = 134  # by abort() of firmware/port/library/system.c


@dataclass(frozen=True)
class TflmBuilt:
    """The files of an export, compiled with a user's TFLM into an image for `board`."""

    planned: PlannedForTflm
    library: CxxLibrary
    board: Board
    image: Image

    @property
    def arena_bytes(self) -> int:
        """What TFLM is given."""
        return arena_given(self.planned.arena)

    @property
    def results_bytes(self) -> int:
        """Static data that is only there for the results to be read from."""
        return sum(tensor.bytes for tensor in map(self.planned.model.tensor, self.planned.model.outputs))

    @property
    def model_bytes(self) -> int:
        """Flash taken by the model's array."""
        return self.image.flash_bytes_of(f"{_PREFIX}_model")


@dataclass(frozen=True)
class TflmRan:
    """What the runs showed, sample by sample, as in `Ran`. `used_bytes`: what `arena_used_bytes` answers."""

    built: TflmBuilt
    results: tuple[RunResult, ...]
    outputs: tuple[Sample, ...]
    used_bytes: int

    @property
    def worst(self) -> RunResult:
        """The run with the most instructions."""
        return max(self.results, key=invoke_instructions)

    @property
    def instructions(self) -> int:
        """Instructions of one `Invoke`, the most of any sample."""
        return invoke_instructions(self.worst)

    @property
    def cycles(self) -> int | None:
        """Modelled cycles of the same `Invoke`; None without a timing model."""
        return invoke_cycles(self.worst)

    @property
    def interpreter_instructions(self) -> int:
        """Those that no operator's kernel has: the interpreter's own."""
        return self.worst.instructions_by_step.get(_INTERPRETER, 0)

    @property
    def instructions_by_operator(self) -> dict[int, int]:
        """By place in the file; empty for a TFLM built without error strings, which tells nothing of its operators."""
        return _of_operators(self.worst.instructions_by_step)

    @property
    def cycles_by_operator(self) -> dict[int, int]:
        """As the instructions; empty without a timing model, too."""
        return _of_operators(self.worst.cycles_by_step)

    @property
    def arena_watermark(self) -> int:
        """Bytes that were touched, from both of the arena's ends."""
        return max(sum(n for name, n in r.watermarks.items() if name != "stack") for r in self.results)

    @property
    def stack_watermark(self) -> int:
        """The highest of any sample."""
        return max(result.watermarks["stack"] for result in self.results)


def _of_operators(counts: Mapping[int, int]) -> dict[int, int]:
    return {step: count for step, count in counts.items() if step < _INTERPRETER}


def arena_given(arena: TflmArena) -> int:
    """Exactly what TFLM needs, and more where that is known in part only."""
    return arena.arena_bytes if not arena.unknown else 2 * arena.arena_bytes + _SPARE_BYTES


def build_tflm(
    planned: PlannedForTflm,
    library: CxxLibrary,
    board: Board,
    folder: Path,
    *,
    memory: Board | None = None,
    toolchain: str | None = None,
    stack_bytes: int | None = None,
) -> TflmBuilt:
    """Write what an export would have into `folder`, and link it with the library and a small program.

    `memory`: the board without what is reserved of it. Raises `UsageError` for a library that does not fit,
    `DoesNotLinkError` for an image that is too large, and `MissingToolError` without a compiler that can link C++.
    """
    from tinydeploy.toolchain import find_toolchain

    export = Export(planned.data, planned.model, planned.arena, planned.plan.kernels, board)
    write_files(tflm_files(export, _PREFIX), folder)
    upper = _PREFIX.upper()
    try:
        image = find_toolchain(toolchain).build(
            [folder / name for name in (*sources_of(_PREFIX), f"{_PREFIX}_main.cc")],
            [folder],
            memory or board,
            folder / "build",
            name=_PREFIX,
            defines={
                "TD_STEP_PORT": f"{MARKER_ADDRESS:#x}u",
                f"{upper}_ARENA_SECTION": '__attribute__((section(".arena")))',
                f"{upper}_ARENA_BYTES": str(arena_given(planned.arena)),
            },
            stack_bytes=STACK_BYTES if stack_bytes is None else stack_bytes,
            library=library,
        )
    except BuildError as refused:
        raise explain(refused, board) from refused
    return TflmBuilt(planned, library, board, image)


def run_tflm(built: TflmBuilt, emulator: Emulator, samples: Sequence[Sample]) -> TflmRan:
    """Run the image once for each sample, each time from reset. `samples` are inputs of the file, by tensor index.

    Raises `RunError` for a run that ends in a fault or a time-out, or in which TFLM reports an error.
    """
    results: list[RunResult] = []
    outputs: list[Sample] = []
    model = built.planned.model
    used = 0
    for sample in samples:
        result = emulator.run(built.board, _job(built, sample))
        _raise_on_failure(built, result)
        results.append(result)
        *read, told = result.reads
        outputs.append(arrays_of(model, dict(zip(model.outputs, read, strict=True))))
        used = max(used, int.from_bytes(told, "little"))
    return TflmRan(built, tuple(results), tuple(outputs), used)


def _job(built: TflmBuilt, sample: Sample) -> Job:
    from tinydeploy.elf import read_elf
    from tinydeploy.emulate import Feed, Job, Painted
    from tinydeploy.pipeline.guards import guards

    image, model, arena = built.image, built.planned.model, built.planned.arena
    elf = read_elf(image.elf)
    base, head = elf.address_of(f"{_PREFIX}_arena"), arena.nonpersistent_bytes
    painted = [
        Painted("tensors", base, head),
        Painted("interpreter", base + head, built.arena_bytes - head, grows_down=True),
        Painted("stack", image.stack_limit, image.stack_top - image.stack_limit, grows_down=True),
    ]
    reads, at = [], elf.address_of(f"{_PREFIX}_results")
    for index in model.outputs:
        reads.append((at, model.tensor(index).bytes))
        at += model.tensor(index).bytes
    return Job(
        elf=image.elf,
        reads=[*reads, (elf.address_of(f"{_PREFIX}_used_bytes"), 4)],
        painted=painted,
        guards=guards(built.board, elf, painted),
        stop_symbol=f"{_PREFIX}_done",
        marker_address=MARKER_ADDRESS,
        stack_limit=image.stack_limit,
        strict_peripherals=True,
        feed=Feed(f"{_PREFIX}_feed_row", {n: [sample[t].tobytes()] for n, t in enumerate(model.inputs)}),
    )


def _raise_on_failure(built: TflmBuilt, result: RunResult) -> None:
    planned = built.planned
    where = f"{planned.model.name} with TensorFlow Lite Micro on {built.board.id}"
    said = "; ".join(line.strip() for line in result.uart.decode("utf-8", "replace").splitlines() if line.strip())
    if result.exit_code:
        why = _FAILED.get(result.exit_code, f"it ended with code {result.exit_code}")
        other = "cmsis-nn" if planned.plan.kernels == "reference" else "reference"
        hint = f"the arena is for {planned.plan.kernels} kernels; if the library has the others, --kernels {other}"
        if result.exit_code == _ABORTED:
            why = f"the library called abort() in {_ran_last(built, result)}, as it does where a check of its own fails"
            hint = "a kernel refuses what the model has; a library built with NDEBUG does without such checks"
        raise RunError(f"{where}: {why}{f': {printable(said, 400)}' if said else ''}", hint=hint)
    if result.fault is not None:
        hints = {"stack-overflow": "--stack-bytes gives it more", "undefined-instruction": build_hint(built.board)}
        message = f"{where}: {result.fault.message}"
        raise RunError(message, hint=hints.get(result.fault.kind), kind=result.fault.kind)


def _ran_last(built: TflmBuilt, result: RunResult) -> str:
    """The operator that ran last, as far as TFLM has told."""
    begun = _of_operators(result.instructions_by_step)
    if not result.instructions_by_step:
        return "AllocateTensors"
    return str(as_in_file(built.planned.model).operators[max(begun)]) if begun else "Invoke"
