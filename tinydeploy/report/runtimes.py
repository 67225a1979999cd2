"""The report of `run --runtime tflm`: that of `run`, with the same figures of TensorFlow Lite Micro beside ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.report.cycles import cycles_data, short_kind
from tinydeploy.report.document import Block, Column, Document, Facts, Line, Table, number
from tinydeploy.report.runs import RunFacts, VerifiedFacts, verdict, verified_data

_TOLD = frozenset({"instructions", "cycles", "arena", "stack", "static"})  # of our run, in the table of both


@dataclass(frozen=True)
class BesideLayer:
    """An operator of the file with its instructions under TFLM, None where TFLM tells nothing of its operators, and
    under our runtime, None where no operator of its own makes that tensor (it is part of another, or needs no code).
    """

    index: int
    opcode: str
    output: str
    tflm: int | None
    ours: int | None


@dataclass(frozen=True)
class TflmFacts:
    """What the run on TFLM showed. `run` has `layers` by place in the file; its arena's watermark is what was touched.

    `library`: its file's name, with its hash. `kernels`: those that the arena was computed for. `arena_bytes`: what it
    was given, and `predicted_bytes` what it was to use of it, without `unknown`; `used_bytes`: what it says that it
    used. `setup_instructions`: from reset to the first inference. `interpreter_instructions`: the part of an inference
    that is no kernel's. `same_without_placement`: whether outputs that are not the reference's also come out for the
    file as it was; None where that was not asked.
    """

    run: RunFacts
    library: str
    library_sha256: str
    kernels: str
    arena_bytes: int
    predicted_bytes: int
    unknown: tuple[str, ...]
    used_bytes: int
    interpreter_instructions: int
    setup_instructions: int
    our_setup_instructions: int
    layers: tuple[BesideLayer, ...]
    verified: VerifiedFacts | None
    not_verified: str = ""
    same_without_placement: bool | None = None


@dataclass(frozen=True)
class _Row:
    """A figure of both runtimes: its key in JSON, its title, its kind."""

    key: str
    title: str
    kind: str
    ours: int | None
    tflm: int | None

    @property
    def ratio(self) -> float | None:
        """TFLM's over ours."""
        return None if self.ours in (None, 0) or self.tflm is None else self.tflm / (self.ours or 1)


def with_tflm(document: Document, ours: RunFacts, arena_bytes: int, tflm: TflmFacts) -> Document:
    """The report of `run`, with TFLM's figures. `arena_bytes`: of our plan."""
    rows = tuple(_rows(ours, arena_bytes, tflm))
    kinds = document.data["kinds"] | {f"tflm.{row.key}": row.kind for row in rows}
    kinds |= {"tflm.arena.used_bytes": "emulated", "tflm.arena.predicted_bytes": "computed", "tflm.layers": "emulated"}
    data = {**document.data, "kinds": kinds, "tflm": _data(rows, tflm)}
    title, ours_verdict, *rest = document.blocks
    beside: list[Block] = [
        title,
        _named("tinydeploy", ours_verdict),
        _named("TFLM", verdict(tflm.verified, tflm.not_verified)),
        *_whose(tflm),
        *_arena_lines(tflm),
        _table(rows),
        _layer_table(tflm),
    ]
    return Document((*beside, *_not_told(rest)), data)


def _rows(ours: RunFacts, arena_bytes: int, tflm: TflmFacts) -> Iterable[_Row]:
    other = tflm.run
    cycles = short_kind(ours.cycles_kind)
    together = (
        arena_bytes + ours.static_bytes + ours.stack_watermark_bytes,
        tflm.arena_bytes + other.static_bytes + other.stack_watermark_bytes,
    )
    flash = (ours.weights_bytes + ours.code_bytes, other.weights_bytes + other.code_bytes)
    setup = (tflm.our_setup_instructions, tflm.setup_instructions)
    yield _Row("instructions", "instructions, one inference", "emulated", ours.instructions, other.instructions)
    yield _Row("cycles", "cycles, one inference", cycles, ours.cycles, other.cycles)
    yield _Row("setup_instructions", "instructions before the first", "emulated", *setup)
    yield _Row("arena_bytes", "arena, B", "computed", arena_bytes, tflm.arena_bytes)
    yield _Row(
        "arena_watermark_bytes",
        "arena touched, B",
        "emulated",
        ours.arena_watermark_bytes,
        other.arena_watermark_bytes,
    )
    yield _Row("static_bytes", "data and bss beside it, B", "computed", ours.static_bytes, other.static_bytes)
    yield _Row(
        "stack_watermark_bytes",
        "stack used, B",
        "emulated",
        ours.stack_watermark_bytes,
        other.stack_watermark_bytes,
    )
    yield _Row("sram_bytes", "SRAM together, B", "emulated", *together)
    yield _Row("model_bytes", "flash: weights, or the model, B", "computed", ours.weights_bytes, other.weights_bytes)
    yield _Row("code_bytes", "flash: code, B", "computed", ours.code_bytes, other.code_bytes)
    yield _Row("flash_bytes", "flash together, B", "computed", *flash)


