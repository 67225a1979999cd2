"""What each kernel of TensorFlow Lite Micro takes from the arena: parsed options, state, tables, scratch.

Sizes are `sizeof` and `alignof` under the Arm EABI of arm-none-eabi-gcc, whose enumerations take as few bytes as they
can (`-fshort-enums`, the default), from TFLM's sources: the options in tensorflow/lite/core/c/builtin_op_data.h, the
states (OpData) and the requests in tensorflow/lite/micro/kernels/*.cc and, for CMSIS-NN, kernels/cmsis_nn/*.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tinydeploy.ir import DType, Model, Operator, Tensor
from tinydeploy.plan.tflm import cmsis_nn

KernelSet = Literal["reference", "cmsis-nn"]

_INT16_TABLE_BYTES = 513 * 2  # one table of softmax for int16


@dataclass(frozen=True)
class KernelMemory:
    """The arena of one operator, in bytes, in the order of the requests.

    `options` is (size, alignment) of the parsed options, `state` what the kernel keeps from its initialisation,
    `tables` what it adds when shapes are known; these stay. `scratch` buffers live while the operator runs. `known` is
    False where a part of this is missing.
    """

    options: tuple[int, int] = (0, 1)
    state: int = 0
    tables: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()
    known: bool = True


_OPTIONS = MappingProxyType(
    {
        "ADD": (2, 1),
        "ARG_MAX": (1, 1),
        "ARG_MIN": (1, 1),
        "AVERAGE_POOL_2D": (40, 4),
        "CAST": (2, 1),
        "CONCATENATION": (8, 4),
        "CONV_2D": (28, 4),
        "DEPTHWISE_CONV_2D": (28, 4),
        "DEPTH_TO_SPACE": (4, 4),
        "DIV": (1, 1),
        "FULLY_CONNECTED": (5, 1),
        "GATHER": (8, 4),
        "LEAKY_RELU": (4, 4),
        "MAX_POOL_2D": (40, 4),
        "MEAN": (1, 1),
        "MIRROR_PAD": (1, 1),
        "MUL": (1, 1),
        "PACK": (8, 4),
        "REDUCE_MAX": (1, 1),
        "REDUCE_MIN": (1, 1),
        "RESHAPE": (36, 4),
        "RESIZE_BILINEAR": (2, 1),
        "RESIZE_NEAREST_NEIGHBOR": (2, 1),
        "SHAPE": (1, 1),
        "SOFTMAX": (4, 4),
        "SPACE_TO_DEPTH": (4, 4),
        "SPLIT": (4, 4),
        "SPLIT_V": (4, 4),
        "SQUEEZE": (36, 4),
        "STRIDED_SLICE": (24, 4),
        "SUB": (2, 1),
        "SUM": (1, 1),
        "TRANSPOSE_CONV": (16, 4),
        "UNPACK": (8, 4),
    }
)
"""(size, alignment) of the options, for the opcodes that have some."""

_STATE = MappingProxyType(
    {
        "ADD": 60,
        "ARG_MAX": 0,
        "ARG_MIN": 0,
        "AVERAGE_POOL_2D": 32,
        "CAST": 0,
        "CONCATENATION": 24,
        "CONV_2D": 56,
        "DEPTHWISE_CONV_2D": 56,
        "DEPTH_TO_SPACE": 0,
        "DEQUANTIZE": 32,
        "DIV": 28,
        "ELU": 256,
        "EXPAND_DIMS": 0,
        "FULLY_CONNECTED": 48,
        "GATHER": 0,
        "HARD_SWISH": 20,
        "LEAKY_RELU": 24,
        "LOGISTIC": 16,
        "MAXIMUM": 0,
        "MAX_POOL_2D": 32,
        "MEAN": 44,
        "MINIMUM": 0,
        "MIRROR_PAD": 20,
        "MUL": 36,
        "PACK": 0,
        "PAD": 56,
        "PADV2": 56,
        "PRELU": 28,
        "QUANTIZE": 32,
        "REDUCE_MAX": 44,
        "REDUCE_MIN": 44,
        "RELU": 28,
        "RELU6": 8,
        "RESHAPE": 0,
        "RESIZE_BILINEAR": 0,
        "RESIZE_NEAREST_NEIGHBOR": 0,
        "SHAPE": 0,
        "SLICE": 0,
        "SOFTMAX": 56,
        "SPACE_TO_DEPTH": 0,
        "SPLIT": 0,
        "SPLIT_V": 0,
        "SQUEEZE": 0,
        "STRIDED_SLICE": 84,
        "SUB": 52,
        "SUM": 44,
        "TANH": 16,
        "TRANSPOSE": 0,
        "TRANSPOSE_CONV": 72,
        "UNPACK": 0,
    }
)
"""The state's size with reference kernels, for the opcodes whose kernels are known here."""

