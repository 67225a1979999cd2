"""`tinydeploy plan`: does a model fit a board, and where does every tensor lie."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli.common import (
    board_option,
    emit,
    format_option,
    models_argument,
    plan_options,
    progress,
    provenance,
)

if TYPE_CHECKING:
    from tinydeploy.report.document import Document, Provenance
    from tinydeploy.report.plans import Planned


@click.command("plan", short_help="Does a model fit a board?")
@models_argument
@board_option
@plan_options
@click.option("--map", "map_", is_flag=True, help="Also show the arena over time.")
@click.option(
    "--draw",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw the arena over time: an .svg, or an .html page with the report.",
)
@format_option
def command(
    models: tuple[str, ...], board: str, planning: Mapping[str, Any], map_: bool, draw: Path | None, format_: str
) -> None:
    """Plan a model's memory on a board: exit code 0 when it fits, 1 when it does not.

    Several models share one arena: never two of them run at once.

    \b
    Example:
      tinydeploy plan kws.tflite --board stm32f746
    """
    if len(models) > 1:
        _plan_together(models, board, planning, drawn=map_ or draw is not None, format_=format_)
        return
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices
    from tinydeploy.pipeline.planning import require_fit
    from tinydeploy.report.plans import plan_document

    if draw is not None:
        _check_drawable(draw)
    options = plan_choices(planning)
    with progress() as stage:
        stage("reading the model")
        read = pipeline.load(models[0])
        found = find_board(board)
        stage("planning")
        planned = pipeline.plan_model(read, found, options)
        stage("comparing")
        others = pipeline.compare_plans(planned, options)
    where = provenance({"board": board, **pipeline.describe(options)})
    document = plan_document(planned, others, where, map_columns=_columns() if map_ else None)
    if draw is not None:
        _draw(draw, planned, document, where)
    emit(document, format_)
    require_fit(planned)


def _plan_together(
    models: tuple[str, ...], board: str, planning: Mapping[str, Any], *, drawn: bool, format_: str
) -> None:
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices
    from tinydeploy.errors import UsageError
    from tinydeploy.pipeline import shared
    from tinydeploy.pipeline.shared import require_fit_together
    from tinydeploy.report.shared import shared_plan_document

    if drawn:
        raise UsageError("--map and --draw show the arena of one model", hint="plan each model alone for its picture")
    options = plan_choices(planning)
    with progress() as stage:
        stage("reading the models")
        read = [pipeline.load(model) for model in models]
        found = find_board(board)
        stage("planning")
        planned = shared.plan_together(read, found, options)
    emit(shared_plan_document(planned, provenance({"board": board, **pipeline.describe(options)})), format_)
    require_fit_together(planned)


def _columns() -> int:
    from tinydeploy.report.memory_map import USUAL_WIDTH

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else USUAL_WIDTH


def _check_drawable(path: Path) -> None:
    """Before the work, so that a mistake costs none of it."""
    from tinydeploy.errors import UsageError

    if path.suffix.lower() not in (".svg", ".html"):
        raise UsageError(f"cannot draw {path}: it must end in .svg or .html")
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError(f"cannot draw {path}: {what}")


def _draw(path: Path, planned: Planned, document: Document, where: Provenance) -> None:
    from tinydeploy.errors import UsageError
    from tinydeploy.report import drawing
    from tinydeploy.report.occupancy import occupancy_of

    occupancy = occupancy_of(planned.model, planned.plan)
    svg = path.suffix.lower() == ".svg"
    text = drawing.svg(occupancy) if svg else drawing.page(occupancy, document.blocks, where)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror or error}") from error
