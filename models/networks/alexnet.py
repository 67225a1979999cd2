"""AlexNet, with its two groups, for images of 224×224×3.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section
3.5: 96 kernels 11×11×3 at stride 4, 256 of 5×5×48, 384 of 3×3×256, 384 of 3×3×192, 256 of 3×3×192, linear layers
of 4096, 4096, 1000; 60 million parameters. The paper's 224 gives its 55×55 maps with two rows of padding; many
descriptions write 227 instead. Response normalization and drop-out, which have no weights, are left out, as is usual
in deployment.
"""

from __future__ import annotations

from tinydeploy.ir import Activation, Model
from tinydeploy.ir.builder import NetworkBuilder

RELU = Activation.RELU


def build() -> Model:
    """60,954,656 parameters (weights), 724,406,816 MACs."""
    net = NetworkBuilder("alexnet", description="AlexNet (2012), two groups, 224×224×3")
    x = net.input((1, 224, 224, 3), name="image")
    x = net.conv2d(x, 96, 11, stride=4, padding=2, activation=RELU, name="conv1")
    x = net.max_pool(x, 3, stride=2, name="pool1")
    x = net.conv2d(x, 256, 5, padding=2, groups=2, activation=RELU, name="conv2")
    x = net.max_pool(x, 3, stride=2, name="pool2")
    x = net.conv2d(x, 384, 3, padding=1, activation=RELU, name="conv3")
    x = net.conv2d(x, 384, 3, padding=1, groups=2, activation=RELU, name="conv4")
    x = net.conv2d(x, 256, 3, padding=1, groups=2, activation=RELU, name="conv5")
    x = net.max_pool(x, 3, stride=2, name="pool5")
    x = net.linear(x, 4096, activation=RELU, name="fc6")
    x = net.linear(x, 4096, activation=RELU, name="fc7")
    x = net.linear(x, 1000, name="fc8")
    return net.build(x)
