"""What the report of `export` tells of an export for TensorFlow Lite Micro: its arenas, the check, and the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.plan.tflm import OfflinePlan, TflmArena
from tinydeploy.report.document import Block, Column, Line, Table, number, percent
from tinydeploy.units import kib


@dataclass(frozen=True)
class TflmRoom:
    """What TensorFlow Lite Micro's arena and the model's array take of a board, beside which other things lie:
    `memory` names the largest piece of RAM for the arena, of `ram_bytes`."""

    board: str
    memory: str
    arena_bytes: int
    ram_bytes: int
    model_bytes: int
    flash_bytes: int

    def why_not(self) -> str:
        """What is larger than the board's memory already by itself; empty where neither is."""
        over = [
            f"{what} takes {number(used)} B, and {where} has {number(has)}"
            for what, used, where, has in (
                ("the arena", self.arena_bytes, self.memory, self.ram_bytes),
                ("the model", self.model_bytes, "the flash", self.flash_bytes),
            )
            if used > has
        ]
        return "; ".join(over)


@dataclass(frozen=True)
class TflmFacts:
    """The export for TensorFlow Lite Micro. `checked`: the interpreter on this computer that gave the same outputs for
    `samples` samples and took `measured` non-persistent bytes, without the placement `measured_before`; empty where
    that was not done, and `why_not` says why. `room`: on the board, where one was named."""

    plan: OfflinePlan
    checked: str = ""
    samples: int = 0
    measured: int = 0
    measured_before: int = 0
    why_not: str = ""
    room: TflmRoom | None = None


def tflm_data(tflm: TflmFacts) -> dict[str, Any]:
    """The same for JSON."""
    plan = tflm.plan
    return {
        "kernels": plan.kernels,
        "reordered": plan.reordered,
        "optimal": plan.proof.optimal,
        "method": plan.proof.method,
        "lower_bound_bytes": plan.bounds[plan.kernels],
        "arenas": {
            name: {"planned": _arena_data(plan.arenas[name]), "greedy": _arena_data(plan.greedy[name])}
            for name in sorted(plan.arenas)
        },
        "board": None
        if tflm.room is None
        else {
            "arena_bytes": tflm.room.arena_bytes,
            "ram": tflm.room.memory,
            "ram_bytes": tflm.room.ram_bytes,
            "model_bytes": tflm.room.model_bytes,
            "flash_bytes": tflm.room.flash_bytes,
            "why_not": tflm.room.why_not(),
        },
        "checked": {
            "against": tflm.checked,
            "samples": tflm.samples,
            "nonpersistent_bytes": tflm.measured,
            "greedy_nonpersistent_bytes": tflm.measured_before,
        }
        if tflm.checked
        else None,
        "not_checked": tflm.why_not,
    }


def _arena_data(arena: TflmArena) -> dict[str, Any]:
    return {
        "arena_bytes": arena.arena_bytes,
        "nonpersistent_bytes": arena.nonpersistent_bytes,
        "persistent_bytes": arena.persistent_bytes,
        "unknown_operators": list(arena.unknown),
    }


def tflm_blocks(tflm: TflmFacts) -> list[Block]:
    """What the report of `export` shows of it."""
    plan = tflm.plan
    columns = (
        Column("TFLM's arena, bytes"),
        Column("activations, its own planner", True),
        Column("with our placement", True),
        Column("persistent", True),
        Column("to give it", True),
    )
    rows = tuple(
        (
            f"{name} kernels",
            number(plan.greedy[name].nonpersistent_bytes),
            number(arena.nonpersistent_bytes),
            number(arena.persistent_bytes),
            number(arena.arena_bytes),
        )
        for name, arena in sorted(plan.arenas.items())
    )
    bound = plan.bounds[plan.kernels]
    better = "= lower bound, so optimal" if plan.nonpersistent_bytes == bound else f"lower bound {number(bound)} B"
    note = f"computed for 32-bit targets; {plan.kernels} kernels: {better}"
    note += "; operators in another order than the file's" if plan.reordered else ""
    blocks: list[Block] = [*_room_lines(tflm.room), Table("", columns, rows, note=note)]
    blocks += [
        Line(f"not known, so missing in these figures: {', '.join(map(printable, arena.unknown))}", "bad")
        for arena in (plan.arenas[plan.kernels],)
        if arena.unknown
    ]
    if tflm.checked:
        words = f"checked with {printable(tflm.checked)}: outputs of {tflm.samples} inputs identical; activations "
        words += f"{kib(tflm.measured_before)} → {kib(tflm.measured)} ({number(tflm.measured)} B, measured)"
        blocks.append(Line(words, "good"))
    else:
        blocks.append(Line(f"not checked on this computer: {printable(tflm.why_not, 300)}"))
    return blocks


def _room_lines(room: TflmRoom | None) -> list[Block]:
    if room is None:
        return []
    if room.why_not():
        return [Line(f"does not fit {printable(room.board)}: {room.why_not()}", "bad")]
    arena = f"{percent(room.arena_bytes, room.ram_bytes)} of {kib(room.ram_bytes)} {printable(room.memory)}"
    model = f"{percent(room.model_bytes, room.flash_bytes)} of {kib(room.flash_bytes)} flash"
    return [Line(f"on {printable(room.board)} the arena takes {arena}, the model {model}; code and stack come on top")]
