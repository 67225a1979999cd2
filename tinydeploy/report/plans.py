"""The report of `plan`: does it fit, how good is the arena, where does every tensor lie, and who makes the peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinydeploy.boards import Board
from tinydeploy.cost.table import CostTable
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.fit import Fit, Part
from tinydeploy.plan.types import FEED, Placement, Plan, RowsAlive
from tinydeploy.report.arithmetic import arithmetic_data
from tinydeploy.report.comparison import Comparison, comparison_data, comparison_table, what_if_lines
from tinydeploy.report.costs import cost_totals
from tinydeploy.report.document import (
    Block,
    Column,
    Document,
    Facts,
    Line,
    Provenance,
    Table,
    bar,
    envelope,
    number,
    percent,
    shape,
    told,
)
from tinydeploy.report.memory_map import memory_map, memory_map_data
from tinydeploy.report.occupancy import occupancy_of
from tinydeploy.transform import Prepared
from tinydeploy.units import count, kib

_SHOWN_TENSORS = 6


@dataclass(frozen=True)
class Planned:
    """What the report is made from: one model planned for one board."""

    prepared: Prepared
    board: Board
    costs: CostTable
    plan: Plan
    fit: Fit
    left: Board | None = None

    @property
    def memory(self) -> Board:
        """The board without what is reserved of its memories."""
        return self.left if self.left is not None else self.board

    @property
    def model(self) -> Model:
        """The model as it is planned."""
        return self.prepared.model


def plan_document(
    planned: Planned, others: Comparison, provenance: Provenance, *, map_columns: int | None = None
) -> Document:
    """The report of `plan`. `map_columns`: with the arena over time, as a picture at most so wide."""
    kinds = {**plan_kinds(planned), "comparison": "computed"}
    pictures: tuple[Block, ...] = ()
    pictured = {}
    if map_columns is not None:
        occupancy = occupancy_of(planned.model, planned.plan)
        pictures = (memory_map(occupancy, map_columns),)
        pictured = {"memory_map": memory_map_data(occupancy)}
        kinds["memory_map"] = "computed"
    data = {
        **envelope("plan", provenance, kinds),
        **plan_data(planned),
        "comparison": comparison_data(others),
        **pictured,
    }
    blocks = (
        *plan_blocks(planned),
        *pictures,
        comparison_table(planned.plan, others),
        *what_if_lines(planned.plan, others),
        told(provenance, sha256=planned.model.sha256),
    )
    return Document(blocks, data)


def plan_kinds(planned: Planned) -> dict[str, str]:
    """Of what kind each number is, by its path in the JSON."""
    fit = planned.fit
    kinds = {
        "sram.lower_bound_bytes": "computed",
        "sram.total_bytes": fit.sram.kind,
        "flash.total_bytes": fit.flash.kind,
        "totals": "computed",
        "layers": "computed",
        "tensors": "computed",
    }
    kinds |= {f"sram.{part.name}_bytes": part.kind for part in fit.sram_parts}
    kinds |= {f"flash.{part.name}_bytes": part.kind for part in fit.flash_parts}
    return kinds


def caveats(planned: Planned) -> tuple[str, ...]:
    """What the reference computes that the model's author may not have meant: one line for each operator."""
    model = planned.model
    found = []
    if all(t.data is not None for t in model.tensors if t.constant):  # a network without weights has no such rules
        for op in model.operators:
            kind = kind_of(op.opcode)
            what = None if kind is None else kind.caveat(model, op)
            if what is not None:
                found.append(f"{op}: {what}")
    return tuple(found)


def caveat_lines(planned: Planned) -> tuple[Line, ...]:
    """The same for people."""
    return tuple(Line(f"warning: {text}", "bad") for text in caveats(planned))


