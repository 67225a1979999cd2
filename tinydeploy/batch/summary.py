"""The report of `sweep`: for each board how many models fit, which of them need least, and what has no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinydeploy.batch.rows import Row
from tinydeploy.operators.base import printable
from tinydeploy.report.document import Block, Column, Document, Line, Provenance, Table, envelope, number, told

UNANSWERED = ("crashed", "timed-out", "missing-tool")
"""The statuses of cases that are tried again when the same sweep is started once more."""

_KINDS = {
    f"boards.{least}.{figure}": "computed"
    for least in ("smallest_arena", "fewest_macs")
    for figure in ("arena_bytes", "macs")
}
_SHOWN = 5


def sweep_document(rows: Sequence[Row], output: str, known: int, provenance: Provenance) -> Document:
    """The report. `known`: how many of the rows were not done anew."""
    boards = [_board(board, rows) for board in dict.fromkeys(str(row["board"]) for row in rows)]
    unanswered = [row for row in rows if row["status"] in UNANSWERED]
    data = {
        **envelope("sweep", provenance, _KINDS),
        "output": output,
        "rows": len(rows),
        "known": known,
        "boards": boards,
        "unanswered": [{name: row[name] for name in ("model", "board", "status", "message")} for row in unanswered],
    }
    already = f", {number(known)} of them known already" if known else ""
    blocks: list[Block] = [
        Line(f"{printable(output, 300)}: {number(len(rows))} rows{already}", "title"),
        _table(boards),
    ]
    blocks += [Line(_told(row), "bad") for row in unanswered[:_SHOWN]]
    if len(unanswered) > _SHOWN:
        blocks.append(Line(f"… and {number(len(unanswered) - _SHOWN)} more without an answer", "bad"))
    return Document((*blocks, told(provenance)), data)


def _board(board: str, rows: Sequence[Row]) -> dict[str, Any]:
    here = [row for row in rows if row["board"] == board]
    fitting = [row for row in here if row["fits"]]
    return {
        "board": board,
        "rows": len(here),
        "fit": len(fitting),
        "too_large": sum(row["fits"] is False for row in here),
        "refused": sum(row["status"] == "refused" for row in here),
        "unanswered": sum(row["status"] in UNANSWERED for row in here),
        "smallest_arena": _least(fitting, "arena_bytes"),
        "fewest_macs": _least(fitting, "macs"),
    }


def _least(rows: Sequence[Row], name: str) -> dict[str, Any] | None:
    """The first of the rows that need least, with its options."""
    found = min(rows, key=lambda row: row[name], default=None)  # type: ignore[arg-type,return-value]
    return None if found is None else {key: found[key] for key in ("model", "execution", "arena_bytes", "macs")}


def _table(boards: Sequence[dict[str, Any]]) -> Table:
    columns = (
        Column("board"),
        Column("rows", True),
        Column("fit", True),
        Column("too large", True),
        Column("refused", True),
        Column("no answer", True),
        Column("smallest arena", True),
        Column("of"),
        Column("fewest MACs", True),
        Column("of"),
    )
    counts = ("rows", "fit", "too_large", "refused", "unanswered")
    rows = tuple(
        (
            printable(each["board"]),
            *(number(each[name]) for name in counts),
            *_cells(each["smallest_arena"], "arena_bytes"),
            *_cells(each["fewest_macs"], "macs"),
        )
        for each in boards
    )
    marked = frozenset(i for i, each in enumerate(boards) if each["unanswered"])
    return Table("", columns, rows, marked, note="arena in bytes and MACs computed, of what fits")


def _cells(least: dict[str, Any] | None, name: str) -> tuple[str, str]:
    return ("", "") if least is None else (number(least[name]), printable(least["model"]))


def _told(row: Row) -> str:
    return f"{printable(str(row['model']))} on {printable(str(row['board']))} {row['status']}: {row['message'] or ''}"
