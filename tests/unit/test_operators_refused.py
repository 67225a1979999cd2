"""What the rules of the operators refuse: each case is a model that is sound in one more respect than it should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.tflite_writer import IN, GraphBuilder, Quant
from tinydeploy.codegen import check_supported
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.registry import kind_of
from tinydeploy.tflite import parse_model

Edit = Callable[[Any], None]


def check(data: bytes) -> None:
    """Read a model of one operator and check it."""
    model = parse_model(data)
    (op,) = model.operators
    kind = kind_of(op.opcode)
    assert kind is not None
    kind.check(model, op)


def edited(data: bytes, edit: Edit) -> bytes:
    """The file with something in its only graph changed."""
    model = writer.unpack(data)
    edit(model.subgraphs[0])
    return writer.pack(model)


def output_shape(*shape: int) -> Edit:
    """Declare another output shape."""

    def edit(graph: Any) -> None:
        graph.tensors[graph.outputs[0]].shape = np.array(shape, np.int32)

    return edit


def op_of(
    name: str,
    shapes: Sequence[Sequence[int]],
    output: Sequence[int],
    *,
    dtypes: Sequence[str] = ("int8", "int8"),
    quants: Sequence[Quant | None] = (),
    quant_out: Quant | None = IN,
    constants: Sequence[Any] = (),
    **fields: Any,
) -> bytes:
    """Any operator with computed inputs of `shapes` and int32 constants."""
    g = GraphBuilder()
    inputs = []
    for i, shape in enumerate(shapes):
        q = quants[i] if i < len(quants) else IN
        scale = {} if q is None else {"scale": q[0], "zero_point": q[1]}
        inputs.append(g.tensor(f"x{i}", shape, dtypes[0], **scale))
    extra = [g.tensor(f"c{i}", np.shape(c), "int32", data=c) for i, c in enumerate(constants)]
    scale = {} if quant_out is None else {"scale": quant_out[0], "zero_point": quant_out[1]}
    y = g.tensor("y", output, dtypes[1], **scale)
    g.op(name, [*inputs, *extra], [y], **fields)
    return g.build(inputs, [y])


def axes_as_input(data: bytes) -> bytes:
    """The second input computed instead of constant."""

    def edit(graph: Any) -> None:
        graph.tensors[1].buffer = 0
        graph.inputs = np.array([0, 1], np.int32)

    return edited(data, edit)


def swapped_outputs(graph: Any) -> None:
    """The operator's outputs the other way round."""
    graph.operators[0].outputs = graph.operators[0].outputs[::-1]


def constant_input(data: bytes) -> bytes:
    """The first input constant."""
    model = writer.unpack(data)
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    model.buffers.append(type(model.buffers[0])(data=np.zeros(int(np.prod(tensor.shape)), np.uint8)))
    tensor.buffer = len(model.buffers) - 1
    other = type(tensor)(shape=np.array([1], np.int32), type=tensor.type, name="other", hasRank=True)
    graph.tensors.append(other)
    graph.inputs = np.array([len(graph.tensors) - 1], np.int32)
    return writer.pack(model)


