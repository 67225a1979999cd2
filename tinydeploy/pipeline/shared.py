"""The pipeline for several models in one arena: each stage as for one, then what they share.

load each → plan_together → build_together
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.boards import Board
from tinydeploy.codegen import Extras, SourceTree, emit
from tinydeploy.codegen.code_size import estimate_code_bytes
from tinydeploy.codegen.extras import NO_EXTRAS
from tinydeploy.codegen.shared import Bundle, bundle, library_names
from tinydeploy.errors import GateError, UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.pipeline.building import emit_library, on_board
from tinydeploy.pipeline.options import PlanOptions
from tinydeploy.pipeline.planning import (
    STATIC_BYTES,
    find_tensors,
    has_weights,
    judged,
    plan_prepared,
    prepare_model,
)
from tinydeploy.plan.fit import Part, total
from tinydeploy.plan.shared import share, state_of
from tinydeploy.report.plans import Planned
from tinydeploy.report.shared import PlannedTogether

if TYPE_CHECKING:
    from tinydeploy.toolchain import Image

__all__ = ["BuiltTogether", "build_together", "generate_together", "plan_together", "require_fit_together"]


def plan_together(
    models: Sequence[Model], board: Board, options: PlanOptions, *, names: Sequence[str] = ()
) -> PlannedTogether:
    """The models in one arena on `board`; `options` are those of all, `names` the C prefixes (by default made).

    The arena lies in one piece in the board's RAM. A tensor that `options.keep` names stays readable whichever model
    runs next. Raises what `plan_model` raises.
    """
    if options.reserve or options.regions:
        raise UsageError("--reserve and --regions are for one model: several share one piece of the board's RAM")
    prefixes = library_names(models, names)
    chosen = [replace(options, keep=keep) for keep in _kept_of_each(models, prefixes, options.keep)]
    prepared = [prepare_model(model, each) for model, each in zip(models, chosen, strict=True)]
    plans = []
    for ready, each in zip(prepared, chosen, strict=True):
        state = state_of(ready.model, find_tensors(ready.model, each.keep))
        plans.append((ready.model, plan_prepared(ready, each, behind=state)))
    arena = share(plans)
    members = tuple(
        judged(ready, board, tenant.plan, each)
        for ready, tenant, each in zip(prepared, arena.tenants, chosen, strict=True)
    )
    stacks = [_part(member.fit.sram_parts, "stack") for member in members]
    sram_parts = (
        Part("shared", arena.shared_bytes, "computed"),
        Part("state", arena.arena_bytes - arena.shared_bytes, "computed"),
        max(stacks, key=lambda part: part.bytes),
        Part("static", STATIC_BYTES * len(members), "estimated"),
    )
    flash_parts = (
        Part("weights", sum(_part(member.fit.flash_parts, "weights").bytes for member in members), "computed"),
        _code(members, board),
    )
    return PlannedTogether(
        members=members,
        names=prefixes,
        arena=arena,
        sram=total("SRAM", sram_parts, board.ram.bytes),
        flash=total("flash", flash_parts, board.flash.bytes),
        sram_parts=sram_parts,
        flash_parts=flash_parts,
    )


def require_fit_together(planned: PlannedTogether, *, hint: str | None = None) -> None:
    """Raise `GateError` when several models do not fit the board together."""
    if planned.why_not():
        raise GateError(f"{', '.join(planned.names)} do not fit {planned.board.id}: {planned.why_not()}", hint=hint)


def _kept_of_each(
    models: Sequence[Model], prefixes: Sequence[str], named: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """What each model is to keep. `library:tensor` is a tensor of one, by name or number; a name alone is that tensor
    of every model that has it. Raises `UsageError` for a name that none has."""
    found: list[list[str]] = [[] for _ in models]
    for text in named:
        library, colon, tensor = text.partition(":")
        if colon and library in prefixes:
            found[prefixes.index(library)].append(tensor)
            continue
        holders = [i for i, model in enumerate(models) if any(t.name == text for t in model.tensors)]
        if not holders:
            hint = f"LIBRARY:TENSOR, with one of the libraries {', '.join(prefixes)}, also takes a tensor's number"
            raise UsageError(f"'{printable(text)}' is a tensor of none of the models", hint=hint)
        for holder in holders:
            found[holder].append(text)
    return tuple(map(tuple, found))


def _code(members: Sequence[Planned], board: Board) -> Part:
    """Kernels and start-up code count once. Unknown as soon as one of the models is a network without weights."""
    if not all(has_weights(member.model) for member in members):
        return Part("code", 0, "unknown")
    programs = [emit(member.model, member.plan) for member in members]
    return Part("code", estimate_code_bytes(programs, board.core), "estimated")


def _part(parts: Sequence[Part], name: str) -> Part:
    return next(part for part in parts if part.name == name)


@dataclass(frozen=True)
class BuiltTogether:
    """Libraries of several models in one folder, compiled with their example into an image."""

    planned: PlannedTogether
    bundle: Bundle
    image: Image

    def constant_bytes_of(self, library: SourceTree) -> int:
        """Flash taken by a library's weights, biases, scales and tables."""
        return self.image.flash_bytes_of(lambda symbol: self.bundle.is_constant(library, symbol.name))

    @property
    def constant_bytes(self) -> int:
        """The same for all libraries."""
        return sum(map(self.constant_bytes_of, self.bundle.libraries))

    @property
    def code_bytes(self) -> int:
        """Flash taken by everything else."""
        return self.image.flash_bytes - self.constant_bytes


def generate_together(planned: PlannedTogether, extras: Sequence[Extras] = ()) -> Bundle:
    """The sources of all libraries; `extras` are one for each, or none at all. Raises what `generate_library` does."""
    programs = [emit_library(member, name) for member, name in zip(planned.members, planned.names, strict=True)]
    told = extras or [NO_EXTRAS] * len(programs)
    return bundle(planned.arena, programs, [on_board(e, m) for e, m in zip(told, planned.members, strict=True)])


def build_together(
    planned: PlannedTogether, folder: Path, *, toolchain: str | None = None, extras: Sequence[Extras] = ()
) -> BuiltTogether:
    """Write the libraries into `folder` and compile them with their example; `extras` as in `generate_together`.

    Raises `GateError` when they do not fit, `MissingToolError` without a compiler.
    """
    from tinydeploy.toolchain import find_toolchain

    compiler = find_toolchain(toolchain)
    made = generate_together(planned, extras)
    if planned.why_not():
        raise GateError(f"{', '.join(planned.names)} do not fit {planned.board.id}: {planned.why_not()}")
    made.write(folder)
    image = compiler.build(
        [folder / source for source in (*made.sources, *made.example)],
        [folder, folder / "runtime"],
        planned.board,
        folder / "build",
        name="models",
        stack_bytes=_part(planned.sram_parts, "stack").bytes,
    )
    return BuiltTogether(planned, made, image)
