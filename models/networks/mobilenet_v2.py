"""MobileNetV2 at any width and resolution; 1.0 and 224 unless asked otherwise.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2
(blocks) and table 4 (3.4 M parameters, 300 M multiply-adds). Exactly 3,504,872 parameters with batch normalization in
torchvision (documentation of MobileNet_V2_Weights). Widths as tensorflow.org's list for
tf.keras.applications.mobilenet_v2 (MACs, parameters): 1.4_224 582 M, 6.06 M; 1.0_224 300 M, 3.47 M; 1.0_96 56 M,
3.47 M; 0.75_224 209 M, 2.61 M; 0.35_224 59 M, 1.66 M. Batch normalization is folded.
"""

from __future__ import annotations

from tinydeploy.ir import Activation, Model, Padding, Tensor
from tinydeploy.ir.builder import NetworkBuilder

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, repeats, stride of the first)."""


def build(width: float = 1.0, resolution: int = 224, classes: int = 1000) -> Model:
    """At 1.0 and 224: 3,469,760 parameters (weights), 300.8 M MACs."""
    net = NetworkBuilder(
        "mobilenet_v2", description=f"MobileNetV2 (2018), width {width:g}, {resolution}×{resolution}×3"
    )
    x = net.input((1, resolution, resolution, 3), name="image")
    x = net.conv2d(x, scaled(32, width), 3, stride=2, padding=Padding.SAME, activation=Activation.RELU6, name="conv1")
    number = 0
    for expansion, channels, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            number += 1
            first_stride = stride if repeat == 0 else 1
            x = _inverted_residual(net, x, expansion, scaled(channels, width), first_stride, f"block{number}")
    # the paper's 1280 features do not shrink with the width, but grow
    x = net.conv2d(x, scaled(1280, max(1.0, width)), 1, activation=Activation.RELU6, name="features")
    return net.build(net.linear(net.global_average_pool(x, name="pool"), classes, name="logits"))


def scaled(channels: int, width: float) -> int:
    """`channels` · `width` to the nearest multiple of 8, at least 8, and not more than 10% below the product."""
    product = channels * width
    rounded = max(8, int(product + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * product else rounded


def _inverted_residual(net: NetworkBuilder, x: Tensor, expansion: int, out: int, stride: int, name: str) -> Tensor:
    y = x
    if expansion != 1:
        y = net.conv2d(y, x.shape[3] * expansion, 1, activation=Activation.RELU6, name=f"{name}/expand")
    y = net.depthwise_conv2d(
        y, 3, stride=stride, padding=Padding.SAME, activation=Activation.RELU6, name=f"{name}/depthwise"
    )
    y = net.conv2d(y, out, 1, name=f"{name}/project")
    return net.add(x, y, name=f"{name}/add") if stride == 1 and x.shape[3] == out else y
