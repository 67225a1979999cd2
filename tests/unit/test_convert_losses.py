"""The loss of each operator, against the rule of 6.02 dB a bit and NumPy's sums; what matches, and what must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.convert.loss.losses import MOST_SAMPLES, examine
from tinydeploy.convert.loss.matching import match
from tinydeploy.convert.loss.ranges import Codes, range_warnings, watched
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.tflite import parse_model

pytest.importorskip("ai_edge_litert", reason="models are run by LiteRT: pip install 'tinydeploy[export]'")

STEP = 2 / 256  # of values in [−1, 1)


def samples(count: int, width: int, seed: int = 0) -> list[dict[str, Any]]:
    """Uniform values of [−1, 1)."""
    values = np.random.default_rng(seed).uniform(-1, 1, (count, width)).astype(np.float32)
    return [{"x": row[np.newaxis]} for row in values]


def decibels(truth: Any, found: Any) -> float:
    return float(10 * np.log10(np.sum(np.square(truth)) / np.sum(np.square(truth - found))))


def rounded(values: Any, scale: float) -> Any:
    return np.clip(np.round(np.float64(values) / scale), -128, 127)


# ---------------------------------------------------------------------------------------------------- bits


def quantizing(float_ends: bool) -> tuple[bytes, bytes]:
    """x → RESHAPE → y, which loses nothing but what 8 bits cannot hold."""
    f, q = GraphBuilder(), GraphBuilder()
    f.op("RESHAPE", [f.tensor("x", (1, 2048), "float32")], [f.tensor("y", (2048,), "float32")], new_shape=[2048])
    quantized = {"scale": STEP, "zero_point": 0}
    inner = q.tensor("inner", (1, 2048), **quantized) if float_ends else q.tensor("x", (1, 2048), **quantized)
    out = q.tensor("y", (2048,), **quantized)
    ends = [inner, out]
    if float_ends:
        ends = [q.tensor("x", (1, 2048), "float32"), q.tensor("y again", (2048,), "float32")]
        q.op("QUANTIZE", ends[:1], [inner])
    q.op("RESHAPE", [inner], [out], new_shape=[2048])
    if float_ends:
        q.op("DEQUANTIZE", [out], ends[1:])
    return f.build([0], [1]), q.build(ends[:1], ends[1:])


@pytest.mark.parametrize("float_ends", [False, True])
def test_eight_bits_of_uniform_values_are_48_db(float_ends: bool) -> None:
    # signal (2²/12) over noise (step²/12) = (2 / step)² = 2¹⁶: 20·log10(2⁸) = 6.02·8 dB
    found = examine(*quantizing(float_ends), samples(16, 2048)).losses
    assert [loss.opcode for loss in found] == (["QUANTIZE"] * float_ends + ["RESHAPE"] + ["DEQUANTIZE"] * float_ends)
    assert [loss.sqnr_db for loss in found] == pytest.approx([20 * np.log10(256)] * len(found), abs=0.1)
    own = {loss.opcode: loss.own_sqnr_db for loss in found}
    assert own.pop("QUANTIZE", None) == (pytest.approx(20 * np.log10(256), abs=0.1) if float_ends else None)
    assert set(own.values()) == {None}  # the others lose nothing


# ---------------------------------------------------------------------------------------------------- own part


@dataclass(frozen=True)
class Layer:
    """A FULLY_CONNECTED without bias: weights [out, in], the step of its output, its output's name in each file."""

    weights: Any
    step: float
    name: str = ""
    int8_name: str | None = None
    quantized: Any = field(init=False)

    def __post_init__(self) -> None:
        scale = float(np.float32(np.abs(self.weights).max() / 127))
        object.__setattr__(self, "quantized", (np.clip(np.round(self.weights / scale), -127, 127), scale))

    def exact(self, x: Any) -> Any:
        return np.float64(x) @ np.float64(self.weights).T

    def int8(self, steps: Any, scale: float) -> Any:
        """As int8 computes it, from quantized values of `scale`."""
        weights, weight_scale = self.quantized
        return np.clip(np.round(steps @ weights.T * (scale * weight_scale / self.step)), -128, 127)


def dense(
    layers: Sequence[Layer], branches: bool = False, float_order: Sequence[int] | None = None
) -> tuple[bytes, bytes]:
    """Layers one behind the other, or all of the same input."""
    f, q = GraphBuilder(), GraphBuilder()
    width = layers[0].weights.shape[1]
    truth = {None: f.tensor("x", (1, width), "float32")}
    found = {None: q.tensor("x", (1, width), scale=STEP, zero_point=0)}
    numbers = range(len(layers))
    for number in float_order or numbers:
        each = layers[number]
        before = None if branches or number == 0 else number - 1
        w = f.tensor(f"w{number}", each.weights.shape, "float32", data=each.weights)
        truth[number] = f.tensor(each.name, (1, len(each.weights)), "float32")
        f.op("FULLY_CONNECTED", [truth[before], w, -1], [truth[number]])
    for number in numbers:
        each = layers[number]
        before = None if branches or number == 0 else number - 1
        values, scale = each.quantized
        w = q.tensor(f"w{number}", values.shape, scale=scale, zero_point=0, data=values)
        name = each.name if each.int8_name is None else each.int8_name
        found[number] = q.tensor(name, (1, len(values)), scale=each.step, zero_point=0)
        q.op("FULLY_CONNECTED", [found[before], w, -1], [found[number]])
    last = list(numbers) if branches else [len(layers) - 1]
    return f.build([truth[None]], [truth[n] for n in last]), q.build([found[None]], [found[n] for n in last])


