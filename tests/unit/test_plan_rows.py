"""Rows, schedules and layouts of small networks, by hand: what is read, which rings, what is alive at most."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from tests.support import tflite_writer as writer
from tests.support.padded_networks import Layers
from tests.support.random_networks import random_network
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model, Padding
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.operators.base import Window, window_rows
from tinydeploy.plan import Execution, make_plan
from tinydeploy.plan.bodies import live_bytes
from tinydeploy.plan.layout import lay_out, lives_of, ring_rows
from tinydeploy.plan.rows import RowGraph, build_rows
from tinydeploy.plan.schedule import floor_bytes, one_by_one, streamed
from tinydeploy.tflite import parse_model

QUANT = (0.05, 3)


def graph_of(model: Model, **options: object) -> RowGraph:
    return build_rows(model, range(len(model.operators)), **options)


def chain(*kernels: int, rows: int = 8, width: int = 10) -> Model:
    """Convolutions of stride 1 and one channel, each of so many rows, SAME."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((1, rows, width, 1), QUANT)
    y = x
    for kernel in kernels:
        source, y = y, net.tensor((1, rows, width, 1), QUANT)
        shape = (1, kernel, 1, 1)
        weights = net.g.tensor("w", shape, scale=[0.01], data=np.ones(shape))
        net.g.op("CONV_2D", [source, weights, -1], [y], version=3, padding="SAME", activation="NONE")
    return parse_model(net.g.build([x], [y]))


@pytest.mark.parametrize(
    "window, in_h, out_h, spans",
    [
        # 3 rows, one of padding on either side
        (Window(3, 1, 1, 1, 1), 4, 4, [(0, 2), (0, 3), (1, 4), (2, 4)]),
        (Window(3, 1, 2, 1, 0), 7, 3, [(0, 3), (2, 5), (4, 7)]),
        # taps at y − 3 and y: the middle is stepped over, and the first windows hold their lower tap alone
        (Window(4, 1, 1, 1, 3, dilation_h=3), 4, 4, [(0, 1), (0, 2), (0, 3), (0, 4)]),
        # taps at −1 and 1 of one row: it is never read
        (Window(3, 1, 1, 1, 1, dilation_h=2), 1, 1, [(0, 0)]),
        # taps at −2 and 1, at −1 and 2, at 0 and 3: the first to read row 0 is the last
        (Window(4, 1, 1, 1, 2, dilation_h=3), 4, 3, [(0, 2), (0, 3), (0, 4)]),
    ],
)
def test_rows_of_windows(window: Window, in_h: int, out_h: int, spans: list[tuple[int, int]]) -> None:
    g = GraphBuilder()
    x, y = g.tensor("x", (2, in_h, 1, 1), scale=0.5), g.tensor("y", (2, out_h, 1, 1), scale=0.5)
    g.op("RELU", [x], [y])
    model = parse_model(g.build([x], [y]))
    second = [(in_h + first, in_h + end) for first, end in spans]
    assert list(window_rows(model, model.operators[0], window).reads[0]) == [*spans, *second]


def narrowing() -> Model:
    """a: a convolution of three rows over 8 rows of 10 bytes, SAME. b: every second of two rows: 4 rows of 5 bytes."""
    net = Layers(np.random.default_rng(1))
    x, a, b = net.tensor((1, 8, 10, 1), QUANT), net.tensor((1, 8, 10, 1), QUANT), net.tensor((1, 4, 5, 1), QUANT)
    weights = [net.g.tensor(f"w{n}", (1, n, 1, 1), scale=[0.01], data=np.ones((1, n, 1, 1))) for n in (3, 2)]
    net.g.op("CONV_2D", [x, weights[0], -1], [a], version=3, padding="SAME", activation="NONE")
    net.g.op("CONV_2D", [a, weights[1], -1], [b], version=3, padding="VALID", activation="NONE", stride_h=2, stride_w=2)
    return parse_model(net.g.build([x], [b]))


