"""`UnicornEmulator`: a board as a Unicorn machine with exactly its memories, and every bad end told.

The machine has the board's regions and nothing else: RAM holds noise at reset, as on a chip; flash reads 0xFF where
nothing was loaded and cannot be written. There is no NVIC: exceptions do not vector, so what would raise one ends the
run with the reason. Clocks that firmware reads are instruction counts: DWT's CYCCNT and SysTick advance by one an
instruction; modelled cycles are in the result only.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinydeploy.boards import Board, RegionKind
from tinydeploy.boards.spans import less
from tinydeploy.elf import ElfFile, read_elf
from tinydeploy.emulate import hook as h
from tinydeploy.emulate.cores import core_model, denied
from tinydeploy.emulate.debugger import DEBUGGED_BEAT, Debugger
from tinydeploy.emulate.faults import FunctionTable, Stop, describe
from tinydeploy.emulate.feeding import RowFeed
from tinydeploy.emulate.gdb import GdbServer
from tinydeploy.emulate.memory import BoardMemory, Prepared, find_vectors
from tinydeploy.emulate.peripherals import (
    PERIPHERAL_SPACES,
    PRIVATE_BUS,
    Output,
    PrivateBus,
    RegisterFile,
    UartModel,
)
from tinydeploy.emulate.semihosting import Semihosting
from tinydeploy.emulate.timing import COST_NAMES, cycles_kind, timing_of
from tinydeploy.emulate.trace import MOST_EVENTS, recorded
from tinydeploy.emulate.types import Job, RunResult
from tinydeploy.errors import MissingToolError, UsageError

_PAGE, _SMALL_PAGE = 4096, 1024
_NEVER = (
    0xE0180000  # an address in the private bus's space where no code can be: `until` for runs without a stop symbol
)
_BEAT = 1 << 25  # instructions between looks at the clock
_SVC, _PREFETCH_ABORT, _DATA_ABORT, _BKPT, _EXCEPTION_EXIT, _NOCP, _INVSTATE = 2, 3, 4, 7, 8, 17, 18  # QEMU's numbers
_WFI, _WFE, _YIELD = 0xBF30, 0xBF20, 0xBF10
_SEMIHOSTING = 0xBEAB
_THUMB_BIT = 1 << 24  # of xPSR


class UnicornEmulator:
    """Runs ELFs on Unicorn. `cache_dir` replaces the user's cache folder (for the compiled counter); `on_output` is
    given what the firmware prints, as it prints; `debugger`: each run waits for one there, and starts when it says."""

    name = "unicorn"

    def __init__(
        self,
        cache_dir: Path | None = None,
        on_output: Callable[[bytes], None] | None = None,
        debugger: GdbServer | None = None,
    ) -> None:
        self._cache_dir = cache_dir
        self._on_output = on_output
        self._debugger = debugger

    def check(self, board: Board) -> None:
        """Raise what `run` would raise for any ELF: `MissingToolError` without Unicorn, `UsageError` for the core."""
        self._unicorn()
        core_model(board)

    @staticmethod
    def _unicorn() -> Any:
        try:
            import unicorn
        except ImportError as missing:
            raise MissingToolError(
                "the emulator needs Unicorn, which is not installed", hint="pip install 'tinydeploy[run]'"
            ) from missing
        return unicorn

    def run(self, board: Board, job: Job) -> RunResult:
        """Run the job to its end; a fault is in the result.

        Raises `MissingToolError` without Unicorn, `UsageError` for an ELF or a job that does not fit the board.
        """
        unicorn = self._unicorn()
        elf = read_elf(job.elf)
        machine = _Machine(board, job, elf, h.load_hook(self._cache_dir), self._on_output, self._debugger, unicorn)
        try:
            return machine.run()
        finally:
            machine.close()


class _Machine:
    """One run."""

    def __init__(
        self,
        board: Board,
        job: Job,
        elf: ElfFile,
        library: Any,
        on_output: Callable[[bytes], None] | None,
        debugger: GdbServer | None,
        unicorn: Any,
    ) -> None:
        from unicorn import arm_const, unicorn_const
        from unicorn.unicorn_py3.unicorn import uclib

        self._board, self._job, self._elf = board, job, elf
        self._library, self._unicorn, self._arm, self._const, self._uclib = (
            library,
            unicorn,
            arm_const,
            unicorn_const,
            uclib,
        )
        self._core = core_model(board)
        self._functions = FunctionTable(elf)
        self._state = h.HookState()
        self._keep: list[Any] = []  # what C points at
        self._stop: Stop | None = None
        self._failure: BaseException | None = None
        self._exit_code: int | None = None
        self._deadline = 0.0
        self._step_data: dict[int, list[tuple[bytes, ...]]] = {}
        self._on_output = on_output
        self._output = Output(self._printed)
        self._registers = RegisterFile()
        self._memory = BoardMemory(board)
        self._memory.load(elf)
        self._vectors, self._stack, self._entry = find_vectors(board, elf, self._memory)
        self._uart = None if board.uart is None else UartModel(board.uart, self._output, self._memory.read)
        self._bus = PrivateBus(
            self._core.cpuid, self._vectors, self._output, self._executed, self._reset_requested, self._enable_fpu
        )
        self._semihosting = Semihosting(
            self._memory.read, self._memory.write_ram, self._output.add, self._executed, board.clock_hz
        )
        self._feed = None if job.feed is None else RowFeed(job.feed, self._memory.write_ram)
        self._until = _NEVER if job.stop_symbol is None else elf.address_of(job.stop_symbol) & ~1
        self._engine = self._open()
        self._debug = None if debugger is None else self._debugged_by(debugger)
        self._prepare_hook()
        self._map()

    # --- before the run -------------------------------------------------------------------------------------------

    def _open(self) -> Any:
        # UC_MODE_MCLASS would turn every core into a Cortex-M33, whatever model is asked for.
        engine = self._unicorn.Uc(self._const.UC_ARCH_ARM, self._const.UC_MODE_THUMB)
        engine.ctl_set_cpu_model(getattr(self._arm, "UC_CPU_ARM_" + self._core.model))
        if any(r.base % _PAGE or r.bytes % _PAGE for r in self._board.regions):
            engine.ctl_set_page_size(_SMALL_PAGE)
        return engine

    def _debugged_by(self, server: GdbServer) -> Debugger:
        def rest(pc: int) -> int:
            return int(self._library.td_rest_of_block(ctypes.byref(self._state), pc))

        return Debugger(server, self._board, self._engine, self._memory, self._state, self._current_step, rest)

    def _prepare_hook(self) -> None:
        state, job = self._state, self._job
        regions = (h.HookRegion * len(self._memory.blocks))()
        for slot, block in zip(regions, self._memory.blocks, strict=True):
            slot.base, slot.bytes, slot.host, slot.writable = block.base, block.bytes, block.host, block.writable
        starts, traps = self._functions.starts, self._functions.traps
        c_starts = (ctypes.c_uint32 * max(1, len(starts)))(*starts)
        c_traps = (ctypes.c_uint8 * max(1, len(traps)))(*traps)
        self._counts = (ctypes.c_uint64 * (len(starts) + 1))()
        callbacks = (
            h.HEARTBEAT_CALLBACK(self._heartbeat),
            h.READ_CALLBACK(self._port_read),
            h.WRITE_CALLBACK(self._port_write),
            h.STEP_CALLBACK(self._step_ended),
        )
        self._keep += [regions, c_starts, c_traps, callbacks]
        state.engine = self._engine._uch
        state.reg_read = ctypes.cast(self._uclib.uc_reg_read, ctypes.c_void_p)
        state.stop = ctypes.cast(self._uclib.uc_emu_stop, ctypes.c_void_p)
        pointers = [ctypes.cast(callback, ctypes.c_void_p) for callback in callbacks]
        state.heartbeat, state.python_read, state.python_write = pointers[:3]
        state.step_ended = pointers[3] if job.step_reads else None
        state.function_starts = ctypes.cast(c_starts, ctypes.POINTER(ctypes.c_uint32))
        state.function_traps = ctypes.cast(c_traps, ctypes.POINTER(ctypes.c_uint8))
        state.function_counts = ctypes.cast(self._counts, ctypes.POINTER(ctypes.c_uint64))
        state.function_total, state.region_total = len(starts), len(regions)
        state.regions = ctypes.cast(regions, ctypes.POINTER(h.HookRegion))
        state.max_instructions = max(0, job.max_instructions)
        state.beat_every = _BEAT if self._debug is None else DEBUGGED_BEAT
        state.stack_limit = job.stack_limit or 0
        state.deny = denied(self._board)
        self._timing = timing_of(self._board)
        if self._timing is not None:
            costs = (ctypes.c_uint32 * len(COST_NAMES))(*self._timing.costs())
            self._keep.append(costs)
            state.costs = ctypes.cast(costs, ctypes.POINTER(ctypes.c_uint32))
        state.marker_address = job.marker_address or 0
        state.has_cycle_counter = self._core.cycle_counter
        if job.trace:
            self._trace = h.HookTrace(room_limit=MOST_EVENTS)
            state.trace = ctypes.pointer(self._trace)
        self._library.td_begin(ctypes.byref(state))

    def _map(self) -> None:
        c = self._const
        for region in self._board.regions:
            block = self._memory.block_at(region.base)
            access = c.UC_PROT_READ
            if region.kind is RegionKind.RAM:
                access |= c.UC_PROT_WRITE
            if region.code:
                access |= c.UC_PROT_EXEC
            where = block.host + region.base - block.base
            self._checked(
                self._uclib.uc_mem_map_ptr(self._engine._uch, region.base, region.bytes, access, ctypes.c_void_p(where))
            )
        spaces = [PRIVATE_BUS]
        if not self._job.strict_peripherals:
            spaces += PERIPHERAL_SPACES
        elif self._uart is not None:
            spaces.append((self._uart.base & -_PAGE, (self._uart.base & -_PAGE) + _PAGE))
        marker = self._job.marker_address
        if marker:
            if marker % 4 or self._board.region_at(marker) is not None:
                raise UsageError(
                    f"the marker port {marker:#010x} must be a word outside the memories of {self._board.id}"
                )
            if not any(low <= marker < high for low, high in spaces):
                spaces.append((marker & -_PAGE, (marker & -_PAGE) + _PAGE))
        for start, end in less(spaces, [(r.base, r.end) for r in self._board.regions]):
            port = h.HookPort(ctypes.pointer(self._state), start, 0)
            self._keep.append(port)
            self._checked(
                self._uclib.uc_mmio_map(
                    self._engine._uch,
                    start,
                    end - start,
                    ctypes.cast(self._library.td_port_read, ctypes.c_void_p),
                    ctypes.byref(port),
                    ctypes.cast(self._library.td_port_write, ctypes.c_void_p),
                    ctypes.byref(port),
                )
            )
        watched = self._job.trace or self._debug is not None
        self._hook(c.UC_HOOK_BLOCK, self._library.td_on_watched_block if watched else self._library.td_on_block)
        if self._debug is not None:
            self._hook(c.UC_HOOK_CODE, self._library.td_on_instruction)
        self._engine.hook_add(c.UC_HOOK_INTR, self._on_interrupt)
        if self._job.feed is not None:
            entry = self._elf.address_of(self._job.feed.function) & ~1
            self._engine.hook_add(c.UC_HOOK_BLOCK, self._on_feed, begin=entry, end=entry)
        self._engine.hook_add(c.UC_HOOK_MEM_INVALID, self._on_bad_access)

    def _hook(self, kind: int, function: Any) -> None:
        """Have a function of the library called, everywhere."""
        handle = ctypes.c_size_t()
        where = (ctypes.cast(function, ctypes.c_void_p), ctypes.byref(self._state), 1, 0)
        self._checked(self._uclib.uc_hook_add(self._engine._uch, ctypes.byref(handle), kind, *where))

    def _checked(self, code: int) -> None:
        if code != 0:
            raise AssertionError(f"unicorn refused a call: {self._unicorn.UcError(code)}")

    # --- during the run -------------------------------------------------------------------------------------------

    def _guarded(self, problem: BaseException) -> None:
        """An exception inside a callback must not vanish in C: keep it, stop, raise it from `run`."""
        self._failure = self._failure or problem
        self._engine.emu_stop()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C, or the time-out of a test, comes where Python next runs something. That is the very start of a
        callback, before any `try` in it, and ctypes has nowhere to pass it on to but `sys.unraisablehook`."""
        if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
            yield
            return
        before = sys.unraisablehook

        def lost(what: sys.UnraisableHookArgs) -> None:
            if what.exc_value is not None and "ctypes callback" in (what.err_msg or ""):
                self._guarded(what.exc_value)
            else:
                before(what)

        sys.unraisablehook = lost
        try:
            yield
        finally:
            sys.unraisablehook = before

    def _printed(self, text: bytes) -> None:
        if self._on_output is not None:
            self._on_output(text)
        if self._debug is not None:
            self._debug.console(text)

    def _is_late(self) -> bool:
        """The run took longer than it may; a debugger has all the time that it wants."""
        if self._debug is not None and self._debug.connected:
            self._start_clock()
        return time.monotonic() > self._deadline

    def _start_clock(self) -> None:
        self._deadline = time.monotonic() + self._job.timeout_seconds

    def _heartbeat(self) -> int:
        try:
            if self._debug is not None:
                self._debug.look()
            return int(self._is_late())
        except BaseException as problem:
            self._guarded(problem)
            return 1

    def _executed(self) -> int:
        return int(self._state.instructions)

    def _enable_fpu(self, enabled: bool) -> None:
        self._state.fpu_enabled = enabled

    def _reset_requested(self) -> None:
        self._end(Stop("no-exit", "the firmware asked for a system reset (AIRCR)"))

    def _end(self, stop: Stop) -> None:
        self._stop = self._stop or stop
        self._engine.emu_stop()

    def _port_read(self, address: int, size: int) -> int:
        try:
            word, shift = address & ~3, (address & 3) * 8
            if PRIVATE_BUS[0] <= word < PRIVATE_BUS[1]:
                value = self._bus.read(word)
            elif self._uart is not None and self._uart.holds(word):
                value = self._uart.read(word)
            else:
                value = self._registers.read(word, self._block_address())
            return value >> shift & ((1 << 8 * size) - 1)
        except BaseException as problem:
            self._guarded(problem)
            return 0

    def _port_write(self, address: int, size: int, value: int) -> None:
        try:
            word, shift = address & ~3, (address & 3) * 8
            mask = ((1 << 8 * size) - 1) << shift & 0xFFFFFFFF
            value = value << shift & mask
            if PRIVATE_BUS[0] <= word < PRIVATE_BUS[1]:
                self._bus.write(word, value, mask)
            elif self._uart is not None and self._uart.holds(word):
                self._uart.write(word, value, mask)
            else:
                self._registers.write(word, value, mask)
        except IndexError as outside:
            self._end(Stop("unmapped-read", f"a peripheral was told to read {_hex(outside.args[0])}", outside.args[0]))
        except BaseException as problem:
            self._guarded(problem)

    def _step_ended(self, step: int) -> None:
        try:
            wanted, seen = self._job.step_reads.get(step, ()), self._step_data.setdefault(step, [])
            if len(seen) < len(wanted):
                seen.append(tuple(self._memory.read(address, size) for address, size in wanted[len(seen)]))
        except IndexError as outside:
            self._guarded(self._not_memory(outside.args[0]))
        except BaseException as problem:
            self._guarded(problem)

    def _on_feed(self, _uc: Any, pc: int, _size: int, _data: Any) -> None:
        try:
            a = self._arm
            number, row, to = (
                int(self._engine.reg_read(r)) for r in (a.UC_ARM_REG_R1, a.UC_ARM_REG_R2, a.UC_ARM_REG_R3)
            )
            stop = None if self._feed is None else self._feed.hand_over(number, row, to)
            if stop is not None:
                self._end(stop.at(pc))
        except BaseException as problem:
            self._guarded(problem)

    def _not_memory(self, address: int) -> UsageError:
        return UsageError(f"{_hex(address)} is not in a memory of {self._board.id}")

    def _block_address(self) -> int:
        current = self._state.current
        return int(self._state.blocks[current].address) if current != h.NO_STEP else 0

    def _on_bad_access(self, _uc: Any, access: int, address: int, size: int, value: int, _data: Any) -> bool:
        c, board = self._const, self._board
        pc = self._pc()
        address &= 0xFFFFFFFF
        place = f"{_hex(address)}, outside every memory of {board.id}"
        if access in (c.UC_MEM_FETCH_UNMAPPED, c.UC_MEM_FETCH_PROT):
            region = board.region_at(address)
            if region is not None:
                place = f"{_hex(address)} in {region.name}, from which no code can run"
            stop = Stop("unmapped-fetch", f"jump to {place}", address, pc)
        elif access in (c.UC_MEM_WRITE_UNMAPPED, c.UC_MEM_WRITE_PROT):
            region = board.region_at(address)
            if region is not None:
                stop = Stop(
                    "flash-write", f"write to {_hex(address)}, which is {region.name} of {board.id}", address, pc
                )
            else:
                stop = Stop("unmapped-write", f"write to {place}", address, pc)
        else:
            stop = Stop("unmapped-read", f"read of {place}", address, pc)
        self._stop = self._stop or stop
        return False

    def _on_interrupt(self, _uc: Any, number: int, _data: Any) -> None:
        pc = self._pc()
        if number == _BKPT:
            if self._halfword(pc) == _SEMIHOSTING:
                self._semihost(pc)
                return
            if self._debug is not None and self._debug.connected:
                self._debug.trap(pc)
                return
            operand = self._halfword(pc) & 0xFF
            stop = Stop("hard-fault", f"bkpt {operand:#04x} with no debugger to stop in", None, pc)
        elif number == _SVC:
            stop = Stop("unsupported", "svc: this emulator has no exceptions", None, pc - 2)
        elif number == _DATA_ABORT:
            stop = Stop("hard-fault", f"unaligned access, which {self._board.core.name} cannot do", None, pc)
        elif number == _NOCP:
            stop = Stop("undefined-instruction", self._undefined_words(pc), pc, pc)
        elif number == _INVSTATE:
            stop = Stop(
                "hard-fault", f"jump to an even address, {_hex(pc)}: {self._board.core.name} has no Arm state", pc, pc
            )
        elif number in (_PREFETCH_ABORT, _EXCEPTION_EXIT):
            stop = Stop("unmapped-fetch", f"jump to {_hex(pc)}, outside every memory of {self._board.id}", pc, pc)
        else:
            stop = Stop("unsupported", f"exception {number} of the emulator's core", None, pc)
        self._end(stop)

    def _semihost(self, pc: int) -> None:
        a = self._arm
        operation, argument = self._engine.reg_read(a.UC_ARM_REG_R0), self._engine.reg_read(a.UC_ARM_REG_R1)
        try:
            answer = self._semihosting.call(operation, argument)
        except IndexError as outside:
            self._end(
                Stop(
                    "unmapped-read",
                    f"semihosting call {operation:#x} points to {_hex(outside.args[0])}, outside every memory "
                    f"of {self._board.id}",
                    outside.args[0],
                    pc,
                )
            )
            return
        self._engine.reg_write(a.UC_ARM_REG_PC, (pc + 2) | 1)
        if answer.exit_code is not None:
            self._exit_code = answer.exit_code
            self._engine.emu_stop()
            return
        self._engine.reg_write(a.UC_ARM_REG_R0, answer.value)
        if self._is_late():
            self._end(self._timed_out(pc))

    # --- the run --------------------------------------------------------------------------------------------------

    def run(self) -> RunResult:
        """From reset to the end."""
        job, a = self._job, self._arm
        prepared = Prepared(job, self._memory)
        self._engine.reg_write(a.UC_ARM_REG_SP, self._stack)
        self._engine.reg_write(a.UC_ARM_REG_LR, 0xFFFFFFFF)
        started = time.monotonic()
        self._engine.reg_write(a.UC_ARM_REG_PC, self._entry | 1)
        if self._debug is not None:
            self._debug.begin()
        self._start_clock()
        with self._interruptible():
            pc = self._go(self._pc())
        seconds = time.monotonic() - started
        if self._failure is not None:
            raise self._failure
        if self._stop is None and self._feed is not None and (left_over := self._feed.left_over()) is not None:
            self._stop = left_over.at(pc).counted()
        unfinished = _NEVER  # where a block ended that was counted whole
        if self._stop is not None and self._stop.pc is None:
            self._stop = self._stop.at(pc)
        if self._stop is not None and self._stop.mid_block and self._stop.pc is not None:
            unfinished = self._stop.pc
        self._library.td_end(ctypes.byref(self._state), unfinished)
        state = self._state
        steps = [state.steps[i] for i in range(state.step_total)]
        modelled = self._timing is not None
        fault = prepared.overwritten(pc)
        if self._stop is not None:
            last = self._block_address()
            fault = describe(self._stop, self._functions, self._current_step(), self._register_values(), last)
        if self._debug is not None:
            self._debug.ended(fault, self._exit_code or 0)
        reads = prepared.reads() if fault is None else ()
        return RunResult(
            instructions=int(state.instructions),
            instructions_by_step={int(step.id): int(step.count) for step in steps},
            instructions_by_function=self._functions.totals(list(self._counts)),
            watermarks=prepared.watermarks(),
            reads=reads,
            uart=self._output.data,
            seconds=seconds,
            exit_code=self._exit_code or 0,
            fault=fault,
            peripherals=self._registers.uses(),
            interrupts=self._bus.interrupts,
            step_data=self._step_data,
            cycles=int(state.cycles) if modelled else None,
            cycles_by_step={int(step.id): int(step.cycles) for step in steps} if modelled else {},
            cycles_kind=cycles_kind(self._board) if modelled else None,
            trace=recorded(self._trace, self._functions.names, state) if job.trace else None,
        )

    def _go(self, pc: int) -> int:
        """Run until the end; the pc there. Starts again behind wfe and yield, at which Unicorn gives up."""
        while True:
            failed = False
            try:
                self._engine.emu_start(pc | 1, self._until)
            except self._unicorn.UcError:
                failed = True
            except BaseException as problem:  # raised by a hook in Python, passed on by the binding
                self._failure = self._failure or problem
            pc = self._pc()
            if self._failure is not None or self._stop is not None or self._exit_code is not None:
                return pc
            if self._debug is not None and self._debug.stood():
                self._start_clock()
                pc = self._pc()
                continue
            if self._state.reason != h.RUNNING:
                self._stop = self._stop_of_hook()
                return pc
            if not failed and pc == self._until and self._job.stop_symbol is not None:
                return pc
            if pc == self._block_end():
                instruction = self._halfword(pc - 2)
                if failed and instruction in (_WFE, _YIELD):
                    continue
                if not failed and instruction == _WFI:
                    self._stop = Stop(
                        "no-exit",
                        "wfi: the firmware sleeps and no interrupt can wake it",
                        None,
                        pc - 2,
                        mid_block=False,
                    )
                    return pc
            if failed and not self._engine.reg_read(self._arm.UC_ARM_REG_XPSR) & _THUMB_BIT:
                self._stop = Stop("hard-fault", f"jump to {_hex(pc)} without the Thumb bit", pc, pc)
            elif failed:
                self._stop = Stop("undefined-instruction", self._undefined_words(pc), pc, pc)
            else:
                self._stop = Stop("unmapped-fetch", f"jump to {_hex(pc)}, where no code can be", pc, pc)
            return pc

    def _block_end(self) -> int | None:
        current = self._state.current
        if current == h.NO_STEP:
            return None
        block = self._state.blocks[current]
        return int(block.address + block.size)

    def _undefined_words(self, pc: int) -> str:
        first = self._halfword(pc)
        code = f"{first:04x}" if first < 0xE800 else f"{first:04x} {self._halfword(pc + 2):04x}"
        return f"instruction {code} is undefined on {self._board.core.name}"

    def _timed_out(self, pc: int | None) -> Stop:
        return Stop("time-out", f"no end after {self._job.timeout_seconds:g} s", None, pc)

    def _stop_of_hook(self) -> Stop | None:
        state = self._state
        pc, address = int(state.reason_pc), int(state.reason_address)
        reason = int(state.reason)
        # The hook stops before a block is counted, so nothing has to be taken back.
        if reason == h.COUNT_LIMIT:
            what = f"no end after {self._job.max_instructions} instructions"
            return Stop("time-out", what, None, pc, mid_block=False)
        if reason == h.HEARTBEAT:
            return self._timed_out(pc).counted()
        if reason == h.STACK_OVERFLOW:
            what = f"the stack reaches down to {_hex(address)}, below its limit {_hex(int(state.stack_limit))}"
            return Stop("stack-overflow", what, address, pc, mid_block=False)
        if reason == h.TRAP:
            name = self._functions.name_at(pc)
            return Stop("hard-fault", f"the firmware went into {name}", None, pc, mid_block=False)
        if reason == h.UNDEFINED:
            return Stop("undefined-instruction", self._undefined_words(pc), pc, pc, mid_block=False)
        if reason == h.FPU_OFF:
            what = "a floating-point instruction while the FPU is off (CPACR)"
            return Stop("undefined-instruction", what, pc, pc, mid_block=False)
        if reason == h.SELF_LOOP:
            if pc == self._until:
                return None
            return Stop("no-exit", "an empty endless loop, which no interrupt can end", None, pc, mid_block=False)
        raise MemoryError("no memory for the table of basic blocks")

    def _current_step(self) -> int | None:
        index = self._state.step_current
        return None if index == h.NO_STEP else int(self._state.steps[index].id)

    def _pc(self) -> int:
        return int(self._engine.reg_read(self._arm.UC_ARM_REG_PC)) & ~1

    def _halfword(self, address: int) -> int:
        try:
            return int.from_bytes(self._memory.read(address, 2), "little")
        except IndexError:
            return 0

    def _register_values(self) -> dict[str, int]:
        a = self._arm
        names = [(f"r{i}", getattr(a, f"UC_ARM_REG_R{i}")) for i in range(13)]
        names += [("sp", a.UC_ARM_REG_SP), ("lr", a.UC_ARM_REG_LR), ("xpsr", a.UC_ARM_REG_XPSR)]
        return {name: int(self._engine.reg_read(number)) & 0xFFFFFFFF for name, number in names}

    def close(self) -> None:
        """Give everything back: Unicorn first, for it looks into the memories."""
        self._library.td_free(ctypes.byref(self._state))
        del self._engine
        self._keep.clear()
        self._memory.close()


def _hex(address: int) -> str:
    return f"{address:#010x}"