def matrix(*shape: int, seed: int = 1, scale: float = 0.25) -> Any:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def test_losses_are_those_of_numpy_and_the_own_part_names_the_guilty_layer() -> None:
    layers = [
        Layer(matrix(64, 64), 4 * 6 / 256, "a"),
        Layer(matrix(64, 64, seed=2), 2.0, "coarse"),  # values of about ±8 on steps of 2
        Layer(matrix(64, 64, seed=3), 0.4, "c"),
    ]
    given = samples(MOST_SAMPLES, 64)
    x = np.concatenate([sample["x"] for sample in given])
    whole, own = [], []
    truth, steps, scale = np.float64(x), rounded(x, STEP), STEP
    for layer in layers:
        alone = rounded(truth, scale)
        own.append(decibels(layer.exact(alone * scale), layer.int8(alone, scale) * layer.step))
        truth, steps, scale = layer.exact(truth), layer.int8(steps, scale), layer.step
        whole.append(decibels(truth, steps * scale))
    found = examine(*dense(layers), given).losses
    assert [loss.sqnr_db for loss in found] == pytest.approx(whole, abs=0.1)
    assert [loss.own_sqnr_db for loss in found] == pytest.approx(own, abs=0.1)
    assert min(found, key=lambda loss: loss.own_sqnr_db or 99).tensor == "coarse"
    assert own[2] > own[1] + 10 > whole[2]  # the layer behind it has its noise, and is not to blame


def test_losses_are_told_over_some_of_many_samples() -> None:
    layers = [Layer(matrix(8, 8), 0.02, "a")]
    many = samples(10 * MOST_SAMPLES, 8)
    middles = [many[10 * part + 5] for part in range(MOST_SAMPLES)]
    assert examine(*dense(layers), many) == examine(*dense(layers), middles)


def test_without_a_float_model_there_are_no_losses() -> None:
    assert examine(None, quantizing(False)[1], samples(4, 2048)).losses == ()


# ---------------------------------------------------------------------------------------------------- matching


def test_branches_that_look_alike_are_told_apart_by_their_weights() -> None:
    layers = [Layer(matrix(8, 8, seed=seed), 0.05, f"float {seed}", f"int8 {seed}") for seed in range(3)]
    float_data, int8_data = dense(layers, branches=True, float_order=(2, 0, 1))
    float_model, int8_model = parse_model(float_data), parse_model(int8_data)
    pairs = match(float_model, int8_model).tensors
    named = {int8_model.tensor(one).name: float_model.tensor(other).name for one, other in pairs.items()}
    assert named == {"x": "x", "int8 0": "float 0", "int8 1": "float 1", "int8 2": "float 2"}


def test_the_same_name_on_other_weights_is_no_match() -> None:
    float_data, _ = dense([Layer(matrix(8, 8, seed=1), 0.05, "a"), Layer(matrix(8, 8, seed=2), 0.05, "b")])
    _, int8_data = dense([Layer(matrix(8, 8, seed=3), 0.05, "a"), Layer(matrix(8, 8, seed=2), 0.05, "b")])
    found = examine(float_data, int8_data, samples(4, 8)).losses
    assert [loss.tensor for loss in found] == ["a", "b"]
    assert found[0].sqnr_db is None and found[0].own_sqnr_db is None
    assert found[1].sqnr_db is not None  # by name, its weights and its shape


def test_the_same_name_on_other_inputs_is_no_match() -> None:
    f, q = GraphBuilder(), GraphBuilder()
    x, other, y = (f.tensor(name, (1, 8), "float32") for name in ("x", "other", "y"))
    f.op("ADD", [x, other], [y])
    quantized = q.tensor("x", (1, 8), scale=STEP)
    out = q.tensor("y", (1, 8), scale=STEP)
    q.op("ADD", [quantized, q.tensor("one", (1, 8), scale=STEP, data=np.ones((1, 8)))], [out])
    both = parse_model(f.build([x, other], [y])), parse_model(q.build([quantized], [out]))
    assert match(*both).operators == {}


def test_an_operator_that_the_float_model_does_not_have_is_left_out() -> None:
    layers = [Layer(matrix(8, 8, seed=seed), 0.05, f"float {seed}", f"int8 {seed}") for seed in range(3)]
    float_data, _ = dense(layers[:1])
    _, int8_data = dense(layers)
    found = examine(float_data, int8_data, samples(4, 8)).losses
    assert [loss.sqnr_db is None for loss in found] == [False, True, True]