def test_the_rings_and_the_peak_of_a_chain() -> None:
    """With the input x fed: each row as late as its reader allows.

    The most is alive when row 5 of a is made: rows 4 to 6 of x, 4 and 5 of a, 0 and 1 of b: 3 · 10 + 2 · 10 + 2 · 5.
    """
    graph = graph_of(narrowing(), fed=(0,))
    schedule = streamed(graph)
    assert schedule is not None and schedule.cuts == (0, 3)
    turns = " ".join("xab"[actor] + str(row) for actor, row in schedule.ticks)
    assert turns == "x0 x1 a0 x2 a1 b0 x3 a2 x4 a3 b1 x5 a4 x6 a5 b2 x7 a6 a7 b3"
    assert schedule.peak_bytes == 60
    lives = lives_of(graph, schedule)
    assert lives.born[0] == (0, 1, 3, 6, 8, 11, 13, 16)
    assert lives.end[0] == (5, 8, 10, 13, 15, 18, 19, 19)  # behind a1, a2, a3, …, and a7 twice
    assert [ring_rows(*span) for span in zip(lives.born, lives.end, strict=True)] == [3, 2, 4]
    layout = lay_out(graph, schedule, lives)
    assert layout.bound_bytes == max(live_bytes(layout.bodies, lives.ticks)) == 60
    assert floor_bytes(graph) == 40  # three rows of x and one of a


def test_cuts_that_are_asked_for() -> None:
    """With a whole between the two: its 8 rows and the last two of x, or 7 and 3. Then one after the other is as good,
    and takes fewer calls."""
    graph = graph_of(narrowing(), fed=(0,))
    schedule = streamed(graph, cut_after=[0])
    assert schedule is not None
    assert (schedule.cuts, schedule.peak_bytes) == ((0, 1, 2, 3), 100)
    assert streamed(graph, below=60) is None


def test_one_after_the_other_overlaps_what_is_read_up() -> None:
    """One convolution over 8 rows of 10: with row r written, rows r − 1 to 7 of the input are there:
    8 − (r − 1) + r + 1 from the second row on."""
    graph = graph_of(chain(3))
    assert one_by_one(graph).peak_bytes == 100
    # a window of one row lets its row go in the same step: 8 − r + r + 1
    assert one_by_one(graph_of(chain(1))).peak_bytes == 90


def test_a_result_lies_over_what_it_is_made_from() -> None:
    """The floor, too: QUANTIZE over its input, row by row, needs nothing else."""
    g = GraphBuilder()
    x, y = g.tensor("x", (1, 4, 5, 2), "uint8", scale=0.1, zero_point=128), g.tensor("y", (1, 4, 5, 2), scale=0.1)
    g.op("QUANTIZE", [x], [y])
    graph = graph_of(parse_model(g.build([x], [y])))
    assert floor_bytes(graph) == one_by_one(graph).peak_bytes == 40
    graph = graph_of(parse_model(g.build([x], [y])), in_place=False)
    assert floor_bytes(graph) == one_by_one(graph).peak_bytes == 50


def cropped(*, read_again: bool) -> Model:
    """RELU of the last of five rows of 8 bytes, left where it is in x; `read_again`: then its sum with that row."""
    net = Layers(np.random.default_rng(1))
    x, row = net.tensor((1, 5, 4, 2), QUANT), net.tensor((1, 1, 4, 2), QUANT)
    begin = net.g.tensor("begin", (4,), "int32", data=[0, 4, 0, 0])
    net.g.op("SLICE", [x, begin, net.g.tensor("size", (4,), "int32", data=[1, 1, 4, 2])], [row])
    y = net.same("RELU", row)
    z = net.tensor((1, 1, 4, 2), QUANT)
    if read_again:
        net.g.op("ADD", [y, row], [z])
    return parse_model(net.g.build([x], [z if read_again else y]))


@pytest.mark.parametrize("read_again, needed", [(True, 48), (False, 40)])
def test_a_result_lies_over_rows_that_are_read_and_no_others(read_again: bool, needed: int) -> None:
    """Rows that nobody reads end in the step that reads the one behind them, which may be needed again."""
    model = cropped(read_again=read_again)
    assert one_by_one(graph_of(model)).peak_bytes == needed
    for execution in ("overlap", "streamed"):
        plan = make_plan(model, execution=execution)
        assert plan.arena_bytes == plan.proof.lower_bound_bytes == needed


