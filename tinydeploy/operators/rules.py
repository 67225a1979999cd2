"""Rules that the families share: what a tensor must be for an int8 kernel, and shapes as the runtime walks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import Activation, DType, Model, Operator, Quantization, Tensor
from tinydeploy.operators.base import CONVERT_HINT, ConstArray, refuse, require_dtype
from tinydeploy.operators.fixed_point import activation_range

MOST_BYTES = (1 << 31) - 1
"""Kernels count bytes of one tensor in int32."""

MOVES_BYTES = "moves bytes, computes nothing"
"""How the work of an operator that only copies is counted."""

_LIMITS = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}


def require_arity(model: Model, op: Operator, least: int, most: int | None = None) -> None:
    """Between `least` and `most` (default: `least`) inputs, the first `least` of them there, and one output."""
    most = least if most is None else most
    if not least <= len(op.inputs) <= most or len(op.outputs) != 1:
        raise refuse(model, op, f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs")
    if any(i < 0 for i in op.inputs[:least]):
        raise refuse(model, op, "an input is missing")


def require_size(model: Model, op: Operator, tensor: Tensor) -> None:
    """Not empty, and small enough for int32."""
    if min(tensor.shape, default=1) < 1:
        raise refuse(model, op, f"has shape {list(tensor.shape)}, without elements", tensor=tensor)
    if tensor.bytes > MOST_BYTES:
        raise refuse(model, op, f"has {tensor.bytes} bytes, more than kernels can count", tensor=tensor)


def require_computed(model: Model, op: Operator, position: int, *allowed: DType) -> Tensor:
    """The input at `position`: of an allowed type, not constant, of a size that kernels can count."""
    tensor = model.tensor(op.inputs[position])
    require_dtype(model, op, tensor, *allowed)
    if tensor.constant:
        raise refuse(model, op, "a constant input is not supported", tensor=tensor)
    require_size(model, op, tensor)
    return tensor


def require_output(model: Model, op: Operator, *allowed: DType) -> Tensor:
    """The output, of an allowed type and a size that kernels can count."""
    tensor = model.output_of(op)
    require_dtype(model, op, tensor, *allowed)
    require_size(model, op, tensor)
    return tensor


def require_shape(model: Model, op: Operator, tensor: Tensor, shape: Sequence[int]) -> None:
    """The output has the shape that the operator computes."""
    if tensor.shape != tuple(shape):
        why = f"has shape {list(tensor.shape)}, the operator computes {list(shape)}"
        raise refuse(model, op, why, tensor=tensor)


def quantized(model: Model, op: Operator, tensor: Tensor) -> Quantization:
    """The per-tensor quantization: one finite positive scale, a zero point inside the type's range."""
    q = tensor.quantization
    if q is None:
        raise refuse(model, op, "has no scale and zero point", tensor=tensor, hint=CONVERT_HINT)
    if q.per_channel:
        raise refuse(model, op, "an activation with one scale for each channel is not supported", tensor=tensor)
    if not (isfinite(q.scale) and q.scale > 0):
        raise refuse(model, op, f"has the scale {q.scale:g}", tensor=tensor)
    low, high = _LIMITS[tensor.dtype]
    if not low <= q.zero_point <= high:
        raise refuse(model, op, f"has the zero point {q.zero_point}, outside of its type", tensor=tensor)
    return q


def clamp_bounds(model: Model, op: Operator, activation: Activation, output: Quantization) -> tuple[int, int]:
    """The int8 bounds of a fused activation that is a clamp."""
    try:
        return activation_range(activation, output)
    except ValueError as e:
        raise refuse(model, op, str(e)) from e


def require_data(model: Model, op: Operator, tensor: Tensor, what: str) -> bytes:
    """The bytes of a tensor that must be constant."""
    if not tensor.constant or tensor.data is None:
        raise refuse(model, op, f"the {what} must be constant", tensor=tensor)
    if len(tensor.data) != tensor.bytes:
        raise refuse(model, op, f"has {len(tensor.data)} bytes of data for {tensor.bytes}", tensor=tensor)
    return tensor.data


def require_integers(model: Model, op: Operator, position: int, what: str) -> tuple[int, ...]:
    """The values of the constant int32 input at `position`."""
    tensor = model.tensor(op.inputs[position])
    require_dtype(model, op, tensor, DType.INT32)
    return integers(require_data(model, op, tensor, what))


def integers(data: bytes) -> tuple[int, ...]:
    """Little-endian int32 values."""
    return tuple(int(v) for v in np.frombuffer(data, "<i4"))


def constant_bytes(tensor: Tensor) -> ConstArray | None:
    """An int8 constant's values as they are, or None for a tensor that is computed."""
    if not tensor.constant:
        return None
    return ConstArray("int8_t", np.frombuffer(tensor.data or b"", np.int8), "weights")


def index_table(rows: Sequence[Sequence[int]]) -> ConstArray:
    """Small integers that tell a kernel how to walk; a table in flash."""
    values: NDArray[np.int32] = np.array(rows, np.int32).reshape(-1)
    return ConstArray("int32_t", values, "table")


@dataclass(frozen=True)
class RowAxes:
    """A shape as the runtime sees it: `outer` axes count rows, each row holds `columns` × `depth` elements."""

    outer: tuple[int, ...]
    columns: int
    depth: int

    @property
    def row_elements(self) -> int:
        """Elements in one row."""
        return self.columns * self.depth


def row_axes(shape: Sequence[int]) -> RowAxes:
    """(N, H) and (W, C) for rank 4, else all axes but the last and the last; see `base.rows_of`."""
    if len(shape) == 4:
        return RowAxes(tuple(shape[:2]), shape[2], shape[3])
    return RowAxes(tuple(shape[:-1]), 1, shape[-1] if shape else 1)


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements between neighbours along each axis of a tensor without gaps."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
