"""From floats by the inputs' names to what a model's input tensors take, and back; without TensorFlow.

Quantization is that of TensorFlow Lite's QUANTIZE and of the generated C: single-precision division by the scale,
halves away from zero, plus the zero point, clamped.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinydeploy.convert.types import Array
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model, Quantization, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.operators.quantization import affine_quantize


def quantize_array(values: Array, scale: float, zero_point: int, dtype: str) -> Array:
    """Real values as integers of `dtype` (int8, uint8 or int16); what does not fit becomes the nearest that does."""
    limits = np.iinfo(dtype)
    floats = np.asarray(values, dtype=np.float32)
    return affine_quantize(floats, Quantization((scale,), (zero_point,)), (limits.min, limits.max)).astype(dtype)


def dequantize_array(values: Array, scale: float, zero_point: int) -> Array:
    """scale · (q − zero point) in single precision."""
    return (values.astype(np.int64) - zero_point).astype(np.float32) * np.float32(scale)


def tensor_values(tensor: Tensor, real: Array) -> Array:
    """Real values as the tensor's own type: quantized where it is."""
    q = tensor.quantization
    if q is None or tensor.dtype.label not in ("int8", "uint8", "int16"):
        return np.ascontiguousarray(real, dtype=tensor.dtype.label)
    return quantize_array(real, q.scale, q.zero_point, tensor.dtype.label)


def real_values(tensor: Tensor, values: Array) -> Array:
    """A tensor's values as real numbers."""
    q = tensor.quantization
    if q is None or values.dtype.kind == "f":
        return values.astype(np.float32)
    return dequantize_array(values, q.scale, q.zero_point)


def bind(model: Model, arrays: Mapping[str, Array]) -> dict[int, Array]:
    """Which input tensor each array, [samples, *shape], is for: by name, else the first left whose shape fits.

    The converters write an input `x` as `x` or `serving_default_x:0`. Raises `UsageError` where shapes do not fit.
    """
    free = list(model.inputs)
    found: dict[int, Array] = {}
    unnamed: list[str] = []
    for name, array in arrays.items():
        same = [index for index in free if _plain(model.tensor(index).name) == _plain(name)]
        if len(same) == 1 and _fits(model.tensor(same[0]), array):
            found[same[0]] = array
            free.remove(same[0])
        else:
            unnamed.append(name)
    for name in unnamed:
        fitting = [index for index in free if _fits(model.tensor(index), arrays[name])]
        if not fitting:
            raise UsageError(
                f"{printable(model.path or model.name)} has no input left for '{printable(name)}' of shape "
                f"{list(arrays[name].shape[1:])}"
            )
        found[fitting[0]] = arrays[name]
        free.remove(fitting[0])
    if free:
        raise UsageError(f"nothing is given for input '{printable(model.tensor(free[0]).name)}'")
    return found


def feed(model: Model, arrays: Mapping[str, Array]) -> tuple[dict[int, Array], ...]:
    """The input tensors of each sample in `arrays`, [samples, *shape], by tensor index. Raises what `bind` raises."""
    stacks = {
        index: tensor_values(model.tensor(index), array).reshape(len(array), *model.tensor(index).shape)
        for index, array in bind(model, arrays).items()
    }
    count = len(next(iter(stacks.values()))) if stacks else 0
    return tuple({index: stack[number] for index, stack in stacks.items()} for number in range(count))


def _plain(name: str) -> str:
    return name.removeprefix("serving_default_").partition(":")[0]


def _fits(tensor: Tensor, array: Array) -> bool:
    return tensor.shape in ((1, *array.shape[1:]), array.shape[1:])