def _named(runtime: str, line: Block) -> Block:
    return Line(f"{runtime}: {line.text}", line.tone) if isinstance(line, Line) else line


def _not_told(blocks: Iterable[Block]) -> Iterable[Block]:
    """What the tables above do not tell of our own run: they have its figures and its operators."""
    for block in blocks:
        if isinstance(block, Facts):
            yield Facts("tinydeploy", tuple(pair for pair in block.pairs if pair[0] not in _TOLD))
        elif not isinstance(block, Table) or block.title:
            yield block


def _whose(tflm: TflmFacts) -> Iterable[Line]:
    """Whose the difference is, where there is one."""
    if tflm.verified is None or tflm.verified.bit_exact:
        return
    most = f"by at most {tflm.verified.max_abs:g}"
    if tflm.same_without_placement:
        yield Line(f"the library's kernels differ so, {most}: the same comes out without our placement in the file")
    elif tflm.same_without_placement is False:
        yield Line(f"{most}, and with our placement in the file alone", "bad")
    else:
        yield Line(f"{most}; without our placement in the file it does not fit, so whose that is is not known", "bad")


def _arena_lines(tflm: TflmFacts) -> Iterable[Line]:
    used, predicted = tflm.used_bytes, tflm.predicted_bytes
    if tflm.unknown:
        words = f"TFLM uses {number(used)} B of its arena (emulated); {number(predicted)} were computed without"
        yield Line(f"{words} {', '.join(map(printable, tflm.unknown))}, whose memory is not known here")
    elif used == predicted:
        yield Line(
            f"TFLM uses {number(used)} B of its arena (emulated), as computed for {tflm.kernels} kernels", "good"
        )
    else:
        words = f"TFLM uses {number(used)} B of its arena (emulated), and {number(predicted)} were computed"
        yield Line(f"{words} for {tflm.kernels} kernels of tflite-micro as it is known here", "bad")


def _table(rows: Iterable[_Row]) -> Table:
    columns = (
        Column(""),
        Column("tinydeploy", True),
        Column("TFLM", True),
        Column("TFLM / ours", True),
        Column("kind"),
    )
    cells = tuple((row.title, _cell(row.ours), _cell(row.tflm), _ratio(row.ratio), row.kind) for row in rows)
    return Table("", columns, cells)


def _layer_table(tflm: TflmFacts) -> Table:
    columns = (
        Column("#", True),
        Column("opcode"),
        Column("output"),
        Column("tinydeploy", True),
        Column("TFLM", True),
        Column("TFLM / ours", True),
    )
    rows = tuple(
        (
            str(layer.index),
            printable(layer.opcode),
            printable(layer.output, 40),
            _cell(layer.ours),
            _cell(layer.tflm),
            _ratio(_Row("", "", "", layer.ours, layer.tflm).ratio),
        )
        for layer in tflm.layers
    )
    note = f"instructions (emulated); TFLM's interpreter itself: {number(tflm.interpreter_instructions)}"
    if not tflm.run.layers:
        note = "this TFLM was built without error strings, and so tells nothing of its operators"
    return Table("operators of the file", columns, rows, note=note)


def _cell(value: int | None) -> str:
    return "" if value is None else number(value)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _data(rows: Iterable[_Row], tflm: TflmFacts) -> dict[str, Any]:
    other = tflm.run
    found = {row.key: row.tflm for row in rows}
    return {
        **found,
        "cycles": cycles_data(other.cycles, other.cycles_kind),
        "library": {"name": tflm.library, "sha256": tflm.library_sha256},
        "kernels": tflm.kernels,
        "arena": {
            "bytes": tflm.arena_bytes,
            "used_bytes": tflm.used_bytes,
            "predicted_bytes": tflm.predicted_bytes,
            "unknown_operators": list(tflm.unknown),
        },
        "interpreter_instructions": tflm.interpreter_instructions,
        "seconds_emulating": other.seconds_emulating,
        "ratios": {row.key: None if row.ratio is None else round(row.ratio, 4) for row in rows},
        "layers": [
            {
                "index": layer.index,
                "opcode": layer.opcode,
                "output": layer.output,
                "instructions": layer.tflm,
                "cycles": other.layer_cycles.get(layer.index),
                "ours_instructions": layer.ours,
            }
            for layer in tflm.layers
        ],
        "functions": dict(sorted(other.functions.items(), key=lambda item: (-item[1], item[0]))),
        "verified": verified_data(tflm.verified),
        "not_verified": tflm.not_verified,
        "same_without_placement": tflm.same_without_placement,
    }
