"""Which operator of the float model an operator of the int8 model is, found by what it computes; never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinydeploy.convert.types import Array
from tinydeploy.ir import Model, Operator, Quantization, Tensor

ONLY_TYPE = ("QUANTIZE", "DEQUANTIZE")
"""Operators that change how values are written, and not which values they are."""

_QUANTIZED = ("int8", "int16", "uint8")


@dataclass(frozen=True)
class Matches:
    """`tensors`: for the int8 model's, inputs and computed ones, the float model's tensor with the same meaning;
    `operators`: for the int8 model's, by index, the float model's operator."""

    tensors: Mapping[int, int]
    operators: Mapping[int, Operator]


def match(float_model: Model, int8_model: Model) -> Matches:
    """Go along the int8 operators and find for each the float operator that it was made from.

    It has the same opcode and attributes, the same shapes, corresponding inputs and the same constants, up to half a
    quantization step. Where the way from the inputs is broken (an operator was split or replaced), an output of the
    same name starts a new one. Float operators that are alike in all of this compute the same.
    """
    tensors = dict(_inputs(float_model, int8_model))
    operators: dict[int, Operator] = {}
    for op in int8_model.operators:
        if op.opcode in ONLY_TYPE:
            if op.inputs[0] in tensors:
                tensors[op.outputs[0]] = tensors[op.inputs[0]]
            continue
        twin = _twin(float_model, int8_model, op, tensors)
        if twin is not None:
            operators[op.index] = twin
            tensors.update(zip(op.outputs, twin.outputs, strict=True))
    return Matches(tensors, operators)


def _inputs(float_model: Model, int8_model: Model) -> Iterator[tuple[int, int]]:
    """The models' inputs, in pairs: both are converted from the same network, in the same order."""
    for one, other in zip(int8_model.inputs, float_model.inputs, strict=False):
        if int8_model.tensor(one).shape == float_model.tensor(other).shape:
            yield one, other


def _twin(float_model: Model, int8_model: Model, op: Operator, found: dict[int, int]) -> Operator | None:
    alike = [each for each in float_model.operators if _alike(float_model, each, int8_model, op)]
    fed = [each for each in alike if _fed_alike(float_model, each, int8_model, op, found)]
    named = [each for each in fed or alike if _names(float_model, each) == _names(int8_model, op)]
    if named:
        return named[0]
    return fed[0] if fed else None


def _alike(float_model: Model, one: Operator, int8_model: Model, other: Operator) -> bool:
    """Whether two operators do the same with whatever they are fed."""
    return (
        one.opcode == other.opcode
        and one.attrs == other.attrs
        and [float_model.tensor(i).shape for i in one.outputs] == [int8_model.tensor(i).shape for i in other.outputs]
        and [t.shape for t in float_model.activation_inputs(one)]
        == [t.shape for t in int8_model.activation_inputs(other)]
        and all(
            _same_constant(*pair)
            for pair in zip(float_model.constant_inputs(one), int8_model.constant_inputs(other), strict=False)
        )
    )


def _fed_alike(float_model: Model, one: Operator, int8_model: Model, other: Operator, found: dict[int, int]) -> bool:
    ours = [found.get(tensor.index) for tensor in int8_model.activation_inputs(other)]
    return ours == [tensor.index for tensor in float_model.activation_inputs(one)]


def _names(model: Model, op: Operator) -> Sequence[str]:
    return [model.tensor(index).name for index in op.outputs]


def _same_constant(one: Tensor, other: Tensor) -> bool:
    """Whether an int8 model's constant is the float model's; biases, in 32 bits and more, are not looked at."""
    if one.shape != other.shape:
        return False
    q = other.quantization
    if one.data is None or other.data is None or q is None or other.dtype.label not in _QUANTIZED:
        return one.dtype != other.dtype or one.data == other.data
    if one.dtype.label != "float32":
        return False
    exact = np.frombuffer(one.data, "<f4").astype(np.float64).reshape(one.shape)
    steps = np.frombuffer(other.data, np.dtype(other.dtype.label).newbyteorder("<")).reshape(other.shape)
    scale, zero_point = _along(q, q.scales, other), _along(q, q.zero_points, other)
    return bool((np.abs(exact / scale + zero_point - steps) <= 0.51).all())


def _along(q: Quantization, values: Sequence[float], tensor: Tensor) -> Array:
    """One value, or one for each slice along the quantization's axis, to compute with the tensor's values."""
    if not q.per_channel:
        return np.array(values[0], dtype=np.float64)
    shape = [1] * len(tensor.shape)
    shape[q.axis] = -1
    return np.array(values, dtype=np.float64).reshape(shape)