def test_a_part_for_nobody_lies_over_nothing() -> None:
    """y and its RELU are put together, which nobody needs. The RELU's row of 8 bytes is alive with the 24 of y, all of
    which is read again."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((3, 8), QUANT)
    y = net.same("TANH", x)
    part, both, z = net.same("RELU", y), net.tensor((6, 8), QUANT), net.same("LOGISTIC", y)
    net.g.op("CONCATENATION", [y, part], [both], axis=0)
    plan = make_plan(parse_model(net.g.build([x], [z])), execution="overlap")
    assert plan.proof.lower_bound_bytes == 32


def test_nothing_lies_over_an_output_of_the_model() -> None:
    """z is made by the last step of all, from y, which is an output as well."""
    g = GraphBuilder()
    x, y, z = (g.tensor(name, (3, 5), scale=0.3, zero_point=4) for name in "xyz")
    g.op("ADD", [x, x], [y], version=2)
    g.op("RELU6", [y], [z])
    model = parse_model(g.build([x], [z, x, y]))
    assert all(not actor.over for actor in graph_of(model).actors)
    for execution in ("overlap", "streamed"):
        assert make_plan(model, execution=execution).arena_bytes >= 45
    kept = parse_model(g.build([x], [z]))
    assert [len(actor.over) for actor in graph_of(kept).actors] == [1, 1]
    assert [len(actor.over) for actor in graph_of(kept, kept=(y,)).actors] == [1, 0]


def test_rows_of_another_cut_are_not_lain_over() -> None:
    """An alias of 2 rows of 10 bytes over 4 rows of 5: a result over the second half of a row would run ahead."""
    g = GraphBuilder()
    x, y = g.tensor("x", (4, 5), scale=0.3), g.tensor("y", (4, 5), scale=0.3)
    wide, z = g.tensor("wide", (2, 10), scale=0.3), g.tensor("z", (2, 10), scale=0.3)
    g.op("TANH", [x], [y])
    g.op("RESHAPE", [y, g.tensor("s", (2,), "int32", data=[2, 10])], [wide], new_shape=np.array([2, 10]))
    g.op("RELU", [wide], [z])
    actors = graph_of(parse_model(g.build([x], [z]))).actors
    assert [bool(actor.over) for actor in actors] == [True, False]


def joined(first_from_last: bool) -> Model:
    """Two branches joined on rows, and a window over the whole. The first part in the arena may be made from the
    second one."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((1, 6, 4, 2), QUANT)
    last = net.same("RELU", x)
    first = net.same("RELU", net.same("TANH", last if first_from_last else x))
    whole = net.tensor((1, 12, 4, 2), QUANT)
    net.g.op("CONCATENATION", [first, last], [whole], axis=1)
    y = net.convolution(whole, (3, 3), padding="SAME")
    return parse_model(net.g.build([x], [y]))


@pytest.mark.parametrize("first_from_last", [False, True])
@pytest.mark.parametrize("cut_after", [(), (0,), (1,)])
def test_parts_of_a_store_are_waited_for_one_by_one(first_from_last: bool, cut_after: tuple[int, ...]) -> None:
    """Both writers of a joined store are done before what they write is read, whoever comes first."""
    graph = graph_of(joined(first_from_last))
    (whole,) = {s for actor in graph.actors for s, _ in actor.reads if len(graph.stores[s].tensors) == 3}
    for schedule in (one_by_one(graph), streamed(graph, cut_after=cut_after)):
        assert schedule is not None
        there: set[int] = set()
        for position, row in schedule.ticks:
            actor = schedule.actors[position]
            for store, spans in actor.reads:
                assert store != whole or there.issuperset(range(*spans[row]))
            for store, spans in actor.writes:
                if store == whole:
                    there.update(range(*spans[row]))
        assert there == set(range(12))
        live = live_bytes(lay_out(graph, schedule, lives_of(graph, schedule)).bodies, len(schedule.ticks))
        assert schedule.peak_bytes == max(live)


