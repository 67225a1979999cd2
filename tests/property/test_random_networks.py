"""Random whole networks through the real path, against TensorFlow Lite Micro, bit by bit.

Several hundred networks are read, planned (working in place and not), generated, compiled for this computer with
sanitizers, many libraries in one program on one runtime, and run on two samples each. Some then run on emulated boards,
layer by layer. The seeds are fixed; set `TINYDEPLOY_SEED` to another number to look further.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware import needs_gcc, needs_unicorn
from tests.support.host_kernels import random_inputs, tflm_outputs
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.random_networks import Network, random_network
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.ir import Model
from tinydeploy.operators.registry import kinds
from tinydeploy.tflite import parse_model

FIRST = int(os.environ.get("TINYDEPLOY_SEED", "0")) * 1_000_000
BATCH = 50
BATCHES = 6
SAMPLES = 2
ON_BOARDS = 20


def network(seed: int) -> Network:
    return random_network(np.random.default_rng(seed))


def samples_of(data: bytes, seed: int, count: int = SAMPLES) -> tuple[tuple[np.ndarray, ...], ...]:
    rng = np.random.default_rng([seed, 1])
    return tuple(random_inputs(data, rng) for _ in range(count))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_networks_give_what_tflm_gives(batch: int) -> None:
    seeds = range(FIRST + batch * BATCH, FIRST + (batch + 1) * BATCH)
    cases: list[tuple[int, HostModel]] = []
    for seed in seeds:
        data = network(seed).data
        samples = samples_of(data, seed)
        cases += [(seed, HostModel(data, samples, in_place)) for in_place in (True, False)]
    found = run_models_on_host([case for _, case in cases])
    wrong = []
    alive = many = 0
    expected: dict[int, list[list[np.ndarray]]] = {}
    for (seed, case), by_sample in zip(cases, found, strict=True):
        if seed not in expected:
            expected[seed] = [tflm_outputs(case.data, sample) for sample in case.samples]
        for ours, theirs in zip(by_sample, expected[seed], strict=True):
            for position, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                if a.tobytes() != np.ascontiguousarray(b).tobytes():
                    wrong.append(f"seed {seed}, in place: {case.in_place}, output {position}")
                if a.size >= 16:
                    many += 1
                    alive += len(np.unique(a)) >= 4
    assert not wrong
    assert alive > 0.85 * many  # else the networks would show nothing


def test_every_operator_is_met_often() -> None:
    met = Counter(op for seed in range(FIRST, FIRST + BATCH * BATCHES) for op in network(seed).opcodes)
    assert set(met) == {kind.opcode for kind in kinds() if kind.runs}
    assert min(met.values()) >= 5


def test_the_shapes_of_graphs_that_are_promised() -> None:
    """Several inputs, several outputs, an output that is read too, a tensor read by several operators."""
    seen: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + BATCH * BATCHES):
        model: Model = parse_model(network(seed).data)
        readers = Counter(t for op in model.operators for t in set(op.inputs))
        constant = {t.index for t in model.tensors if t.constant}
        seen["inputs"] += len(model.inputs) > 1
        seen["outputs"] += len(model.outputs) > 1
        seen["read output"] += any(readers[t] for t in model.outputs)
        seen["fork"] += any(n > 1 for t, n in readers.items() if t not in constant)
        seen["shared constant"] += any(n > 1 for t, n in readers.items() if t in constant)
        seen["twice"] += any(op.inputs[0] in op.inputs[1:] for op in model.operators if op.inputs)
        seen["input of float"] += any(model.tensor(t).dtype.label == "float32" for t in model.inputs)
        seen["output of float"] += any(model.tensor(t).dtype.label == "float32" for t in model.outputs)
    assert len(seen) == 8
    assert min(seen.values()) >= 5, seen


@needs_unicorn
@needs_gcc
@pytest.mark.parametrize("board", ["stm32l4r5", "stm32g0b1"])
def test_random_networks_on_boards(board: str, tmp_path: Path) -> None:
    """On a Cortex-M4 with the DSP extension and on a Cortex-M0+."""
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    from tinydeploy.boards import find_board
    from tinydeploy.emulate import UnicornEmulator
    from tinydeploy.pipeline import PlanOptions, build_image, plan_model, run_model

    options = PlanOptions(solver="builtin")
    emulator = UnicornEmulator()
    for seed in range(FIRST, FIRST + ON_BOARDS):
        data = network(seed).data
        model = parse_model(data)
        planned = plan_model(model, find_board(board), options)
        built = build_image(planned, tmp_path / str(seed), toolchain="gcc", name="net")
        samples = [dict(zip(model.inputs, sample, strict=True)) for sample in samples_of(data, seed, 1)]
        ran = run_model(built, emulator, samples)
        expected = tflm_outputs(data, [samples[0][t] for t in model.inputs])
        for index, theirs in zip(model.outputs, expected, strict=True):
            ours = ran.outputs[0][index]
            assert ours.tobytes() == np.ascontiguousarray(theirs).tobytes(), f"seed {seed}, tensor {index}"
        assert ran.watermark("arena") <= planned.plan.arena_bytes
        assert ran.watermark("stack") < built.image.stack_bytes


def _only_reshapes(g: GraphBuilder) -> tuple[list[int], list[int]]:
    """Nothing is computed: every output is the input's bytes."""
    x = g.tensor("x", (2, 6), scale=0.5, zero_point=3)
    y = g.tensor("y", (3, 4), scale=0.5, zero_point=3)
    z = g.tensor("z", (12,), scale=0.5, zero_point=3)
    g.op("RESHAPE", [x, g.tensor("s", (2,), "int32", data=[3, 4])], [y], new_shape=np.array([3, 4]))
    g.op("RESHAPE", [y, g.tensor("r", (1,), "int32", data=[12])], [z], new_shape=np.array([12]))
    return [x], [z, y]


