"""Dead operators, and all transforms together with what they say."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support.padded_networks import Layers
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.ir import Model
from tinydeploy.tflite import parse_model, read_model
from tinydeploy.transform import drop_dead, prepare


def opcodes(model: Model) -> list[str]:
    return [op.opcode for op in model.operators]


def branching(outputs: slice = slice(0, 1)) -> Model:
    """TANH → LOGISTIC beside RELU; RELU is the first output."""
    g = GraphBuilder()
    x = g.tensor("x", (1, 20), scale=0.25, zero_point=-3)
    t = g.tensor("t", (1, 20), scale=1 / 128)
    s = g.tensor("s", (1, 20), scale=1 / 256, zero_point=-128)
    r = g.tensor("r", (1, 20), scale=0.25, zero_point=-3)
    g.op("TANH", [x], [t])
    g.op("LOGISTIC", [t], [s])
    g.op("RELU", [x], [r])
    return parse_model(g.build([x], [r, s, t][outputs]))


def test_a_branch_that_nobody_needs_goes_with_what_it_needs() -> None:
    model = branching()
    alive = drop_dead(model)
    assert [(op.index, op.opcode) for op in alive.operators] == [(0, "RELU")]
    assert alive.tensors is model.tensors


def test_what_an_output_or_a_kept_tensor_needs_stays() -> None:
    assert opcodes(drop_dead(branching(slice(0, 3, 2)))) == ["TANH", "RELU"]
    model = branching()
    assert drop_dead(model, [2]) is model
    assert opcodes(drop_dead(model, [1])) == ["TANH", "RELU"]


def test_state_is_always_needed() -> None:
    g = GraphBuilder()
    x = g.tensor("x", (1, 20), scale=0.25)
    v = g.tensor("v", (1, 20), scale=0.25, variable=True)
    r = g.tensor("r", (1, 20), scale=0.25)
    g.op("RELU", [x], [v])
    g.op("RELU", [x], [r])
    model = parse_model(g.build([x], [r]))
    assert drop_dead(model) is model


def test_what_an_unknown_operator_does_is_unknown() -> None:
    g = GraphBuilder()
    x, y, r = (g.tensor(name, (1, 20), scale=0.25) for name in "xyr")
    g.op("ASSIGN_VARIABLE", [x], [y])
    g.op("RELU", [x], [r])
    model = parse_model(g.build([x], [r]))
    assert drop_dead(model) is model


def test_an_operator_is_always_left() -> None:
    g = GraphBuilder()
    x, y = (g.tensor(name, (1, 20), scale=0.25) for name in "xy")
    g.op("RELU", [x], [y])
    model = parse_model(g.build([x], [x]))
    assert drop_dead(model) is model


def padded() -> Model:
    """float → QUANTIZE → PAD → CONV_2D → DEQUANTIZE; a second reader of PAD and one of the input are dead."""
    net = Layers(np.random.default_rng(2))
    x = net.tensor((1, 6, 6, 2), (0.1, 3), "float32")
    a, b = net.tensor(net.shapes[x], (0.1, 3)), net.tensor(net.shapes[x], (0.2, 5))
    net.g.op("QUANTIZE", [x], [a])
    net.g.op("QUANTIZE", [x], [b])
    y = net.pad(a, (1, 0, 0, 1))
    net.same("MAX_POOL_2D", y, padding="SAME", filter_height=2, filter_width=2)
    z = net.convolution(y, (2, 2))
    out = net.tensor(net.shapes[z], net.quants[z], "float32")
    net.g.op("DEQUANTIZE", [z], [out])
    return parse_model(net.g.build([x], [out]))


def test_each_transform_makes_room_for_the_next() -> None:
    model = padded()
    prepared = prepare(model, io="int8")
    assert opcodes(prepared.model) == ["CONV_2D"]
    assert prepared.original is model
    assert prepared.notes == (
        "1 × QUANTIZE, 1 × MAX_POOL_2D left out, since nobody needs the result",
        "input 'float32_0' is int8, without the conversion from or to float32",
        f"output '{model.tensor(model.outputs[0]).name}' is int8, without the conversion from or to float32",
        "1 × PAD done by the convolutions that read it",
    )


def test_the_ends_stay_as_they_are_unless_asked() -> None:
    prepared = prepare(padded())
    assert opcodes(prepared.model) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    assert len(prepared.notes) == 2


def test_nothing_to_do_is_said_where_it_was_asked_for() -> None:
    model = branching(slice(0, 2))
    assert prepare(model).model is model
    assert prepare(model).notes == ()
    prepared = prepare(model, io="int8")
    assert prepared.model is model
    assert prepared.notes == ("inputs are int8 in the file already", "outputs are int8 in the file already")


def test_what_stays_float_is_said() -> None:
    model = padded()
    notes = prepare(model, io="int8", keep=model.inputs).notes
    assert "input 'float32_0' stays float32: no conversion between it and int8 can be left out" in notes


def test_mcunet() -> None:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if folder is None:
        pytest.skip("set TINYDEPLOY_MODELS to the folder with mcunet_vww.tflite")
    model = read_model(Path(folder) / "mcunet_vww.tflite")
    prepared = prepare(model, io="int8")
    assert len(model.operators) - len(prepared.model.operators) == 6  # four PADs, QUANTIZE, DEQUANTIZE
    ends = (*prepared.model.inputs, *prepared.model.outputs)
    assert [prepared.model.tensor(i).bytes for i in ends] == [80 * 80 * 3, 2]
