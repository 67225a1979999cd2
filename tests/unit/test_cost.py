"""Costs by hand calculation, by brute force, and in totals that count shared things once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.cost import cost_table
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import Activation, DType, FullyConnectedAttrs, Model, NoAttrs, Operator, Padding, Tensor
from tinydeploy.ir.builder import NetworkBuilder


def test_each_kind_of_layer_by_hand() -> None:
    net = NetworkBuilder("hand")
    x = net.input((1, 10, 8, 6))
    x = net.conv2d(x, 4, (3, 5), padding=Padding.SAME, name="conv")
    x = net.conv2d(x, 8, 3, stride=2, groups=2, padding=1, name="grouped")
    x = net.depthwise_conv2d(x, 3, dilation=2, padding=Padding.SAME, name="depthwise")
    x = net.transpose_conv(x, 5, 4, stride=2, padding=Padding.SAME, name="up")
    x = net.linear(x, 7, bias=False, name="linear")
    table = cost_table(net.build(x))
    conv, grouped, depthwise, up, linear = table.layers

    assert conv.params == 4 * 6 * 3 * 5
    assert conv.macs == conv.params * 10 * 8
    assert grouped.output_shape == (1, 5, 4, 8)
    assert grouped.params == 8 * 4 * 3 * 3 // 2
    assert grouped.macs == grouped.params * 5 * 4
    assert depthwise.output_shape == (1, 5, 4, 8)
    assert depthwise.params == 8 * 3 * 3
    assert depthwise.macs == depthwise.params * 5 * 4
    assert up.output_shape == (1, 10, 8, 5)
    assert up.params == 5 * 8 * 4 * 4
    assert up.macs == up.params * 5 * 4  # each input element meets each tap of each output channel
    assert linear.params == 7 * 10 * 8 * 5
    assert linear.macs == linear.params

    assert (conv.weight_bytes, conv.bias_bytes, conv.table_bytes) == (360, 16, 0)
    assert (up.weight_bytes, up.bias_bytes, up.table_bytes) == (640, 20, 0)  # the output's shape takes no flash
    assert (linear.weight_bytes, linear.bias_bytes) == (2800, 0)
    assert (grouped.input_elements, grouped.output_elements) == (10 * 8 * 4, 5 * 4 * 8)
    assert conv.bytes_moved == 360 + 16 + 480 + 320
    assert conv.intensity == pytest.approx(2 * 28800 / 1176)
    assert conv.flop == 57600
    assert all(layer.known for layer in table.layers)

    totals = table.totals
    assert totals.params == 360 + 144 + 72 + 640 + 2800
    assert totals.bias_bytes == 4 * (4 + 8 + 8 + 5)
    assert totals.macs == 28800 + 2880 + 1440 + 12800 + 2800
    assert totals.flop == 2 * totals.macs
    assert totals.activations == 480 + 320 + 160 + 160 + 400 + 7
    assert (totals.peak_activations, totals.peak_layer) == (480 + 320, 0)
    assert totals.bytes_moved == sum(layer.bytes_moved for layer in table.layers)
    assert totals.uncounted == ()


@given(
    st.tuples(st.integers(6, 14), st.integers(6, 14)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_convolution_macs_are_a_count_of_multiplications(
    extents: tuple[int, int], per_group: int, groups: int, kernel: int, dilation: int, stride: int, pad: int
) -> None:
    net = NetworkBuilder("brute")
    channels, filters = per_group * groups, 2 * groups
    x = net.input((1, *extents, channels))
    y = net.conv2d(x, filters, kernel, stride=stride, dilation=dilation, groups=groups, padding=pad)
    layer = cost_table(net.build(y)).layers[0]
    products = 0
    for top in range(-pad, extents[0] + pad, stride):
        for left in range(-pad, extents[1] + pad, stride):
            fits = all(
                at + (kernel - 1) * dilation < extent + pad for at, extent in zip((top, left), extents, strict=True)
            )
            products += sum(per_group for _ in range(filters * kernel * kernel)) if fits else 0
    assert layer.macs == products


def test_a_linear_layer_runs_once_for_each_row() -> None:
    net = NetworkBuilder("rows")
    x = net.input((3, 5, 16))
    table = cost_table(net.build(net.linear(x, 4, keep_axes=True)))
    assert table.totals.params == 64
    assert table.totals.macs == 3 * 5 * 64


def test_floats_are_four_bytes() -> None:
    net = NetworkBuilder("floats", dtype=DType.FLOAT32)
    layer = cost_table(net.build(net.linear(net.input((1, 10)), 3))).layers[0]
    assert (layer.params, layer.weight_bytes, layer.bias_bytes) == (30, 120, 12)
    assert (layer.input_bytes, layer.output_bytes) == (40, 12)


def test_reshaping_costs_nothing_and_is_not_another_activation() -> None:
    net = NetworkBuilder("reshape")
    x = net.input((1, 4, 4, 2))
    y = net.flatten(net.relu(net.reshape(x, (1, 2, 8, 2))))
    table = cost_table(net.build(y))
    first, relu, last = table.layers
    assert first.alias
    assert last.alias
    assert not relu.alias
    assert (first.bytes_moved, first.ops, first.table_bytes) == (0, 0, 0)
    assert first.activation_elements == 32
    assert relu.ops == 32
    assert table.totals.activations == 64  # the input and what the relu wrote
    assert table.totals.peak_activations == 64


def test_arithmetic_without_macs_by_hand() -> None:
    net = NetworkBuilder("ops")
    x = net.input((1, 6, 6, 3))
    x = net.max_pool(x, 3, stride=1)
    x = net.avg_pool(x, 2)
    x = net.logistic(net.add(x, net.constant((1, 1, 1, 3), name="offset")))
    x = net.softmax(net.global_average_pool(x))
    table = cost_table(net.build(x))
    by_opcode = {layer.opcode: layer for layer in table.layers}
    assert by_opcode["MAX_POOL_2D"].ops == 4 * 4 * 3 * 9  # a comparison for each window element
    assert by_opcode["AVERAGE_POOL_2D"].ops == 2 * 2 * 3 * 4
    assert by_opcode["ADD"].ops == by_opcode["LOGISTIC"].ops == by_opcode["MEAN"].ops == 12
    assert by_opcode["SOFTMAX"].ops == 5 * 3
    assert by_opcode["ADD"].table_bytes == 3  # a constant operand, not a weight of a MAC
    assert by_opcode["MEAN"].table_bytes == 0  # its axes are known beforehand
    assert table.totals.ops == sum(layer.ops for layer in table.layers)
    assert (table.totals.macs, table.totals.params, table.totals.table_bytes) == (0, 0, 3)
    assert all(layer.counted for layer in table.layers)


def test_one_tensor_on_both_sides_is_one_activation() -> None:
    net = NetworkBuilder("twice")
    x = net.input((1, 10))
    layer = cost_table(net.build(net.add(x, x))).layers[0]
    assert (layer.input_elements, layer.output_elements, layer.ops) == (10, 10, 10)


def _two_linear(weights: tuple[Tensor, Tensor]) -> Model:
    """Two linear layers 4 → 4 in a row with the given weights (tensors 0 and 1, or twice tensor 0)."""
    chain = [Tensor(i, f"x{i}", (1, 4), DType.INT8) for i in (2, 3, 4)]
    ops = tuple(
        Operator(i, "FULLY_CONNECTED", (2 + i, weights[i].index), (3 + i,), FullyConnectedAttrs()) for i in (0, 1)
    )
    spare = replace(weights[1], index=1)
    return Model("shared", (weights[0], spare, *chain), ops, (2,), (4,))


def test_shared_constants_count_once_in_the_totals() -> None:
    data = bytes(range(16))
    one = Tensor(0, "w", (4, 4), DType.INT8, constant=True, data=data)
    same_bytes = replace(one, index=1)
    equal_bytes = replace(one, index=1, data=bytes(bytearray(data)))
    for second, params in ((one, 16), (same_bytes, 16), (equal_bytes, 32)):
        table = cost_table(_two_linear((one, second)))
        assert [layer.params for layer in table.layers] == [16, 16]
        assert table.totals.params == params
        assert table.totals.weight_bytes == params
        assert table.totals.macs == 32
        assert table.model_bytes(4) == params // 2


def test_weights_without_data_are_shared_only_by_index() -> None:
    one = Tensor(0, "w", (4, 4), DType.INT8, constant=True)
    assert cost_table(_two_linear((one, replace(one, index=1)))).totals.params == 32
    assert cost_table(_two_linear((one, one))).totals.params == 16


def test_an_operator_without_rules_is_counted_by_its_tensors_and_flagged() -> None:
    tensors = (
        Tensor(0, "x", (1, 6, 6, 4), DType.FLOAT32),
        Tensor(1, "alpha", (1, 1, 4), DType.FLOAT32, constant=True),
        Tensor(2, "begin", (4,), DType.INT32, constant=True, data=bytes(16)),
        Tensor(3, "y", (1, 6, 6, 4), DType.FLOAT32),
    )
    op = Operator(0, "NOT_AN_OPERATOR_OF_ANY_SCHEMA", (0, 1, 2, -1), (3,), NoAttrs())
    table = cost_table(Model("m", tensors, (op,), (0,), (3,)))
    layer = table.layers[0]
    assert not layer.known
    assert "not counted" in layer.counted
    assert (layer.macs, layer.ops, layer.params) == (0, 0, 4)
    assert (layer.weight_bytes, layer.bias_bytes, layer.table_bytes) == (16, 0, 0)
    assert (layer.input_bytes, layer.output_bytes) == (576, 576)
    assert table.totals.uncounted == (0,)


def test_tensors_that_contradict_their_operator_are_a_model_error() -> None:
    net = NetworkBuilder("broken")
    y = net.conv2d(net.input((1, 5, 5, 2)), 3, 3, activation=Activation.RELU)
    model = net.build(y)
    flat = tuple(replace(t, shape=(75,)) if t.index == y.index else t for t in model.tensors)
    with pytest.raises(UnsupportedModelError, match=r"operator 0 \(CONV_2D\)") as caught:
        cost_table(replace(model, tensors=flat))
    assert caught.value.exit_code == 3


def test_a_network_without_operators() -> None:
    net = NetworkBuilder("identity")
    x = net.input((1, 10))
    table = cost_table(net.build(x))
    assert table.layers == ()
    assert table.totals.activations == 10
    assert table.totals.peak_layer is None
    assert table.totals.intensity == 0


@pytest.mark.parametrize(("bits", "size"), [(32, 60), (8, 15), (4, 8), (1, 2)])
def test_model_size_at_any_width_rounds_up(bits: int, size: int) -> None:
    net = NetworkBuilder("bits")
    assert cost_table(net.build(net.linear(net.input((1, 5)), 3))).model_bytes(bits) == size


def test_a_width_is_at_least_one_bit() -> None:
    net = NetworkBuilder("bits")
    with pytest.raises(ValueError, match="at least one bit"):
        cost_table(net.build(net.input((1, 5)))).model_bytes(0)
