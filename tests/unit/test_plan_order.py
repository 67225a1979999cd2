"""The order of operators with the least peak: by hand, on networks of known kinds, and how much effort it takes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.ir import Model, Padding, Tensor
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.operators.base import Memory
from tinydeploy.plan.order import ORDER_VISITS, best_order, orders, reordered
from tinydeploy.plan.order_search import BEAM_SHARE, TRIES, TRY_SHARE
from tinydeploy.plan.placement import lower_bound
from tinydeploy.plan.problem import build_problem
from tinydeploy.units import align_up


def two_branches() -> Model:
    """Operators 0 and 2 are one branch (a large map, then a small one), 1 and 3 the other; 4 joins them."""
    net = Net()
    x = net.input(1, 16)
    large_a = net.op("CONV_2D", [x], 1, 96)
    large_b = net.op("CONV_2D", [x], 1, 160)
    small_a = net.op("CONV_2D", [large_a], 1, 16)
    small_b = net.op("CONV_2D", [large_b], 1, 32)
    return net.model(net.op("CONCATENATION", [small_a, small_b], 1, 48))


def test_one_branch_after_the_other() -> None:
    """Own order: x, A and B at once, 16 + 96 + 160. With b first, x stays: 16 + 160 + 32. With a first, a instead: the
    same 16 + 160 + 32, since x dies with B's step."""
    found = best_order(two_branches())
    assert (found.peak_bytes, found.lower_bound_bytes, found.optimal) == (208, 208, True)
    assert found.order in ((0, 2, 1, 3, 4), (1, 3, 0, 2, 4))
    own = build_problem(two_branches())
    assert lower_bound(own.buffers) == 16 + 96 + 160
    assert lower_bound(build_problem(reordered(two_branches(), found.order)).buffers) == 208


def test_a_tie_keeps_the_models_order() -> None:
    net = Net()
    x = net.input(1, 32)
    a = net.op("CONV_2D", [x], 1, 32)
    b = net.op("CONV_2D", [x], 1, 32)
    found = best_order(net.model(net.op("CONCATENATION", [b, a], 1, 64)))
    assert found.order == (0, 1, 2)
    assert found.peak_bytes == 32 + 32 + 64 and found.optimal


def test_a_chain_has_one_order_and_needs_no_search() -> None:
    net = Net()
    x = net.input(1, 160)
    x = net.op("CONV_2D", [x], 1, 16)
    x = net.op("CONV_2D", [x], 1, 80)
    found = best_order(net.model(x))
    assert found.order == (0, 1)
    assert (found.peak_bytes, found.optimal, found.visits) == (176, True, 0)


def test_order_holds_operator_indices_not_positions() -> None:
    model = two_branches()
    shuffled = reordered(model, (1, 0, 3, 2, 4))
    found = best_order(shuffled)
    assert found.peak_bytes == 208
    assert lower_bound(build_problem(reordered(shuffled, found.order)).buffers) == 208


def test_operators_on_one_variable_keep_their_order() -> None:
    """Free to choose, b's branch would go first; both read the variable, and a's stands first in the model."""

    def net_with(state: bool) -> Model:
        net = Net()
        x = net.input(1, 16)
        variable = [net.tensor((1, 16), variable=True)] if state else []
        a = net.op("CONV_2D", [x, *variable], 1, 112)
        b = net.op("CONV_2D", [x, *variable], 1, 16)
        big = net.op("CONV_2D", [b], 1, 160)
        small = net.op("CONV_2D", [big], 1, 16)
        return net.model(net.op("CONCATENATION", [a, small], 1, 16))

    free, bound = best_order(net_with(state=False)), best_order(net_with(state=True))
    assert free.peak_bytes == 16 + 16 + 160  # x, b, big
    assert bound.peak_bytes == 16 + 112 + 16 + 160  # the variable, a, b, big
    assert bound.order == (0, 1, 2, 3, 4) and bound.optimal


def test_in_place_and_reshapes_decide_the_order() -> None:
    """RELU may write over x only after x's other reader has run; the reshape keeps x's bytes for its reader."""
    net = Net()
    x = net.input(1, 64)
    r = net.op("RELU", [x], 1, 64)
    flat = net.op("RESHAPE", [x], 64)
    c = net.op("CONV_2D", [flat], 1, 16)
    model = net.model(net.op("CONCATENATION", [r, c], 1, 16))
    found = best_order(model, memory_of=memory_of)
    assert found.order == (1, 2, 0, 3)
    assert found.peak_bytes == 64 + 16 + 16  # x or its RELU, c, and the result
    apart = best_order(model, in_place=False, memory_of=memory_of)
    assert apart.peak_bytes == 64 + 64 + 16


