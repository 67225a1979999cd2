"""VGG-16 (configuration D) for images of 224×224×3.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, tables 1 and 2:
138 million parameters. With its biases 138,357,544 parameters (torchvision's documentation of VGG16_Weights, which
also gives 15.47 GMAC).
"""

from __future__ import annotations

from tinydeploy.ir import Activation, Model, Padding
from tinydeploy.ir.builder import NetworkBuilder

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""(channels, convolutions) between two poolings."""


def build() -> Model:
    """138,344,128 parameters (weights; 138,357,544 with biases), 15.47 GMAC."""
    net = NetworkBuilder("vgg16", description="VGG-16 (2015), configuration D, 224×224×3")
    x = net.input((1, 224, 224, 3), name="image")
    for block, (channels, repeats) in enumerate(BLOCKS, 1):
        for i in range(1, repeats + 1):
            x = net.conv2d(x, channels, 3, padding=Padding.SAME, activation=Activation.RELU, name=f"conv{block}_{i}")
        x = net.max_pool(x, 2, name=f"pool{block}")
    x = net.linear(x, 4096, activation=Activation.RELU, name="fc6")
    x = net.linear(x, 4096, activation=Activation.RELU, name="fc7")
    x = net.linear(x, 1000, name="fc8")
    return net.build(x)
