"""TensorFlow Lite Micro's arena: figures of TFLM itself, on Cortex-M and on this computer, and its rules by hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from struct import pack

import pytest

from tests.support.plan_nets import Net
from tinydeploy.boards.board import Core
from tinydeploy.ir import Conv2DAttrs, DepthwiseConv2DAttrs, DType, Model, Padding, Pool2DAttrs, TransposeConvAttrs
from tinydeploy.ir.attributes import Attributes
from tinydeploy.plan.tflm import KernelSet, predict_tflm_arena
from tinydeploy.plan.tflm.greedy import Request, height, place
from tinydeploy.tflite import parse_model, read_model

# arena_used_bytes of TFLM 90b983c with CMSIS-NN 4ab83cc, built by arm-none-eabi-gcc 12.2 for Cortex-M4 and M7 (both
# the same) and run in an emulator: the reference kernels', CMSIS-NN's.
ARENA_USED = {
    "ad01_int8": (2_260, 2_580),
    "kws_ref_model": (22_772, 22_820),
    "pretrainedResnet_quant": (54_340, 54_996),
    "mcunet_vww": (219_744, 219_808),
    "vww_96_int8": (100_660, 100_708),
}

# The same for tests/support/tflm_networks.py.
SMALL_ARENA_USED = {
    "TRANSPOSE_CONV of 8 channels": (4_356, 2_244),
    "TRANSPOSE_CONV of 20 channels": (4_660, 3_556),
    "TRANSPOSE_CONV with stride 3": (8_692, 4_084),
    "FULLY_CONNECTED of rank 3": (436, 516),
    "FULLY_CONNECTED of rank 3, per channel": (500, 532),
    "FULLY_CONNECTED of rank 3, of odd depth": (436, 468),
    "shape arithmetic": (836, 836),
    "many": (2_352, 2_352),
    "SUM": (500, 500),
    "GATHER": (436, 436),
    "MIRROR_PAD": (500, 500),
    "RESIZE_NEAREST_NEIGHBOR": (564, 564),
    "SLICE": (436, 436),
}

M0 = Core(name="cortex-m0plus", fpu="none", dsp=False, mve=False, source="")

# prints "Arena allocation head … bytes" for each of the files, to standard error
_PRINT_ALLOCATIONS = """
import sys
from tflite_micro.python.tflite_micro import runtime
for path in sys.argv[1:]:
    runtime.Interpreter.from_file(path, arena_size=1 << 23).print_allocations()
"""


def tflm_heads(files: Sequence[Path]) -> list[int]:
    """The non-persistent part of TFLM's arena for each model: on a 64-bit computer only the other part is larger."""
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    command = [sys.executable, "-c", _PRINT_ALLOCATIONS, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(head) for head in re.findall(r"Arena allocation head (\d+) bytes", done.stderr)]


