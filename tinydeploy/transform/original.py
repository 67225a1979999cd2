"""From a model with int8 ends back to its file: the values there that an int8 value stands for.

The reference interpreters run the file as it is, with floats or uint8 at its ends. Here the int8 inputs become inputs
of the file whose QUANTIZE gives exactly those int8 values, and int8 outputs become what its DEQUANTIZE makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import DType, Model, Tensor

Sample = Mapping[int, NDArray[Any]]


def original_inputs(original: Model, model: Model, sample: Sample) -> dict[int, NDArray[Any]]:
    """The inputs of `original` that are the inputs `sample` of `model`, which `int8_io` made from it.

    `sample` has one array for each input, by tensor index. What the file's QUANTIZE makes of the result is `sample`,
    exactly.
    """
    found = _renamed(original, model, original.inputs, model.inputs, sample)
    return {index: found[index] for index in original.inputs}


def original_outputs(original: Model, model: Model, sample: Sample) -> dict[int, NDArray[Any]]:
    """`sample`, tensors of `model` by index with all of its outputs, together with the outputs of `original`.

    Floats are what the file's DEQUANTIZE computes, bit by bit.
    """
    return _renamed(original, model, original.outputs, model.outputs, sample)


def outside_values(tensor: Tensor, dtype: DType) -> NDArray[Any]:
    """What int8 `tensor` means in `dtype`: 256 values, for −128 to 127.

    Floats are scale · (value − zero point) rounded once, as DEQUANTIZE computes them (it multiplies in double
    precision, where the product is exact, and rounds that). uint8 is int8 + 128: the same scale, another zero point.
    """
    values = np.arange(-128, 128)
    if dtype is DType.UINT8:
        return (values + 128).astype(np.uint8)
    if dtype is not DType.FLOAT32 or tensor.quantization is None:
        raise ValueError(f"tensor {tensor.index} has no {dtype.label} beside its int8")
    q = tensor.quantization
    with np.errstate(over="ignore"):
        return np.float32(q.scale) * (values - q.zero_point).astype(np.float32)


def _renamed(
    original: Model, model: Model, outside: Sequence[int], inside: Sequence[int], sample: Sample
) -> dict[int, NDArray[Any]]:
    """`sample` and what its tensors `inside` are as `outside`, the tensors in whose place they are."""
    found = dict(sample)
    for there, here in zip(outside, inside, strict=True):
        if there != here:
            table = outside_values(model.tensor(here), original.tensor(there).dtype)
            found[there] = table[sample[here].astype(np.int16) + 128]
    return found
