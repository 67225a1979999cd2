"""Receptive fields against perturbing inputs, and against published ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.cost import cost_table, network
from tinydeploy.ir import Padding
from tinydeploy.ir.builder import NetworkBuilder

layers = st.tuples(
    st.sampled_from(["conv", "depthwise", "max_pool", "avg_pool"]),
    st.integers(1, 4),  # kernel
    st.integers(1, 3),  # stride
    st.integers(1, 2),  # dilation, of convolutions
)


@given(st.lists(layers, min_size=1, max_size=4))
def test_a_chain_sees_what_perturbing_its_input_changes(chain: list[tuple[str, int, int, int]]) -> None:
    extent = 150
    net = NetworkBuilder("chain")
    x = net.input((1, extent, 1, 1))
    # row i of `sees` marks the inputs that output i depends on, found by pushing single perturbations through
    sees = np.eye(extent, dtype=bool)
    for what, kernel, stride, dilation in chain:
        if what == "conv":
            x = net.conv2d(x, 1, (kernel, 1), stride=(stride, 1), dilation=(dilation, 1))
        elif what == "depthwise":
            x = net.depthwise_conv2d(x, (kernel, 1), stride=(stride, 1), dilation=(dilation, 1))
        else:
            dilation = 1
            x = (net.max_pool if what == "max_pool" else net.avg_pool)(x, (kernel, 1), stride=(stride, 1))
        rows = [[at + tap * dilation for tap in range(kernel)] for at in range(0, len(sees), stride)]
        sees = np.array([sees[taps].any(axis=0) for taps in rows if taps[-1] < len(sees)])
    assert x.shape[1] == len(sees)
    field = cost_table(net.build(x)).layers[-1].receptive_field
    seen = np.flatnonzero(sees[0])
    assert field.rows == seen[-1] - seen[0] + 1
    assert field.columns == 1
    if len(sees) > 1:
        assert field.jump_rows == np.flatnonzero(sees[1])[0] - seen[0]


def test_the_larger_branch_counts() -> None:
    net = NetworkBuilder("branches")
    x = net.input((1, 32, 32, 4))
    wide = net.conv2d(x, 4, (7, 3), padding=Padding.SAME)
    tall = net.conv2d(net.conv2d(x, 4, 3, padding=Padding.SAME), 4, 3, padding=Padding.SAME)
    field = cost_table(net.build(net.add(wide, tall))).totals.receptive_field
    assert (field.rows, field.columns, field.whole) == (7, 5, False)


def test_moving_elements_around_does_not_widen_the_field() -> None:
    net = NetworkBuilder("moves")
    x = net.reshape(net.input((1, 1024)), (1, 32, 32, 1))
    narrow, wide = net.conv2d(x, 2, (3, 1), padding=Padding.SAME), net.conv2d(x, 2, 5, padding=Padding.SAME)
    both = net.pad(net.concat([narrow, wide]), ((0, 0), (1, 1), (1, 1), (0, 0)))
    layers = cost_table(net.build(net.transpose(both, (0, 3, 1, 2)))).layers
    seen = [(layer.receptive_field.rows, layer.receptive_field.columns) for layer in layers]
    assert seen == [(1, 1), (3, 1), (5, 5), (5, 5), (5, 5), (5, 5)]


def test_pooling_everything_sees_the_whole_input() -> None:
    net = NetworkBuilder("whole")
    x = net.conv2d(net.input((1, 32, 20, 4)), 4, 3)
    field = cost_table(net.build(net.linear(net.global_average_pool(x), 2))).totals.receptive_field
    assert (field.rows, field.columns, field.whole) == (32, 20, True)


def test_a_transposed_convolution_steps_back() -> None:
    net = NetworkBuilder("up")
    x = net.conv2d(net.input((1, 32, 32, 1)), 1, 3, stride=2, padding=Padding.SAME)
    x = net.transpose_conv(x, 1, 4, stride=2, padding=Padding.SAME)
    field = cost_table(net.build(x)).totals.receptive_field
    # two neighbours of the small map, which lie 2 apart, each seeing 3
    assert (field.rows, field.jump_rows) == (5, 1)


@pytest.mark.parametrize(
    ("name", "layer", "rows"),
    # Araujo, Norris, Sim, Distill 2019, table of the last feature maps: alexnet_v2 195, vgg_16 212
    [("alexnet", "pool5", 195), ("vgg16", "pool5", 212)],
)
def test_published_receptive_fields(name: str, layer: str, rows: int) -> None:
    found = next(found for found in cost_table(network(name)).layers if found.name == layer)
    assert (found.receptive_field.rows, found.receptive_field.columns) == (rows, rows)
    assert found.receptive_field.jump_rows == 32