def predicted_and_tflm(folder: Path, files: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """The non-persistent part as predicted, and as TFLM has it."""
    paths = [folder / f"{number}.tflite" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    arenas = [predict_tflm_arena(parse_model(data), kernels="reference") for data in files]
    assert not any(arena.unknown for arena in arenas)
    return [arena.nonpersistent_bytes for arena in arenas], tflm_heads(paths)


@pytest.mark.parametrize("name", ARENA_USED)
def test_real_models_as_on_cortex_m(name: str) -> None:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("set TINYDEPLOY_MODELS to a folder with the MLPerf Tiny models")
    path = Path(folder) / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder that TINYDEPLOY_MODELS names")
    model = read_model(path)
    arenas = [predict_tflm_arena(model, kernels=kernels) for kernels in ("reference", "cmsis-nn")]
    assert tuple(arena.total_bytes for arena in arenas) == ARENA_USED[name]
    assert [arena.nonpersistent_bytes for arena in arenas[:1]] == tflm_heads([path])
    assert not any(arena.unknown for arena in arenas)


@pytest.mark.parametrize("name", SMALL_ARENA_USED)
def test_small_networks_as_on_cortex_m(name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")
    from tests.support.tflm_networks import NETWORKS

    model = parse_model(NETWORKS[name]())
    arenas = [predict_tflm_arena(model, kernels=kernels) for kernels in ("reference", "cmsis-nn")]
    assert tuple(arena.total_bytes for arena in arenas) == SMALL_ARENA_USED[name]
    assert not any(arena.unknown for arena in arenas)


def test_random_networks_are_placed_as_tflm_places_them(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")
    import numpy as np

    from tests.support.random_networks import random_network

    files = [random_network(np.random.default_rng(seed), 40 if seed % 5 == 0 else None).data for seed in range(60)]
    predicted, actual = predicted_and_tflm(tmp_path, files)
    assert predicted == actual


def test_folded_operators_unused_tensors_and_offline_plans_count(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")
    from tests.support.tflite_writer import GraphBuilder

    def network(*, unused: int = 0, offsets: Sequence[int] | None = None) -> bytes:
        g = GraphBuilder()
        x = g.tensor("x", (1, 4, 5), scale=0.5)
        shape, first = g.tensor("shape", (3,), "int32"), g.tensor("first", (), "int32")
        bounds = [g.tensor(n, (1,), "int32", data=[v]) for n, v in (("a", 0), ("b", 1), ("c", 1))]
        rest = g.tensor("rest", (), "int32", data=20)
        target, y = g.tensor("target", (2,), "int32"), g.tensor("y", (1, 20), scale=0.5)
        g.op("SHAPE", [x], [shape])
        g.op("STRIDED_SLICE", [shape, *bounds], [first], shrink_axis_mask=1)
        g.op("PACK", [first, rest], [target], axis=0, valuesCount=2)
        g.op("RESHAPE", [x, target], [y])
        if unused:
            g.tensor("unused", (unused,))
        if offsets is not None:
            g.metadata("OfflineMemoryAllocation", pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets))
        return g.build(inputs=[x], outputs=[y])

    offline = [64, *[-1] * 7, 128]
    predicted, actual = predicted_and_tflm(tmp_path, [network(), network(unused=500), network(offsets=offline)])
    # x and y, then the target beside x: 32 + 32 + 16; y ends at 128 + 32
    assert predicted == actual == [80, 512, 160]
    model = parse_model(network())
    assert [op.index for op in model.folded_operators] == [0, 1, 2]


def test_ties_and_gaps() -> None:
    """By hand: of equal sizes the last requested comes first, and each goes into the lowest gap."""
    requests = [Request(32, 0, 1), Request(32, 1, 2), Request(16, 2, 3), Request(48, 3, 4), Request(16, 0, 4)]
    offsets = place(requests)
    # 48 at 0; of the two 32s the later one at 0, then the earlier above it; of the 16s the later one above both
    assert offsets == (32, 0, 48, 0, 64)
    assert height(requests, offsets) == 80
    assert place([]) == ()
    assert height([], ()) == 0


def test_offline_offsets_come_first_and_are_kept() -> None:
    requests = [Request(64, 0, 1), Request(16, 0, 1, fixed=32), Request(16, 0, 1, fixed=80), Request(32, 0, 1)]
    assert place(requests) == (96, 32, 80, 0)


def _single(
    opcode: str, attrs: Attributes, data: tuple[int, ...], weights: tuple[int, ...] | None, output: tuple[int, ...]
) -> Model:
    """A network of one operator."""
    net = Net()
    inputs = [net.input(*data)]
    if weights is not None:
        inputs.append(net.tensor(weights, constant=True))
    if opcode == "TRANSPOSE_CONV":
        inputs = [net.tensor((4,), DType.INT32, constant=True), inputs[1], inputs[0]]
    model = net.model(net.op(opcode, inputs, *output))
    return replace(model, operators=(replace(model.operators[0], attrs=attrs),))


_SAME = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
_VALID_2 = {"padding": Padding.VALID, "stride_h": 2, "stride_w": 2}
_POOL = Pool2DAttrs(**_VALID_2, filter_h=2, filter_w=2)


@pytest.mark.parametrize(
    ("model", "kernels", "core", "scratch"),
    [
        # two columns of 3·3·5 = 45 int16, rounded up to 48; a 1×1 convolution needs none, in groups it does
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 3, 3, 5), (1, 8, 8, 4)), "cmsis-nn", None, 192),
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 3, 3, 5), (1, 8, 8, 4)), "cmsis-nn", M0, 192),
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 3, 3, 5), (1, 8, 8, 4)), "reference", None, 0),
        (_single("CONV_2D", Conv2DAttrs(**_VALID_2), (1, 8, 8, 8), (4, 1, 1, 8), (1, 4, 4, 4)), "cmsis-nn", None, 0),
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 8), (4, 1, 1, 4), (1, 8, 8, 4)), "cmsis-nn", None, 32),
        # a window of 5·5·8 int16; 3×3 has a kernel of its own unless it is padded by more than 1, and so has batch 2
        (
            _single("DEPTHWISE_CONV_2D", DepthwiseConv2DAttrs(**_SAME), (1, 8, 8, 8), (1, 5, 5, 8), (1, 8, 8, 8)),
            "cmsis-nn", None, 400,
        ),
        (
            _single("DEPTHWISE_CONV_2D", DepthwiseConv2DAttrs(**_SAME), (1, 8, 8, 8), (1, 5, 5, 8), (1, 8, 8, 8)),
            "cmsis-nn", M0, 0,
        ),
        (
            _single("DEPTHWISE_CONV_2D", DepthwiseConv2DAttrs(**_SAME), (1, 8, 8, 8), (1, 3, 3, 8), (1, 8, 8, 8)),
            "cmsis-nn", None, 0,
        ),
        (
            _single("DEPTHWISE_CONV_2D", DepthwiseConv2DAttrs(**_SAME), (2, 8, 8, 8), (1, 5, 5, 8), (2, 8, 8, 8)),
            "cmsis-nn", None, 0,
        ),
        # an int32 for each of 9 channels
        (
            _single("AVERAGE_POOL_2D", _POOL, (1, 8, 8, 9), None, (1, 4, 4, 9)),
            "cmsis-nn", None, 48,
        ),
        (
            _single("MAX_POOL_2D", _POOL, (1, 8, 8, 9), None, (1, 4, 4, 9)),
            "cmsis-nn", None, 0,
        ),
        # the reference keeps an int32 for each output; CMSIS-NN rows of them, (4 − 1)·2 + 3 wide, 3 high
        (
            _single("TRANSPOSE_CONV", TransposeConvAttrs(**_VALID_2), (1, 4, 4, 8), (6, 3, 3, 8), (1, 9, 9, 6)),
            "reference", None, 4 * 9 * 9 * 6 + 8,
        ),
        (
            _single("TRANSPOSE_CONV", TransposeConvAttrs(**_VALID_2), (1, 4, 4, 8), (6, 3, 3, 8), (1, 9, 9, 6)),
            "cmsis-nn", None, 4 * 9 * 6 * 3 + 8,
        ),
        # above 16 channels two columns and the reversed weights
        (
            _single("TRANSPOSE_CONV", TransposeConvAttrs(**_VALID_2), (1, 4, 4, 20), (6, 3, 3, 20), (1, 9, 9, 6)),
            "cmsis-nn", None, 4 * 180 + 1080 + 8,
        ),
    ],
)  # fmt: skip
def test_scratch_by_hand(model: Model, kernels: KernelSet, core: Core | None, scratch: int) -> None:
    """The formulas of CMSIS-NN's `*_get_buffer_size` and of the reference kernels; buffers are multiples of 16."""
    arena = predict_tflm_arena(model, kernels=kernels, core=core)
    assert arena.scratch_bytes == scratch
    assert not arena.unknown
    data = model.tensor(model.inputs[0]).bytes
    assert arena.nonpersistent_bytes >= data + scratch


