"""`tinydeploy build`: a self-contained C library for a model on a board."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy.cli.common import board_option, model_argument, toolchain_option


@click.command("build", short_help="Write a C library for a model.")
@model_argument
@board_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the library goes."
)
@toolchain_option
@click.option("--name", default=None, metavar="NAME", help="Prefix of everything in C. Default: from the model's name.")
def command(model: str, board: str, output: Path, toolchain: str | None, name: str | None) -> None:
    """Write the C library for a model, compile it, and tell its size.

    \b
    Example:
      tinydeploy build kws.tflite --board stm32f746 -o kws_lib
    """
    raise NotImplementedError
