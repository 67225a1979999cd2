"""A side of a comparison: what the JSON report of `plan`, `build`, `run` or `export` says, checked and typed.

A report that a user gives may be of another version, or nobody's: what it must hold is checked, what it may hold is
left out where it is missing or of another type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

MAX_REPORT_BYTES = 64 << 20
COMMANDS = ("plan", "build", "run", "export")
_SCHEMA_VERSION = 1
_HINT = f"a side is a model, or what {', '.join(COMMANDS)} write with --format json"

# Figures by name: where a report has them, and where its `kinds` has their kind.
_FIGURES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "arena_bytes": (("sram", "arena_bytes"), "sram.arena_bytes"),
    "lower_bound_bytes": (("sram", "lower_bound_bytes"), "sram.lower_bound_bytes"),
    "stack_bytes": (("sram", "stack_bytes"), "sram.stack_bytes"),
    "sram_bytes": (("sram", "total_bytes"), "sram.total_bytes"),
    "weights_bytes": (("flash", "weights_bytes"), "flash.weights_bytes"),
    "code_bytes": (("flash", "code_bytes"), "flash.code_bytes"),
    "flash_bytes": (("flash", "total_bytes"), "flash.total_bytes"),
    "macs": (("totals", "macs"), "totals"),
    "params": (("totals", "params"), "totals"),
    "instructions": (("run", "instructions"), "run.instructions"),
    "cycles": (("run", "cycles", "value"), "run.cycles"),
    "stack_watermark_bytes": (("run", "stack_watermark_bytes"), "run.stack_watermark_bytes"),
}
DIGESTS = frozenset({"constants", "quantization"})
_LAYER_FIGURES = ("output_shape", "macs", "params", "weight_bytes", "live_bytes")


@dataclass(frozen=True)
class Layer:
    """An operator: `figures` by name, among them `output_shape` as a tuple."""

    index: int
    opcode: str
    name: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: bytes from the beginning of the arena, and the memory where that is known."""

    name: str
    region: str | None
    offset: int
    bytes: int

    @property
    def key(self) -> tuple[str | None, int, int]:
        """What is compared."""
        return (self.region, self.offset, self.bytes)