def test_unknown_kernels_are_named() -> None:
    net = Net()
    x = net.input(1, 16)
    model = net.model(net.op("RELU", [net.op("RFFT2D", [x], 1, 32)], 1, 32))
    arena = predict_tflm_arena(model, kernels="reference")
    assert arena.unknown == ("operator 0 (RFFT2D)",)
    assert arena.nonpersistent_bytes == 64
    # an input that is left out, and a tensor of another rank than the kernel's
    odd = replace(model, operators=tuple(replace(op, inputs=(-1,)) for op in model.operators))
    assert len(predict_tflm_arena(odd, kernels="cmsis-nn").unknown) == 2
    flat = _single("CONV_2D", Conv2DAttrs(**_SAME), (8, 5), (4, 5), (8, 4))
    assert predict_tflm_arena(flat, kernels="cmsis-nn").unknown == ("operator 0 (CONV_2D)",)


_DEPTHWISE = DepthwiseConv2DAttrs(**_SAME, depth_multiplier=1)


@pytest.mark.parametrize(
    ("model", "scratch"),
    [
        # two columns of 3·3·5 = 45 int16, as they are: 180 bytes; a 1×1 convolution has them, too: 20
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 3, 3, 5), (1, 8, 8, 4)), 192),
        (_single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 1, 1, 5), (1, 8, 8, 4)), 32),
        (_single("DEPTHWISE_CONV_2D", _DEPTHWISE, (1, 8, 8, 8), (1, 5, 5, 8), (1, 8, 8, 8)), 0),
        (_single("AVERAGE_POOL_2D", _POOL, (1, 8, 8, 9), None, (1, 4, 4, 9)), 48),
        # an int64 for each element
        (
            _single("TRANSPOSE_CONV", TransposeConvAttrs(**_VALID_2), (1, 4, 4, 3), (2, 2, 2, 3), (1, 8, 8, 2)),
            8 * 8 * 8 * 2,
        ),
    ],
)
def test_int16_scratch_of_cmsis_nn(model: Model, scratch: int) -> None:
    """Sources: CMSIS-NN's *_get_buffer_sizes_s16.c, and which of them the wrappers of TFLM call."""
    wide = replace(model, tensors=tuple(t if t.constant else replace(t, dtype=DType.INT16) for t in model.tensors))
    arena = predict_tflm_arena(wide, kernels="cmsis-nn")
    assert (arena.unknown, arena.scratch_bytes) == ((), scratch)


