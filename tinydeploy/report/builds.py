"""The report of `build`: what was written, and what it takes of the board's memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinydeploy.operators.base import printable
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
from tinydeploy.report.plans import Planned, plan_data, plan_kinds

_SHOWN_SYMBOLS = 20


@dataclass(frozen=True)
class BuildFacts:
    """A built library. Bytes are read from the image; `files` are relative to `folder`; `symbols` are in flash."""

    name: str
    folder: str
    files: tuple[str, ...]
    elf: str
    toolchain: str
    weights_bytes: int
    code_bytes: int
    static_bytes: int
    symbols: Mapping[str, int]


def build_document(planned: Planned, built: BuildFacts, provenance: Provenance) -> Document:
    """The report of `build`."""
    fit = planned.fit
    symbols = sorted(built.symbols.items(), key=lambda item: (-item[1], item[0]))
    data: dict[str, Any] = {
        **envelope("build", provenance, {**plan_kinds(planned), "build": "computed"}),
        **plan_data(planned),
        "build": {
            "name": built.name,
            "folder": built.folder,
            "files": list(built.files),
            "elf": built.elf,
            "toolchain": built.toolchain,
            "static_bytes": built.static_bytes,
            "flash_bytes": {"weights": built.weights_bytes, "code": built.code_bytes},
            "symbols": [{"name": name, "bytes": size} for name, size in symbols],
        },
    }
    flash = built.weights_bytes + built.code_bytes
    pairs = (
        ("library", f"{printable(built.folder, 300)}: {len(built.files)} files, C prefix {built.name}"),
        ("image", f"{printable(built.elf, 300)}, by {printable(built.toolchain)}"),
        (
            "flash",
            (
                f"weights {number(built.weights_bytes)} B + code {number(built.code_bytes)} B, "
                f"{percent(flash, fit.flash.capacity_bytes)} of {number(fit.flash.capacity_bytes)} B"
            ),
        ),
        ("SRAM", f"arena {number(planned.plan.arena_bytes)} B + static {number(built.static_bytes)} B + stack"),
    )
    rows = tuple((printable(name), number(size), percent(size, flash)) for name, size in symbols[:_SHOWN_SYMBOLS])
    more = len(symbols) - len(rows)
    note = "read from the image" + (f"; {more} more symbols in --format json" if more > 0 else "")
    columns = (Column("largest in flash"), Column("bytes", True), Column("share", True))
    blocks: list[Block] = [
        Line(f"{printable(planned.model.path or planned.model.name)} for {planned.board.name}: built", "title"),
        Facts("", pairs),
        Table("", columns, rows, note=note),
        told(provenance, sha256=planned.model.sha256),
    ]
    return Document(tuple(blocks), data)
