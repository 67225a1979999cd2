"""Evaluation data and how models do on them: labels, quantization as in the firmware, counts known by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.convert.data.classes import count_correct, predicted, refuse_labels
from tinydeploy.convert.data.evaluation import evaluate, int8_samples, load_evaluation
from tinydeploy.convert.data.feeding import bind, dequantize_array, quantize_array
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.types import EvaluationSet, InputSpec
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.tflite import parse_model

WANTED = (InputSpec("x", (3,), "float32"),)
LITERT = "models are run by LiteRT: pip install 'tinydeploy[export]'"


def saved(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def given(values: Any, labels: Any = None) -> EvaluationSet:
    classes = None if labels is None else np.asarray(labels, np.int64)
    return EvaluationSet({"x": np.asarray(values, np.float32)}, classes, "data.npz", "ab" * 32)


def scores(int8: bool, name: str = "x", outputs: int = 1) -> bytes:
    """y = x for three classes, in float, or in int8 on steps of 1/2 that go to 4 · 1/2 for the third class."""
    g = GraphBuilder()
    quantized: dict[str, Any] = {"scale": 0.5, "zero_point": 0} if int8 else {}
    dtype = "int8" if int8 else "float32"
    x = g.tensor(name, (1, 3), dtype, **quantized)
    weights = np.eye(3) * (64 if int8 else 1)
    w = g.tensor("w", (3, 3), dtype, data=weights, **({"scale": 1 / 64, "zero_point": 0} if int8 else {}))
    ys = [g.tensor(f"y{number}", (1, 3), dtype, **quantized) for number in range(outputs)]
    for y in ys:
        g.op("FULLY_CONNECTED", [x, w, -1], [y])
    return g.build([x], ys)


# ---------------------------------------------------------------------------------------------------- quantization


def test_halves_go_away_from_zero() -> None:
    values = [0.24, 0.25, 0.75, 1.25, -0.24, -0.25, -0.75, -1.25, 1e9, -1e9]
    expected = [3, 4, 5, 6, 3, 2, 1, 0, 127, -128]
    assert quantize_array(np.float32(values), 0.5, 3, "int8").tolist() == expected
    assert dequantize_array(np.int8([3, 4, -128]), 0.5, 3).tolist() == [0.0, 0.5, -65.5]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("scale", [0.5, 1 / 255, 0.0235294122248888, 1.7e-5, 3.9e4])
def test_quantization_is_that_of_tensorflow_lite(dtype: str, scale: float) -> None:
    pytest.importorskip("ai_edge_litert", reason=LITERT)
    zero_point = {"int8": -7, "uint8": 130, "int16": 0}[dtype]
    borders = (np.arange(-300, 300) + 0.5) * np.float64(scale)
    near = np.concatenate([np.nextafter(np.float32(borders), np.float32(side)) for side in (-np.inf, np.inf)])
    wide = np.random.default_rng(0).normal(size=400) * scale * 20_000
    values = np.concatenate([np.float32(borders), near, wide]).astype(np.float32)[np.newaxis]
    g = GraphBuilder()
    x = g.tensor("x", values.shape, "float32")
    y = g.tensor("y", values.shape, dtype, scale=scale, zero_point=zero_point)
    g.op("QUANTIZE", [x], [y])
    (reference,) = litert(g.build([x], [y]), [{x: values}], [y])
    assert np.array_equal(quantize_array(values, float(np.float32(scale)), zero_point, dtype), reference[y])


def test_samples_are_quantized_for_the_tensors_of_a_model() -> None:
    model = parse_model(scores(int8=True, name="serving_default_x:0"))
    (sample,) = int8_samples(given([[1.0, 0.25, -100]]), model)
    assert {index: array.tolist() for index, array in sample.items()} == {model.inputs[0]: [[2, 1, -128]]}
    assert sample[model.inputs[0]].dtype == np.int8
    floats = parse_model(scores(int8=False))
    assert int8_samples(given([[1.0, 0.25, -100]]), floats)[0][floats.inputs[0]].tolist() == [[1.0, 0.25, -100]]


def test_inputs_are_bound_by_name_then_by_shape() -> None:
    g = GraphBuilder()
    names = ["serving_default_b:0", "c", "serving_default_a:0"]
    tensors = [g.tensor(name, shape, "float32") for name, shape in zip(names, [(1, 2), (1, 5), (1, 2)], strict=True)]
    out = g.tensor("out", (1, 2), "float32")
    g.op("ADD", [tensors[0], tensors[2]], [out])
    model = parse_model(g.build(tensors, [out]))
    arrays = {"a": np.ones((4, 2)), "b": np.zeros((4, 2)), "other": np.ones((4, 5))}
    assert {
        model.tensor(i).name: a is arrays[n] for (i, a), n in zip(bind(model, arrays).items(), arrays, strict=True)
    } == {
        "serving_default_a:0": True,
        "serving_default_b:0": True,
        "c": True,
    }
    with pytest.raises(UsageError, match=r"no input left for 'other' of shape \[6\]"):
        bind(model, {**arrays, "other": np.ones((4, 6))})


# ---------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2, 0, 1, 1]),
        np.array([[2], [0], [1], [1]], np.uint8),
        np.array([2.0, 0.0, 1.0, 1.0]),
        np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]]),
        np.eye(3, dtype=bool)[[2, 0, 1, 1]],
    ],
)
@pytest.mark.parametrize("names", [("x", "y"), ("x_test", "y_test"), ("inputs", "labels")])
def test_labels_are_classes_or_rows_with_a_single_1(tmp_path: Path, labels: Any, names: tuple[str, str]) -> None:
    values = np.arange(12.0).reshape(4, 3)
    found = load_evaluation(saved(tmp_path, **{names[0]: values, names[1]: labels}), WANTED)
    assert found.labels is not None and found.labels.tolist() == [2, 0, 1, 1]
    assert found.count == 4 and np.array_equal(found.inputs["x"], values) and found.inputs["x"].dtype == np.float32


def test_the_test_half_of_a_data_set_is_taken(tmp_path: Path) -> None:
    halves = {"x_train": np.zeros((9, 3)), "y_train": np.zeros(9), "x_test": np.ones((4, 3)), "y_test": np.ones(4)}
    found = load_evaluation(saved(tmp_path, **halves), WANTED)
    assert found.count == 4 and found.labels is not None and found.labels.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "labels, told",
    [
        (np.zeros(3), r"labels of shape \[3\] for 4 samples"),
        (np.zeros((4, 2, 2)), r"labels of shape \[4, 2, 2\]"),
        (np.full((4, 3), 0.5), "not rows with a single 1"),
        (np.ones((4, 3)), "not rows with a single 1"),
        (np.array([0, 1, 2, -1]), "not the numbers of classes"),
        (np.array([0, 0.5, 1, 2]), "not the numbers of classes"),
        (np.array([0, np.nan, 1, 2]), "not the numbers of classes"),
        (np.array(["cat", "dog", "cat", "dog"]), "no numbers"),
    ],
)
def test_labels_that_are_no_classes(tmp_path: Path, labels: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_evaluation(saved(tmp_path, x=np.ones((4, 3)), y=labels), WANTED)


def test_evaluation_data_that_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no samples"):
        load_evaluation(saved(tmp_path, x=np.ones((0, 3))), WANTED)
    with pytest.raises(UsageError, match="sample 2 holds NaN"):
        load_evaluation(saved(tmp_path, x=np.float32([[0, 0, 0], [1, 1, 1], [1, np.nan, 1]])), WANTED)


# ---------------------------------------------------------------------------------------------------- counting


def ending(shape: tuple[int, ...], *opcodes: str, outputs: int = 1) -> Model:
    """A model whose `outputs` tensors of int8, real 0 at -128 and steps of 1/256, are made by these operators."""
    g = GraphBuilder()
    x = g.tensor("x", shape, "int8", scale=1 / 256, zero_point=-128)
    ys = []
    for number in range(outputs):
        y = x
        for opcode in opcodes:
            made = g.tensor(f"{opcode}{number}", shape, "int8", scale=1 / 256, zero_point=-128)
            g.op(opcode, [y], [made])
            y = made
        ys.append(y)
    return parse_model(g.build([x], ys))


def test_the_first_of_the_highest_scores_counts() -> None:
    outputs, model = [np.int8([[-128, 127, 127]]), np.int8([[5, 4, 3]]), np.int8([[0, 0, 0]])], ending((1, 3), "RELU")
    assert predicted(model, outputs) == (1, 0, 0)
    assert count_correct(model, outputs, np.array([1, 0, 2])) == 2


@pytest.mark.parametrize("opcodes", [("LOGISTIC",), ("LOGISTIC", "RESHAPE"), ("LOGISTIC", "QUANTIZE")])
def test_a_sigmoid_says_yes_above_a_half(opcodes: tuple[str, ...]) -> None:
    model = ending((1, 1), *opcodes)
    outputs = [np.int8([[q]]) for q in (-128, 0, 1, 127)]  # 0, 1/2, 129/256, 255/256
    assert predicted(model, outputs) == (0, 0, 1, 1)
    assert count_correct(model, outputs, np.array([0, 1, 1, 0])) == 2
    with pytest.raises(UsageError, match="go up to 2, and the model has 2 classes"):
        count_correct(model, outputs, np.array([0, 1, 1, 2]))


def test_outputs_that_are_no_scores() -> None:
    images = ending((1, 4, 4, 3), "LOGISTIC")
    assert predicted(images, [np.zeros((1, 4, 4, 3), np.int8)]) is None
    with pytest.raises(UsageError, match="no row of scores"):
        refuse_labels(images, np.array([0]))
    number = ending((1, 1), "LOGISTIC", "RELU")
    assert predicted(number, [np.zeros((1, 1), np.int8)]) is None
    with pytest.raises(UsageError, match="a single number that no sigmoid gives"):
        refuse_labels(number, np.array([0]))
    with pytest.raises(UsageError, match="go up to 3, and the model has 3 classes"):
        count_correct(ending((1, 3), "RELU"), [np.zeros((1, 3), np.int8)], np.array([3]))


def test_labels_are_not_taken_for_one_of_several_outputs() -> None:
    with pytest.raises(UsageError, match="has 2 outputs: 'RELU0', 'RELU1'"):
        refuse_labels(ending((1, 3), "RELU", outputs=2), np.array([0]))


def test_float_and_int8_are_counted_apart() -> None:
    pytest.importorskip("ai_edge_litert", reason=LITERT)
    # on steps of 1/2 the second sample becomes 1, 1, 0, whose first score is the highest; the third 0, 1, 1
    values = [[2, 0, 1], [0.9, 1.1, 0], [0, 1.1, 0.9], [0, 0, 3]]
    found = evaluate(scores(int8=False), scores(int8=True), given(values, [0, 1, 1, 0]))
    assert (found.samples, found.agreement, found.float_correct, found.int8_correct) == (4, 3, 3, 2)
    # signal 5 + 2.02 + 2.02 + 9 = 18.04, noise 4 · 0.1² = 0.04
    assert found.sqnr_db == pytest.approx(10 * np.log10(18.04 / 0.04), abs=1e-3)
    assert found.int8_by in ("tflite-micro", "ai-edge-litert")
    without = evaluate(None, scores(int8=True), given(values, [0, 1, 1, 0]))
    assert (without.agreement, without.float_correct, without.int8_correct, without.sqnr_db) == (None, None, 2, None)
    unlabelled = evaluate(scores(int8=False), scores(int8=True), given(values))
    assert (unlabelled.agreement, unlabelled.float_correct, unlabelled.int8_correct) == (3, None, None)


def test_two_outputs_are_no_row_of_scores() -> None:
    pytest.importorskip("ai_edge_litert", reason=LITERT)
    found = evaluate(scores(int8=False, outputs=2), scores(int8=True, outputs=2), given([[2, 0, 1]]))
    assert found.agreement is None and found.sqnr_db is None  # nothing is lost


def test_data_for_another_model() -> None:
    with pytest.raises(UsageError, match=r"no input left for 'x' of shape \[4\]"):
        evaluate(None, scores(int8=True), given([[1, 2, 3, 4]]))