def test_scratch_counts_at_its_step() -> None:
    def memory(model: Model, op: object) -> Memory:
        return Memory(scratch_bytes=200) if op is model.operators[1] else Memory()

    net = Net()
    x = net.input(1, 16)
    a = net.op("CONV_2D", [x], 1, 64)
    b = net.op("CONV_2D", [x], 1, 16)
    found = best_order(net.model(net.op("ADD", [a, b], 1, 16)), memory_of=memory)
    assert found.order == (1, 0, 2)
    assert found.peak_bytes == 16 + 16 + 208


def test_an_input_that_nobody_reads_is_alive_at_the_first_step() -> None:
    """So the smaller operator goes first: 16 + 400 + 16, then 16 + 16 + 320."""
    net = Net()
    x = net.input(1, 16)
    net.input(1, 400)
    a = net.op("CONV_2D", [x], 1, 16)
    b = net.op("CONV_2D", [x], 1, 320)
    found = best_order(net.model(net.op("ADD", [a, b], 1, 16)))
    assert (found.order, found.peak_bytes, found.optimal) == ((0, 1, 2), 432, True)


def test_no_visits_is_no_proof() -> None:
    found = best_order(two_branches(), visits=0)
    assert found.lower_bound_bytes < 208 <= found.peak_bytes <= 272 and not found.optimal
    assert "not proved" in found.method


def test_orders_are_distinct_own_first_and_hold_the_best() -> None:
    model = two_branches()
    tried = orders(model)
    assert tried[0].order == (0, 1, 2, 3, 4) and tried[0].peak_bytes == 272 and not tried[0].optimal
    assert best_order(model).order in [o.order for o in tried]
    assert len({o.order for o in tried}) == len(tried)
    assert {(0, 2, 1, 3, 4), (1, 3, 0, 2, 4)} <= {o.order for o in tried}  # depth first, both ways
    for order in tried:
        assert order.peak_bytes == lower_bound(build_problem(reordered(model, order.order)).buffers)


# ---------------------------------------------------------------- networks of known kinds


def chain() -> Model:
    net, width = NetworkBuilder("chain"), random.Random(1)
    x = net.input((1, 16, 16, 3))
    for _ in range(500):
        x = net.conv2d(x, width.randint(1, 64), 3, padding=Padding.SAME)
    return net.build(x)


def inception(modules: int, width: int) -> Model:
    net, rng = NetworkBuilder("inception"), random.Random(1)
    x = net.conv2d(net.input((1, 28, 28, 3)), 64, 3, padding=Padding.SAME)
    for _ in range(modules):
        branches = []
        for branch in range(width):
            y = net.max_pool(x, 3, stride=1, padding=Padding.SAME) if branch == 0 else x
            for _ in range(rng.randint(1, 3)):
                y = net.conv2d(y, rng.choice((16, 32, 48, 64, 96, 128)), 3, padding=Padding.SAME)
            branches.append(y)
        x = net.concat(branches)
    return net.build(x)


def nasnet(cells: int) -> Model:
    """NASNet-A's normal and reduction cells (Zoph et al., 2018), each reading the two cells before it."""
    net = NetworkBuilder("nasnet")
    before = now = net.conv2d(net.input((1, 112, 112, 3)), 32, 3, stride=2, padding=Padding.SAME)
    filters = 32

    def separable(x: Tensor, kernel: int, stride: int = 1) -> Tensor:
        for step in (stride, 1):
            x = net.depthwise_conv2d(net.relu(x), kernel, stride=step, padding=Padding.SAME)
            x = net.conv2d(x, filters, 1)
        return x

    def average(x: Tensor, stride: int = 1) -> Tensor:
        return net.avg_pool(x, 3, stride=stride, padding=Padding.SAME)

    for cell in range(cells):
        reduces = cell % 3 == 2
        filters *= 2 if reduces else 1
        h = net.conv2d(net.relu(now), filters, 1)
        p = before if before.shape[1] == now.shape[1] else net.avg_pool(before, 1, stride=2)
        p = net.conv2d(net.relu(p), filters, 1)
        if reduces:
            pooled = net.max_pool(h, 3, stride=2, padding=Padding.SAME)
            a = net.add(separable(h, 5, 2), separable(p, 7, 2))
            b = net.add(pooled, separable(p, 7, 2))
            c = net.add(average(h, 2), separable(p, 5, 2))
            made = [b, c, net.add(average(a), b), net.add(separable(a, 3), pooled)]
        else:
            made = [
                p,
                net.add(separable(h, 3), h),
                net.add(separable(p, 3), separable(h, 5)),
                net.add(average(h), p),
                net.add(average(p), average(p)),
                net.add(separable(p, 5), separable(p, 3)),
            ]
        before, now = now, net.concat(made)
    return net.build(net.linear(net.global_average_pool(net.relu(now)), 10))


