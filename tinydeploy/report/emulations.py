"""The report of `emulate`: what a program of the user's own did on an emulated board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinydeploy.boards import Board
from tinydeploy.operators.base import printable
from tinydeploy.report.cycles import cycles_data, cycles_facts, short_kind
from tinydeploy.report.document import (
    Block,
    Column,
    Document,
    Facts,
    Line,
    Provenance,
    Table,
    envelope,
    number,
    percent,
    told,
)
from tinydeploy.units import count

_SHOWN_FUNCTIONS = 25
_SHOWN_REGISTERS = 8
KINDS = {"instructions": "emulated", "functions": "emulated"}


@dataclass(frozen=True)
class Peripheral:
    """A register that nothing stands behind. `polled`: the firmware waited on it and was let through."""

    address: int
    reads: int
    writes: int
    polled: bool


@dataclass(frozen=True)
class EmulationFacts:
    """A run: exact counts by basic block, by function without what it calls. `ended` says in words how it ended.
    Cycles are modelled, and `cycles_kind` says by what; None where there is no model."""

    elf: str
    sha256: str
    instructions: int
    functions: Mapping[str, int]
    seconds: float
    uart: bytes
    exit_code: int
    ended: str
    fault: Mapping[str, Any] | None = None
    cycles: int | None = None
    cycles_kind: str | None = None
    peripherals: tuple[Peripheral, ...] = ()
    interrupts: tuple[str, ...] = ()


def emulation_document(board: Board, facts: EmulationFacts, provenance: Provenance) -> Document:
    """The report of `emulate`. The UART's bytes are in the data only: people see them as they come."""
    functions = sorted(facts.functions.items(), key=lambda item: (-item[1], item[0]))
    data = {
        **envelope("emulate", provenance, {**KINDS, "cycles": short_kind(facts.cycles_kind)}),
        "elf": {"path": facts.elf, "sha256": facts.sha256},
        "board": board.id,
        "instructions": facts.instructions,
        "cycles": cycles_data(facts.cycles, facts.cycles_kind),
        "seconds_emulating": facts.seconds,
        "exit_code": facts.exit_code,
        "ended": facts.ended,
        "fault": None if facts.fault is None else dict(facts.fault),
        "uart": facts.uart.decode("utf-8", "backslashreplace"),
        "functions": [{"name": name, "instructions": n} for name, n in functions],
        "peripherals": [asdict(peripheral) for peripheral in facts.peripherals],
        "interrupts": list(facts.interrupts),
    }
    speed = facts.instructions / facts.seconds if facts.seconds > 0 else 0.0
    pairs = (
        ("ended", printable(facts.ended, 400)),
        ("instructions", f"{number(facts.instructions)} (emulated, exact by basic block)"),
        *cycles_facts(facts.cycles, facts.cycles_kind, board.clock_hz),
        ("emulating", f"{facts.seconds:.2f} s ({count(speed)} instructions a second)"),
    )
    rows = tuple(
        (printable(name), number(n), percent(n, facts.instructions)) for name, n in functions[:_SHOWN_FUNCTIONS]
    )
    columns = (Column("function"), Column("instructions", True), Column("share", True))
    more = len(functions) - len(rows)
    note = "without what it calls" + (f"; {more} more functions in --format json" if more > 0 else "")
    blocks: list[Block] = [
        Line(f"{printable(facts.elf, 200)} on {board.name} ({board.core.name})", "title"),
        Facts("", pairs),
        *([Table("", columns, rows, note=note)] if rows else []),
        *_made_up(facts),
        told(provenance),
    ]
    return Document(tuple(blocks), data)


def _made_up(facts: EmulationFacts) -> list[Line]:
    """What the run cannot vouch for."""
    told_of: list[Line] = []
    if facts.interrupts:
        names = ", ".join(facts.interrupts[:_SHOWN_REGISTERS])
        told_of.append(Line(f"interrupts enabled, none delivered: {names}"))
    if facts.peripherals:
        polled = [f"{p.address:#010x}" for p in facts.peripherals if p.polled]
        text = f"{len(facts.peripherals)} peripheral registers have no model: what they answer is made up"
        if polled:
            more = f" and {len(polled) - _SHOWN_REGISTERS} more" if len(polled) > _SHOWN_REGISTERS else ""
            text += f"; waits let through at {', '.join(polled[:_SHOWN_REGISTERS])}{more}"
        told_of.append(Line(text))
    return told_of
