"""Who is responsible for a figure: the layers or tensors that make most of it, or that grew most, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher

from tinydeploy.batch import LayerFigures, Outcome
from tinydeploy.gates.baseline import Entry
from tinydeploy.operators.base import printable
from tinydeploy.units import count

_SHOWN = 3
_NAME = 60


def culprit(outcome: Outcome, budget: str, entry: Entry | None) -> str:
    """What is responsible for the figure that `budget` limits. entry: of the baseline, for figures that it has by
    layer. "" where nothing is known."""
    return _FINDERS[budget](outcome, entry) if budget in _FINDERS else ""


def layer_name(layer: LayerFigures) -> str:
    """For people: `CONV_2D #3 'model/conv2d_3/Relu'`."""
    name = printable(layer.name.partition(";")[0], _NAME)  # of what the converter fused, the first
    return f"{layer.opcode} #{layer.index}" + (f" '{name}'" if name else "")


def _listed(parts: Sequence[str], joint: str = ", ") -> str:
    more = [f"{len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return joint.join([*parts[:_SHOWN], *more])


def _largest(outcome: Outcome, size: Callable[[LayerFigures], int | None], unit: str) -> str:
    """The layers with most of something."""
    sized = sorted(((size(layer) or 0, -layer.index, layer) for layer in outcome.layers), reverse=True, key=_order)
    total = sum(size for size, _, _ in sized)
    return _listed([f"{layer_name(layer)} {value:,}{unit} ({value / total:.0%})" for value, _, layer in sized if value])


def _order(item: tuple[int, int, LayerFigures]) -> tuple[int, int]:
    return item[:2]


def _arena(outcome: Outcome, _: Entry | None) -> str:
    """The tensors alive at the peak."""
    at = next((layer_name(layer) for layer in outcome.layers if layer.index == outcome.peak_operator), "")
    alive = _listed([f"{printable(name.partition(';')[0], _NAME)} {size:,} B" for name, size in outcome.peak])
    return f"alive at {at}: {alive}" if at and alive else ""


def _weights(outcome: Outcome, _: Entry | None) -> str:
    return _largest(outcome, lambda layer: layer.weights_bytes, " B")


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
    grown = list(_grown(outcome, entry)) if entry is not None and entry.layers else []
    if grown:
        grown.sort(key=lambda item: -item[0])
        return _listed([told for _, told in grown])
    return _largest(outcome, lambda layer: layer.instructions, " instructions")


def _cycles(outcome: Outcome, entry: Entry | None) -> str:
    if entry is not None and any(_grown(outcome, entry)):
        return _instructions(outcome, entry)
    return _largest(outcome, lambda layer: layer.cycles, " cycles")


def _grown(outcome: Outcome, entry: Entry | None) -> Iterator[tuple[int, str]]:
    """Layers with more instructions than in the baseline, by how many. A model may have got other layers: those that
    it still has are found by the sequence of opcodes."""
    now = [layer for layer in outcome.layers if layer.instructions]
    before = [] if entry is None else list(entry.layers)
    matcher = SequenceMatcher(None, [opcode for opcode, _ in before], [layer.opcode for layer in now], autojunk=False)
    for _, first, end, here, stop in matcher.get_opcodes():
        known = before[first:end] if end - first == stop - here else []
        for number, layer in enumerate(now[here:stop]):
            ran = layer.instructions or 0
            if not known or known[number][0] != layer.opcode:
                yield ran, f"{layer_name(layer)} is new, {ran:,} instructions"
            elif ran > known[number][1]:
                was = known[number][1]
                yield ran - was, f"{layer_name(layer)} +{ran - was:,} instructions ({count(was)} → {count(ran)})"


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