def dense(layers: int) -> Model:
    net = NetworkBuilder("dense")
    maps = [net.conv2d(net.input((1, 16, 16, 3)), 16, 3, padding=Padding.SAME)]
    for _ in range(layers):
        x = net.concat(maps) if len(maps) > 1 else maps[0]
        maps.append(net.conv2d(net.conv2d(x, 48, 1), 12, 3, padding=Padding.SAME))
    return net.build(net.concat(maps))


def nested_unet(depth: int) -> Model:
    """UNet++ (Zhou et al., 2018) with all its outputs: node (i, j) joins (i, 0…j−1) and (i+1, j−1)."""
    net = NetworkBuilder("nested")
    image = net.input((1, 64, 64, 3))
    nodes: dict[tuple[int, int], Tensor] = {}
    for j in range(depth + 1):
        for i in range(depth + 1 - j):
            filters = 8 * 2**i
            if j == 0:
                x = net.max_pool(nodes[i - 1, 0], 2) if i else image
            else:
                up = net.transpose_conv(nodes[i + 1, j - 1], filters, 2, stride=2, padding=Padding.SAME)
                x = net.concat([*(nodes[i, k] for k in range(j)), up])
            x = net.conv2d(x, filters, 3, padding=Padding.SAME)
            nodes[i, j] = net.conv2d(x, filters, 3, padding=Padding.SAME)
    return net.build([nodes[0, j] for j in range(1, depth + 1)])


def tangle(operators: int, seed: int) -> Model:
    """A random graph; what nobody reads is joined at the end."""
    net, rng = Net(), random.Random(seed)
    values = [net.input(1, 160)]
    read: set[int] = set()
    for _ in range(operators - 1):
        pool = values[-8:] if rng.random() < 0.7 else values
        sources = rng.sample(pool, min(len(pool), rng.choice((1, 1, 2, 3))))
        read.update(sources)
        values.append(net.op("CONCATENATION", sources, 1, 16 * rng.randint(1, 40)))
    return net.model(net.op("CONCATENATION", [v for v in values if v not in read], 1, 16))


@pytest.mark.parametrize(
    ("build", "most_visits"),
    [
        (chain, 0),
        (lambda: dense(150), 0),
        (lambda: nested_unet(6), 1_000),
        (lambda: inception(20, 6), 5_000),
        (lambda: inception(8, 12), 50_000),
        (lambda: nasnet(4), 50_000),
        (lambda: nasnet(11), ORDER_VISITS),
        (lambda: tangle(100, 1), 20_000),
    ],
    ids=["chain", "dense", "nested U-Net", "inception", "wide inception", "NASNet", "NASNet of 500", "100"],
)
def test_exact_within_visits(build: Callable[[], Model], most_visits: int) -> None:
    """Proved optimal with counted effort; a loose ceiling on visits, as only an explosion would exceed it."""
    model = build()
    found = best_order(model)
    assert found.optimal and found.peak_bytes == found.lower_bound_bytes
    assert found.visits <= most_visits
    assert found.peak_bytes == lower_bound(build_problem(reordered(model, found.order)).buffers)
    assert found.peak_bytes <= lower_bound(build_problem(model).buffers)


def test_inception_peak_by_hand() -> None:
    """Branches of one convolution: whatever the order, the concatenation sees its operands and its result, and the last
    branch sees x, the other results and its own."""
    net = NetworkBuilder("module")
    x = net.input((1, 8, 8, 4))
    sizes = (8, 16, 4)
    model = net.build(net.concat([net.conv2d(x, filters, 1) for filters in sizes]))
    assert best_order(model).peak_bytes == 2 * 64 * sum(sizes)


def test_the_same_model_has_the_same_order() -> None:
    assert best_order(nasnet(4)) == best_order(nasnet(4))
    assert orders(tangle(60, 3)) == orders(tangle(60, 3))


def test_visits_are_kept_to() -> None:
    """Beyond the visits nothing is proved, but order and bound stay sound, and the beams find something better."""
    model = tangle(500, 1)
    own = lower_bound(build_problem(model).buffers)
    found = best_order(model, visits=50_000)
    assert not found.optimal and "not proved" in found.method
    assert found.lower_bound_bytes < found.peak_bytes < own
    assert found.peak_bytes == lower_bound(build_problem(reordered(model, found.order)).buffers)
    # each search may end in the middle of a minimum cut
    assert found.visits <= 3 * 50_000 * (1 + 2 / BEAM_SHARE + TRIES / TRY_SHARE)


def test_sizes_are_aligned() -> None:
    net = Net()
    x = net.input(1, 17)
    found = best_order(net.model(net.op("CONV_2D", [x], 1, 33)))
    assert found.peak_bytes == align_up(17, 16) + align_up(33, 16)
