"""Folds PAD into the convolutions that read it: their windows leave the image instead.

A convolution adds weight · (value − zero point) for each tap, so a tap on the zero point adds nothing, whether the
zero points lie in memory or the window hangs over the border.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tinydeploy.ir import Conv2DAttrs, DType, Model, Operator, Padding, Tensor
from tinydeploy.ir.shapes import window_output, window_padding
from tinydeploy.operators.rules import integers
from tinydeploy.transform.graph import readers_of, with_operators

_PADS = ("PAD", "PADV2")
_READERS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_MOST_PADDING = 65535  # that the kernels' tables can say


def fold_pads(model: Model, keep: Collection[int] = ()) -> Model:
    """`model` without each PAD and PADV2 that convolutions can do; their `explicit_padding` has its rows and columns.

    A PAD goes when it pads rows and columns alone, with the zero point, between int8 tensors of one quantization, and
    when it is read by CONV_2D and DEPTHWISE_CONV_2D only. It stays when its output is an output of the model or in
    `keep` (tensor indices), or its input is state. The model itself where there is nothing to fold.
    """
    untouchable = {*model.outputs, *keep}
    operators = {op.index: op for op in model.operators}
    readers = readers_of(model)
    # backwards, so that of two PADs in a row the second makes the first one's readers convolutions
    for pad in reversed(model.operators):
        if pad.opcode not in _PADS or len(pad.outputs) != 1 or untouchable.intersection(pad.outputs):
            continue
        sides, reading = _sides(model, pad), readers.get(pad.outputs[0], [])
        if sides is None or not reading or len(set(reading)) < len(reading):
            continue
        folded = [op for i in reading if (op := _folded(model, operators[i], pad, sides)) is not None]
        if len(folded) == len(reading):
            operators.update((op.index, op) for op in folded)
            del operators[pad.index]
            readers[pad.inputs[0]] = [i for i in readers[pad.inputs[0]] if i != pad.index] + reading
    return with_operators(model, list(operators.values())) if len(operators) < len(model.operators) else model


def _sides(model: Model, pad: Operator) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of a PAD that adds zero points around images, else None."""
    source, table, output = model.input_of(pad, 0), model.input_of(pad, 1), model.output_of(pad)
    if source is None or table is None or source.constant or source.variable or output.variable:
        return None
    if source.dtype is not DType.INT8 or output.dtype is not DType.INT8 or source.quantization != output.quantization:
        return None
    if len(source.shape) != 4 or table.data is None or table.dtype is not DType.INT32 or len(table.data) != 8 * 4:
        return None
    n_before, n_after, top, bottom, left, right, c_before, c_after = integers(table.data)
    if any((n_before, n_after, c_before, c_after)) or min(top, bottom, left, right) < 0:
        return None
    n, h, w, c = source.shape
    if output.shape != (n, h + top + bottom, w + left + right, c) or not _pads_with_zero(model, pad, output):
        return None
    return top, bottom, left, right


def _pads_with_zero(model: Model, pad: Operator, output: Tensor) -> bool:
    """Whether the value, if one is given, is the output's zero point; without one it is by definition."""
    if len(pad.inputs) == 2:
        return pad.opcode == "PAD"
    value, q = model.input_of(pad, 2), output.quantization
    if len(pad.inputs) > 3 or value is None or value.dtype is not DType.INT8 or q is None or q.per_channel:
        return False
    return value.quantization == q and value.data == q.zero_point.to_bytes(1, "little", signed=True)


def _folded(model: Model, reader: Operator, pad: Operator, sides: tuple[int, int, int, int]) -> Operator | None:
    """The convolution on the PAD's input, with the padding of both; None where it cannot be."""
    attrs, weights = reader.attrs, model.input_of(reader, 1)
    if reader.opcode not in _READERS or not isinstance(attrs, Conv2DAttrs) or len(reader.outputs) != 1:
        return None
    output = model.output_of(reader)
    if reader.inputs[0] != pad.outputs[0] or weights is None or len(weights.shape) != 4 or len(output.shape) != 4:
        return None
    source, padded = model.tensor(pad.inputs[0]), model.output_of(pad)
    strides, dilations = (attrs.stride_h, attrs.stride_w), (attrs.dilation_h, attrs.dilation_w)
    found: list[int] = []
    for axis, stride, dilation in zip((1, 2), strides, dilations, strict=True):
        outside = sides[2 * axis - 2 : 2 * axis]
        own = attrs.explicit_padding[2 * axis - 2 : 2 * axis]
        window = (weights.shape[axis], stride, dilation)
        total = _axis(source.shape[axis], padded.shape[axis], output.shape[axis], window, attrs.padding, outside, own)
        if total is None:
            return None
        found += total
    top, bottom, left, right = found
    attrs = replace(attrs, padding=Padding.EXPLICIT, explicit_padding=(top, bottom, left, right))
    return replace(reader, inputs=(source.index, *reader.inputs[1:]), attrs=attrs)


def _axis(
    extent: int,
    padded: int,
    extent_out: int,
    window: tuple[int, int, int],
    padding: Padding,
    outside: tuple[int, ...],
    own: tuple[int, ...],
) -> tuple[int, int] | None:
    """PAD's and the window's padding together along one axis, of `extent` elements before the PAD.

    `window` is (kernel, stride, dilation); `outside` is what PAD adds (before, after), `own` the convolution's
    explicit padding. None where the output would have another extent.
    """
    kernel, stride, dilation = window
    try:
        before, after = window_padding(padded, extent_out, kernel, stride, dilation, padding, (own[0], own[1]))
        total = (before + outside[0], after + outside[1])
        same = window_output(extent, kernel, stride, dilation, Padding.EXPLICIT, total) == extent_out
    except ValueError:  # a damaged model: its operator refuses it in words
        return None
    return total if same and max(total) <= _MOST_PADDING else None
