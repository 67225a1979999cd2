"""Rewriting an ONNX graph, before it is converted, where the same floats in another form make a better int8 model.

- A `MaxPool` that pads: converters write a padding of −3.4·10³⁸, which as a constant of an int8 tensor leaves no
  scale for anything else. What cannot be negative is padded with zeros instead, which gives the same maxima.
- `HardSigmoid` and `Clip` to 0..1: TensorFlow Lite makes RELU_0_TO_1 of them, which TensorFlow Lite Micro has no
  kernel for. Six times as large they are a ReLU6, which has one: clip(x, 0, 1) = clip(6·x, 0, 6) / 6.
- An input that is channels last and turned at once, as in what was a TensorFlow model: the converter, which takes
  every input for channels first, would turn it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinydeploy.convert.sources.onnx.files import graph_inputs, label
from tinydeploy.errors import UnsupportedModelError

_NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Softplus")
_KEEPS_SIGN = ("MaxPool", "AveragePool", "GlobalAveragePool", "Dropout", "Identity", "Reshape", "Transpose", "Flatten")


def rewritten(model: Any, where: str) -> Any:
    """A copy of a `ModelProto` with the forms above. Raises `UnsupportedModelError` for a `MaxPool` that pads what may
    be negative."""
    import onnx
    from onnx import shape_inference

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = _Graph(made)
    for node in model.graph.node:
        graph.replace(node, where)
    del made.graph.value_info[:]
    return shape_inference.infer_shapes(made, data_prop=True)


def starting_channels_first(model: Any) -> tuple[str, ...]:
    """Take out of a `ModelProto` the `Transpose` behind an input that is channels last; return these inputs' names."""
    found = []
    for value in graph_inputs(model):
        axes = value.type.tensor_type.shape.dim
        last_first = [0, len(axes) - 1, *range(1, len(axes) - 1)]
        readers = [node for node in model.graph.node if value.name in node.input]
        if len(axes) < 3 or not readers or any(_order(node) != last_first for node in readers):
            continue
        extents_first = [axes[axis].dim_value for axis in last_first]
        for axis, extent in zip(axes, extents_first, strict=True):
            axis.dim_value = extent
        turned = {node.output[0] for node in readers}
        for node in model.graph.node:
            for number, name in enumerate(node.input):
                if name in turned:
                    node.input[number] = value.name
        for node in readers:
            model.graph.node.remove(node)
        found.append(value.name)
    return tuple(found)


def _order(node: Any) -> list[int]:
    """The permutation of a `Transpose`, nothing for other nodes."""
    return [axis for each in node.attribute for axis in each.ints if node.op_type == "Transpose"]


