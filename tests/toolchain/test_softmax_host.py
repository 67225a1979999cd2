"""SOFTMAX where its fixed point is strained: long groups, equal values, scales at both ends."""

from __future__ import annotations

import numpy as np

from tests.support import tflite_writer as writer
from tests.support.host_kernels import HostCase, assert_agrees, run_operator_on_host


def test_groups_as_long_as_the_reference_takes() -> None:
    rng = np.random.default_rng(3)
    cases = []
    for depth in (1, 2, 3, 256, 511):
        data = writer.softmax((3, depth), quant_in=(0.05, 3))
        x = np.stack([np.full(depth, 7), rng.integers(-128, 128, depth), np.where(np.arange(depth) == 0, 127, -128)])
        cases.append(HostCase(data, (x.astype(np.int8),)))
    for scale in (1.5e-8, 1e-6, 0.9, 15.9, 16.0, 31.0, 32.0, 1000.0):
        x = rng.integers(-128, 128, (4, 12)).astype(np.int8)
        cases.append(HostCase(writer.softmax((4, 12), quant_in=(scale, 0)), (x,)))
    assert_agrees(cases)


def test_many_short_groups() -> None:
    rng = np.random.default_rng(4)
    cases = []
    for scale in (0.01, 0.03, 0.07, 0.2, 0.5):
        for depth in (2, 3, 5):
            x = rng.integers(-128, 128, (6000, depth)).astype(np.int8)
            cases.append(HostCase(writer.softmax(x.shape, quant_in=(scale, 0)), (x,)))
    assert_agrees(cases)


def test_longer_groups_go_on_where_the_reference_stops() -> None:
    # 4095 equal values of 1/4095 each: less than half of a step of 1/256
    (found,) = run_operator_on_host(writer.softmax((1, 4095), quant_in=(0.1, 0)), [np.zeros((1, 4095), np.int8)])
    assert set(found.reshape(-1).tolist()) == {-128}
