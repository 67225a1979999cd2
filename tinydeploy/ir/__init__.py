"""The model as data: tensors, operators, attributes; and a builder for networks without weights."""

from tinydeploy.ir.attributes import (
    Activation,
    ActivationAttrs,
    Attributes,
    ConcatenationAttrs,
    Conv2DAttrs,
    DepthwiseConv2DAttrs,
    FullyConnectedAttrs,
    NoAttrs,
    Padding,
    Pool2DAttrs,
    ReducerAttrs,
    ReshapeAttrs,
    SoftmaxAttrs,
    SqueezeAttrs,
    TransposeConvAttrs,
)
from tinydeploy.ir.model import DType, Model, Operator, Quantization, Tensor

__all__ = [
    "Activation",
    "ActivationAttrs",
    "Attributes",
    "ConcatenationAttrs",
    "Conv2DAttrs",
    "DType",
    "DepthwiseConv2DAttrs",
    "FullyConnectedAttrs",
    "Model",
    "NoAttrs",
    "Operator",
    "Padding",
    "Pool2DAttrs",
    "Quantization",
    "ReducerAttrs",
    "ReshapeAttrs",
    "SoftmaxAttrs",
    "SqueezeAttrs",
    "Tensor",
    "TransposeConvAttrs",
]
