"""Every operator against TensorFlow Lite Micro, bit by bit, on this computer: kernels in C, under sanitizers."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.host_kernels import (
    IN_PLACE,
    RINGS,
    ROWS,
    TURNS,
    WHOLE,
    HostCase,
    assert_agrees,
    random_inputs,
    single_operator,
)
from tests.support.random_models import MAKERS, accumulating, far_scales, quant
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.registry import kinds

COUNT = 48  # models of each opcode


def cases_of(data: bytes, rng: np.random.Generator) -> list[HostCase]:
    """The model in all the ways that its operator allows."""
    model, op, kind = single_operator(data)
    values = random_inputs(data, rng)
    cases = [HostCase(data, values, WHOLE), HostCase(data, values, ROWS)]
    if kind.rows(model, op) is not None:
        cases += [HostCase(data, values, RINGS), HostCase(data, values, TURNS)]
    cases += [HostCase(data, values, IN_PLACE, place) for place in kind.memory(model, op).in_place]
    return cases


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_random_models_give_what_tflm_gives(name: str) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    cases = [case for _ in range(COUNT) for case in cases_of(MAKERS[name](rng), rng)]
    assert_agrees(cases)


@pytest.mark.parametrize(
    "opcode",
    [
        *("ADD", "SUB", "MUL", "MEAN", "SOFTMAX", "CONV_2D"),
        *("LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE"),
    ],
)
def test_scales_far_apart_are_refused_or_wrap_as_in_tflm(opcode: str) -> None:
    rng = np.random.default_rng(zlib.crc32(opcode.encode()))
    cases = []
    for _ in range(40):
        data = far_scales(rng, opcode)
        try:
            single_operator(data)
        except UnsupportedModelError:
            continue
        cases.append(HostCase(data, random_inputs(data, rng)))
    assert len(cases) >= 3
    assert_agrees(cases)


@pytest.mark.parametrize("opcode", ["ADD", "SUB", "MUL"])
def test_all_pairs_of_values(opcode: str) -> None:
    """What differs in the last bit of a multiplier shows in one element of a hundred thousand."""
    rng = np.random.default_rng(zlib.crc32(opcode.encode()))
    cases = []
    for i in range(15):
        first, second = quant(rng, 0.02), quant(rng, 0.02)
        if i % 3 == 0:  # sums of exact halves
            second = (first[0] / 2 ** (i % 2), second[1])
            output = (2 * first[0] * (second[0] if opcode == "MUL" else 1), -3)
            cases.append(_pairs(opcode, first, second, output))
            continue
        scale = np.float32(first[0] * second[0] * 50) if opcode == "MUL" else np.float32(max(first[0], second[0]))
        output = (float(np.float32(scale * rng.uniform(0.7, 2.5))), quant(rng)[1])
        cases.append(_pairs(opcode, first, second, output))
    assert_agrees(cases)


def _pairs(opcode: str, *quants: writer.Quant) -> HostCase:
    x = np.arange(-128, 128, dtype=np.int8)
    data = writer.binary(opcode, (256, 1), (1, 256), quants=(quants[0], quants[1], quants[2]))
    return HostCase(data, (x.reshape(256, 1), x.reshape(1, 256)))


@pytest.mark.parametrize("shape, axes", [((1, 2, 3, 4, 7), (3,)), ((2, 2, 5, 3, 6), (3,)), ((2, 3, 4, 5, 6), (1, 2))])
def test_means_whose_rows_hold_several_runs(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    data = writer.mean(shape, axes)
    assert_agrees([HostCase(data, random_inputs(data, rng), mode) for mode in (WHOLE, ROWS)])


@pytest.mark.parametrize("opcode", ["MEAN", "REDUCE_MAX", "AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_rows_are_added_up_as_they_come(opcode: str) -> None:
    """The accumulators begin as rubbish, and each input row is gone when the next one comes."""
    rng = np.random.default_rng(zlib.crc32(opcode.encode()))
    cases = []
    for _ in range(40):
        data = accumulating(rng, opcode)
        model, op, kind = single_operator(data)
        rows = kind.rows(model, op)
        if rows is not None and rows.accumulator_bytes:
            assert set(rows.writes[:-1]) <= {(0, 0)} and rows.writes[-1] == (0, 1)
            cases += cases_of(data, rng)
    assert len(cases) > 80
    assert_agrees(cases)


@pytest.mark.parametrize("bias", [True, False])
def test_all_products_of_a_weight_and_a_value(bias: bool) -> None:
    """FULLY_CONNECTED with one input: every accumulator that int8 can give, with scales that make exact halves."""
    rng = np.random.default_rng(17)
    weights, x = np.arange(-127, 128).reshape(255, 1), np.arange(-128, 128, dtype=np.int8).reshape(256, 1)
    cases = []
    for _ in range(10):
        source, scale = quant(rng), quant(rng)[0]
        output = float(np.float32(source[0] * scale * rng.choice([50, 64, 96, 100, 200])))
        g = writer.GraphBuilder()
        tensors = [
            g.tensor("x", (256, 1), scale=source[0], zero_point=source[1]),
            g.tensor("w", (255, 1), scale=scale, data=weights),
        ]
        if bias:
            bias_scale = float(np.float32(source[0]) * np.float32(scale))
            tensors.append(g.tensor("b", (255,), "int32", scale=bias_scale, data=np.zeros(255)))
        y = g.tensor("y", (256, 255), scale=output, zero_point=quant(rng)[1])
        g.op("FULLY_CONNECTED", tensors, [y], version=4)
        cases.append(HostCase(g.build(tensors[:1], [y]), (x,)))
    assert_agrees(cases)


@pytest.mark.parametrize("opcode", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_long_axes_are_resized_with_the_reference_s_rounding(opcode: str) -> None:
    """Places far from 0, where a scale that is rounded otherwise is an element off."""
    rng = np.random.default_rng(zlib.crc32(opcode.encode()))
    cases = []
    for i in range(24):
        rows, size = int(rng.integers(2, 500)), (int(rng.integers(1, 700)), 1)
        fields = ({"align_corners": True}, {"half_pixel_centers": True}, {})[i % 3]
        data = writer.resize(opcode, (1, rows, 1, 1), size, **fields)
        try:
            single_operator(data)
        except UnsupportedModelError:
            continue  # the reference reads behind its input
        cases.append(HostCase(data, random_inputs(data, rng), ROWS))
    assert len(cases) >= 16
    assert_agrees(cases)


def test_no_opcode_is_left_out() -> None:
    tested = {single_operator(make(np.random.default_rng(1)))[1].opcode for make in MAKERS.values()}
    assert tested == {kind.opcode for kind in kinds() if kind.runs}
