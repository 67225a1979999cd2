"""`tinydeploy doctor`: which tools are there, which versions, and whether they work."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tinydeploy.cli.common import emit, format_option, progress, provenance


@click.command("doctor", short_help="Which tools are there, and do they work?")
@click.option(
    "--renode",
    metavar="PATH",
    envvar="TINYDEPLOY_RENODE",
    default=None,
    help="Renode's folder or launcher. Default: PATH.",
)
@click.option("--require", metavar="TOOL", multiple=True, help="End with code 4 when this tool is missing. Repeatable.")
@format_option
def command(renode: str | None, require: tuple[str, ...], format_: str) -> None:
    """Look for every tool that some command uses, try each once, and say how to get those that are missing.

    A missing tool is no error unless it is required; one that is there and does not work ends it with code 4.

    \b
    Example:
      tinydeploy doctor
    """
    from tinydeploy.errors import MissingToolError, UsageError
    from tinydeploy.pipeline import tools
    from tinydeploy.report.tools import tools_document

    for name in require:
        if name not in tools.names():
            raise UsageError(f"there is no tool '{name}'", hint="there are " + ", ".join(tools.names()))
    found: dict[str, tools.Tool] = {}
    with progress() as stage, tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        for tool in tools.examine(Path(folder), renode=renode, on_trial=lambda name: stage(f"trying {name}")):
            found[tool.name] = tool
    emit(tools_document(list(found.values()), provenance({"require": require})), format_)
    wrong = tools.failed(found, frozenset(require))
    if wrong:
        told = ", ".join(f"{tool.name} ({tool.state}: {tool.tried})" for tool in wrong)
        raise MissingToolError(f"not as it should be: {told}", hint="; ".join(tool.remedy for tool in wrong))
