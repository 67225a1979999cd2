"""int8 inputs and outputs: what is dropped, what stays, and that the file's own ends are found again exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.host_kernels import tflm_outputs
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.padded_networks import Layers
from tests.support.random_models import Quant
from tests.support.random_networks import random_network
from tinydeploy.tflite import parse_model
from tinydeploy.transform import int8_io, original_inputs, original_outputs

QUANT: Quant = (0.05, -7)
SHAPE = (1, 16, 16, 1)
ALL = np.arange(-128, 128).astype(np.int8).reshape(SHAPE)
Made = tuple[Layers, list[int], list[int]]


def quantized(net: Layers, x: int, quant: Quant = QUANT) -> int:
    y = net.tensor(net.shapes[x], quant)
    net.g.op("QUANTIZE", [x], [y])
    return y


def outside(net: Layers, x: int, dtype: str = "float32", quant: Quant = QUANT) -> int:
    y = net.tensor(net.shapes[x], quant, dtype)
    net.g.op("DEQUANTIZE" if dtype == "float32" else "QUANTIZE", [x], [y], version=2)
    return y


def both_ends(dtype: str = "float32", given: Quant = QUANT, inner: Quant = QUANT) -> Made:
    """QUANTIZE, CONV_2D, and the way back."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, given, dtype)
    y = net.convolution(quantized(net, x, inner), (3, 3))
    scale, zero = net.quants[y]
    return net, [x], [outside(net, y, dtype, (scale, zero + 128))]


def build(made: Made) -> bytes:
    net, inputs, outputs = made
    return net.g.build(inputs, outputs)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_both_conversions_go(dtype: str) -> None:
    given = QUANT if dtype == "float32" else (QUANT[0], QUANT[1] + 128)
    model = parse_model(build(both_ends(dtype, given)))
    before, conv, after = model.operators
    changed = int8_io(model)
    assert changed.inputs == before.outputs
    assert changed.outputs == after.inputs
    assert [(op.index, op.opcode) for op in changed.operators] == [(0, "CONV_2D")]
    assert changed.operators[0].inputs == conv.inputs
    # the user's name for the input; the layer's for the output
    assert changed.tensor(changed.inputs[0]).name == model.tensor(model.inputs[0]).name
    assert changed.layer_name(changed.operators[0]) == model.layer_name(conv)


def test_several_ends_each_by_itself() -> None:
    net = Layers(np.random.default_rng(1))
    x, u, z = net.tensor(SHAPE, QUANT, "float32"), net.tensor(SHAPE, QUANT), net.tensor(SHAPE, QUANT, "float32")
    a, b = quantized(net, x), quantized(net, z)
    p, q = net.convolution(a, (1, 1)), net.convolution(u, (1, 1))
    model = parse_model(net.g.build([x, u, z], [outside(net, q), p, outside(net, b), outside(net, q)]))
    changed = int8_io(model)
    assert changed.inputs == (a, u, b)
    assert changed.outputs == (q, p, b, q)  # one is an input as well, one is there twice
    assert [op.opcode for op in changed.operators] == ["CONV_2D", "CONV_2D"]


def _read_twice() -> Made:
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT, "float32")
    a, b = quantized(net, x), quantized(net, x, (0.06, 1))
    return net, [x], [net.convolution(a, (1, 1)), net.convolution(b, (1, 1))]


def _output_as_it_is() -> Made:
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT, "float32")
    return net, [x], [net.convolution(quantized(net, x), (1, 1)), x]


def _output_that_is_read() -> Made:
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT)
    y = outside(net, net.convolution(x, (1, 1)))
    return net, [x], [y, net.convolution(quantized(net, y), (1, 1))]


def _int8_already() -> Made:
    """A change of scale is the network's own affair."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT)
    return net, [x], [net.convolution(quantized(net, x, (0.07, 3)), (1, 1))]


def _uint8_on_another_scale() -> Made:
    """Not every int8 value can be reached from it."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, (0.1, 121), "uint8")
    return net, [x], [net.convolution(quantized(net, x), (1, 1))]


