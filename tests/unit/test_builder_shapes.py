"""Shape rules against hand calculation, a count of window positions, and TensorFlow's documented examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.ir import Padding
from tinydeploy.ir.shapes import (
    broadcast_shape,
    concatenation_shape,
    transpose_conv_output,
    window_output,
    window_padding,
)

small = st.integers(1, 7)


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "padding", "explicit", "out"),
    [
        (224, 11, 4, Padding.EXPLICIT, (2, 2), 55),  # AlexNet's first layer
        (227, 11, 4, Padding.VALID, (0, 0), 55),
        (55, 3, 2, Padding.VALID, (0, 0), 27),
        (224, 7, 2, Padding.EXPLICIT, (3, 3), 112),  # ResNet's first layer
        (49, 10, 2, Padding.SAME, (0, 0), 25),  # keyword spotting, rows
        (10, 4, 2, Padding.SAME, (0, 0), 5),
        (5, 5, 3, Padding.VALID, (0, 0), 1),
    ],
)
def test_known_extents(
    extent: int, kernel: int, stride: int, padding: Padding, explicit: tuple[int, int], out: int
) -> None:
    assert window_output(extent, kernel, stride, 1, padding, explicit) == out


@given(st.integers(1, 40), small, small, st.integers(1, 4), st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_an_extent_is_the_number_of_window_positions(
    extent: int, kernel: int, stride: int, dilation: int, explicit: tuple[int, int]
) -> None:
    line = list(range(-explicit[0], extent + explicit[1]))
    taps = [tap * dilation for tap in range(kernel)]
    positions = sum(1 for at in range(0, len(line), stride) if at + taps[-1] < len(line))
    if positions == 0:
        with pytest.raises(ValueError, match="does not fit"):
            window_output(extent, kernel, stride, dilation, Padding.EXPLICIT, explicit)
    else:
        assert window_output(extent, kernel, stride, dilation, Padding.EXPLICIT, explicit) == positions
        if explicit == (0, 0):
            assert window_output(extent, kernel, stride, dilation, Padding.VALID) == positions


@given(st.integers(1, 40), small, small, st.integers(1, 4))
def test_same_pads_just_enough_and_the_odd_element_after(extent: int, kernel: int, stride: int, dilation: int) -> None:
    out = window_output(extent, kernel, stride, dilation, Padding.SAME)
    assert (out - 1) * stride < extent <= out * stride
    before, after = window_padding(extent, out, kernel, stride, dilation, Padding.SAME)
    assert 0 <= after - before <= 1
    last = (out - 1) * stride - before + (kernel - 1) * dilation  # the last input that a window touches
    assert last <= extent - 1 + after
    if before + after:
        assert last == extent - 1 + after  # not one element of padding too many


def test_padding_by_hand() -> None:
    assert window_padding(224, 112, 3, 2, 1, Padding.SAME) == (0, 1)
    assert window_padding(49, 25, 10, 2, 1, Padding.SAME) == (4, 5)
    assert window_padding(10, 10, 3, 1, 2, Padding.SAME) == (2, 2)
    assert window_padding(10, 8, 3, 1, 1, Padding.VALID) == (0, 0)
    assert window_padding(10, 9, 3, 1, 1, Padding.EXPLICIT, (1, 0)) == (1, 0)


@given(st.integers(1, 20), small, small, st.integers(1, 3))
def test_a_transposed_convolution_leads_back(extent: int, kernel: int, stride: int, dilation: int) -> None:
    valid = transpose_conv_output(extent, kernel, stride, dilation, Padding.VALID)
    assert window_output(valid, kernel, stride, dilation, Padding.VALID) == extent
    same = transpose_conv_output(extent, kernel, stride, dilation, Padding.SAME)
    assert window_output(same, kernel, stride, dilation, Padding.SAME) == extent


@given(st.integers(1, 9), small, small)
def test_a_transposed_convolution_spans_what_it_scatters_to(extent: int, kernel: int, stride: int) -> None:
    touched = {i * stride + tap for i in range(extent) for tap in range(kernel)}
    assert transpose_conv_output(extent, kernel, stride, 1, Padding.EXPLICIT) == max(touched) + 1


def test_transposed_by_hand() -> None:
    assert transpose_conv_output(7, 4, 2, padding=Padding.EXPLICIT, explicit=(1, 1)) == 14
    assert transpose_conv_output(7, 3, 2, padding=Padding.EXPLICIT, explicit=(1, 1), output_padding=1) == 14
    assert transpose_conv_output(7, 3, 2) == 15
    assert transpose_conv_output(7, 2, 3) == 21  # Keras: in · stride where the kernel is the smaller
    with pytest.raises(ValueError, match="output padding"):
        transpose_conv_output(7, 3, 2, padding=Padding.EXPLICIT, output_padding=2)
    with pytest.raises(ValueError, match="leaves nothing"):
        transpose_conv_output(1, 2, 1, padding=Padding.EXPLICIT, explicit=(1, 1))


shapes = st.lists(st.integers(1, 3), max_size=4).map(tuple)


@given(shapes, shapes)
def test_broadcasting_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast_shape(a, b)
    else:
        assert broadcast_shape(a, b) == expected


def test_concatenation() -> None:
    assert concatenation_shape([(1, 4, 4, 8), (1, 4, 4, 24)], -1) == (1, 4, 4, 32)
    assert concatenation_shape([(2, 3), (5, 3), (1, 3)], 0) == (8, 3)
    with pytest.raises(ValueError, match="differ on another axis"):
        concatenation_shape([(1, 4, 4, 8), (1, 4, 5, 8)], 3)
    with pytest.raises(ValueError, match="out of range"):
        concatenation_shape([(1, 2)], 2)
    with pytest.raises(ValueError, match="nothing"):
        concatenation_shape([], 0)


@pytest.mark.parametrize("wrong", [(0, 3, 1, 1), (5, 0, 1, 1), (5, 3, 0, 1), (5, 3, 1, 0)])
def test_nothing_is_below_one(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        window_output(*wrong, Padding.SAME)


def test_negative_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        window_output(5, 3, 1, 1, Padding.EXPLICIT, (-1, 0))
