"""A row for each case: the columns of a sweep's table, each with its type, unit and meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tinydeploy.batch.types import Outcome

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = dict[str, Cell]


@dataclass(frozen=True)
class Column:
    """A column. Cells are of the type or None. `figure`: its kind is told in the column `kinds`."""

    name: str
    type: Literal["text", "integer", "number", "truth"]
    about: str
    figure: bool = False


def _figure(name: str, about: str, type_: Literal["integer", "number"] = "integer") -> Column:
    return Column(name, type_, about, figure=True)


COLUMNS = (
    Column("model", "text", "as it was given"),
    Column("model_name", "text", "of the file, without its folder and ending"),
    Column("model_sha256", "text", "of the file"),
    Column("board", "text", "as it was given"),
    Column("depth", "text", "plan, build or run"),
    Column("execution", "text", "--execution"),
    Column("feed_rows", "truth", "--feed-rows"),
    Column("io", "text", "--io"),
    Column("keep", "text", "--keep, a JSON list"),
    Column("in_place", "truth", "not --no-in-place"),
    Column("solver", "text", "--solver"),
    Column("effort", "text", "--effort"),
    Column("time_limit_seconds", "number", "--time-limit"),
    Column("given_stack_bytes", "integer", "--stack-bytes"),
    Column("reserve", "text", "--reserve, a JSON list"),
    Column("regions", "text", "--regions"),
    Column("samples", "integer", "--samples"),
    Column("seed", "integer", "--seed"),
    Column("status", "text", "ok, does-not-fit, refused, failed, differs, timed-out, missing-tool or crashed"),
    Column("fits", "truth", "whether it fits the board; empty where that is not known"),
    Column("message", "text", "what went wrong"),
    Column("hint", "text", "what to do about it"),
    _figure("arena_bytes", "the arena that holds every tensor"),
    _figure("arena_bound_bytes", "the most bytes alive at once"),
    _figure("stack_bytes", "reserved for the stack; where it ran, what was used of it"),
    _figure("static_bytes", "data and bss beside the arena"),
    _figure("sram_bytes", "arena, stack and static data together"),
    _figure("weights_bytes", "constants as they lie in flash"),
    _figure("code_bytes", "what else lies in flash"),
    _figure("flash_bytes", "all that lies in flash"),
    _figure("macs", "multiply-accumulates of one inference"),
    _figure("instructions", "of one inference"),
    _figure("cycles", "of one inference"),
    _figure("latency_ms", "cycles at the board's clock, in milliseconds", "number"),
    Column("peak_operator", "integer", "the operator at which most is alive"),
    Column("peak_tensor", "text", "the largest of what is alive then"),
    Column("peak_tensor_bytes", "integer", "its size"),
    Column("slow_operators", "integer", "how many operators go by a slow kernel on this core"),
    Column("bit_exact", "truth", "whether outputs are the reference's, bit by bit; empty where they were not compared"),
    Column("reference", "text", "with what they were compared"),
    Column("kinds", "text", "a JSON object: of what kind each figure is (computed, estimated, emulated, modelled, …)"),
    Column("tools", "text", "a JSON object: compiler, emulator and references, with versions"),
    Column("work_seconds", "number", "host time that it took"),
    Column("key", "text", "the hash of all that the row depends on"),
)


def row_of(outcome: Outcome) -> Row:
    """The row of a case, with all columns."""
    case, options = outcome.case, outcome.case.options
    name, size = outcome.peak[0] if outcome.peak else (None, None)
    fits = {"does-not-fit": False, "ok": True, "failed": True, "differs": True}.get(outcome.status)
    row: Row = {
        "model": case.model,
        "model_name": outcome.model_name or None,
        "model_sha256": outcome.model_sha256 or None,
        "board": case.board,
        "depth": case.depth,
        "execution": options.execution,
        "feed_rows": options.feed_rows,
        "io": options.io,
        "keep": json.dumps(options.keep),
        "in_place": options.in_place,
        "solver": options.solver,
        "effort": options.effort,
        "time_limit_seconds": options.time_limit,
        "given_stack_bytes": options.stack_bytes,
        "reserve": json.dumps(options.reserve),
        "regions": options.regions,
        "samples": case.samples if case.depth == "run" else None,
        "seed": case.seed if case.depth == "run" else None,
        "status": outcome.status,
        "fits": fits,
        "message": outcome.message or None,
        "hint": outcome.hint,
        **{column.name: outcome.figures.get(column.name) for column in COLUMNS if column.figure},
        "peak_operator": outcome.peak_operator,
        "peak_tensor": name,
        "peak_tensor_bytes": size,
        "slow_operators": sum(layer.slow is not None for layer in outcome.layers) if outcome.layers else None,
        "bit_exact": outcome.bit_exact,
        "reference": outcome.against or None,
        "kinds": json.dumps(dict(outcome.kinds), sort_keys=True),
        "tools": json.dumps(dict(outcome.tools), sort_keys=True),
        "work_seconds": round(outcome.seconds, 4),
        "key": outcome.key or None,
    }
    assert list(row) == [column.name for column in COLUMNS]
    return {name: _storable(cell) for name, cell in row.items()}


def kinds_of(rows: Sequence[Row]) -> Mapping[str, tuple[str, ...]]:
    """By figure, of which kinds it is in these rows."""
    found: dict[str, set[str]] = {}
    for kinds in {str(row["kinds"]) for row in rows}:
        for name, kind in json.loads(kinds).items():
            found.setdefault(name, set()).add(kind)
    return {name: tuple(sorted(kinds)) for name, kinds in found.items()}


def _storable(cell: Cell) -> Cell:
    """Text of a name that is no Unicode, as paths may be, is escaped."""
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell
