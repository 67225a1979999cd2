"""`Material`: what a case is made from, read once, so that what is measured is what the cache remembers it by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from tinydeploy.batch.types import Case
from tinydeploy.boards import Board, find_board
from tinydeploy.catalog import load, model_path
from tinydeploy.ir import Model
from tinydeploy.tflite import parse_model, read_file


@dataclass(frozen=True)
class Material:
    """The bytes of the model's file, with its path, and the board. `data` is None for a network without weights.

    It can be sent to a process, or a machine, that has none of the files.
    """

    board: Board
    path: str = ""
    data: bytes | None = None

    def model(self, case: Case) -> Model:
        """The model. Raises what `parse_model` raises."""
        if self.data is None:
            return load(case.model)
        return parse_model(self.data, name=Path(self.path).stem, path=self.path)

    @cached_property
    def data_sha256(self) -> str:
        """Of the model's file; empty for a network."""
        return "" if self.data is None else sha256(self.data).hexdigest()


class Shelf:
    """Reads what cases name, but for their inputs: each board once, and a model once for all cases in a row with it."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}
        self._latest: tuple[str, str, bytes | None] | None = None

    def material(self, case: Case) -> Material:
        """Raises `UsageError` and `ModelError` for a file that cannot be read. From any thread."""
        board = self._boards.get(case.board)
        if board is None:
            board = self._boards[case.board] = find_board(case.board)
        latest = self._latest
        if latest is None or latest[0] != case.model:
            path = model_path(case.model)
            latest = (case.model, "", None) if path is None else (case.model, str(path), read_file(path))
            self._latest = latest
        return Material(board, latest[1], latest[2])