@dataclass(frozen=True)
class Snapshot:
    """One side. `figures` are (value, kind) by name; `peak` is the operator at the peak, `alive` what lives then, as
    (name, bytes)."""

    label: str
    command: str
    model: str
    sha256: str
    board: str
    tinydeploy: str
    fits: bool | None
    figures: Mapping[str, tuple[int | float, str]]
    layers: tuple[Layer, ...]
    places: tuple[Place, ...]
    peak: int | None
    alive: tuple[tuple[str, int], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_report(path: Path) -> Mapping[str, Any]:
    """The JSON of a report. Raises `UsageError` for a file that is none."""
    shown = printable(str(path), 300)
    try:
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise UsageError(f"{shown} is too large for a report", hint=_HINT)
        data = json.loads(path.read_bytes(), parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown} is no JSON: {printable(str(error), 200)}", hint=_HINT) from error
    if not isinstance(data, dict) or "schema_version" not in data:
        raise UsageError(f"{shown} is no report of tinydeploy", hint=_HINT)
    if data["schema_version"] != _SCHEMA_VERSION:
        version = printable(str(data["schema_version"]), 20)
        raise UsageError(f"{shown} has schema version {version}, and this tinydeploy knows {_SCHEMA_VERSION}")
    command = data.get("command")
    if command not in COMMANDS or not isinstance(data.get("layers"), list):
        what = f"`{printable(str(command), 40)}`" if isinstance(command, str) else "something else"
        hint = "`tinydeploy check` compares with its baseline itself" if command == "check" else _HINT
        raise UsageError(f"{shown} is a report of {what} without a plan of one model", hint=hint)
    return data


def snapshot(data: Mapping[str, Any], label: str) -> Snapshot:
    """What a report says, with everything left out that is not as reports have it."""
    kinds = _mapping(data.get("kinds"))
    provenance = _mapping(data.get("provenance"))
    model = _mapping(data.get("model"))
    target = _mapping(data.get("target"))
    figures: dict[str, tuple[int | float, str]] = {}
    for name, (path, kind) in _FIGURES.items():
        value = _number(_at(data, path))
        if value is not None:
            figures[name] = (value, _text(kinds.get(kind)))
    clock = _number(target.get("clock_hz"))
    if "cycles" in figures and clock is not None and clock >= 1:
        figures["latency_ms"] = (1e3 * figures["cycles"][0] / clock, figures["cycles"][1])
    measured = _mapping(_at(data, ("run", "flash_bytes")))
    for part in ("weights", "code"):  # of the image, better than the plan's estimate
        value = _number(measured.get(part))
        if value is not None:
            figures[f"{part}_bytes"] = (value, _text(kinds.get("run.flash_bytes")))
    if measured and {"weights_bytes", "code_bytes"} <= figures.keys():
        figures["flash_bytes"] = (figures["weights_bytes"][0] + figures["code_bytes"][0], "computed")
    peak = _mapping(data.get("peak"))
    alive = [(_text(a.get("name")), _number(a.get("bytes"))) for a in _mappings(peak.get("alive"))]
    fits = data.get("fits")
    return Snapshot(
        label=label,
        command=_text(data.get("command")),
        model=_text(model.get("name")),
        sha256=_text(model.get("sha256")),
        board=_text(data.get("board")),
        tinydeploy=_text(provenance.get("tinydeploy")),
        fits=fits if isinstance(fits, bool) else None,
        figures=figures,
        layers=tuple(_layers(data)),
        places=tuple(_places(data)),
        peak=_index(peak.get("operator")),
        alive=tuple((name, int(size)) for name, size in alive if size is not None),
        settings={**_plain(provenance.get("options")), **_plain(provenance.get("tools"))},
    )


def _layers(data: Mapping[str, Any]) -> Iterator[Layer]:
    ran = {_index(each.get("index")): each for each in _mappings(_at(data, ("run", "layers")))}
    for each in _mappings(data.get("layers")):
        index = _index(each.get("index"))
        if index is None:
            continue
        figures = {name: each[name] for name in _LAYER_FIGURES[1:] if _number(each.get(name)) is not None}
        extents = each.get("output_shape")
        if isinstance(extents, list) and all(_index(extent) is not None for extent in extents):
            figures = {"output_shape": tuple(extents), **figures}
        for name in ("instructions", "cycles"):
            if _number(ran.get(index, {}).get(name)) is not None:
                figures[name] = ran[index][name]
        figures |= {name: value for name, value in _plain(each.get("attributes")).items() if name not in figures}
        figures |= {name: each[name] for name in sorted(DIGESTS) if _text(each.get(name))}
        yield Layer(index, _text(each.get("opcode")), _text(each.get("name")), figures)


def _places(data: Mapping[str, Any]) -> Iterator[Place]:
    for each in _mappings(data.get("tensors")):
        offset, size = _index(each.get("offset")), _index(each.get("bytes"))
        if offset is not None and size is not None:
            yield Place(_text(each.get("name")), _text(each.get("region")) or None, offset, size)


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = _mapping(data).get(key)
    return data


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> dict[str, Any]:
    """The items that are a text, a number, a truth or nothing, or a list of these."""
    scalar = str | int | float | None
    items = ((name, list(held) if isinstance(held, tuple) else held) for name, held in _mapping(value).items())
    return {
        name: held
        for name, held in items
        if isinstance(held, scalar) or (isinstance(held, list) and all(isinstance(each, scalar) for each in held))
    }


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _number(value: Any) -> int | float | None:
    """A number that can be counted with."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    return value if good else None


def _index(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
