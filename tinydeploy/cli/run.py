"""`tinydeploy run`: build a model, run it on an emulated board, and compare its outputs with the reference's."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy.cli.common import board_option, format_option, model_argument, plan_options, toolchain_option


@click.command("run", short_help="Run and verify on an emulated board.")
@model_argument
@board_option
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="An input as .npy or raw bytes: once for each input tensor, in order or by name. "
    "One more leading axis means several samples.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of made-up inputs.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="How many made-up inputs.")
@click.option("--no-verify", "verify", flag_value=False, default=True, help="Do not compare with the reference.")
@click.option("--layers", is_flag=True, help="Compare every layer's output, not only the model's.")
@toolchain_option
@plan_options
@click.option("--output", type=click.Path(path_type=Path), default=None, metavar="DIR", help="Write outputs as .npy.")
@format_option
def command(
    model: str,
    board: str,
    inputs: tuple[str, ...],
    seed: int,
    samples: int,
    verify: bool,
    layers: bool,
    toolchain: str | None,
    in_place: bool,
    solver: str,
    stack_bytes: int | None,
    output: Path | None,
    format_: str,
) -> None:
    """Run a model on an emulated board: outputs, exact instruction counts, memory watermarks, bit-exactness.

    \b
    Example:
      tinydeploy run kws.tflite --board stm32f746
    """
    raise NotImplementedError
