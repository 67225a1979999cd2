"""The first sample's run as a timeline of named slices: layers with their rows, functions by their symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tinydeploy.codegen import executed, marker_of
from tinydeploy.report.trace import Moment, Timeline

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.emulate import RunResult
    from tinydeploy.pipeline.running import Ran

_STEP_BEGIN = 0xFFFFFFFE  # TD_STEP_BEGIN
_Layer = tuple[str, Mapping[str, Any]]


def timeline_of_run(ran: Ran, about: Mapping[str, Any]) -> Timeline:
    """Of the first sample, which must have been traced (`run_model(trace=True)`)."""
    planned = ran.built.planned
    title = f"{planned.model.name} on {planned.board.id}"
    return timeline_of(ran.results[0], planned.board, title, about, _layers(ran))


def timeline_of(
    result: RunResult,
    board: Board,
    title: str,
    about: Mapping[str, Any],
    layers: Mapping[int, list[_Layer]] | None = None,
) -> Timeline:
    """Of a traced run. `layers[marker][k]`: name of a marker's k-th slice, and what else is to be told of it.

    `about` is completed by the kinds of the numbers, and by what the trace does not show.
    """
    from tinydeploy.emulate.trace import edges

    trace = result.trace
    if trace is None:
        raise AssertionError("the run was not traced")

    def moments() -> Iterator[Moment]:
        for edge in edges(trace):
            if edge.layer:
                turns = (layers or {}).get(edge.number, [])
                name, args = turns[edge.turn] if edge.turn < len(turns) else (f"step {edge.number}", {})
                yield Moment(edge.begins, name, "layer", args, edge.instructions, edge.cycles)
            else:
                name = trace.functions[edge.number]
                yield Moment(edge.begins, name, "function", {}, edge.instructions, edge.cycles)

    kinds = {"instructions": "emulated, exact", "cycles": result.cycles_kind, "time": f"cycles at {board.clock_hz} Hz"}
    if result.cycles_kind is None:
        kinds = {"instructions": "emulated, exact", "cycles": None, "time": "1 ns for 1 instruction"}
    about = {**about, "board": board.id, "kinds": kinds, "complete": trace.complete}
    return Timeline(title, moments, None if result.cycles is None else board.clock_hz, about)


def _layers(ran: Ran) -> dict[int, list[_Layer]]:
    """By marker, in the order in which a marker comes again."""
    planned = ran.built.planned
    model, macs = planned.model, {layer.index: layer.macs for layer in planned.costs.layers}
    found: dict[int, list[_Layer]] = {_STEP_BEGIN: [("begin", {})]}
    for step in executed(planned.plan):
        marker = marker_of(model, step)
        args: dict[str, Any] = {"rows": [step.first_row, step.end_row]}
        if step.feeds is not None:
            name = f"input {model.inputs.index(step.feeds)}"
        else:
            opcode = model.operators[step.operator].opcode
            name = f"{step.operator} {opcode}"
            args |= {"layer_macs": macs[step.operator]}
        found.setdefault(marker, []).append((name, args))
    return found
