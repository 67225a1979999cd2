"""The whole of tinydeploy, stage by stage: start reading here. Each function calls one layer down and returns a value.

    load → plan_model → build_image → run_model

Each result holds the one before it, so that a report can speak of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from tinydeploy.boards import Board
from tinydeploy.boards.reserve import read_regions, read_reserves, without
from tinydeploy.catalog import load, model_path
from tinydeploy.codegen import Program, SourceTree, check_supported, emit, executed, generate, marker_of, pieces
from tinydeploy.codegen.code_size import estimate_code_bytes
from tinydeploy.cost import cost_table
from tinydeploy.errors import GateError, RunError, UnsupportedModelError, UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable, rows_of
from tinydeploy.plan import Execution, Fit, Plan, fit, make_plan
from tinydeploy.plan.budget import Budget
from tinydeploy.plan.planner import Solver
from tinydeploy.plan.regions import Memories, Room, settled, whole
from tinydeploy.plan.tflm import predict_tflm_arena
from tinydeploy.plan.validate.memories import check_shares
from tinydeploy.report.comparison import Comparison, WhatIf
from tinydeploy.report.plans import Planned
from tinydeploy.transform import Io, Prepared, prepare

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator, RunResult
    from tinydeploy.toolchain import ArenaPart, Image
    from tinydeploy.verify import Sample

__all__ = [
    "Built",
    "PlanOptions",
    "Ran",
    "build_image",
    "describe",
    "generate_library",
    "load",
    "model_path",
    "plan_model",
    "run_model",
]

# ITM stimulus port 31: a write-only register of every Cortex-M but M0 and M0+, harmless on a part without a debugger.
MARKER_ADDRESS = 0xE000007C
_STEP_END = 0xFFFFFFFF  # TD_STEP_END

# The deepest kernel with its callers takes about 700 bytes (Zig's compiler on an M0+); `run` measures it.
DEFAULT_STACK_BYTES = 1024
_USUAL_WINDOW_ROWS = 16  # row pointers that are in that figure; larger windows come on top, four bytes a row
STATIC_BYTES = 0  # a generated library has no static data of its own


Effort = Literal["quick", "normal", "thorough"]
_EFFORTS: dict[Effort, float] = {"quick": 0.25, "normal": 1.0, "thorough": 20.0}


@dataclass(frozen=True)
class PlanOptions:
    """What a user may choose of a plan. `stack_bytes`: None for the estimate.

    `feed_rows`: inputs are handed over row by row. `io`: "int8" leaves out conversions at the ends. `keep`: names or
    numbers of tensors that stay readable. `reserve`: memory that is somebody else's, such as "dtcm=16K". `regions`:
    names of the memories that the arena may use, with commas between them; None for all that can hold tensors.
    `time_limit`: seconds from now for the searches of one plan, which end then with the best that they have.
    """

    execution: Execution = "streamed"
    feed_rows: bool = False
    io: Io = "model"
    keep: tuple[str, ...] = ()
    in_place: bool = True
    solver: Solver = "auto"
    effort: Effort = "normal"
    time_limit: float | None = None
    stack_bytes: int | None = None
    reserve: tuple[str, ...] = ()
    regions: str | None = None

    @property
    def deadline(self) -> float | None:
        """When the searches of a plan that begins now end; None for never."""
        return None if self.time_limit is None else monotonic() + self.time_limit


def describe(options: PlanOptions) -> Mapping[str, Any]:
    """The options as a report's provenance has them."""
    return asdict(options)


def plan_model(model: Model, board: Board, options: PlanOptions) -> Planned:
    """Costs, placement and fit of `model` on `board`.

    Raises `UnsupportedModelError` for a model that cannot run as int8, `MissingToolError` for a solver that is not
    installed, `UsageError` for a tensor to keep that there is not. A model that does not fit is no error here: see
    `Planned.fit`.
    """
    prepared = prepare_model(model, options)
    memories = Memories(
        board, without(board, read_reserves(board, options.reserve)), read_regions(board, options.regions)
    )
    alone = plan_prepared(prepared, options)
    plan, stack_bytes, needed = alone, -1, _needs(prepared.model, alone, board, options).stack_bytes
    while needed > stack_bytes:  # what is spread may be a plan of another kind, which needs more stack
        stack_bytes = needed
        rooms = memories.rooms(stack_bytes, STATIC_BYTES)
        share = whole(rooms, max(alone.arena_bytes, 1))
        if share is not None:
            plan = replace(alone, shares=(share,))
        elif rooms:
            plan = plan_prepared(prepared, options, rooms=rooms)
        needed = _needs(prepared.model, plan, board, options).stack_bytes
    if plan.shares:
        plan = settled(prepared.model, plan, rooms)
        check_shares(prepared.model, plan, board, memories.left, stack_bytes=stack_bytes, static_bytes=STATIC_BYTES)
    return judged(prepared, board, plan, options, memories)


