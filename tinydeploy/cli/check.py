"""`tinydeploy check`: budgets held against what models take on boards, for continuous integration."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from tinydeploy.cli.batch_progress import watching
from tinydeploy.cli.common import (
    BoardType,
    ModelType,
    emit,
    plan_options,
    provenance,
    rendered,
    toolchain_option,
)
from tinydeploy.cli.configuration import configuration
from tinydeploy.cli.emulators import emulator_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tinydeploy.config import Limits
    from tinydeploy.report.document import Document, Provenance
    from tinydeploy.report.verdicts import CheckReport

Limit = TypeVar("Limit")

_FORMATS = ("table", "json", "md", "junit", "github", "sarif")


@click.command("check", short_help="Hold models to budgets, in CI.")
@click.argument("models", metavar="[MODEL]...", nargs=-1, type=ModelType())
@click.option("--board", "boards", multiple=True, metavar="BOARD", type=BoardType(), help="Check on this. Repeatable.")
@click.option("--budget", "budgets", multiple=True, metavar="NAME=LIMIT", help="Such as arena=64K. Repeatable.")
@click.option("--growth", "growths", multiple=True, metavar="NAME=LIMIT", help="Such as arena=2%. Repeatable.")
@click.option("--timeout", type=str, default=None, metavar="SECONDS", help="The same as --budget timeout=SECONDS.")
@click.option(
    "--depth",
    type=click.Choice(["plan", "build", "run"]),
    default="run",
    show_default=True,
    help="How far to go: plan needs no compiler, build no emulator.",
)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="How many made-up inputs.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of made-up inputs.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="What to check. Default: tinydeploy.toml or pyproject.toml, here or in a folder above.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="What growth is measured from. Default: tinydeploy.lock beside the configuration.",
)
@click.option("--update", is_flag=True, help="Write what is measured into the baseline.")
@click.option("--jobs", type=click.IntRange(1), default=None, metavar="N", help="Cases at once. Default: all cores.")
@click.option("--no-cache", "cached", flag_value=False, default=True, help="Measure anew what is known.")
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), default="table", show_default=True, help="Of standard output."
)
@click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORMAT=FILE",
    help="Write the report in one more format, such as junit=check.xml. Repeatable.",
)
@toolchain_option
@emulator_names
@plan_options
@click.pass_context
def command(
    ctx: click.Context,
    models: tuple[str, ...],
    boards: tuple[str, ...],
    budgets: tuple[str, ...],
    growths: tuple[str, ...],
    timeout: str | None,
    config_file: Path | None,
    baseline: Path | None,
    update: bool,
    jobs: int | None,
    cached: bool,
    format_: str,
    reports: tuple[str, ...],
    depth: str,
    samples: int,
    seed: int,
    toolchain: str | None,
    emulator: str,
    renode: str | None,
    planning: Mapping[str, Any],
) -> int:
    """Check models on boards against budgets and a committed baseline: those of tinydeploy.toml, or those named here.

    \b
    Example:
      tinydeploy check kws.tflite --board stm32f746 --budget arena=32K --budget matches_reference=true
    """
    from tinydeploy.batch import ResultCache
    from tinydeploy.config import load_config
    from tinydeploy.gates import Chosen, check

    wanted = [_wanted(each) for each in reports]
    config = load_config(config_file) if config_file is not None else configuration(ctx)
    settings = {
        **planning,
        "depth": depth,
        "samples": samples,
        "seed": seed,
        "toolchain": toolchain,
        "emulator": emulator,
        "renode": renode,
    }
    chosen = Chosen(
        models=models,
        boards=boards,
        settings={name: value for name, value in settings.items() if _is_given(ctx, name)},
        limits=_limits(budgets, growths, timeout),
        baseline=baseline,
    )
    with watching() as show:
        report = check(
            config,
            chosen,
            update=update,
            jobs=jobs,
            cache=ResultCache() if cached else None,
            on_progress=show,
        )
    options = {
        "config": report.config_file or None,
        "models": models,
        "boards": boards,
        "budget": budgets,
        "growth": growths,
    }
    where = provenance({**options, "timeout": timeout, **chosen.settings}, report.tools)
    _write(report, where, format_, wanted)
    return report.exit_code


def _is_given(ctx: click.Context, name: str) -> bool:
    """Whether an option was given to this command: what the configuration says is looked up there."""
    return ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _limits(budgets: tuple[str, ...], growths: tuple[str, ...], timeout: str | None) -> Limits:
    from tinydeploy.config import Limits, parse_budget, parse_growth

    found = dict(_limit(each, "--budget", parse_budget) for each in budgets)
    if timeout is not None:
        with _naming(f"--timeout {timeout}"):
            found["timeout"] = parse_budget("timeout", timeout)
    return Limits(found, dict(_limit(each, "--growth", parse_growth) for each in growths))


def _limit(text: str, option: str, parse: Callable[[str, str], Limit]) -> tuple[str, Limit]:
    name, value = _pair(text, option, "NAME=LIMIT")
    with _naming(f"{option} {text}"):
        return name, parse(name, value)


@contextmanager
def _naming(option: str) -> Iterator[None]:
    """Mistakes in what an option was given are told with the option."""
    from tinydeploy.errors import UsageError

    try:
        yield
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from None


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise click.UsageError(f"{option} {text}: must be {form}")
    return name, value


def _wanted(text: str) -> tuple[str, Path]:
    """Before the work, so that a mistake costs none of it."""
    format_, name = _pair(text, "--report", "FORMAT=FILE")
    file = Path(name)
    if format_ not in _FORMATS:
        raise click.UsageError(f"--report {text}: the formats are {', '.join(_FORMATS)}")
    if file.is_dir() or not file.parent.is_dir():
        what = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise click.UsageError(f"--report {text}: {what}")
    return format_, file


def _write(report: CheckReport, where: Provenance, format_: str, reports: list[tuple[str, Path]]) -> None:
    """Standard output, the files that --report names, and with GitHub's annotations the job's summary."""
    from tinydeploy.errors import UsageError
    from tinydeploy.report.checks import check_document

    document = check_document(report, where)
    unwritten = []
    for wanted, file in reports:
        try:
            file.write_text(_rendered(wanted, report, document, where), encoding="utf-8", newline="\n")
        except OSError as error:
            unwritten.append(f"{file}: {error.strerror or error}")
    if format_ in ("table", "json", "md"):
        emit(document, format_)
    else:
        click.echo(_rendered(format_, report, document, where), nl=False)
    if format_ == "github":
        _summarize(document)
    if unwritten:  # what was found is told all the same
        raise UsageError(f"cannot write to {', '.join(unwritten)}")


def _rendered(format_: str, report: CheckReport, document: Document, where: Provenance) -> str:
    if format_ == "junit":
        from tinydeploy.report import junit

        return junit.render(report, where)
    if format_ == "sarif":
        from tinydeploy.report import sarif

        return sarif.render(report, where)
    if format_ == "github":
        from tinydeploy.report import github

        return github.render(report)
    return rendered(document, format_)


def _summarize(document: Document) -> None:
    """Append the report to the summary of the job on GitHub, where this is one."""
    from tinydeploy.errors import UsageError
    from tinydeploy.report import github

    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        return
    try:
        with Path(file).open("a", encoding="utf-8") as summary:
            summary.write(github.summary(document))
    except OSError as error:
        raise UsageError(f"cannot write to GITHUB_STEP_SUMMARY, {file}: {error.strerror or error}") from error
