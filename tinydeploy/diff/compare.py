"""From two sides to what changed between them, with the layers and tensors that are responsible."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinydeploy.diff.align import align
from tinydeploy.diff.snapshot import DIGESTS, Layer, Place, Snapshot
from tinydeploy.report.differences import Change, Differences, LayerChange, SideFacts, TensorChange
from tinydeploy.report.document import layer_label
from tinydeploy.units import kib

_ORDER = (
    "arena_bytes",
    "lower_bound_bytes",
    "stack_bytes",
    "stack_watermark_bytes",
    "sram_bytes",
    "weights_bytes",
    "code_bytes",
    "flash_bytes",
    "macs",
    "params",
    "instructions",
    "cycles",
    "latency_ms",
)
# Which figure of its layers makes a figure of the whole.
_OF_LAYERS = {
    "weights_bytes": "weight_bytes",
    "macs": "macs",
    "params": "params",
    "instructions": "instructions",
    "cycles": "cycles",
}
# What such a figure counts beside that, and what layers have in common.
_NO_LAYERS = {
    "weights_bytes": "biases, scales, tables and what layers share",
    "macs": "what layers share",
    "params": "what layers share",
}
_LEFT_OUT = ("board",)  # settings that the sides' own lines tell

Pair = tuple[Layer | None, Layer | None]


def compare(before: Snapshot, after: Snapshot) -> Differences:
    """All that changed from one side to the other."""
    pairs = align(before.layers, after.layers)
    layers = [change for pair in pairs if (change := _layer_change(pair)) is not None]
    tensors, same_tensors = _tensor_changes(before.places, after.places, pairs)
    return Differences(
        sides=(_facts(before), _facts(after)),
        figures=tuple(_changes(before, after, pairs)),
        layers=tuple(layers),
        same_layers=len(pairs) - len(layers),
        tensors=tuple(tensors),
        same_tensors=same_tensors,
        settings=_settings(before.settings, after.settings),
        digests=all(not DIGESTS.isdisjoint(layer.figures) for layer in (*before.layers, *after.layers)),
    )


def _facts(side: Snapshot) -> SideFacts:
    report = side.command if side.label.endswith(".json") else None
    return SideFacts(side.label, side.model, side.sha256, side.board, side.tinydeploy, report, side.fits)


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Those that both sides tell: what a report of another command does not have is no difference."""
    names = [name for name in before if name in after and name not in _LEFT_OUT]
    return {name: (before[name], after[name]) for name in names if before[name] != after[name]}


def _changes(before: Snapshot, after: Snapshot, pairs: Sequence[Pair]) -> list[Change]:
    found = []
    for name in _ORDER:
        was, now = before.figures.get(name), after.figures.get(name)
        if was is None and now is None:
            continue
        kinds = (was[1] if was else "", now[1] if now else "")
        change = Change(name, was[0] if was else None, now[0] if now else None, kinds)
        found.append(replace(change, blame=_blame(name, before, after, pairs)) if change.delta else change)
    return found


