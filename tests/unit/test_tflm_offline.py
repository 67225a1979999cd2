"""The placement for TensorFlow Lite Micro: bounds by hand and by trying every order, and a validator that says no."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from pathlib import Path
from random import Random
from types import MappingProxyType

import pytest

from tests.support.plan_nets import Net
from tinydeploy.catalog import model_path
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import DType, Model, Operator
from tinydeploy.plan.tflm import plan_offline
from tinydeploy.plan.validate.offline import validate_offline
from tinydeploy.tflite import read_model

# TFLM's own placement as measured (docs/tflm-arena.md) and the most bytes alive at one time: with reference kernels,
# with CMSIS-NN's
REAL = {
    "ad01_int8": (768, 768, 768, 768),
    "kws_ref_model": (16_000, 16_000, 16_000, 16_000),
    "pretrainedResnet_quant": (49_152, 49_152, 49_728, 49_728),
    "vww_96_int8": (73_728, 55_296, 73_728, 55_296),
    "mcunet_vww": (161_472, 161_472, 161_472, 161_472),
}


def aligned(size: int) -> int:
    return -(-size // 16) * 16


def live_peak(model: Model, order: Sequence[int]) -> int:
    """The most bytes alive at one time, as TFLM counts them: by definition, for reference kernels without scratch."""
    program = [model.operators[position] for position in order]
    peak = sum(aligned(model.tensor(index).bytes) for index in model.inputs)
    for now, op in enumerate(program):
        made = {index for earlier in program[: now + 1] for index in earlier.outputs} | set(model.inputs)
        needed = {index for later in program[now:] for index in later.inputs} | set(model.outputs) | set(op.outputs)
        peak = max(peak, sum(aligned(model.tensor(index).bytes) for index in made & needed))
    return peak


def runnable(model: Model) -> Iterator[tuple[int, ...]]:
    """Every order in which the operators can run."""
    for order in permutations(range(len(model.operators))):
        known = {*model.inputs, *(t.index for t in model.tensors if t.constant)}
        for position in order:
            op = model.operators[position]
            if not known.issuperset(op.inputs):
                break
            known.update(op.outputs)
        else:
            yield order


@pytest.mark.parametrize("name", REAL)
def test_real_models_reach_what_is_alive_at_one_time(name: str) -> None:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("set TINYDEPLOY_MODELS to a folder with the MLPerf Tiny models")
    path = Path(folder) / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the folder that TINYDEPLOY_MODELS names")
    model = read_model(path)
    for kernels in ("reference", "cmsis-nn"):
        plan = plan_offline(model, kernels=kernels)
        sizes = [
            size
            for each in ("reference", "cmsis-nn")
            for size in (plan.greedy[each].nonpersistent_bytes, plan.arenas[each].nonpersistent_bytes)
        ]
        assert tuple(sizes) == REAL[name]
        assert plan.proof.optimal
        assert not plan.reordered
        assert plan.arenas[kernels].persistent_bytes == plan.greedy[kernels].persistent_bytes
        assert plan.arenas[kernels].setup_bytes == plan.greedy[kernels].setup_bytes


@pytest.mark.parametrize("name", ["vww", "unet", "branches", "resnet8"])
def test_shipped_models_reach_what_is_alive_at_one_time(name: str) -> None:
    path = model_path(name)
    assert path is not None
    model = read_model(path)
    plan = plan_offline(model, kernels="reference")
    assert plan.nonpersistent_bytes <= plan.greedy_bytes
    if all(op.opcode not in ("MEAN", "TRANSPOSE_CONV") for op in model.operators) and not model.folded:
        assert plan.nonpersistent_bytes == live_peak(model, plan.order)
    if plan.reordered:
        assert plan.arenas["reference"].arena_bytes < plan.greedy["reference"].arena_bytes


def random_net(random: Random) -> Model:
    net = Net()
    values = [net.input(1, random.randrange(1, 200)) for _ in range(random.choice((1, 1, 2)))]
    for _ in range(random.randrange(3, 7)):
        inputs = random.sample(values, min(len(values), random.choice((1, 1, 2))))
        values.append(net.op("RELU", inputs, 1, random.randrange(1, 200)))
    read = {index for op in net.operators for index in op.inputs}
    return net.model(*(v for v in values if v not in read or random.random() < 0.1))


def test_every_order_of_small_networks() -> None:
    """No order needs less than the floor, and what is called optimal is what the best order needs."""
    optimal = moved = 0
    for seed in range(120):
        model = random_net(Random(seed))
        plan = plan_offline(model, kernels="reference")
        least = min(live_peak(model, order) for order in runnable(model))
        assert plan.proof.floor_bytes <= least <= plan.nonpersistent_bytes <= plan.greedy_bytes, seed
        assert plan.arenas["reference"].arena_bytes <= plan.greedy["reference"].arena_bytes
        assert plan.bounds["reference"] == live_peak(model, plan.order)
        if plan.proof.optimal:
            assert plan.nonpersistent_bytes == least
        optimal += plan.proof.optimal
        moved += plan.reordered
    assert optimal > 60  # where planning takes more than the tensors, another order is not worth it
    assert moved > 0


def two_branches(wide_bytes: int = 16384) -> Model:
    """A narrow input, two wide tensors made of it, a narrow result of each, and their sum. Wide ones come first."""
    net = Net()
    x = net.input(1, 64)
    wide = [net.op("RELU", [x], 1, wide_bytes) for _ in range(2)]
    narrow = [net.op("RELU", [w], 1, 32) for w in wide]
    return net.model(net.op("ADD", narrow, 1, 32))


def test_operators_change_places_where_that_makes_the_arena_smaller() -> None:
    plan = plan_offline(two_branches(), kernels="cmsis-nn")
    assert plan.greedy_bytes == 2 * 16384 + 64  # both wide tensors, and beside them what they are made of
    # one wide tensor, what it is made of, and what is left of the other
    assert plan.nonpersistent_bytes == 16384 + 64 + 32
    assert plan.order in ((0, 2, 1, 3, 4), (1, 3, 0, 2, 4))
    assert plan.proof.optimal


def test_operators_stay_where_the_arena_would_not_be_smaller() -> None:
    """The tables that TFLM needs while it plans are larger than all tensors."""
    assert not plan_offline(two_branches(96), kernels="reference").reordered


def test_operators_stay_where_the_file_says_so() -> None:
    model = two_branches()
    tied = replace(model, metadata=MappingProxyType({"model_control_dependencies": b"\1"}))
    assert not plan_offline(tied, kernels="reference").reordered
    # and where one writes what outlives the run
    state = replace(model.tensors[0], index=len(model.tensors), name="state", variable=True)
    writer = Operator(len(model.operators), "RELU", (model.outputs[0],), (state.index,), model.operators[0].attrs)
    stateful = replace(model, tensors=(*model.tensors, state), operators=(*model.operators, writer))
    assert not plan_offline(stateful, kernels="reference").reordered


def test_what_has_no_place_gets_none() -> None:
    net = Net()
    x = net.input(1, 100)
    unread = net.input(1, 4000)
    state = net.tensor((1, 100), variable=True)
    weights = net.tensor((4, 4), constant=True)
    empty = net.tensor((0,), constant=True)
    unused = net.tensor((1, 300))
    a, b = net.ops("SPLIT", [weights, x], (1, 64), (1, 36))
    y = net.op("ADD", [a, state], 1, 64)
    model = net.model(y, x)
    plan = plan_offline(model, kernels="reference")
    assert [plan.offsets[index] for index in (state, weights, empty)] == [None, None, None]
    assert plan.offsets[unused] == 0  # in nobody's way
    assert None not in [plan.offsets[index] for index in (x, unread, a, b, y)]
    # before the first operator both inputs; x is an output, too, and stays: 112 beside 64 + 64 for a and y
    assert plan.nonpersistent_bytes == 112 + 4000
    # an output that nobody reads is written all the same: it must not lie on what is alive then
    spans = sorted((plan.offsets[index], plan.offsets[index] + model.tensor(index).bytes) for index in (x, a, b))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_scratch_has_room() -> None:
    """MEAN's sums of int32, its input's indices and its axes: 4·64, 4·4 and 4·2 bytes, each a multiple of 16."""
    net = Net()
    x = net.input(1, 16, 16, 64)
    axes = net.tensor((2,), DType.INT32, constant=True)
    y = net.op("MEAN", [net.op("RELU", [x], 1, 16, 16, 64), axes], 1, 64)
    plan = plan_offline(net.model(y), kernels="reference")
    assert plan.nonpersistent_bytes == 2 * 16384
    small = Net()
    x = small.input(1, 16, 16, 64)
    axes = small.tensor((2,), DType.INT32, constant=True)
    plan = plan_offline(small.model(small.op("MEAN", [x, axes], 1, 64)), kernels="reference")
    assert plan.nonpersistent_bytes == 16384 + 64 + 256 + 16 + 16


def test_unknown_kernels_are_named() -> None:
    net = Net()
    plan = plan_offline(net.model(net.op("RFFT2D", [net.input(1, 16)], 1, 32)), kernels="reference")
    assert plan.arenas["reference"].unknown == ("operator 0 (RFFT2D)",)
    assert plan.nonpersistent_bytes == 48


class TestValidator:
    """x → a → b → y, of 32 bytes each; then the sum of a and y."""

    @staticmethod
    def chain() -> Model:
        net = Net()
        x = net.input(1, 32)
        a = net.op("RELU", [x], 1, 32)
        b = net.op("RELU", [a], 1, 32)
        y = net.op("RELU", [b], 1, 32)
        return net.model(net.op("ADD", [a, y], 1, 32))

    def test_sound(self) -> None:
        validate_offline(self.chain(), range(4), (32, 0, 32, 64, 32))
        validate_offline(self.chain(), range(4), (None,) * 5)

    @pytest.mark.parametrize(
        ("offsets", "words"),
        [
            ((0, 0, 32, 64, 32), "tensor 0 't0' and tensor 1 't1' overlap"),  # read while it is written over
            ((32, 0, 16, 64, 32), "tensor 1 't1' and tensor 2 't2' overlap"),
            ((32, 0, 32, 0, 32), "tensor 1 't1' and tensor 3 't3' overlap"),  # a is still to be read
            ((32, 8, 48, 80, 112), "tensor 1 't1' at 8: not a multiple of 16"),
            ((32, -16, 48, 80, 112), "tensor 1 't1' at -16"),
            ((32, 0, 32, 64), "4 offsets for 5 tensors"),
        ],
    )
    def test_places(self, offsets: tuple[int, ...], words: str) -> None:
        with pytest.raises(PlanInvalidError, match=words):
            validate_offline(self.chain(), range(4), offsets)

    @pytest.mark.parametrize(
        ("order", "words"),
        [
            ((0, 2, 1, 3), r"operator 2 \(RELU\) reads tensor 2 't2' before"),
            ((0, 1, 2), "its order is none of the model's 4 operators"),
            ((0, 1, 2, 2), "its order is none"),
        ],
    )
    def test_order(self, order: tuple[int, ...], words: str) -> None:
        with pytest.raises(PlanInvalidError, match=words):
            validate_offline(self.chain(), order, (None,) * 5)

    def test_no_place_for_constants_and_variables(self) -> None:
        net = Net()
        x = net.input(1, 32)
        others = [net.tensor((1, 32), constant=True), net.tensor((1, 32), variable=True)]
        y = net.op("ADD", [net.op("ADD", [x, others[0]], 1, 32), others[1]], 1, 32)
        model = net.model(y)
        for index in others:
            offsets = [None if i != index else 0 for i in range(len(model.tensors))]
            with pytest.raises(PlanInvalidError, match=f"tensor {index} .* has no place"):
                validate_offline(model, range(2), offsets)

    def test_the_users_of_a_variable_keep_their_order(self) -> None:
        net = Net()
        x = net.input(1, 32)
        state = net.tensor((1, 32), variable=True)
        first, second = net.op("ADD", [x, state], 1, 32), net.op("MUL", [x, state], 1, 32)
        model = net.model(first, second)
        with pytest.raises(PlanInvalidError, match="use the variable tensor 1"):
            validate_offline(model, (1, 0), (None,) * 4)

    def test_inputs_lie_apart_before_the_first_operator(self) -> None:
        net = Net()
        x, unread = net.input(1, 32), net.input(1, 32)
        model = net.model(net.op("RELU", [x], 1, 32))
        validate_offline(model, (0,), (0, 32, 32))
        with pytest.raises(PlanInvalidError, match=f"tensor {x} .* and tensor {unread} .* overlap"):
            validate_offline(model, (0,), (0, 16, 48))
