"""Who is responsible for a figure: the layers or tensors that make most of it, or that grew most, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from tinydeploy.batch import LayerFigures, Outcome
from tinydeploy.gates.baseline import Entry
from tinydeploy.operators.base import printable
from tinydeploy.report.document import layer_label
from tinydeploy.units import count

_SHOWN = 3
_NAME = 60
_ALONE = 0.7  # ln 2: two layers without partners count as a pair of which one takes four times as much


def culprit(outcome: Outcome, budget: str, entry: Entry | None) -> str:
    """What is responsible for the figure that `budget` limits. entry: of the baseline, for figures that it has by
    layer. "" where nothing is known."""
    return _FINDERS[budget](outcome, entry) if budget in _FINDERS else ""


def layer_name(layer: LayerFigures) -> str:
    """For people: `CONV_2D #3 'model/conv2d_3/Relu'`."""
    return layer_label(layer.opcode, layer.index, layer.name)


def _listed(parts: Sequence[str], joint: str = ", ") -> str:
    more = [f"{len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return joint.join([*parts[:_SHOWN], *more])


def _largest(outcome: Outcome, size: Callable[[LayerFigures], int | None], figure: str, unit: str) -> str:
    """The layers with most of what makes up a figure, and their shares of it."""
    whole = outcome.figures.get(figure, 0)
    sized = sorted(((layer, size(layer) or 0) for layer in outcome.layers), key=lambda item: -item[1])
    return _listed([f"{layer_name(layer)} {n:,} {unit} ({n / whole:.0%})" for layer, n in sized if n and whole])


def _arena(outcome: Outcome, _: Entry | None) -> str:
    """The tensors alive at the peak."""
    at = next((layer_name(layer) for layer in outcome.layers if layer.index == outcome.peak_operator), "")
    alive = _listed([f"{printable(name.partition(';')[0], _NAME)} {size:,} B" for name, size in outcome.peak])
    return f"alive at {at}: {alive}" if at and alive else ""


def _weights(outcome: Outcome, _: Entry | None) -> str:
    return _largest(outcome, lambda layer: layer.weights_bytes, "weights_bytes", "B")


def _code(outcome: Outcome, _: Entry | None) -> str:
    """Sizes of single kernels are not measured, but each opcode brings one."""
    opcodes = sorted({layer.opcode for layer in outcome.layers if layer.instructions != 0})
    return f"the start-up code and the kernels of {', '.join(opcodes)}" if opcodes else ""


def _parts(outcome: Outcome, *names: str) -> str:
    """The figures that make up a memory, the largest first."""
    sizes = sorted(((outcome.figures.get(f"{name}_bytes", 0), name) for name in names), reverse=True)
    return ", ".join(f"{name} {size:,} B" for size, name in sizes if size)


def _sram(outcome: Outcome, entry: Entry | None) -> str:
    return _listed([_parts(outcome, "arena", "stack", "static"), _arena(outcome, entry)], "; ")


def _flash(outcome: Outcome, entry: Entry | None) -> str:
    return _listed([_parts(outcome, "weights", "code"), f"weights: {_weights(outcome, entry)}"], "; ")


def _instructions(outcome: Outcome, entry: Entry | None) -> str:
    return _listed(_grown(outcome, entry)) or _largest(
        outcome, lambda layer: layer.instructions, "instructions", "instructions"
    )


def _cycles(outcome: Outcome, entry: Entry | None) -> str:
    """The baseline has instructions by layer alone."""
    return _listed(_grown(outcome, entry)) or _largest(outcome, lambda layer: layer.cycles, "cycles", "cycles")


def _grown(outcome: Outcome, entry: Entry | None) -> list[str]:
    """Layers with more instructions than in the baseline, those first that grew most."""
    now = [layer for layer in outcome.layers if layer.instructions]
    if entry is None or not entry.layers:
        return []
    found = []
    before = matched(entry.layers, [(layer.opcode, layer.instructions or 0) for layer in now])
    for layer, was in zip(now, before, strict=True):
        ran = layer.instructions or 0
        if was is None:
            found.append((ran, f"{layer_name(layer)} is new, {ran:,} instructions"))
        elif ran > was:
            told = f"{layer_name(layer)} +{ran - was:,} instructions ({count(was)} → {count(ran)})"
            found.append((ran - was, told))
    return [told for _, told in sorted(found, key=lambda item: -item[0])]


def matched(before: Sequence[tuple[str, int]], now: Sequence[tuple[str, int]]) -> list[int | None]:
    """For each layer of `now`, what it took before; None for one that is new. Layers are (opcode, instructions).

    A model may have lost layers and got others: of all ways to pair layers of one opcode in order, the one in which
    pairs are nearest to each other, |ln(now / before)|, where a layer without a partner counts as `_ALONE`.
    """
    # costs[i][j]: of the best way for the first i layers before and the first j now
    costs = [[_ALONE * (i + j) for j in range(len(now) + 1)] for i in range(len(before) + 1)]
    for i, (opcode, was) in enumerate(before, 1):
        for j, (same, ran) in enumerate(now, 1):
            alone = min(costs[i - 1][j], costs[i][j - 1]) + _ALONE
            paired = costs[i - 1][j - 1] + abs(log(ran / was)) if same == opcode and was and ran else alone
            costs[i][j] = min(alone, paired)
    found: list[int | None] = [None] * len(now)
    i, j = len(before), len(now)
    while i and j:
        if costs[i][j] == costs[i - 1][j] + _ALONE:
            i -= 1
        elif costs[i][j] == costs[i][j - 1] + _ALONE:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found[j] = before[i][1]
    return found


def _slow(outcome: Outcome, _: Entry | None) -> str:
    return _listed([f"{layer_name(layer)} ({layer.slow})" for layer in outcome.layers if layer.slow], "; ")


_FINDERS: dict[str, Callable[[Outcome, Entry | None], str]] = {
    "arena": _arena,
    "sram": _sram,
    "weights": _weights,
    "code": _code,
    "flash": _flash,
    "instructions": _instructions,
    "cycles": _cycles,
    "latency": _cycles,
    "no_slow_kernels": _slow,
}
