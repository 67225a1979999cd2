"""A slow simulator of plans: an arena as a list with one entry for each byte, and kernels that touch it in their order.

It takes the rows that operators read from the operators themselves, which the validator does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import ConcatenationAttrs, Model, Operator
from tinydeploy.operators.base import Rows, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan import Plan
from tinydeploy.plan.types import FEED, Step

ONE_BY_ONE = ("ADD", "MUL", "RELU", "LOGISTIC", "QUANTIZE")  # element after element, of those that the tests use


class CorruptedError(Exception):
    """A byte was read that is not the one that was written for it."""


def corruption(model: Model, plan: Plan) -> str | None:
    """What goes wrong when `plan` runs, or None."""
    try:
        _Arena(model, plan).run()
    except CorruptedError as e:
        return str(e)
    return None


@dataclass
class _Arena:
    model: Model
    plan: Plan

    def run(self) -> None:
        model, plan = self.model, self.plan
        self.bytes: list[object] = [None] * plan.arena_bytes
        self.symbols: dict[int, NDArray[np.int64]] = {}  # of each byte of each tensor
        elided = {s.operator for s in plan.problem.steps if s.elided}
        for index in model.inputs:
            self.symbols[index] = self.new(index)
        for op in model.operators:
            for output in op.outputs:
                self.symbols[output] = self.moved(op) if op.index in elided else self.new(output)
        for index in model.inputs:
            if index not in plan.fed:
                self.put_rows(index, 0, rows_of(model.tensor(index))[0])
        for step in plan.problem.steps:
            self.step(step)
        for index in (*model.outputs, *plan.kept):
            self.expect_rows(index, 0, rows_of(model.tensor(index))[0])

    def new(self, index: int) -> NDArray[np.int64]:
        return (index << 32) + np.arange(self.model.tensor(index).bytes, dtype=np.int64)

    def moved(self, op: Operator) -> NDArray[np.int64]:
        parts = [self.symbols[i].reshape(self.model.tensor(i).shape) for i in op.inputs if i in self.symbols]
        if isinstance(op.attrs, ConcatenationAttrs):
            return np.concatenate(parts, op.attrs.axis).reshape(-1)
        assert op.opcode == "RESHAPE"
        return parts[0].reshape(-1)

    # -- bytes

    def at(self, index: int, row: int) -> int:
        place = self.plan.placements[index]
        if place.row_offsets:
            return place.row_offsets[row]
        return place.offset + row % place.ring_rows * rows_of(self.model.tensor(index))[1]

    def put(self, index: int, row: int, byte: int) -> None:
        """Write one byte of a row."""
        self.bytes[self.at(index, row) + byte] = int(
            self.symbols[index][row * rows_of(self.model.tensor(index))[1] + byte]
        )

    def get(self, index: int, row: int, byte: int) -> None:
        """Read one byte of a row."""
        address = self.at(index, row) + byte
        wanted = int(self.symbols[index][row * rows_of(self.model.tensor(index))[1] + byte])
        if self.bytes[address] != wanted:
            raise CorruptedError(f"row {row} of tensor {index}: byte {address} of the arena is {self.bytes[address]}")

    def put_rows(self, index: int, first: int, end: int) -> None:
        for row in range(first, end):
            for byte in range(rows_of(self.model.tensor(index))[1]):
                self.put(index, row, byte)

    def expect_rows(self, index: int, first: int, end: int) -> None:
        for row in range(first, end):
            for byte in range(rows_of(self.model.tensor(index))[1]):
                self.get(index, row, byte)

    # -- kernels

    def step(self, step: Step) -> None:
        if step.operator == FEED:
            assert step.feeds is not None
            self.put_rows(step.feeds, step.first_row, step.end_row)
            return
        op = self.model.operators[step.operator]
        if step.elided:
            return
        if op.index not in self.plan.by_rows:
            self.whole(op)
            return
        kind = kind_of(op.opcode)
        rows = kind.rows(self.model, op) if kind is not None else None
        assert rows is not None
        if rows.accumulator_bytes:
            self.accumulate(op, rows, step)
        elif op.opcode == "CONCATENATION":
            for position in rows.reads:
                for r in range(step.first_row, step.end_row):
                    self.copy_part(op, rows, position, r)
        else:
            for r in range(step.first_row, step.end_row):
                self.row(op, rows, r)

    def whole(self, op: Operator) -> None:
        inputs = [i for i in op.inputs if i in self.symbols]
        output = self.model.output_of(op)
        same = [i for i in inputs if self.model.tensor(i).shape == output.shape]
        if op.opcode in ONE_BY_ONE and len(same) == len(inputs):
            for row in range(rows_of(output)[0]):
                self.one_by_one(op, [(i, row) for i in inputs], row)
            return
        for _ in range(2):  # before and after
            for index in inputs:
                self.expect_rows(index, 0, rows_of(self.model.tensor(index))[0])
            self.put_rows(output.index, 0, rows_of(output)[0])
        self.expect_rows(output.index, 0, rows_of(output)[0])

    def row(self, op: Operator, rows: Rows, r: int) -> None:
        output = op.outputs[0]
        read = [(op.inputs[p], y) for p, spans in rows.reads.items() for y in range(*spans[r])]
        size = rows_of(self.model.output_of(op))[1] // self.model.output_of(op).dtype.bytes
        alike = all(rows_of(self.model.tensor(i))[1] == size * self.model.tensor(i).dtype.bytes for i, _ in read)
        if op.opcode in ONE_BY_ONE and alike:
            self.one_by_one(op, read, r)
            return
        for index, y in read:
            self.expect_rows(index, y, y + 1)
        self.put_rows(output, *rows.writes[r])
        for index, y in read:
            self.expect_rows(index, y, y + 1)

    def one_by_one(self, op: Operator, read: Sequence[tuple[int, int]], row: int) -> None:
        output = self.model.output_of(op)
        size = output.dtype.bytes
        for element in range(rows_of(output)[1] // size):
            for index, y in read:
                width = self.model.tensor(index).dtype.bytes
                for byte in range(element * width, (element + 1) * width):
                    self.get(index, y, byte)
            for byte in range(element * size, (element + 1) * size):
                self.put(output.index, row, byte)

    def copy_part(self, op: Operator, rows: Rows, position: int, r: int) -> None:
        """One input's part of an output row."""
        first, end = rows.reads[position][r]
        source = op.inputs[position]
        for y in range(first, end):
            self.expect_rows(source, y, y + 1)
            self.put_rows(op.outputs[0], r, r + 1)
            self.expect_rows(source, y, y + 1)

    def accumulate(self, op: Operator, rows: Rows, step: Step) -> None:
        start = self.plan.scratch_offsets[op.index]
        sums = range(start, start + rows.accumulator_bytes)
        for r in range(step.first_row, step.end_row):
            for address in sums:
                if r and self.bytes[address] != f"sums of {op}":
                    raise CorruptedError(f"byte {address} of the sums of {op}")
                self.bytes[address] = f"sums of {op}"
            self.row(op, rows, r)
            if any(self.bytes[address] != f"sums of {op}" for address in sums):
                raise CorruptedError(f"{op} writes over its sums")
