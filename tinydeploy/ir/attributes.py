"""Operator attributes: one frozen class for each options table of the TFLite schema that tinydeploy reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Padding(Enum):
    """How a window meets the border. EXPLICIT is for networks described in Python only."""

    SAME = "same"
    VALID = "valid"
    EXPLICIT = "explicit"


class Activation(Enum):
    """A fused activation function, as the TFLite schema names them."""

    NONE = "none"
    RELU = "relu"
    RELU_N1_TO_1 = "relu_n1_to_1"
    RELU6 = "relu6"
    TANH = "tanh"
    SIGN_BIT = "sign_bit"


@dataclass(frozen=True)
class Attributes:
    """The root of all attribute classes."""


@dataclass(frozen=True)
class NoAttrs(Attributes):
    """For operators without options, and for options that change nothing in an int8 model."""


@dataclass(frozen=True)
class Conv2DAttrs(Attributes):
    """CONV_2D. `explicit_padding` is (top, bottom, left, right), used with `Padding.EXPLICIT` only."""

    padding: Padding
    stride_h: int
    stride_w: int
    dilation_h: int = 1
    dilation_w: int = 1
    activation: Activation = Activation.NONE
    explicit_padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class DepthwiseConv2DAttrs(Conv2DAttrs):
    """DEPTHWISE_CONV_2D: as CONV_2D, with c_out = c_in · depth_multiplier."""

    depth_multiplier: int = 1


@dataclass(frozen=True)
class TransposeConvAttrs(Attributes):
    """TRANSPOSE_CONV: the output's shape is an input of the operator."""

    padding: Padding
    stride_h: int
    stride_w: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Pool2DAttrs(Attributes):
    """AVERAGE_POOL_2D and MAX_POOL_2D. `explicit_padding` as for `Conv2DAttrs`."""

    padding: Padding
    stride_h: int
    stride_w: int
    filter_h: int
    filter_w: int
    activation: Activation = Activation.NONE
    explicit_padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class FullyConnectedAttrs(Attributes):
    """FULLY_CONNECTED. `shuffled_weights` is the schema's SHUFFLED4x16INT8 format, which int8 models do not use."""

    activation: Activation = Activation.NONE
    keep_num_dims: bool = False
    shuffled_weights: bool = False


@dataclass(frozen=True)
class ActivationAttrs(Attributes):
    """ADD, SUB, MUL: a fused activation and nothing else."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class ConcatenationAttrs(Attributes):
    """CONCATENATION along `axis` (negative counts from the end)."""

    axis: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class SoftmaxAttrs(Attributes):
    """SOFTMAX over the last axis, exp(beta · x)."""

    beta: float = 1.0


@dataclass(frozen=True)
class ReducerAttrs(Attributes):
    """MEAN and the other reductions; the axes are a constant input."""

    keep_dims: bool = False


@dataclass(frozen=True)
class ReshapeAttrs(Attributes):
    """RESHAPE; the shape may also be a constant input. `None` when the file does not give it here."""

    new_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StridedSliceAttrs(Attributes):
    """STRIDED_SLICE: bit i of a mask is about axis i. Begin, end and strides are inputs."""

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True)
class PackAttrs(Attributes):
    """PACK along a new `axis` (negative counts from the end of the output)."""

    axis: int = 0


@dataclass(frozen=True)
class UnpackAttrs(Attributes):
    """UNPACK along `axis` (negative counts from the end of the input)."""

    axis: int = 0


@dataclass(frozen=True)
class ResizeAttrs(Attributes):
    """RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR: where the output's elements lie in the input."""

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class LeakyReluAttrs(Attributes):
    """LEAKY_RELU: `alpha` is the slope below zero."""

    alpha: float = 0.0


@dataclass(frozen=True)
class SqueezeAttrs(Attributes):
    """SQUEEZE; no axes means all axes of size 1."""

    squeeze_dims: tuple[int, ...] = ()
