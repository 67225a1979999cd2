"""A float model as if it were int8 already: what its operators' own rules say of it before it is quantized."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator, Quantization, Tensor
from tinydeploy.operators.registry import kind_of

QUANTIZING = frozenset({"QUANTIZE", "DEQUANTIZE", "FAKE_QUANT"})
"""What a float model has that was trained with quantization in mind: the ranges, and nothing that is computed."""

# What the rules of LOGISTIC and SOFTMAX ask of outputs; all tensors have it, so that those that must be alike are.
_ACTIVATION = Quantization((1 / 256,), (-128,))
_WEIGHTS = Quantization((1 / 256,), (0,))
_BIAS = Quantization((1 / 65536,), (0,))
_BIAS_AT = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_REASON = re.compile(r"m: operator \d+ \([A-Z0-9_]+\)(?:, tensor \d+ '')?: (.*)", re.DOTALL)
# Reasons that quantization will not take away; others may come from the numbers that are made up here.
_LASTING = re.compile(
    r"\b(?:axes|rank|at most|not be above|above \d+|more than \d+|negative slope|constant|values for)\b"
    r"|is (?!int8)\w+, .* is needed"
)


def refusals(model: Model) -> Iterator[tuple[Operator, str]]:
    """Each operator that a kernel of tinydeploy's will refuse for its shape, its attributes or its types, and why."""
    pretended = _pretend(model)
    for op in model.operators:
        kind = kind_of(op.opcode)
        if kind is None or op.opcode in QUANTIZING:
            continue
        try:
            kind.check(pretended, op)
        except UnsupportedModelError as refused:
            match = _REASON.fullmatch(refused.message)
            reason = match[1] if match is not None else refused.message
            if _LASTING.search(reason):
                yield op, reason


def _pretend(model: Model) -> Model:
    reads = [(index, at == _BIAS_AT.get(op.opcode)) for op in model.operators for at, index in enumerate(op.inputs)]
    biases = {index for index, bias in reads if bias} - {index for index, bias in reads if not bias}
    tensors = tuple(_quantized(tensor, bias=tensor.index in biases) for tensor in model.tensors)
    return replace(model, name="m", path="", tensors=tensors)


def _quantized(tensor: Tensor, *, bias: bool) -> Tensor:
    if tensor.dtype is not DType.FLOAT32:
        return replace(tensor, name="")
    dtype, quantization = (DType.INT32, _BIAS) if bias else (DType.INT8, _WEIGHTS if tensor.constant else _ACTIVATION)
    data = bytes(tensor.elements * dtype.bytes) if tensor.constant else None
    return replace(tensor, name="", dtype=dtype, quantization=quantization, data=data)
