"""From an address to words: which function, which step, and the one line that a user reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tinydeploy.elf import ElfFile
from tinydeploy.emulate.types import Fault, FaultKind

NO_FUNCTION = "(no symbol)"

# Handlers as CMSIS names them, and as this project's start-up code does. Entering one is a fault: nothing vectors here,
# so firmware gets there only by a branch of its own.
FAULT_HANDLERS = frozenset({"HardFault_Handler", "MemManage_Handler", "BusFault_Handler", "UsageFault_Handler"})


@dataclass(frozen=True)
class Stop:
    """Why a run ended badly. `what` is a clause without the place; `pc` None until known. `mid_block`: the block at
    `pc` was counted whole when it began, and only ran up to `pc`."""

    kind: FaultKind
    what: str
    address: int | None = None
    pc: int | None = None
    mid_block: bool = True

    def at(self, pc: int) -> Stop:
        """The same, with its place."""
        return replace(self, pc=pc)

    def counted(self) -> Stop:
        """The same, where what was counted is what ran."""
        return replace(self, mid_block=False)


class FunctionTable:
    """Functions of an image as the hook wants them: sorted starts, each reaching to the next; gaps have a start too."""

    def __init__(self, elf: ElfFile) -> None:
        self.starts: list[int] = []
        self._names: list[str] = []
        for position, function in enumerate(elf.functions):
            self._add(function.address, function.name)
            end = function.address + function.bytes
            following = elf.functions[position + 1].address if position + 1 < len(elf.functions) else 1 << 32
            if function.bytes and (end + 3) & ~3 < following:
                self._add(end, NO_FUNCTION)
        aliases: dict[int, set[str]] = {}
        for symbol in elf.symbols:
            if symbol.is_function:
                aliases.setdefault(symbol.address, set()).add(symbol.name)
        self.traps = [int(bool(aliases.get(s, set()) & FAULT_HANDLERS)) for s in self.starts]
        self._trap_names = {a: sorted(names & FAULT_HANDLERS) for a, names in aliases.items()}

    def _add(self, start: int, name: str) -> None:
        self.starts.append(start & 0xFFFFFFFF)
        self._names.append(name)

    @property
    def names(self) -> list[str]:
        """By index, as the hook counts; the last is for code without a symbol."""
        return [*self._names, NO_FUNCTION]

    def name_at(self, address: int) -> str | None:
        """The function that holds an address; a fault handler by that name even where it shares its code."""
        named = self._trap_names.get(address)
        if named:
            return named[0]
        index = bisect_right(self.starts, address) - 1
        if index < 0 or self._names[index] == NO_FUNCTION:
            return None
        return self._names[index]

    def totals(self, counts: Sequence[int]) -> dict[str, int]:
        """Instructions by function, most first. Functions of one name (statics) are added up."""
        totals: dict[str, int] = {}
        for name, number in zip(self.names, counts, strict=True):
            if number:
                totals[name] = totals.get(name, 0) + int(number)
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def describe(
    stop: Stop, functions: FunctionTable, step: int | None, registers: Mapping[str, int], last_block: int
) -> Fault:
    """The fault as the user meets it.

    After a jump to nowhere the pc says nothing, so the place is then that of the last block that ran.
    """
    pc = stop.pc or 0
    function = functions.name_at(pc)
    where = f"at pc {pc:#010x}"
    if stop.kind == "unmapped-fetch":
        function = functions.name_at(last_block)
        where = f"from the code at {last_block:#010x}"
    message = f"{stop.what}, {where}"
    if function is not None:
        message += f" in {function}"
    if step is not None:
        message += f", step {step}"
    return Fault(stop.kind, message, pc, stop.address, function, step, {**registers, "pc": pc})
