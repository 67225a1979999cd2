"""The reader against a second witness: the object API that ai-edge-litert generates from the schema."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the reference interpreters")

from tests.support import model_files
from tests.support import tflite_writer as writer
from tests.support.tflite_writer import schema
from tinydeploy.ir import DType, Model, NoAttrs
from tinydeploy.tflite import parse_model, read_model

MODELS = model_files.all_models()


def _name_of(enum: type, value: int) -> str:
    return next(k for k, v in vars(enum).items() if v == value and not k.startswith("_"))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8")


def _numbers(value: Any) -> list[Any]:
    return [] if value is None else np.asarray(value).tolist()


OPTIONS: dict[str, dict[str, Callable[[Any], Any]]] = {
    # attribute class: attribute → the same from the witness's options
    "Conv2DAttrs": {
        "padding": lambda o: _name_of(schema.Padding, o.padding),
        "stride_h": lambda o: o.strideH,
        "stride_w": lambda o: o.strideW,
        "dilation_h": lambda o: o.dilationHFactor,
        "dilation_w": lambda o: o.dilationWFactor,
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
    },
    "Pool2DAttrs": {
        "padding": lambda o: _name_of(schema.Padding, o.padding),
        "stride_h": lambda o: o.strideH,
        "stride_w": lambda o: o.strideW,
        "filter_h": lambda o: o.filterHeight,
        "filter_w": lambda o: o.filterWidth,
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
    },
    "TransposeConvAttrs": {
        "padding": lambda o: _name_of(schema.Padding, o.padding),
        "stride_h": lambda o: o.strideH,
        "stride_w": lambda o: o.strideW,
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
    },
    "FullyConnectedAttrs": {
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
        "keep_num_dims": lambda o: o.keepNumDims,
        "shuffled_weights": lambda o: o.weightsFormat == 1,
    },
    "ActivationAttrs": {
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
    },
    "ConcatenationAttrs": {
        "axis": lambda o: o.axis,
        "activation": lambda o: _name_of(schema.ActivationFunctionType, o.fusedActivationFunction),
    },
    "SoftmaxAttrs": {"beta": lambda o: o.beta},
    "ReducerAttrs": {"keep_dims": lambda o: o.keepDims},
    "ReshapeAttrs": {"new_shape": lambda o: None if o.newShape is None else tuple(o.newShape.tolist())},
    "SqueezeAttrs": {"squeeze_dims": lambda o: tuple(_numbers(o.squeezeDims))},
    "LeakyReluAttrs": {"alpha": lambda o: o.alpha},
    "PackAttrs": {"axis": lambda o: o.axis},
    "UnpackAttrs": {"axis": lambda o: o.axis},
    "ResizeAttrs": {
        "align_corners": lambda o: o.alignCorners,
        "half_pixel_centers": lambda o: o.halfPixelCenters,
    },
    "StridedSliceAttrs": {
        "begin_mask": lambda o: o.beginMask,
        "end_mask": lambda o: o.endMask,
        "ellipsis_mask": lambda o: o.ellipsisMask,
        "new_axis_mask": lambda o: o.newAxisMask,
        "shrink_axis_mask": lambda o: o.shrinkAxisMask,
        "offset": lambda o: o.offset,
    },
}
OPTIONS["DepthwiseConv2DAttrs"] = {**OPTIONS["Conv2DAttrs"], "depth_multiplier": lambda o: o.depthMultiplier}


def _same(ours: Any, theirs: Any) -> bool:
    return bool((ours.name if hasattr(ours, "name") else ours) == theirs)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_tensors_agree_with_the_witness(name: str) -> None:
    model = parse_model(MODELS[name], name=name)
    witness = writer.unpack(MODELS[name])
    graph = witness.subgraphs[0]
    assert len(model.tensors) == len(graph.tensors) > 0
    for ours, theirs in zip(model.tensors, graph.tensors, strict=True):
        assert ours.name == _text(theirs.name)
        assert list(ours.shape) == _numbers(theirs.shape)
        assert ours.dtype.name == _name_of(schema.TensorType, theirs.type)
        assert ours.variable == bool(theirs.isVariable)
        quantization = theirs.quantization
        if quantization is None or quantization.scale is None or len(quantization.scale) == 0:
            assert ours.quantization is None
        else:
            assert ours.quantization is not None
            assert list(ours.quantization.scales) == quantization.scale.astype(float).tolist()
            assert list(ours.quantization.zero_points) == quantization.zeroPoint.tolist()
            assert ours.quantization.axis == quantization.quantizedDimension
        data = witness.buffers[theirs.buffer].data
        if theirs.buffer and data is not None and not theirs.isVariable:
            assert ours.constant
            assert ours.data == data.tobytes()
        else:
            assert not ours.data


@pytest.mark.parametrize("name", sorted(MODELS))
def test_operators_agree_with_the_witness(name: str) -> None:
    model = parse_model(MODELS[name], name=name)
    witness = writer.unpack(MODELS[name])
    graph = witness.subgraphs[0]
    assert list(model.inputs) == graph.inputs.tolist()
    assert list(model.outputs) == graph.outputs.tolist()
    assert len(model.operators) == len(graph.operators) > 0
    for index, (ours, theirs) in enumerate(zip(model.operators, graph.operators, strict=True)):
        code = witness.operatorCodes[theirs.opcodeIndex]
        assert ours.index == index
        assert ours.opcode == _name_of(schema.BuiltinOperator, max(code.builtinCode, code.deprecatedBuiltinCode))
        assert list(ours.inputs) == theirs.inputs.tolist()
        assert list(ours.outputs) == theirs.outputs.tolist()
        kind = type(ours.attrs).__name__
        if kind == "NoAttrs" or theirs.builtinOptions is None:
            continue
        for attribute, read in OPTIONS[kind].items():
            assert _same(getattr(ours.attrs, attribute), read(theirs.builtinOptions)), (ours, attribute)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_metadata_and_description_agree_with_the_witness(name: str) -> None:
    model = parse_model(MODELS[name], name=name)
    witness = writer.unpack(MODELS[name])
    assert model.description == _text(witness.description)
    theirs = {_text(m.name): witness.buffers[m.buffer].data.tobytes() for m in witness.metadata or []}
    assert dict(model.metadata) == theirs
    assert model.sha256 == hashlib.sha256(MODELS[name]).hexdigest()


def test_every_kernel_s_options_are_read() -> None:
    without = {"QUANTIZE", "DEQUANTIZE", "LOGISTIC", "TANH", "RELU", "RELU6", "PAD", "TRANSPOSE", "EXPAND_DIMS"}
    without |= {"SLICE", "SPLIT", "SPLIT_V", "MAXIMUM", "MINIMUM"}
    for name, data in writer.single_operator_models().items():
        op = parse_model(data, name=name).operators[0]
        assert (type(op.attrs) is NoAttrs) == (op.opcode in without), op


def test_options_come_out_with_the_values_that_went_in() -> None:
    data = writer.conv_2d((1, 20, 30, 2), kernel=(3, 5), dilation=(2, 3), padding="VALID", activation="TANH")
    attrs: Any = parse_model(data).operators[0].attrs
    assert (attrs.stride_h, attrs.stride_w, attrs.dilation_h, attrs.dilation_w) == (1, 1, 2, 3)
    assert (attrs.padding.name, attrs.activation.name) == ("VALID", "TANH")
    attrs = parse_model(writer.depthwise_conv_2d(multiplier=3, stride=(2, 1))).operators[0].attrs
    assert (attrs.depth_multiplier, attrs.stride_h, attrs.stride_w) == (3, 2, 1)
    attrs = parse_model(writer.pool_2d("MAX_POOL_2D", kernel=(3, 2), stride=(1, 2))).operators[0].attrs
    assert (attrs.filter_h, attrs.filter_w, attrs.stride_h, attrs.stride_w) == (3, 2, 1, 2)
    for opcode in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        for fields in ({"align_corners": True}, {"half_pixel_centers": True}, {}):
            attrs = parse_model(writer.resize(opcode, **fields)).operators[0].attrs
            assert {k for k in ("align_corners", "half_pixel_centers") if getattr(attrs, k)} == set(fields)


@pytest.fixture(name="mixed")
def _mixed() -> Model:
    return parse_model(model_files.mixed_network(), name="mixed")


def test_mixed_network_by_hand(mixed: Model) -> None:
    names = {t.name: t for t in mixed.tensors}
    assert [mixed.tensors[i].name for i in mixed.inputs] == ["eingang/größe", "second"]
    assert [mixed.tensors[i].name for i in mixed.outputs] == ["gelu", "best"]
    assert mixed.description == "mixed, with ümlauts"
    assert mixed.metadata["min_runtime_version"] == b"2.16.0\0\0"
    assert names["w"].quantization is not None
    assert names["w"].quantization.per_channel
    assert names["state"].variable
    assert not names["state"].constant
    assert names["axis"].shape == ()
    assert names["axis"].data == b"\1\0\0\0"
    assert (names["no axes"].constant, names["no axes"].data) == (True, b"")
    assert mixed.operators[5].inputs[2] == -1
    assert mixed.operators[6].opcode == "GELU"  # code 150, beyond the signed byte of older files
    assert names["best"].dtype is DType.INT64


def test_a_shared_constant_is_one_tensor_and_a_shared_buffer_one_bytes_object(mixed: Model) -> None:
    first, second = mixed.operators[0], mixed.operators[1]
    assert first.inputs[1] == second.inputs[1]
    names = {t.name: t for t in mixed.tensors}
    assert names["shape"].index != names["shape_again"].index
    assert names["shape"].data is names["shape_again"].data is not None


def test_the_code_in_the_old_field_alone_is_enough() -> None:
    g = writer.GraphBuilder()
    x, y = (g.tensor(n, (1, 4), scale=0.1) for n in "xy")
    g.op("RELU", [x], [y])
    g.model.operatorCodes[0].builtinCode = 0
    assert parse_model(g.build([x], [y])).operators[0].opcode == "RELU"


def test_data_behind_the_flatbuffer_is_found_by_offset_and_size() -> None:
    g = writer.GraphBuilder()
    x = g.tensor("x", (1, 4), scale=0.1)
    w = g.tensor("w", (2, 4), scale=0.1, data=np.zeros((2, 4)))
    y = g.tensor("y", (1, 2), scale=0.1)
    g.op("FULLY_CONNECTED", [x, w], [y])
    buffer = g.model.buffers[1]
    values = bytes(range(10, 18))
    buffer.data, buffer.offset, buffer.size = None, 1, len(values)  # a placeholder fixes the table's layout
    length = len(g.build([x], [y]))
    buffer.offset = length
    data = g.build([x], [y])
    assert len(data) == length
    assert parse_model(data + values).tensors[w].data == values


def test_names_that_are_not_utf8_are_replaced() -> None:
    data = writer.relu()
    assert data.count(b"output") == 1
    assert parse_model(data.replace(b"output", b"out\xff\xfet")).tensors[1].name == "out\ufffd\ufffdt"


def test_an_open_batch_is_the_batch_of_the_shape() -> None:
    g = writer.GraphBuilder()
    x, y = (g.tensor(n, (1, 4), scale=0.1, shape_signature=(-1, 4)) for n in "xy")
    g.op("RELU", [x], [y])
    assert parse_model(g.build([x], [y])).tensors[x].shape == (1, 4)


def test_a_subgraph_that_nobody_calls_is_ignored() -> None:
    g = writer.GraphBuilder()
    x, y = (g.tensor(n, (1, 4), scale=0.1) for n in "xy")
    g.op("RELU", [x], [y])
    g.model.subgraphs.append(schema.SubGraphT(name="other", tensors=[], operators=[], inputs=[], outputs=[]))
    model = parse_model(g.build([x], [y]))
    assert (len(model.tensors), len(model.operators)) == (2, 1)


def test_float_models_are_read() -> None:
    g = writer.GraphBuilder()
    x = g.tensor("x", (1, 4), "float32")
    w = g.tensor("w", (2, 4), "float32", data=np.arange(8).reshape(2, 4))
    y = g.tensor("y", (1, 2), "float32")
    g.op("FULLY_CONNECTED", [x, w, -1], [y])
    model = parse_model(g.build([x], [y]))
    assert model.tensors[w].data == np.arange(8, dtype="<f4").tobytes()


def test_an_axis_that_chooses_nothing_is_not_looked_at() -> None:
    """Converters of 2019 wrote the weights' axis on biases (TFLM's person_detect has such), and any axis
    on tensors with one scale."""
    g = writer.GraphBuilder()
    x = g.tensor("x", (1, 4, 4, 2), scale=0.5, axis=9)
    w = g.tensor("w", (1, 3, 3, 2), scale=[0.1, 0.2], axis=3, data=np.ones((1, 3, 3, 2)))
    b = g.tensor("b", (2,), "int32", scale=[0.05, 0.1], axis=3, data=[1, 2])
    y = g.tensor("y", (1, 4, 4, 2), scale=0.5)
    g.op("DEPTHWISE_CONV_2D", [x, w, b], [y], padding="SAME", depth_multiplier=1)
    model = parse_model(g.build([x], [y]))
    axes = [t.quantization.axis for t in model.tensors if t.quantization is not None]
    assert axes == [0, 3, 0, 0]


def test_read_model_names_the_model_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my model.tflite"
    path.write_bytes(writer.relu())
    model = read_model(str(path))
    assert (model.name, model.path) == ("my model", str(path))


def test_reading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tinydeploy.tflite import read_model; "
        "print([m for m in ('numpy', 'flatbuffers', 'tflite', 'rich', 'click') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", code], cwd=model_files.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not model_files.real_models(), reason=model_files.SKIP_REASON)
@pytest.mark.parametrize(
    "name, operators, weight_bytes",
    [
        # operators, and the bytes of int8 weights, counted by hand from the published architectures
        ("ad01_int8.tflite", 10, 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8 + 128 * 640),
        ("kws_ref_model.tflite", 13, 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12),
    ],
)
def test_real_models_hold_the_published_weights(name: str, operators: int, weight_bytes: int) -> None:
    model = read_model(model_files.real_models()[name])
    assert len(model.operators) == operators
    weights = sum(t.bytes for t in model.tensors if t.constant and t.dtype is DType.INT8)
    assert weights == weight_bytes