def plan_data(planned: Planned) -> dict[str, Any]:
    """The JSON of a plan, without the envelope."""
    model, board, plan, fit = planned.model, planned.board, planned.plan, planned.fit
    return {
        "model": {
            "name": model.name,
            "path": model.path,
            "sha256": model.sha256,
            "folded_operators": model.folded,
        },
        "board": board.id,
        "target": {"name": board.name, "mcu": board.mcu, "core": board.core.name, "clock_hz": board.clock_hz},
        "fits": fit.fits,
        "why_not": fit.why_not(),
        "warnings": list(caveats(planned)),
        "notes": list(planned.prepared.notes),
        "sram": {
            "arena_bytes": plan.arena_bytes,
            "lower_bound_bytes": plan.proof.lower_bound_bytes,
            "floor_bytes": plan.proof.floor_bytes or None,
            "optimal": plan.proof.optimal,
            "complete": plan.proof.complete,
            "method": plan.proof.method,
            "execution": plan.execution,
            "segments": [{"first": s.first, "end": s.end, "operators": list(s.operators)} for s in plan.segments],
            "fed": [model.tensor(t).name for t in plan.fed],
            "kept": [model.tensor(t).name for t in plan.kept],
            "alignment": plan.alignment,
            "total_bytes": fit.sram.used_bytes,
            "capacity_bytes": fit.sram.capacity_bytes,
            "over_bytes": fit.sram.over_bytes or (fit.crowded.over_bytes if fit.crowded is not None else 0),
            **{f"{part.name}_bytes": part.bytes for part in fit.sram_parts if part.name != "arena"},
        },
        "flash": {
            "weights_bytes": _part(fit.flash_parts, "weights"),
            "code_bytes": _part(fit.flash_parts, "code"),
            "total_bytes": fit.flash.used_bytes,
            "capacity_bytes": fit.flash.capacity_bytes,
            "over_bytes": fit.flash.over_bytes,
        },
        "regions": _regions_data(planned),
        "totals": cost_totals(planned.costs),
        "peak": {
            "step": fit.blame.step,
            "operator": fit.blame.operator,
            "live_bytes": fit.blame.live_bytes,
            "alive": [
                {"name": _name(model, a.tensor, a.name), "tensor": a.tensor, "bytes": a.bytes} for a in fit.blame.alive
            ],
            "row": plan.peak.row,
            "rows": [
                {"buffer": each.buffer, "first": each.first, "end": each.end, "bytes": each.bytes}
                for each in plan.peak.rows
            ],
        },
        "shrink": [
            {
                "step": s.step,
                "operator": plan.problem.steps[s.step].operator,
                "over_bytes": s.over_bytes,
                "scratch_bytes": s.scratch_bytes,
                "tensors": [model.tensor(t).name for t in s.tensors],
            }
            for s in fit.shrinks
        ],
        "layers": _layers_data(planned),
        "tensors": _tensors_data(planned),
    }


def plan_blocks(planned: Planned) -> tuple[Block, ...]:
    """The plan for people: the answer first, then the layers, then who is to blame for the peak."""
    model, board, fit = planned.model, planned.board, planned.fit
    where = f"{board.name} ({board.core.name}, {board.clock_hz / 1e6:g} MHz)"
    blocks: list[Block] = [Line(f"{printable(model.path or model.name)} on {where}", "title")]
    if fit.fits:
        free = f"{kib(fit.sram.capacity_bytes - fit.sram.used_bytes)} SRAM and "
        free += f"{kib(fit.flash.capacity_bytes - fit.flash.used_bytes)} flash stay free"
        blocks.append(Line(f"fits: {free}", "good"))
    else:
        blocks.append(Line(f"does not fit: {fit.why_not()}", "bad"))
    blocks += [*caveat_lines(planned), Facts("", _facts(planned)), _layer_table(planned), Line(_blame(planned))]
    blocks += [Line(_shrink(planned, position)) for position in range(min(3, len(fit.shrinks)))]
    if len(fit.shrinks) > 3:
        blocks.append(Line(f"… and {len(fit.shrinks) - 3} more steps need more than there is"))
    return tuple(blocks)


def live_bytes_by_operator(plan: Plan) -> dict[int, int]:
    """The most bytes alive while an operator is computed, in any of its steps."""
    found: dict[int, int] = {}
    for step, live in zip(plan.problem.steps, plan.live_bytes, strict=True):
        found[step.operator] = max(live, found.get(step.operator, 0))
    return found


def rows_kept(planned: Planned, place: Placement) -> int:
    """How many of a tensor's rows there are at once, at the most."""
    if not place.row_offsets:
        return place.ring_rows
    _, row_bytes = rows_of(planned.model.tensor(place.tensor))
    return planned.plan.problem.buffers[place.buffer].bytes // max(row_bytes, 1)


