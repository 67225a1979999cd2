"""`tinydeploy build`: a self-contained C library for a model on a board."""

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


@click.command("build", short_help="Write a C library for a model.")
@model_argument
@board_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the library goes."
)
@toolchain_option
@click.option("--name", default=None, metavar="NAME", help="Prefix of everything in C. Default: from the model's name.")
@plan_options
@format_option
def command(
    model: str,
    board: str,
    output: Path,
    toolchain: str | None,
    name: str | None,
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Write the C library for a model into DIR, compile it with its example, and tell its size.

    \b
    Example:
      tinydeploy build kws.tflite --board stm32f746 -o kws_lib
    """
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices, require_fit
    from tinydeploy.report.builds import BuildFacts, build_document

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
        stage("compiling")
        built = pipeline.build_image(planned, output, toolchain=toolchain, name=name, markers=False)
    image = built.image
    facts = BuildFacts(
        name=built.tree.name,
        folder=str(output),
        files=tuple(sorted(built.tree.files)),
        elf=str(image.elf),
        toolchain=image.toolchain,
        weights_bytes=built.constant_bytes,
        code_bytes=built.code_bytes,
        static_bytes=image.static_bytes,
        symbols={s.name: s.bytes for s in image.symbols if s.kind in ("code", "rodata", "data")},
    )
    chosen = {"board": board, "name": name, "toolchain": toolchain, **pipeline.describe(options)}
    emit(build_document(planned, facts, provenance(chosen, {"toolchain": image.toolchain})), format_)