CASES: dict[str, tuple[bytes, str]] = {
    "float ADD": (op_of("ADD", [(4,), (4,)], (4,), dtypes=("float32", "float32")), "float32"),
    "int16 ADD": (op_of("ADD", [(4,), (4,)], (4,), dtypes=("int16", "int16")), "int16"),
    "ADD without scale": (op_of("ADD", [(4,), (4,)], (4,), quants=(None, IN)), "no scale"),
    "ADD without output scale": (op_of("ADD", [(4,), (4,)], (4,), quant_out=None), "no scale"),
    "ADD of three": (op_of("ADD", [(4,), (4,), (4,)], (4,)), "3 inputs"),
    "ADD tanh": (writer.binary("ADD", activation="TANH"), "tanh"),
    "ADD shape": (edited(writer.binary("ADD"), output_shape(1, 4, 4, 2)), "the operator computes"),
    "ADD shapes": (op_of("ADD", [(4,), (3,)], (4,)), "broadcast"),
    "ADD rank": (op_of("ADD", [(1,) * 6 + (4,)] * 2, (1,) * 6 + (4,)), "more than 6 axes"),
    "ADD output scale": (writer.binary("ADD", quants=(IN, IN, (1e-9, 0))), "between 0 and 1"),
    "ADD coarse sum": (writer.binary("ADD", quants=((1.0, 0), (1.0, 0), (2.5e-6, 0))), "too small beside"),
    "SUB output scale": (writer.binary("SUB", quants=(IN, IN, (1e-9, 0))), "between 0 and 1"),
    "MUL scale": (writer.binary("MUL", quants=((1e9, 0), (1e9, 0), (1.0, 0))), "too large"),
    "MUL clamp": (writer.binary("MUL", activation="RELU6", quants=(IN, IN, (1e-30, 0))), "bounds"),
    "pool rank": (edited(writer.pool_2d("MAX_POOL_2D"), output_shape(4, 4, 4)), "the operator computes"),
    "pool shape": (edited(writer.pool_2d("MAX_POOL_2D"), output_shape(1, 5, 4, 4)), "the operator computes"),
    "pool window": (
        writer.unary("MAX_POOL_2D", (1, 2, 2, 1), (1, 1, 1, 1), quant_out=IN, padding="VALID", filter_height=3),
        "does not fit",
    ),
    "pool scales": (
        writer.unary("AVERAGE_POOL_2D", (1, 2, 2, 1), (1, 2, 2, 1), padding="VALID"),
        "same scale",
    ),
    "pool stride": (
        writer.unary("MAX_POOL_2D", (1, 2, 2, 1), (1, 1, 1, 1), quant_out=IN, padding="SAME", stride_h=70000),
        "65535",
    ),
    "pool constant": (constant_input(writer.pool_2d("MAX_POOL_2D")), "constant"),
    "MEAN axis": (op_of("MEAN", [(2, 3)], (2,), constants=[[2]]), "out of range"),
    "MEAN axes computed": (axes_as_input(writer.mean()), "constant"),
    "MEAN shape": (edited(writer.mean(), output_shape(1, 1, 1, 3)), "the operator computes"),
    "MEAN scale": (writer.mean(quant_in=(1e20, 0), quant_out=(1.0, 0)), "too large"),
    "MEAN runs": (writer.mean((2,) * 6, (0, 2, 4)), "runs of axes"),
    "PAD negative": (op_of("PAD", [(3,)], (2,), constants=[[[-1, 0]]]), "paddings"),
    "PAD pairs": (op_of("PAD", [(3, 3)], (4, 3), constants=[[[1, 0]]]), "paddings"),
    "PAD shape": (edited(writer.pad(), output_shape(1, 7, 5, 4)), "the operator computes"),
    "PAD computed": (axes_as_input(writer.pad()), "constant"),
    "PAD rank": (writer.pad((1,) * 6, [(0, 1)] * 6), "axes"),
    "PAD int64": (
        edited(writer.pad(), lambda g: setattr(g.tensors[1], "type", writer.schema.TensorType.UINT32)),
        "uint32",
    ),
    "TRANSPOSE_CONV shape": (edited(writer.transpose_conv(), output_shape(1, 9, 8, 3)), "the shape that"),
    "TRANSPOSE_CONV extent": (writer.transpose_conv(extent=(11, 8)), "does not give the input"),
    "TRANSPOSE_CONV window": (writer.transpose_conv((1, 1, 1, 2), padding="VALID", extent=(2, 2)), "does not fit"),
    "TRANSPOSE_CONV channels": (
        edited(writer.transpose_conv(), lambda g: setattr(g.tensors[1], "shape", np.array([3, 3, 2, 9], np.int32))),
        "channels",
    ),
    "TRANSPOSE_CONV stride": (writer.transpose_conv(stride=(17, 1)), "strides above 16"),
    "TRANSPOSE_CONV tanh": (writer.transpose_conv(activation="TANH"), "tanh"),
    "TRANSPOSE_CONV scale": (writer.transpose_conv(quant_out=(1e-20, 0)), "too large"),
    "TRANSPOSE_CONV bias": (
        edited(writer.transpose_conv(), lambda g: setattr(g.tensors[3], "type", writer.schema.TensorType.FLOAT32)),
        "int32 is needed",
    ),
    "resize both": (writer.resize(align_corners=True, half_pixel_centers=True), "exclude"),
    "resize size": (op_of("RESIZE_BILINEAR", [(1, 2, 2, 1)], (1, 4, 4, 1), constants=[[4, 4, 1]]), "height"),
    "resize shape": (edited(writer.resize(), output_shape(1, 8, 9, 3)), "the operator computes"),
    "resize computed": (axes_as_input(writer.resize()), "constant"),
    "resize rank": (op_of("RESIZE_BILINEAR", [(2, 2, 1)], (4, 4, 1), constants=[[4, 4]]), "rank 4"),
    "resize behind": (writer.resize(shape=(1, 1, 1, 3), size=(65, 1)), "reads rows behind its input"),
    "resize beside": (writer.resize(shape=(1, 1, 1, 3), size=(1, 65)), "reads columns behind its input"),
    "SLICE leaves": (op_of("SLICE", [(3, 3)], (2, 2), constants=[[0, 2], [2, 2]]), "leave"),
    "SLICE begin": (op_of("SLICE", [(3, 3)], (2, 2), constants=[[-1, 0], [2, 2]]), "leave"),
    "SLICE size": (op_of("SLICE", [(3,)], (1,), constants=[[2], [-2]]), "leave"),
    "SLICE axes": (op_of("SLICE", [(3, 3)], (2, 2), constants=[[0], [2]]), "do not fit 2 axes"),
    "SLICE shape": (op_of("SLICE", [(3, 3)], (2, 1), constants=[[0, 0], [2, 2]]), "the operator computes"),
    "SLICE rank": (op_of("SLICE", [(2,) * 6], (2,) * 6, constants=[[0] * 6, [2] * 6]), "5 axes"),
    "STRIDED_SLICE stride": (writer.strided_slice((4,), (0,), (4,), (0,), (4,)), "stride is 0"),
    "STRIDED_SLICE ellipsis": (writer.strided_slice((4,), (0,), (4,), (1,), (4,), ellipsis_mask=1), "ellipsis"),
    "STRIDED_SLICE new axis": (writer.strided_slice((4,), (0,), (4,), (1,), (4,), new_axis_mask=1), "ellipsis"),
    "STRIDED_SLICE outside": (
        writer.strided_slice((4, 2), (4, 0), (5, 2), (1, 1), (2,), shrink_axis_mask=1),
        "outside",
    ),
    "STRIDED_SLICE shape": (writer.strided_slice((4,), (0,), (4,), (3,), (1,)), "the operator computes [2]"),
    "STRIDED_SLICE lengths": (writer.strided_slice((4, 2), (0,), (4,), (1,), (4, 2)), "for 2 axes"),
    "STRIDED_SLICE rank": (writer.strided_slice((1,) * 5, (0,) * 5, (1,) * 5, (1,) * 5, (1,) * 5), "4 axes"),
    "SPLIT unequal": (writer.parts("SPLIT", (5,), [(2,), (3,)], axis=0), "not equal"),
    "SPLIT sum": (writer.parts("SPLIT", (5,), [(2,), (2,)], axis=0), "do not make the 5"),
    "SPLIT axis": (writer.parts("SPLIT", (4,), [(2,), (2,)], axis=1), "is not one of 1"),
    "SPLIT shape": (writer.parts("SPLIT", (4, 2), [(2, 1), (2, 1)], axis=0), "the operator computes"),
    "SPLIT_V sizes": (
        edited(writer.parts("SPLIT_V", (5,), [(2,), (3,)], axis=0), swapped_outputs),
        "have not the sizes",
    ),
    "UNPACK count": (writer.parts("UNPACK", (3, 2), [(2,)] * 2, axis=0), "outputs for the 3"),
    "UNPACK axis": (writer.parts("UNPACK", (3, 2), [(2,)] * 3, axis=2), "is not one of 2"),
    "UNPACK shape": (writer.parts("UNPACK", (3, 2), [(3,)] * 3, axis=0), "the operator computes"),
    "MAXIMUM scales": (op_of("MAXIMUM", [(4,), (4,)], (4,), quants=(IN, (0.5, 0))), "the output's scale"),
    "MINIMUM output scale": (op_of("MINIMUM", [(4,), (4,)], (4,), quant_out=(0.5, 0)), "the output's scale"),
    "RESHAPE elements": (writer.reshape((2, 3), (5,)), "numbers of elements"),
    "RESHAPE types": (op_of("RESHAPE", [(4,)], (2, 2), dtypes=("int8", "float32")), "float32"),
    "SQUEEZE axis": (
        edited(writer.squeeze(), lambda g: setattr(g.operators[0].builtinOptions, "squeezeDims", [2])),
        "size 1",
    ),
    "SQUEEZE axis range": (
        edited(writer.squeeze(), lambda g: setattr(g.operators[0].builtinOptions, "squeezeDims", [9])),
        "out of range",
    ),
    "SQUEEZE shape": (edited(writer.squeeze(), output_shape(3, 4)), "the operator computes"),
    "EXPAND_DIMS axis": (op_of("EXPAND_DIMS", [(3,)], (1, 3), constants=[[5]]), "axis"),
    "EXPAND_DIMS shape": (op_of("EXPAND_DIMS", [(3,)], (3, 1), constants=[[0]]), "the operator computes"),
    "SOFTMAX output": (writer.unary("SOFTMAX", (1, 4), quant_out=(1 / 128, -128), beta=1.0), "1/256"),
    "SOFTMAX zero point": (writer.unary("SOFTMAX", (1, 4), quant_out=(1 / 256, 0), beta=1.0), "1/256"),
    "SOFTMAX beta": (writer.softmax(beta=0.0), "too small"),
    "SOFTMAX negative beta": (writer.softmax(beta=-1.0), "too small"),
    "SOFTMAX int16": (
        writer.unary("SOFTMAX", (1, 4), dtype_out="int16", quant_out=(1 / 65536, -32768), beta=1.0),
        "int16",
    ),
    "SOFTMAX scalar": (writer.unary("SOFTMAX", (), quant_out=(1 / 256, -128), beta=1.0), "last axis"),
    "SOFTMAX depth": (writer.softmax((1, 4096)), "last axis"),
    "LOGISTIC zero point": (writer.unary("LOGISTIC", (4,), quant_out=(1 / 256, 0)), "-128"),
    "LOGISTIC scale": (writer.logistic((4,), quant_in=(1e-12, 0)), "out of range"),
    "TANH scale": (writer.tanh((4,), quant_in=(1e30, 0)), "out of range"),
    "RELU scale": (writer.relu((4,), quant_in=(1e20, 0), quant_out=(1.0, 0)), "too large"),
    "RELU6 scale": (writer.relu6((4,), quant_in=(1e-30, 0)), "out of range"),
    "HARD_SWISH scale": (writer.unary("HARD_SWISH", (4,), quant_in=(8.0, 0), quant_out=(0.01, 0)), "too small beside"),
    "HARD_SWISH bits": (writer.unary("HARD_SWISH", (4,), quant_in=(1e-9, 0), quant_out=(0.01, 0)), "too far apart"),
    "RELU shape": (edited(writer.relu((1, 10)), output_shape(10)), "the operator computes"),
    "QUANTIZE to uint8": (writer.quantize((4,), dtype_out="uint8"), "not supported"),
    "QUANTIZE uint8 to uint8": (
        writer.quantize((4,), dtype_in="uint8", quant_in=(IN[0], 3), dtype_out="uint8"),
        "not supported",
    ),
    "QUANTIZE int16": (writer.quantize((4,), dtype_in="int16", quant_in=(0.1, 0)), "int16"),
    "QUANTIZE without scale": (writer.quantize((4,), dtype_in="int8"), "no scale"),
    "QUANTIZE scales": (writer.quantize((4,), dtype_in="int8", quant_in=(1e20, 0), quant_out=(1.0, 0)), "too large"),
    "DEQUANTIZE int16": (writer.unary("DEQUANTIZE", (4,), dtype_in="int16", dtype_out="float32"), "int16"),
    "DEQUANTIZE to int8": (writer.unary("DEQUANTIZE", (4,)), "float32 is needed"),
    "CONCATENATION axis": (
        edited(writer.concatenation(), lambda g: setattr(g.operators[0].builtinOptions, "axis", 4)),
        "out of range",
    ),
    "CONCATENATION activation": (
        edited(writer.concatenation(), lambda g: setattr(g.operators[0].builtinOptions, "fusedActivationFunction", 1)),
        "activation",
    ),
    "CONCATENATION scales": (
        op_of("CONCATENATION", [(2,), (2,)], (4,), quants=(IN, (0.5, 0)), axis=0),
        "output's scale",
    ),
    "CONCATENATION shapes": (op_of("CONCATENATION", [(2, 2), (2, 3)], (4, 2), axis=0), "differ"),
    "TRANSPOSE twice": (op_of("TRANSPOSE", [(2, 2)], (2, 2), constants=[[0, 0]]), "permutation"),
    "TRANSPOSE range": (op_of("TRANSPOSE", [(2, 2)], (2, 2), constants=[[0, 2]]), "permutation"),
    "TRANSPOSE short": (op_of("TRANSPOSE", [(2, 2)], (2, 2), constants=[[0]]), "permutation"),
    "TRANSPOSE shape": (op_of("TRANSPOSE", [(2, 3)], (2, 3), constants=[[1, 0]]), "the operator computes"),
    "TRANSPOSE computed": (axes_as_input(writer.transpose()), "constant"),
    "TRANSPOSE rank": (writer.transpose((1,) * 6, range(6)), "axes"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_refused_with_the_reason(name: str) -> None:
    data, words = CASES[name]
    with pytest.raises(UnsupportedModelError) as caught:
        check(data)
    message = str(caught.value)
    assert words in message
    assert "operator 0" in message and "\n" not in message


@pytest.mark.parametrize("name", sorted(writer.single_operator_models()))
def test_sound_models_pass(name: str) -> None:
    check(writer.single_operator_models()[name])


def test_float_models_are_told_how_to_convert() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        check(CASES["float ADD"][0])
    assert "representative_dataset" in (caught.value.hint or "")


def test_a_path_cannot_steer_the_terminal() -> None:
    data = op_of("RELU", [(1, 4)], (1, 5))
    model = parse_model(data, path="a\x1b[2Jb\n" + "c" * 1000)
    (op,) = model.operators
    kind = kind_of(op.opcode)
    assert kind is not None
    with pytest.raises(UnsupportedModelError) as caught:
        kind.check(model, op)
    assert caught.value.message.startswith("a\\x1b[2Jb\\n")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(("dtype", "remedy"), [("float32", "TFLITE_BUILTINS_INT8"), ("int16", "--runtime tflm")])
def test_another_conversion_is_told_what_to_do(dtype: str, remedy: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        check(op_of("RELU", [(1, 4)], (1, 4), dtypes=(dtype, dtype)))
    assert remedy in str(caught.value.hint)


def test_what_an_open_batch_brings_is_told_how_to_avoid() -> None:
    """Keras' dilated convolutions, where the batch is open."""
    model = parse_model(op_of("SPACE_TO_BATCH_ND", [(1, 4, 4, 1)], (4, 2, 2, 1), constants=[[2, 2], [[0, 0], [0, 0]]]))
    with pytest.raises(UnsupportedModelError, match=r"operator 0 \(SPACE_TO_BATCH_ND\): .* no kernel") as caught:
        check_supported(model)
    assert "batch_shape" in str(caught.value.hint)


def test_all_that_is_missing_is_told_at_once() -> None:
    g = GraphBuilder()
    tensors = [g.tensor(name, (1, 4), scale=1.0) for name in "abcd"]
    for opcode, before, after in zip(("ELU", "ABS", "ELU"), tensors, tensors[1:], strict=False):
        g.op(opcode, [before], [after])
    with pytest.raises(UnsupportedModelError, match=r"operator 0 \(ELU\): ELU has no kernel, nor have ABS$"):
        check_supported(parse_model(g.build(tensors[:1], tensors[-1:])))


def test_a_negative_slope_and_two_scales_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"negative slope, -0\.5"):
        check(op_of("LEAKY_RELU", [(1, 4)], (1, 4), alpha=-0.5))
    with pytest.raises(UnsupportedModelError, match="same scale and zero point"):
        check(op_of("REDUCE_MAX", [(1, 4, 3)], (1, 3), constants=[[1]], quant_out=(0.75, 1)))
