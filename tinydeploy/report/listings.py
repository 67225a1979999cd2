"""The reports of `boards`, `ops` and `models`: what there is to choose from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinydeploy.boards import Board, Region
from tinydeploy.ir.catalog import Accuracy, ShippedModel
from tinydeploy.operators.base import OperatorKind
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
from tinydeploy.units import kib


@dataclass(frozen=True)
class ModelFacts:
    """A model or network that is shipped. `kind` is `model` (a .tflite file) or `network` (without weights), `shipped`
    what is known of a model."""

    name: str
    kind: str
    about: str
    bytes: int | None = None
    shipped: ShippedModel | None = None


def boards_document(boards: Sequence[Board], provenance: Provenance) -> Document:
    """All boards, a line each."""
    columns = (
        Column("board"),
        Column("also"),
        Column("MCU"),
        Column("core"),
        Column("MHz", True),
        Column("SRAM", True),
        Column("flash", True),
        Column("name"),
    )
    rows = tuple(
        (
            b.id,
            ", ".join(b.aliases),
            b.mcu,
            b.core.name,
            f"{b.clock_hz / 1e6:g}",
            kib(b.ram.bytes),
            kib(b.flash.bytes),
            b.name,
        )
        for b in boards
    )
    data = {**envelope("boards", provenance, {}), "boards": [board_data(b) for b in boards]}
    table = Table("", columns, rows, note="SRAM: the region for the arena, the stack and static data")
    return Document((table, told(provenance)), data)


def board_document(board: Board, provenance: Provenance) -> Document:
    """One board with all regions, uses and sources."""
    core = board.core
    extras = [name for name, there in (("DSP", core.dsp), ("Helium", core.mve)) if there]
    waits = "unknown" if board.wait_states is None else str(board.wait_states)
    pairs = [
        ("MCU", board.mcu),
        ("core", f"{core.name}, FPU {core.fpu}{''.join(', ' + e for e in extras)}"),
        ("clock", f"{board.clock_hz / 1e6:g} MHz"),
        ("flash wait states", f"{waits} at that clock"),
        ("cache", board.cache),
        ("also known as", ", ".join(board.aliases) or "–"),
    ]
    if board.uart is not None:
        pairs.append(("UART", f"{board.uart.name} at 0x{board.uart.base:08X} ({board.uart.model})"))
    columns = (
        Column("region"),
        Column("kind"),
        Column("base", True),
        Column("bytes", True),
        Column("", True),
        Column("arena"),
        Column("code"),
        Column("DMA"),
        Column("good for"),
    )
    rows = tuple(
        (
            f"{r.name} *" if _main(board, r) else r.name,
            r.kind.value,
            f"0x{r.base:08X}",
            number(r.bytes),
            kib(r.bytes),
            _yes(r.arena),
            _yes(r.code),
            _yes(r.dma),
            r.use,
        )
        for r in board.regions
    )
    marked = frozenset(i for i, r in enumerate(board.regions) if _main(board, r))
    sources = [
        ("core", core.source),
        ("clock", board.clock_source),
        ("wait states", board.wait_states_source),
        *((r.name, r.source) for r in board.regions),
    ]
    if board.uart is not None:
        sources.append(("UART", board.uart.source))
    blocks: list[Block] = [
        Line(f"{board.name} ({board.id})", "title"),
        Facts("", tuple(pairs)),
        Table("", columns, rows, marked, note="*: where programs start, and where stack and static data lie"),
        Facts("sources", tuple(sources)),
        *(Line(note) for note in board.notes),
        told(provenance),
    ]
    return Document(tuple(blocks), {**envelope("boards", provenance, {}), "boards": [board_data(board)]})


def board_data(board: Board) -> dict[str, Any]:
    """A board's JSON."""
    return {
        "id": board.id,
        "name": board.name,
        "aliases": list(board.aliases),
        "mcu": board.mcu,
        "core": {
            "name": board.core.name,
            "fpu": board.core.fpu,
            "dsp": board.core.dsp,
            "mve": board.core.mve,
            "source": board.core.source,
        },
        "clock_hz": board.clock_hz,
        "clock_source": board.clock_source,
        "wait_states": board.wait_states,
        "wait_states_source": board.wait_states_source,
        "cache": board.cache,
        "flash": board.flash.name,
        "ram": board.ram.name,
        "regions": [
            {
                "name": r.name,
                "kind": r.kind.value,
                "base": r.base,
                "bytes": r.bytes,
                "use": r.use,
                "arena": r.arena,
                "code": r.code,
                "dma": r.dma,
                "speed": r.speed,
                "source": r.source,
            }
            for r in board.regions
        ],
        "uart": None
        if board.uart is None
        else {
            "name": board.uart.name,
            "model": board.uart.model,
            "base": board.uart.base,
            "source": board.uart.source,
        },
        "notes": list(board.notes),
    }


def operators_document(kinds: Sequence[OperatorKind], provenance: Provenance) -> Document:
    """All operators that tinydeploy knows, from the registry."""
    entries = [{"opcode": kind.opcode, "runs": kind.runs, "about": _first_line(type(kind).__doc__)} for kind in kinds]
    columns = (Column("opcode"), Column("runs"), Column("what"))
    rows = tuple((str(e["opcode"]), "yes" if e["runs"] else "costs only", str(e["about"])) for e in entries)
    runs = sum(kind.runs for kind in kinds)
    note = f"{runs} operators run, bit-exact in int8; {len(kinds) - runs} more have costs only"
    data = {**envelope("ops", provenance, {}), "operators": entries}
    return Document((Table("", columns, rows, note=note), told(provenance)), data)


def models_document(entries: Sequence[ModelFacts], provenance: Provenance) -> Document:
    """The shipped models and networks."""
    columns = (
        Column("name"),
        Column("kind"),
        Column("bytes", True),
        Column("weights"),
        Column("accuracy"),
        Column("what"),
    )
    rows = tuple(
        (
            e.name,
            e.kind,
            "" if e.bytes is None else number(e.bytes),
            "" if e.shipped is None else _origin(e.shipped.weights),
            "" if e.shipped is None or e.shipped.accuracy is None else _accuracy(e.shipped.accuracy),
            e.about,
        )
        for e in entries
    )
    data = {**envelope("models", provenance, {"models.accuracy": "measured"}), "models": [_model(e) for e in entries]}
    note = (
        "a model can be planned, built and run; a network, which has no weights, has costs; "
        "accuracy: of the int8 model, measured on held-out samples"
    )
    return Document((Table("", columns, rows, note=note), told(provenance)), data)


def _model(entry: ModelFacts) -> dict[str, Any]:
    found: dict[str, Any] = {"name": entry.name, "kind": entry.kind, "bytes": entry.bytes, "about": entry.about}
    model = entry.shipped
    if model is not None:
        found |= {
            "sha256": model.sha256,
            "inputs": list(model.inputs),
            "outputs": list(model.outputs),
            "macs": model.macs,
            "weights": model.weights,
            "licence": model.licence,
            "accuracy": None if model.accuracy is None else asdict(model.accuracy),
        }
    return found


def _origin(weights: str) -> str:
    """What the weights come from, without the particulars."""
    return re.split(r", | \(", weights, maxsplit=1)[0]


def _accuracy(accuracy: Accuracy) -> str:
    return f"{percent(accuracy.int8_correct, accuracy.samples)} ({accuracy.int8_correct} of {accuracy.samples})"


def _main(board: Board, region: Region) -> bool:
    """Whether programs start there, or stack and static data lie there: `board.ram` may span several regions."""
    return any(span.base <= region.base < span.end for span in (board.flash, board.ram))


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
