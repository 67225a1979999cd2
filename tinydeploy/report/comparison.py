"""What else the arena could be: with whole tensors, under TensorFlow Lite Micro, or with another option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinydeploy.plan.tflm import TflmArena
from tinydeploy.plan.types import Plan
from tinydeploy.report.document import Column, Line, Table, number
from tinydeploy.units import kib


@dataclass(frozen=True)
class WhatIf:
    """The arena with one more option, planned and validated as any other."""

    option: str
    change: str
    arena_bytes: int


@dataclass(frozen=True)
class Comparison:
    """Arenas for the same model. `tflm` is with TensorFlow Lite Micro's reference kernels, `cmsis_nn` with CMSIS-NN."""

    whole_bytes: int
    tflm: TflmArena
    cmsis_nn: TflmArena
    what_ifs: tuple[WhatIf, ...]


def comparison_table(plan: Plan, found: Comparison) -> Table:
    """One column for each way to run the model."""
    columns = (
        Column("SRAM for the model, B"),
        Column("TFLM", True),
        Column("TFLM + CMSIS-NN", True),
        Column("whole tensors", True),
        Column(f"ours, {plan.execution}", True),
    )
    rivals = (found.tflm, found.cmsis_nn)
    rows = (
        (
            "tensors",
            *(number(t.nonpersistent_bytes) for t in rivals),
            number(found.whole_bytes),
            number(plan.arena_bytes),
        ),
        ("interpreter", *(number(t.persistent_bytes) for t in rivals), "0", "0"),
        ("together", *(_told(t) for t in rivals), number(found.whole_bytes), number(plan.arena_bytes)),
        ("against ours", *(_times(n, plan) for n in (*(t.total_bytes for t in rivals), found.whole_bytes)), "1"),
    )
    note = "computed; TFLM's by its own rules for a 32-bit Cortex-M"
    return Table("", columns, rows, frozenset({2}), note)


def _told(arena: TflmArena) -> str:
    return f"{'at least ' if arena.unknown else ''}{number(arena.total_bytes)}"


def _times(bytes_: int, plan: Plan) -> str:
    return f"{bytes_ / plan.arena_bytes:.2f} ×" if plan.arena_bytes else ""


def what_if_lines(plan: Plan, found: Comparison) -> tuple[Line, ...]:
    """A line for each option that would change the arena."""
    return tuple(
        Line(f"what if, {each.option}: {kib(each.arena_bytes)} of arena {each.change}")
        for each in found.what_ifs
        if each.arena_bytes != plan.arena_bytes
    )


def comparison_data(found: Comparison) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "whole_tensors_bytes": found.whole_bytes,
        "tflm": {name: _arena_data(arena) for name, arena in (("reference", found.tflm), ("cmsis_nn", found.cmsis_nn))},
        "what_if": [
            {"option": each.option, "change": each.change, "arena_bytes": each.arena_bytes} for each in found.what_ifs
        ],
    }


def _arena_data(arena: TflmArena) -> dict[str, Any]:
    return {
        "total_bytes": arena.total_bytes,
        "nonpersistent_bytes": arena.nonpersistent_bytes,
        "persistent_bytes": arena.persistent_bytes,
        "scratch_bytes": arena.scratch_bytes,
        "allocate_bytes": arena.arena_bytes,
        "unknown_operators": list(arena.unknown),
    }