class _Graph:
    """A graph that is written anew, node by node."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self._model = model
        self._writer = {name: node for node in model.graph.node for name in node.output}
        self._constants = {each.name: each for each in model.graph.initializer}
        self._to_array: Callable[[Any], Any] = numpy_helper.to_array
        self._shapes = {
            value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        }
        del model.graph.node[:]

    def replace(self, node: Any, where: str) -> None:
        """Append what stands for `node`."""
        attributes = {each.name: each for each in node.attribute}
        if node.op_type == "HardSigmoid":
            alpha = attributes["alpha"].f if "alpha" in attributes else 0.2
            beta = attributes["beta"].f if "beta" in attributes else 0.5
            self._sixths(node, 6 * alpha, 6 * beta)
        elif node.op_type == "Clip" and self._limits(node, attributes) == (0.0, 1.0):
            self._sixths(node, 6.0, 0.0)
        elif node.op_type == "MaxPool" and self._pads_unlike_same(node, attributes):
            self._padded(node, attributes, where)
        else:
            self._model.graph.node.append(node)

    def _sixths(self, node: Any, factor: float, summand: float) -> None:
        """clip(factor·x + summand, 0, 6) / 6."""
        name = node.input[0]
        if abs(factor - 1) > 1e-6:
            name = self._append("Mul", node, "scaled", [name, self._scalar(node, "factor", factor)])
        if summand:
            name = self._append("Add", node, "moved", [name, self._scalar(node, "summand", summand)])
        limits = [self._scalar(node, "low", 0.0), self._scalar(node, "high", 6.0)]
        name = self._append("Clip", node, "clipped", [name, *limits])
        self._append("Mul", node, "", [name, self._scalar(node, "sixth", 1 / 6)])

    def _padded(self, node: Any, attributes: dict[str, Any], where: str) -> None:
        if not self._never_negative(node.input[0]):
            raise UnsupportedModelError(
                f"{where}: {label(node)} pads what may be negative, and TensorFlow Lite pads a pool with zeros only",
                hint="let a ReLU stand before it, or choose pads=0 or auto_pad=SAME_UPPER",
            )
        import numpy as np

        pads = list(attributes["pads"].ints)
        half = len(pads) // 2
        whole = np.array([0, 0, *pads[:half], 0, 0, *pads[half:]], np.int64)
        name = self._append("Pad", node, "padded", [node.input[0], self._constant(node, "pads", whole)])
        pool = type(node)()
        pool.CopyFrom(node)
        pool.input[0] = name
        kept = [each for each in node.attribute if each.name != "pads"]
        del pool.attribute[:]
        pool.attribute.extend(kept)
        self._model.graph.node.append(pool)

    def _pads_unlike_same(self, node: Any, attributes: dict[str, Any]) -> bool:
        """Whether a pool pads otherwise than TensorFlow's SAME does, which its kernels do by themselves."""
        pads = list(attributes["pads"].ints) if "pads" in attributes else []
        if not any(pads) or ("ceil_mode" in attributes and attributes["ceil_mode"].i):
            return False
        shape, kernel = self._shapes.get(node.input[0], ())[2:], list(attributes["kernel_shape"].ints)
        strides = list(attributes["strides"].ints) if "strides" in attributes else [1] * len(kernel)
        totals = [
            max((-(-extent // stride) - 1) * stride + size - extent, 0)
            for extent, size, stride in zip(shape, kernel, strides, strict=False)
        ]
        return pads != [total // 2 for total in totals] + [total - total // 2 for total in totals]

    def _never_negative(self, name: str) -> bool:
        while (node := self._writer.get(name)) is not None and node.op_type in _KEEPS_SIGN:
            name = node.input[0]
        if node is None:
            return False
        if node.op_type in ("Concat", "Add", "Mul"):
            return all(self._never_negative(each) for each in node.input)
        if node.op_type == "Clip":
            low, _ = self._limits(node, {each.name: each for each in node.attribute})
            return low is not None and low >= 0
        return node.op_type in _NEVER_NEGATIVE

    def _limits(self, node: Any, attributes: dict[str, Any]) -> tuple[float | None, float | None]:
        """The limits of a `Clip`, as far as they are known: inputs since opset 11, attributes before."""
        found: list[float | None] = []
        for number, name in enumerate(("min", "max"), start=1):
            given = node.input[number] if len(node.input) > number else ""
            if given in self._constants:
                found.append(float(self._to_array(self._constants[given])))
            elif (writer := self._writer.get(given)) is not None and writer.op_type == "Constant":
                found.append(float(self._to_array(writer.attribute[0].t)))
            else:
                found.append(attributes[name].f if name in attributes else None)
        return found[0], found[1]

    def _append(self, operator: str, node: Any, part: str, inputs: Sequence[str]) -> str:
        """Append an operator that stands for a part of `node`; the last part has its name and its output."""
        from onnx import helper

        output = f"{node.output[0]}/{part}" if part else node.output[0]
        self._model.graph.node.append(
            helper.make_node(operator, list(inputs), [output], name=f"{node.name}/{part}" if part else node.name)
        )
        return output

    def _scalar(self, node: Any, part: str, value: float) -> str:
        import numpy as np

        return self._constant(node, part, np.float32(value))

    def _constant(self, node: Any, part: str, value: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"{node.output[0]}/{part}"
        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
