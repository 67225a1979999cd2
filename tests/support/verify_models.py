"""Small models for the verification tests: each as `Model` and as the bytes of a .tflite file, from one description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tinydeploy.ir import DType, Model, NoAttrs, Operator, Quantization, Tensor


@dataclass(frozen=True)
class Options:
    """The name of an options table in the schema, and its fields."""

    table: str
    fields: dict[str, Any]


def model_and_bytes(
    tensors: Sequence[Tensor],
    operators: Sequence[tuple[str, Sequence[int], Sequence[int], Options | None]],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> tuple[Model, bytes]:
    """The model both ways. Skips the test when the schema (in ai-edge-litert) is not installed."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="pip install 'tinydeploy[verify]'")
    flatbuffers = pytest.importorskip("flatbuffers", reason="pip install flatbuffers")
    model = Model(
        name="small",
        tensors=tuple(tensors),
        operators=tuple(
            Operator(i, opcode, tuple(ins), tuple(outs), NoAttrs())
            for i, (opcode, ins, outs, _) in enumerate(operators)
        ),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
    buffers = [schema.BufferT()]
    file_tensors = []
    for tensor in tensors:
        made = schema.TensorT()
        made.name = tensor.name
        made.shape = list(tensor.shape)
        made.type = getattr(schema.TensorType, tensor.dtype.label.upper())
        made.isVariable = tensor.variable
        made.buffer = 0
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = list(tensor.data)
            made.buffer = len(buffers)
            buffers.append(buffer)
        if tensor.quantization is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = list(tensor.quantization.scales)
            made.quantization.zeroPoint = list(tensor.quantization.zero_points)
        file_tensors.append(made)
    codes: list[str] = []
    file_operators = []
    for opcode, ins, outs, options in operators:
        if opcode not in codes:
            codes.append(opcode)
        op = schema.OperatorT()
        op.opcodeIndex = codes.index(opcode)
        op.inputs, op.outputs = list(ins), list(outs)
        if options is not None:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, options.table)
            op.builtinOptions = getattr(schema, options.table + "T")()
            for key, value in options.fields.items():
                setattr(op.builtinOptions, key, value)
        file_operators.append(op)
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = file_tensors, file_operators
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    root = schema.ModelT()
    root.version = 3
    root.subgraphs, root.buffers = [graph], buffers
    root.operatorCodes = []
    for opcode in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, opcode)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        root.operatorCodes.append(code)
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), file_identifier=b"TFL3")
    return model, bytes(builder.Output())


def int8(index: int, name: str, shape: Sequence[int], scale: float = 1.0, zero_point: int = 0) -> Tensor:
    """An int8 tensor."""
    return Tensor(index, name, tuple(shape), DType.INT8, Quantization((scale,), (zero_point,)))


def float32(index: int, name: str, shape: Sequence[int]) -> Tensor:
    """A float32 tensor."""
    return Tensor(index, name, tuple(shape), DType.FLOAT32)


def constant(tensor: Tensor, data: bytes) -> Tensor:
    """The tensor as a constant."""
    return replace(tensor, constant=True, data=data)


def add_then_relu() -> tuple[Model, bytes]:
    """relu(a + b) on int8[1, 4] with scale 1 and zero point 0 throughout: integers in, integers out."""
    return model_and_bytes(
        [int8(0, "a", (1, 4)), int8(1, "b", (1, 4)), int8(2, "sum", (1, 4)), int8(3, "out", (1, 4))],
        [("ADD", (0, 1), (2,), Options("AddOptions", {})), ("RELU", (2,), (3,), None)],
        (0, 1),
        (3,),
    )


def delay_line(*, bias: bool = True) -> tuple[Model, bytes]:
    """SVDF in float that adds its input and the one before: y(t) = x(t) + x(t − 1), x(−1) = 0. It keeps a state."""
    one = bytes.fromhex("0000803f")
    return model_and_bytes(
        [
            float32(0, "x", (1, 1)),
            constant(float32(1, "feature", (1, 1)), one),
            constant(float32(2, "time", (1, 2)), one * 2),
            replace(float32(3, "state", (1, 2)), variable=True),
            float32(4, "y", (1, 1)),
            constant(float32(5, "bias", (1,)), bytes(4)),
        ],
        [("SVDF", (0, 1, 2, 5 if bias else -1, 3), (4,), Options("SVDFOptions", {"rank": 1}))],
        (0,),
        (4,),
    )


def quantize(scale: float, zero_point: int, shape: Sequence[int] = (1, 4096)) -> tuple[Model, bytes]:
    """A float input that a QUANTIZE turns to int8."""
    return model_and_bytes(
        [float32(0, "x", shape), int8(1, "q", shape, scale, zero_point)],
        [("QUANTIZE", (0,), (1,), None)],
        (0,),
        (1,),
    )
