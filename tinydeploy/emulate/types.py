"""`RunResult` and the small protocol that an emulator satisfies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tinydeploy.boards import Board

FaultKind = Literal[
    "unmapped-read",
    "unmapped-write",
    "unmapped-fetch",
    "flash-write",
    "stack-overflow",
    "hard-fault",
    "undefined-instruction",
    "time-out",
    "no-exit",
    "feed",
    "guard",
    "flash-changed",
    "abort",
    "warning",
    "unsupported",
]
"""`no-exit`: nothing more can happen, it is an empty loop, a sleep, or a reset. `feed`: rows of input were asked for
out of order, for a place that is no RAM, or not at all. `guard`: memory beside the arena or the stack was overwritten.
`flash-changed`: flash is not what was loaded. `abort`: the emulator's core gave up. `warning`: the emulator warned of
something else. `unsupported`: the firmware needs exceptions, which this emulator does not have."""


@dataclass(frozen=True)
class MemoryWrite:
    """Bytes to put into RAM before the run starts (after the image is loaded)."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Feed:
    """A function of the firmware that hands over a row of input, played by the emulator.

    `void function(void *context, uint32_t input, uint32_t row, void *to)` is entered for each of `rows[input]`, in
    order and once: the emulator then writes the row to `to`, and lets the function return. The function's own
    instructions are counted as all others are; making the rows costs none.
    """

    function: str
    rows: Mapping[int, Sequence[bytes]]


@dataclass(frozen=True)
class Painted:
    """A range to paint before the run and to read its watermark from after it.

    `grows_down`: a stack, used from its end downwards; otherwise used anywhere from its start upwards.
    """

    name: str
    base: int
    bytes: int
    grows_down: bool = False


@dataclass(frozen=True)
class Guard:
    """RAM beside `what` that nothing owns: it is painted before the run, and the run fails if it changed."""

    what: str
    base: int
    bytes: int


@dataclass(frozen=True)
class Job:
    """What an emulator is asked to run.

    elf: the image. writes: put into RAM before the run. reads: (address, bytes) read when it ends normally.
    painted: ranges with watermarks. stop_symbol: the run ends normally when this function is entered; without it, on
    a semihosting exit (SYS_EXIT), or a `bkpt` with the stop code. marker_symbol: the address of a word
    (write-only port for markers) written with the step index at the start of each step; counts are split there.
    max_instructions: time-out by count. timeout_seconds: time-out by host time. stack_limit: the lowest address that
    the stack may reach; a stack pointer below it is a stack overflow. strict_peripherals: only the core's own
    registers and the board's UART exist; any other peripheral address is a fault, as it should be for an image that
    needs none. step_reads[i][k]: (address, bytes) read as step i ends for the k-th time, before anything else runs.
    feed: the firmware asks for its input by rows. guards: memory that must stay as it is. trace: record calls, returns
    and markers.
    """

    elf: Path
    writes: Sequence[MemoryWrite] = ()
    reads: Sequence[tuple[int, int]] = ()
    painted: Sequence[Painted] = ()
    stop_symbol: str | None = None
    marker_address: int | None = None
    max_instructions: int = 20_000_000_000
    timeout_seconds: float = 120.0
    stack_limit: int | None = None
    strict_peripherals: bool = False
    step_reads: Mapping[int, Sequence[Sequence[tuple[int, int]]]] = field(default_factory=dict)
    feed: Feed | None = None
    guards: Sequence[Guard] = ()
    trace: bool = False


@dataclass(frozen=True)
class PeripheralUse:
    """A peripheral register that the firmware touched and that nothing stands behind: it only remembers.

    `polled`: the firmware waited on it, and was let through by answers made up for that.
    """

    address: int
    reads: int
    writes: int
    polled: bool


@dataclass(frozen=True)
class Fault:
    """Why a run ended badly, with all that is known. `message` is one line for people."""

    kind: FaultKind
    message: str
    pc: int
    address: int | None
    function: str | None
    step: int | None
    registers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """What a run did, call by call.

    `functions`: names, which events give by index. `record`: the events, packed; `emulate.trace` reads them.
    `instructions`, `cycles`: where the trace ends. `complete`: that is the end of the run; a trace has room for so many
    events, and no more.
    """

    functions: tuple[str, ...]
    record: bytes
    instructions: int
    cycles: int
    complete: bool


@dataclass(frozen=True)
class RunResult:
    """What a run showed. Counts are exact, by basic block: instructions that an IT block skips are included.

    `instructions_by_step[i]`: since marker i was written until the next marker. `instructions_by_function`: exclusive
    counts by symbol. `watermarks[name]`: bytes of the painted range that were overwritten (from the used end).
    `reads`: the bytes asked for. `uart`: what the firmware printed. `exit_code`: by semihosting, 0 otherwise.
    `peripherals`: registers without a model that were touched, by address. `step_data[i][k]`: what
    `Job.step_reads[i][k]` asked for; missing for a step that did not run, shorter for one that ran less often.
    `cycles`: modelled, None where there is no timing model for the core; `cycles_kind` says by what, or why not;
    `cycles_by_step[i]`: as the instructions are.
    `interrupts`: those that the firmware enabled, of which none ever came. `trace`: if the job asked for one.
    """

    instructions: int
    instructions_by_step: Mapping[int, int]
    instructions_by_function: Mapping[str, int]
    watermarks: Mapping[str, int]
    reads: tuple[bytes, ...]
    uart: bytes
    seconds: float
    exit_code: int
    fault: Fault | None
    peripherals: tuple[PeripheralUse, ...] = ()
    step_data: Mapping[int, Sequence[tuple[bytes, ...]]] = field(default_factory=dict)
    cycles: int | None = None
    cycles_by_step: Mapping[int, int] = field(default_factory=dict)
    cycles_kind: str | None = None
    interrupts: tuple[str, ...] = ()
    trace: Trace | None = None


class Emulator(Protocol):
    """One emulator."""

    name: str

    def run(self, board: Board, job: Job) -> RunResult:
        """Run the job to its end; a fault is in the result, a missing tool raises `MissingToolError`."""
        ...
