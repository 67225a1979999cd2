"""A model on a board as a folder that Renode runs by itself: image, platform, scripts, test."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.codegen import DONE_LINE, board_example
from tinydeploy.errors import DoesNotLinkError, MissingToolError, RunError, UsageError
from tinydeploy.files import write_files
from tinydeploy.pipeline.building import Built, build_image, generate_library
from tinydeploy.report.plans import Planned

if TYPE_CHECKING:
    from tinydeploy.emulate import RunResult
    from tinydeploy.emulate.renode.platform import Platform
    from tinydeploy.verify import Sample

_TIMES = 10  # a test waits for so many times the instructions that the embedded emulator counted,
_LEAST_SECONDS = 10.0  # and at least for so long; virtual time
_UNKNOWN_SECONDS = 600.0


@dataclass(frozen=True)
class RenodeProject:
    """An exported folder. `files` are relative to it. `seen`: the same image on the embedded emulator, None where
    that has no such core; `unseen` says why not."""

    built: Built
    platform: Platform
    folder: Path
    elf: Path
    files: tuple[str, ...]
    seen: RunResult | None
    unseen: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What the image printed; empty where it could not be run here."""
        text = self.seen.uart.decode("ascii", "replace") if self.seen is not None else ""
        return tuple(line for line in text.replace("\r", "").split("\n") if line)


def export_project(
    planned: Planned,
    folder: Path,
    sample: Sample,
    *,
    whence: str,
    toolchain: str | None = None,
    name: str | None = None,
) -> RenodeProject:
    """Write the folder. `sample` is what the model is given, `whence` says in words where it comes from.

    The image is run on the embedded emulator first, and its lines become the test's. Raises `GateError` when it does
    not fit, `UsageError` for a board that Renode cannot have, `RunError` when the image fails, `MissingToolError`
    without a compiler.
    """
    from tinydeploy.emulate.renode.platform import has_cycle_counter, make_platform, without_helium
    from tinydeploy.emulate.renode.readme import project_readme
    from tinydeploy.emulate.renode.script import (
        MACHINE_FILE,
        PLATFORM_FILE,
        RUN_FILE,
        TEST_FILE,
        machine_script,
        robot_test,
        run_script,
    )

    model, board = planned.model, planned.board
    platform = make_platform(board)
    given = {tensor: value.tobytes() for tensor, value in sample.items()}
    tree = board_example(
        model,
        planned.plan,
        board,
        generate_library(planned, name),
        given,
        whence=whence,
        cycle_counter=has_cycle_counter(board),
    )
    try:
        fit_for_renode = replace(planned, board=without_helium(board), left=without_helium(planned.memory))
        built = build_image(fit_for_renode, folder / "firmware", toolchain=toolchain, markers=False, tree=tree)
    except DoesNotLinkError as error:
        stored = sum(len(data) for data in given.values())
        raise DoesNotLinkError(
            error.message, hint=f"the exported image holds its inputs ({stored} B) and the code that prints, too"
        ) from error
    elf = folder / f"{tree.name}.elf"
    try:
        shutil.copyfile(built.image.elf, elf)
        built.image.elf.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {elf}: {error.strerror or error}") from error
    seen, unseen = _try(planned, elf)
    project = RenodeProject(built, platform, folder, elf, (), seen, unseen)
    checked = [line for line in project.lines if " crc32 " in line] + [DONE_LINE]
    seconds = _UNKNOWN_SECONDS
    if seen is not None:
        seconds = max(_LEAST_SECONDS, _TIMES * seen.instructions / (platform.mips * 1e6))
    files = {
        PLATFORM_FILE: platform.repl,
        MACHINE_FILE: machine_script(board, tree.name, elf.name),
        RUN_FILE: run_script(board, platform, tree.name),
        TEST_FILE: robot_test(board, platform, tree.name, checked, seconds=seconds),
        "README.md": project_readme(board, platform, tree.name, elf.name, project.lines or checked),
    }
    write_files(files, folder)
    return replace(project, files=(*files, elf.name, *(f"firmware/{f}" for f in sorted(tree.files))))


def _try(planned: Planned, elf: Path) -> tuple[RunResult | None, str]:
    """What the image does on the embedded emulator, or why it cannot run there."""
    try:
        from tinydeploy.emulate import Job, UnicornEmulator

        emulator = UnicornEmulator()
        emulator.check(planned.board)
        result = emulator.run(planned.board, Job(elf=elf))
    except (MissingToolError, UsageError) as error:
        return None, error.message
    if result.fault is not None or result.exit_code != 0:
        why = result.fault.message if result.fault is not None else f"it ended with code {result.exit_code}"
        raise RunError(f"{planned.model.name} on {planned.board.id}: the exported image failed: {why}")
    return result, ""
