"""What an operator computes with, beside shapes: its attributes, and digests of its constants and of its scales.

Two operators that are alike in all of it compute the same. Neither names nor numbers of tensors are part of it, and
the digests are short: they tell that something is another, and hold nothing against who wants them to be equal.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields
from enum import Enum
from typing import Any

from tinydeploy.ir import Model, Operator

_DIGITS = 16


def arithmetic_data(model: Model, op: Operator) -> dict[str, Any]:
    """`attributes` by name; `constants` and `quantization`, a digest each, or None where there is nothing."""
    constants, quantization = hashlib.sha256(), hashlib.sha256()
    held = quantized = False
    for index in (*op.inputs, *op.outputs):
        tensor = None if index < 0 else model.tensor(index)
        if tensor is not None and tensor.data is not None:
            constants.update(f"{tensor.dtype.label} {tensor.shape};".encode())
            constants.update(tensor.data)
            held = True
        scales = None if tensor is None else tensor.quantization
        quantization.update(repr(scales and (scales.scales, scales.zero_points, scales.axis)).encode())
        quantized |= scales is not None
    return {
        "attributes": {each.name: _plain(getattr(op.attrs, each.name)) for each in fields(op.attrs)},
        "constants": constants.hexdigest()[:_DIGITS] if held else None,
        "quantization": quantization.hexdigest()[:_DIGITS] if quantized else None,
    }


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
