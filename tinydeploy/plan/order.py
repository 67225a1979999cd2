"""The order of operators with the least peak of live bytes, tensors whole; and good orders for others to try.

best = best_order(model)
model = reordered(model, best.order)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinydeploy.ir import Model
from tinydeploy.plan.chains import fused
from tinydeploy.plan.liveness import Graph, bits, graph_of
from tinydeploy.plan.order_search import settle
from tinydeploy.plan.problem import MemoryOf, stated_memory

ORDER_VISITS = 100_000  # of the exact search; order_search.py says what a visit is and what comes after


@dataclass(frozen=True)
class Order:
    """`order` holds operator indices (`Operator.index`), `peak_bytes` what is alive at its fullest step, aligned.

    No order has a peak below `lower_bound_bytes`; `optimal` only where that is proved to be reached. `method` says
    in words how the order was found and what proves it. `visits` is the effort, which decides when to give up.
    """

    order: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int
    optimal: bool
    method: str
    visits: int = 0


def best_order(
    model: Model, *, in_place: bool = True, memory_of: MemoryOf = stated_memory, visits: int = ORDER_VISITS
) -> Order:
    """The order with the least peak; the model's own if no better one is found. Deterministic.

    The peak is that of `build_problem`'s live ranges, so the rules are the same: whole tensors, aligned; reshapes
    share bytes; with `in_place` an element-wise result replaces an operand that dies; model inputs are alive from the
    start, outputs to the end, variable tensors always, and operators that touch the same variable keep their order.

    `model` must be one that `build_problem` accepts.
    """
    graph, unread = graph_of(model, in_place=in_place, memory_of=memory_of)
    order, bound, spent = _least(graph, visits)
    own_peak = _peak(graph, range(graph.count), unread)
    peak = _peak(graph, order, unread)
    if unread:  # alive at the first step alone, which the search does not know
        first = bits(sum(1 << v for v in range(graph.count) if not graph.before[v]))
        bound = max(bound, unread + min(graph.start_bytes + graph.change(v, 1 << v)[1] for v in first))
    if own_peak <= peak:
        order, peak = tuple(range(graph.count)), own_peak
        found = "the model's own order"
    else:
        found = "another order than the model's"
    if peak > bound:
        method = f"{found}; not proved to be the best"
    elif spent:
        method = f"{found}; exact search finished: no order has a lower peak"
    else:
        method = f"{found}; meets the lower bound"
    return Order(tuple(model.operators[v].index for v in order), peak, bound, peak <= bound, method, spent)


def orders(
    model: Model, *, in_place: bool = True, memory_of: MemoryOf = stated_memory, visits: int = ORDER_VISITS
) -> tuple[Order, ...]:
    """A few different orders that are worth a try where not whole tensors but rows are to be counted.

    The model's own first, then the best for whole tensors, then depth-first ones, which keep a reader close to its
    producer: at a join, the branch with the largest tensors first, and last. All carry the bound of the best.
    """
    best = best_order(model, in_place=in_place, memory_of=memory_of, visits=visits)
    graph, unread = graph_of(model, in_place=in_place, memory_of=memory_of)
    bound = best.lower_bound_bytes
    found: dict[tuple[int, ...], Order] = {}

    def add(order: tuple[int, ...], what: str) -> None:
        peak = _peak(graph, order, unread)
        indices = tuple(model.operators[v].index for v in order)
        found.setdefault(indices, Order(indices, peak, bound, peak <= bound, what))

    add(tuple(range(graph.count)), "the model's own order")
    found.setdefault(best.order, best)
    add(_depth_first(graph, heaviest_first=True), "depth first, the branch with the largest tensors first")
    add(_depth_first(graph, heaviest_first=False), "depth first, the branch with the largest tensors last")
    return tuple(found.values())


def reordered(model: Model, order: tuple[int, ...]) -> Model:
    """The model with its operators in this order of `Operator.index`; operators keep their indices."""
    by_index = {op.index: op for op in model.operators}
    return replace(model, operators=tuple(by_index[index] for index in order))


def _least(graph: Graph, visits: int) -> tuple[tuple[int, ...], int, int]:
    """The best order, a lower bound of all orders' peaks, and the visits spent.

    Operators that all others come before or after have their place in every order. The parts between them are
    settled each alone, those with the highest peak first, and only as far as they decide the peak of the whole.
    """
    during, after = graph.steps(range(graph.count))
    above, below = graph.closures()
    fixed = [above[v] | below[v] | 1 << v == graph.everything for v in range(graph.count)]
    peak = bound = max((during[v] for v in range(graph.count) if fixed[v]), default=0)
    parts = []
    first = 0
    for end in range(graph.count + 1):
        if end == graph.count or fixed[end]:
            if first < end:
                parts.append((max(during[first:end]), first, end))
            first = end + 1
    order = list(range(graph.count))
    spent = 0
    for own_peak, first, end in sorted(parts, key=lambda part: (-part[0], part[1])):
        if own_peak <= peak:
            break
        part = graph.part(first, end, after[first - 1] if first else graph.start_bytes)
        least = part.least_step_bytes()
        bound = max(bound, least)
        peak = max(peak, least)
        if own_peak <= peak:
            continue
        nodes, chains = fused(part)
        found = settle(nodes, own_peak, peak, max(0, visits - spent))
        spent += found.visits
        bound = max(bound, found.lower_bound_bytes)
        peak = max(peak, found.peak_bytes)
        if found.order:
            order[first:end] = [first + v for node in found.order for v in chains[node]]
    return tuple(order), bound, spent


def _peak(graph: Graph, order: tuple[int, ...] | range, unread: int) -> int:
    during, _ = graph.steps(order)
    return max(during[0] + unread, *during)


def _depth_first(graph: Graph, *, heaviest_first: bool) -> tuple[int, ...]:
    """Each operator right after what it still needs: the branches of a join one after the other, to their ends."""
    above, _ = graph.closures()
    weight = [max(graph.during[u] for u in (v, *bits(above[v]))) for v in range(graph.count)]
    sign = -1 if heaviest_first else 1
    ends = [v for v in range(graph.count) if not graph.after[v]]
    stack = sorted(ends, key=lambda v: (sign * weight[v], v))[::-1]
    done = 0
    order = []
    while stack:
        v = stack[-1]
        missing = sorted(bits(graph.before[v] & ~done), key=lambda u: (sign * weight[u], u))
        if missing and not done >> v & 1:
            stack += missing[::-1]
            continue
        stack.pop()
        if not done >> v & 1:
            done |= 1 << v
            order.append(v)
    return tuple(order)
