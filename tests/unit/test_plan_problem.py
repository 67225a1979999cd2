"""Live ranges, sharing and steps, against what a person works out on paper."""

from __future__ import annotations

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.ir import DType, Model
from tinydeploy.plan import Problem, build_problem


def problem_of(model: Model, *, in_place: bool = True) -> Problem:
    return build_problem(model, in_place=in_place, memory_of=memory_of)


def sharing(problem: Problem) -> set[tuple[int, ...]]:
    return {b.tensors for b in problem.buffers if b.scratch_of is None}


def test_live_ranges_of_a_residual_block() -> None:
    net = Net()
    x = net.input(1, 10, 10, 4)
    weights = net.tensor((4, 3, 3, 4), constant=True)
    a = net.op("CONV_2D", [x, weights], 1, 10, 10, 4)
    b = net.op("CONV_2D", [a, weights], 1, 10, 10, 4)
    c = net.op("CONCATENATION", [a, b], 1, 10, 10, 8)
    problem = problem_of(net.model(c))
    assert problem.tensor_ranges == {x: (0, 1), a: (0, 3), b: (1, 3), c: (2, 3)}
    assert [(b.bytes, b.first, b.end) for b in problem.buffers] == [
        (400, 0, 1), (400, 0, 3), (400, 1, 3), (800, 2, 3),
    ]  # fmt: skip
    assert [(s.operator, s.first_row, s.end_row, s.elided) for s in problem.steps] == [
        (0, 0, 10, False), (1, 0, 10, False), (2, 0, 10, False),
    ]  # fmt: skip


def test_inputs_outputs_state_and_unread_results_live_as_long_as_they_must() -> None:
    net = Net()
    late, unread, through = net.input(8), net.input(8), net.input(8)
    state = net.tensor((8,), variable=True)
    a = net.op("CONV_2D", [through], 8)
    first, dropped = net.ops("SPLIT", [a], (4,), (4,))
    b = net.op("SVDF", [late, state], 8)
    ranges = problem_of(net.model(b, first, through)).tensor_ranges
    assert ranges == {
        late: (0, 3), unread: (0, 1), through: (0, 3), state: (0, 3),
        a: (0, 2), first: (1, 3), dropped: (1, 2), b: (2, 3),
    }  # fmt: skip


def test_reshape_is_elided_and_shares_with_a_model_input() -> None:
    net = Net()
    x = net.input(4, 8)
    flat = net.op("RESHAPE", [x], 32)
    y = net.op("FULLY_CONNECTED", [flat], 10)
    problem = problem_of(net.model(y), in_place=False)
    assert sharing(problem) == {(x, flat), (y,)}
    assert [s.elided for s in problem.steps] == [True, False]
    assert (problem.buffers[0].first, problem.buffers[0].end) == (0, 2)


def test_reshape_of_a_constant_or_of_state_must_run() -> None:
    net = Net()
    net.input(4)
    constant, state = net.tensor((2, 2), constant=True), net.tensor((2, 2), variable=True)
    a, b = net.op("RESHAPE", [constant], 4), net.op("RESHAPE", [state], 4)
    problem = problem_of(net.model(a, b))
    assert [s.elided for s in problem.steps] == [False, False]
    assert {(a,), (b,), (state,)} <= sharing(problem)
    assert [b.persistent for b in problem.buffers if state in b.tensors] == [True]


def test_in_place_only_over_what_is_dead() -> None:
    net = Net()
    x = net.input(16)
    a = net.op("RELU", [x], 16)  # x is read again
    b = net.op("ADD", [x, a], 16)  # both end here: over x, the first
    c = net.op("RELU", [b], 16)
    problem = problem_of(net.model(c))
    assert sharing(problem) == {(x, b, c), (a,)}
    assert sharing(problem_of(net.model(c), in_place=False)) == {(x,), (a,), (b,), (c,)}


def test_in_place_respects_every_tensor_of_the_buffer() -> None:
    net = Net()
    x = net.input(16)
    flat = net.op("RESHAPE", [x], 16)
    a = net.op("RELU", [flat], 16)  # flat ends, but x is the same bytes and is read below
    b = net.op("CONCATENATION", [a, x], 32)
    assert sharing(problem_of(net.model(b))) == {(x, flat), (a,), (b,)}


def test_in_place_never_over_outputs_of_the_model() -> None:
    net = Net()
    x = net.input(16)
    a = net.op("RELU", [x], 16)
    flat = net.op("RESHAPE", [a], 16)
    b = net.op("RELU", [flat], 16)  # the last step, at which a's range ends as well
    assert sharing(problem_of(net.model(b, a))) == {(x, a, flat), (b,)}


def test_in_place_not_when_the_same_bytes_are_read_in_another_order() -> None:
    net = Net()
    x = net.input(1, 16)
    narrow = net.input(1, 4)
    a = net.op("ADD", [x, narrow], 1, 16)
    b = net.op("ADD", [narrow, a], 1, 16)
    assert sharing(problem_of(net.model(b))) == {(x, a, b), (narrow,)}

    twice = Net()
    y = twice.input(16)
    both = twice.op("ADD", [y, y], 16)
    assert sharing(problem_of(twice.model(both))) == {(y, both)}


def test_a_smaller_result_gives_the_rest_of_its_buffer_back() -> None:
    net = Net()
    x = net.input(100, dtype=DType.FLOAT32)
    q = net.op("QUANTIZE", [x], 100)
    y = net.op("CONV_2D", [q], 300)
    problem = problem_of(net.model(y))
    buffer = next(b for b in problem.buffers if b.tensors == (x, q))
    assert buffer.profile == ((0, 1, 400), (1, 2, 100))
    assert buffer.pieces == ((0, 1, 400), (1, 2, 112))


def test_a_larger_result_never_lies_over_its_input() -> None:
    net = Net()
    x = net.input(100)
    y = net.op("QUANTIZE", [x], 100, dtype=DType.FLOAT32)
    assert sharing(problem_of(net.model(y))) == {(x,), (y,)}


def test_scratch_is_a_buffer_of_its_step() -> None:
    net = Net()
    x = net.input(16)
    a = net.op("RELU", [x], 16)
    b = net.op("DEPTHWISE_CONV_2D", [a], 16)
    problem = problem_of(net.model(b))
    assert [(s.first, s.end, s.bytes, s.tensors) for s in problem.buffers if s.scratch_of == 1] == [
        (1, 2, 1 + (16 * 7 + 13) % 200, ())
    ]


def test_refusals_name_operator_and_tensor() -> None:
    net = Net()
    net.input(4)
    with pytest.raises(UnsupportedModelError, match="no operators"):
        problem_of(net.model(0))

    net.op("RELU", [0], 4)
    constant = net.tensor((4,), constant=True)
    with pytest.raises(UnsupportedModelError, match=f"tensor {constant} 't2' is a constant"):
        problem_of(net.model(constant))

    nowhere = net.tensor((4,))
    net.op("RELU", [nowhere], 4)
    with pytest.raises(ModelError, match=r"operator 1 \(RELU\), tensor 3 't3': is read before"):
        problem_of(net.model(4))

    never = Net()
    never.input(4)
    never.op("RELU", [0], 4)
    with pytest.raises(ModelError, match="tensor 2 't2' is computed by no operator"):
        problem_of(never.model(never.tensor((4,))))
