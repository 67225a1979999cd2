"""Every kind of bad model file: the error's class, its exit code, and that one line names file, operator and tensor."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the reference interpreters")

from tests.support import tflite_writer as writer
from tests.support.tflite_writer import GraphBuilder, schema
from tinydeploy.errors import ModelError, UnsupportedModelError, UsageError
from tinydeploy.tflite import MAX_FILE_BYTES, parse_model, read_model
from tinydeploy.tflite.reader import MAX_OPERATORS, MAX_TENSORS


def refused(data: bytes, *words: str, kind: type[ModelError] = ModelError) -> ModelError:
    """The error that reading `data` as net.tflite raises, after looking at what every such error must be."""
    with pytest.raises(ModelError) as caught:
        parse_model(data, name="net", path="dir/net.tflite")
    error = caught.value
    assert type(error) is kind
    assert error.exit_code == 3
    assert error.message.startswith("dir/net.tflite: ")
    for text in (error.message, error.hint or ""):
        assert text.isprintable(), text
    for word in words:
        assert word in error.message, error.message
    return error


def small() -> tuple[GraphBuilder, int, int, int, int]:
    """x → CONV_2D(w) → a → RELU → y, as a builder and the indices of x, w, a, y."""
    g = GraphBuilder()
    x = g.tensor("x", (1, 4, 4, 2), scale=0.1)
    w = g.tensor("w", (3, 1, 1, 2), scale=[0.1, 0.2, 0.3], data=np.ones((3, 1, 1, 2)))
    a = g.tensor("a", (1, 4, 4, 3), scale=0.1)
    y = g.tensor("y", (1, 4, 4, 3), scale=0.1)
    g.op("CONV_2D", [x, w, -1], [a], padding="SAME")
    g.op("RELU", [a], [y])
    g.build([x], [y])
    return g, x, w, a, y


def changed(change: Callable[[Any], None]) -> bytes:
    """The small network's file after `change` has been at its object tree."""
    g = small()[0]
    change(g.model)
    return g.pack()


def in_tensor(index: int, **fields: Any) -> bytes:
    """The small network's file with fields of one tensor changed."""

    def change(model: Any) -> None:
        for name, value in fields.items():
            assert hasattr(model.subgraphs[0].tensors[index], name)
            setattr(model.subgraphs[0].tensors[index], name, value)

    return changed(change)


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, dtype=np.int32)


def test_the_small_network_itself_is_fine() -> None:
    g = small()[0]
    assert len(parse_model(g.pack()).operators) == 2


# --- the file -------------------------------------------------------------------------------------------------


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.tflite: no such file") as caught:
        read_model(tmp_path / "nothing.tflite")
    assert caught.value.exit_code == 2


def test_a_path_with_a_nul_byte_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="not a path"):
        read_model("a\0b.tflite")


def test_a_directory_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a directory") as caught:
        read_model(tmp_path)
    assert caught.value.exit_code == 3


def test_a_device_is_not_a_model() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero on this system")
    with pytest.raises(ModelError, match="not a regular file"):
        read_model("/dev/zero")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # sparse: takes no room on the disk
    with pytest.raises(ModelError, match=r"huge\.tflite.*too many.*512 MiB"):
        read_model(path)


