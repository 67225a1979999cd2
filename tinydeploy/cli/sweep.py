"""`tinydeploy sweep`: many models on many boards, each with several options, into one table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli.batch_progress import watching
from tinydeploy.cli.common import (
    BoardType,
    ModelType,
    emit,
    format_option,
    plan_options,
    provenance,
    toolchain_option,
)

if TYPE_CHECKING:
    from tinydeploy.batch import Case
    from tinydeploy.batch.rows import Row

_NOT_VARIED = ("keep", "reserve", "regions")  # commas are theirs


@click.command("sweep", short_help="Many models on many boards, into a table.")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=ModelType(networks=True))
@click.option(
    "--boards", multiple=True, required=True, metavar="BOARD,...", type=BoardType(), help="One or more. Repeatable."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The table: a .parquet or a .csv.",
)
@click.option(
    "--depth",
    type=click.Choice(["plan", "build", "run"]),
    default="plan",
    show_default=True,
    help="plan; or build an image, too; or run it as well, on the embedded emulator.",
)
@click.option(
    "--vary",
    multiple=True,
    metavar="OPTION=VALUE,...",
    help="A row for each value of a planning option, such as execution=streamed,whole. Repeatable.",
)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="How many made-up inputs to run.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of made-up inputs.")
@click.option("--jobs", type=click.IntRange(1), default=None, metavar="N", help="Cases at once. Default: all cores.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="SECONDS",
    help="End a case that takes longer; the others go on.",
)
@click.option("--dask", metavar="ADDRESS", default=None, help="Work on the Dask cluster whose scheduler is there.")
@click.option("--fresh", is_flag=True, help="Do everything anew, whatever the journal and the cache know.")
@toolchain_option
@plan_options
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    models: tuple[str, ...],
    boards: tuple[str, ...],
    output: Path,
    depth: str,
    vary: tuple[str, ...],
    samples: int,
    seed: int,
    jobs: int | None,
    timeout: float | None,
    dask: str | None,
    fresh: bool,
    toolchain: str | None,
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Plan, build or run every model on every board, and write a row for each: an architecture search, a fleet.

    MODEL is a file, a shipped model, a folder of .tflite files, a pattern, or @FILE with one of these in each line.
    What is finished stands in FILE.journal; the same command goes on from there. Exit code 0: each row has an answer.

    \b
    Example:
      tinydeploy sweep candidates/ --boards stm32f746,rp2040 -o sweep.csv
    """
    if dask is not None and jobs is not None:
        raise click.UsageError("--jobs is for this machine, and --dask works on others.", ctx)
    from tinydeploy.batch import Case
    from tinydeploy.batch.candidates import find_candidates
    from tinydeploy.batch.summary import sweep_document
    from tinydeploy.batch.tables import check_writable, write_table
    from tinydeploy.cli.planning import plan_choices

    check_writable(output)
    wanted = _boards(ctx, boards, planning)
    combinations = _varied(ctx, vary)
    options = [plan_choices({**planning, **varied}) for varied in combinations]
    cases = [
        Case(
            model,
            board,
            each,
            depth=depth,  # type: ignore[arg-type]  # click has checked it
            samples=samples,
            seed=seed,
            toolchain=toolchain,
            timeout_seconds=timeout,
        )
        for model in find_candidates(models)
        for board in wanted
        for each in options
    ]
    rows, known = _swept(cases, output, jobs, dask, fresh)
    same = {name: value for name, value in planning.items() if name not in combinations[0]}
    chosen = {"depth": depth, "vary": vary, "samples": samples, "seed": seed, "toolchain": toolchain, **same}
    whence = provenance(chosen)
    write_table(output, rows, {"tinydeploy": whence.tinydeploy, "options": whence.options})
    emit(sweep_document(rows, str(output), known, whence), format_)
    _require_answers(rows)


