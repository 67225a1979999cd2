"""Renders a document for a terminal: aligned tables that never shorten a number, colour only where there is a terminal.

Cells are plain text to rich, never markup, so nothing in a model's names can act.
"""

from __future__ import annotations

import io

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from tinydeploy.report.document import Document, Facts, Line, Picture, Table

_TONES = {"good": "bold green", "bad": "bold red", "title": "bold", "note": "dim", "plain": ""}
_LEAST_TEXT = 18  # characters that a column of text keeps on a narrow terminal; the rest is folded
_PIPED_WIDTH = 1 << 12
_FILLS = ("cyan", "yellow", "green", "magenta", "bright_blue", "bright_red", "white", "bright_green")  # of pictures
_GAP = 3  # between columns


def render(document: Document, *, width: int | None = None, colour: bool = False) -> str:
    """The text, with a final newline.

    width: the terminal's; None (a pipe) folds nothing. A terminal too narrow for the numbers gets wider
    lines. colour: whether to write ANSI sequences.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width or _PIPED_WIDTH, 40),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    for position, block in enumerate(document.blocks):
        if position and not (isinstance(block, Line) and isinstance(document.blocks[position - 1], Line)):
            console.print()
        if isinstance(block, Line):
            console.print(Text(block.text, style=_TONES[block.tone] if colour else ""), soft_wrap=width is None)
        elif isinstance(block, Facts):
            _print_table(console, _facts(block, colour), block.title, ())
        elif isinstance(block, Picture):
            _print_picture(console, block, colour)
        else:
            _print_table(console, _table(block, colour), block.title, _widths(block))
            if block.note:
                console.print(Text(block.note, style="dim" if colour else ""), soft_wrap=width is None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _print_table(console: Console, table: RichTable, title: str, widths: tuple[int, ...]) -> None:
    if title:
        console.print(Text(title, style="bold"))
    usual = console.width
    console.width = max(usual, sum(widths) + _GAP * len(widths))
    console.print(table, crop=False)
    console.width = usual


def _print_picture(console: Console, block: Picture, colour: bool) -> None:
    """A terminal that is too narrow cuts it: folded, it would show nothing."""
    console.print(Text(block.title, style="bold"))
    for line in block.lines:
        text = Text(no_wrap=True, overflow="crop")
        for characters, number in line:
            text.append(characters, f"black on {_FILLS[(number - 1) % len(_FILLS)]}" if colour and number else "")
        console.print(text, crop=True)
    if block.note:
        console.print(Text(block.note, style="dim" if colour else ""))


def _widths(block: Table) -> tuple[int, ...]:
    """The least width of each column: numbers whole, text as far as it need be."""
    found = []
    for position, column in enumerate(block.columns):
        longest = max((cell_len(row[position]) for row in block.rows), default=0)
        longest = max(longest, cell_len(column.title))
        found.append(longest if column.number else min(longest, _LEAST_TEXT))
    return tuple(found)


def _table(block: Table, colour: bool) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, least in zip(block.columns, _widths(block), strict=True):
        table.add_column(
            Text(column.title),
            justify="right" if column.number else "left",
            no_wrap=column.number,
            overflow="fold",
            min_width=least,
        )
    for number, row in enumerate(block.rows):
        table.add_row(*(Text(cell) for cell in row), style="bold yellow" if colour and number in block.marked else None)
    return table


def _facts(block: Facts, colour: bool) -> RichTable:
    table = RichTable(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in block.pairs:
        table.add_row(Text(label, style="bold" if colour else ""), Text(value))
    return table