def prepare_model(model: Model, options: PlanOptions) -> Prepared:
    """The model as it will be planned. Raises `UnsupportedModelError` for one that cannot run as int8."""
    if has_weights(model):
        check_supported(model)
    return prepare(model, io=options.io, keep=find_tensors(model, options.keep))


def has_weights(model: Model) -> bool:
    """Whether it comes from a file; a network has shapes alone."""
    return all(t.data is not None for t in model.tensors if t.constant)


def judged(
    prepared: Prepared, board: Board, plan: Plan, options: PlanOptions, memories: Memories | None = None
) -> Planned:
    """The plan with the model's costs and its fit: in `memories`, or in the board's RAM in one piece."""
    costs = cost_table(prepared.model)
    fitted = _fit(prepared.model, board, plan, options, costs.totals.constant_bytes, memories)
    return Planned(prepared, board, costs, plan, fitted, memories.left if memories is not None else None)


def plan_prepared(
    prepared: Prepared,
    options: PlanOptions,
    *,
    behind: Collection[int] = (),
    cut_after: Collection[int] = (),
    rooms: Sequence[Room] = (),
) -> Plan:
    """The plan alone, of a model that is prepared with the same options; the rest is as in `make_plan`."""
    model = prepared.model
    fed = tuple(dict.fromkeys(model.inputs)) if options.feed_rows else ()
    kept = find_tensors(model, options.keep)
    for tensor in set(fed).intersection(kept):
        raise UsageError(f"'{printable(model.tensor(tensor).name)}' cannot be kept: its rows are fed one by one")
    return make_plan(
        model,
        execution=options.execution,
        fed=fed,
        kept=kept,
        in_place=options.in_place,
        behind=behind,
        cut_after=cut_after,
        rooms=rooms,
        budget=Budget(_EFFORTS[options.effort], options.deadline),
        solver=options.solver,
    )


def compare_plans(planned: Planned, options: PlanOptions) -> Comparison:
    """What else the arena could be: under TensorFlow Lite Micro, with whole tensors, and with options not chosen."""
    core = planned.board.core
    original = planned.prepared.original
    whole = replace(options, execution="whole", feed_rows=False)
    rival = planned.plan if planned.plan.execution == "whole" else plan_prepared(planned.prepared, whole)
    return Comparison(
        whole_bytes=rival.arena_bytes,
        tflm=predict_tflm_arena(original, kernels="reference", core=core),
        cmsis_nn=predict_tflm_arena(original, kernels="cmsis-nn", core=core),
        what_ifs=tuple(_what_ifs(planned, options)),
    )


def _what_ifs(planned: Planned, options: PlanOptions) -> Iterator[WhatIf]:
    """Each planned and validated like the plan itself."""
    model = planned.model
    if options.execution == "whole":
        yield _what_if(planned.prepared, replace(options, execution="streamed"), "--execution streamed", "row by row")
        return
    may_feed = not options.feed_rows and any(rows_of(model.tensor(t))[0] > 1 for t in model.inputs)
    if may_feed:
        changed = replace(options, feed_rows=True)
        yield _what_if(planned.prepared, changed, "--feed-rows", "with the input handed over row by row")
    if options.io == "model":
        prepared = prepare(planned.prepared.original, io="int8", keep=find_tensors(model, options.keep))
        if (prepared.model.inputs, prepared.model.outputs) != (model.inputs, model.outputs):
            changed = replace(options, io="int8")
            yield _what_if(prepared, changed, "--io int8", "with int8 at the ends")
            if may_feed:
                changed = replace(changed, feed_rows=True)
                yield _what_if(prepared, changed, "--io int8 --feed-rows", "with int8 handed over row by row")
    cut = worst_cut(planned.plan)
    if cut is not None:
        plan = plan_prepared(planned.prepared, options, cut_after=(cut,))
        yield WhatIf(f"cut after operator {cut}", "were that result kept whole", plan.arena_bytes)


