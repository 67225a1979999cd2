"""`tinydeploy place`: dynamic storage allocation alone, on a CSV file of rectangles."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinydeploy.cli.common import emit, format_option, progress, provenance

if TYPE_CHECKING:
    from tinydeploy.plan.placement import Placed

# Visits of the built-in search, and CP-SAT's deterministic time; each about a second, a minute, an hour.
_EFFORTS = {"quick": (400_000, 1.0), "normal": (25_000_000, 60.0), "thorough": (1_500_000_000, 3600.0)}


@click.command("place", short_help="Place the rectangles of a CSV file.")
@click.argument("problem", metavar="PROBLEM.csv", type=click.Path(path_type=Path))
@click.option(
    "--capacity",
    type=click.IntRange(1, 1 << 48),
    default=None,
    metavar="BYTES",
    help="Stop at the first placement within these bytes. Default: look for the smallest arena.",
)
@click.option(
    "--effort",
    type=click.Choice(list(_EFFORTS)),
    default="normal",
    show_default=True,
    help="How long to search: about a second, a minute or an hour. The same answer on every machine.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="SECONDS",
    help="End after this time with the best so far, even if --effort allows more.",
)
@click.option(
    "--solver",
    type=click.Choice(["builtin", "cp-sat"]),
    default="builtin",
    show_default=True,
    help="cp-sat: OR-Tools' exact solver.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="Write the problem with a column 'offset' as CSV.",
)
@format_option
def command(
    problem: Path,
    capacity: int | None,
    effort: str,
    time_limit: float | None,
    solver: str,
    output: Path | None,
    format_: str,
) -> None:
    """Give each rectangle (id,lower,upper,size) an offset, so that none overlap: exit code 1 when none was found within
    --capacity.

    \b
    Example:
      tinydeploy place problem.csv --capacity 1048576 -o placed.csv
    """
    from tinydeploy.errors import GateError, UsageError
    from tinydeploy.operators.base import printable
    from tinydeploy.plan import solver as cp_sat
    from tinydeploy.plan.instances import read_csv, write_csv
    from tinydeploy.plan.placement import place
    from tinydeploy.report.placements import placement_document

    shown = printable(str(problem), 200)
    visits, deterministic = _EFFORTS[effort]
    end = math.inf if time_limit is None else time.monotonic() + time_limit
    with progress() as stage:
        stage("reading the problem")
        rectangles = read_csv(_read(problem, shown), shown)
        stage("placing")
        if solver == "builtin":
            placed = place(rectangles, capacity=capacity, visits=visits, stop=lambda: time.monotonic() > end)
        else:
            start = place(rectangles, capacity=capacity, visits=0)
            placed = cp_sat.improve(rectangles, start, capacity=capacity, effort=deterministic, seconds=time_limit)
    options = {"capacity": capacity, "effort": effort, "time_limit": time_limit, "solver": solver}
    fits = capacity is None or placed.arena_bytes <= capacity
    if fits and output is not None:
        try:
            output.write_text(write_csv(rectangles, placed.offsets), encoding="utf-8", newline="\n")
        except OSError as error:
            raise UsageError(f"cannot write to {output}: {error.strerror or error}") from error
    emit(placement_document(str(problem), rectangles, placed, capacity, provenance(options)), format_)
    if not fits:
        assert capacity is not None
        raise GateError(f"{shown}: {_why_not(placed, capacity)}", hint=_what_next(placed, capacity))


def _read(problem: Path, shown: str) -> str:
    from tinydeploy.errors import UsageError

    try:
        return problem.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown}: is not text in UTF-8") from None


def _why_not(placed: Placed, capacity: int) -> str:
    bound = placed.proof.lower_bound_bytes
    if bound > capacity:
        return f"no placement within {capacity:,} bytes exists (proved: at least {bound:,} are needed)"
    return (
        f"no placement within {capacity:,} bytes was found, nor proved impossible; the best has {placed.arena_bytes:,}"
    )


def _what_next(placed: Placed, capacity: int) -> str | None:
    if placed.proof.lower_bound_bytes > capacity:
        return None
    return "--effort thorough, a longer --time-limit, or --solver cp-sat"
