"""MCUNet for 256 KB of SRAM and 1 MB of flash ("mcunet-in2"), ImageNet at 160×160×3.

Lin, Chen, Lin, Cohn, Gan, Han: MCUNet: Tiny Deep Learning on IoT Devices, NeurIPS 2020. The blocks are those of the
configuration that the authors publish as mcunet-256kb-1mb_imagenet; their model zoo (github.com/mit-han-lab/mcunet,
README) gives 67.3 M MACs and 0.73 M parameters. Batch normalization is folded.
"""

from __future__ import annotations

from tinydeploy.ir import Activation, Model, Padding, Tensor
from tinydeploy.ir.builder import NetworkBuilder

RESOLUTION = 160

BLOCKS = (
    (24, 16, 5, 2),
    (96, 16, 7, 1),
    (80, 16, 3, 1),
    (80, 16, 5, 1),
    (80, 24, 3, 2),
    (144, 24, 7, 1),
    (144, 24, 5, 1),
    (96, 40, 7, 2),
    (200, 40, 5, 1),
    (200, 48, 3, 1),
    (240, 48, 5, 1),
    (192, 48, 3, 1),
    (288, 96, 5, 2),
    (384, 96, 5, 1),
    (288, 96, 5, 1),
    (384, 96, 3, 1),
    (480, 160, 5, 1),
)
"""(expanded channels, output channels, kernel, stride); with a shortcut where shape allows."""


def build() -> Model:
    """67.3 M MACs, 0.73 M parameters."""
    net = NetworkBuilder("mcunet", description="MCUNet-in2 (2020), 256 KB SRAM, 160×160×3")
    x = net.input((1, RESOLUTION, RESOLUTION, 3), name="image")
    x = net.conv2d(x, 16, 3, stride=2, padding=Padding.SAME, activation=Activation.RELU6, name="conv1")
    x = net.depthwise_conv2d(x, 3, padding=Padding.SAME, activation=Activation.RELU6, name="block0/depthwise")
    x = net.conv2d(x, 8, 1, name="block0/project")
    for number, (expanded, out, kernel, stride) in enumerate(BLOCKS, 1):
        x = _block(net, x, expanded, out, kernel, stride, f"block{number}")
    return net.build(net.linear(net.global_average_pool(x, name="pool"), 1000, name="logits"))


def _block(net: NetworkBuilder, x: Tensor, expanded: int, out: int, kernel: int, stride: int, name: str) -> Tensor:
    y = net.conv2d(x, expanded, 1, activation=Activation.RELU6, name=f"{name}/expand")
    y = net.depthwise_conv2d(
        y, kernel, stride=stride, padding=Padding.SAME, activation=Activation.RELU6, name=f"{name}/depthwise"
    )
    y = net.conv2d(y, out, 1, name=f"{name}/project")
    return net.add(x, y, name=f"{name}/add") if stride == 1 and x.shape[3] == out else y
