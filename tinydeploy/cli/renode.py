"""`tinydeploy renode`: projects for the Renode emulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tinydeploy.cli.common import (
    board_option,
    emit,
    format_option,
    model_argument,
    plan_options,
    progress,
    provenance,
    toolchain_option,
)


@click.group("renode", short_help="Make projects for the Renode emulator.")
def command() -> None:
    """Projects for the Renode emulator.

    \b
    Example:
      tinydeploy renode export kws.tflite --board stm32f746 -o kws_renode
    """


@command.command("export", short_help="Write a folder that Renode runs.")
@model_argument
@board_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the project goes."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="What the model is given: .npy or raw little-endian bytes, once for each input. Default: random.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs.")
@toolchain_option
@click.option("--name", metavar="NAME", help="Prefix of everything in C. Default: from the model's name.")
@plan_options
@format_option
def export(
    model: str,
    board: str,
    output: Path,
    inputs: tuple[str, ...],
    seed: int,
    toolchain: str | None,
    name: str | None,
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Write a folder that stands alone: an image that runs the model and prints, the board as a Renode platform with
    the chip's true memories, scripts, and a Robot Framework test.

    \b
    Example:
      tinydeploy renode export kws.tflite --board stm32f746 -o kws_renode
    """
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices
    from tinydeploy.errors import UsageError
    from tinydeploy.pipeline.planning import require_fit
    from tinydeploy.pipeline.renode_project import export_project
    from tinydeploy.report.renode_projects import RenodeFacts, renode_export_document
    from tinydeploy.verify import load_inputs, random_inputs

    options = plan_choices(planning)
    with progress() as stage:
        stage("reading the model")
        read = pipeline.load(model)
        found = find_board(board)
        stage("planning")
        planned = pipeline.plan_model(read, found, options)
        if pipeline.model_path(model) is None:
            pipeline.generate_library(planned)  # a network, which has no weights: it refuses
        require_fit(planned, hint="`tinydeploy plan` names the tensors to blame")
        samples = load_inputs(planned.model, inputs) if inputs else random_inputs(planned.model, seed, 1)
        if len(samples) != 1:
            raise UsageError(f"an exported image runs once, and the inputs hold {len(samples)} samples")
        whence = "from " + ", ".join(inputs) if inputs else f"random, seed {seed}"
        stage("compiling and trying")
        project = export_project(planned, output, samples[0], whence=whence, toolchain=toolchain, name=name)
    image = project.built.image
    facts = RenodeFacts(
        name=project.built.tree.name,
        folder=str(output),
        files=project.files,
        elf=str(project.elf),
        toolchain=image.toolchain,
        uart=project.platform.uart,
        inputs=whence,
        flash_bytes=image.flash_bytes,
        static_bytes=image.static_bytes,
        printed=project.lines,
        instructions=project.seen.instructions if project.seen is not None else None,
        not_run=project.unseen,
        notes=project.platform.notes,
    )
    chosen = {
        "board": board,
        "input": inputs,
        "seed": None if inputs else seed,
        "name": name,
        "toolchain": toolchain,
        **pipeline.describe(options),
    }
    emit(renode_export_document(planned, facts, provenance(chosen, {"toolchain": image.toolchain})), format_)