def test_a_tensor_that_is_read_up_holds_no_rows_of_another_in_its_store() -> None:
    """The first 4 of 6 rows, and then all 6, in one CONCATENATION: who is through with row 3 holds nothing any more."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((6, 4), QUANT)
    y, part, both = net.same("TANH", x), net.tensor((4, 4), QUANT), net.tensor((10, 4), QUANT)
    begin = net.g.tensor("begin", (2,), "int32", data=[0, 0])
    net.g.op("SLICE", [y, begin, net.g.tensor("size", (2,), "int32", data=[4, 4])], [part])
    net.g.op("CONCATENATION", [part, y], [both], axis=0)
    graph = graph_of(parse_model(net.g.build([x], [both])))
    ((store, spans),) = graph.actors[-1].reads
    assert store == graph.views[y].store
    assert spans[:4] == ((0, 1), (0, 2), (0, 3), (0, 4))
    assert spans[4:] == ((0, 4), (1, 4), (2, 4), (3, 4), (4, 5), (5, 6))


def test_a_streamed_plan_is_no_larger_than_others() -> None:
    for data in (writer.mean((1, 5, 4, 3)), writer.pool_2d("MAX_POOL_2D", (1, 8, 8, 3), (2, 2), (2, 2))):
        model = parse_model(data)
        whole, overlap, best = (make_plan(model, execution=e) for e in ("whole", "overlap", "streamed"))
        assert best.arena_bytes <= overlap.arena_bytes <= whole.arena_bytes


def test_fed_operators_run_one_after_the_other_where_that_takes_less() -> None:
    """Half of an input is an output, which leaves a streamed layout gaps; what a schedule counts says nothing of it."""
    model = parse_model(random_network(np.random.default_rng([5, 79]), 11).data)
    in_turn, best = (make_plan(model, execution=e, fed=model.inputs) for e in ("overlap", "streamed"))
    assert best.arena_bytes <= in_turn.arena_bytes


def test_state_that_no_operator_names_has_no_place() -> None:
    g = GraphBuilder()
    x, y = g.tensor("x", (4, 4), scale=0.3), g.tensor("y", (4, 4), scale=0.3)
    state = g.tensor("state", (4, 400), scale=0.3, variable=True)
    g.op("RELU", [x], [y])
    model = parse_model(g.build([x], [y]))
    for plan in (make_plan(model), make_plan(model, execution="streamed", fed=(x,))):
        assert plan.arena_bytes == 16 and state not in plan.placements


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("execution", ["overlap", "streamed"])
def test_parts_that_share_a_row_do_not_wait_for_each_other(axis: int, execution: Execution) -> None:
    """x of 2 bytes; a, then aa = (a, a) and (aa, a) in which a and aa have their places: 6 bytes, beside y of 2 and
    what y is made from."""
    net = NetworkBuilder("parts")
    x = net.input((1, 1, 1, 2))
    a = net.depthwise_conv2d(x, 1)
    aa = net.concat([a, a], axis=axis)
    model = net.build([net.concat([aa, a], axis=axis), net.conv2d(aa, 2, 1)])
    assert make_plan(model, execution=execution).arena_bytes <= 16
    assert make_plan(model, execution=execution, fed=model.inputs).arena_bytes <= 16


def test_parts_of_rows_are_put_together_by_the_operator() -> None:
    """Two vectors in one row: the second is made from the first, whose reader would wait for the whole row."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((1, 1, 1, 4), QUANT)
    first = net.same("RELU", x)
    second = net.same("RELU", net.same("TANH", first))
    whole = net.tensor((1, 1, 1, 8), QUANT)
    net.g.op("CONCATENATION", [first, second], [whole], axis=3)
    model = parse_model(net.g.build([x], [net.same("TANH", whole)]))
    assert not graph_of(model).elided
    assert make_plan(model, execution="streamed").arena_bytes <= 16


def tall(rows: int) -> Model:
    """Two convolutions over a map of one column."""
    net = NetworkBuilder("tall")
    x = net.conv2d(net.input((1, rows, 1, 1)), 1, 3, padding=Padding.SAME)
    return net.build(net.conv2d(x, 1, 3, padding=Padding.SAME))


def test_a_tall_map_is_planned_row_by_row() -> None:
    """While the last row but one of the result is made, 1,499 rows of it, two of the map between and one of the input
    are alive at the least; less than two whole maps in any case."""
    plan = make_plan(tall(1500), execution="streamed")
    assert 1500 <= plan.arena_bytes <= 1500 + 12


def test_too_many_rows_are_planned_whole_and_cannot_be_fed() -> None:
    model = tall(40_000)
    assert make_plan(model, execution="streamed").execution == "whole"
    with pytest.raises(UsageError, match="too many to plan"):
        make_plan(model, execution="streamed", fed=model.inputs)


def test_only_the_part_that_is_an_output_stays() -> None:
    """A tensor of 6 rows of 4 bytes split into halves, the first of which is an output of the model."""
    net = Layers(np.random.default_rng(1))
    x = net.tensor((6, 4), QUANT)
    y = net.same("RELU", x)
    halves = [net.tensor((3, 4), QUANT) for _ in range(2)]
    net.g.op("SPLIT", [net.g.tensor("axis", (), "int32", data=0), y], halves, num_splits=2)
    model = parse_model(net.g.build([x], [halves[0], net.same("TANH", halves[1])]))
    graph = graph_of(model)
    schedule = one_by_one(graph)
    assert graph.elided == {1} and len(schedule.ticks) == 6 + 3
    lives = lives_of(graph, schedule)
    assert lives.end[graph.views[y].store] == (9, 9, 9, 7, 8, 9)


def test_a_program_in_which_nothing_runs() -> None:
    net = NetworkBuilder("reshape")
    model = net.build(net.reshape(net.input((1, 4, 2, 3)), (1, 24)))
    for execution in get_args(Execution):
        assert make_plan(model, execution=execution).arena_bytes == 32  # 24 bytes, aligned to 16
    assert make_plan(model, execution="streamed", fed=model.inputs).arena_bytes == 24