def test_a_name_with_control_characters_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[31m\n.tflite"
    path.write_bytes(b"text")
    with pytest.raises(ModelError) as caught:
        read_model(path)
    assert caught.value.message.isprintable()
    assert r"evil\x1b[31m\n.tflite" in caught.value.message


@pytest.mark.parametrize(
    "data, hint",
    [
        (b"hello, this is a text file\n", "TFL3"),
        (b"TFL3", "TFL3"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "from_keras_model"),
        (b"PK\x03\x04" + bytes(50), "zip archive"),
        (b"\x1c\0\0\0TFL2" + bytes(50), "another schema version"),
        (bytes(100), "TFL3"),
    ],
)
def test_what_is_not_a_model_is_said_to_be_something_else(data: bytes, hint: str) -> None:
    error = refused(data, "not a TFLite model")
    assert hint in (error.hint or "")


def test_an_empty_file_is_called_empty() -> None:
    refused(b"", "the file is empty")


def test_every_truncation_is_refused_and_none_is_taken_for_a_model() -> None:
    data = small()[0].pack()
    whole = parse_model(data)
    for length in range(len(data)):
        try:
            model = parse_model(data[:length], path="dir/net.tflite")
        except ModelError:
            continue
        # nothing but padding was cut off
        assert model.tensors == whole.tensors
        assert length > len(data) - 16


@pytest.mark.parametrize("offset", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_root_offset_that_points_outside_is_refused(offset: int) -> None:
    data = bytearray(small()[0].pack())
    struct.pack_into("<I", data, 0, offset)
    refused(bytes(data))


def test_another_schema_version_is_refused() -> None:
    def change(model: Any) -> None:
        model.version = 1

    refused(changed(change), "schema version 1", kind=UnsupportedModelError)


def test_compressed_weights_are_refused() -> None:
    g = small()[0]
    g.metadata("COMPRESSION_METADATA", b"\0" * 16)
    refused(g.pack(), "compressed", kind=UnsupportedModelError)


# --- operators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [127, 51, 5000, -3, 2**31 - 1])
def test_an_unknown_opcode_is_named_by_number(number: int) -> None:
    def change(model: Any) -> None:
        model.operatorCodes[1].builtinCode = number
        model.operatorCodes[1].deprecatedBuiltinCode = min(number, 127)

    refused(changed(change), "operator 1", f"unknown opcode number {number}", kind=UnsupportedModelError)


@pytest.mark.parametrize(
    "name, shown, hint",
    [
        ("TFLite_Detection_PostProcess", "TFLite_Detection_PostProcess", "built-in"),
        ("FlexErf", "FlexErf", "SELECT_TF_OPS"),
        ("\x1b[2J", r"\x1b[2J", "built-in"),
    ],
)
def test_a_custom_operator_is_named(name: str, shown: str, hint: str) -> None:
    def change(model: Any) -> None:
        model.operatorCodes[1] = schema.OperatorCodeT(deprecatedBuiltinCode=32, builtinCode=32, customCode=name)

    error = refused(changed(change), "operator 1", f"custom operator '{shown}'", kind=UnsupportedModelError)
    assert hint in (error.hint or "")


def test_an_opcode_index_out_of_range_is_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators[1].opcodeIndex = 9

    refused(changed(change), "operator 1", "opcode 9 of 2")


@pytest.mark.parametrize("opcode", ["IF", "WHILE", "CALL_ONCE"])
def test_control_flow_is_refused(opcode: str) -> None:
    def change(model: Any) -> None:
        code = getattr(schema.BuiltinOperator, opcode)
        model.operatorCodes[1] = schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code)
        model.subgraphs.append(schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[]))

    error = refused(changed(change), f"operator 1 ({opcode})", "control flow", kind=UnsupportedModelError)
    assert "tf.while_loop" in (error.hint or "")


@pytest.mark.parametrize(
    "field, values, words",
    [
        ("inputs", (0, 77, -1), "its inputs name tensor 77 of 4"),
        ("inputs", (0, -2, -1), "its inputs name tensor -2 of 4"),
        ("outputs", (-1,), "its outputs name tensor -1 of 4"),
        ("outputs", (4,), "its outputs name tensor 4 of 4"),
    ],
)
def test_tensor_indices_out_of_range_are_refused(field: str, values: tuple[int, ...], words: str) -> None:
    def change(model: Any) -> None:
        setattr(model.subgraphs[0].operators[0], field, ints(*values))

    refused(changed(change), "operator 0 (CONV_2D)", words)


@pytest.mark.parametrize("field, what", [("inputs", "inputs"), ("outputs", "outputs")])
def test_graph_indices_out_of_range_are_refused(field: str, what: str) -> None:
    def change(model: Any) -> None:
        setattr(model.subgraphs[0], field, ints(99))

    refused(changed(change), f"the graph's {what} name tensor 99 of 4")


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("strideH", 0, "stride_h is 0"),
        ("strideW", -5, "stride_w is -5"),
        ("dilationHFactor", 0, "dilation_h_factor is 0"),
        ("padding", 7, "padding has the unknown value 7"),
        ("fusedActivationFunction", 99, "activation has the unknown value 99"),
    ],
)
def test_options_out_of_range_are_refused(field: str, value: int, words: str) -> None:
    def change(model: Any) -> None:
        setattr(model.subgraphs[0].operators[0].builtinOptions, field, value)

    refused(changed(change), "operator 0 (CONV_2D)", words)


def test_a_beta_that_is_no_number_is_refused() -> None:
    refused(writer.softmax(beta=math.nan), "operator 0 (SOFTMAX)", "beta is nan")


def test_missing_options_are_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions = None
        model.subgraphs[0].operators[0].builtinOptionsType = 0

    refused(changed(change), "operator 0 (CONV_2D)", "options are missing")


def test_options_of_another_operator_are_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators[0].builtinOptions = schema.AddOptionsT()
        model.subgraphs[0].operators[0].builtinOptionsType = schema.BuiltinOptions.AddOptions

    refused(changed(change), "operator 0 (CONV_2D)", "options are those of another operator")


# --- tensors --------------------------------------------------------------------------------------------------

X, W, A, Y = range(4)
AT_A = ("operator 0 (CONV_2D)", "tensor 2 'a'")
AT_W = ("operator 0 (CONV_2D)", "tensor 1 'w'")


