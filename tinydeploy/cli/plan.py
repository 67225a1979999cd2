"""`tinydeploy plan`: does a model fit a board, and where does every tensor lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from tinydeploy.cli.common import board_option, emit, format_option, model_argument, plan_options, progress, provenance


@click.command("plan", short_help="Does a model fit a board?")
@model_argument
@board_option
@plan_options
@format_option
def command(model: str, board: str, planning: Mapping[str, Any], format_: str) -> None:
    """Plan a model's memory on a board: exit code 0 when it fits, 1 when it does not.

    \b
    Example:
      tinydeploy plan kws.tflite --board stm32f746
    """
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices, require_fit
    from tinydeploy.report.plans import plan_document

    options = plan_choices(planning)
    with progress() as stage:
        stage("reading the model")
        read = pipeline.load(model)
        found = find_board(board)
        stage("planning")
        planned = pipeline.plan_model(read, found, options)
        stage("comparing")
        others = pipeline.compare_plans(planned, options)
    emit(plan_document(planned, others, provenance({"board": board, **pipeline.describe(options)})), format_)
    require_fit(planned)
