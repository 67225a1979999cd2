"""Networks of PADs and what reads them: hand-made ones layer by layer, and random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from tests.support.random_models import ACTIVATIONS, Rng, pick
from tests.support.tflite_writer import GraphBuilder, Quant

Sides = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass
class Layers:
    """A graph that grows layer by layer; each method returns the new tensor's index."""

    rng: Rng
    g: GraphBuilder = field(default_factory=GraphBuilder)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    quants: dict[int, Quant] = field(default_factory=dict)

    def tensor(self, shape: Sequence[int], quant: Quant, dtype: str = "int8") -> int:
        """A tensor that is given or computed."""
        scale = None if dtype == "float32" else quant[0]
        name = f"{dtype}_{len(self.g.graph.tensors)}"
        index = self.g.tensor(name, shape, dtype, scale=scale, zero_point=quant[1])
        self.shapes[index], self.quants[index] = tuple(shape), quant
        return index

    def pad(
        self, x: int, sides: Sides, *, opcode: str = "PAD", value: int | None = None,
        others: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)), quant: Quant | None = None,
    ) -> int:  # fmt: skip
        """PAD, or PADV2 with `value`. `others`: padding of batch and channels; `quant`: another than the input's."""
        pairs = (others[0], sides[:2], sides[2:], others[1])
        given = quant or self.quants[x]
        y = self.tensor([n + sum(p) for n, p in zip(self.shapes[x], pairs, strict=True)], given)
        inputs = [x, self.g.tensor("paddings", (4, 2), "int32", data=pairs)]
        if value is not None:
            inputs.append(self.g.tensor("value", (1,), scale=given[0], zero_point=given[1], data=[value]))
        self.g.op(opcode, inputs, [y])
        return y

    def convolution(
        self, x: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1),
        padding: str = "VALID", *, depthwise: bool = False, activation: str = "NONE",
    ) -> int:  # fmt: skip
        """CONV_2D or DEPTHWISE_CONV_2D with random weights; the output's scale suits the input's values."""
        rng, (n, h, w, c) = self.rng, self.shapes[x]
        channels = c * int(rng.integers(1, 3)) if depthwise else int(rng.integers(1, 6))
        shape, axis = ((1, *kernel, channels), 3) if depthwise else ((channels, *kernel, c), 0)
        scales = rng.uniform(0.002, 0.02, size=channels).astype(np.float32)
        weights = self.g.tensor("weights", shape, scale=scales, axis=axis, data=rng.integers(-127, 128, size=shape))
        b_scales = np.float32(self.quants[x][0]) * scales
        bias = self.g.tensor("bias", (channels,), "int32", scale=b_scales, data=rng.integers(-900, 900, size=channels))
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        extents = [
            -(-size // s) if padding == "SAME" else (size - span) // s + 1
            for size, span, s in zip((h, w), spans, stride, strict=True)
        ]
        spread = self.quants[x][0] * 0.01 * 70 * 70 * np.sqrt(prod(kernel) * (1 if depthwise else c)) / 90
        y = self.tensor((n, *extents, channels), (float(np.float32(spread)), int(rng.integers(-128, 128))))
        self.g.op(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, weights, bias], [y], version=3, padding=padding,
            activation=activation, stride_h=stride[0], stride_w=stride[1], dilation_h_factor=dilation[0],
            dilation_w_factor=dilation[1], **({"depth_multiplier": channels // c} if depthwise else {}),
        )  # fmt: skip
        return y

    def same(self, opcode: str, x: int, **fields: object) -> int:
        """An operator whose output has the input's shape and quantization."""
        y = self.tensor(self.shapes[x], self.quants[x])
        self.g.op(opcode, [x], [y], **fields)
        return y


def random_padded_network(rng: Rng) -> bytes:
    """One to three PADs, in a row or side by side, each with one or two readers; most can be folded."""
    net = Layers(rng)
    shape = (int(rng.integers(1, 3)), *(int(v) for v in rng.integers(2, 9, size=2)), int(rng.integers(1, 6)))
    x = net.tensor(shape, (float(np.float32(rng.uniform(0.01, 0.2))), int(rng.integers(-128, 128))))
    outputs: list[int] = []
    start = net.convolution(x, (1, 1)) if rng.random() < 0.5 else x
    for _ in range(int(rng.integers(1, 3))):
        padded = _random_pad(net, start)
        if rng.random() < 0.3:
            padded = _random_pad(net, padded)
        outputs += [_random_reader(net, padded) for _ in range(int(rng.integers(1, 3)))]
        if rng.random() < 0.1:
            outputs.append(padded)
    return net.g.build([x], outputs)


def _random_pad(net: Layers, x: int) -> int:
    rng, zero = net.rng, net.quants[x][1]
    top, bottom, left, right = (int(v) if rng.random() < 0.6 else 0 for v in rng.integers(0, 4, size=4))
    others = ((0, 0), (0, 1)) if rng.random() < 0.05 else ((0, 0), (0, 0))
    value = None
    if rng.random() < 0.3:
        value = zero if rng.random() < 0.8 else int(rng.integers(-128, 128))
    opcode = "PAD" if value is None else "PADV2"
    return net.pad(x, (top, bottom, left, right), opcode=opcode, value=value, others=others)


def _random_reader(net: Layers, x: int) -> int:
    rng = net.rng
    if rng.random() < 0.07:
        return net.same("MAX_POOL_2D", x, version=2, padding="SAME", filter_height=2, filter_width=2)
    dilation = (1, 1) if rng.random() < 0.7 else (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    kernel = tuple(int(rng.integers(1, max(2, min(5, (n - 1) // d + 2)))) for n, d in zip(
        net.shapes[x][1:3], dilation, strict=True))  # fmt: skip
    return net.convolution(
        x, (kernel[0], kernel[1]), (int(rng.integers(1, 4)), int(rng.integers(1, 4))), dilation,
        pick(rng, ("VALID", "VALID", "SAME")), depthwise=bool(rng.random() < 0.5), activation=pick(rng, ACTIVATIONS),
    )  # fmt: skip