@pytest.mark.parametrize(
    "fields, shown",
    [
        ({"shape": ints(1, -1, 4, 3)}, "1×-1×4×3"),
        ({"shape": ints(1, 0, 4, 3)}, "1×0×4×3"),
        ({"shapeSignature": ints(1, -1, -1, 3)}, "1×-1×-1×3"),
        ({"shapeSignature": ints(-1, 4, -1, 3)}, "-1×4×-1×3"),
    ],
)
def test_dynamic_shapes_are_refused_with_a_way_out(fields: dict[str, Any], shown: str) -> None:
    error = refused(in_tensor(A, **fields), *AT_A, f"dynamic shape {shown}", kind=UnsupportedModelError)
    assert "fixed shape" in (error.hint or "")


def test_a_signature_of_another_rank_is_refused() -> None:
    refused(in_tensor(A, shapeSignature=ints(-1, 4)), *AT_A, "signature -1×4")


@pytest.mark.parametrize("name", ["STRING", "RESOURCE", "VARIANT", "COMPLEX64", "INT4", "BFLOAT16"])
def test_element_types_that_no_kernel_has_are_refused(name: str) -> None:
    data = in_tensor(A, type=getattr(schema.TensorType, name))
    refused(data, *AT_A, f"type {name.lower()}", kind=UnsupportedModelError)


def test_an_unknown_element_type_is_refused() -> None:
    refused(in_tensor(A, type=99), *AT_A, "unknown number 99")


def test_sparse_tensors_are_refused() -> None:
    sparsity = schema.SparsityParametersT(traversalOrder=ints(0), dimMetadata=[])
    refused(in_tensor(W, sparsity=sparsity), *AT_W, "sparse", kind=UnsupportedModelError)


def test_data_in_another_file_is_refused() -> None:
    refused(in_tensor(W, externalBuffer=1), *AT_W, "another file", kind=UnsupportedModelError)


def test_a_constant_of_the_wrong_length_is_refused() -> None:
    refused(in_tensor(W, shape=ints(3, 1, 1, 3), quantization=None), *AT_W, "holds 6 bytes", "needs 9")


def test_a_buffer_index_out_of_range_is_refused() -> None:
    refused(in_tensor(W, buffer=1000), *AT_W, "buffer 1000 of 2")


@pytest.mark.parametrize("offset, size", [(100, 2**40), (2**63, 6), (10**6, 6), (2**64 - 1, 2**64 - 1)])
def test_a_buffer_that_lies_outside_of_the_file_is_refused(offset: int, size: int) -> None:
    def change(model: Any) -> None:
        model.buffers[1] = schema.BufferT(offset=offset, size=size)

    refused(changed(change), *AT_W, "beyond the file")


@pytest.mark.parametrize("shape", [(2**30, 2), (2**31 - 1,) * 8])
def test_absurd_sizes_are_refused(shape: tuple[int, ...]) -> None:
    refused(in_tensor(A, shape=ints(*shape), quantization=None), *AT_A, "absurd")


def test_absurd_ranks_are_refused() -> None:
    refused(in_tensor(A, shape=ints(*[1] * 9)), *AT_A, "9 entries, at most 8")


def test_more_tensors_or_operators_than_any_model_has_are_refused() -> None:
    tensor = schema.TensorT(name="t", shape=ints(1))
    g = GraphBuilder()
    g.graph.tensors = [tensor] * (MAX_TENSORS + 1)
    refused(g.build([0], [1]), f"{MAX_TENSORS + 1} tensors are too many")
    g = GraphBuilder()
    g.graph.tensors = [tensor]
    g.graph.operators = [schema.OperatorT()] * (MAX_OPERATORS + 1)
    refused(g.build([0], [0]), f"{MAX_OPERATORS + 1} operators are too many")


def quantized(scale: list[float], zero_point: list[int], axis: int = 0, **more: Any) -> Any:
    return schema.QuantizationParametersT(
        scale=np.asarray(scale, np.float32), zeroPoint=np.asarray(zero_point, np.int64), quantizedDimension=axis, **more
    )


@pytest.mark.parametrize(
    "quantization, words",
    [
        (quantized([math.nan], [0]), "the scale nan"),
        (quantized([math.inf], [0]), "the scale inf"),
        (quantized([0.0], [0]), "the scale 0.0"),
        (quantized([-0.5], [0]), "the scale -0.5"),
        (quantized([0.1, 0.1, math.nan], [0, 0, 0], 3), "the scale nan"),
        (quantized([0.1], [128]), "the zero point 128"),
        (quantized([0.1], [-129]), "the zero point -129"),
        (quantized([0.1], [2**40]), f"the zero point {2**40}"),
        (quantized([0.1] * 3, [0] * 3, 4), "along axis 4"),
        (quantized([0.1] * 3, [0] * 3, -1), "along axis -1"),
        (quantized([0.1] * 2, [0] * 2, 3), "2 scales along axis 3"),
        (quantized([0.1] * 3, [0] * 2, 3), "3 scales and 2 zero points"),
    ],
)
def test_quantization_that_means_nothing_is_refused(quantization: Any, words: str) -> None:
    refused(in_tensor(A, quantization=quantization), *AT_A, words)


