"""Traces taken apart: exclusive counts by function, whole ones by layer, and that slices nest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tinydeploy.emulate.trace import Edge


@dataclass
class Sums:
    """Instructions and cycles: of functions without what they call, of layers with all that runs in them."""

    functions: Counter[str] = field(default_factory=Counter)
    layers: Counter[int] = field(default_factory=Counter)
    layer_cycles: Counter[int] = field(default_factory=Counter)


def sums(edges: Iterable[Edge], names: tuple[str, ...]) -> Sums:
    """Add up; fails where slices do not nest, are empty, or time goes back."""
    found = Sums()
    stack: list[Edge] = []
    last = (0, 0)
    for edge in edges:
        assert (edge.instructions, edge.cycles) >= last
        inner = next((e for e in reversed(stack) if not e.layer), None)
        if edge.instructions > last[0]:
            assert inner is not None
            found.functions[names[inner.number]] += edge.instructions - last[0]
        last = (edge.instructions, edge.cycles)
        if edge.begins:
            stack.append(edge)
            continue
        begun = stack.pop()
        assert begun[1:4] == edge[1:4]
        assert edge.instructions > begun.instructions
        if edge.layer:
            found.layers[edge.number] += edge.instructions - begun.instructions
            found.layer_cycles[edge.number] += edge.cycles - begun.cycles
    assert not stack
    return found