def _swept(
    cases: Sequence[Case], output: Path, jobs: int | None, dask: str | None, fresh: bool
) -> tuple[list[Row], int]:
    """A row for each case, in order, and how many of them were known."""
    from contextlib import closing

    from tinydeploy.batch import ResultCache, run_cases
    from tinydeploy.batch.cache import Memories
    from tinydeploy.batch.cluster import run_on_cluster
    from tinydeploy.batch.journal import Journal
    from tinydeploy.batch.rows import row_of

    path = output.with_name(output.name + ".journal")
    rows: dict[int, Row] = {}
    known = 0
    with watching() as show, Journal(path, fresh=fresh) as journal:
        memory = Memories(journal) if fresh else Memories(journal, ResultCache())
        if dask is None:
            outcomes = run_cases(cases, jobs=jobs, cache=memory, on_progress=show)
        else:
            outcomes = run_on_cluster(cases, dask, cache=memory, on_progress=show)
        try:
            with closing(outcomes):
                for position, outcome in outcomes:
                    rows[position] = row_of(outcome)
                    known += outcome.cached
        except KeyboardInterrupt:
            click.echo(f"{len(rows)} of {len(cases)} are done; the same command goes on from {path}", err=True)
            raise
    return [rows[position] for position in range(len(cases))], known


def _boards(ctx: click.Context, given: Sequence[str], planning: Mapping[str, Any]) -> list[str]:
    """Each board once, by the first of its names. Memory that none of them has is a mistake."""
    from tinydeploy.boards import Board, find_board
    from tinydeploy.boards.reserve import read_regions, read_reserves
    from tinydeploy.errors import UsageError

    found: dict[str, Board] = {}
    for name in (name.strip() for names in given for name in names.split(",") if name.strip()):
        board = find_board(name)
        if board not in found.values():
            found[name] = board
    if not found:
        raise click.UsageError("--boards names none.", ctx)
    mistake = None
    for board in found.values():
        try:
            read_reserves(board, planning["reserve"])
            read_regions(board, planning["regions"])
        except UsageError as error:
            mistake = error
        else:
            return list(found)
    assert mistake is not None
    raise mistake


def _varied(ctx: click.Context, vary: Sequence[str]) -> list[dict[str, Any]]:
    """Each combination of values, as arguments of the command."""
    from tinydeploy.cli.common import PLANNING

    parameters = {p.name: p for p in ctx.command.params if p.name in PLANNING and p.name not in _NOT_VARIED}
    several: dict[str, list[Any]] = {}
    for given in vary:
        option, _, values = given.partition("=")
        name = option.strip().removeprefix("--").replace("-", "_")
        if name not in parameters or not values:
            known = ", ".join(str(p).replace("_", "-") for p in parameters)
            raise click.UsageError(f"--vary {given}: it is OPTION=VALUE,..., with one of {known}.", ctx)
        if name in several:
            raise click.UsageError(f"--vary {given}: it is varied already; all of its values go into one list.", ctx)
        parameter = parameters[name]
        each = [parameter.type.convert(value.strip(), parameter, ctx) for value in values.split(",")]
        several[name] = list(dict.fromkeys(each))
    return [dict(zip(several, values, strict=True)) for values in itertools.product(*several.values())]


def _require_answers(rows: Sequence[Row]) -> None:
    """Raise the error that the command ends with, unless each case came to an answer."""
    from tinydeploy.batch.summary import UNANSWERED
    from tinydeploy.errors import MissingToolError, RunError

    left = [row for row in rows if row["status"] in UNANSWERED]
    if not left:
        return
    if all(row["status"] == "missing-tool" for row in left):
        raise MissingToolError(str(left[0]["message"]), hint=str(left[0]["hint"] or "") or None)
    first = f"the first is {left[0]['model']} on {left[0]['board']}, which {left[0]['status']}"
    raise RunError(
        f"{len(left)} of {len(rows)} cases have no answer; {first}",
        hint="their column `message` says why; the same command tries them again, and only them",
    )