def test_the_zero_point_of_uint8_has_its_own_range() -> None:
    uint8 = schema.TensorType.UINT8
    assert parse_model(in_tensor(A, type=uint8, quantization=quantized([0.1], [255]))).tensors[A].quantization
    refused(in_tensor(A, type=uint8, quantization=quantized([0.1], [-1])), *AT_A, "the zero point -1")


def test_custom_quantization_is_refused() -> None:
    custom = quantized([0.1], [0], detailsType=1, details=schema.CustomQuantizationT(custom=np.zeros(4, np.uint8)))
    refused(in_tensor(A, quantization=custom), *AT_A, "custom kind", kind=UnsupportedModelError)


# --- the graph ------------------------------------------------------------------------------------------------


def rewired(*operators: tuple[list[int], list[int]], inputs: list[int], outputs: list[int]) -> bytes:
    """ADD operators over six int8 tensors t0 … t5 as told."""
    g = GraphBuilder()
    for i in range(6):
        g.tensor(f"t{i}", (1, 4), scale=0.1)
    g.tensor("weights", (1, 4), scale=0.1, data=np.ones((1, 4)))
    for reads, writes in operators:
        g.op("ADD", reads, writes)
    return g.build(inputs, outputs)


def test_a_cycle_is_refused() -> None:
    data = rewired(([0, 2], [1]), ([1, 1], [2]), inputs=[0], outputs=[2])
    refused(data, "operator 0 (ADD), tensor 2 't2'", "operator 1 (ADD)", "cycle")


def test_an_operator_that_reads_its_own_output_is_a_cycle() -> None:
    refused(rewired(([0, 1], [1]), inputs=[0], outputs=[1]), "operator 0 (ADD), tensor 1 't1'", "cycle")


def test_operators_out_of_order_are_refused() -> None:
    data = rewired(([1, 0], [2]), ([0, 0], [1]), inputs=[0], outputs=[2])
    refused(data, "operator 0 (ADD), tensor 1 't1'", "operator 1 (ADD)", "out of order")


def test_a_dangling_input_is_refused() -> None:
    refused(rewired(([0, 5], [1]), inputs=[0], outputs=[1]), "operator 0 (ADD), tensor 5 't5'", "no operator computes")


def test_a_dangling_output_is_refused() -> None:
    refused(rewired(([0, 0], [1]), inputs=[0], outputs=[1, 4]), "tensor 4 't4'", "no operator computes it")


def test_a_tensor_that_is_written_twice_is_refused() -> None:
    data = rewired(([0, 0], [1]), ([0, 0], [1]), inputs=[0], outputs=[1])
    refused(data, "operator 1 (ADD), tensor 1 't1'", "operator 0 (ADD) has written")


def test_writing_to_a_constant_is_refused() -> None:
    refused(rewired(([0, 0], [6]), inputs=[0], outputs=[0]), "operator 0 (ADD), tensor 6 'weights'", "constant")


def test_writing_to_an_input_is_refused() -> None:
    data = rewired(([0, 0], [1]), inputs=[0, 1], outputs=[1])
    refused(data, "operator 0 (ADD), tensor 1 't1'", "writes to an input")


def test_a_graph_without_an_interface_is_refused() -> None:
    refused(rewired(([6, 6], [1]), inputs=[], outputs=[1]), "no inputs", kind=UnsupportedModelError)
    refused(rewired(([0, 0], [1]), inputs=[0], outputs=[]), "no outputs", kind=UnsupportedModelError)
    refused(rewired(inputs=[0], outputs=[0]), "no operators", kind=UnsupportedModelError)


def test_inputs_and_outputs_that_are_constants_are_refused() -> None:
    one = ([0, 0], [1])
    refused(rewired(one, inputs=[0, 6], outputs=[1]), "'weights'", "holds its value", kind=UnsupportedModelError)
    refused(rewired(one, inputs=[0], outputs=[1, 6]), "'weights'", "a constant", kind=UnsupportedModelError)
    refused(rewired(one, inputs=[0, 0], outputs=[1]), "'t0'", "listed twice")


def test_a_file_without_graphs_is_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs = []

    refused(changed(change), "no graph")


def test_the_names_of_tensors_are_escaped() -> None:
    data = in_tensor(A, name="bad\x1b[1m\r\nname\u202e", type=99)
    refused(data, r"'bad\x1b[1m\r\nname\u202e'")
