"""`tinydeploy diff`: what changed between two models, two reports, or one model on two boards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli.common import (
    BoardType,
    ModelType,
    emit,
    format_option,
    plan_options,
    progress,
    provenance,
    toolchain_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinydeploy.diff.snapshot import Snapshot

EXIT_CHANGED = 1


@click.command("diff", short_help="What changed, and which layer did it.")
@click.argument("before", metavar="A", type=ModelType())
@click.argument("after", metavar="[B]", required=False, type=ModelType())
@click.option(
    "--board",
    "boards",
    metavar="BOARD",
    type=BoardType(),
    multiple=True,
    help="The board of both sides; given twice, A's and then B's. Default: that of the report on the other side.",
)
@click.option("--run", is_flag=True, help="Run models on the embedded emulator, too: instructions by layer.")
@click.option("--exit-code", is_flag=True, help="End with code 1 if anything changed.")
@toolchain_option
@plan_options
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    before: str,
    after: str | None,
    boards: tuple[str, ...],
    run: bool,
    exit_code: bool,
    toolchain: str | None,
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Compare A with B: figures, layers and placement, and which layer is responsible for what.

    A and B are models, or reports that plan, build, run or export wrote with --format json, in any mixture. Without B
    it is the same model on two boards.

    \b
    Example:
      tinydeploy diff before.tflite after.tflite --board stm32f746
    """
    from tinydeploy.diff.compare import compare
    from tinydeploy.diff.sides import is_report
    from tinydeploy.errors import UsageError
    from tinydeploy.report.differences import differences_document

    if len(boards) > 2:
        raise UsageError(f"{len(boards)} boards for two sides", hint="--board once for both, or twice")
    if after is None:
        if len(boards) != 2 or is_report(before):
            raise UsageError("there is nothing to compare with", hint="give B, or a model and --board twice")
        after = before
    with progress() as stage:
        a, b = _sides((before, after), boards, planning, run, toolchain, stage)
        stage("comparing")
        found = compare(a, b)
    from tinydeploy.pipeline import PlanOptions, describe

    chosen = {"board": boards, "run": run, "toolchain": toolchain, **describe(PlanOptions(**planning))}
    emit(differences_document(found, provenance(chosen)), format_)
    if exit_code and found.changed:
        ctx.exit(EXIT_CHANGED)


def _sides(
    texts: tuple[str, str],
    boards: tuple[str, ...],
    planning: Mapping[str, Any],
    run: bool,
    toolchain: str | None,
    stage: Callable[[str | None], None],
) -> tuple[Snapshot, Snapshot]:
    """Reports first: a model beside one is planned for its board, unless a board was given."""
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices
    from tinydeploy.diff.sides import is_report, model_side, report_side
    from tinydeploy.errors import UsageError
    from tinydeploy.operators.base import printable

    read = {text: report_side(text) for text in texts if is_report(text)}
    wanted = list(boards) * 2 if len(boards) == 1 else list(boards)
    if not wanted and read:
        wanted = [next(side.board for side in read.values())] * 2
    options = plan_choices(planning)
    found: list[Snapshot] = []
    for number, text in enumerate(texts):
        if text in read:
            found.append(read[text])
            continue
        if not wanted:
            hint = "--board, see `tinydeploy boards`"
            raise UsageError(f"a board is needed to plan {printable(text, 200)} for", hint=hint)
        stage(f"planning {'and running ' if run else ''}{'AB'[number]}")
        side = model_side(text, find_board(wanted[number]), options, run=run, toolchain=toolchain)
        found.append(side)
    return found[0], found[1]
