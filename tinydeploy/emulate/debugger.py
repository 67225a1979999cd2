"""A run on Unicorn in a debugger's hands: registers, memory, points to halt at, and going on from there.

The counts stay exact. A run halts before an instruction, in the middle of a block that was counted whole when it began;
where it goes on from there the rest of the block is not counted again, and where the debugger moved the pc it is taken
back. Only a part of the bookkeeping is here: `td_on_instruction` and `td_on_watched_block` in hook.c do it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tinydeploy.boards import Board, RegionKind
from tinydeploy.emulate import hook as h
from tinydeploy.emulate.gdb import GdbServer, Going, Halt
from tinydeploy.emulate.types import Fault
from tinydeploy.errors import RunError

DEBUGGED_BEAT = 1 << 16  # instructions between looks at what the debugger sends
_SIGINT, _SIGILL, _SIGTRAP, _SIGABRT, _SIGBUS, _SIGSEGV = 2, 4, 5, 6, 10, 11
_SIGNALS = {
    "unmapped-read": _SIGSEGV,
    "unmapped-write": _SIGSEGV,
    "unmapped-fetch": _SIGSEGV,
    "flash-write": _SIGSEGV,
    "stack-overflow": _SIGSEGV,
    "undefined-instruction": _SIGILL,
    "hard-fault": _SIGBUS,
}
_FLAGS = 0xF80F0000  # of xPSR: N, Z, C, V, Q and GE, which a program can set, too
_MOST_WATCHED = 32
_LONGEST_ACCESS = 8
_BKPT = 0xBE
_HELP = """step: the number of the step that runs, which is the layer's
instructions: executed so far, exactly
cycles: modelled, to the end of the block that runs"""


class Memory(Protocol):
    """The board's memories; `IndexError` outside."""

    def read(self, address: int, size: int) -> bytes: ...

    def write_ram(self, address: int, data: bytes) -> None: ...


@dataclass(frozen=True)
class _Register:
    name: str
    number: int  # Unicorn's
    bytes: int
    xml: str


