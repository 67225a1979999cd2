"""Small ONNX networks with the parts of real ones, as exporters write them: channels first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Shape = Sequence[int | str]


class OnnxNetwork:
    """A graph that grows node by node; weights are drawn from a fixed seed."""

    def __init__(self, opset: int = 17) -> None:
        from onnx import numpy_helper

        self._draw = np.random.default_rng(5)
        self._from_array = numpy_helper.from_array
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._opset = opset

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node, and return its output's name."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output or name], name=name, **attributes))
        return output or name

    def weights(self, *shape: int) -> str:
        """A constant, of about 1/√(inputs of a neuron)."""
        fan_in = max(1, int(np.prod(shape[1:])))
        return self.constant((self._draw.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32))

    def constant(self, value: Any) -> str:
        """A constant of these values."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._from_array(np.asarray(value), name))
        return name

    def conv(self, source: str, inputs: int, outputs: int, size: int = 3, **attributes: Any) -> str:
        """A convolution with a bias, `pads` 1 all around unless others are given."""
        groups = attributes.get("group", 1)
        pads = attributes.pop("pads", [size // 2] * 4)
        kernel, bias = self.weights(outputs, inputs // groups, size, size), self.weights(outputs)
        return self.op("Conv", source, kernel, bias, kernel_shape=[size, size], pads=pads, **attributes)

    def norm(self, source: str, channels: int) -> str:
        """Batch normalization, as it stands in a graph that was exported for training."""
        near_one = [self.constant((1 + 0.2 * self._draw.random(channels)).astype(np.float32)) for _ in range(2)]
        near_zero = [self.constant((0.1 * self._draw.standard_normal(channels)).astype(np.float32)) for _ in range(2)]
        return self.op("BatchNormalization", source, near_one[0], *near_zero, near_one[1])

    def clip(self, source: str, low: float, high: float, output: str = "") -> str:
        """min(max(x, low), high)."""
        limits = [self.constant(np.float32(value)) for value in (low, high)]
        return self.op("Clip", source, *limits, output=output)

    def proto(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kind: str = "FLOAT") -> Any:
        """The `ModelProto`."""
        from onnx import TensorProto, helper

        def values(of: Mapping[str, Shape]) -> list[Any]:
            return [helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind), s) for name, s in of.items()]

        graph = helper.make_graph(self._nodes, "net", values(inputs), values(outputs), self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=8)

    def save(self, path: Path, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kind: str = "FLOAT") -> None:
        """Write the file."""
        path.write_bytes(self.proto(inputs, outputs, kind).SerializeToString())


def mobile(path: Path) -> None:
    """Inverted residual: expansion, depthwise, projection, sum; batch normalization and ReLU6 throughout."""
    n = OnnxNetwork()
    start = n.clip(n.norm(n.conv("image", 3, 8, strides=[2, 2]), 8), 0, 6)
    wide = n.clip(n.norm(n.conv(start, 8, 16, 1, pads=[0] * 4), 16), 0, 6)
    deep = n.op("Relu", n.norm(n.conv(wide, 16, 16, group=16), 16))
    total = n.op("Add", start, n.norm(n.conv(deep, 16, 8, 1, pads=[0] * 4), 8))
    flat = n.op("Flatten", n.op("GlobalAveragePool", total), axis=1)
    logits = n.op("Gemm", flat, n.weights(10, 8), n.weights(10), transB=1)
    n.op("Softmax", logits, output="scores", axis=1)
    n.save(path, {"image": ["batch", 3, 24, 24]}, {"scores": ["batch", 10]})


def residual(path: Path) -> None:
    """The start of a ResNet: a padded MaxPool behind a ReLU, a block with a projection, the flattening of PyTorch."""
    n = OnnxNetwork()
    start = n.op("Relu", n.conv("image", 3, 8, 5, strides=[2, 2]))
    pooled = n.op("MaxPool", start, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inner = n.conv(n.op("Relu", n.conv(pooled, 8, 16, strides=[2, 2])), 16, 16)
    beside = n.conv(pooled, 8, 16, 1, strides=[2, 2], pads=[0] * 4)
    end = n.op("GlobalAveragePool", n.op("Relu", n.op("Add", inner, beside)))
    batch = n.op("Gather", n.op("Shape", end), n.constant(np.int64(0)), axis=0)
    batch = n.op("Unsqueeze", batch, n.constant(np.array([0], np.int64)))
    flat = n.op("Reshape", end, n.op("Concat", batch, n.constant(np.array([-1], np.int64)), axis=0))
    n.op("Gemm", flat, n.weights(5, 16), n.weights(5), output="scores", transB=1)
    n.save(path, {"image": [1, 3, 32, 32]}, {"scores": [1, 5]})


def mixed(path: Path) -> None:
    """HardSwish, squeeze and excitation with HardSigmoid, pools with asymmetric pads, Concat, Resize, and a flattening
    of channels first into Gemm."""
    n = OnnxNetwork()
    start = n.op("HardSwish", n.conv("image", 1, 6))
    gate = n.conv(n.op("GlobalAveragePool", start), 6, 6, 1, pads=[0] * 4)
    start = n.op("Mul", start, n.op("HardSigmoid", gate, alpha=1 / 6, beta=0.5))
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}
    both = n.op("Concat", n.op("MaxPool", start, **window), n.op("AveragePool", start, **window), axis=1)
    scales = n.constant(np.array([1, 1, 2, 2], np.float32))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    large = n.op("Resize", both, "", scales, **how)
    end = n.op("LeakyRelu", n.conv(large, 12, 4, strides=[2, 2]), alpha=0.1)
    flat = n.op("Gemm", n.op("Flatten", end), n.weights(5, 256), n.weights(5), transB=1)
    n.clip(flat, 0, 1, output="scores")
    n.save(path, {"image": [1, 1, 15, 15]}, {"scores": [1, 5]})


def two_inputs(path: Path) -> None:
    """An image and five numbers; the image's extents differ, so that a swap shows."""
    n = OnnxNetwork(opset=11)
    image = n.op("Relu", n.conv("/image.1", 2, 4, strides=[2, 2]))
    flat = n.op("Flatten", n.op("GlobalAveragePool", image))
    numbers = n.op("Relu", n.op("Gemm", "numbers", n.weights(4, 5), n.weights(4), transB=1))
    both = n.op("Concat", flat, numbers, axis=1)
    n.op("Gemm", both, n.weights(3, 8), n.weights(3), output="scores", transB=1)
    n.save(path, {"/image.1": [1, 2, 12, 9], "numbers": [1, 5]}, {"scores": [1, 3]})


def channels_last(path: Path) -> None:
    """What was a TensorFlow model: its input is turned at once, the output is turned back."""
    n = OnnxNetwork()
    first = n.op("Transpose", "image", perm=[0, 3, 1, 2])
    inner = n.op("Relu", n.conv(first, 3, 4, strides=[2, 2], pads=[0, 0, 1, 1]))
    last = n.op("Transpose", inner, perm=[0, 2, 3, 1])
    flat = n.op("Reshape", last, n.constant(np.array([1, -1], np.int64)))
    n.op("MatMul", flat, n.weights(64, 3), output="scores")
    n.save(path, {"image": [1, 8, 8, 3]}, {"scores": [1, 3]})


def segments(path: Path) -> None:
    """The output is an image, channels first."""
    n = OnnxNetwork()
    inner = n.op("Relu", n.conv("image", 2, 4, strides=[2, 2]))
    kernel = {"kernel_shape": [2, 2], "strides": [2, 2]}
    n.op("ConvTranspose", inner, n.weights(4, 3, 2, 2), n.weights(3), output="map", **kernel)
    n.save(path, {"image": [1, 2, 10, 14]}, {"map": [1, 3, 10, 14]})
