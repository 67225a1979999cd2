"""`tinydeploy ops`: which operators are supported, from the code itself."""

from __future__ import annotations

import click

from tinydeploy.cli.common import emit, format_option, provenance


@click.command("ops", short_help="List the supported operators.")
@format_option
def command(format_: str) -> None:
    """List the operators that run, and those that have costs only.

    \b
    Example:
      tinydeploy ops --format md
    """
    from tinydeploy.operators.registry import kinds
    from tinydeploy.report.listings import operators_document

    emit(operators_document(kinds(), provenance({})), format_)