class Debugger:
    """Between a `GdbServer` and the machine. `step` says which step runs; `rest` how many instructions of the block
    that runs lie at an address or behind it."""

    def __init__(
        self,
        server: GdbServer,
        board: Board,
        engine: Any,
        memory: Memory,
        state: h.HookState,
        step: Callable[[], int | None],
        rest: Callable[[int], int],
    ) -> None:
        from unicorn import arm_const, unicorn_const

        self._server, self._board, self._engine, self._memory = server, board, engine, memory
        self._state, self._step, self._rest = state, step, rest
        self._arm, self._const = arm_const, unicorn_const
        self._table = _registers(arm_const, board)
        self.registers: Sequence[int] = range(len(self._table))
        self.description = _description(self._table)
        self.memory_map = _memory_map(board)
        self._breakpoints: set[int] = set()
        self._watched: dict[tuple[str, int, int], int] = {}
        self._hit: tuple[str, int] | None = None
        self._control = h.HookDebug()
        state.debug = ctypes.pointer(self._control)

    # --- the machine's side ---------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether anybody is debugging."""
        return self._server.connected

    def begin(self) -> None:
        """Wait for the debugger, and have it say how to start."""
        self._server.accept()
        self._stand(Halt())

    def look(self) -> None:
        """Halt soon if the debugger wants it."""
        if self._server.connected and self._server.interrupted():
            self._control.interrupted = 1

    def console(self, text: bytes) -> None:
        """The firmware printed something."""
        self._server.console(text)

    def trap(self, pc: int) -> None:
        """The firmware halts by itself, at a `bkpt`."""
        self._control.halted, self._control.pc, self._control.inside = h.BREAKPOINT, pc, 1
        self._engine.emu_stop()

    def stood(self) -> bool:
        """If the run halted for the debugger: serve it until it goes on, and true."""
        if not self._control.halted:
            return False
        halt = Halt(_SIGINT if self._control.halted == h.INTERRUPTED else _SIGTRAP, self._hit)
        self._server.halted(halt)
        self._stand(halt)
        return True

    def ended(self, fault: Fault | None, exit_code: int) -> None:
        """The run is over; the debugger may look at a fault before."""
        if fault is None:
            self._server.exited(exit_code)
        elif self._server.connected:
            self._set_pc(fault.pc)
            self._control.inside = 0
            halt = Halt(_SIGNALS.get(fault.kind, _SIGABRT))
            self._server.console(f"{fault.kind}: {fault.message}\n".encode())
            self._server.halted(halt)
            if self._server.serve(self, halt) in (Going.CONTINUE, Going.STEP):
                self._server.died(halt.signal)
        self._server.close()

    def _stand(self, halt: Halt) -> None:
        control = self._control
        going = self._server.serve(self, halt)
        if going is Going.KILL:
            self._server.close()
            raise RunError("the debugger ended the run")
        if going is Going.DETACH:
            self._server.close()
            self._let_go()
        pc = self._pc()
        if control.halted == h.BREAKPOINT and pc == control.pc and self._is_bkpt(pc):
            self._set_pc(pc + 2)
        control.halted = control.interrupted = control.watch_hit = 0
        control.stepping = going is Going.STEP
        control.moving = 1
        self._hit = None

    def _let_go(self) -> None:
        for kind, address, size in list(self._watched):
            self.set_point(kind, address, size, False)
        self._breakpoints.clear()
        self._control.breakpoint_total = 0

    def _is_bkpt(self, pc: int) -> bool:
        try:
            return self._memory.read(pc, 2)[1] == _BKPT
        except IndexError:
            return False

    def _pc(self) -> int:
        return int(self._engine.reg_read(self._arm.UC_ARM_REG_PC)) & ~1

    def _set_pc(self, pc: int) -> None:
        self._engine.reg_write(self._arm.UC_ARM_REG_PC, pc | 1)

    # --- the debugger's side: `Target` ----------------------------------------------------------------------------

    def read_register(self, number: int) -> bytes:
        """See `Target`."""
        register = self._table[number]
        value = int(self._engine.reg_read(register.number))
        if register.name == "pc":
            value &= ~1
        return (value & ((1 << 8 * register.bytes) - 1)).to_bytes(register.bytes, "little")

    def write_register(self, number: int, value: bytes) -> None:
        """See `Target`. Of xPSR only the flags can be set."""
        register = self._table[number]
        if len(value) != register.bytes:
            raise ValueError(number)
        new = int.from_bytes(value, "little")
        if register.name == "pc":
            self._set_pc(new)
            return
        if register.name == "xpsr":
            new = int(self._engine.reg_read(register.number)) & ~_FLAGS | new & _FLAGS
        self._engine.reg_write(register.number, new)

    def read_memory(self, address: int, size: int) -> bytes:
        """See `Target`. Registers of peripherals are not memory: reading one may change it."""
        region = self._board.region_at(address)
        if region is None:
            raise LookupError(address)
        return self._memory.read(address, min(size, region.end - address))

    def write_memory(self, address: int, data: bytes) -> None:
        """See `Target`. RAM only."""
        self._memory.write_ram(address, data)
        self._engine.ctl_flush_tb()  # it may be code

    def set_point(self, kind: str, address: int, size: int, on: bool) -> None:
        """See `Target`."""
        if address + size > 1 << 32:
            raise LookupError(address)
        if kind == "break":
            (self._breakpoints.add if on else self._breakpoints.discard)(address & 0xFFFFFFFE)
            if len(self._breakpoints) > h.MAX_POINTS:
                self._breakpoints.discard(address & 0xFFFFFFFE)
                raise LookupError(address)
            self._control.breakpoint_total = len(self._breakpoints)
            for position, point in enumerate(sorted(self._breakpoints)):
                self._control.breakpoints[position] = point
            return
        key = (kind, address, size)
        if on and key not in self._watched:
            if len(self._watched) == _MOST_WATCHED or size == 0:
                raise LookupError(address)
            self._watched[key] = self._watch(kind, address, size)
        elif not on and key in self._watched:
            self._engine.hook_del(self._watched.pop(key))
        self._engine.ctl_flush_tb()  # code that is translated already does not call hooks that were not there

    def _watch(self, kind: str, address: int, size: int) -> int:
        c = self._const
        kinds = {"write": c.UC_HOOK_MEM_WRITE, "read": c.UC_HOOK_MEM_READ}
        wanted = kinds.get(kind, c.UC_HOOK_MEM_WRITE | c.UC_HOOK_MEM_READ)

        def accessed(_uc: Any, _access: int, at: int, width: int, _value: int, _data: Any) -> None:
            if at < address + size and at + width > address:
                self._hit = self._hit or (kind, address)
                self._control.watch_hit = 1

        # Unicorn compares where an access begins
        first = max(0, address - _LONGEST_ACCESS + 1)
        return int(self._engine.hook_add(wanted, accessed, None, first, address + size - 1))

    def monitor(self, command: str) -> str:
        """See `Target`."""
        state = self._state
        if command == "step":
            step = self._step()
            return "no step" if step is None else f"step {step}"
        if command == "instructions":
            rest = self._rest(self._control.pc) if self._control.inside else 0
            return f"{int(state.instructions) - rest} instructions"
        if command == "cycles":
            return (
                f"{int(state.cycles)} cycles, modelled, to the end of the block" if state.costs else "no timing model"
            )
        return _HELP


