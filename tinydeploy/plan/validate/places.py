"""Where the rows of a tensor lie: the address arithmetic of the runtime, for one placement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinydeploy.ir import Tensor
from tinydeploy.plan.types import Placement


def cut(tensor: Tensor) -> tuple[int, int]:
    """(rows, bytes of a row): rank 4 is N·H rows, everything else has a row for each slice of its last axis."""
    extents = tensor.shape[:2] if len(tensor.shape) == 4 else tensor.shape[:-1]
    rows = 1
    for extent in extents:
        rows *= extent
    return rows, tensor.bytes // rows if rows else 0


@dataclass(frozen=True)
class Place:
    """A tensor's placement, with its rows' size."""

    placement: Placement
    rows: int
    row_bytes: int

    def at(self, row: int) -> int:
        """The address of a row."""
        p = self.placement
        if p.row_offsets:
            return p.row_offsets[row]
        return p.offset + (row if row < p.ring_rows else row % p.ring_rows) * self.row_bytes

    def runs(self, first: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Rows `[first, end)` as (address, first byte, end byte), the bytes counted in the tensor; rows that lie one
        behind the other come together."""
        size = self.row_bytes
        begun, address = first, self.at(first) if first < end else 0
        for row in range(first + 1, end):
            if self.at(row) != address + (row - begun) * size:
                yield address, begun * size, row * size
                begun, address = row, self.at(row)
        if first < end:
            yield address, begun * size, end * size

    @property
    def whole(self) -> bool:
        """Whether all rows lie one behind the other."""
        p = self.placement
        if p.row_offsets:
            return all(at == p.row_offsets[0] + r * self.row_bytes for r, at in enumerate(p.row_offsets))
        return p.ring_rows == self.rows
