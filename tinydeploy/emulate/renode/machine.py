"""`RenodeEmulator`: a board on Renode, which answers as the embedded emulator does, and lets nothing pass.

Both start from the same bytes in every memory. Renode itself only warns of what a chip would fault on, and lets a
program write its own flash; so any warning ends the run here, and after it flash must be what was loaded, and the
memory beside the arena and the stack what was painted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.boards.spans import joined, less
from tinydeploy.elf import ElfFile, read_elf
from tinydeploy.emulate.faults import FunctionTable, Stop, describe
from tinydeploy.emulate.feeding import RowFeed
from tinydeploy.emulate.memory import BoardMemory, Prepared, find_vectors
from tinydeploy.emulate.renode import agent
from tinydeploy.emulate.renode.install import Renode
from tinydeploy.emulate.renode.log import stop_of
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.process import Headless
from tinydeploy.emulate.renode.repl import load, memories
from tinydeploy.emulate.types import Fault, Job, PeripheralUse, RunResult
from tinydeploy.errors import RunError, TinydeployError, UsageError
from tinydeploy.units import kib

_START_SECONDS = 180.0  # until the core runs; three on an idle machine
_GRACE_SECONDS = 20.0  # for an agent whose time is up to say so
_POLL_SECONDS = 0.02
_NO_CYCLES = "unavailable: Renode counts instructions, no cycles"
_TO_ITSELF = 0xE7FE  # b .
_EXCEPTION_RETURN = 0xFFFFFF00  # from here on an address is no place, but what a handler returns by
_EXCEPTIONS = {2: "NMI", 11: "SVC", 12: "the debug monitor", 14: "PendSV", 15: "SysTick"}  # that are no faults
_SWI, _PREFETCH_ABORT, _DATA_ABORT, _BKPT, _NOCP, _INVSTATE = 2, 3, 4, 7, 17, 18  # tlib's numbers


class RenodeEmulator:
    """Runs ELFs on Renode, each in a process of its own. `on_output` is given what the firmware prints, as it prints.

    `repl`: a platform of the user's instead of the board's. The board still says where the memories are that matter,
    and all that the image needs must be there.
    """

    name = "renode"

    def __init__(
        self, renode: Renode, on_output: Callable[[bytes], None] | None = None, repl: Path | None = None
    ) -> None:
        self.renode = renode
        self._on_output = on_output
        self._repl = repl

    def check(self, board: Board) -> None:
        """Raise what `run` would raise for any ELF: `UsageError` for a board that Renode cannot have, or a platform
        that cannot be read."""
        if self._repl is None:
            make_platform(board)
        else:
            self._memories()

    def excess(self, board: Board) -> str | None:
        """What the user's platform has that the board has not, in words; None when there is nothing."""
        if self._repl is None:
            return None
        more = [
            f"{kib(end - begin)} at {begin:#010x}"
            for begin, end in less(self._memories(), joined([(r.base, r.end) for r in board.regions]))
        ]
        if not more:
            return None
        return f"{self._repl} maps memory that {board.id} does not have: {', '.join(more)}"

    def run(self, board: Board, job: Job) -> RunResult:
        """Run the job to its end; a fault is in the result.

        Raises `MissingToolError` when Renode cannot be run, `UsageError` for an ELF, a job or a platform that does not
        fit the board, and `RunError` when Renode ends, or refuses to start, without a word on the firmware.
        """
        elf = read_elf(job.elf)
        memory = BoardMemory(board)
        try:
            memory.load(elf)
            return _Run(self, board, job, elf, memory).run()
        finally:
            memory.close()

    def _memories(self) -> list[tuple[int, int]]:
        """`[begin, end)` of what the user's platform maps, joined."""
        assert self._repl is not None
        # Renode's own platforms name others from Renode's folder: where its launcher lies, or they do.
        repl = self._repl.resolve()
        roots = (*self.renode.path.resolve().parents[:2], *repl.parents)
        return joined([(m.base, m.base + m.bytes) for m in memories(load(repl, roots))])

    def _mapped(self, memory: BoardMemory) -> list[tuple[int, int]]:
        """(base, bytes) of the board's memories, as far as the platform has them; none reaches beyond a block."""
        own = [(block.base, block.base + block.bytes) for block in memory.blocks]
        if self._repl is None:
            return [(begin, end - begin) for begin, end in own]
        there = self._memories()
        return [(max(a, c), min(b, d) - max(a, c)) for a, b in own for c, d in there if max(a, c) < min(b, d)]


