"""`tinydeploy cost`: parameters, MACs, activations and bytes, layer by layer."""

from __future__ import annotations

import click

from tinydeploy.cli.common import BoardType, ModelType, emit, format_option, progress, provenance


@click.command("cost", short_help="What a model costs, by layer.")
@click.argument("model", metavar="MODEL|NETWORK", type=ModelType(networks=True))
@click.option(
    "--board", metavar="BOARD", type=BoardType(), default=None, help="Model time and energy on this board, too."
)
@click.option(
    "--bits", type=click.IntRange(1, 64), default=8, show_default=True, help="Bits a parameter, for the model's size."
)
@format_option
def command(model: str, board: str | None, bits: int, format_: str) -> None:
    """Tell what a model or network costs, layer by layer.

    \b
    Example:
      tinydeploy cost mobilenet_v2 --bits 32
    """
    from tinydeploy.boards import find_board
    from tinydeploy.catalog import load
    from tinydeploy.cost.latency import estimate
    from tinydeploy.cost.table import cost_table
    from tinydeploy.report.costs import cost_document

    with progress() as stage:
        stage("reading the model")
        table = cost_table(load(model))
        modelled = estimate(table, find_board(board)) if board is not None else None
    options = {"board": board, "bits": bits}
    emit(cost_document(table, provenance(options), bits=bits, estimate=modelled), format_)
