"""`tinydeploy build`: a self-contained C library for a model on a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tinydeploy.cli.common import (
    board_option,
    emit,
    extras_options,
    format_option,
    models_argument,
    plan_options,
    progress,
    provenance,
    toolchain_option,
)


@click.command("build", short_help="Write a C library for a model.")
@models_argument
@board_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the library goes."
)
@toolchain_option
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Prefix of everything in C. Default: from the model's name. With several models once for each.",
)
@extras_options
@plan_options
@format_option
def command(
    models: tuple[str, ...],
    board: str,
    output: Path,
    toolchain: str | None,
    names: tuple[str, ...],
    told: Mapping[str, Any],
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Write the C library for a model into DIR, compile it with its example, and tell its size.

    Several models become libraries that share one arena: never two of them run at once.

    \b
    Example:
      tinydeploy build kws.tflite --board stm32f746 -o kws_lib
    """
    if len(models) > 1:
        _build_together(models, board, output, toolchain, names, told, planning, format_)
        return
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import extras_choices, plan_choices
    from tinydeploy.errors import UsageError
    from tinydeploy.pipeline.planning import require_fit
    from tinydeploy.report.builds import BuildFacts, build_document

    if len(names) > 1:
        raise UsageError(f"{len(names)} names for one model", hint="--name once for each model, in order")
    (name,) = names or (None,)
    options = plan_choices(planning)
    (extras,) = extras_choices(told, 1)
    with progress() as stage:
        stage("reading the model")
        read = pipeline.load(models[0])
        found = find_board(board)
        stage("planning")
        planned = pipeline.plan_model(read, found, options)
        if pipeline.model_path(models[0]) is None:
            pipeline.generate_library(planned)  # a network, which has no weights: it refuses
        require_fit(planned, hint="`tinydeploy plan` names the tensors to blame")
        stage("compiling")
        built = pipeline.build_image(planned, output, toolchain=toolchain, name=name, markers=False, extras=extras)
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
    chosen = {"board": board, "name": name, "toolchain": toolchain, **told, **pipeline.describe(options)}
    emit(build_document(planned, facts, provenance(chosen, {"toolchain": image.toolchain})), format_)


def _build_together(
    models: tuple[str, ...],
    board: str,
    output: Path,
    toolchain: str | None,
    names: tuple[str, ...],
    told: Mapping[str, Any],
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import extras_choices, plan_choices
    from tinydeploy.pipeline import shared
    from tinydeploy.pipeline.shared import require_fit_together
    from tinydeploy.report.shared import BuiltFacts, shared_build_document

    options = plan_choices(planning)
    extras = extras_choices(told, len(models))
    with progress() as stage:
        stage("reading the models")
        read = [pipeline.load(model) for model in models]
        found = find_board(board)
        stage("planning")
        planned = shared.plan_together(read, found, options, names=names)
        if any(pipeline.model_path(model) is None for model in models):
            shared.generate_together(planned)  # a network, which has no weights: it refuses
        require_fit_together(planned, hint="`tinydeploy plan` says which of them decides")
        stage("compiling")
        built = shared.build_together(planned, output, toolchain=toolchain, extras=extras)
    image = built.image
    facts = BuiltFacts(
        folder=str(output),
        files=tuple(sorted(built.bundle.files)),
        elf=str(image.elf),
        toolchain=image.toolchain,
        weights_bytes={library.name: built.constant_bytes_of(library) for library in built.bundle.libraries},
        code_bytes=built.code_bytes,
        static_bytes=image.static_bytes,
    )
    chosen = {"board": board, "name": names, "toolchain": toolchain, **told, **pipeline.describe(options)}
    emit(shared_build_document(planned, facts, provenance(chosen, {"toolchain": image.toolchain})), format_)
