"""Folds operators that compute shapes from shapes into constants: all shapes are known when the file is read.

Keras leaves the batch open, so the converter writes SHAPE, STRIDED_SLICE, PACK or CONCATENATION before a RESHAPE or a
TRANSPOSE_CONV whose shape would otherwise be constant. TensorFlow Lite Micro computes the same numbers in every run.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from math import prod
from struct import pack, unpack

from tinydeploy.ir import ConcatenationAttrs, DType, Model, Operator, PackAttrs, StridedSliceAttrs, Tensor

_MOST_VALUES = 64  # of a shape, or of what is made of a few; anything longer is no shape

Values = tuple[int, ...]


def fold_shapes(model: Model) -> Model:
    """The model without the operators whose results are known, which become constants; the rest is numbered anew.

    Only int32 vectors and scalars are folded, in the forms that converters write; tensors keep their indices. What the
    graph puts out is never folded.
    """
    tensors = list(model.tensors)
    kept: list[Operator] = []
    folded: list[Operator] = []
    for op in model.operators:
        values = None if set(op.outputs) & set(model.outputs) else _values_of(op, tensors)
        if values is None:
            kept.append(replace(op, index=len(kept)))
        else:
            folded.append(op)
            index = op.outputs[0]
            tensors[index] = replace(tensors[index], constant=True, data=pack(f"<{len(values)}i", *values))
    if not folded:
        return model
    return replace(model, tensors=tuple(tensors), operators=tuple(kept), folded_operators=tuple(folded))


def _values_of(op: Operator, tensors: list[Tensor]) -> Values | None:
    """What the operator computes, or None where that is not known or does not fit the output's shape."""
    if len(op.outputs) != 1 or not op.inputs or min(op.inputs) < 0:
        return None
    output = tensors[op.outputs[0]]
    if output.dtype is not DType.INT32 or output.variable or len(output.shape) > 1 or output.elements > _MOST_VALUES:
        return None
    values: Values | None
    if op.opcode == "SHAPE":
        values = tensors[op.inputs[0]].shape if len(op.inputs) == 1 else None
    else:
        inputs = [tensors[i] for i in op.inputs]
        known = [_known(tensor) for tensor in inputs]
        given = [v for v in known if v is not None]
        if len(given) < len(known):
            return None
        values = _computed(op, inputs, given)
    # prod: of the shape as it is, without elements an empty list
    return values if values is not None and len(values) == prod(output.shape) else None


def _known(tensor: Tensor) -> Values | None:
    """The values of a constant int32 vector or scalar."""
    if tensor.data is None or tensor.dtype is not DType.INT32 or len(tensor.shape) > 1:
        return None
    if not 0 < len(tensor.data) <= 4 * _MOST_VALUES:
        return None
    return unpack(f"<{len(tensor.data) // 4}i", tensor.data)


def _computed(op: Operator, inputs: list[Tensor], values: list[Values]) -> Values | None:
    attrs = op.attrs
    if isinstance(attrs, StridedSliceAttrs):
        return _slice(attrs, inputs, values)
    scalars = all(not tensor.shape for tensor in inputs)
    if isinstance(attrs, PackAttrs) and scalars and attrs.axis in (0, -1):
        return tuple(chain.from_iterable(values))
    vectors = all(len(tensor.shape) == 1 for tensor in inputs)
    if isinstance(attrs, ConcatenationAttrs) and vectors and attrs.axis in (0, -1):
        return tuple(chain.from_iterable(values))
    return None


def _slice(attrs: StridedSliceAttrs, inputs: list[Tensor], values: list[Values]) -> Values | None:
    """A slice of a vector with step 1, or one element of it."""
    if len(values) != 4 or len(inputs[0].shape) != 1 or any(len(v) != 1 for v in values[1:]):
        return None
    if attrs.ellipsis_mask or attrs.new_axis_mask or attrs.offset:
        return None
    vector, (begin,), (end,), (step,) = values
    if step != 1:
        return None
    first = None if attrs.begin_mask & 1 else begin
    if attrs.shrink_axis_mask & 1:
        position = 0 if first is None else first
        return (vector[position],) if -len(vector) <= position < len(vector) else None
    return vector[first : None if attrs.end_mask & 1 else end]
