"""The figures that checks speak of: how much, of what kind, and which layer or tensor is responsible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.plan.fit import Part, total
from tinydeploy.report.cycles import short_kind
from tinydeploy.report.document import number, percent

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.emulate import RunResult
    from tinydeploy.ir import Model
    from tinydeploy.pipeline import Built, Ran
    from tinydeploy.report.plans import Planned

_SHOWN = 4  # names in a message


@dataclass(frozen=True)
class Figure:
    """One figure. `unit`: bytes, instructions, cycles or ms. `culprit`: who takes most of it, in words, or ""."""

    name: str
    value: int | float
    unit: str
    kind: str
    culprit: str = ""

    @property
    def amount(self) -> str:
        """The value with its unit, for people."""
        return amount(self.value, self.unit)

    def __str__(self) -> str:
        return f"{self.name} is {self.amount} ({self.kind})"


def amount(value: int | float, unit: str) -> str:
    """A value with its unit, exact where it is a whole number."""
    return f"{value:,.3f} {unit}" if unit == "ms" else f"{number(int(value))} {unit}"


def figures_of(planned: Planned, built: Built | None, ran: Ran | None) -> Mapping[str, Figure]:
    """All that is known of a model on a board, by name; a better figure replaces a weaker one of the plan."""
    found: dict[str, Figure] = {}

    def add(name: str, value: int | float | None, unit: str, kind: str, culprit: str = "") -> None:
        if value is not None:
            found[name] = Figure(name, value, unit, kind, culprit)

    parts = {p.name: p for p in (*planned.fit.sram_parts, *planned.fit.flash_parts)}
    if ran is not None:
        parts["stack"] = Part("stack", ran.watermark("stack"), "emulated")
    code = ""
    if built is not None:
        parts["static"] = Part("static", built.image.static_bytes, "computed")
        parts["weights"] = Part("weights", built.constant_bytes, "computed")
        parts["code"] = Part("code", built.code_bytes, "computed")
        code = _largest_function(built)
    alive, weights = _alive(planned), _heaviest(planned)
    for name, culprit in (("arena", alive), ("stack", ""), ("static", ""), ("weights", weights), ("code", code)):
        add(name, parts[name].bytes, "bytes", parts[name].kind, culprit)
    sram = total("SRAM", tuple(parts[name] for name in ("arena", "stack", "static")), 0)
    flash = total("flash", (parts["weights"], parts["code"]), 0)
    add("SRAM", sram.used_bytes, "bytes", sram.kind, f"{_made_of(parts, 'arena', 'stack', 'static')}; {alive}")
    larger = weights if parts["weights"].bytes >= parts["code"].bytes else code
    add("flash", flash.used_bytes, "bytes", flash.kind, f"{_made_of(parts, 'weights', 'code')}; {larger}")
    if ran is not None:
        model, run = planned.model, ran.worst
        most = _slowest(model, ran.instructions_by_operator, ran.instructions)
        add("instructions", ran.instructions, "instructions", "emulated", most)
        slow = _slowest(model, ran.cycles_by_operator, ran.cycles or 0)
        kind = short_kind(run.cycles_kind)
        add("cycles", ran.cycles, "cycles", kind, slow)
        add("latency", _milliseconds(ran.cycles, planned.board), "ms", kind, slow)
    return found


def figures_of_firmware(board: Board, run: RunResult) -> Mapping[str, Figure]:
    """What is known of a run of somebody's firmware, from reset to its end."""
    functions = run.instructions_by_function
    most = max(functions, key=lambda name: (functions[name], name), default=None)
    culprit = "" if most is None else f"most in {printable(most)}: {_share(functions[most], run.instructions)}"
    found = {"instructions": Figure("instructions", run.instructions, "instructions", "emulated", culprit)}
    if run.cycles is not None:
        kind = short_kind(run.cycles_kind)
        milliseconds = _milliseconds(run.cycles, board) or 0.0
        found["cycles"] = Figure("cycles", run.cycles, "cycles", kind, culprit)
        found["latency"] = Figure("latency", milliseconds, "ms", kind, culprit)
    return found


def obstacle(planned: Planned) -> str:
    """What is in the way of a model that does not fit, in words."""
    return _heaviest(planned) if planned.fit.flash.over_bytes and not planned.fit.sram.over_bytes else _alive(planned)


def layer_name(model: Model, index: int) -> str:
    """An operator for people: its number, kind and name, of what the converter fused the first."""
    op = model.operators[index]
    return f"{op} '{printable(model.layer_name(op).partition(';')[0], 60)}'"


def find_layer(model: Model, named: str) -> int:
    """A layer by its number or the name of an output. Raises `UsageError`."""
    if named.isascii() and named.isdigit() and int(named[:9]) < len(model.operators):
        return int(named)
    for op in model.operators:
        if any(model.tensor(index).name == named for index in op.outputs):
            return op.index
    raise UsageError(
        f"{printable(model.name)} has no layer '{printable(named)}'",
        hint=f"its layers are 0 to {len(model.operators) - 1}; their names are in the log",
    )


def _milliseconds(cycles: int | None, board: Board) -> float | None:
    return None if cycles is None else 1e3 * cycles / board.clock_hz


def _made_of(parts: Mapping[str, Part], *names: str) -> str:
    return " + ".join(f"{name} {number(parts[name].bytes)}" for name in names)


def _alive(planned: Planned) -> str:
    blame = planned.fit.blame
    names = [f"'{printable(a.name.partition(';')[0], 60)}' {number(a.bytes)}" for a in blame.alive]
    return f"{number(blame.live_bytes)} bytes are alive at {planned.model.operators[blame.operator]}: {_some(names)}"


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = [f"{len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    return ", ".join([*shown[:_SHOWN], *more])


def _heaviest(planned: Planned) -> str:
    sizes = {c.index: c.weight_bytes + c.bias_bytes + c.table_bytes for c in planned.costs.layers}
    most = max(sizes, key=lambda index: sizes[index], default=None)
    if most is None or not sizes[most]:
        return ""
    return f"most in {layer_name(planned.model, most)}: {number(sizes[most])} bytes"


def _largest_function(built: Built) -> str:
    functions = [s for s in built.image.symbols if s.kind == "code"]
    largest = max(functions, key=lambda s: (s.bytes, s.name), default=None)
    return "" if largest is None else f"most in function {printable(largest.name)}: {number(largest.bytes)} bytes"


def _slowest(model: Model, counts: Mapping[int, int], whole: int) -> str:
    most = max(counts, key=lambda index: counts[index], default=None)
    return "" if most is None else f"most in {layer_name(model, most)}: {_share(counts[most], whole)}"


def _share(part: int, whole: int) -> str:
    return f"{number(part)} ({percent(part, whole)})"
