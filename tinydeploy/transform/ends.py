"""Makes inputs and outputs int8: drops the QUANTIZE and DEQUANTIZE between them and the network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator
from tinydeploy.operators.quantization import affine_quantize
from tinydeploy.operators.registry import kind_of
from tinydeploy.transform.graph import readers_of, with_operators, writers_of
from tinydeploy.transform.original import outside_values


def int8_io(model: Model, keep: Collection[int] = ()) -> Model:
    """`model` with int8 in place of float32 and uint8 inputs and outputs, where one operator lies between.

    An input goes when a QUANTIZE to int8 is all that reads it; the int8 tensor takes its place and its name. An output
    goes when a DEQUANTIZE from int8, or a QUANTIZE from int8 to uint8, computes it and nothing else reads it.
    Conversions between int8 and uint8 must keep the scale, and a QUANTIZE must reach all 256 values, so that the
    application can feed nothing that the file could not. Tensors of `keep` (indices) stay. The model itself where
    nothing applies, or where no operator would be left.
    """
    readers, writers = readers_of(model), writers_of(model)
    inputs, outputs, tensors = list(model.inputs), list(model.outputs), list(model.tensors)
    dropped: set[int] = set()
    for position, index in enumerate(model.inputs):
        reading = readers.get(index, [])
        if len(reading) != 1 or index in (*model.outputs, *keep):
            continue
        op = model.operators[reading[0]]
        if _is_input_conversion(model, op):
            inner = op.outputs[0]
            inputs[position] = inner
            tensors[inner] = replace(tensors[inner], name=tensors[index].name)
            dropped.add(op.index)
    for position, index in enumerate(model.outputs):
        writer = writers.get(index)
        if writer is None or index in readers or index in keep:
            continue
        if _is_output_conversion(model, writer):
            outputs[position] = writer.inputs[0]
            dropped.add(writer.index)
    if len(dropped) in (0, len(model.operators)):
        return model
    changed = replace(model, inputs=tuple(inputs), outputs=tuple(outputs), tensors=tuple(tensors))
    return with_operators(changed, [op for op in model.operators if op.index not in dropped])


def _is_input_conversion(model: Model, op: Operator) -> bool:
    if op.opcode != "QUANTIZE" or not _sound(model, op):
        return False
    source, output = model.tensor(op.inputs[0]), model.output_of(op)
    if output.dtype is not DType.INT8 or output.variable or output.quantization is None:
        return False
    if source.dtype is DType.UINT8:
        return _same_scale(model, source.index, output.index)
    if source.dtype is not DType.FLOAT32:
        return False
    floats = outside_values(output, DType.FLOAT32)
    reached = affine_quantize(floats, output.quantization)
    return bool(np.isfinite(floats).all() and np.array_equal(reached, np.arange(-128, 128)))


def _is_output_conversion(model: Model, op: Operator) -> bool:
    if op.opcode not in ("QUANTIZE", "DEQUANTIZE") or not _sound(model, op):
        return False
    source, output = model.tensor(op.inputs[0]), model.output_of(op)
    if source.dtype is not DType.INT8 or source.variable or output.variable:
        return False
    return op.opcode == "DEQUANTIZE" or (output.dtype is DType.UINT8 and _same_scale(model, output.index, source.index))


def _sound(model: Model, op: Operator) -> bool:
    """Whether the operator's own rules let it through; what they refuse stays, to be refused in words."""
    kind = kind_of(op.opcode)
    if kind is None:
        return False
    try:
        kind.check(model, op)
    except UnsupportedModelError:
        return False
    return True


def _same_scale(model: Model, unsigned: int, signed: int) -> bool:
    """Whether uint8 and int8 differ by 128 and in nothing else."""
    a, b = model.tensor(unsigned).quantization, model.tensor(signed).quantization
    return a is not None and b is not None and a.scale == b.scale and a.zero_point == b.zero_point + 128
