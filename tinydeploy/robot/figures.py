"""The figures that checks speak of: how much, of what kind, and which layer or tensor is responsible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy import pipeline
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.report.cycles import short_kind
from tinydeploy.report.document import number, percent

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.emulate import RunResult
    from tinydeploy.ir import Model
    from tinydeploy.pipeline import Built, Ran
    from tinydeploy.report.plans import Planned

_SHOWN = 4  # names in a message
# What checks call the figures of `pipeline.figures_of`, and their units.
_MEMORY = {
    **{name: (f"{name}_bytes", "bytes") for name in ("arena", "stack", "static", "weights", "code")},
    "SRAM": ("sram_bytes", "bytes"),
    "flash": ("flash_bytes", "bytes"),
}
_TIME = {
    "instructions": ("instructions", "instructions"),
    "cycles": ("cycles", "cycles"),
    "latency": ("latency_ms", "ms"),
}


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
    known = pipeline.figures_of(planned, built, ran)
    culprits = _culprits(planned, built, ran, {name: known[column].value for name, (column, _) in _MEMORY.items()})
    return {
        name: Figure(name, known[column].value, unit, known[column].kind, culprits.get(name, ""))
        for name, (column, unit) in {**_MEMORY, **_TIME}.items()
        if column in known
    }


def _culprits(
    planned: Planned, built: Built | None, ran: Ran | None, sizes: Mapping[str, int | float]
) -> dict[str, str]:
    alive, weights, code = _alive(planned), _heaviest(planned), "" if built is None else _largest_function(built)
    larger = weights if sizes["weights"] >= sizes["code"] else code
    found = {
        "arena": alive,
        "weights": weights,
        "code": code,
        "SRAM": f"{_made_of(sizes, 'arena', 'stack', 'static')}; {alive}",
        "flash": f"{_made_of(sizes, 'weights', 'code')}; {larger}",
    }
    if ran is not None:
        found["instructions"] = _slowest(planned.model, ran.instructions_by_operator, ran.instructions)
        found["cycles"] = found["latency"] = _slowest(planned.model, ran.cycles_by_operator, ran.cycles or 0)
    return found


def figures_of_firmware(board: Board, run: RunResult) -> Mapping[str, Figure]:
    """What is known of a run of somebody's firmware, from reset to its end."""
    functions = run.instructions_by_function
    most = max(functions, key=lambda name: (functions[name], name), default=None)
    culprit = "" if most is None else f"most in {printable(most)}: {_share(functions[most], run.instructions)}"
    found = {"instructions": Figure("instructions", run.instructions, "instructions", "emulated", culprit)}
    if run.cycles is not None:
        kind = short_kind(run.cycles_kind)
        found["cycles"] = Figure("cycles", run.cycles, "cycles", kind, culprit)
        found["latency"] = Figure("latency", 1e3 * run.cycles / board.clock_hz, "ms", kind, culprit)
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


def _made_of(sizes: Mapping[str, int | float], *names: str) -> str:
    return " + ".join(f"{name} {number(int(sizes[name]))}" for name in names)


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
