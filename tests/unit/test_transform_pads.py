"""PADs that convolutions can do, with paddings counted by hand, and PADs that must stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.host_kernels import random_inputs, tflm_outputs
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.padded_networks import Layers, Sides
from tinydeploy.ir import Conv2DAttrs, Model, Padding
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.tflite import parse_model
from tinydeploy.transform import fold_pads

QUANT = (0.05, -7)
Made = tuple[Layers, int, list[int]]


def start(shape: tuple[int, ...] = (1, 8, 8, 4)) -> tuple[Layers, int]:
    net = Layers(np.random.default_rng(5))
    return net, net.tensor(shape, QUANT)


def build(made: Made) -> bytes:
    net, x, outputs = made
    return net.g.build([x], outputs)


def mobilenet_v2() -> Made:
    """Keras' ZeroPadding2D(((0, 1), (0, 1))) before a depthwise convolution with stride 2 and padding 'valid'."""
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (0, 1, 0, 1)), (3, 3), (2, 2), depthwise=True)]


def same_reader() -> Made:
    """6 × 7 after the PAD; SAME adds (3 − 1) · 2 + 3 − 6 = 1 row below and (4 − 1) · 2 + 3 − 7 = 2 columns around."""
    net, x = start((1, 5, 5, 4))
    return net, x, [net.convolution(net.pad(x, (1, 0, 2, 0)), (3, 3), (2, 2), padding="SAME")]


def pad_of_pad() -> Made:
    net, x = start()
    return net, x, [net.convolution(net.pad(net.pad(x, (1, 0, 0, 2)), (0, 2, 3, 0)), (3, 3))]


def two_readers() -> Made:
    net, x = start()
    y = net.pad(x, (2, 1, 0, 3))
    return net, x, [net.convolution(y, (3, 2), dilation=(2, 1)), net.convolution(y, (1, 1), (2, 3), depthwise=True)]


def pad_v2_with_the_zero_point() -> Made:
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (1, 1, 1, 1), opcode="PADV2", value=QUANT[1]), (3, 3))]


def beside_the_image() -> Made:
    """Windows that meet nothing but padding, on all four sides."""
    net, x = start((2, 2, 3, 2))
    return net, x, [net.convolution(net.pad(x, (5, 4, 3, 6)), (2, 2), depthwise=True)]


FOLDED: tuple[tuple[Callable[[], Made], list[Sides]], ...] = (
    (mobilenet_v2, [(0, 1, 0, 1)]),
    (same_reader, [(1, 1, 3, 1)]),
    (pad_of_pad, [(1, 2, 3, 2)]),
    (two_readers, [(2, 1, 0, 3), (2, 1, 0, 3)]),
    (pad_v2_with_the_zero_point, [(1, 1, 1, 1)]),
    (beside_the_image, [(5, 4, 3, 6)]),
)


@pytest.mark.parametrize("make, sides", FOLDED, ids=lambda v: getattr(v, "__name__", ""))
def test_padding_moves_into_the_convolutions(make: Callable[[], Made], sides: list[Sides]) -> None:
    made = make()
    model = parse_model(build(made))
    folded = fold_pads(model)
    assert [op.index for op in folded.operators] == list(range(len(sides)))
    assert [op.inputs[0] for op in folded.operators] == [made[1]] * len(sides)
    for op, expected in zip(folded.operators, sides, strict=True):
        assert isinstance(op.attrs, Conv2DAttrs)
        assert (op.attrs.padding, op.attrs.explicit_padding) == (Padding.EXPLICIT, expected)
    assert folded.tensors is model.tensors
    assert (folded.inputs, folded.outputs) == (model.inputs, model.outputs)
    assert any(op.opcode.startswith("PAD") for op in model.operators)  # the model that was given is as it was


def test_folded_convolutions_compute_what_tflm_computes() -> None:
    cases = []
    for make, _ in FOLDED:
        data = build(make())
        rng = np.random.default_rng(3)
        samples = tuple(random_inputs(data, rng) for _ in range(3))
        cases.append(HostModel(data, samples, model=fold_pads(parse_model(data))))
    for case, by_sample in zip(cases, run_models_on_host(cases), strict=True):
        for sample, ours in zip(case.samples, by_sample, strict=True):
            for a, b in zip(ours, tflm_outputs(case.data, sample), strict=True):
                np.testing.assert_array_equal(a, b)


def _another_value() -> Made:
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (1, 1, 1, 1), opcode="PADV2", value=0), (3, 3))]


def _channels() -> Made:
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (1, 1, 1, 1), others=((0, 0), (0, 1))), (3, 3))]


def _images() -> Made:
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (1, 1, 1, 1), others=((1, 0), (0, 0))), (3, 3))]


def _read_by_a_pool() -> Made:
    """Its window would leave the padding out of the maximum, or of the average."""
    net, x = start()
    y = net.pad(x, (1, 1, 1, 1))
    pooled = net.same("MAX_POOL_2D", y, version=2, padding="SAME", filter_height=3, filter_width=3)
    return net, x, [net.convolution(y, (3, 3)), pooled]


def _an_output() -> Made:
    net, x = start()
    y = net.pad(x, (1, 1, 1, 1))
    return net, x, [y, net.convolution(y, (3, 3))]


def _another_quantization() -> Made:
    """The bytes are the same, but the convolution takes them for other numbers."""
    net, x = start()
    return net, x, [net.convolution(net.pad(x, (1, 1, 1, 1), quant=(0.05, -6)), (3, 3))]


def _too_wide() -> Made:
    net, x = start((1, 1, 1, 1))
    return net, x, [net.convolution(net.pad(x, (0, 0, 65536, 0)), (1, 1))]


STAYING = (
    _another_value, _channels, _images, _read_by_a_pool, _an_output, _another_quantization, _too_wide,
)  # fmt: skip


@pytest.mark.parametrize("make", STAYING)
def test_what_cannot_be_folded_stays(make: Callable[[], Made]) -> None:
    model = parse_model(build(make()))
    assert fold_pads(model) is model


def test_a_kept_pad_stays() -> None:
    model = parse_model(build(mobilenet_v2()))
    (pad,) = (op for op in model.operators if op.opcode == "PAD")
    assert fold_pads(model, pad.outputs) is model


def test_of_two_pads_only_the_second_may_be_kept_from_folding() -> None:
    """The first is read by a PAD then, not by a convolution."""
    model = parse_model(build(pad_of_pad()))
    first, second, _ = model.operators
    assert fold_pads(model, second.outputs) is model
    assert [op.opcode for op in fold_pads(model, first.outputs).operators] == ["PAD", "CONV_2D"]


def test_a_wrong_pad_stays_to_be_refused() -> None:
    """Its output is a row larger than it says."""
    net, x = start()
    y = net.convolution(net.pad(x, (0, 1, 0, 1)), (3, 3))
    pads = next(t for t in net.g.graph.tensors if t.name == "paddings")
    net.g.model.buffers[pads.buffer].data = np.array([0, 0, 0, 2, 0, 1, 0, 0], "<i4").view(np.uint8)
    model = parse_model(net.g.build([x], [y]))
    assert fold_pads(model) is model


def test_a_network_without_weights() -> None:
    net = NetworkBuilder("described")
    x = net.input((1, 9, 9, 3))
    y = net.conv2d(net.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0))), 4, 3, padding=Padding.VALID)
    folded: Model = fold_pads(net.build(y))
    (op,) = folded.operators
    assert isinstance(op.attrs, Conv2DAttrs)
    assert op.attrs.explicit_padding == (1, 0, 0, 2)
