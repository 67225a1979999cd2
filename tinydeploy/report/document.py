"""`Document`: a report before it is rendered. Blocks are for people, `data` is the JSON; both come from one builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tinydeploy.operators.base import printable

_LABEL = 60  # characters of a name
SCHEMA_VERSION = 1  # of all JSON reports; grows only when a key changes its meaning, new keys do not count


@dataclass(frozen=True)
class Column:
    """A table's column. `number`: aligned right and never shortened or wrapped."""

    title: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns. `marked` rows stand out; `note` says of what kind numbers are."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """Labels and values, one pair a line."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Line:
    """A sentence. `tone` is `good`, `bad`, `title`, `note` or `plain`."""

    text: str
    tone: str = "plain"


Run: TypeAlias = tuple[str, int]
"""Characters of one colour: 0 for the usual one, else its number."""


@dataclass(frozen=True)
class Picture:
    """A picture of characters, line by line as runs, which keep their places; `note` says how to read it."""

    title: str
    lines: tuple[tuple[Run, ...], ...]
    note: str = ""


Block: TypeAlias = Table | Facts | Line | Picture


@dataclass(frozen=True)
class Document:
    """A report: blocks for people, `data` for machines."""

    blocks: tuple[Block, ...]
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Provenance:
    """Where a report comes from: enough to get it again. `tools` are names and versions of what was used."""

    tinydeploy: str
    options: Mapping[str, Any]
    tools: Mapping[str, str]


def envelope(command: str, provenance: Provenance, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The keys that every JSON report has. `kinds` says by path of what kind each number is."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "kinds": dict(kinds),
        "provenance": {
            "tinydeploy": provenance.tinydeploy,
            "options": dict(provenance.options),
            "tools": dict(provenance.tools),
        },
    }


def told(provenance: Provenance, *, sha256: str = "") -> Line:
    """The provenance as the last line for people."""
    parts = [f"tinydeploy {provenance.tinydeploy}"]
    if sha256:
        parts.append(f"model sha256 {sha256[:16]}…")
    parts += [f"{name} {version}" for name, version in provenance.tools.items()]
    parts += [
        f"{name}={_option(value)}" for name, value in provenance.options.items() if value not in (None, (), False)
    ]
    return Line(" · ".join(parts), "note")


def shape(extents: Sequence[int]) -> str:
    """A shape for people: 1×25×5×64."""
    return "×".join(str(extent) for extent in extents) or "scalar"


def number(value: int) -> str:
    """An exact integer for people: 2,656,768."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """A share for people."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def bar(value: int, full: int, width: int = 8) -> str:
    """A bar of `width` characters for `value` of `full`; anything above nothing shows at least an eighth."""
    if full <= 0:
        return ""
    eighths = min(width * 8, max(1 if value > 0 else 0, round(8 * width * value / full)))
    blocks = "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
    return blocks.ljust(width)


def _option(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(printable(str(v)) for v in value)
    return printable(str(value))


def layer_label(opcode: str, index: int, name: str) -> str:
    """An operator for people: `CONV_2D #3 'model/conv2d_3/Relu'`; of what the converter fused, the first."""
    first = printable(name.partition(";")[0], _LABEL)
    return f"{printable(opcode, _LABEL)} #{index}" + (f" '{first}'" if first else "")
