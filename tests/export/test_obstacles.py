"""What will not run on a microcontroller is told by layer, and what runs is not: held against conversion and plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.boards import find_board
from tinydeploy.convert.network import Network
from tinydeploy.convert.obstacles.graph import graph_obstacles, layer_in
from tinydeploy.convert.obstacles.layers import keras_obstacles, layer_names
from tinydeploy.convert.quantize import quantize
from tinydeploy.convert.types import ConvertOptions, Obstacle
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.pipeline import PlanOptions, plan_model
from tinydeploy.tflite import parse_model

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'tinydeploy[export]'")

import keras
from keras import layers as L  # noqa: N812

IMAGE = (8, 8, 4)


@keras.saving.register_keras_serializable("tinydeploy tests")
class Halved(keras.layers.Layer):  # type: ignore[misc]
    """A layer of a user's own, with a condition."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.cond(tf.reduce_max(x) > 1.0, lambda: x, lambda: 0.5 * x)


def sequence(*layers: Any, shape: tuple[int | None, ...] = IMAGE, dtype: str | None = None) -> Any:
    """A model of layers one after the other."""
    return keras.Sequential([keras.Input(shape, dtype=dtype, name="given"), *layers], name="net")


def branches(*layers: Any) -> Any:
    """A model in which each layer computes an output of its own from one image."""
    image = keras.Input(IMAGE, name="given")
    return keras.Model(image, [L.Conv2D(4, 1, name=f"end_{n}")(layer(image)) for n, layer in enumerate(layers)])


def network_of(model: Any) -> Network:
    """As a conversion has it, before it is judged."""
    from tinydeploy.convert.sources.keras_models import keras_network

    return keras_network(model)


def plans(network: Network) -> bool:
    """Whether the quantized network can be planned: what is held to be true."""
    rng = np.random.default_rng(3)
    samples = [
        {spec.name: rng.normal(size=(1, *spec.shape)).astype(spec.dtype) for spec in network.inputs} for _ in range(4)
    ]
    try:
        data = quantize(network.float_data, samples, ConvertOptions())
        plan_model(parse_model(data), find_board("stm32f746"), PlanOptions(effort="quick"))
    except UnsupportedModelError:
        return False
    return True


WORKS: dict[str, Callable[[], Any]] = {
    "images": lambda: sequence(
        L.RandomFlip(),
        L.Rescaling(1 / 127.5, -1),
        L.ZeroPadding2D(1),
        L.SeparableConv2D(8, 3, activation="swish"),
        L.BatchNormalization(),
        L.LeakyReLU(),
        L.SpatialDropout2D(0.1),
        L.UpSampling2D(interpolation="bilinear"),
        L.Cropping2D(1),
        L.Conv2DTranspose(8, 3, strides=2, activation="relu"),
        L.Resizing(6, 6, interpolation="nearest"),
        L.Conv2D(8, 3, dilation_rate=2, groups=2, activation="hard_swish"),
        L.Reshape((2, 2, 2, 4)),
        L.Permute((1, 2, 4, 3)),
        L.Reshape((2, 2, 8)),
        L.ReLU(max_value=4),
        L.GlobalMaxPooling2D(),
        L.Dense(4, activation="tanh"),
        L.Softmax(),
    ),
    "series": lambda: sequence(
        L.Conv1D(4, 3, padding="causal", dilation_rate=2),
        L.MaxPooling1D(),
        L.EinsumDense("abc,cd->abd", output_shape=(6, 5)),
        L.Flatten(),
        L.Dense(3, activation="hard_sigmoid"),
        L.Dense(3, activation="sigmoid"),
        shape=(12, 4),
    ),
    "an unrolled recurrent layer": lambda: sequence(L.SimpleRNN(4, unroll=True), L.Dense(2), shape=(4, 3)),
}


@pytest.mark.parametrize("name", WORKS)
def test_what_runs_is_not_refused(name: str) -> None:
    model = WORKS[name]()
    assert keras_obstacles(model) == ()
    network = network_of(model)
    assert graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy") == ()
    assert plans(network)


@cache
def unsupported() -> Network:
    """Layers that end in operators without a kernel, side by side, one of them in a model within the model."""
    inner = keras.Sequential([keras.Input(IMAGE), L.LayerNormalization(name="norm")], name="inner")
    return network_of(
        branches(
            L.PReLU(name="slopes"),
            L.Activation("gelu", name="bell"),
            L.UpSampling2D(name="larger"),
            inner,
            L.Activation("softplus", name="soft"),
        )
    )


