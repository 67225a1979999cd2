"""The report of `run`: the plan's, and what the run showed of it: counts, watermarks, outputs, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.report.cycles import cycles_data, cycles_facts, short_kind
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
from tinydeploy.report.plans import Planned, caveat_lines, plan_blocks, plan_data, plan_kinds
from tinydeploy.units import kib


@dataclass(frozen=True)
class OutputFacts:
    """A model output. `sha256` is of its little-endian bytes, all samples one after the other; `file` where they were
    written, if so."""

    name: str
    sha256: str
    dtype: str
    shape: tuple[int, ...]
    file: str | None = None


@dataclass(frozen=True)
class DifferenceFacts:
    """The first element that differs from the reference."""

    sample: int
    operator: int | None
    opcode: str | None
    tensor: str
    index: tuple[int, ...]
    ours: int | float
    reference: int | float


@dataclass(frozen=True)
class VerifiedFacts:
    """The verdict. `second` is the other reference and `second_agrees` whether it agrees with the first."""

    against: str
    bit_exact: bool
    inputs: int
    tensors: int
    differing: int
    elements: int
    max_abs: float
    first_difference: DifferenceFacts | None = None
    second: str | None = None
    second_agrees: bool | None = None


@dataclass(frozen=True)
class RunFacts:
    """What the run showed. Instructions are of one inference; `layers` by operator index.

    `cycles_kind` says how cycles were got, e.g. `modelled: …`; None where there is no model, and then `layer_cycles`
    is empty. `arena_parts`: the arena's watermark by region, where it is spread. `inputs` says in words where the
    samples came from. Bytes of static data and flash are read from the image.
    """

    samples: int
    inputs: str
    instructions: int
    cycles: int | None
    cycles_kind: str | None
    seconds_emulating: float
    arena_watermark_bytes: int
    stack_watermark_bytes: int
    static_bytes: int
    weights_bytes: int
    code_bytes: int
    layers: Mapping[int, int]
    functions: Mapping[str, int]
    layer_cycles: Mapping[int, int] = field(default_factory=dict)
    arena_parts: Mapping[str, int] = field(default_factory=dict)


def run_document(
    planned: Planned,
    run: RunFacts,
    outputs: tuple[OutputFacts, ...],
    verified: VerifiedFacts | None,
    provenance: Provenance,
    *,
    not_verified: str = "",
) -> Document:
    """The report of `run`. `not_verified` says why there is no verdict."""
    kinds = {
        **plan_kinds(planned),
        "run.instructions": "emulated",
        "run.cycles": short_kind(run.cycles_kind),
        "run.arena_watermark_bytes": "emulated",
        "run.stack_watermark_bytes": "emulated",
        "run.static_bytes": "computed",
        "run.flash_bytes": "computed",
        "run.layers": "emulated",
        "run.layers.cycles": short_kind(run.cycles_kind),
    }
    data = {
        **envelope("run", provenance, kinds),
        **plan_data(planned),
        "run": {
            "samples": run.samples,
            "inputs": run.inputs,
            "instructions": run.instructions,
            "cycles": cycles_data(run.cycles, run.cycles_kind),
            "seconds_emulating": run.seconds_emulating,
            "arena_watermark_bytes": run.arena_watermark_bytes,
            "arena_watermark_by_region": dict(run.arena_parts),
            "stack_watermark_bytes": run.stack_watermark_bytes,
            "static_bytes": run.static_bytes,
            "flash_bytes": {"weights": run.weights_bytes, "code": run.code_bytes},
            "layers": [
                {"index": index, "instructions": n, "cycles": run.layer_cycles.get(index)}
                for index, n in sorted(run.layers.items())
            ],
            "functions": dict(sorted(run.functions.items(), key=lambda item: (-item[1], item[0]))),
        },
        "outputs": [
            {"name": o.name, "sha256": o.sha256, "dtype": o.dtype, "shape": list(o.shape), "file": o.file}
            for o in outputs
        ],
        "verified": verified_data(verified),
        "not_verified": not_verified,
    }
    blocks: list[Block] = [plan_blocks(planned)[0], verdict(verified, not_verified), *caveat_lines(planned)]
    blocks.append(Facts("", _facts(planned, run)))
    blocks.append(_layer_table(planned, run))
    blocks.append(
        Table(
            "outputs",
            (Column("name"), Column("type"), Column("sha256 of all samples")),
            tuple((printable(o.name), f"{o.dtype} {shape(o.shape)}", o.sha256) for o in outputs),
        )
    )
    blocks.append(told(provenance, sha256=planned.model.sha256))
    return Document(tuple(blocks), data)


def verdict(verified: VerifiedFacts | None, not_verified: str) -> Line:
    """One line: bit-exact against what and on how many inputs, or the first difference, or why it is not known."""
    if verified is None:
        return Line(f"not verified: {not_verified}" if not_verified else "not verified", "plain")
    other = ""
    if verified.second is not None:
        agrees = "agrees with it" if verified.second_agrees else "does not agree with it"
        other = f"; {printable(verified.second)} {agrees}"
    against = printable(verified.against)
    if verified.bit_exact:
        layers = f", {verified.tensors} tensors each" if verified.tensors > 1 else ""
        return Line(f"bit-exact with {against} on {verified.inputs} input(s){layers}{other}", "good")
    text = f"differs from {against} in {number(verified.differing)} of {number(verified.elements)} elements{other}"
    at = verified.first_difference
    if at is not None:
        place = ", ".join(str(i) for i in at.index)
        layer = "input" if at.operator is None else f"operator {at.operator} ({printable(at.opcode or '')})"
        text += f"; first at {layer}, tensor {printable(at.tensor)} [{place}]: {at.ours}, not {at.reference}"
    return Line(text, "bad")


def _facts(planned: Planned, run: RunFacts) -> tuple[tuple[str, str], ...]:
    fit, plan = planned.fit, planned.plan
    used = plan.arena_bytes
    return (
        ("instructions", f"{number(run.instructions)} for one inference (emulated, exact)"),
        *cycles_facts(run.cycles, run.cycles_kind, planned.board.clock_hz, " for one inference"),
        ("arena", f"{number(run.arena_watermark_bytes)} B touched of {number(used)} planned"),
        ("stack", f"{number(run.stack_watermark_bytes)} B used (emulated)"),
        ("static", f"{number(run.static_bytes)} B of data and bss beside the arena"),
        ("SRAM", f"{kib(fit.sram.used_bytes)} of {kib(fit.sram.capacity_bytes)}"),
        (
            "flash",
            (
                f"weights {number(run.weights_bytes)} B + code {number(run.code_bytes)} B, "
                f"{percent(run.weights_bytes + run.code_bytes, fit.flash.capacity_bytes)} of "
                f"{kib(fit.flash.capacity_bytes)}"
            ),
        ),
        ("inputs", f"{run.samples}: {printable(run.inputs, 200)}"),
        ("emulating", f"{run.seconds_emulating:.2f} s"),
    )


def _layer_table(planned: Planned, run: RunFacts) -> Table:
    most = max(run.layers.values(), default=0)
    rows = []
    for layer in planned.costs.layers:
        instructions = run.layers.get(layer.index)
        each = f"{instructions / layer.macs:.2f}" if instructions and layer.macs else ""
        cycles = number(run.layer_cycles[layer.index]) if layer.index in run.layer_cycles else ""
        rows.append(
            (
                str(layer.index),
                printable(layer.opcode),
                shape(layer.output_shape),
                number(layer.macs),
                "" if instructions is None else number(instructions),
                each,
                cycles,
                "" if instructions is None else percent(instructions, run.instructions),
                bar(instructions or 0, most).rstrip(),
            )
        )
    columns = (
        Column("#", True),
        Column("opcode"),
        Column("output"),
        Column("MACs", True),
        Column("instructions", True),
        Column("/MAC", True),
        Column("cycles", True),
        Column("share", True),
        Column(""),
    )
    note = "MACs computed, instructions emulated"
    if run.cycles is not None:
        note += f", cycles {run.cycles_kind}"
    note += " (one inference)"
    return Table("", columns, tuple(rows), note=note)


def verified_data(verified: VerifiedFacts | None) -> dict[str, Any] | None:
    """The verdict for JSON."""
    if verified is None:
        return None
    at = verified.first_difference
    return {
        "against": verified.against,
        "bit_exact": verified.bit_exact,
        "inputs": verified.inputs,
        "tensors": verified.tensors,
        "elements": verified.elements,
        "differing": verified.differing,
        "max_abs": _finite(verified.max_abs),
        "first_difference": None
        if at is None
        else {
            "sample": at.sample,
            "operator": at.operator,
            "opcode": at.opcode,
            "tensor": at.tensor,
            "index": list(at.index),
            "ours": _finite(at.ours),
            "reference": _finite(at.reference),
        },
        "second": None
        if verified.second is None
        else {"against": verified.second, "agrees": bool(verified.second_agrees)},
    }


def _finite(value: int | float) -> int | float | str:
    """JSON has no NaN and no infinity: they become their names."""
    return value if isinstance(value, int) or value - value == 0 else str(value)