# ---------------------------------------------------------------------------------------------------- ranges


def warnings_of(layers: Sequence[Layer], given: list[dict[str, Any]]) -> str:
    return "\n".join(examine(None, dense(layers)[1], given).warnings)


def test_a_range_that_few_values_make_is_told_with_its_layer() -> None:
    wide = Layer(matrix(64, 64), 0.5, "wide")  # values of about ±4: 16 levels of ±0.5 and less hold nearly all
    fine = Layer(matrix(64, 64), 0.04, "fine")
    assert warnings_of([fine], samples(40, 64)) == ""
    told = warnings_of([Layer(wide.weights / 4, 0.5, "wide")], samples(40, 64))
    assert "operator 0 (FULLY_CONNECTED), 'wide': 99.9% of the values lie on" in told


def test_levels_are_the_fewest_side_by_side_that_hold_all_but_one_in_a_thousand() -> None:
    codes = Codes()
    codes.add(np.repeat(np.int8([-3, 0, 4]), 1000))
    assert codes.levels == 8
    codes.add(np.full(3, 127, np.int8))  # three of 3,003
    assert codes.levels == 8
    codes.add(np.full(1, -128, np.int8))
    assert codes.levels == 8 + 123
    wide = Codes()
    wide.add(np.arange(-(2**15), 2**15, dtype=np.int16))
    assert wide.levels == 256


def test_a_range_is_told_where_it_is_made_and_not_where_it_is_handed_on() -> None:
    g = GraphBuilder()
    wide = {"scale": 1.0, "zero_point": 0}
    x, y, z = g.tensor("x", (1, 8), scale=STEP), g.tensor("y", (1, 8), **wide), g.tensor("z", (8,), **wide)
    g.op("FULLY_CONNECTED", [x, g.tensor("w", (8, 8), scale=1 / 64, data=64 * np.eye(8)), -1], [y])
    g.op("RESHAPE", [y], [z], new_shape=[8])
    (told,) = examine(None, g.build([x], [z]), samples(16, 8)).warnings
    assert told.startswith("operator 0 (FULLY_CONNECTED), 'y': 99.9% of the values lie on 3 of 256 levels")


def test_a_channel_that_makes_the_scale_of_all_is_told() -> None:
    weights = matrix(8, 64)
    weights[3] *= 100
    layer = Layer(weights, 0.5, "mixed")
    assert "'mixed': one scale for all channels of the weights" in warnings_of([layer], samples(40, 64))


def test_values_beyond_a_range_are_told_with_their_share() -> None:
    given = samples(MOST_SAMPLES, 64)
    layer = Layer(matrix(64, 64), 0.01, "narrow")  # holds −1.28 to 1.27
    values = layer.exact(np.concatenate([sample["x"] for sample in given]))
    share = np.mean((values < -1.29) | (values > 1.28))
    assert 0.2 < share < 0.4
    told = examine(*dense([layer]), given).warnings
    cut = f"{100 * share:.1f}% of the values are cut off by its range -1.28..1.27"
    assert told == (f"operator 0 (FULLY_CONNECTED), 'narrow': {cut}",)
    assert examine(*dense([Layer(matrix(64, 64), 0.04, "wide enough")]), given).warnings == ()


def test_a_scale_of_nothing_is_told() -> None:
    told = warnings_of([Layer(matrix(8, 8), 1e-39, "dead")], samples(4, 8))
    assert "operator 0 (FULLY_CONNECTED), 'dead': the scale of 'dead' is 1e-39" in told


def test_scores_on_which_interpreters_end_the_process_are_refused_before() -> None:
    # 2²⁶ · 1e-9 is below 1, which the kernel's own check does not survive
    g = GraphBuilder()
    x = g.tensor("x", (1, 4), scale=1e-9, zero_point=0)
    y = g.tensor("scores", (1, 4), scale=1 / 256, zero_point=-128)
    g.op("SOFTMAX", [x], [y], beta=1.0)
    with pytest.raises(
        UnsupportedModelError, match=r"operator 0 \(SOFTMAX\), 'scores': its scores were all but the same"
    ):
        examine(None, g.build([x], [y]), samples(4, 4))


def test_many_narrow_tensors_are_told_by_the_worst() -> None:
    g = GraphBuilder()
    tensors = [g.tensor(f"t{number}", (1, 4), "int8", scale=0.1 * (number + 1), zero_point=0) for number in range(7)]
    for one, other in pairwise(tensors):
        g.op("RELU", [one], [other])
    model = parse_model(g.build(tensors[:1], tensors[-1:]))
    codes = {}
    for index, levels in zip(watched(model), (9, 3, 200, 8, 7, 6), strict=True):
        codes[index] = Codes()
        codes[index].add(np.tile(np.arange(levels).astype(np.int8), 9))
    told = range_warnings(model, codes, {})
    assert [line.partition("lie on ")[2][:1] for line in told] == ["3", "6", "7", ""]
    assert told[-1].startswith("2 more operators")
