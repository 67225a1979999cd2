"""Operators of a chain that may as well run without a pause, put together: fewer sets for the search for an order.

A pause between two neighbours of a chain is of no use

- if the bytes alive are no fewer after the first one than before it, and its step needs no more than its neighbour's:
  then the first one can wait and run right before its neighbour; or
- if the neighbour leaves no more bytes alive than it finds, and its step needs no more than what came before it:
  then it can run at once.

What is left are the hills and valleys of Liu (1987, "An application of generalized tree pebbling to sparse matrix
factorization"), here for chains within any graph. Values read by others, too, die with the first operator of a chain
or do not, depending on what has run: both rules hold only where they hold either way.
"""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.plan.liveness import Graph, Value, bits


def fused(graph: Graph) -> tuple[Graph, tuple[tuple[int, ...], ...]]:
    """The graph with such chains as one node each, and each node's operators. Its peaks are the graph's.

    Nodes are numbered in an order that can run if the graph's are.
    """
    chain_of: dict[int, list[int]] = {}  # by last operator
    rest: dict[int, int] = {}
    for w in range(graph.count):
        v = _only(graph.before[w])
        if v is None or not _alone(graph, v, w):
            chain_of[w], rest[w] = [w], graph.rest[w]
            continue
        step = graph.born[v] + (graph.scratch[w] if graph.covers[w] else graph.during[w])
        if _can_wait(graph, chain_of[v][0], v, rest[v], step) or _can_run(graph, chain_of[v][0], w, rest[v], step):
            chain_of[w], rest[w] = [*chain_of.pop(v), w], max(rest[v], step)
        else:
            chain_of[w], rest[w] = [w], graph.rest[w]
    chains = sorted(chain_of.values())
    return _contracted(graph, chains, [rest[chain[-1]] for chain in chains]), tuple(map(tuple, chains))


def _only(mask: int) -> int | None:
    return mask.bit_length() - 1 if mask and not mask & (mask - 1) else None


def _alone(graph: Graph, v: int, w: int) -> bool:
    """Whether v's results go to w alone, and nothing else can die with w."""
    if graph.after[v] != 1 << w or graph.rest[w]:
        return False
    results = [value for value in graph.values if value.producer == v and (value.readers or value.held)]
    if any(value.held or value.readers != 1 << w for value in results):
        return False
    return len(graph.ends[w]) == len(results)


def _can_wait(graph: Graph, head: int, v: int, rest: int, step: int) -> bool:
    dying = sum(size for _, size in graph.ends[head])
    return dying <= graph.born[v] and max(rest, graph.during[head] + dying) <= step


def _can_run(graph: Graph, head: int, w: int, rest: int, step: int) -> bool:
    dying = sum(size for _, size in graph.ends[w])
    return graph.born[w] <= dying and step <= max(rest, graph.during[head])


def _contracted(graph: Graph, chains: list[list[int]], rest: list[int]) -> Graph:
    node_of = {v: node for node, chain in enumerate(chains) for v in chain}

    def nodes(mask: int, but: int = -1) -> int:
        found = 0
        for v in bits(mask):
            if node_of[v] != but:
                found |= 1 << node_of[v]
        return found

    values: list[Value] = []
    numbers: dict[int, int] = {}
    for number, value in enumerate(graph.values):
        producer = node_of.get(value.producer, value.producer)
        if value.readers and nodes(value.readers, producer) == 0:
            continue  # inside a chain
        if value.producer in node_of and value.producer != chains[producer][-1]:
            continue  # a result that nobody reads, within a chain
        numbers[number] = len(values)
        values.append(replace(value, producer=producer, readers=nodes(value.readers)))
    heads = [chain[0] for chain in chains]
    return Graph(
        before=tuple(nodes(graph.before[v], node) for node, v in enumerate(heads)),
        after=tuple(nodes(graph.after[chain[-1]], node) for node, chain in enumerate(chains)),
        values=tuple(values),
        scratch=tuple(graph.scratch[v] for v in heads),
        during=tuple(graph.during[v] for v in heads),
        over=tuple(tuple(numbers[i] for i in graph.over[v]) for v in heads),
        rest=tuple(rest),
        start_bytes=graph.start_bytes,
    )
