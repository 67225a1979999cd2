"""Ranges of an int8 model that calibration has made and that are hardly right, each told with its layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinydeploy.convert.types import Array
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator, SoftmaxAttrs, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.operators.softmax import exp_table

FEW_LEVELS = 16
"""Of 256: a tensor whose values all lie on fewer, but for one in a thousand, has four bits left of its eight."""

SATURATED = 0.01
"""The share of the float model's values beyond the range of the int8 tensor that is told."""

_OUTLIERS = 0.001
_MOST_TOLD = 3
_PRESCRIBED = ("SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION")
_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
VANISHING_SCALE = 1e-8
"""Of a computed tensor. The converter widens the range of one that is always zero to 2e-6: a scale of 7.8e-9."""

_LEAST_SCALE = float(np.finfo(np.float32).tiny)  # of a constant; below, single precision has lost digits


@dataclass
class Codes:
    """How often each of 256 parts of an 8- or 16-bit tensor's range has come up."""

    counts: Array = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, values: Array) -> None:
        """Count a tensor's quantized values."""
        limits = np.iinfo(values.dtype)
        places = (values.astype(np.int64).ravel() - limits.min) >> (limits.bits - 8)
        self.counts += np.bincount(places, minlength=256)

    @property
    def levels(self) -> int:
        """The fewest levels side by side that hold all but one value in a thousand."""
        allowed = int(self.counts.sum() * _OUTLIERS)
        sums = np.concatenate(([0], np.cumsum(self.counts)))
        enough = sums[-1] - allowed
        ends = np.searchsorted(sums, sums[:-1] + enough)  # for each first level, the least end that holds enough
        return int((ends - np.arange(256))[ends <= 256].min())


@dataclass
class Cut:
    """How many of the float model's values, of all, lie by more than a step beyond what the int8 tensor can hold."""

    beyond: int = 0
    values: int = 0

    def add(self, tensor: Tensor, truth: Array) -> None:
        """Count the values that the float model has for a quantized tensor."""
        low, high, step = _range(tensor)
        self.beyond += int(np.count_nonzero((truth < low - step) | (truth > high + step)))
        self.values += truth.size


def watched(model: Model) -> tuple[int, ...]:
    """The quantized tensors whose range calibration has made, in the operators' order: neither one that the kernel
    prescribes, nor one that is handed on from an input."""
    found = []
    for op in model.operators:
        handed_on = {tensor.quantization for tensor in model.activation_inputs(op)}
        for index in op.outputs:
            tensor = model.tensor(index)
            quantized = tensor.quantization is not None and tensor.dtype in (DType.INT8, DType.INT16)
            if quantized and op.opcode not in _PRESCRIBED and tensor.quantization not in handed_on:
                found.append(index)
    return tuple(found)


def refuse_vanishing(model: Model) -> None:
    """Raise `UnsupportedModelError` for a range on which the interpreters end the process instead of telling it."""
    for op in model.operators:
        if not isinstance(op.attrs, SoftmaxAttrs):
            continue
        scores = model.input_of(op, 0)
        if scores is None or scores.dtype is not DType.INT8 or scores.quantization is None:
            continue
        try:
            exp_table(scores.quantization.scale, op.attrs.beta)
        except ValueError as error:
            raise UnsupportedModelError(
                f"{_layer(model, op)}: its scores were all but the same in calibration (their scale is "
                f"{scores.quantization.scale:g}), and no interpreter runs that",
                hint="is the model trained, and are the calibration data scaled as in training?",
            ) from error


def range_warnings(model: Model, codes: Mapping[int, Codes], cuts: Mapping[int, Cut]) -> tuple[str, ...]:
    """What is suspicious, in the operators' order. `codes`: what the tensors held over the samples, by index; `cuts`:
    what the float model had for them, where that is known."""
    found: list[str] = []
    narrow: list[tuple[int, str]] = []
    for op in model.operators:
        found += _vanishing(model, op)
        found += _weights(model, op)
        for index in op.outputs:
            if index in codes and _is_narrow(codes[index]):
                narrow.append((codes[index].levels, _layer(model, op)))
            if index in cuts and cuts[index].beyond > SATURATED * cuts[index].values:
                low, high, _ = _range(model.tensor(index))
                share = cuts[index].beyond / cuts[index].values
                found.append(
                    f"{_layer(model, op)}: {share:.1%} of the values are cut off by its range {low:g}..{high:g}"
                )
    return tuple(dict.fromkeys((*found, *_few_levels(narrow))))


def _layer(model: Model, op: Operator) -> str:
    return f"{op}, '{printable(model.layer_name(op))}'"


def _range(tensor: Tensor) -> tuple[float, float, float]:
    """The least and the most that a quantized tensor can hold, and its step."""
    assert tensor.quantization is not None
    limits, q = np.iinfo(tensor.dtype.label), tensor.quantization
    return (limits.min - q.zero_point) * q.scale, (limits.max - q.zero_point) * q.scale, q.scale


def _vanishing(model: Model, op: Operator) -> Iterator[str]:
    """Of what the operator computes, of its constants, and of the model's inputs that it reads."""
    for index in (*op.inputs, *op.outputs):
        tensor = model.tensor(index) if index >= 0 else None
        if tensor is None or tensor.quantization is None:
            continue
        scale, name = min(tensor.quantization.scales), printable(tensor.name)
        if tensor.constant and scale < _LEAST_SCALE:
            yield f"{_layer(model, op)}: the scale of '{name}' is {scale:g}: these weights are all but zero"
        elif not tensor.constant and scale < VANISHING_SCALE and index in (*op.outputs, *model.inputs):
            yield f"{_layer(model, op)}: the scale of '{name}' is {scale:g}: it was all but zero in calibration"


def _weights(model: Model, op: Operator) -> Iterator[str]:
    """One scale for all channels, made by one of them."""
    axis = _CHANNELS.get(op.opcode)
    weights = model.input_of(op, 1) if axis is not None else None
    if axis is None or weights is None or weights.data is None or weights.quantization is None:
        return
    if weights.quantization.per_channel or weights.dtype.label != "int8" or weights.shape[axis] < 2:
        return
    values = np.frombuffer(weights.data, np.int8).reshape(weights.shape).astype(np.int64)
    largest = np.abs(values - weights.quantization.zero_point).max(
        axis=tuple(a for a in range(values.ndim) if a != axis)
    )
    half = int(np.median(largest))
    if half < FEW_LEVELS // 2:
        yield (
            f"{_layer(model, op)}: one scale for all channels of the weights, and half of the channels stay within "
            f"±{half} of ±127: quantize per channel"
        )


def _is_narrow(codes: Codes) -> bool:
    return int(np.count_nonzero(codes.counts)) > 1 and codes.levels < FEW_LEVELS


def _few_levels(narrow: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Of many operators, as a network that is hardly trained has them, the worst."""
    worst = sorted(narrow, key=lambda each: each[0])[:_MOST_TOLD]
    for levels, layer in worst:
        yield f"{layer}: 99.9% of the values lie on {levels} of 256 levels: its range is far wider than them"
    if len(narrow) > len(worst):
        yield f"{len(narrow) - len(worst)} more operators have values on fewer than {FEW_LEVELS} of 256 levels"
