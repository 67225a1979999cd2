"""Small networks for the prediction of TensorFlow Lite Micro's arena: kernels that no whole model here has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.tflite_writer import GraphBuilder


def _int8(g: GraphBuilder, *shape: int) -> int:
    return g.tensor("t", shape, scale=0.5)


def _numbers(g: GraphBuilder, values: object) -> int:
    array = np.asarray(values, np.int32)
    return g.tensor("n", array.shape, "int32", data=array)


def _transposed(channels: int, kernel: int, stride: int) -> bytes:
    g = GraphBuilder()
    extent = 4 * stride + kernel
    x, y = _int8(g, 1, 5, 5, channels), _int8(g, 1, extent, extent, 6)
    weights = g.tensor("w", (6, kernel, kernel, channels), scale=[0.1] * 6, data=np.ones((6, kernel, kernel, channels)))
    shape = _numbers(g, [1, extent, extent, 6])
    g.op("TRANSPOSE_CONV", [shape, weights, x], [y], padding="VALID", stride_h=stride, stride_w=stride, version=3)
    return g.build(inputs=[x], outputs=[y])


def _fully_connected(depth: int, scales: float | Sequence[float]) -> bytes:
    """Of rank 3, which CMSIS-NN runs as a 1×1 convolution where the depth is a multiple of 4."""
    g = GraphBuilder()
    x, y = _int8(g, 1, 3, depth), _int8(g, 1, 3, 5)
    weights = g.tensor("w", (5, depth), scale=scales, data=np.ones((5, depth)))
    g.op("FULLY_CONNECTED", [x, weights, -1], [y], keep_num_dims=True, version=4)
    return g.build(inputs=[x], outputs=[y])


def _shapes() -> bytes:
    """What Keras makes of a reshape with an open batch."""
    g = GraphBuilder()
    x, y = _int8(g, 1, 4, 6, 3), _int8(g, 1, 72)
    shape, first, target = (g.tensor("s", extents, "int32") for extents in ((4,), (), (2,)))
    g.op("SHAPE", [x], [shape])
    bounds = [_numbers(g, [value]) for value in (0, 1, 1)]
    g.op("STRIDED_SLICE", [shape, *bounds], [first], shrink_axis_mask=1)
    g.op("PACK", [first, _numbers(g, 72)], [target], axis=0, valuesCount=2)
    g.op("RESHAPE", [x, target], [y])
    return g.build(inputs=[x], outputs=[y])


def _single(opcode: str, extents: Sequence[int], output: Sequence[int], *parameters: object) -> bytes:
    g = GraphBuilder()
    x, y = _int8(g, *extents), _int8(g, *output)
    g.op(opcode, [x, *(_numbers(g, values) for values in parameters)], [y])
    return g.build(inputs=[x], outputs=[y])


def _many() -> bytes:
    """A chain of element-wise functions, then what moves and reduces."""
    g = GraphBuilder()
    x = _int8(g, 1, 4, 4, 4)
    y = x
    for opcode in ("RELU", "RELU6", "HARD_SWISH", "LEAKY_RELU", "QUANTIZE", "ELU"):
        out = _int8(g, 1, 4, 4, 4)
        g.op(opcode, [y], [out], **({"alpha": 0.1} if opcode == "LEAKY_RELU" else {}))
        y = out
    for opcode in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM"):
        out = _int8(g, 1, 4, 4, 4)
        g.op(opcode, [y, x], [out])
        y = out
    for opcode, scale, zero in (("LOGISTIC", 1 / 256, -128), ("TANH", 1 / 128, 0)):
        out = g.tensor("t", (1, 4, 4, 4), scale=scale, zero_point=zero)
        g.op(opcode, [y], [out])
        y = out
    joined, turned, padded = (g.tensor("t", s, scale=1 / 128) for s in ((1, 4, 4, 8), (1, 8, 4, 4), (1, 8, 6, 4)))
    g.op("CONCATENATION", [y, y], [joined], axis=3)
    g.op("TRANSPOSE", [joined, _numbers(g, [0, 3, 1, 2])], [turned], version=2)
    g.op("PAD", [turned, _numbers(g, [[0, 0], [0, 0], [1, 1], [0, 0]])], [padded], version=2)
    most = g.tensor("t", (1, 4), scale=1 / 128)
    g.op("REDUCE_MAX", [padded, _numbers(g, [1, 2])], [most], version=2)
    even, value = g.tensor("t", (1, 4), scale=1 / 256, zero_point=-128), g.tensor("t", (1, 4), "float32")
    g.op("SOFTMAX", [most], [even], beta=1.0, version=2)
    g.op("DEQUANTIZE", [even], [value], version=2)
    return g.build(inputs=[x], outputs=[value])


NETWORKS: dict[str, Callable[[], bytes]] = {
    "TRANSPOSE_CONV of 8 channels": lambda: _transposed(8, 3, 2),
    "TRANSPOSE_CONV of 20 channels": lambda: _transposed(20, 3, 2),
    "TRANSPOSE_CONV with stride 3": lambda: _transposed(20, 4, 3),
    "FULLY_CONNECTED of rank 3": lambda: _fully_connected(8, 0.1),
    "FULLY_CONNECTED of rank 3, per channel": lambda: _fully_connected(8, [0.1] * 5),
    "FULLY_CONNECTED of rank 3, of odd depth": lambda: _fully_connected(7, 0.1),
    "shape arithmetic": _shapes,
    "many": _many,
    "SUM": lambda: _single("SUM", (1, 4, 4, 3), (1, 3), [1, 2]),
    "GATHER": lambda: _single("GATHER", (4, 10), (2, 10), [1, 2]),
    "MIRROR_PAD": lambda: _single("MIRROR_PAD", (1, 4, 4, 2), (1, 6, 6, 2), [[0, 0], [1, 1], [1, 1], [0, 0]]),
    "RESIZE_NEAREST_NEIGHBOR": lambda: _single("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 3), (1, 8, 8, 3), [8, 8]),
    "SLICE": lambda: _single("SLICE", (1, 4, 4, 4), (1, 2, 4, 4), [0, 1, 0, 0], [1, 2, 4, 4]),
}
"""The bytes of a file for each name."""
