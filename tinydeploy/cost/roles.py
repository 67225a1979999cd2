"""Which part a constant input plays: weights, bias, table, or only the shape of things."""

from __future__ import annotations

from enum import Enum

from tinydeploy.ir import DType, Model, Operator, Tensor

_WHOLE_NUMBERS = (DType.INT32, DType.INT64, DType.UINT32, DType.UINT64, DType.BOOL)

# Input positions of (weights, bias), from the schema's comments and TensorFlow Lite's kernels.
_WEIGHTED = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}


class Role(Enum):
    """WEIGHTS and BIAS are learned and used by MACs; TABLE is any other data that the kernel reads; SHAPE is what
    is known when the code is generated (axes, paddings, a new shape) and takes no flash on the target."""

    WEIGHTS = "weights"
    BIAS = "bias"
    TABLE = "table"
    SHAPE = "shape"


def constant_roles(model: Model, op: Operator, *, learned: bool) -> list[tuple[Tensor, Role]]:
    """The operator's constant inputs with their roles, in order.

    Where the schema does not name a position weights or bias, whole numbers are shapes, axes and indices, and
    everything else is weights if the operator has parameters or nothing is known of it (`learned`), else a table.
    """
    weights_at, bias_at = _WEIGHTED.get(op.opcode, (None, None))
    # Whole numbers beside data of another type say how to move it; among whole numbers they are operands.
    arithmetic_on_whole_numbers = all(t.dtype in _WHOLE_NUMBERS for t in model.activation_inputs(op))
    found = []
    for position, index in enumerate(op.inputs):
        if index < 0 or not model.tensors[index].constant:
            continue
        tensor = model.tensors[index]
        if position == weights_at:
            role = Role.WEIGHTS
        elif position == bias_at:
            role = Role.BIAS
        elif tensor.dtype in _WHOLE_NUMBERS and not arithmetic_on_whole_numbers:
            role = Role.SHAPE
        else:
            role = Role.WEIGHTS if learned else Role.TABLE
        found.append((tensor, role))
    return found


def identity(tensor: Tensor) -> tuple[str, int]:
    """A key that two constants share when they are one thing in flash: the same tensor, or the same bytes object."""
    if tensor.data is not None and len(tensor.data) > 1:  # CPython shares one-byte objects anyway
        return "data", id(tensor.data)
    return "tensor", tensor.index
