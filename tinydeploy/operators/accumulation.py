"""Reductions that add rows up as they come."""

from __future__ import annotations

from tinydeploy.ir import Tensor
from tinydeploy.operators.base import Rows, one_by_one, rows_of


def accumulating_rows(source: Tensor, count: int, accumulator_bytes: int) -> Rows | None:
    """The rows of an operator that takes the first `count` rows of its first input in, one in each step, and makes its
    one output row in the last; None where its accumulators take no less than the rows that then need not be kept."""
    if accumulator_bytes >= (count - 1) * rows_of(source)[1]:
        return None
    return Rows({0: one_by_one(count)}, ((0, 0),) * (count - 1) + ((0, 1),), accumulator_bytes)
