"""How far a .tflite file is quantized: not at all, wholly, or in a way that cannot go on to int8."""

from __future__ import annotations

from typing import Literal

from tinydeploy.ir import DType, Model, Operator

Kind = Literal["float", "integer", "dynamic-range", "float16", "partly"]

_FLOATS = (DType.FLOAT32, DType.FLOAT16, DType.FLOAT64)
_BORDERS = ("QUANTIZE", "DEQUANTIZE")


def kind_of(model: Model) -> Kind:
    """What a file is. `integer`: computes in integers alone, though its inputs and outputs may be floats."""
    floats = float_operators(model)
    if not floats:
        return "integer"
    constants = [tensor for tensor in model.tensors if tensor.constant]
    quantized = [t for t in model.tensors if t.quantization is not None and t.dtype not in (*_FLOATS, DType.INT32)]
    if any(tensor.dtype is DType.FLOAT16 for tensor in constants):
        return "float16"
    if not quantized:
        return "float"
    return "dynamic-range" if all(tensor.constant for tensor in quantized) else "partly"


def float_operators(model: Model) -> tuple[Operator, ...]:
    """The operators that compute in floats; those at the ends that turn floats into integers and back are not."""
    return tuple(op for op in model.operators if op.opcode not in _BORDERS and _in_floats(model, op))


def _in_floats(model: Model, op: Operator) -> bool:
    used = (model.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0)
    return any(tensor.dtype in _FLOATS and not tensor.constant for tensor in used)
