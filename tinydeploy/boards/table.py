"""The table of shipped boards, as Markdown; `python -m tinydeploy.boards.table docs/boards.md` refreshes the page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tinydeploy.boards.board import Board
from tinydeploy.boards.loader import all_boards
from tinydeploy.errors import UsageError
from tinydeploy.units import KIB

BEGIN = "<!-- board table: begin -->"
END = "<!-- board table: end -->"
_COLUMNS = ("board", "also called", "MCU", "core", "MHz", "wait states", "RAM", "flash")


def _size(size: int) -> str:
    """Whole KiB, or whole MiB."""
    return f"{size // (KIB * KIB)} MiB" if size % (KIB * KIB) == 0 else f"{size // KIB} KiB"


def _core(board: Board) -> str:
    extras = [
        *(["DSP"] if board.core.dsp else []),
        *(["MVE"] if board.core.mve else []),
        *([board.core.fpu] if board.core.hard_float else []),
    ]
    return " ".join([board.core.name, *(f"+{e}" for e in extras)])


def _row(board: Board) -> tuple[str, ...]:
    return (
        f"`{board.id}`",
        ", ".join(f"`{a}`" for a in board.aliases),
        board.mcu,
        _core(board),
        f"{board.clock_hz / 1e6:g}",
        "" if board.wait_states is None else str(board.wait_states),
        f"{_size(board.ram.bytes)} ({board.ram.name})",
        _size(board.flash.bytes),
    )


def board_table_markdown(boards: Sequence[Board] | None = None) -> str:
    """One line a board, sorted by id; all shipped boards unless told. Raises `BoardError` when a file is broken."""
    rows = [_row(b) for b in (all_boards() if boards is None else boards)]
    # A `|` would end the cell; nothing else in these strings has a meaning in a Markdown table.
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def refreshed(page: str) -> str:
    """`page` with the text between its two marks replaced by the current table. Raises `UsageError` without marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"the page has no `{BEGIN}` … `{END}`", hint="docs/boards.md has them around its table")
    return f"{before}{BEGIN}\n\n{board_table_markdown()}\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(refreshed(target.read_text(encoding="utf-8")), encoding="utf-8")
