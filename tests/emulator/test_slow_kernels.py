"""What is called a slow kernel takes more instructions for each MAC or element, and nothing else does."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.firmware import needs_gcc, needs_unicorn
from tinydeploy import pipeline
from tinydeploy.boards import find_board
from tinydeploy.ir import Activation
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.operators.registry import slow_kernel
from tinydeploy.tflite import read_model

pytestmark = [needs_unicorn, needs_gcc]

DSP, PLAIN, SMALL = "stm32f746", "nucleo_f103rb", "nucleo_g071rb"  # Cortex-M7, M3, M0+
MAP = (1, 12, 12, 16)


def dequantize() -> bytes:
    g = writer.GraphBuilder()
    x, y = g.tensor("x", MAP, scale=0.1), g.tensor("y", MAP, "float32")
    g.op("DEQUANTIZE", [x], [y])
    return g.build([x], [y])


def grouped(groups: int) -> bytes:
    g = writer.GraphBuilder()
    x, y = g.tensor("x", MAP, scale=0.1), g.tensor("y", MAP, scale=0.2)
    shape = (16, 3, 3, 16 // groups)
    w = g.tensor("w", shape, scale=[0.01] * 16, data=writer.weights_int8(np.random.default_rng(1), shape))
    g.op("CONV_2D", [x, w], [y], version=3, padding="SAME")
    return g.build([x], [y])


CONV, DEPTHWISE = writer.conv_2d(MAP, 16), writer.depthwise_conv_2d(MAP)
ONE_TAP = writer.conv_2d((1, 12, 12, 32), 16, (1, 1))
ADD, MUL = writer.binary("ADD", MAP), writer.binary("MUL", MAP)

# (a model of one operator, the same operator by its fast way, words of the reason or None) on a core
CASES = {
    "gathered": (writer.conv_2d((1, 12, 12, 7), 16), CONV, DSP, None),  # 63 bytes
    "dilated": (writer.conv_2d(MAP, 16, dilation=(2, 2)), CONV, DSP, "dilated"),
    "dilated, no DSP": (writer.conv_2d(MAP, 16, dilation=(2, 2)), CONV, PLAIN, "dilated"),
    "dilated rows": (writer.conv_2d(MAP, 16, dilation=(2, 1)), CONV, DSP, None),
    "dilated, few registers": (writer.conv_2d(MAP, 16, dilation=(2, 2)), CONV, SMALL, None),
    "ten channels": (writer.conv_2d((1, 12, 12, 10), 16), CONV, DSP, "no multiple of 4"),
    "ten channels, no DSP": (writer.conv_2d((1, 12, 12, 10), 16), CONV, PLAIN, "no multiple of 4"),
    "thirty channels, one tap": (writer.conv_2d((1, 12, 12, 30), 16, (1, 1)), ONE_TAP, DSP, None),
    "groups": (grouped(2), CONV, DSP, "groups"),
    "groups, few registers": (grouped(4), CONV, SMALL, "groups"),
    "all border": (writer.conv_2d((1, 6, 6, 8), 16, (11, 11)), CONV, DSP, "border"),
    "large window": (writer.conv_2d((1, 16, 16, 8), 16, (11, 11), padding="VALID"), CONV, DSP, None),
    "multiplier": (writer.depthwise_conv_2d((1, 12, 12, 8), 2), DEPTHWISE, DSP, "multiplier is 2"),
    "multiplier, few registers": (writer.depthwise_conv_2d((1, 12, 12, 8), 2), DEPTHWISE, SMALL, "multiplier is 2"),
    "dilated depthwise": (writer.depthwise_conv_2d(MAP, dilation=(2, 2)), DEPTHWISE, DSP, None),
    "49 taps": (writer.depthwise_conv_2d(MAP, 1, (7, 7)), DEPTHWISE, DSP, None),
    "64 taps": (writer.depthwise_conv_2d(MAP, 1, (8, 8)), DEPTHWISE, DSP, "more than 49 taps"),
    "clamped sum": (writer.binary("ADD", MAP, activation="RELU"), ADD, DSP, "activation"),
    "one bias for each channel": (writer.binary("ADD", MAP, (1, 1, 1, 16)), ADD, PLAIN, None),
    "one value for all": (writer.binary("ADD", MAP, (1, 1, 1, 1)), ADD, PLAIN, "one value"),
    "clamped product": (writer.binary("MUL", MAP, activation="RELU6"), MUL, PLAIN, "activation"),
    "left shift": (
        writer.binary("MUL", MAP, quants=((0.5, 1), (0.5, 2), (0.1, 3))),
        MUL,
        DSP,
        "right shift",
    ),
}


@cache
def per_unit(data: bytes, board: str, folder: Path) -> float:
    """Instructions for each multiply-accumulate, or output element without any, of the only operator."""
    from tinydeploy.emulate import UnicornEmulator
    from tinydeploy.verify import random_inputs

    planned = pipeline.plan_model(read_model(write(data, folder)), find_board(board), pipeline.PlanOptions())
    built = pipeline.build_image(planned, folder / f"{hash(data)}-{board}", toolchain="gcc")
    ran = pipeline.run_model(built, UnicornEmulator(), random_inputs(planned.model, 0, 1))
    op = planned.model.operators[0]
    return ran.instructions_by_operator[0] / (planned.costs.totals.macs or planned.model.output_of(op).elements)


def write(data: bytes, folder: Path) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


def reason(data: bytes, board: str, folder: Path) -> str | None:
    model = read_model(write(data, folder))
    return slow_kernel(model, model.operators[0], find_board(board).core)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow")


@pytest.mark.parametrize("name", CASES)
def test_slow_is_what_takes_a_third_more(name: str, folder: Path) -> None:
    data, fast, board, words = CASES[name]
    why = reason(data, board, folder)
    assert (words is None) == (why is None), why
    assert words is None or (why is not None and words in why)
    assert reason(fast, board, folder) is None
    ratio = per_unit(data, board, folder) / per_unit(fast, board, folder)
    assert (ratio > 1.33) == (words is not None), f"{ratio:.2f} times the instructions"


@pytest.mark.parametrize(
    "data, other, words",
    [(ADD, PLAIN, "long multiplication"), (MUL, PLAIN, "long multiplication"), (dequantize(), DSP, "floating-point")],
    ids=["ADD", "MUL", "DEQUANTIZE"],
)
def test_library_calls_cost_several_times_as_much(data: bytes, other: str, words: str, folder: Path) -> None:
    assert words in (reason(data, SMALL, folder) or "")
    assert reason(data, other, folder) is None
    assert per_unit(data, SMALL, folder) > 4 * per_unit(data, other, folder)


def test_a_network_without_weights_has_no_kernels_to_be_slow() -> None:
    net = NetworkBuilder("sum")
    x = net.input(MAP)
    model = net.build(net.add(x, x, activation=Activation.RELU))
    assert slow_kernel(model, model.operators[0], find_board(DSP).core) is None
