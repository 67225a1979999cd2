"""An image run on an emulator, sample by sample: outputs, counts and watermarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.codegen import executed, marker_of, pieces
from tinydeploy.errors import RunError
from tinydeploy.ir import Model
from tinydeploy.operators.base import rows_of
from tinydeploy.pipeline.building import MARKER_ADDRESS, Built

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator, RunResult
    from tinydeploy.verify import Sample

_STEP_END = 0xFFFFFFFF  # TD_STEP_END


@dataclass(frozen=True)
class Ran:
    """What the runs of an image showed, sample by sample. `outputs` have the model's outputs by tensor index, and
    with `layers` everything that its operators compute."""

    built: Built
    inputs: tuple[Sample, ...]
    results: tuple[RunResult, ...]
    outputs: tuple[Sample, ...]

    @property
    def worst(self) -> RunResult:
        """The run with the most instructions."""
        return max(self.results, key=invoke_instructions)

    @property
    def instructions(self) -> int:
        """Instructions of one `invoke`, the most of any sample."""
        return invoke_instructions(self.worst)

    @property
    def instructions_by_operator(self) -> dict[int, int]:
        """Of the run with the most instructions."""
        counts = self.worst.instructions_by_step
        return {op.index: counts.get(op.index, 0) for op in self.built.planned.model.operators}

    @property
    def cycles(self) -> int | None:
        """Modelled cycles of the same `invoke`; None without a timing model."""
        return invoke_cycles(self.worst)

    @property
    def cycles_by_operator(self) -> dict[int, int]:
        """As the instructions; empty without a timing model."""
        counts = self.worst.cycles_by_step
        return {op.index: counts.get(op.index, 0) for op in self.built.planned.model.operators} if counts else {}

    def watermark(self, name: str) -> int:
        """The highest watermark of any sample, in bytes: of the stack, of the arena or of what of it is in a region."""
        return max(result.watermarks[name] for result in self.results)

    @property
    def arena_watermarks(self) -> dict[str, int]:
        """Of an arena that is spread over several memories: by region."""
        return {p.region: self.watermark(f"arena in {p.region}") for p in pieces(self.built.planned.plan)}

    @property
    def arena_watermark(self) -> int:
        """Of all of the arena together."""
        return sum(self.arena_watermarks.values()) if self.arena_watermarks else self.watermark("arena")

    @property
    def seconds(self) -> float:
        """Seconds of emulation, all samples together."""
        return sum(result.seconds for result in self.results)


def invoke_instructions(result: RunResult) -> int:
    """Instructions between the first marker and the last: one `invoke`."""
    return sum(n for marker, n in result.instructions_by_step.items() if marker != _STEP_END)


def invoke_cycles(result: RunResult) -> int | None:
    """Modelled cycles between the first marker and the last; None without a timing model."""
    if result.cycles is None:
        return None
    return sum(n for marker, n in result.cycles_by_step.items() if marker != _STEP_END)


def run_model(
    built: Built, emulator: Emulator, samples: Sequence[Sample], *, layers: bool = False, trace: bool = False
) -> Ran:
    """Run an image that was built with markers once for each sample, each time from reset.

    Inputs that are fed are handed over by the emulator, row by row; what an application spends on making the rows is
    not counted. `layers`: also read what every step computes, right after it. `trace`: record the first sample's run.
    Raises `RunError` for a run that ends in a fault or a time-out.
    """
    from tinydeploy.elf import read_elf
    from tinydeploy.emulate import Feed, Job, MemoryWrite, Painted
    from tinydeploy.emulate.layers import LayerReads
    from tinydeploy.pipeline.guards import guards

    model, plan, image, tree = built.planned.model, built.planned.plan, built.image, built.tree
    elf = read_elf(image.elf)
    arena = elf.address_of(tree.arena_symbol)
    stack = Painted("stack", image.stack_limit, image.stack_top - image.stack_limit, grows_down=True)
    parts = [Painted(f"arena in {p.region}", arena + p.offset, p.bytes) for p in pieces(plan)]
    painted = (*(parts or [Painted("arena", arena, plan.arena_bytes)]), stack)
    beside = guards(built.planned.board, elf, painted)
    results: list[RunResult] = []
    outputs: list[Sample] = []
    steps = [(marker_of(model, step), step) for step in executed(plan)]
    reads = LayerReads(model, plan, steps, arena) if layers else None
    for sample in samples:
        given = {tensor: value.tobytes() for tensor, value in sample.items()}
        rows = {
            number: _rows(given[tensor], rows_of(model.tensor(tensor))[1])
            for number, tensor in enumerate(model.inputs)
            if tensor in plan.fed
        }
        job = Job(
            elf=image.elf,
            writes=[
                MemoryWrite(arena + plan.distance(plan.placements[t].offset), data)
                for t, data in given.items()
                if t not in plan.fed
            ],
            reads=[(arena + plan.distance(plan.placements[t].offset), model.tensor(t).bytes) for t in model.outputs],
            painted=painted,
            guards=beside,
            stop_symbol=tree.done_symbol,
            marker_address=MARKER_ADDRESS,
            stack_limit=image.stack_limit,
            strict_peripherals=True,
            step_reads=reads.wanted if reads is not None else {},
            feed=Feed(tree.feed_symbol, rows) if tree.feed_symbol is not None else None,
            trace=trace and not results,
        )
        result = emulator.run(built.planned.board, job)
        if result.fault is not None:
            more = "--stack-bytes gives it more" if result.fault.kind == "stack-overflow" else None
            words = f"{model.name} on {built.planned.board.id}: {result.fault.message}"
            raise RunError(words, hint=more, kind=result.fault.kind)
        results.append(result)
        seen = reads.tensors(result.step_data, given) if reads is not None else {}
        outputs.append(arrays_of(model, seen | dict(zip(model.outputs, result.reads, strict=True))))
    return Ran(built, tuple(samples), tuple(results), tuple(outputs))


def _rows(data: bytes, row_bytes: int) -> list[bytes]:
    return [data[at : at + row_bytes] for at in range(0, len(data), row_bytes)]


def arrays_of(model: Model, read: Mapping[int, bytes]) -> Sample:
    """Bytes of tensors, read from a board, as arrays by tensor index."""
    import numpy as np

    found = {}
    for index, data in read.items():
        tensor = model.tensor(index)
        dtype = np.dtype(tensor.dtype.label).newbyteorder("<")
        found[index] = np.frombuffer(data, dtype).reshape(tensor.shape).astype(tensor.dtype.label)
    return found