def _input_is_output(g: GraphBuilder) -> tuple[list[int], list[int]]:
    x = g.tensor("x", (3, 5), scale=0.25, zero_point=-3)
    y = g.tensor("y", (3, 5), scale=0.3, zero_point=4)
    z = g.tensor("z", (3, 5), scale=0.3, zero_point=4)
    g.op("ADD", [x, x], [y], version=2)
    g.op("RELU6", [y], [z])
    return [x], [z, x, y]


def _unread_input(g: GraphBuilder) -> tuple[list[int], list[int]]:
    x = g.tensor("x", (3, 5), scale=0.25, zero_point=-3)
    u = g.tensor("u", (7,), scale=0.25, zero_point=-3)
    y = g.tensor("y", (3, 5), scale=1 / 128)
    g.op("TANH", [x], [y])
    return [u, x], [y]


def _reshape_of_a_tensor_that_lives_on(g: GraphBuilder) -> tuple[list[int], list[int]]:
    """In place over either name of the bytes would spoil the other."""
    x = g.tensor("x", (4, 4), scale=0.25, zero_point=-3)
    y = g.tensor("y", (2, 8), scale=0.25, zero_point=-3)
    a = g.tensor("a", (2, 8), scale=1 / 256, zero_point=-128)
    b = g.tensor("b", (4, 4), scale=1 / 128)
    c = g.tensor("c", (4, 4), scale=0.25, zero_point=1)
    g.op("RESHAPE", [x, g.tensor("s", (2,), "int32", data=[2, 8])], [y], new_shape=np.array([2, 8]))
    g.op("LOGISTIC", [y], [a])
    g.op("TANH", [x], [b])
    g.op("ADD", [x, b], [c], version=2)
    return [x], [a, c]


def _one_result_for_nobody(g: GraphBuilder) -> tuple[list[int], list[int]]:
    x = g.tensor("x", (1, 20), scale=0.25, zero_point=-3)
    y = g.tensor("y", (1, 20), scale=1 / 128)
    z = g.tensor("z", (1, 20), scale=1 / 256, zero_point=-128)
    g.op("TANH", [x], [y])
    g.op("LOGISTIC", [x], [z])
    return [x], [z]


def _an_output_twice(g: GraphBuilder) -> tuple[list[int], list[int]]:
    x = g.tensor("x", (1, 20), scale=0.25, zero_point=-3)
    y = g.tensor("y", (1, 20), scale=1 / 128)
    g.op("TANH", [x], [y])
    return [x], [y, y]


ODD = (
    _only_reshapes, _input_is_output, _unread_input, _reshape_of_a_tensor_that_lives_on, _one_result_for_nobody,
    _an_output_twice,
)  # fmt: skip


def test_odd_graphs() -> None:
    cases = []
    for make in ODD:
        g = GraphBuilder()
        inputs, outputs = make(g)
        data = g.build(inputs, outputs)
        cases += [HostModel(data, samples_of(data, 7), in_place) for in_place in (True, False)]
    for case, by_sample in zip(cases, run_models_on_host(cases), strict=True):
        for sample, ours in zip(case.samples, by_sample, strict=True):
            for a, b in zip(ours, tflm_outputs(case.data, sample), strict=True):
                assert a.tobytes() == np.ascontiguousarray(b).tobytes()
