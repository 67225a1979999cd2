"""QUANTIZE at its edges: the floats on both sides of every step, infinities, zeros and denormal numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.host_kernels import HostCase, assert_agrees, run_operator_on_host

SCALES = (0.5, 0.1, 1 / 3, 0.0078125, 1e-3, 7.3, 1e-30, 3e-41, 1e30)


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
def test_every_step_is_where_the_reference_has_it(zero_point: int) -> None:
    cases = []
    for scale in SCALES:
        with np.errstate(over="ignore", under="ignore"):
            step = np.float32(scale)
            edges = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)) * step
            values = [edges]
            for towards in (-np.inf, np.inf):
                near = edges
                for _ in range(3):
                    near = np.nextafter(near, np.float32(towards))
                    values.append(near)
        x = np.concatenate([*values, np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)]).astype(np.float32)
        x = x[np.isfinite(x)]
        cases.append(HostCase(writer.quantize(x.shape, quant_out=(float(step), zero_point)), (x,)))
    assert_agrees(cases)


def test_infinities_and_huge_values_saturate() -> None:
    # the reference's result is undefined here
    x = np.array([np.inf, -np.inf, 3e38, -3e38], np.float32)
    (found,) = run_operator_on_host(writer.quantize((4,), quant_out=(0.1, 5)), [x])
    assert found.tolist() == [127, -128, 127, -128]


def test_a_nan_saturates_by_its_sign() -> None:
    x = np.array([0x7FC00000, 0xFFC00000], np.uint32).view(np.float32)
    (found,) = run_operator_on_host(writer.quantize((2,), quant_out=(0.1, 5)), [x])
    assert found.tolist() == [127, -128]


def test_dequantize_is_exact_down_to_denormal_numbers() -> None:
    x = np.arange(-128, 128, dtype=np.int8)
    cases = [
        HostCase(writer.dequantize((256,), quant_in=(scale, zero_point)), (x,))
        for scale in (*SCALES, 1.0000001, 3.4e38)
        for zero_point in (-128, 0, 127)
    ]
    assert_agrees(cases)
