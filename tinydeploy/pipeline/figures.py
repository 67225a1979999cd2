"""The figures of a model on a board: what a plan says of it, what its image makes exact, and what its run found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.pipeline.building import Built
from tinydeploy.pipeline.running import Ran
from tinydeploy.plan.fit import Part, total
from tinydeploy.report.cycles import short_kind
from tinydeploy.report.plans import Planned
from tinydeploy.report.runs import RunFacts

_SRAM = ("arena", "stack", "static")
_FLASH = ("weights", "code")


@dataclass(frozen=True)
class Figure:
    """One figure, with its kind: computed, estimated, given, emulated, modelled, or `unknown`, which counts as 0."""

    value: int | float
    kind: str


def figures_of(planned: Planned, built: Built | None = None, ran: Ran | None = None) -> Mapping[str, Figure]:
    """By name: a better figure of the image or the run is in place of a weaker one of the plan.

    `arena_bytes`, `arena_bound_bytes` (the most bytes alive at once), `stack_bytes`, `static_bytes`, `sram_bytes`
    (these without the bound), `weights_bytes`, `code_bytes`, `flash_bytes` (both) and `macs`; after a run
    `instructions`, and where the core has a timing model `cycles` and `latency_ms`.
    """
    parts = {part.name: part for part in (*planned.fit.sram_parts, *planned.fit.flash_parts)}
    if built is not None:
        sizes = {"static": built.image.static_bytes, "weights": built.constant_bytes, "code": built.code_bytes}
        parts |= {name: Part(name, size, "computed") for name, size in sizes.items()}
    if ran is not None:
        parts["stack"] = Part("stack", ran.watermark("stack"), "emulated")
    found = {f"{part.name}_bytes": Figure(part.bytes, part.kind) for part in parts.values()}
    found["arena_bound_bytes"] = Figure(planned.plan.proof.lower_bound_bytes, "computed")
    for memory, names in (("sram", _SRAM), ("flash", _FLASH)):
        whole = total(memory, tuple(parts[name] for name in names), 0)
        found[f"{memory}_bytes"] = Figure(whole.used_bytes, whole.kind)
    found["macs"] = Figure(planned.costs.totals.macs, "computed")
    if ran is not None:
        found["instructions"] = Figure(ran.instructions, "emulated")
    if ran is not None and ran.cycles is not None:
        kind = short_kind(ran.worst.cycles_kind)
        found["cycles"] = Figure(ran.cycles, kind)
        found["latency_ms"] = Figure(1e3 * ran.cycles / planned.board.clock_hz, kind)
    return found


def run_facts(ran: Ran, whence: str) -> RunFacts:
    """What the report of `run` tells of a run; `whence` says in words where its samples came from."""
    built = ran.built
    return RunFacts(
        samples=len(ran.inputs),
        inputs=whence,
        instructions=ran.instructions,
        cycles=ran.cycles,
        cycles_kind=ran.worst.cycles_kind,
        seconds_emulating=ran.seconds,
        arena_watermark_bytes=ran.arena_watermark,
        arena_parts=ran.arena_watermarks,
        stack_watermark_bytes=ran.watermark("stack"),
        static_bytes=built.image.static_bytes,
        weights_bytes=built.constant_bytes,
        code_bytes=built.code_bytes,
        layers=ran.instructions_by_operator,
        layer_cycles=ran.cycles_by_operator,
        functions=ran.worst.instructions_by_function,
    )