def _blame(name: str, before: Snapshot, after: Snapshot, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Who made a figure another one, in words, the most responsible first."""
    if name == "arena_bytes":
        return _peak(before, after, pairs)
    if name == "code_bytes":
        return _kernels(before, after)
    return _grown(name, after.figures[name][0] - before.figures[name][0], pairs) if name in _OF_LAYERS else ()


def _grown(name: str, total: float, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Layers by how much one of their figures changed, then what of the whole's change is no layer's."""
    figure = _OF_LAYERS[name]
    deltas: list[tuple[float, str]] = []
    for was, now in pairs:
        old, new = (0 if layer is None else layer.figures.get(figure, 0) for layer in (was, now))
        layer = now or was
        if old != new and layer is not None:
            state = " (new)" if was is None else " (gone)" if now is None else f" ({old:,} → {new:,})"
            deltas.append((new - old, f"{_label(layer)} {new - old:+,}{state}"))
    rest = total - sum(delta for delta, _ in deltas)
    told = [told for _, told in sorted(deltas, key=lambda item: -abs(item[0]))]
    return (*told, *([f"{_NO_LAYERS.get(name, 'outside of layers')} {rest:+,}"] if rest else []))


def _peak(before: Snapshot, after: Snapshot, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Where the most is alive on both sides, then the tensors that came, went, grew or shrank there."""
    places = [_at_peak(side) for side in (before, after)]
    told = [f"the peak is at {places[1]}" + (f", it was at {places[0]}" if places[0] != places[1] else "")]
    renamed = _renamed(pairs)
    taken = set(renamed.values())
    alive: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for sizes, side in zip(alive, (before, after), strict=True):
        for name, size in side.alive:
            now = name if side is after else renamed.get(name, name)
            gone = side is before and name in taken and name not in renamed  # another has its name now
            sizes[now.partition(";")[0] + (" (gone)" if gone else "")] += size
    deltas = {name: alive[1][name] - alive[0][name] for name in alive[0] | alive[1]}
    changed = sorted((item for item in deltas.items() if item[1]), key=lambda item: (-abs(item[1]), item[0]))
    return (*told, *(f"{name} {'+' if delta > 0 else '−'}{kib(abs(delta))} alive there" for name, delta in changed))


def _at_peak(side: Snapshot) -> str:
    layer = next((layer for layer in side.layers if layer.index == side.peak), None)
    return "no operator" if layer is None else _label(layer)


def _kernels(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Sizes of single kernels are not in a plan, but each opcode brings one."""
    was, now = ({layer.opcode for layer in side.layers} for side in (before, after))
    told = [f"the kernel of {opcode} came" for opcode in sorted(now - was)]
    told += [f"the kernel of {opcode} went" for opcode in sorted(was - now)]
    other = before.board != after.board or "toolchain" in _settings(before.settings, after.settings)
    return tuple(told or (["another core or compiler"] if other else ["the generated steps"]))


def _label(layer: Layer) -> str:
    return layer_label(layer.opcode, layer.index, layer.name)


def _layer_change(pair: Pair) -> LayerChange | None:
    was, now = pair
    layer = now or was
    assert layer is not None
    old, new = (dict(side.figures) if side is not None else {} for side in pair)
    if was is not None and now is not None:
        both = [name for name in old if name in new]
        figures = {name: (old[name], new[name]) for name in both if old[name] != new[name]}
        if not figures:
            return None
    else:
        figures = {name: (old.get(name), new.get(name)) for name in (*old, *(n for n in new if n not in old))}
    return LayerChange(_label(layer), was.index if was else None, now.index if now else None, figures)


def _tensor_changes(
    before: Sequence[Place], after: Sequence[Place], pairs: Sequence[Pair]
) -> tuple[list[TensorChange], int]:
    """By the layer that computes it, and what none does by name; of several with one name in their order."""
    renamed = _renamed(pairs)
    taken = set(renamed.values())
    left = _by_name(after)
    found, gone, same = [], [], 0
    for place in before:
        name = renamed.get(place.name, "" if place.name in taken else place.name)
        partners = left.get(name)
        partner = partners.popleft() if partners else None
        if partner is None:
            gone.append(place)
        elif partner.key == place.key:
            same += 1
        else:
            found.append(TensorChange(partner.name, place.key, partner.key))
    new = [place for places in left.values() for place in places]
    there = Counter(place.key for place in new)
    twins: Counter[tuple[str | None, int, int]] = Counter()
    for place in gone:  # one that is exactly where another was is that one under a new name
        if twins[place.key] < there[place.key]:
            twins[place.key] += 1
        else:
            found.append(TensorChange(place.name, place.key, None))
    same += twins.total()
    for place in new:
        if twins[place.key]:
            twins[place.key] -= 1
        else:
            found.append(TensorChange(place.name, None, place.key))
    return found, same


def _renamed(pairs: Sequence[Pair]) -> dict[str, str]:
    """What the tensors of the layers that both sides have are called before and after."""
    return {was.name: now.name for was, now in pairs if was is not None and now is not None}


def _by_name(places: Sequence[Place]) -> dict[str, deque[Place]]:
    found: dict[str, deque[Place]] = {}
    for place in places:
        found.setdefault(place.name, deque()).append(place)
    return found
