"""The report of `diff`: what changed between two sides, figure by figure and layer by layer, and which layer did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.report.document import (
    Block,
    Column,
    Document,
    Facts,
    Line,
    Provenance,
    Table,
    envelope,
    number,
    shape,
    told,
)

_SHOWN_LAYERS = 20
_SHOWN_TENSORS = 12
_SHOWN_BLAMED = 3
_NAME = 48
_OF_A_LAYER = ("output_shape", "macs", "params", "weight_bytes", "live_bytes", "instructions", "cycles")
_FOLLOWS = {"live_bytes", "instructions", "cycles"}  # what a layer may have of another one's change
_DIGESTS = {"constants": "other constants", "quantization": "other scales or zero points"}


@dataclass(frozen=True)
class SideFacts:
    """One side: what the user called it, and what it is. `report`: the command whose report it was read from."""

    label: str
    model: str
    sha256: str
    board: str
    tinydeploy: str
    report: str | None
    fits: bool | None


@dataclass(frozen=True)
class Change:
    """A figure on both sides; None where a side does not have it. `kinds` are of both sides. `blame`: the layers or
    tensors that are responsible, in words, the most responsible first."""

    name: str
    before: int | float | None
    after: int | float | None
    kinds: tuple[str, str]
    blame: tuple[str, ...] = ()

    @property
    def delta(self) -> int | float | None:
        """After less before; None unless both sides have it, and of the same kind: an estimate less a count of the
        image is no change."""
        if self.before is None or self.after is None or self.kinds[0] != self.kinds[1]:
            return None
        return self.after - self.before


@dataclass(frozen=True)
class LayerChange:
    """An operator that is on both sides with other figures, or on one side alone. `figures`: what differs, by name,
    before and after; None on the side that does not have it."""

    label: str
    before: int | None
    after: int | None
    figures: Mapping[str, tuple[Any, Any]]

    @property
    def state(self) -> str:
        """`new`, `gone` or `changed`."""
        return "new" if self.before is None else "gone" if self.after is None else "changed"


@dataclass(frozen=True)
class TensorChange:
    """A tensor that lies elsewhere, has another size, or is on one side alone: (region, offset, bytes) of each side."""

    name: str
    before: tuple[str | None, int, int] | None
    after: tuple[str | None, int, int] | None

    @property
    def state(self) -> str:
        """`new`, `gone`, `resized` or `moved`."""
        if self.before is None or self.after is None:
            return "new" if self.before is None else "gone"
        return "moved" if self.before[2] == self.after[2] else "resized"


@dataclass(frozen=True)
class Differences:
    """All that changed between two sides. `figures` hold those that did not change, too; `settings` are options and
    tools that differ, before and after. `digests`: both sides tell what their layers compute with, which reports of
    earlier versions do not."""

    sides: tuple[SideFacts, SideFacts]
    figures: tuple[Change, ...]
    layers: tuple[LayerChange, ...]
    same_layers: int
    tensors: tuple[TensorChange, ...]
    same_tensors: int
    settings: Mapping[str, tuple[Any, Any]]
    digests: bool = True

    @property
    def changed(self) -> bool:
        """Whether anything did, names and settings aside."""
        figures = any(change.delta for change in self.figures)
        fits = self.sides[0].fits != self.sides[1].fits
        return figures or fits or self.other_file or bool(self.layers) or bool(self.tensors)

    @property
    def other_file(self) -> bool:
        """Whether the sides are of models whose files differ."""
        a, b = (side.sha256 for side in self.sides)
        return a != b and bool(a and b)


def differences_document(found: Differences, provenance: Provenance) -> Document:
    """The report of `diff`."""
    kinds = {f"figures.{c.name}": c.kinds[1] or c.kinds[0] for c in found.figures}
    return Document((*_blocks(found), told(provenance)), {**envelope("diff", provenance, kinds), **_data(found)})


def _data(found: Differences) -> dict[str, Any]:
    return {
        "changed": found.changed,
        "sides": [
            {
                "label": side.label,
                "model": {"name": side.model, "sha256": side.sha256},
                "board": side.board,
                "tinydeploy": side.tinydeploy,
                "report": side.report,
                "fits": side.fits,
            }
            for side in found.sides
        ],
        "settings": [{"name": n, "before": a, "after": b} for n, (a, b) in found.settings.items()],
        "figures": {
            c.name: {
                "before": c.before,
                "after": c.after,
                "delta": c.delta,
                "kinds": list(c.kinds),
                "responsible": list(c.blame),
            }
            for c in found.figures
        },
        "layers": {
            "same": found.same_layers,
            "changed": [
                {
                    "layer": layer.label,
                    "state": layer.state,
                    "indices": {"before": layer.before, "after": layer.after},
                    "differs": {n: {"before": a, "after": b} for n, (a, b) in layer.figures.items()},
                }
                for layer in found.layers
            ],
        },
        "tensors": {
            "same": found.same_tensors,
            "changed": [
                {
                    "name": tensor.name,
                    "state": tensor.state,
                    "before": _place_data(tensor.before),
                    "after": _place_data(tensor.after),
                }
                for tensor in found.tensors
            ],
        },
    }


def _place_data(place: tuple[str | None, int, int] | None) -> dict[str, Any] | None:
    return None if place is None else {"region": place[0], "offset": place[1], "bytes": place[2]}


def _blocks(found: Differences) -> list[Block]:
    a, b = found.sides
    blocks: list[Block] = [
        Line(f"{_named(a, b)} → {_named(b, a)}", "title"),
        Facts("", (("before", _side(a)), ("after", _side(b)), *_settings(found.settings))),
    ]
    if a.fits != b.fits and b.fits is not None:
        words = "now it fits" if b.fits else "it no longer fits"
        if a.board != b.board:
            words = "it fits" if b.fits else "it does not fit"
        blocks.append(Line(f"{words} {printable(b.board)}", "good" if b.fits else "bad"))
    if not found.changed:
        blocks.append(Line("nothing changed: every figure, layer and placement is the same", "good"))
        return blocks
    blocks.append(_figure_table(found.figures))
    blocks += [Line(f"{_title(change.name)}: {_blamed(change.blame)}") for change in found.figures if change.blame]
    if found.layers:
        blocks.append(_layer_table(found))
    if found.tensors:
        blocks.append(_tensor_table(found))
    if not (found.layers and found.tensors):
        same = [] if found.layers else [f"all {found.same_layers} layers are the same"]
        same += [] if found.tensors else [f"all {found.same_tensors} tensors are where they were"]
        if found.other_file and len(same) == 2:
            where = "names or metadata" if found.digests else "values, names or metadata"
            same.append(f"the models' files differ all the same, in {where}")
        blocks.append(Line("; ".join(same)))
    return blocks


def _blamed(blame: Sequence[str]) -> str:
    more = len(blame) - _SHOWN_BLAMED
    shown = blame if more == 1 else blame[:_SHOWN_BLAMED]
    return "; ".join([*(printable(each, 200) for each in shown), *([f"{more} more"] if more > 1 else [])])


def _named(side: SideFacts, other: SideFacts) -> str:
    """As the user called it; with the board where that is all the difference."""
    return printable(side.label, 200) + (f" on {printable(side.board)}" if side.label == other.label else "")


def _side(side: SideFacts) -> str:
    parts = [printable(side.model, 100), f"on {printable(side.board)}" if side.board else ""]
    parts += ["does not fit" if side.board and side.fits is False else ""]
    parts += [f"sha256 {printable(side.sha256[:16])}…" if side.sha256 else ""]
    parts += [f"tinydeploy {printable(side.tinydeploy)}" if side.tinydeploy else ""]
    parts += [f"from a report of `{printable(side.report)}`" if side.report else ""]
    return ", ".join(part for part in parts if part)


def _settings(settings: Mapping[str, tuple[Any, Any]]) -> tuple[tuple[str, str], ...]:
    if not settings:
        return ()
    shown = [f"{printable(name)} {_setting(a)} → {_setting(b)}" for name, (a, b) in settings.items()]
    return (("settings", ", ".join(shown)),)


def _setting(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "none" if value is None or not text else printable(text, 60)


def _figure_table(figures: Sequence[Change]) -> Table:
    columns = (
        Column("figure"),
        Column("before", True),
        Column("after", True),
        Column("change", True),
        Column("", True),
        Column("kind"),
    )
    rows: list[tuple[str, ...]] = []
    marked = set()
    for change in figures:
        if change.delta:
            marked.add(len(rows))
        rows.append(
            (
                _title(change.name),
                _figure(change.before),
                _figure(change.after),
                "" if change.delta in (None, 0) else _figure(change.delta, sign=True),
                _relative(change),
                " → ".join(dict.fromkeys(kind for kind in change.kinds if kind)),
            )
        )
    return Table("", columns, tuple(rows), frozenset(marked))


def _title(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ") + (" B" if name.endswith("_bytes") else "")


def _figure(value: int | float | None, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:+,.3f}" if sign else f"{value:,.3f}"
    return f"{value:+,}" if sign else number(value)


def _relative(change: Change) -> str:
    if not change.delta or not change.before:
        return ""
    return f"{100 * change.delta / change.before:+.1f}%"


def _layer_table(found: Differences) -> Table:
    least = [layer.state == "changed" and layer.figures.keys() <= _FOLLOWS for layer in found.layers]
    shown = sorted(range(len(least)), key=least.__getitem__)[:_SHOWN_LAYERS]
    rows = []
    for layer in (found.layers[position] for position in sorted(shown)):
        if layer.state == "changed":
            told = [_differs(name, *pair) for name, pair in layer.figures.items()]
        else:
            side = 0 if layer.after is None else 1
            sizes = {name: pair[side] for name, pair in layer.figures.items() if name in _OF_A_LAYER}
            told = [f"{_title(name)} {_value(value)}" for name, value in sizes.items()]
        rows.append((layer.state, layer.label, ", ".join(told)))
    more = len(found.layers) - len(rows)
    note = f"{_of(found.same_layers, 'layer')} the same" + (f"; {more} more in --format json" if more > 0 else "")
    return Table("layers", (Column(""), Column("layer"), Column("what differs")), tuple(rows), note=note)


def _differs(name: str, before: Any, after: Any) -> str:
    if name in _DIGESTS:
        return _DIGESTS[name]
    return f"{printable(_title(name), _NAME)} {_value(before)} → {_value(after)}"


def _of(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count} {what}s are"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return shape(value)
    return _figure(value) if isinstance(value, int | float) or value is None else printable(str(value), 60)


def _tensor_table(found: Differences) -> Table:
    first = sorted(found.tensors, key=lambda tensor: tensor.state == "moved")  # a move is the least of them
    rows = tuple(
        (tensor.state, printable(tensor.name.partition(";")[0], _NAME), _place(tensor.before), _place(tensor.after))
        for tensor in first[:_SHOWN_TENSORS]
    )
    more = len(found.tensors) - len(rows)
    note = f"{_of(found.same_tensors, 'tensor')} where they were" + (
        f"; {more} more in --format json" if more > 0 else ""
    )
    columns = (Column(""), Column("tensor"), Column("before", True), Column("after", True))
    return Table("placement", columns, rows, note=note)


def _place(place: tuple[str | None, int, int] | None) -> str:
    if place is None:
        return "–"
    region, offset, size = place
    return f"{number(size)} B at {f'{printable(region)} + ' if region else ''}{number(offset)}"
