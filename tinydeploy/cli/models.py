"""`tinydeploy models`: the models and networks that ship with tinydeploy."""

from __future__ import annotations

import click

from tinydeploy.cli.common import emit, format_option, provenance


@click.command("models", short_help="List the shipped models.")
@format_option
def command(format_: str) -> None:
    """List the shipped models and networks; their names stand for files everywhere.

    \b
    Example:
      tinydeploy models
    """
    from tinydeploy.catalog import entries
    from tinydeploy.report.listings import ModelFacts, models_document

    facts = [
        ModelFacts(
            e.name,
            "network" if e.path is None else "model",
            e.about,
            None if e.path is None else e.path.stat().st_size,
            e.facts,
        )
        for e in entries()
    ]
    emit(models_document(facts, provenance({})), format_)
