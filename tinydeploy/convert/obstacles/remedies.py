"""What to do about an operator that has no int8 kernel, by families, and which of them TensorFlow Lite Micro computes.

That it does is from running a file of each with the interpreter in its wheel, or from the types that the kernel's
source (tensorflow/lite/micro/kernels) accepts.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

Runtime = Literal["tinydeploy", "tflm"]

_TFLM_TOO = """
    ABS ARG_MAX ARG_MIN BATCH_MATMUL BATCH_TO_SPACE_ND DEPTH_TO_SPACE DIV EQUAL GATHER GATHER_ND GREATER GREATER_EQUAL
    L2_NORMALIZATION LESS LESS_EQUAL LOG_SOFTMAX MIRROR_PAD NOT_EQUAL PACK PRELU REDUCE_MIN REVERSE_V2 RSQRT SELECT_V2
    SHAPE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SQUARED_DIFFERENCE SUM
"""
TFLM_TOO = frozenset(_TFLM_TOO.split())
"""What TensorFlow Lite Micro computes in int8, and tinydeploy does not."""

FIRMWARE = "end the model before it and compute it in the firmware"
BEFORE = "compute it in the firmware and start the model behind it"
FIXED_SHAPE = "give the input its whole shape, such as keras.Input((height, width, channels))"
FLOAT32 = "build it with keras.config.set_dtype_policy('float32') and load its weights"
RECURRENT = "give it unroll=True, with a fixed number of steps that each take flash, or use Conv1D over the time steps"
LOOP = f"unroll the loop, and compute both ways of a condition; a recurrent layer: {RECURRENT}"
RESIZING = "use interpolation='bilinear' or, with Resizing, 'nearest'"
_FUNCTION = "use relu, relu6, leaky_relu, hard_swish, swish, sigmoid or tanh"
_NORMALIZATION = "use BatchNormalization, which becomes part of the convolution or dense layer before it"
_COMPARISON = (
    "write it with minimum, maximum, relu, sums and products; where(), Masking and ReLU with a threshold compare"
)
_PRODUCT = "multiply by weights (Dense, Conv2D) instead of by another result, as attention does"
_REARRANGING = "use Reshape, Permute, Concatenate and slices"

_BY_OPCODE = {
    "TILE": "use interpolation='bilinear', or Resizing(…, interpolation='nearest'), to enlarge; Concatenate to repeat",
    "PRELU": "use LeakyReLU, which has one slope",
    "SUM": "use the mean, and multiply it by the count",
    "DIV": "multiply by the reciprocal, where it is a constant",
    "SQUARE": "multiply it by itself",
    "NEG": "multiply by -1",
    "ABS": "use maximum(x, -1 * x)",
    "MIRROR_PAD": "use ZeroPadding2D, or padding='same'",
    "ARG_MAX": "end with the scores; the firmware looks for the largest",
    "ARG_MIN": "end with the scores; the firmware looks for the smallest",
    "CAST": "start with an input of floats, scaled as in training",
    "REDUCE_PROD": "multiply slices",
}
_FAMILIES = {
    _FUNCTION: "ELU GELU EXP LOG LOG_SOFTMAX SIN COS",
    _NORMALIZATION: "RSQRT SQUARED_DIFFERENCE",
    _COMPARISON: "SELECT SELECT_V2 WHERE GREATER GREATER_EQUAL LESS LESS_EQUAL EQUAL NOT_EQUAL REDUCE_ANY SIGN",
    _PRODUCT: "BATCH_MATMUL",
    _REARRANGING: "PACK GATHER GATHER_ND REVERSE_V2 DEPTH_TO_SPACE SPACE_TO_DEPTH",
}

REMEDIES = MappingProxyType(
    _BY_OPCODE | {opcode: remedy for remedy, opcodes in _FAMILIES.items() for opcode in opcodes.split()}
)
"""By opcode; `FIRMWARE` is what is left for all others."""

# A layer that needs several is told the remedy of the one that says most about what the layer is.
_TELLING = ("RSQRT", "TOPK_V2", "BATCH_MATMUL", "SELECT", "SELECT_V2", "GELU", "EXP", "DIV")


def remedy_of(opcodes: list[str]) -> str:
    """What to do about a layer that needs these operators."""
    first = next((opcode for opcode in _TELLING if opcode in opcodes), opcodes[0])
    return REMEDIES.get(first, FIRMWARE)
