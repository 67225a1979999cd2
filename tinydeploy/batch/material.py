"""`Material`: what a case is made from, read once, so that what is measured is what the cache remembers it by."""

from __future__ import annotations

from dataclasses import dataclass
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


def read_material(case: Case) -> Material:
    """Read the files that `case` names, but for its inputs. Raises `UsageError` and `ModelError` for one that cannot
    be read."""
    path = model_path(case.model)
    data = None if path is None else read_file(path)
    return Material(find_board(case.board), "" if path is None else str(path), data)
