"""The network builder: layouts, shapes, types, and words for what cannot be."""

from __future__ import annotations

from struct import unpack

import pytest

from tinydeploy.errors import UsageError
from tinydeploy.ir import (
    Activation,
    Conv2DAttrs,
    DepthwiseConv2DAttrs,
    DType,
    FullyConnectedAttrs,
    Padding,
    Pool2DAttrs,
    ReducerAttrs,
    TransposeConvAttrs,
)
from tinydeploy.ir.builder import NetworkBuilder


def test_the_example_of_the_module() -> None:
    net = NetworkBuilder("tiny")
    x = net.input((1, 28, 28, 1))
    x = net.conv2d(x, 8, 3, stride=2, padding=Padding.SAME, activation=Activation.RELU)
    model = net.build(net.softmax(net.linear(net.global_average_pool(x), 10)))
    assert [op.opcode for op in model.operators] == ["CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert [model.output_of(op).shape for op in model.operators] == [(1, 14, 14, 8), (1, 8), (1, 10), (1, 10)]
    assert model.tensors[model.inputs[0]].shape == (1, 28, 28, 1)
    assert model.outputs == model.operators[-1].outputs
    assert all(t.index == i for i, t in enumerate(model.tensors))


def test_weights_have_tensorflow_lites_layouts_and_no_data() -> None:
    net = NetworkBuilder("layouts")
    x = net.input((1, 9, 9, 8))
    y = net.conv2d(x, 12, (3, 5), groups=4, name="grouped")
    z = net.depthwise_conv2d(y, (2, 1), multiplier=3, name="depthwise")
    net.linear(z, 7, bias=False, name="linear")
    t = net.transpose_conv(x, 5, 4, stride=2, padding=Padding.SAME, name="up")
    shapes = {tensor.name: tensor.shape for tensor in net.build(t).tensors}
    assert shapes["grouped/weights"] == (12, 3, 5, 2)
    assert shapes["grouped/bias"] == (12,)
    assert shapes["grouped"] == (1, 7, 5, 12)
    assert shapes["depthwise/weights"] == (1, 2, 1, 36)
    assert shapes["depthwise"] == (1, 6, 5, 36)
    assert shapes["linear/weights"] == (7, 6 * 5 * 36)
    assert "linear/bias" not in shapes
    assert shapes["up/weights"] == (5, 4, 4, 8)
    assert shapes["up"] == (1, 18, 18, 5)
    model = net.build(t)
    weights = [tensor for tensor in model.tensors if tensor.name.endswith(("weights", "bias"))]
    assert all(tensor.constant and tensor.data is None for tensor in weights)
    up = model.operators[-1]
    assert [model.tensors[i].name for i in up.inputs] == ["up/output_shape", "up/weights", "input_0", "up/bias"]
    assert isinstance(up.attrs, TransposeConvAttrs)
    assert unpack("<4i", model.tensors[up.inputs[0]].data or b"") == (1, 18, 18, 5)


def test_attributes_arrive() -> None:
    net = NetworkBuilder("attributes")
    x = net.input((1, 20, 20, 4))
    a = net.conv2d(x, 6, 3, stride=(2, 1), dilation=(1, 2), padding=(1, 0, 2, 3), activation=Activation.RELU6)
    b = net.depthwise_conv2d(a, 3, multiplier=2, padding=1)
    c = net.max_pool(b, (2, 3))
    d = net.avg_pool(c, 2, stride=1, padding=Padding.SAME)
    e = net.mean(d, (1,), keep_axes=True)
    f = net.linear(e, 5, keep_axes=True)
    ops = net.build(f).operators
    assert ops[0].attrs == Conv2DAttrs(Padding.EXPLICIT, 2, 1, 1, 2, Activation.RELU6, (1, 0, 2, 3))
    assert a.shape == (1, (20 + 1 - 3) // 2 + 1, (20 + 5 - 5) + 1, 6)
    assert ops[1].attrs == DepthwiseConv2DAttrs(
        Padding.EXPLICIT, 1, 1, 1, 1, Activation.NONE, (1, 1, 1, 1), depth_multiplier=2
    )
    assert ops[2].attrs == Pool2DAttrs(Padding.VALID, 2, 3, 2, 3)
    assert c.shape == (1, 5, 7, 12)
    assert ops[3].attrs == Pool2DAttrs(Padding.SAME, 1, 1, 2, 2)
    assert ops[4].attrs == ReducerAttrs(keep_dims=True)
    assert e.shape == (1, 1, 7, 12)
    assert ops[5].attrs == FullyConnectedAttrs(keep_num_dims=True)
    assert f.shape == (1, 1, 7, 5)


def test_data_that_decides_shapes_is_there() -> None:
    net = NetworkBuilder("data")
    x = net.input((1, 4, 6, 2))
    p = net.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0)))
    t = net.transpose(p, (0, 2, 1, 3))
    r = net.reshape(t, (1, -1, 2))
    m = net.mean(r, (-2,))
    model = net.build(m)
    assert p.shape == (1, 7, 9, 2)
    assert t.shape == (1, 9, 7, 2)
    assert r.shape == (1, 63, 2)
    assert m.shape == (1, 2)
    paddings = model.tensors[model.operators[0].inputs[1]]
    assert paddings.shape == (4, 2)
    assert unpack("<8i", paddings.data or b"") == (0, 0, 1, 2, 0, 3, 0, 0)
    assert unpack("<i", model.tensors[model.operators[3].inputs[1]].data or b"") == (1,)


