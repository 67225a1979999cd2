"""Boards as data: one TOML each in boards/ at the top of the repository, read and checked here."""

from tinydeploy.boards.board import Board, Core, Region, RegionKind, Uart
from tinydeploy.boards.loader import all_boards, find_board, load_board

__all__ = ["Board", "Core", "Region", "RegionKind", "Uart", "all_boards", "find_board", "load_board"]