def _facts(planned: Planned) -> tuple[tuple[str, str], ...]:
    plan, fit, totals = planned.plan, planned.fit, planned.costs.totals
    bound = plan.proof.lower_bound_bytes
    floor = plan.proof.floor_bytes
    if plan.arena_bytes == bound and floor and bound > floor:
        proof = f"= lower bound of this program; no program of row steps needs less than {number(floor)} B"
    elif plan.arena_bytes == bound:
        proof = "= lower bound, so optimal" + ("; no program of row steps needs less" if floor else "")
    elif plan.proof.optimal:
        proof = f"proved optimal ({plan.proof.method}), {number(plan.arena_bytes - bound)} B above the lower bound"
    else:
        proof = f"{number(plan.arena_bytes - bound)} B above the lower bound {number(bound)}, not proved optimal"
    operators = f"{len(planned.model.operators)} operators"
    if planned.model.folded:
        operators += f" ({planned.model.folded} more only compute shapes and are done)"
    network = f"{operators}, {count(totals.macs)} MACs, {count(totals.params)} parameters"
    activations = f"{number(totals.activations)} activations ({number(totals.peak_activations)} at the peak)"
    if not plan.proof.complete:
        proof += "; the search for the program ended at its limit"
    return (
        ("SRAM", memory_fact(fit.sram.used_bytes, fit.sram.capacity_bytes, fit.sram_parts)),
        *_regions_fact(planned),
        ("flash", memory_fact(fit.flash.used_bytes, fit.flash.capacity_bytes, fit.flash_parts)),
        ("arena", f"{number(plan.arena_bytes)} B {proof}"),
        ("execution", _execution(planned)),
        ("network", f"{network}, {activations}"),
    )


def _regions_fact(planned: Planned) -> tuple[tuple[str, str], ...]:
    """Where in SRAM all that is, unless there is only one memory."""
    told = []
    for use in planned.fit.regions:
        shares = (("arena", use.arena_bytes), ("stack", use.stack_bytes), ("reserved", use.reserved_bytes))
        made = [f"{name} {kib(size)}" for name, size in shares if size]
        if made:
            told.append(f"{use.name} {' + '.join(made)} of {kib(use.bytes)}")
    return (("memories", ", ".join(told)),) if len(planned.fit.regions) > 1 and told else ()


def _execution(planned: Planned) -> str:
    """How the operators take turns, in words."""
    plan = planned.plan
    if plan.execution == "whole":
        return "operators one after the other, whole tensors"
    taking_turns = sum(len(s.operators) for s in plan.segments)
    if not taking_turns:
        told = "operators one after the other, results over used-up rows"
    else:
        places = f"{len(plan.segments)} segments" if len(plan.segments) > 1 else "one segment"
        told = f"{taking_turns} of {len(planned.model.operators)} operators take turns row by row, in {places}"
    return f"{told}; the input is handed over by rows" if plan.fed else told


def memory_fact(used: int, capacity: int, parts: tuple[Part, ...]) -> str:
    """What is used of a memory, for people."""
    made = " + ".join(_share(part) for part in parts)
    return f"{kib(used)} of {kib(capacity)} ({percent(used, capacity)}): {made}"


def _share(part: Part) -> str:
    if part.kind == "unknown":
        return f"{part.name} not known"
    kind = "" if part.kind == "computed" else f" ({part.kind})"
    return f"{part.name} {kib(part.bytes)}{kind}"


def _layer_table(planned: Planned) -> Table:
    plan, costs = planned.plan, planned.costs
    live = live_bytes_by_operator(plan)
    peak = plan.problem.steps[plan.peak.step].operator if plan.problem.steps else None
    elided = {step.operator for step in plan.problem.steps if step.elided}
    full = max(live.values(), default=0)
    columns = (
        Column("#", True),
        Column("opcode"),
        Column("output"),
        Column("MACs", True),
        Column("params", True),
        Column("weights B", True),
        Column("rows kept", True),
        Column("live B", True),
        Column(""),
    )
    turns = {op: number for number, segment in enumerate(plan.segments, 1) for op in segment.operators}
    rows = []
    for layer in costs.layers:
        alive = live.get(layer.index, 0)
        mark = " ◀ peak" if layer.index == peak else " (free)" if layer.index in elided else ""
        mark = f" ↻{turns[layer.index]}{mark}" if layer.index in turns else mark
        rows.append(
            (
                str(layer.index),
                printable(layer.opcode),
                shape(layer.output_shape),
                number(layer.macs),
                number(layer.params),
                number(layer.weight_bytes),
                _kept(planned, layer.index),
                number(alive),
                f"{bar(alive, full)}{mark}".rstrip(),
            )
        )
    marked = frozenset(i for i, layer in enumerate(costs.layers) if layer.index == peak)
    note = "computed from the model and the plan"
    if elided:
        note += "; (free): the output is bytes that are there, nothing runs"
    if turns:
        note += "; ↻1: takes turns with the others of segment 1, row by row"
    return Table("", columns, tuple(rows), marked, note)


def _kept(planned: Planned, operator: int) -> str:
    """The rows of an operator's first output that are kept, of all."""
    outputs = planned.model.operators[operator].outputs
    place = planned.plan.placements.get(outputs[0]) if outputs else None
    if place is None:
        return ""
    rows, kept = rows_of(planned.model.tensor(place.tensor))[0], rows_kept(planned, place)
    return "all" if kept >= rows else f"{kept} of {rows}"


