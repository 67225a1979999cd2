"""`tinydeploy boards`: which boards there are, or everything about one."""

from __future__ import annotations

import click

from tinydeploy.cli.common import BoardType, emit, format_option, provenance


@click.command("boards", short_help="List the boards, or show one.")
@click.argument("name", metavar="[BOARD]", type=BoardType(), required=False)
@format_option
def command(name: str | None, format_: str) -> None:
    """List the boards, or show one with its memories and where each figure comes from.

    \b
    Example:
      tinydeploy boards stm32f746
    """
    from tinydeploy.boards import all_boards, find_board
    from tinydeploy.report.listings import board_document, boards_document

    if name is None:
        boards = sorted(all_boards(), key=lambda board: board.id)
        emit(boards_document(boards, provenance({})), format_)
    else:
        emit(board_document(find_board(name), provenance({})), format_)