def test_what_is_not_modelled_is_named() -> None:
    helium = Core(name="cortex-m55", fpu="fpv5-d16", dsp=True, mve=True, source="")
    net = _single("CONV_2D", Conv2DAttrs(**_SAME), (1, 8, 8, 5), (4, 3, 3, 5), (1, 8, 8, 4))
    assert not predict_tflm_arena(net, kernels="reference", core=helium).unknown
    assert predict_tflm_arena(net, kernels="cmsis-nn", core=helium).unknown
    odd = replace(net, tensors=tuple(replace(t, dtype=DType.UINT8) for t in net.tensors))
    assert not predict_tflm_arena(odd, kernels="reference").unknown
    assert predict_tflm_arena(odd, kernels="cmsis-nn").unknown == ("operator 0 (CONV_2D)",)


def test_planning_may_need_more_than_what_is_used() -> None:
    """By hand: two buffers of 16 bytes, and the planner's tables of 12 spare requests, 3 tensors and 2 buffers."""
    net = Net()
    x = net.input(1, 16)
    net.tensor((4,), constant=True)
    arena = predict_tflm_arena(net.model(net.op("RELU", [x], 1, 16)), kernels="reference")
    # allocators 36 + 44 + 36 + 8 + 8, 3 tensors of 12, a node of 32, then a state of 28 that ends on 16
    before = 240
    # and for the interface twice: a pointer on 16, a tensor of 32
    assert arena.persistent_bytes == before + 16 + 32 + 16 + 32
    assert arena.total_bytes == 32 + 336
    assert arena.setup_bytes == before + 224 + 80
    assert arena.arena_bytes == 544