def by_layer(obstacles: tuple[Obstacle, ...]) -> dict[str, Obstacle]:
    assert len({each.layer for each in obstacles}) == len(obstacles)
    return {each.layer: each for each in obstacles}


def test_each_layer_is_told_with_its_operators_and_a_remedy() -> None:
    network = unsupported()
    found = by_layer(graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy"))
    assert set(found) == {"slopes", "bell", "larger", "inner/norm", "soft"}
    for layer, opcodes, remedy in (
        ("slopes", ["PRELU"], "LeakyReLU"),
        ("bell", ["GELU"], "hard_swish"),
        ("larger", ["TILE"], "Resizing"),
        ("inner/norm", ["RSQRT", "SQUARED_DIFFERENCE"], "BatchNormalization"),
        ("soft", ["EXP", "LOG"], "hard_swish"),
    ):
        assert all(opcode in found[layer].what for opcode in opcodes), found[layer]
        assert remedy in found[layer].remedy
    assert not plans(network)


def test_what_the_other_runtime_computes_is_told_and_no_obstacle_for_it() -> None:
    network = unsupported()
    ours = by_layer(graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy"))
    assert "--runtime tflm" in ours["slopes"].remedy
    assert "--runtime tflm" not in ours["bell"].remedy  # nobody has GELU
    theirs = by_layer(graph_obstacles(network.float_data, layers=network.layers, runtime="tflm"))
    assert "slopes" not in theirs and "bell" in theirs
    assert "RSQRT" not in theirs["inner/norm"].what and "BatchNormalization" in theirs["inner/norm"].remedy
    assert by_layer(graph_obstacles(network.float_data, layers=network.layers)).keys() == theirs.keys()


def test_tflm_computes_what_is_said_to_need_it() -> None:
    """PRELU, ABS and DIV: no kernel of ours, and TFLM's interpreter runs them."""
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tinydeploy[verify]'")
    from tflite_micro import runtime

    network = network_of(sequence(L.Conv2D(4, 1), L.PReLU(name="slopes"), L.Activation("softsign", name="sign")))
    told = graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy")
    assert [each.layer for each in told] == ["slopes", "sign"]
    assert graph_obstacles(network.float_data, layers=network.layers, runtime="tflm") == ()
    rng = np.random.default_rng(3)
    samples = [{network.inputs[0].name: rng.normal(size=(1, *IMAGE)).astype(np.float32)} for _ in range(4)]
    interpreter = runtime.Interpreter.from_bytes(quantize(network.float_data, samples, ConvertOptions()))
    interpreter.set_input(np.ones((1, *IMAGE), np.int8), 0)
    interpreter.invoke()


def test_a_condition_is_told_by_its_layer() -> None:
    network = network_of(sequence(Halved(name="halved"), L.Conv2D(2, 1, name="last")))
    told = graph_obstacles(network.float_data, layers=network.layers)
    assert [each.layer for each in told] == ["halved"]
    assert "IF" in told[0].what and "both ways" in told[0].remedy


REFUSED_AT_SIGHT: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "open height": (lambda: sequence(L.Conv2D(2, 3), shape=(None, 8, 4)), "given", "(None, 8, 4)", "keras.Input"),
    "open time": (lambda: sequence(L.Conv1D(2, 3), shape=(None, 4)), "given", "(None, 4)", "keras.Input"),
    "LSTM": (lambda: sequence(L.LSTM(3, name="memory"), shape=(5, 2)), "memory", "LSTM", "Conv1D"),
    "GRU": (lambda: sequence(L.GRU(3, name="memory"), shape=(5, 2)), "memory", "GRU", "Conv1D"),
    "cells": (lambda: sequence(L.RNN(L.LSTMCell(3), name="memory"), shape=(5, 2)), "memory", "RNN", "Conv1D"),
    "ConvLSTM": (
        lambda: sequence(L.ConvLSTM2D(2, 3, name="memory"), shape=(3, 8, 8, 1)),
        "memory",
        "ConvLSTM2D",
        "Conv1D",
    ),
    "words": (
        lambda: sequence(L.Embedding(9, 4, name="words"), shape=(5,), dtype="int32"),
        "words",
        "table",
        "firmwar",
    ),
    "volumes": (lambda: sequence(L.Conv3D(2, 3, name="volume"), shape=(6, 6, 6, 1)), "volume", "Conv3D", "2D"),
    "bicubic": (
        lambda: sequence(L.UpSampling2D(interpolation="bicubic", name="larger")),
        "larger",
        "bicubic",
        "bilinear",
    ),
    "area": (lambda: sequence(L.Resizing(4, 4, interpolation="area", name="less")), "less", "area", "bilinear"),
    "dilated transposed": (
        lambda: sequence(L.Conv2DTranspose(2, 3, dilation_rate=2, name="up")),
        "up",
        "dilation",
        "dilation_rate=1",
    ),
    "float64": (lambda: sequence(L.Conv2D(2, 3, dtype="float64", name="wide")), "wide", "float64", "float32"),
}


@pytest.mark.parametrize("name", REFUSED_AT_SIGHT)
def test_what_the_converter_cannot_take_is_told_before_it(name: str) -> None:
    build, layer, what, remedy = REFUSED_AT_SIGHT[name]
    told = keras_obstacles(build())
    assert [each.layer for each in told] == [layer]
    assert what in told[0].what and remedy in told[0].remedy


def test_both_halves_of_a_bidirectional_layer_are_told_by_its_name() -> None:
    model = sequence(L.Bidirectional(L.LSTM(3, name="memory"), name="both"), shape=(5, 2))
    assert [each.layer for each in keras_obstacles(model)] == ["both/forward_memory", "both/backward_memory"]


def test_layers_in_mixed_precision_are_one_obstacle() -> None:
    model = sequence(
        *(L.Conv2D(2, 1, dtype="mixed_float16", name=name) for name in ("one", "two", "three")), L.Conv2D(2, 1)
    )
    told = keras_obstacles(model)
    assert [each.layer for each in told] == ["one"]
    assert "float16, as do 2 more layers" in told[0].what


def test_text_is_told_at_the_input_and_at_its_table() -> None:
    model = sequence(L.StringLookup(vocabulary=["a", "b"], name="table"), shape=(1,), dtype="string")
    assert [each.layer for each in keras_obstacles(model)] == ["given", "table"]


def test_an_operator_of_tensorflow_is_told_among_others() -> None:
    """The reader stops at the first custom operator; what stands behind it is told all the same."""
    graph = GraphBuilder()
    x, y, z = (graph.tensor(name, (1, 4), "float32") for name in ("x", "net/spectrum/Roll", "net/logs/Log"))
    graph.op("CUSTOM", [x], [y], custom="FlexRoll")
    graph.op("LOG", [y], [z])
    told = by_layer(graph_obstacles(graph.build(inputs=[x], outputs=[z])))
    assert set(told) == {"spectrum", "logs"}
    assert "Roll" in told["spectrum"].what and "LOG" in told["logs"].what


def test_an_open_shape_is_told_of_files_without_layers() -> None:
    graph = GraphBuilder()
    x, y = (graph.tensor(name, (1, 4), "float32") for name in ("samples", "out"))
    graph.op("RELU", [x], [y])
    graph.graph.tensors[x].shapeSignature = [1, -1]
    told = graph_obstacles(graph.build(inputs=[x], outputs=[y]))
    assert [(each.layer, "1×?" in each.what) for each in told] == [("samples", True)]


def test_axes_that_a_kernel_does_not_take_are_found_before_quantization() -> None:
    """STRIDED_SLICE runs, but not on five axes, as TimeDistributed writes it."""
    network = network_of(sequence(L.TimeDistributed(L.Conv2D(2, 3), name="frames"), shape=(2, 6, 6, 1)))
    told = graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy")
    assert {each.layer for each in told} == {"frames"}
    assert any("1 to 4 axes" in each.what for each in told)


@pytest.mark.parametrize(
    ("name", "layers", "layer"),
    [
        ("net/encoder/dense/MatMul", ("encoder", "dense"), "encoder/dense"),
        ("net_1/encoder_1/dense_2/MatMul;other", ("encoder", "dense"), "encoder/dense"),
        ("net/dense_2/MatMul", ("dense", "dense_2"), "dense_2"),
        ("net/conv/Relu;net/bn/Add", ("conv", "bn"), "conv"),
        ("net_1/dense_1/MatMul", (), "dense"),
        ("net/dense_1/MatMul", (), "dense_1"),
        ("StatefulPartitionedCall_1:0", (), "the output"),
    ],
)
def test_layers_are_found_in_the_names_of_tensors(name: str, layers: tuple[str, ...], layer: str) -> None:
    assert layer_in(name, layers) == layer


def test_names_of_layers_are_those_of_models_within_too() -> None:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="deep")], name="inner")
    assert {"inner", "deep", "last"} <= set(layer_names(sequence(inner, L.Dense(2, name="last"), shape=(4,))))
