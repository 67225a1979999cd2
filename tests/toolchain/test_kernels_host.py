"""Every operator against TensorFlow Lite Micro, bit by bit, on this computer: kernels in C, under sanitizers."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.support.host_kernels import (
    IN_PLACE,
    RINGS,
    ROWS,
    WHOLE,
    HostCase,
    assert_agrees,
    random_inputs,
    single_operator,
)
from tests.support.random_models import MAKERS, far_scales
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.registry import kinds

COUNT = 48  # models of each opcode


def cases_of(data: bytes, rng: np.random.Generator) -> list[HostCase]:
    """The model in all the ways that its operator allows."""
    model, op, kind = single_operator(data)
    values = random_inputs(data, rng)
    cases = [HostCase(data, values, WHOLE), HostCase(data, values, ROWS)]
    if kind.window(model, op) is not None:
        cases.append(HostCase(data, values, RINGS))
    cases += [HostCase(data, values, IN_PLACE, place) for place in kind.memory(model, op).in_place]
    return cases


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_random_models_give_what_tflm_gives(name: str) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    cases = [case for _ in range(COUNT) for case in cases_of(MAKERS[name](rng), rng)]
    assert_agrees(cases)


@pytest.mark.parametrize(
    "opcode",
    ["ADD", "SUB", "MUL", "MEAN", "SOFTMAX", "CONV_2D", "LOGISTIC", "TANH", "RELU", "RELU6", "HARD_SWISH", "QUANTIZE"],
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


def test_no_opcode_is_left_out() -> None:
    tested = {single_operator(make(np.random.default_rng(1)))[1].opcode for make in MAKERS.values()}
    assert tested == {kind.opcode for kind in kinds() if kind.runs}
