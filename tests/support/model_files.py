"""The model files that tests run over: shipped, generated, and real ones where TINYDEPLOY_MODELS names a folder."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

from tests.support import tflite_writer as writer

ROOT = Path(__file__).resolve().parents[2]

SKIP_REASON = (
    "the real models cannot be installed: set TINYDEPLOY_MODELS to a folder with vww_96_int8.tflite and others"
)


def real_models() -> dict[str, Path]:
    """The files in the folder that TINYDEPLOY_MODELS names, by name; empty without it."""
    folder = os.environ.get("TINYDEPLOY_MODELS")
    return {} if not folder else {p.name: p for p in sorted(Path(folder).glob("*.tflite"))}


def shipped_models() -> dict[str, Path]:
    """The files in models/, by name."""
    return {p.name: p for p in sorted((ROOT / "models").glob("**/*.tflite"))}


def mixed_network() -> bytes:
    """A network that uses much of the format at once.

    Two inputs, two outputs, a constant that two operators share, two tensors on one buffer, a left-out bias, a
    variable, metadata, an opcode above 127, names that are not ASCII.
    """
    rng = np.random.default_rng(7)
    g = writer.GraphBuilder(description="mixed, with ümlauts")
    x = g.tensor("eingang/größe", (1, 6, 6, 2), scale=0.05, zero_point=3, shape_signature=(-1, 6, 6, 2))
    z = g.tensor("second", (1, 6, 6, 4), scale=0.07, zero_point=-9)
    scales = [0.01, 0.02, 0.015, 0.005]
    values = rng.integers(-127, 128, size=(4, 3, 3, 2))
    w = g.tensor("w", (4, 3, 3, 2), scale=scales, data=values)
    b = g.tensor("b", (4,), "int32", scale=[0.05 * s for s in scales], data=[1, -2, 3, -4])
    a = g.tensor("a", (1, 6, 6, 4), scale=0.06, zero_point=1)
    c = g.tensor("c", (1, 6, 6, 4), scale=0.06, zero_point=1)
    total = g.tensor("sum", (1, 6, 6, 4), scale=0.09, zero_point=2)
    g.tensor("state", (1, 5), scale=0.1, zero_point=0, variable=True)
    shape = g.tensor("shape", (2,), "int32", data=[1, 144])
    same = g.tensor("shape_again", (2,), "int32", buffer=len(g.model.buffers) - 1)
    flat = g.tensor("flat", (1, 144), scale=0.09, zero_point=2)
    flat_too = g.tensor("flat_too", (1, 144), scale=0.09, zero_point=2)
    weights = g.tensor("fc", (3, 144), scale=0.004, data=rng.integers(-127, 128, size=(3, 144)))
    y = g.tensor("y", (1, 3), scale=0.2, zero_point=-1)
    q = g.tensor("gelu", (1, 3), scale=0.2, zero_point=-1)
    scalar = g.tensor("axis", (), "int32", data=np.int32(1))
    g.tensor("no axes", (0,), "int32")
    best = g.tensor("best", (1,), "int64")
    g.op("CONV_2D", [x, w, b], [a], padding="SAME", activation="RELU6", stride_h=1, stride_w=1)
    g.op("CONV_2D", [x, w, b], [c], padding="SAME", activation="NONE", dilation_h_factor=1, dilation_w_factor=1)
    g.op("ADD", [a, z], [total], activation="RELU")
    g.op("RESHAPE", [total, shape], [flat])
    g.op("RESHAPE", [c, same], [flat_too], new_shape=np.array([1, -1], np.int32))
    g.op("FULLY_CONNECTED", [flat, weights, -1], [y], activation="RELU_N1_TO_1", keep_num_dims=True)
    g.op("GELU", [y], [q])
    g.op("ARG_MAX", [flat_too, scalar], [best])
    g.metadata("min_runtime_version", b"2.16.0\0\0")
    g.metadata("blob", bytes(range(256)))
    return g.build([x, z], [q, best])


def transpose_conv() -> bytes:
    """One TRANSPOSE_CONV, whose first input is the output's shape."""
    g = writer.GraphBuilder()
    shape = g.tensor("shape", (4,), "int32", data=[1, 8, 8, 3])
    w = g.tensor("w", (3, 2, 2, 5), scale=[0.1, 0.2, 0.3], data=np.ones((3, 2, 2, 5)))
    x = g.tensor("x", (1, 4, 4, 5), scale=0.5, zero_point=1)
    y = g.tensor("y", (1, 8, 8, 3), scale=0.5, zero_point=1)
    g.op("TRANSPOSE_CONV", [shape, w, x], [y], padding="VALID", stride_h=2, stride_w=2, activation="RELU")
    return g.build([x], [y])


@cache
def generated_models() -> dict[str, bytes]:
    """The bytes of generated models, by name."""
    return {**writer.single_operator_models(), "mixed_network": mixed_network(), "transpose_conv": transpose_conv()}


@cache
def all_models() -> dict[str, bytes]:
    """Every model file there is here, by name."""
    files = {**shipped_models(), **real_models()}
    return {**generated_models(), **{name: path.read_bytes() for name, path in files.items()}}