def _what_if(prepared: Prepared, options: PlanOptions, option: str, change: str) -> WhatIf:
    return WhatIf(option, change, plan_prepared(prepared, options).arena_bytes)


def worst_cut(plan: Plan) -> int | None:
    """The operator in the middle of the segment that makes the peak; None where no segment does."""
    for segment in plan.segments:
        if segment.first <= plan.peak.step < segment.end:
            return segment.operators[(len(segment.operators) - 1) // 2]
    return None


def find_tensors(model: Model, named: Sequence[str]) -> tuple[int, ...]:
    """The indices of inputs or computed tensors, each given by its name or its number. Raises `UsageError`."""
    computed = {t: model.tensor(t).name for t in model.inputs}
    computed |= {t: model.tensor(t).name for op in model.operators for t in op.outputs}
    found = []
    for text in named:
        matches = [t for t, name in computed.items() if name == text]
        if not matches and text.isdecimal() and int(text) in computed:
            matches = [int(text)]
        if len(matches) != 1:
            from difflib import get_close_matches  # only needed for this message

            near = get_close_matches(text, computed.values(), n=3)
            hint = f"did you mean {' or '.join(map(printable, near))}?" if near else "`plan --format json` lists them"
            what = "is the name of several tensors" if matches else "is no tensor that the model computes"
            raise UsageError(f"'{printable(text)}' {what}", hint=hint if not matches else "give its number")
        found += matches
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class _Needs:
    """What a plan needs beside its arena. None: not known of a network without weights, of which nothing is emitted."""

    stack_bytes: int
    constant_bytes: int | None
    code_bytes: int | None


def _needs(model: Model, plan: Plan, board: Board, options: PlanOptions) -> _Needs:
    stack_bytes = DEFAULT_STACK_BYTES
    constant_bytes = code_bytes = None
    if has_weights(model):
        program = emit(model, plan)
        stack_bytes += 4 * max(0, program.window_rows - _USUAL_WINDOW_ROWS) + program.counter_bytes
        constant_bytes = sum(program.pool.bytes_by_role().values())
        code_bytes = estimate_code_bytes([program], board.core)
    return _Needs(stack_bytes if options.stack_bytes is None else options.stack_bytes, constant_bytes, code_bytes)


def _fit(
    model: Model, board: Board, plan: Plan, options: PlanOptions, constant_bytes: int, memories: Memories | None
) -> Fit:
    """`constant_bytes`: as the costs have them, for a network without weights."""
    needs = _needs(model, plan, board, options)
    kinds = {"stack": "estimated" if options.stack_bytes is None else "given"}
    if needs.code_bytes is None:
        kinds["code"] = "unknown"
    return fit(
        model,
        plan,
        board if memories is None else memories.left,
        weights_bytes=constant_bytes if needs.constant_bytes is None else needs.constant_bytes,
        code_bytes=needs.code_bytes or 0,
        static_bytes=STATIC_BYTES,
        stack_bytes=needs.stack_bytes,
        kinds=kinds,
        rooms=memories.rooms(needs.stack_bytes, STATIC_BYTES) if memories is not None else None,
        regions=memories.uses(plan, needs.stack_bytes, STATIC_BYTES) if memories is not None else (),
    )


@dataclass(frozen=True)
class Built:
    """A library, compiled with its example into an image for the plan's board."""

    planned: Planned
    tree: SourceTree
    image: Image

    @property
    def constant_bytes(self) -> int:
        """Flash taken by weights, biases, scales and tables."""
        return self.image.flash_bytes_of(self.tree.constant_prefix)

    @property
    def code_bytes(self) -> int:
        """Flash taken by everything else."""
        return self.image.flash_bytes - self.constant_bytes


def generate_library(planned: Planned, name: str | None = None) -> SourceTree:
    """The C library's sources. Raises `UnsupportedModelError` for a network without weights."""
    return generate(planned.model, planned.plan, emit_library(planned, name))


def emit_library(planned: Planned, name: str | None = None) -> Program:
    """What the C library does. Raises `UnsupportedModelError` for a network without weights."""
    model = planned.model
    if not has_weights(model):
        raise UnsupportedModelError(
            f"{model.path or model.name} has no weights, so there is nothing to generate",
            hint="plan and cost work without weights; build and run need a .tflite file",
        )
    return emit(model, planned.plan, name=name)


def build_image(
    planned: Planned, folder: Path, *, toolchain: str | None = None, name: str | None = None, markers: bool = True
) -> Built:
    """Write the library into `folder` and compile it with its example.

    `markers`: each step announces itself at `MARKER_ADDRESS`, which `run_model` counts by; not for an image that goes
    to a part, since an M0 or M0+ has nothing at that address.
    Raises `GateError` when it does not fit (by the plan, or by the linker's word), `MissingToolError` without a
    compiler.
    """
    from tinydeploy.toolchain import find_toolchain

    compiler = find_toolchain(toolchain)
    tree = generate_library(planned, name)
    if not planned.fit.fits:
        raise GateError(f"{planned.model.name} does not fit {planned.board.id}: {planned.fit.why_not()}")
    tree.write(folder)
    image = compiler.build(
        [folder / source for source in (*tree.sources, *tree.example)],
        [folder, folder / "runtime"],
        planned.memory,
        folder / "build",
        name=tree.name,
        defines={"TD_STEP_PORT": f"{MARKER_ADDRESS:#x}u"} if markers else {},
        stack_bytes=next(part.bytes for part in planned.fit.sram_parts if part.name == "stack"),
        arena=_arena_parts(planned),
    )
    return Built(planned, tree, image)


def _arena_parts(planned: Planned) -> tuple[ArenaPart, ...]:
    """Where the linker is to put the arena, unless that is where it would anyway: right behind the static data."""
    from tinydeploy.toolchain import ArenaPart

    plan = planned.plan
    found = pieces(plan)
    if found:
        return tuple(ArenaPart(p.section, plan.base.address + p.offset, p.bytes) for p in found)
    if not plan.shares or plan.base.address - planned.memory.ram.base in range(plan.alignment):
        return ()
    return (ArenaPart(".arena", plan.base.address, plan.base.bytes),)


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


def run_model(built: Built, emulator: Emulator, samples: Sequence[Sample], *, layers: bool = False) -> Ran:
    """Run an image that was built with markers once for each sample, each time from reset.

    Inputs that are fed are handed over by the emulator, row by row; what an application spends on making the rows is
    not counted. `layers`: also read what every step computes, right after it.
    Raises `RunError` for a run that ends in a fault or a time-out.
    """
    from tinydeploy.elf import read_elf
    from tinydeploy.emulate import Feed, Job, MemoryWrite, Painted
    from tinydeploy.emulate.layers import LayerReads

    model, plan, image, tree = built.planned.model, built.planned.plan, built.image, built.tree
    arena = read_elf(image.elf).address_of(tree.arena_symbol)
    stack = Painted("stack", image.stack_limit, image.stack_top - image.stack_limit, grows_down=True)
    parts = [Painted(f"arena in {p.region}", arena + p.offset, p.bytes) for p in pieces(plan)]
    painted = (*(parts or [Painted("arena", arena, plan.arena_bytes)]), stack)
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
            stop_symbol=tree.done_symbol,
            marker_address=MARKER_ADDRESS,
            stack_limit=image.stack_limit,
            strict_peripherals=True,
            step_reads=reads.wanted if reads is not None else {},
            feed=Feed(tree.feed_symbol, rows) if tree.feed_symbol is not None else None,
        )
        result = emulator.run(built.planned.board, job)
        if result.fault is not None:
            more = "--stack-bytes gives it more" if result.fault.kind == "stack-overflow" else None
            raise RunError(f"{model.name} on {built.planned.board.id}: {result.fault.message}", hint=more)
        results.append(result)
        seen = reads.tensors(result.step_data, given) if reads is not None else {}
        outputs.append(_arrays(model, seen | dict(zip(model.outputs, result.reads, strict=True))))
    return Ran(built, tuple(samples), tuple(results), tuple(outputs))


def _rows(data: bytes, row_bytes: int) -> list[bytes]:
    return [data[at : at + row_bytes] for at in range(0, len(data), row_bytes)]


def _arrays(model: Model, read: Mapping[int, bytes]) -> Sample:
    """What was read, as arrays by tensor index."""
    import numpy as np

    found = {}
    for index, data in read.items():
        tensor = model.tensor(index)
        dtype = np.dtype(tensor.dtype.label).newbyteorder("<")
        found[index] = np.frombuffer(data, dtype).reshape(tensor.shape).astype(tensor.dtype.label)
    return found
