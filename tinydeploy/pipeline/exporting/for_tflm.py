"""The files for TensorFlow Lite Micro: our placement in the model, checked here, and what the report tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tinydeploy.errors import MissingToolError
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.report.tflm_exports import TflmFacts, TflmRoom

if TYPE_CHECKING:
    from tinydeploy.pipeline.exporting.export import ExportOptions
    from tinydeploy.pipeline.tflm.placing import PlannedForTflm

_CHECKED_SAMPLES = 3  # on TensorFlow Lite Micro on this computer


def for_tflm(
    int8: Int8Model, options: ExportOptions, stage: Callable[[str], None]
) -> tuple[TflmFacts, Mapping[str, str | bytes]]:
    """What there is to tell, and the files. Raises what `plan_for_tflm`, `check_on_host` and `tflm_files` raise."""
    from tinydeploy.export.tflm import Export, tflm_files
    from tinydeploy.pipeline.tflm.placing import plan_for_tflm

    core = options.board.core if options.board is not None else None
    placed = plan_for_tflm(int8.data, int8.model, kernels=options.kernels, core=core)
    facts = TflmFacts(placed.plan, why_not="--no-verify")
    if options.verify:
        stage("checking on TensorFlow Lite Micro")
        facts = _checked(int8, placed)
    files = tflm_files(
        Export(
            data=placed.data,
            model=placed.model,
            arena=placed.arena,
            kernels=options.kernels,
            board=options.board,
            greedy=placed.plan.greedy[options.kernels],
            original_sha256=int8.model.sha256,
            tools=int8.converted.tools if int8.converted is not None else None,
            extras=options.extras[0],
        ),
        options.names[0] if options.names else None,
    )
    return replace(facts, room=_room(placed, options)), files


def _room(placed: PlannedForTflm, options: ExportOptions) -> TflmRoom | None:
    """The largest piece of memory that an arena may lie in, with nothing else in it, and the flash."""
    from tinydeploy.boards.reserve import read_regions, read_reserves, without
    from tinydeploy.plan.regions import free_rooms

    board = options.board
    if board is None:
        return None
    free = without(board, read_reserves(board, options.plan.reserve))
    found = free_rooms(free, read_regions(board, options.plan.regions), stack_bytes=0, static_bytes=0)
    largest = max(found, key=lambda room: room.bytes)
    arena = placed.arena.arena_bytes
    return TflmRoom(board.id, largest.name, arena, largest.bytes, len(placed.data), board.flash.bytes)


def _checked(int8: Int8Model, placed: PlannedForTflm) -> TflmFacts:
    """Without the interpreter the files are made all the same, and the report says what was not checked."""
    from tinydeploy.pipeline.tflm.placing import check_on_host
    from tinydeploy.verify import random_inputs

    try:
        done = check_on_host(int8.data, placed, random_inputs(int8.model, 0, _CHECKED_SAMPLES))
    except MissingToolError as error:
        return TflmFacts(placed.plan, why_not=f"{error.message} ({error.hint})")
    return TflmFacts(
        placed.plan, done.against, done.samples, done.nonpersistent_bytes, done.original_nonpersistent_bytes
    )