def _blame(planned: Planned) -> str:
    blame, plan = planned.fit.blame, planned.plan
    if plan.peak.rows:
        alive = [f"{_rows_alive(planned, each)} {number(each.bytes)} B" for each in plan.peak.rows]
    else:
        alive = [f"{printable(a.name, 60)} {number(a.bytes)} B" for a in blame.alive]
    if len(alive) > _SHOWN_TENSORS:
        alive[_SHOWN_TENSORS:] = [f"{len(alive) - _SHOWN_TENSORS} more"]
    step = plan.problem.steps[plan.peak.step]
    where = "the feeding of an input" if step.operator == FEED else str(planned.model.operators[blame.operator])
    row = f", row {plan.peak.row}" if plan.peak.rows else ""
    return f"peak: {number(blame.live_bytes)} B are alive at {where}{row}: {', '.join(alive)}"


def _rows_alive(planned: Planned, each: RowsAlive) -> str:
    """A tensor, or some of its rows, that are alive at the peak."""
    buffer = planned.plan.problem.buffers[each.buffer]
    if buffer.scratch_of is not None:
        return f"sums or scratch of operator {buffer.scratch_of}"
    tensor = planned.model.tensor(buffer.tensors[0])
    name = printable(tensor.name.partition(";")[0], 60)  # of what the converter fused, the first
    if each.end - each.first == rows_of(tensor)[0]:
        return name
    rows = f"row {each.first}" if each.end - each.first == 1 else f"rows {each.first}–{each.end - 1}"
    return f"{rows} of {name}"


def _shrink(planned: Planned, position: int) -> str:
    shrink = planned.fit.shrinks[position]
    op = planned.model.operators[planned.plan.problem.steps[shrink.step].operator]
    names = ", ".join(f"{printable(planned.model.tensor(t).name, 60)}" for t in shrink.tensors[:_SHOWN_TENSORS])
    return f"to fit, {number(shrink.over_bytes)} B less must be alive at {op}: {names}"


def _layers_data(planned: Planned) -> list[dict[str, Any]]:
    model, plan = planned.model, planned.plan
    live = live_bytes_by_operator(plan)
    elided = {step.operator for step in plan.problem.steps if step.elided}
    return [
        {
            "index": layer.index,
            "opcode": layer.opcode,
            "name": layer.name,
            "outputs": [model.tensor(i).name for i in model.operators[layer.index].outputs],
            "output_shape": list(layer.output_shape),
            "macs": layer.macs,
            "params": layer.params,
            "weight_bytes": layer.weight_bytes,
            "live_bytes": live.get(layer.index, 0),
            "ops": layer.ops,
            "elided": layer.index in elided,
            **arithmetic_data(model, model.operators[layer.index]),
        }
        for layer in planned.costs.layers
    ]


def _regions_data(planned: Planned) -> list[dict[str, Any]]:
    return [
        {
            "name": use.name,
            "base": use.base,
            "bytes": use.bytes,
            "speed": use.speed,
            "usable": use.usable,
            "arena_bytes": use.arena_bytes,
            "stack_bytes": use.stack_bytes,
            "static_bytes": use.static_bytes,
            "reserved_bytes": use.reserved_bytes,
            "free_bytes": use.free_bytes,
        }
        for use in planned.fit.regions
    ]


def _tensors_data(planned: Planned) -> list[dict[str, Any]]:
    model = planned.model
    placements = sorted(planned.plan.placements.values(), key=lambda p: (p.first, p.tensor))
    return [
        {
            "name": model.tensor(place.tensor).name,
            "index": place.tensor,
            "bytes": model.tensor(place.tensor).bytes,
            "region": place.region or planned.board.ram.name,
            "offset": place.offset,
            "address": planned.plan.base.address + planned.plan.distance(place.offset) if planned.plan.shares else None,
            "rows": rows_of(model.tensor(place.tensor))[0],
            "rows_kept": rows_kept(planned, place),
            "row_offsets": list(place.row_offsets),
            "first": place.first,
            "end": place.end,
            "buffer": place.buffer,
            "dtype": model.tensor(place.tensor).dtype.label,
            "shape": list(model.tensor(place.tensor).shape),
        }
        for place in placements
    ]


def _name(model: Model, tensor: int | None, otherwise: str) -> str:
    return otherwise if tensor is None else model.tensor(tensor).name


def _part(parts: tuple[Part, ...], name: str) -> int:
    return next(part.bytes for part in parts if part.name == name)
