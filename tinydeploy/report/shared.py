"""The reports of `plan` and `build` for several models in one arena."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinydeploy.boards import Board
from tinydeploy.operators.base import printable
from tinydeploy.plan.fit import Part, why_not
from tinydeploy.plan.types import Memory, SharedArena, Tenant
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
from tinydeploy.report.plans import Planned, caveat_lines, memory_fact, plan_data, plan_kinds
from tinydeploy.units import kib


@dataclass(frozen=True)
class PlannedTogether:
    """Several models planned for one arena of one board, in the order of `arena.tenants`; `names` are C prefixes.

    Each member's own fit speaks of a board that it has for itself, with its state where it lies in this arena.
    """

    members: tuple[Planned, ...]
    names: tuple[str, ...]
    arena: SharedArena
    sram: Memory
    flash: Memory
    sram_parts: tuple[Part, ...]
    flash_parts: tuple[Part, ...]

    @property
    def board(self) -> Board:
        """Of all of them."""
        return self.members[0].board

    def why_not(self) -> str:
        """One line that says by how many bytes they do not fit; empty when they do."""
        return why_not((self.sram, self.sram_parts), (self.flash, self.flash_parts))

    @property
    def apart_bytes(self) -> int:
        """What arenas of their own would take together."""
        return sum(tenant.working_bytes + tenant.state_bytes for tenant in self.arena.tenants)

    def decides(self, part: str) -> str:
        """The name of the (first) model that makes `shared` or `stack` as large as it is."""
        sizes = [
            tenant.working_bytes if part == "shared" else _bytes(member.fit.sram_parts, part)
            for member, tenant in zip(self.members, self.arena.tenants, strict=True)
        ]
        return self.names[sizes.index(max(sizes))]


@dataclass(frozen=True)
class BuiltFacts:
    """Built libraries. Bytes are read from the image; `files` are relative to `folder`; `weights_bytes` by name."""

    folder: str
    files: tuple[str, ...]
    elf: str
    toolchain: str
    weights_bytes: Mapping[str, int]
    code_bytes: int
    static_bytes: int


def shared_plan_document(planned: PlannedTogether, provenance: Provenance) -> Document:
    """The report of `plan`."""
    data = {**envelope("plan", provenance, together_kinds(planned)), **together_data(planned)}
    return Document((*_blocks(planned), told(provenance)), data)


def shared_build_document(planned: PlannedTogether, built: BuiltFacts, provenance: Provenance) -> Document:
    """The report of `build`."""
    weights = sum(built.weights_bytes.values())
    data = {
        **envelope("build", provenance, {**together_kinds(planned), "build": "computed"}),
        **together_data(planned),
        "build": {
            "names": list(planned.names),
            "folder": built.folder,
            "files": list(built.files),
            "elf": built.elf,
            "toolchain": built.toolchain,
            "static_bytes": built.static_bytes,
            "flash_bytes": {"weights": weights, "code": built.code_bytes},
            "weights_bytes": dict(built.weights_bytes),
        },
    }
    flash, arena = weights + built.code_bytes, planned.arena.arena_bytes
    files = f"{len(built.files)} files, C prefixes {', '.join(planned.names)}"
    pairs = (
        ("libraries", f"{printable(built.folder, 300)}: {files}"),
        ("image", f"{printable(built.elf, 300)}, by {printable(built.toolchain)}"),
        (
            "flash",
            (
                f"weights {number(weights)} B + code {number(built.code_bytes)} B, "
                f"{percent(flash, planned.flash.capacity_bytes)} of {number(planned.flash.capacity_bytes)} B"
            ),
        ),
        ("SRAM", f"arena {number(arena)} B + static {number(built.static_bytes)} B + stack"),
    )
    title = Line(f"{_models(planned)} for {planned.board.name}: built", "title")
    return Document((title, Facts("", pairs), _table(planned), told(provenance)), data)


def together_kinds(planned: PlannedTogether) -> dict[str, str]:
    """Of what kind each number is, by its path in the JSON."""
    kinds = {"sram.total_bytes": planned.sram.kind, "flash.total_bytes": planned.flash.kind}
    kinds |= {f"sram.{part.name}_bytes": part.kind for part in planned.sram_parts}
    kinds |= {f"flash.{part.name}_bytes": part.kind for part in planned.flash_parts}
    kinds |= {"sram.arena_bytes": "computed", "sram.apart_bytes": "computed"}
    for position, member in enumerate(planned.members):
        kinds |= {f"models.{position}.{path}": kind for path, kind in plan_kinds(member).items()}
    return kinds


def together_data(planned: PlannedTogether) -> dict[str, Any]:
    """The JSON of a plan for several models, without the envelope."""
    board, arena = planned.board, planned.arena
    return {
        "board": board.id,
        "target": {"name": board.name, "mcu": board.mcu, "core": board.core.name, "clock_hz": board.clock_hz},
        "fits": not planned.why_not(),
        "why_not": planned.why_not(),
        "sram": {
            "arena_bytes": arena.arena_bytes,
            "alignment": arena.alignment,
            **{f"{part.name}_bytes": part.bytes for part in planned.sram_parts},
            "apart_bytes": planned.apart_bytes,
            "decided_by": {"shared": planned.decides("shared"), "stack": planned.decides("stack")},
            "total_bytes": planned.sram.used_bytes,
            "capacity_bytes": planned.sram.capacity_bytes,
            "over_bytes": planned.sram.over_bytes,
        },
        "flash": {
            **{f"{part.name}_bytes": part.bytes for part in planned.flash_parts},
            "total_bytes": planned.flash.used_bytes,
            "capacity_bytes": planned.flash.capacity_bytes,
            "over_bytes": planned.flash.over_bytes,
        },
        "models": [
            {
                "library": name,
                "place": {
                    "working_bytes": tenant.working_bytes,
                    "state_offset": tenant.state_first,
                    "state_bytes": tenant.state_bytes,
                    "survives": [member.model.tensor(t).name for t in tenant.survives],
                },
                **plan_data(member),
            }
            for name, member, tenant in _each(planned)
        ],
    }


def _blocks(planned: PlannedTogether) -> tuple[Block, ...]:
    board, arena = planned.board, planned.arena
    where = f"{board.name} ({board.core.name}, {board.clock_hz / 1e6:g} MHz)"
    if planned.why_not():
        answer = Line(f"does not fit: {planned.why_not()}", "bad")
    else:
        free = f"{kib(planned.sram.capacity_bytes - planned.sram.used_bytes)} SRAM and "
        free += f"{kib(planned.flash.capacity_bytes - planned.flash.used_bytes)} flash stay free"
        answer = Line(f"fits: {free}", "good")
    state = arena.arena_bytes - arena.shared_bytes
    facts = (
        ("SRAM", memory_fact(planned.sram.used_bytes, planned.sram.capacity_bytes, planned.sram_parts)),
        ("flash", memory_fact(planned.flash.used_bytes, planned.flash.capacity_bytes, planned.flash_parts)),
        (
            "arena",
            (
                f"{number(arena.shared_bytes)} B shared + {number(state)} B state = {number(arena.arena_bytes)} B; "
                f"in arenas of their own {number(planned.apart_bytes)} B"
            ),
        ),
        ("decided by", f"{planned.decides('shared')} (arena), {planned.decides('stack')} (stack)"),
    )
    warnings = [line for member in planned.members for line in caveat_lines(member)]
    survivors = [
        f"{printable(member.model.tensor(t).name, 60)} of {name}"
        for name, member, tenant in _each(planned)
        for t in tenant.survives
    ]
    rule = "never two at once; another model's run leaves nothing as it was" + (
        f" but {', '.join(survivors)}" if survivors else ""
    )
    title = Line(f"{_models(planned)} in one arena on {where}", "title")
    return (title, answer, *warnings, Facts("", facts), _table(planned), Line(rule))


def _table(planned: PlannedTogether) -> Table:
    columns = (
        Column("model"),
        Column("C prefix"),
        Column("works in B", True),
        Column("state B", True),
        Column("state at", True),
        Column("stack B", True),
        Column("weights B", True),
        Column("peak at"),
    )
    rows = []
    for name, member, tenant in _each(planned):
        blame = member.fit.blame
        rows.append(
            (
                printable(member.model.path or member.model.name),
                name,
                number(tenant.working_bytes),
                number(tenant.state_bytes),
                number(tenant.state_first) if tenant.survives else "–",
                number(_bytes(member.fit.sram_parts, "stack")),
                number(_bytes(member.fit.flash_parts, "weights")),
                str(member.model.operators[blame.operator]),
            )
        )
    largest = max(tenant.working_bytes for tenant in planned.arena.tenants)
    marked = frozenset(i for i, t in enumerate(planned.arena.tenants) if t.working_bytes == largest)
    return Table("", columns, tuple(rows), marked, "computed from the models and their plans; stack estimated")


def _each(planned: PlannedTogether) -> list[tuple[str, Planned, Tenant]]:
    return list(zip(planned.names, planned.members, planned.arena.tenants, strict=True))


def _models(planned: PlannedTogether) -> str:
    return " + ".join(printable(member.model.path or member.model.name) for member in planned.members)


def _bytes(parts: tuple[Part, ...], name: str) -> int:
    return next(part.bytes for part in parts if part.name == name)