@dataclass
class _Run:
    """One run."""

    emulator: RenodeEmulator
    board: Board
    job: Job
    elf: ElfFile
    memory: BoardMemory

    def run(self) -> RunResult:
        """From an empty folder to the result."""
        emulator, board, job = self.emulator, self.board, self.job
        vectors, stack_top, _ = find_vectors(board, self.elf, self.memory)
        prepared = Prepared(job, self.memory)
        self._mapped = emulator._mapped(self.memory)
        self._require_memory(stack_top)
        flash = [(b, b.data[:]) for b in self.memory.blocks if not b.writable]
        self._functions = FunctionTable(self.elf)
        with tempfile.TemporaryDirectory(prefix="tinydeploy-renode-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            platform = emulator._repl.resolve() if emulator._repl is not None else folder / "platform.repl"
            if emulator._repl is None:
                platform.write_text(make_platform(board, stubs=not job.strict_peripherals).repl, encoding="utf-8")
            agent.write_session(folder, platform, board, job, self.elf, self.memory, vectors, self._mapped)
            started = time.monotonic()
            ended = self._watch(folder)
            seconds = time.monotonic() - started
            output = _read(folder / agent.OUTPUT)
            if ended is None:
                return self._unanswered(output, seconds)
            for number, (base, size) in enumerate(self._mapped):
                self.memory.write(base, _whole(folder / f"dump{number}", size))
            step_data = self._step_data(ended, _read(folder / agent.DATA))
        fault, pc = self._fault(ended), ended.registers["pc"]
        if fault is None or fault.kind in ("time-out", "no-exit"):  # which may come of the others
            changed = self._flash_fault(ended, [(b.base, before, b.data[:]) for b, before in flash])
            fault = changed or prepared.overwritten(pc) or self._stack_fault(ended, prepared) or fault
        return RunResult(
            instructions=ended.instructions,
            instructions_by_step=ended.counts,
            instructions_by_function={},
            watermarks=prepared.watermarks(),
            reads=prepared.reads() if fault is None else (),
            uart=output,
            seconds=seconds,
            exit_code=ended.numbers[0] if ended.why == "exit" else 0,
            fault=fault,
            cycles_kind=_NO_CYCLES,
            peripherals=tuple(PeripheralUse(a, r, w, False) for a, (r, w) in sorted(ended.touched.items())),
            step_data=step_data,
        )

    def _require_memory(self, stack_top: int) -> None:
        """On a platform of the user's: all that the image and the job speak of is there."""
        job = self.job
        wanted = [(s.physical, len(s.data)) for s in self.elf.segments if s.data] + [(stack_top - 4, 4)]
        wanted += [(s.virtual, s.memory_bytes) for s in self.elf.segments]
        wanted += [(s.address, s.bytes) for s in self.elf.sections]
        wanted += [(p.base, p.bytes) for p in job.painted] + [(w.address, len(w.data)) for w in job.writes]
        there = [(base, base + size) for base, size in self._mapped]
        missing = less(joined([(base, base + size) for base, size in wanted if size]), there)
        # What lies outside the board's memories the emulators tell alike, when it is used.
        missing = [(b, e) for b, e in missing if self.board.region_at(b) is not None]
        if missing:
            begin, end = missing[0]
            raise UsageError(
                f"{self.emulator._repl} maps no memory at {begin:#010x}, where the image needs {kib(end - begin)}",
                hint=f"it must have what {self.board.id} has, as far as the image uses it",
            )

    # --- while it runs

    def _watch(self, folder: Path) -> agent.Ended | None:
        """Wait for the agent's answer; None when its time is up and it does not say so."""
        show = _Tail(folder / agent.OUTPUT, self.emulator._on_output)
        result = folder / agent.RESULT
        begun, started = time.monotonic(), None
        with Headless(self.emulator.renode.path, folder, agent.SCRIPT) as process:
            while not result.exists():
                show.more()
                code = process.wait(_POLL_SECONDS)
                now = time.monotonic()
                if started is None and (folder / agent.STARTED).exists():
                    started = now
                if code is not None and not result.exists():
                    raise self._broken(f"Renode ended with code {code} before the run did", process.last_words)
                if process.complaint:
                    process.wait(1.0)  # the reason comes behind
                    raise self._broken("Renode refuses the platform or the script", process.complaint)
                if started is None and now - begun > _START_SECONDS:
                    raise self._broken(f"Renode did not start the run within {_START_SECONDS:g} s", process.last_words)
                if started is not None and now - started > self.job.timeout_seconds + _GRACE_SECONDS:
                    return None
            show.more()
        try:
            return agent.read_result(result.read_text(encoding="utf-8", errors="replace"))
        except ValueError as wrong:
            raise RunError(f"Renode's answer cannot be understood: {wrong}") from None

    def _broken(self, what: str, words: Sequence[str]) -> TinydeployError:
        said = " / ".join(line for line in words[-12:] if line)[-600:] or "nothing"
        if self.emulator._repl is not None:
            return UsageError(f"{what}, with {self.emulator._repl}: {said}")
        return RunError(f"{what}: {said}")

    def _unanswered(self, output: bytes, seconds: float) -> RunResult:
        message = f"no end after {self.job.timeout_seconds:g} s, and Renode no longer says where it is"
        fault = Fault("time-out", message, 0, None, None, None)
        return RunResult(0, {}, {}, {p.name: 0 for p in self.job.painted}, (), output, seconds, 0, fault)

    # --- after it

    def _step_data(self, ended: agent.Ended, data: bytes) -> dict[int, list[tuple[bytes, ...]]]:
        found: dict[int, list[tuple[bytes, ...]]] = {}
        at = 0
        for step in ended.seen:
            seen = found.setdefault(step, [])
            pieces = []
            for _, size in self.job.step_reads[step][len(seen)]:
                pieces.append(data[at : at + size])
                at += size
            seen.append(tuple(pieces))
        if at != len(data):
            raise RunError(f"Renode's answer cannot be understood: {at} bytes are expected from steps, not {len(data)}")
        return found

    def _fault(self, ended: agent.Ended) -> Fault | None:
        stop = self._stop(ended)
        if stop is None:
            return None
        registers = {name: value for name, value in ended.registers.items() if name != "pc"}
        if stop.kind == "unmapped-fetch" and stop.pc is not None:
            return self._lost(stop, stop.pc, ended.step, registers)
        return describe(stop, self._functions, ended.step, registers, 0)

    def _lost(self, stop: Stop, pc: int, step: int | None, registers: Mapping[str, int]) -> Fault:
        """A jump to nowhere. Renode does not say from where; the link register says who made the last call."""
        caller = self._functions.name_at(registers["lr"] & ~1)
        message = f"{stop.what}, with lr {registers['lr']:#010x}{f' in {caller}' if caller else ''}"
        if step is not None:
            message += f", step {step}"
        return Fault(stop.kind, message, pc, stop.address, caller, step, {**registers, "pc": pc})

    def _stop(self, ended: agent.Ended) -> Stop | None:
        pc, job = ended.registers["pc"], self.job
        if ended.why == "failed":
            raise RunError(f"the watch inside Renode failed: {ended.log[-1] if ended.log else 'it does not say why'}")
        if ended.why == "log":
            return stop_of(ended.log[-1] if ended.log else "", self.board, pc)
        if ended.why == "exception":
            return self._exception(ended.numbers[0], ended.registers)
        if ended.why == "trap":
            return Stop("hard-fault", f"the firmware went into {self._functions.name_at(pc)}", None, pc)
        if ended.why in ("late", "count"):
            longest = f"{job.timeout_seconds:g} s" if ended.why == "late" else f"{job.max_instructions} instructions"
            taken = ended.registers.get("xpsr", 0) & 0x1FF
            if taken and self._halfword(pc) == _TO_ITSELF:
                name = _EXCEPTIONS.get(taken, f"IRQ {taken - 16}")
                what = f"{name} came, and its handler is an empty loop: no end after {longest}"
                return Stop("no-exit", what, None, pc)
            return Stop("time-out", f"no end after {longest}", None, pc)
        if ended.why == "stack":
            sp, limit = ended.registers["sp"], job.stack_limit or 0
            what = f"the stack reaches down to {sp:#010x}, below its limit {limit:#010x}"
            return Stop("stack-overflow", what, sp, pc)
        if ended.why == "semihosting":
            operation, address = ended.numbers
            what = f"semihosting call {operation:#x} points to {address:#010x}, outside every memory of {self.board.id}"
            return Stop("unmapped-read", what, address, pc)
        return self._feed_stop(ended, pc)

    def _feed_stop(self, ended: agent.Ended, pc: int) -> Stop | None:
        """What was wrong with the rows that were asked for, told as the embedded emulator tells it."""
        if self.job.feed is None:
            return None

        def in_ram(address: int, data: bytes) -> None:
            if not self.memory.block_at(address, len(data)).writable:
                raise IndexError(address)

        feed = RowFeed(self.job.feed, in_ram)
        for number, row, to in ended.feeds:
            stop = feed.hand_over(number, row, to)
            if stop is not None:
                return stop.at(pc)
        left_over = feed.left_over()
        return None if left_over is None else left_over.at(pc)

    def _exception(self, number: int, registers: Mapping[str, int]) -> Stop:
        core, pc = self.board.core.name, registers["pc"]
        if number == _PREFETCH_ABORT and pc >= _EXCEPTION_RETURN:
            # tlib takes it at v7-M's values of the return only after the return, at v8-M's before.
            what = f"a handler returned ({pc:#010x}) as the next interrupt came, which Renode's {core} gets wrong"
            return Stop("abort", what, None, pc)
        if number == _PREFETCH_ABORT:
            return Stop("unmapped-fetch", f"jump to {pc:#010x}, where no code can be", pc, pc)
        if number == _DATA_ABORT:
            return Stop("hard-fault", "the core takes a data abort", None, pc)
        if number == _INVSTATE:
            to = self._target(registers)
            where = "an even address" if to is None else f"an even address, {to:#010x}"
            return Stop("hard-fault", f"jump to {where}: {core} has no Arm state", to, pc)
        if number == _BKPT:
            return Stop("hard-fault", "bkpt with no debugger to stop in", None, pc)
        if number == _SWI:
            return Stop("unsupported", "svc: nothing here handles exceptions", None, pc)
        first, second = self._halfword(pc), self._halfword(pc + 2)
        code = f"{first:04x}" if first < 0xE800 else f"{first:04x} {second:04x}"
        if number == _NOCP or first >> 8 in (0xEC, 0xED, 0xEE, 0xFC, 0xFD, 0xFE):
            return Stop("undefined-instruction", f"instruction {code}, of a coprocessor that is absent or off", pc, pc)
        return Stop("undefined-instruction", f"instruction {code} is undefined on {core}", pc, pc)

    def _target(self, registers: Mapping[str, int]) -> int | None:
        """Where `bx` or `blx` at the pc goes; None for all else that jumps."""
        code = self._halfword(registers["pc"])
        if code & 0xFF00 != 0x4700:
            return None
        number = code >> 3 & 0xF
        return registers.get({13: "sp", 14: "lr"}.get(number, f"r{number}"))

    def _halfword(self, address: int) -> int:
        try:
            return int.from_bytes(self.memory.read(address, 2), "little")
        except IndexError:
            return 0

    def _flash_fault(self, ended: agent.Ended, blocks: Sequence[tuple[int, bytes, bytes]]) -> Fault | None:
        """Renode lets a program write into flash."""
        for base, before, after in blocks:
            if before == after:
                continue
            changed = [base + i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
            at = changed[0]
            places = [(s.name, s.address, s.bytes) for s in self.elf.symbols]
            places += [(s.name, s.load_address, s.bytes) for s in self.elf.sections]
            owner = next((name for name, start, size in places if start <= at < start + size), None)
            region = self.board.region_at(at)
            message = (
                f"{region.name if region else 'flash'} of {self.board.id} was written to, which a chip does not allow: "
                f"{len(changed)} bytes are not what was loaded, the first at {at:#010x}"
                f"{f' in {owner}' if owner else ''}"
            )
            return Fault("flash-changed", message, ended.registers["pc"], at, owner, None)
        return None

    def _stack_fault(self, ended: agent.Ended, prepared: Prepared) -> Fault | None:
        """A stack that is used to its last byte, with no guard below it, may well have gone further."""
        for painted in self.job.painted:
            guarded = any(g.base + g.bytes == painted.base for g in self.job.guards)
            if painted.grows_down and not guarded and prepared.watermarks()[painted.name] == painted.bytes:
                message = (
                    f"the stack is used to its last byte, {painted.base:#010x}, and what is below belongs to others"
                )
                return Fault("stack-overflow", message, ended.registers["pc"], painted.base, None, None)
        return None


class _Tail:
    """Hands on what is added to a file."""

    def __init__(self, file: Path, show: Callable[[bytes], None] | None) -> None:
        self._file, self._show, self._at = file, show, 0

    def more(self) -> None:
        """What is new since the last time."""
        if self._show is None or not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._at)
            new = file.read()
        if new:
            self._at += len(new)
            self._show(new)


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _whole(file: Path, size: int) -> bytes:
    data = _read(file)
    if len(data) != size:
        raise RunError(f"Renode's answer cannot be understood: {file.name} has {len(data)} bytes instead of {size}")
    return data
