"""The comparison: first layer, first element, counts, and bits rather than values for floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.verify_models import add_then_relu, float32
from tinydeploy.errors import MismatchError
from tinydeploy.ir import Model
from tinydeploy.verify import ReferenceRun, Sample, compare, raise_on_difference, verify

MODEL = Model("m", (), (), (), ())


def ints(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.int8)


def run(*samples: Sample, name: str = "ref") -> ReferenceRun:
    return ReferenceRun(name, "1.2", samples)


@pytest.fixture(name="model")
def _model() -> Model:
    return add_then_relu()[0]


def test_equal_outputs_are_bit_exact(model: Model) -> None:
    result = compare(model, [{3: ints(1, 2)}, {3: ints(3, 4)}], [run({3: ints(1, 2)}, {3: ints(3, 4)})])
    assert result.bit_exact
    assert (result.against, result.inputs, result.tensors, result.elements) == ("ref 1.2", 2, 1, 4)
    assert (result.differing, result.max_abs, result.first_difference) == (0, 0.0, None)
    assert result.second is None
    raise_on_difference(model, result)


def test_the_first_layer_wins_over_the_first_sample(model: Model) -> None:
    """Sample 0 differs in the last layer only; sample 1 differs in the first, too: that one is named."""
    ours = [{2: ints(1, 2, 3), 3: ints(9, 2, 3)}, {2: ints(4, -128, 7), 3: ints(4, 5, 6)}]
    reference = run({2: ints(1, 2, 3), 3: ints(1, 2, 3)}, {2: ints(4, 127, 6), 3: ints(4, 5, 6)})
    result = compare(model, ours, [reference])
    at = result.first_difference
    assert at is not None
    assert (at.sample, at.operator, at.opcode, at.tensor, at.tensor_name) == (1, 0, "ADD", 2, "sum")
    assert (at.index, at.ours, at.reference) == ((0, 1), -128, 127)
    assert (at.differing, at.elements, at.max_abs) == (2, 3, 255.0)  # 127 − (−128) does not wrap around
    assert (result.bit_exact, result.differing, result.elements, result.max_abs) == (False, 3, 12, 255.0)
    with pytest.raises(
        MismatchError, match=r"ref 1\.2: operator 0 \(ADD\), tensor 2 'sum' \[0, 1\] is -128, .* 127"
    ) as caught:
        raise_on_difference(model, result)
    assert caught.value.exit_code == 6
    assert "\n" not in caught.value.message


def test_without_layers_the_hint_names_layers(model: Model) -> None:
    result = compare(model, [{3: ints(1)}], [run({3: ints(2)})])
    with pytest.raises(MismatchError, match=r"operator 1 \(RELU\)") as caught:
        raise_on_difference(model, result)
    assert "--layers" in str(caught.value.hint)


def test_layers_known_to_one_side_only_are_left_out(model: Model) -> None:
    result = compare(model, [{3: ints(1)}], [run({2: ints(5), 3: ints(1)})])
    assert result.bit_exact
    assert result.tensors == 1


def test_floats_are_compared_by_bits(model: Model) -> None:
    tensors = (*model.tensors[:3], float32(3, "out", (1, 4)))
    model = replace(model, tensors=tensors)
    nan = np.float32("nan")
    theirs = np.array([[nan, 0.0, 1.0, 2.0]], dtype=np.float32)
    ours = np.array([[nan, -0.0, 1.0, 2.5]], dtype=np.float32)
    result = compare(model, [{3: ours}], [run({3: theirs})])
    assert result.first_difference is not None
    assert result.first_difference.index == (0, 1)
    assert (result.differing, result.max_abs) == (2, 0.5)
    assert compare(model, [{3: theirs}], [run({3: theirs.copy()})]).bit_exact


def test_a_number_against_nan_is_infinitely_far(model: Model) -> None:
    ours, theirs = np.array([[1.0]], dtype=np.float32), np.array([[np.nan]], dtype=np.float32)
    assert compare(model, [{3: ours}], [run({3: theirs})]).max_abs == np.inf


def test_the_second_reference_is_asked_whether_it_agrees(model: Model) -> None:
    first = run({3: ints(1)}, name="a")
    for value, agrees in ((1, True), (2, False)):
        result = compare(model, [{3: ints(2)}], [first, run({3: ints(value)}, name="b")])
        assert not result.bit_exact
        assert (result.against, result.second, result.second_agrees) == ("a 1.2", "b 1.2", agrees)


@pytest.mark.parametrize(
    "ours",
    [
        [],
        [{3: ints(1)}, {3: ints(1)}],
        [{2: ints(1)}],
        [{3: ints(1, 2)}],
        [{3: ints(1).astype(np.int16)}],
        [{3: ints(1)[0]}],
    ],
)
def test_outputs_that_cannot_be_compared_are_a_bug(model: Model, ours: list[Sample]) -> None:
    with pytest.raises(ValueError, match=r"computed|compare"):
        compare(model, ours, [run({3: ints(1)})])


def test_verify_end_to_end() -> None:
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]'")
    model, data = add_then_relu()
    inputs = [{0: ints(1, 2, 3, 100), 1: ints(1, -5, 0, 100)}]
    good = {2: ints(2, -3, 3, 127), 3: ints(2, 0, 3, 127)}
    result = verify(model, data, inputs, [good], layers=True)
    assert (result.bit_exact, result.tensors, result.second_agrees) == (True, 2, True)
    assert result.against.startswith("tflite-micro 0.")
    assert str(result.second).startswith("ai-edge-litert ")
    bad = verify(model, data, inputs, [{**good, 2: ints(2, -3, 3, -56)}], layers=True)
    assert bad.first_difference is not None
    assert bad.first_difference.opcode == "ADD"