def _beyond_floats() -> Made:
    """255 · 2e36 is more than the largest float."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT, "float32")
    return net, [x], [net.same("MAX_POOL_2D", quantized(net, x, (2e36, -128)), filter_height=1, filter_width=1)]


def _nothing_else() -> Made:
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT, "float32")
    return net, [x], [outside(net, quantized(net, x))]


STAYING = (
    _read_twice, _output_as_it_is, _output_that_is_read, _int8_already, _uint8_on_another_scale, _beyond_floats,
    _nothing_else,
)  # fmt: skip


@pytest.mark.parametrize("make", STAYING)
def test_what_does_not_apply_leaves_the_model(make: Callable[[], Made]) -> None:
    model = parse_model(build(make()))
    assert int8_io(model) is model


def test_kept_tensors_stay() -> None:
    model = parse_model(build(both_ends()))
    assert int8_io(model, (*model.inputs, *model.outputs)) is model
    changed = int8_io(model, model.outputs)
    assert [op.opcode for op in changed.operators] == ["CONV_2D", "DEQUANTIZE"]


# from the smallest float on; 255 times the largest is still a float
scales = st.floats(-149, 119).map(lambda e: float(np.float32(2.0**e)))
zero_points = st.integers(-128, 127)


@settings(max_examples=300, deadline=None)
@given(scale=scales, zero=zero_points)
def test_quantize_gives_every_int8_value_back(scale: float, zero: int) -> None:
    """TensorFlow Lite Micro's QUANTIZE makes of the file's input exactly the sample."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, QUANT, "float32")
    y = quantized(net, x, (scale, zero))
    z = net.same("MAX_POOL_2D", y, filter_height=1, filter_width=1)
    data = net.g.build([x], [z])
    model = parse_model(data)
    changed = int8_io(model)
    assert changed.inputs == (y,)
    sample = original_inputs(model, changed, {y: ALL})
    assert list(sample) == [x]
    assert sample[x].dtype == np.float32
    np.testing.assert_array_equal(tflm_outputs(data, [sample[x]])[0], ALL)


@settings(max_examples=300, deadline=None)
@given(scale=st.floats(-149, 127).map(lambda e: float(np.float32(2.0**e))), zero=zero_points)
def test_dequantize_is_computed_bit_by_bit(scale: float, zero: int) -> None:
    """Denormal results and infinities included."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, (scale, zero))
    y = net.same("MAX_POOL_2D", x, filter_height=1, filter_width=1)
    data = net.g.build([x], [z := outside(net, y)])
    model = parse_model(data)
    found = original_outputs(model, int8_io(model), {y: ALL})
    assert found[y] is ALL
    assert found[z].tobytes() == tflm_outputs(data, [ALL])[0].tobytes()


@settings(max_examples=50, deadline=None)
@given(scale=scales, zero=zero_points)
def test_uint8_is_int8_and_128(scale: float, zero: int) -> None:
    net = Layers(np.random.default_rng(1))
    x = net.tensor(SHAPE, (scale, zero + 128), "uint8")
    y = net.same("MAX_POOL_2D", quantized(net, x, (scale, zero)), filter_height=1, filter_width=1)
    z = outside(net, y, "uint8", (scale, zero + 128))
    data = net.g.build([x], [z, y])
    model = parse_model(data)
    changed = int8_io(model)
    assert changed.outputs == (y, y)
    sample = original_inputs(model, changed, {changed.inputs[0]: ALL})
    unsigned, signed = tflm_outputs(data, [sample[x]])
    np.testing.assert_array_equal(signed, ALL)
    np.testing.assert_array_equal(original_outputs(model, changed, {y: ALL})[z], unsigned)


def test_random_networks_with_int8_ends_give_what_tflm_gives() -> None:
    """The whole way: our int8 outputs, as the file's, against TensorFlow Lite Micro on the file's inputs."""
    cases = []
    models = []
    for seed in range(1000):
        data = random_network(np.random.default_rng(seed)).data
        model = parse_model(data)
        changed = int8_io(model)
        if changed is model or any(changed.tensor(i).dtype.label != "int8" for i in changed.inputs):
            continue
        rng = np.random.default_rng([seed, 1])
        sample = tuple(rng.integers(-128, 128, changed.tensor(i).shape).astype(np.int8) for i in changed.inputs)
        cases.append(HostModel(data, (sample,), model=changed))
        models.append(model)
        if len(cases) == 20:
            break
    floats_in = floats_out = 0
    for model, case, (ours,) in zip(models, cases, run_models_on_host(cases), strict=True):
        changed = case.model
        assert changed is not None
        given = original_inputs(model, changed, dict(zip(changed.inputs, case.samples[0], strict=True)))
        expected = tflm_outputs(case.data, [given[i] for i in model.inputs])
        found = original_outputs(model, changed, dict(zip(changed.outputs, ours, strict=True)))
        for index, theirs in zip(model.outputs, expected, strict=True):
            assert found[index].tobytes() == np.ascontiguousarray(theirs).tobytes()
        floats_in += model.inputs != changed.inputs
        floats_out += model.outputs != changed.outputs
    assert len(cases) == 20 and floats_in > 4 and floats_out > 4
