"""Turns the options table of an operator into its attribute class, and refuses values that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from types import MappingProxyType

from tinydeploy.ir import (
    Activation,
    ActivationAttrs,
    Attributes,
    ConcatenationAttrs,
    Conv2DAttrs,
    DepthwiseConv2DAttrs,
    FullyConnectedAttrs,
    LeakyReluAttrs,
    NoAttrs,
    PackAttrs,
    Padding,
    Pool2DAttrs,
    ReducerAttrs,
    ReshapeAttrs,
    ResizeAttrs,
    SoftmaxAttrs,
    SqueezeAttrs,
    StridedSliceAttrs,
    TransposeConvAttrs,
    UnpackAttrs,
)
from tinydeploy.tflite.flatbuffer import MalformedError, Table
from tinydeploy.tflite.schema import OptionsType

_PADDINGS = (Padding.SAME, Padding.VALID)
_ACTIVATIONS = (
    Activation.NONE,
    Activation.RELU,
    Activation.RELU_N1_TO_1,
    Activation.RELU6,
    Activation.TANH,
    Activation.SIGN_BIT,
)


def _padding(table: Table, slot: int) -> Padding:
    value = table.integer(slot, 1)
    if not 0 <= value < len(_PADDINGS):
        raise MalformedError(f"padding has the unknown value {value}")
    return _PADDINGS[value]


def _activation(table: Table, slot: int) -> Activation:
    value = table.integer(slot, 1)
    if not 0 <= value < len(_ACTIVATIONS):
        raise MalformedError(f"the fused activation has the unknown value {value}")
    return _ACTIVATIONS[value]


def _positive(table: Table, slot: int, what: str, default: int = 0) -> int:
    value = table.integer(slot, 4, default=default)
    if value <= 0:
        raise MalformedError(f"{what} is {value}, it must be at least 1")
    return value


def _conv_2d(table: Table) -> Attributes:
    return Conv2DAttrs(
        padding=_padding(table, 0),
        stride_w=_positive(table, 1, "stride_w"),
        stride_h=_positive(table, 2, "stride_h"),
        activation=_activation(table, 3),
        dilation_w=_positive(table, 4, "dilation_w_factor", 1),
        dilation_h=_positive(table, 5, "dilation_h_factor", 1),
    )


def _depthwise_conv_2d(table: Table) -> Attributes:
    return DepthwiseConv2DAttrs(
        padding=_padding(table, 0),
        stride_w=_positive(table, 1, "stride_w"),
        stride_h=_positive(table, 2, "stride_h"),
        depth_multiplier=table.integer(3, 4),
        activation=_activation(table, 4),
        dilation_w=_positive(table, 5, "dilation_w_factor", 1),
        dilation_h=_positive(table, 6, "dilation_h_factor", 1),
    )


def _transpose_conv(table: Table) -> Attributes:
    return TransposeConvAttrs(
        padding=_padding(table, 0),
        stride_w=_positive(table, 1, "stride_w"),
        stride_h=_positive(table, 2, "stride_h"),
        activation=_activation(table, 3),
    )


def _pool_2d(table: Table) -> Attributes:
    return Pool2DAttrs(
        padding=_padding(table, 0),
        stride_w=_positive(table, 1, "stride_w"),
        stride_h=_positive(table, 2, "stride_h"),
        filter_w=_positive(table, 3, "filter_width"),
        filter_h=_positive(table, 4, "filter_height"),
        activation=_activation(table, 5),
    )


def _fully_connected(table: Table) -> Attributes:
    weights_format = table.integer(1, 1)
    if weights_format not in (0, 1):
        raise MalformedError(f"weights_format has the unknown value {weights_format}")
    return FullyConnectedAttrs(
        activation=_activation(table, 0),
        shuffled_weights=weights_format == 1,
        keep_num_dims=table.boolean(2),
    )


def _fused_activation(table: Table) -> Attributes:
    return ActivationAttrs(activation=_activation(table, 0))


def _concatenation(table: Table) -> Attributes:
    return ConcatenationAttrs(axis=table.integer(0, 4), activation=_activation(table, 1))


def _softmax(table: Table) -> Attributes:
    beta = table.float32(0)
    if not isfinite(beta):
        raise MalformedError(f"beta is {beta}")
    return SoftmaxAttrs(beta=beta)


def _reducer(table: Table) -> Attributes:
    return ReducerAttrs(keep_dims=table.boolean(0))


def _reshape(table: Table) -> Attributes:
    return ReshapeAttrs(new_shape=table.integers(0))


def _squeeze(table: Table) -> Attributes:
    return SqueezeAttrs(squeeze_dims=table.integers(0) or ())


def _strided_slice(table: Table) -> Attributes:
    return StridedSliceAttrs(
        begin_mask=table.integer(0, 4),
        end_mask=table.integer(1, 4),
        ellipsis_mask=table.integer(2, 4),
        new_axis_mask=table.integer(3, 4),
        shrink_axis_mask=table.integer(4, 4),
        offset=table.boolean(5),
    )


def _leaky_relu(table: Table) -> Attributes:
    alpha = table.float32(0)
    if not isfinite(alpha):
        raise MalformedError(f"alpha is {alpha}")
    return LeakyReluAttrs(alpha=alpha)


def _pack(table: Table) -> Attributes:
    return PackAttrs(axis=table.integer(1, 4))


def _unpack(table: Table) -> Attributes:
    return UnpackAttrs(axis=table.integer(1, 4))


def _resize_bilinear(table: Table) -> Attributes:
    return ResizeAttrs(align_corners=table.boolean(2), half_pixel_centers=table.boolean(3))


def _resize_nearest_neighbor(table: Table) -> Attributes:
    return ResizeAttrs(align_corners=table.boolean(0), half_pixel_centers=table.boolean(1))


_READERS: MappingProxyType[str, tuple[int, Callable[[Table], Attributes], Attributes | None]] = MappingProxyType(
    {
        # opcode: (options table, its reader, what stands for a missing table: None where nothing can)
        "CONV_2D": (OptionsType.CONV_2D, _conv_2d, None),
        "DEPTHWISE_CONV_2D": (OptionsType.DEPTHWISE_CONV_2D, _depthwise_conv_2d, None),
        "TRANSPOSE_CONV": (OptionsType.TRANSPOSE_CONV, _transpose_conv, None),
        "AVERAGE_POOL_2D": (OptionsType.POOL_2D, _pool_2d, None),
        "MAX_POOL_2D": (OptionsType.POOL_2D, _pool_2d, None),
        "L2_POOL_2D": (OptionsType.POOL_2D, _pool_2d, None),
        "CONCATENATION": (OptionsType.CONCATENATION, _concatenation, None),
        "SOFTMAX": (OptionsType.SOFTMAX, _softmax, None),
        "FULLY_CONNECTED": (OptionsType.FULLY_CONNECTED, _fully_connected, FullyConnectedAttrs()),
        "ADD": (OptionsType.ADD, _fused_activation, ActivationAttrs()),
        "SUB": (OptionsType.SUB, _fused_activation, ActivationAttrs()),
        "MUL": (OptionsType.MUL, _fused_activation, ActivationAttrs()),
        "DIV": (OptionsType.DIV, _fused_activation, ActivationAttrs()),
        "MEAN": (OptionsType.REDUCER, _reducer, ReducerAttrs()),
        "SUM": (OptionsType.REDUCER, _reducer, ReducerAttrs()),
        "REDUCE_PROD": (OptionsType.REDUCER, _reducer, ReducerAttrs()),
        "REDUCE_MAX": (OptionsType.REDUCER, _reducer, ReducerAttrs()),
        "REDUCE_MIN": (OptionsType.REDUCER, _reducer, ReducerAttrs()),
        "RESHAPE": (OptionsType.RESHAPE, _reshape, ReshapeAttrs()),
        "SQUEEZE": (OptionsType.SQUEEZE, _squeeze, SqueezeAttrs()),
        "STRIDED_SLICE": (OptionsType.STRIDED_SLICE, _strided_slice, StridedSliceAttrs()),
        "LEAKY_RELU": (OptionsType.LEAKY_RELU, _leaky_relu, None),
        "PACK": (OptionsType.PACK, _pack, None),
        "UNPACK": (OptionsType.UNPACK, _unpack, None),
        "RESIZE_BILINEAR": (OptionsType.RESIZE_BILINEAR, _resize_bilinear, ResizeAttrs()),
        "RESIZE_NEAREST_NEIGHBOR": (OptionsType.RESIZE_NEAREST_NEIGHBOR, _resize_nearest_neighbor, ResizeAttrs()),
    }
)


def attributes(opcode: str, options_type: int, table: Table | None) -> Attributes:
    """The attributes of an operator; `NoAttrs` for opcodes whose options tinydeploy does not read.

    `options_type` is the number of the options table in the schema's union. Raises `MalformedError` for a table
    of another opcode, a missing one that is needed, and values outside of their range.
    """
    known = _READERS.get(opcode)
    if known is None:
        return NoAttrs()
    wanted, read, default = known
    if options_type == OptionsType.NONE or table is None:
        if default is None:
            raise MalformedError("its options are missing")
        return default
    if options_type != wanted:
        raise MalformedError("its options are those of another operator")
    return read(table)
