"""The report of `doctor`: a line for each tool, and how to get those that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tinydeploy.operators.base import printable
from tinydeploy.report.document import Block, Column, Document, Line, Provenance, Table, envelope, told

_WORDS = {"works": "works", "missing": "–", "broken": "BROKEN"}


class ToolFacts(Protocol):
    """What the report needs to know of a tool; `tried` is what it did, or why it does not work."""

    @property
    def name(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def tried(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def seconds(self) -> float: ...


def _line(tool: ToolFacts) -> str:
    """What a tool said may be anything."""
    return printable(" ".join(tool.tried.split()), 300)


def tools_document(tools: Sequence[ToolFacts], provenance: Provenance) -> Document:
    """All tools."""
    columns = (
        Column("tool"),
        Column("state"),
        Column("version"),
        Column("what it did"),
        Column("for"),
        Column("s", True),
    )
    rows = tuple(
        (t.name, _WORDS[t.state], t.version, _line(t) if t.state != "missing" else "", t.purpose, f"{t.seconds:.1f}")
        for t in tools
    )
    broken = frozenset(i for i, t in enumerate(tools) if t.state == "broken")
    blocks: list[Block] = [Table("", columns, rows, marked=broken, note="each was tried once, on this machine")]
    blocks += [
        Line(f"{t.name}: {t.remedy}", "bad" if t.state == "broken" else "plain") for t in tools if t.state != "works"
    ]
    blocks.append(told(provenance))
    data = {
        **envelope("doctor", provenance, {"tools.seconds": "measured"}),
        "tools": [
            {
                "name": t.name,
                "state": t.state,
                "version": t.version or None,
                "tried": t.tried,
                "purpose": t.purpose,
                "remedy": t.remedy,
                "seconds": t.seconds,
            }
            for t in tools
        ],
    }
    return Document(tuple(blocks), data)