_CMSIS_NN_STATE = MappingProxyType(
    {
        "AVERAGE_POOL_2D": 36,
        "CONV_2D": 60,
        "DEPTHWISE_CONV_2D": 60,
        "FULLY_CONNECTED": 72,
        "MAX_POOL_2D": 36,
        "SOFTMAX": 64,
        "TRANSPOSE_CONV": 76,
    }
)
"""The state's size where CMSIS-NN's kernel has another one."""

_PER_CHANNEL = MappingProxyType({"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0})
"""The axis of the weights that has a multiplier and a shift for each element."""

_OWN_SHAPE = frozenset({"DEPTH_TO_SPACE", "GATHER", "SPACE_TO_DEPTH"})
"""Kernels that keep a copy of the output's shape."""

_WINDOWED = frozenset({*_PER_CHANNEL, "AVERAGE_POOL_2D"})
"""Kernels whose requests depend on the extents of tensors of rank 4."""

_CMSIS_NN_SCRATCH = frozenset({*_WINDOWED, "FULLY_CONNECTED"})
"""Kernels of CMSIS-NN that ask for scratch."""


def kernel_memory(model: Model, op: Operator, kernels: KernelSet, *, dsp: bool) -> KernelMemory:
    """What the operator's kernel takes. Nothing is asked of the model: what does not fit makes the result not `known`.

    `dsp` says that CMSIS-NN is compiled for a core with the DSP extension.
    """
    transposed = op.opcode == "TRANSPOSE_CONV"
    data = model.input_of(op, 2 if transposed else 0)
    weights = model.input_of(op, 1)
    options = _OPTIONS.get(op.opcode, (0, 1))
    if op.opcode not in _STATE or data is None or not op.outputs:
        return KernelMemory(options, known=False)
    output = model.output_of(op)
    optimized = kernels == "cmsis-nn"
    state = _STATE[op.opcode]
    if optimized:
        state = _CMSIS_NN_STATE.get(op.opcode, state)
    if op.opcode in _WINDOWED:
        shapes = [data.shape, output.shape, *([weights.shape] if weights is not None else [])]
        if any(len(shape) != 4 for shape in shapes) or (weights is None and op.opcode in _PER_CHANNEL):
            return KernelMemory(options, state, known=False)
    tables = _tables(op, data, weights, output, optimized=optimized)
    if not (optimized and op.opcode in _CMSIS_NN_SCRATCH and data.dtype is not DType.FLOAT32):
        return KernelMemory(options, state, tables, _reference_scratch(op, data, weights, output))
    if data.dtype not in (DType.INT8, DType.INT16):
        return KernelMemory(options, state, tables, known=False)
    return KernelMemory(options, state, tables, cmsis_nn.scratch(op, data, weights, output, dsp=dsp))


def _tables(op: Operator, data: Tensor, weights: Tensor | None, output: Tensor, *, optimized: bool) -> tuple[int, ...]:
    """What a kernel adds to its state when it prepares: multipliers and shifts, tables, a copy of the shape."""
    if op.opcode in _OWN_SHAPE:
        return (4 * (1 + len(output.shape)),)
    if op.opcode == "SOFTMAX" and data.dtype is DType.INT16:
        return (_INT16_TABLE_BYTES, _INT16_TABLE_BYTES)
    if weights is None:
        return ()
    channels = 0
    if op.opcode in _PER_CHANNEL:
        # CMSIS-NN's wrappers of convolutions leave them out for float, the reference kernels do not
        left_out = optimized and op.opcode != "TRANSPOSE_CONV" and data.dtype is DType.FLOAT32
        channels = 0 if left_out else weights.shape[_PER_CHANNEL[op.opcode]]
    elif op.opcode == "FULLY_CONNECTED" and data.dtype is not DType.FLOAT32:
        quantization = weights.quantization
        channels = len(quantization.scales) if quantization is not None and quantization.per_channel else 0
    return (4 * channels, 4 * channels) if channels else ()


def _reference_scratch(op: Operator, data: Tensor, axes: Tensor | None, output: Tensor) -> tuple[int, ...]:
    """The scratch of the reference kernels; `axes` is the second input."""
    match op.opcode:
        case "MEAN" | "SUM" | "REDUCE_MAX" | "REDUCE_MIN" if axes is not None:
            sums = op.opcode in ("MEAN", "SUM") and data.dtype in (DType.INT8, DType.INT16)
            return (*((4 * output.elements,) if sums else ()), 4 * len(data.shape), 4 * axes.elements)
        case "TRANSPOSE_CONV" if data.dtype in (DType.INT8, DType.INT16):
            return ((4 if data.dtype is DType.INT8 else 8) * output.elements,)
        case "MIRROR_PAD":
            return (4 * len(data.shape),) * 2
    return ()