def test_branches_meet() -> None:
    net = NetworkBuilder("branches")
    x = net.input((1, 8, 8, 3))
    gate = net.logistic(net.global_average_pool(x, keep_axes=True))
    scaled = net.mul(x, gate)
    both = net.concat([net.add(scaled, x), net.sub(x, scaled)])
    assert scaled.shape == (1, 8, 8, 3)
    assert both.shape == (1, 8, 8, 6)


@pytest.mark.parametrize(
    ("dtype", "bias"),
    [(DType.INT8, DType.INT32), (DType.INT16, DType.INT64), (DType.FLOAT32, DType.FLOAT32)],
)
def test_types(dtype: DType, bias: DType) -> None:
    net = NetworkBuilder("types", dtype=dtype)
    x = net.linear(net.input((1, 4)), 2, name="fc")
    tensors = {t.name: t.dtype for t in net.build(x).tensors}
    assert tensors == {"input_0": dtype, "fc/weights": dtype, "fc/bias": bias, "fc": dtype}


def test_quantize_and_dequantize_change_the_type_that_follows() -> None:
    net = NetworkBuilder("ends")
    x = net.quantize(net.input((1, 4), dtype=DType.FLOAT32))
    y = net.dequantize(net.relu(x))
    assert (x.dtype, y.dtype) == (DType.INT8, DType.FLOAT32)
    assert net.softmax(y).dtype is DType.FLOAT32


def _broken(what: str) -> None:
    net = NetworkBuilder("net")
    x = net.input((1, 5, 5, 6))
    if what == "groups":
        net.conv2d(x, 8, 3, groups=4, name="here")
    elif what == "kernel":
        net.conv2d(x, 8, 7, name="here")
    elif what == "rank":
        net.conv2d(net.flatten(x), 8, 1, name="here")
    elif what == "window":
        net.max_pool(x, 6, name="here")
    elif what == "stride":
        net.avg_pool(x, 2, stride=0, name="here")
    elif what == "add":
        net.add(x, net.input((1, 4, 5, 6)), name="here")
    elif what == "concat":
        net.concat([x, net.input((1, 4, 5, 6))], name="here")
    elif what == "reshape":
        net.reshape(x, (7, -1), name="here")
    elif what == "pad":
        net.pad(x, ((0, 0), (1, 1)), name="here")
    elif what == "transpose":
        net.transpose(x, (0, 1, 1, 2), name="here")
    elif what == "axis":
        net.mean(x, (4,), name="here")
    elif what == "explicit":
        net.conv2d(x, 8, 3, padding=Padding.EXPLICIT, name="here")
    elif what == "foreign":
        net.relu(NetworkBuilder("other").input((1, 5, 5, 6)), name="here")
    elif what == "constant":
        net.constant((4,), name="here", data=b"123")
    elif what == "features":
        net.linear(x, 0, name="here")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("groups", "cannot be split into 4 groups"),
        ("kernel", "does not fit into 5"),
        ("rank", r"needs an input of shape \[n, h, w, c\]"),
        ("window", "does not fit into 5"),
        ("stride", "stride must be at least 1"),
        ("add", "do not broadcast"),
        ("concat", "differ on another axis"),
        ("reshape", "150 elements"),
        ("pad", "4 pairs"),
        ("transpose", "not an order of 4 axes"),
        ("axis", "axis 4 is out of range"),
        ("explicit", "as a number or as"),
        ("foreign", "belongs to another network"),
        ("constant", "3 bytes given"),
        ("features", "at least 1"),
    ],
)
def test_what_cannot_be_is_said_with_network_and_layer(what: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        _broken(what)
    assert "network 'net'" in caught.value.message
    assert "here" in caught.value.message


def test_a_network_needs_both_ends() -> None:
    with pytest.raises(UsageError, match="at least one input and one output"):
        NetworkBuilder("empty").build([])
