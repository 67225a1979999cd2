"""Costs, windows and memory of the operators without weights, against hand calculation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import KernelCall, Memory, OperatorKind, Rows, Window, Work
from tinydeploy.operators.elementwise import pair_walk
from tinydeploy.operators.registry import kind_of
from tinydeploy.operators.transposed import phases
from tinydeploy.tflite import parse_model


def parts(data: bytes) -> tuple[Model, Operator, OperatorKind]:
    model = parse_model(data)
    kind = kind_of(model.operators[0].opcode)
    assert kind is not None
    return model, model.operators[0], kind


def work(data: bytes) -> Work:
    model, op, kind = parts(data)
    return kind.work(model, op)


def memory(data: bytes) -> Memory:
    model, op, kind = parts(data)
    return kind.memory(model, op)


def window(data: bytes) -> Window | None:
    model, op, kind = parts(data)
    return kind.window(model, op)


@pytest.mark.parametrize(
    "data, ops",
    [
        (writer.binary("ADD", (1, 4, 4, 3), (3,)), 48),
        (writer.pool_2d("AVERAGE_POOL_2D", (1, 8, 8, 4), (2, 3), (2, 2)), 4 * 3 * 4 * 6),
        (writer.pool_2d("MAX_POOL_2D", (1, 8, 8, 4), (3, 3), (1, 1), "SAME"), 8 * 8 * 4 * 9),
        (writer.mean((2, 5, 4, 3), (1, 2)), 120),
        (writer.softmax((1, 10)), 50),
        (writer.relu((1, 10)), 10),
        (writer.quantize((1, 10)), 10),
        (writer.reshape(), 0),
        (writer.concatenation(), 0),
        (writer.pad(), 0),
        (writer.transpose(), 0),
        (writer.extreme("MINIMUM", (1, 4, 4, 3), (3,)), 48),
        (writer.resize("RESIZE_BILINEAR", (1, 4, 5, 3), (8, 10)), 3 * 8 * 10 * 3),
        (writer.resize("RESIZE_NEAREST_NEIGHBOR"), 0),
        (writer.slice_of(), 0),
        (writer.strided_slice(), 0),
        (writer.parts("SPLIT", (4,), [(2,), (2,)], axis=0), 0),
    ],
)
def test_operations_without_multiply_accumulates(data: bytes, ops: int) -> None:
    found = work(data)
    assert (found.ops, found.macs, found.params) == (ops, 0, 0)
    assert found.counted


def test_what_may_lie_over_an_input() -> None:
    assert memory(writer.binary("ADD")).in_place == (0, 1)
    assert memory(writer.binary("ADD", (1, 4, 4, 3), (1, 1, 1, 3))).in_place == (0,)
    assert memory(writer.binary("MUL", (1, 1, 1, 3), (1, 4, 4, 3))).in_place == (1,)
    assert memory(writer.binary("SUB", (4, 1), (1, 4))).in_place == ()
    assert memory(writer.binary("ADD", (1, 1, 4), (4,))).in_place == (0, 1)
    assert memory(writer.binary("ADD", constant=True)).in_place == (0,)
    assert memory(writer.relu()).in_place == (0,)
    assert memory(writer.quantize()).in_place == ()  # four bytes become one
    assert memory(writer.quantize(dtype_in="int8", quant_in=writer.IN)).in_place == (0,)
    assert memory(writer.dequantize()).in_place == ()
    assert memory(writer.softmax()).in_place == (0,)
    assert memory(writer.reshape()).alias == 0
    assert memory(writer.transpose()) == Memory()
    assert memory(writer.pool_2d("MAX_POOL_2D")) == Memory()


def test_windows() -> None:
    assert window(writer.pool_2d("MAX_POOL_2D", (1, 7, 8, 1), (3, 2), (2, 1), "SAME")) == Window(3, 2, 2, 1, 1, 0)
    assert window(writer.binary("ADD")) == Window(1, 1)
    assert window(writer.binary("ADD", (1, 1, 4, 3), (1, 4, 4, 3))) is None
    assert window(writer.pad((1, 4, 4, 3), ((0, 0), (2, 1), (3, 0), (0, 0)))) == Window(1, 1, 1, 1, 2, 3)
    assert window(writer.pad((1, 4, 4, 3), ((1, 0), (2, 1), (3, 0), (0, 0)))) is None
    assert window(writer.mean()) is None
    assert window(writer.softmax((1, 10))) is None


@pytest.mark.parametrize(
    "a, b",
    [
        ((2, 3, 4, 5), (2, 3, 4, 5)),
        ((2, 3, 4, 5), (5,)),
        ((2, 3, 4, 5), (2, 1, 1, 5)),
        ((2, 3, 4, 5), (2, 3, 4, 1)),
        ((2, 1, 4, 1), (1, 3, 1, 5)),
        ((3, 4, 5), (2, 3, 4, 5)),
        ((2, 1, 3), (1, 4, 1)),
        ((), (3,)),
        ((1, 2, 1, 3, 1, 4), (5, 1, 2, 1, 3, 1)),
        ((1, 3, 4, 1), (1, 3, 1, 1)),
    ],
)
def test_the_walk_over_two_inputs_is_numpys_broadcasting(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    left, right = (np.arange(np.prod(s, dtype=int)).reshape(s) for s in (a, b))
    out = np.broadcast_shapes(a, b)
    walk = pair_walk(a, b, out)
    row_elements = walk.columns * walk.depth
    rows = int(np.prod(out, dtype=int)) // row_elements
    found = []
    for row in range(rows):
        at, rest = [0, 0], row
        for i, (extent, *steps) in enumerate(walk.outer):
            here = rest if i == len(walk.outer) - 1 else rest % extent
            rest //= extent
            at = [v + here * s for v, s in zip(at, steps, strict=True)]
        for w in range(walk.columns):
            for c in range(walk.depth):
                found.append(
                    tuple(
                        r * side.row_elements + w * side.column_step + c * side.depth_step
                        for r, side in zip(at, (walk.a, walk.b), strict=True)
                    )
                )
    expected = zip(*(np.broadcast_to(t, out).reshape(-1).tolist() for t in (left, right)), strict=True)
    assert found == list(expected)


def test_equal_shapes_are_walked_as_one_run() -> None:
    walk = pair_walk((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5))
    assert (walk.outer, walk.columns, walk.depth) == (((6, 1, 1),), 1, 20)


def test_the_rows_that_a_transposed_convolution_gathers() -> None:
    """k = 3, s = 2, SAME: row y of the output meets the taps ky = y + pad − 2·iy in [0, 3), with pad = 0."""
    model, op, kind = parts(writer.transpose_conv((1, 3, 3, 2), kernel=(3, 3), stride=(2, 2)))
    rows = kind.rows(model, op)
    assert rows is not None
    assert dict(rows.reads) == {2: ((0, 1), (0, 1), (0, 2), (1, 2), (1, 3), (2, 3))}
    # of two images, with a stride above the kernel: some output rows meet nothing
    model, op, kind = parts(writer.transpose_conv((2, 2, 1, 1), 1, (1, 1), (3, 1), "VALID"))
    rows = kind.rows(model, op)
    assert rows is not None
    assert dict(rows.reads) == {
        2: ((0, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2), (2, 3), (3, 3), (3, 3), (3, 4), (4, 4), (4, 4))
    }


def test_the_weights_of_a_phase_are_a_convolution_of_their_own() -> None:
    weights = np.arange(12, dtype=np.int8).reshape(1, 3, 4, 1)  # row ky, column kx: 4·ky + kx
    found = [part[0, :, :, 0].tolist() for part in phases(weights, 2, 3)]
    assert found == [[[11, 8], [3, 0]], [[9], [1]], [[10], [2]], [[7, 4]], [[5]], [[6]]]


def test_the_rows_that_resizing_reads() -> None:
    model, op, kind = parts(writer.resize("RESIZE_BILINEAR", (1, 2, 2, 1), (4, 4), half_pixel_centers=True))
    rows = kind.rows(model, op)  # places −1/4, 1/4, 3/4, 5/4
    assert rows is not None and dict(rows.reads) == {0: ((0, 1), (0, 2), (0, 2), (1, 2))}
    model, op, kind = parts(writer.resize("RESIZE_NEAREST_NEIGHBOR", (2, 3, 2, 1), (2, 2)))
    rows = kind.rows(model, op)  # places 0, 3/2
    assert rows is not None and dict(rows.reads) == {0: ((0, 1), (1, 2), (3, 4), (4, 5))}


@pytest.mark.parametrize(
    "data, reads",
    [
        # columns and channels: row by row
        (writer.slice_of((1, 3, 4, 5), (0, 1, 2, 3), (1, 2, 1, 2)), ((1, 2), (2, 3))),
        (
            writer.strided_slice((1, 5, 2, 1), (0,) * 4, (1, 5, 2, 1), (1, 2, 1, 1), (1, 3, 2, 1)),
            ((0, 1), (2, 3), (4, 5)),
        ),
        # backwards: all rows are there from the start
        (writer.strided_slice((2, 2), (1, 0), (-9, 2), (-1, 1), (2, 2)), ((0, 2), (0, 2))),
        # one output row is made of several input rows
        (writer.transpose((1, 2, 3, 4), (0, 2, 1, 3)), ((0, 2), (0, 2), (0, 2))),
        # columns and channels change places inside each row
        (writer.transpose((1, 2, 3, 4), (0, 1, 3, 2)), ((0, 1), (1, 2))),
        # the same rows for every part
        (writer.parts("SPLIT", (1, 2, 3, 4), [(1, 2, 3, 2)] * 2, axis=3), ((0, 1), (1, 2))),
        # parts one behind the other
        (writer.parts("SPLIT", (1, 2, 3, 4), [(1, 1, 3, 4)] * 2, axis=1), None),
    ],
)
def test_the_rows_that_a_slice_is_made_of(data: bytes, reads: object) -> None:
    model, op, kind = parts(data)
    rows = kind.rows(model, op)
    assert (None if rows is None else next(iter(rows.reads.values()))) == reads
    across = data == writer.transpose((1, 2, 3, 4), (0, 2, 1, 3))
    assert rows is None or bool(rows.solid) == across


def test_a_split_of_channels_is_a_window_of_one() -> None:
    assert window(writer.parts("SPLIT", (1, 2, 3, 4), [(1, 2, 3, 2)] * 2, axis=3)) == Window(1, 1)
    assert window(writer.parts("SPLIT", (1, 2, 4, 3), [(1, 2, 2, 3)] * 2, axis=2)) is None


def adding(first_rows: int) -> dict[int, tuple[tuple[int, int], ...]]:
    """One input row in each step."""
    return {0: tuple((r, r + 1) for r in range(first_rows))}


@pytest.mark.parametrize(
    "data, rows, accumulator_bytes",
    [
        (writer.mean((1, 5, 4, 3)), 5, 4 * 3),
        (writer.mean((1, 5, 4, 3), (1, 2), True), 5, 4 * 3),
        (writer.mean((1, 5, 4, 3), (2, 1), opcode="REDUCE_MAX", quant_out=writer.IN), 5, 3),
        (writer.mean((1, 6, 3), (1,)), 6, 4 * 3),
        (writer.mean((6, 3), (0,)), 6, 4 * 3),
        (writer.mean((3, 5, 4, 2), (0, 1, 2)), 15, 4 * 2),
        (writer.mean((1, 6, 2, 3), (1,), True), 6, 4 * 2 * 3),
        (writer.mean((1, 5, 4, 3), (1, 2, 3)), 5, 4),
        (writer.pool_2d("AVERAGE_POOL_2D", (1, 25, 5, 64), (25, 5), (25, 5)), 25, 4 * 64),
        # two columns of output; the last row is below the window
        (writer.pool_2d("AVERAGE_POOL_2D", (1, 6, 4, 3), (5, 2), (2, 2)), 5, 4 * 2 * 3),
        # 4 rows of padding, 2 of them above: 4 rows are inside
        (writer.pool_2d("MAX_POOL_2D", (1, 4, 4, 3), (8, 4), (4, 4), "SAME"), 4, 3),
        (writer.pool_2d("MAX_POOL_2D", (1, 2, 4, 3), (2, 2), (2, 2)), 2, 2 * 3),
    ],
)
def test_rows_that_are_added_up(data: bytes, rows: int, accumulator_bytes: int) -> None:
    model, op, kind = parts(data)
    found = kind.rows(model, op)
    assert found == Rows(adding(rows), ((0, 0),) * (rows - 1) + ((0, 1),), accumulator_bytes)
    call = kind.emit_rows(model, op)
    assert isinstance(call, KernelCall) and call.accumulates and (call.rows, call.window_rows) == (rows, 0)


@pytest.mark.parametrize(
    "data, reads",
    [
        # two images; several output rows; rows kept; channels reduced
        (writer.mean((2, 5, 4, 3)), None),
        (writer.mean((1, 5, 4, 3), (1,)), None),
        (writer.mean((1, 5, 4, 3), (2,)), None),
        (writer.mean((1, 5, 4, 3), (1, 3)), None),
        # 4·3 bytes of sums for one row of 4·3, or for none
        (writer.mean((1, 2, 4, 3)), None),
        (writer.mean((1, 1, 4, 3)), None),
        (writer.mean((1, 2, 1, 3), opcode="REDUCE_MAX", quant_out=writer.IN), None),
        (writer.pool_2d("AVERAGE_POOL_2D", (1, 2, 4, 3), (2, 4), (2, 4)), ((0, 2),)),
        (writer.pool_2d("AVERAGE_POOL_2D", (2, 3, 4, 3), (3, 4), (3, 4)), ((0, 3), (3, 6))),
        (writer.pool_2d("AVERAGE_POOL_2D", (1, 6, 4, 3), (3, 4), (3, 4)), ((0, 3), (3, 6))),
        (writer.pool_2d("MAX_POOL_2D", (1, 6, 4, 3), (1, 1), (6, 1)), ((0, 1),)),
    ],
)
def test_rows_that_are_not_added_up(data: bytes, reads: object) -> None:
    """Either there is more than one row of output, or the sums take no less than the rows would."""
    model, op, kind = parts(data)
    rows = kind.rows(model, op)
    assert (None if rows is None else rows.reads[0]) == reads
    assert rows is None or not rows.accumulator_bytes
    assert kind.emit_rows(model, op) == kind.emit(model, op)
