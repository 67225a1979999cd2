"""ResNet-50 for images of 224×224×3, with the stride in the 3×3 convolution ("v1.5").

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, table 1 (3.8 billion multiply-adds, with
the stride in a block's first 1×1). Moving the stride to the 3×3 is what torchvision and MLPerf use: 25,557,032
parameters and 4.09 GMAC (torchvision's documentation of ResNet50_Weights). Of those parameters 53,120 belong to batch
normalization and 1,000 are the last layer's bias. Here batch normalization is folded into the convolutions before it,
as a converter does, so each convolution has a bias and 25,502,912 weights remain.
"""

from __future__ import annotations

from tinydeploy.ir import Activation, Model, Tensor
from tinydeploy.ir.builder import NetworkBuilder

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""(channels of the 3×3, blocks, stride of the first block)."""

EXPANSION = 4


def build() -> Model:
    """25,502,912 parameters (weights), 4.09 GMAC."""
    net = NetworkBuilder("resnet50", description="ResNet-50 (2016), v1.5, 224×224×3")
    x = net.input((1, 224, 224, 3), name="image")
    x = net.conv2d(x, 64, 7, stride=2, padding=3, activation=Activation.RELU, name="conv1")
    x = net.max_pool(x, 3, stride=2, padding=1, name="pool1")
    for stage, (channels, blocks, stride) in enumerate(STAGES, 2):
        for block in range(1, blocks + 1):
            x = _bottleneck(net, x, channels, stride if block == 1 else 1, f"conv{stage}_{block}")
    return net.build(net.linear(net.global_average_pool(x, name="pool5"), 1000, name="fc"))


def _bottleneck(net: NetworkBuilder, x: Tensor, channels: int, stride: int, name: str) -> Tensor:
    out = channels * EXPANSION
    y = net.conv2d(x, channels, 1, activation=Activation.RELU, name=f"{name}/reduce")
    y = net.conv2d(y, channels, 3, stride=stride, padding=1, activation=Activation.RELU, name=f"{name}/conv")
    y = net.conv2d(y, out, 1, name=f"{name}/expand")
    if x.shape[3] != out or stride != 1:
        x = net.conv2d(x, out, 1, stride=stride, name=f"{name}/shortcut")
    return net.add(y, x, activation=Activation.RELU, name=f"{name}/add")