def _registers(arm: Any, board: Board) -> list[_Register]:
    """As GDB numbers them: in the order of the description."""
    found = [_Register(f"r{i}", getattr(arm, f"UC_ARM_REG_R{i}"), 4, "") for i in range(13)]
    found.append(_Register("sp", arm.UC_ARM_REG_SP, 4, ' type="data_ptr"'))
    found.append(_Register("lr", arm.UC_ARM_REG_LR, 4, ""))
    found.append(_Register("pc", arm.UC_ARM_REG_PC, 4, ' type="code_ptr"'))
    found.append(_Register("xpsr", arm.UC_ARM_REG_XPSR, 4, ""))
    if board.core.hard_float:
        number = (getattr(arm, f"UC_ARM_REG_D{i}") for i in range(16))
        found += [_Register(f"d{i}", n, 8, ' type="ieee_double"') for i, n in enumerate(number)]
        found.append(_Register("fpscr", arm.UC_ARM_REG_FPSCR, 4, ' type="int" group="float"'))
    return found


def _description(registers: list[_Register]) -> str:
    """The target description: GDB's standard features for M-profile cores."""
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
    lines += ["<architecture>arm</architecture>", '<feature name="org.gnu.gdb.arm.m-profile">']
    for register in registers:
        if register.name == "d0":
            lines += ["</feature>", '<feature name="org.gnu.gdb.arm.vfp">']
        lines.append(f'<reg name="{register.name}" bitsize="{8 * register.bytes}"{register.xml}/>')
    return "\n".join([*lines, "</feature>", "</target>"])


def _memory_map(board: Board) -> str:
    """Flash is told as such: GDB then says why it does not write to it, nor `load`."""
    lines = ['<?xml version="1.0"?>', "<memory-map>"]
    for region in sorted(board.regions, key=lambda r: r.base):
        place = f'start="{region.base:#x}" length="{region.bytes:#x}"'
        if region.kind is RegionKind.RAM:
            lines.append(f'<memory type="ram" {place}/>')
        else:
            block = '<property name="blocksize">0x400</property>'  # GDB insists on one; nothing is ever erased
            lines.append(f'<memory type="flash" {place}>{block}</memory>')
    return "\n".join([*lines, "</memory-map>"])
