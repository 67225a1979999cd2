"""From a plan to a C library, and to an image for the plan's board."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.codegen import Extras, Program, SourceTree, emit, generate, pieces
from tinydeploy.codegen.extras import NO_EXTRAS
from tinydeploy.errors import GateError, UnsupportedModelError
from tinydeploy.pipeline.planning import has_weights
from tinydeploy.report.plans import Planned

if TYPE_CHECKING:
    from tinydeploy.toolchain import ArenaPart, Image

# ITM stimulus port 31: a write-only register of every Cortex-M but M0 and M0+, harmless on a part without a debugger.
MARKER_ADDRESS = 0xE000007C


@dataclass(frozen=True)
class Built:
    """A library, compiled with its example into an image for the plan's board."""

    planned: Planned
    tree: SourceTree
    image: Image

    @property
    def constant_bytes(self) -> int:
        """Flash taken by weights, biases, scales and tables."""
        return self.image.flash_bytes_of(self.tree.constant_prefix)

    @property
    def code_bytes(self) -> int:
        """Flash taken by everything else."""
        return self.image.flash_bytes - self.constant_bytes


def generate_library(planned: Planned, name: str | None = None, extras: Extras = NO_EXTRAS) -> SourceTree:
    """The C library's sources.

    Raises `UnsupportedModelError` for a network without weights, `UsageError` for labels that are not as many as any
    output has classes.
    """
    return generate(planned.model, planned.plan, emit_library(planned, name), on_board(extras, planned))


def on_board(extras: Extras, planned: Planned) -> Extras:
    """The same, which know the board that was planned for."""
    return replace(extras, identity=replace(extras.identity, board=planned.board.id))


def emit_library(planned: Planned, name: str | None = None) -> Program:
    """What the C library does. Raises `UnsupportedModelError` for a network without weights."""
    model = planned.model
    if not has_weights(model):
        raise UnsupportedModelError(
            f"{model.path or model.name} has no weights, so there is nothing to generate",
            hint="plan and cost work without weights; build and run need a .tflite file",
        )
    return emit(model, planned.plan, name=name)


def build_image(
    planned: Planned,
    folder: Path,
    *,
    toolchain: str | None = None,
    name: str | None = None,
    markers: bool = True,
    tree: SourceTree | None = None,
    extras: Extras = NO_EXTRAS,
) -> Built:
    """Write the library into `folder` and compile it with its example.

    `markers`: each step announces itself at `MARKER_ADDRESS`, which `run_model` counts by; not for an image that goes
    to a part, since an M0 or M0+ has nothing at that address. `tree`: the library with another example. `extras`: what
    the library is told, without a tree.
    Raises `GateError` when it does not fit (by the plan, or by the linker's word), `MissingToolError` without a
    compiler, and what `generate_library` raises.
    """
    from tinydeploy.toolchain import find_toolchain

    compiler = find_toolchain(toolchain)
    tree = tree or generate_library(planned, name, extras)
    if not planned.fit.fits:
        raise GateError(f"{planned.model.name} does not fit {planned.board.id}: {planned.fit.why_not()}")
    tree.write(folder)
    image = compiler.build(
        [folder / source for source in (*tree.sources, *tree.example)],
        [folder, folder / "runtime"],
        planned.memory,
        folder / "build",
        name=tree.name,
        defines={"TD_STEP_PORT": f"{MARKER_ADDRESS:#x}u"} if markers else {},
        stack_bytes=next(part.bytes for part in planned.fit.sram_parts if part.name == "stack"),
        arena=_arena_parts(planned),
    )
    return Built(planned, tree, image)


def _arena_parts(planned: Planned) -> tuple[ArenaPart, ...]:
    """Where the linker is to put the arena, unless that is where it would anyway: right behind the static data."""
    from tinydeploy.toolchain import ArenaPart

    plan = planned.plan
    found = pieces(plan)
    if found:
        return tuple(ArenaPart(p.section, plan.base.address + p.offset, p.bytes) for p in found)
    if not plan.shares or plan.base.address - planned.memory.ram.base in range(plan.alignment):
        return ()
    return (ArenaPart(".arena", plan.base.address, plan.base.bytes),)
