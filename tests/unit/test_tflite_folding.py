"""Operators that compute shapes from shapes are folded; what cannot be known, or is not a shape, is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.codegen import check_supported
from tinydeploy.ir import Model, PackAttrs, StridedSliceAttrs
from tinydeploy.tflite import parse_model


class _Keras:
    """What the converter makes of `Flatten` and `Reshape` when Keras leaves the batch open."""

    def __init__(self, shape: tuple[int, ...] = (1, 4, 6, 3)) -> None:
        self.g = GraphBuilder()
        self.x = self.g.tensor("x", shape, scale=0.5, shape_signature=(-1, *shape[1:]))
        self.shape = self.g.tensor("shape", (len(shape),), "int32")
        self.g.op("SHAPE", [self.x], [self.shape])

    def constant(self, values: Any) -> int:
        data = np.asarray(values, np.int32)
        return self.g.tensor("constant", data.shape, "int32", data=data)

    def slice(self, begin: int, end: int, shape: tuple[int, ...] = (), step: int = 1, **masks: int) -> int:
        out = self.g.tensor("slice", shape, "int32")
        inputs = [self.shape, *(self.constant([v]) for v in (begin, end, step))]
        self.g.op("STRIDED_SLICE", inputs, [out], **masks)
        return out

    def join(self, opcode: str, inputs: list[int], extent: int) -> int:
        out = self.g.tensor("joined", (extent,), "int32")
        options = {"valuesCount": len(inputs)} if opcode == "PACK" else {}
        self.g.op(opcode, inputs, [out], axis=0, **options)
        return out

    def reshape(self, shape: int, extents: tuple[int, ...]) -> Model:
        y = self.g.tensor("y", extents, scale=0.5, shape_signature=(-1, *extents[1:]))
        self.g.op("RESHAPE", [self.x, shape], [y])
        return parse_model(self.g.build(inputs=[self.x], outputs=[y]))


def _numbers(model: Model, index: int) -> list[int]:
    tensor = model.tensor(index)
    assert tensor.constant
    assert tensor.data is not None
    return np.frombuffer(tensor.data, "<i4").tolist()


def test_flatten_of_an_open_batch_is_one_reshape() -> None:
    k = _Keras()
    shape = k.join("PACK", [k.slice(0, 1, shrink_axis_mask=1), k.constant(72)], 2)
    model = k.reshape(shape, (1, 72))
    assert [(op.index, op.opcode) for op in model.operators] == [(0, "RESHAPE")]
    assert model.folded == 3
    assert _numbers(model, shape) == [1, 72]
    check_supported(model)


@pytest.mark.parametrize(
    ("begin", "end", "masks", "expected"),
    [
        (0, 2, {}, [1, 4]),
        (1, 0, {"end_mask": 1}, [4, 6, 3]),
        (9, 3, {"begin_mask": 1}, [1, 4, 6]),
        (-2, 4, {}, [6, 3]),
        (1, 99, {}, [4, 6, 3]),
    ],
)
def test_slices_and_concatenation(begin: int, end: int, masks: dict[str, int], expected: list[int]) -> None:
    k = _Keras()
    part = k.slice(begin, end, (len(expected),), **masks)
    joined = k.join("CONCATENATION", [part, k.constant([7, 8])], len(expected) + 2)
    model = k.reshape(joined, (1, 72))
    assert _numbers(model, joined) == [*expected, 7, 8]
    assert model.folded == 3


@pytest.mark.parametrize(
    ("position", "masks", "expected"), [(-1, {}, 3), (1, {}, 4), (2, {"begin_mask": 1}, 1)], ids=str
)
def test_one_element(position: int, masks: dict[str, int], expected: int) -> None:
    k = _Keras()
    k_slice = k.slice(position, position + 1, shrink_axis_mask=1, **masks)
    assert _numbers(k.reshape(k.join("PACK", [k_slice], 1), (72,)), k_slice) == [expected]


@pytest.mark.parametrize(
    ("begin", "shape", "options"),
    [
        (0, (2,), {"step": 2}),
        (0, (1,), {"ellipsis_mask": 1}),
        (0, (1,), {"new_axis_mask": 1}),
        (4, (), {"shrink_axis_mask": 1}),  # outside
        (0, (3,), {}),  # one element, and a place for three
    ],
    ids=str,
)
def test_other_slices_are_left_alone(begin: int, shape: tuple[int, ...], options: dict[str, int]) -> None:
    k = _Keras()
    part = k.slice(begin, begin + 1, shape, **options)
    model = k.reshape(k.join("PACK" if not shape else "CONCATENATION", [part], max(1, *shape, 1)), (1, 72))
    assert model.folded == 1
    assert not model.tensor(part).constant


def test_what_the_graph_puts_out_is_computed() -> None:
    k = _Keras()
    model = parse_model(k.g.build(inputs=[k.x], outputs=[k.shape]))
    assert [op.opcode for op in model.operators] == ["SHAPE"]
    assert model.folded == 0


def test_values_of_the_input_are_not_known() -> None:
    g = GraphBuilder()
    x = g.tensor("x", (2,), "int32")
    y = g.tensor("y", (2, 2), "int32")
    z = g.tensor("z", (4,), "int32")
    g.op("PACK", [x, x], [y], axis=0, valuesCount=2)
    g.op("CONCATENATION", [x, x], [z], axis=0)
    model = parse_model(g.build(inputs=[x], outputs=[y, z]))
    assert len(model.operators) == 2


def test_options_are_read() -> None:
    """PACK's axis and each mask of STRIDED_SLICE, in operators that cannot be folded."""
    g = GraphBuilder()
    x = g.tensor("x", (1, 4), scale=1.0)
    bounds = [g.tensor(name, (2,), "int32", data=[0, n]) for name, n in (("begin", 1), ("end", 3), ("step", 1))]
    y, z = g.tensor("y", (1, 2), scale=1.0), g.tensor("z", (1, 2, 2), scale=1.0)
    masks = {"begin_mask": 1, "end_mask": 2, "ellipsis_mask": 4, "new_axis_mask": 8, "shrink_axis_mask": 16}
    g.op("STRIDED_SLICE", [x, *bounds], [y], **masks)
    g.op("PACK", [y, y], [z], axis=-2, valuesCount=2)
    first, second = parse_model(g.build(inputs=[x], outputs=[z])).operators
    assert first.attrs == StridedSliceAttrs(**masks)
    assert second.attrs == PackAttrs(axis=-2)
