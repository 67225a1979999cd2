"""The search for an order against all orders, its cuts against all sets, and its soundness with too little effort."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.plan_nets import memory_of, networks
from tinydeploy.ir import Model
from tinydeploy.plan import order_search
from tinydeploy.plan.chains import fused
from tinydeploy.plan.liveness import Graph, graph_of
from tinydeploy.plan.order import best_order, orders, reordered
from tinydeploy.plan.placement import lower_bound
from tinydeploy.plan.problem import build_problem

MOST_ORDERS = 1_500


def all_orders(model: Model) -> Iterator[tuple[int, ...]]:
    """Every order in which each operator follows the makers of its inputs; variables' readers in the model's order."""
    makers = {t: op.index for op in model.operators for t in op.outputs}
    needs: dict[int, set[int]] = {op.index: {makers[t] for t in op.inputs if t in makers} for op in model.operators}
    for op in model.operators:
        state = {t for t in op.inputs if t >= 0 and model.tensors[t].variable}
        needs[op.index] |= {other.index for other in model.operators[: op.index] if state & set(other.inputs)}

    def extend(order: list[int]) -> Iterator[tuple[int, ...]]:
        if len(order) == len(needs):
            yield tuple(order)
        for index, before in needs.items():
            if index not in order and before <= set(order):
                yield from extend([*order, index])

    return extend([])


def peak_of(model: Model, order: tuple[int, ...], *, in_place: bool = True) -> int:
    """The most bytes alive, from live ranges and not from the search's own books."""
    return lower_bound(build_problem(reordered(model, order), in_place=in_place, memory_of=memory_of).buffers)


def few_orders(model: Model) -> list[tuple[int, ...]]:
    found = []
    for order in all_orders(model):
        found.append(order)
        assume(len(found) <= MOST_ORDERS)
    return found


def reads_all_inputs(model: Model) -> bool:
    return set(model.inputs) <= {t for op in model.operators for t in op.inputs} | set(model.outputs)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(networks(max_operators=9), st.booleans(), st.sampled_from([1, 3, 1_000]))
def test_as_good_as_the_best_of_all_orders(model: Model, in_place: bool, turn: int) -> None:
    candidates = few_orders(model)
    least = min(peak_of(model, order, in_place=in_place) for order in candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_search, "TURN_VISITS", turn)  # both directions get their turns on small graphs, too
        found = best_order(model, in_place=in_place, memory_of=memory_of)
    own = tuple(op.index for op in model.operators)
    assert found.order in candidates
    assert found.peak_bytes == peak_of(model, found.order, in_place=in_place)
    assert found.lower_bound_bytes <= least
    assert found.optimal == (found.peak_bytes == found.lower_bound_bytes)
    if reads_all_inputs(model):
        assert found.optimal and found.peak_bytes == least
    if peak_of(model, own, in_place=in_place) == found.peak_bytes:
        assert found.order == own


@settings(max_examples=60, deadline=None)
@given(networks(max_operators=20), st.integers(0, 80))
def test_sound_with_too_few_visits(model: Model, visits: int) -> None:
    best = best_order(model, memory_of=memory_of)
    found = best_order(model, memory_of=memory_of, visits=visits)
    assert found.lower_bound_bytes <= best.lower_bound_bytes
    assert best.peak_bytes <= found.peak_bytes == peak_of(model, found.order)
    assert found.peak_bytes <= peak_of(model, tuple(op.index for op in model.operators))


@settings(max_examples=60, deadline=None)
@given(networks(max_operators=20))
def test_every_candidate_can_run(model: Model) -> None:
    tried = orders(model, memory_of=memory_of)
    assert tried[0].order == tuple(op.index for op in model.operators)
    assert len({candidate.order for candidate in tried}) == len(tried)
    for candidate in tried:
        assert sorted(candidate.order) == sorted(tried[0].order)
        # `build_problem` refuses an operator before its inputs
        assert candidate.peak_bytes == peak_of(model, candidate.order)


def closed_sets(graph: Graph) -> list[int]:
    """All sets of operators that hold what each of theirs needs."""
    found = {0}
    for v in range(graph.count):
        found |= {done | 1 << v for done in found if not graph.before[v] & ~done}
    return sorted(found)


def live_after(graph: Graph, done: int) -> int:
    """Bytes alive by the definition of a value: there, and somebody is still to read it."""
    unnamed = graph.start_bytes - sum(v.bytes for v in graph.values if v.producer < 0)
    alive = (
        value.bytes
        for value in graph.values
        if (value.producer < 0 or done >> value.producer & 1) and (value.held or value.readers & ~done)
    )
    return unnamed + sum(alive)


@settings(max_examples=100, deadline=None)
@given(networks(max_operators=9), st.data())
def test_a_valley_is_the_set_with_the_fewest_bytes_alive(model: Model, data: st.DataObject) -> None:
    graph, _ = graph_of(model, in_place=True, memory_of=memory_of)
    sets = closed_sets(graph)
    low = data.draw(st.sampled_from(sets))
    high = data.draw(st.sampled_from([s for s in sets if s & low == low]))
    between = [s for s in sets if s & low == low and s & ~high == 0]
    least = min(live_after(graph, s) for s in between)
    lowest = [s for s in between if live_after(graph, s) == least]
    smallest, _ = graph.valley(low, high, largest=False)
    largest, _ = graph.valley(low, high, largest=True)
    assert smallest in lowest and largest in lowest
    assert all(s & smallest == smallest and s & ~largest == 0 for s in lowest)


def least_peak(graph: Graph) -> int:
    """The least peak by going through all sets."""
    level = {0: (graph.start_bytes, 0)}
    for _ in range(graph.count):
        above: dict[int, tuple[int, int]] = {}
        for done, (live, peak) in level.items():
            for v in range(graph.count):
                new = done | 1 << v
                if new == done or graph.before[v] & ~done:
                    continue
                freed, extra = graph.change(v, new)
                height = max(peak, live + extra)
                if new not in above or height < above[new][1]:
                    above[new] = (live + graph.born[v] - freed, height)
        level = above
    return level[graph.everything][1]


@settings(max_examples=150, deadline=None)
@given(networks(max_operators=9))
def test_chains_as_one_node_have_the_same_least_peak(model: Model) -> None:
    graph, _ = graph_of(model, in_place=True, memory_of=memory_of)
    nodes, chains = fused(graph)
    assert sorted(v for chain in chains for v in chain) == list(range(graph.count))
    assert least_peak(nodes) == least_peak(graph)
