"""`tinydeploy export`: a model as int8, as a library in a package, or for TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tinydeploy.cli.common import (
    BoardType,
    emit,
    extras_options,
    format_option,
    models_argument,
    progress,
    provenance,
    shape_options,
    toolchain_option,
)

if TYPE_CHECKING:
    from tinydeploy.convert.types import Activations, Ends
    from tinydeploy.export.packages import Form
    from tinydeploy.pipeline.exporting.export import Runtime
    from tinydeploy.plan.tflm import KernelSet

_NOT_MADE_OF = frozenset({"output", "force", "format_", "toolchain"})
FORMS: tuple[Form, ...] = (
    "c",
    "platformio",
    "arduino",
    "zephyr",
    "esp-idf",
    "cmsis-pack",
)  # a test holds them to the export's own


@click.command("export", short_help="To int8, to a package, or to TFLM.")
@models_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where all of it goes."
)
@click.option("--board", metavar="BOARD", type=BoardType(), default=None, help="Does it fit? Needed for --package.")
@click.option(
    "--calibration",
    metavar="DATA",
    help="Samples of what the model will see: a .npz, a folder of .npy or of images, or module:function.",
)
@click.option(
    "--calibration-samples",
    "most_samples",
    type=click.IntRange(2, 100_000),
    default=256,
    show_default=True,
    metavar="N",
    help="The most samples that are used, evenly spread over what there is.",
)
@click.option(
    "--evaluate", metavar="DATA", help="Data as for --calibration, with labels if there are any: how good is it?"
)
@click.option("--on-board", is_flag=True, help="Answer the --evaluate data on the emulated board, too.")
@click.option(
    "--activations",
    type=click.Choice(["int8", "int16"]),
    default="int8",
    show_default=True,
    help="int16: twice the memory for less loss; for TensorFlow Lite Micro alone.",
)
@click.option("--per-tensor", "per_channel", flag_value=False, default=True, help="One scale for all of a weight.")
@click.option(
    "--package",
    "packages",
    type=click.Choice([*FORMS, "all"]),
    multiple=True,
    help="Write the C library as a package. Repeatable: one folder can be several.",
)
@click.option("--package-version", metavar="X.Y.Z", default=None, help="The package's version. Default: 1.0.0.")
@click.option(
    "--runtime",
    type=click.Choice(["tinydeploy", "tflm"]),
    default="tinydeploy",
    show_default=True,
    help="tflm: what a TensorFlow Lite Micro firmware takes, with our placement inside the model.",
)
@click.option(
    "--kernels",
    type=click.Choice(["reference", "cmsis-nn"]),
    default="cmsis-nn",
    show_default=True,
    help="The kernels that TensorFlow Lite Micro is built with: they decide about scratch memory.",
)
@click.option("--force", is_flag=True, help="Write over files in DIR that no export wrote, or that were changed since.")
@click.option("--no-verify", "verify", flag_value=False, default=True, help="No check on TFLM on this computer.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name of the file and prefix of everything in C. Default: from the model's name. With several models once "
    "for each.",
)
@extras_options
@toolchain_option
@click.option(
    "--io",
    "ends",
    type=click.Choice(["int8", "float"]),
    default=None,
    help="What the application gives and gets. Default: int8 for float models, else as the model has it.",
)
@shape_options
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    models: tuple[str, ...],
    output: Path,
    board: str | None,
    calibration: str | None,
    most_samples: int,
    evaluate: str | None,
    on_board: bool,
    activations: Activations,
    per_channel: bool,
    packages: tuple[str, ...],
    package_version: str | None,
    runtime: Runtime,
    kernels: KernelSet,
    verify: bool,
    force: bool,
    names: tuple[str, ...],
    told: Mapping[str, Any],
    toolchain: str | None,
    ends: Ends | None,
    planning: Mapping[str, Any],
    format_: str,
) -> None:
    """Write a model into DIR: as int8, if it is not, as a library in a package, or for TensorFlow Lite Micro.

    MODEL is a .keras or .h5 file, a SavedModel, module:function that returns a Keras model, an .onnx file, a float
    .tflite, or a model that is int8 already.

    \b
    Example:
      tinydeploy export net.keras --calibration samples.npz --board stm32f746 --package c -o net_lib
    """
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import extras_choices, plan_choices
    from tinydeploy.convert.types import ConvertOptions
    from tinydeploy.errors import GateError
    from tinydeploy.operators.base import printable
    from tinydeploy.pipeline.exporting import ExportOptions, export
    from tinydeploy.pipeline.exporting.folder import write_export
    from tinydeploy.pipeline.planning import require_fit
    from tinydeploy.report.exports import export_document
    from tinydeploy.report.plans import Planned

    extras = extras_choices(told, len(models))
    options = ExportOptions(
        convert=ConvertOptions(
            calibration=calibration,
            evaluate=evaluate,
            ends=ends or "int8",
            activations=activations,
            per_channel=per_channel,
            most_samples=most_samples,
            pixels=extras[0].pixels,
        ),
        plan=plan_choices({**planning, "io": "int8" if ends == "int8" else "model"}),
        board=find_board(board) if board is not None else None,
        forms=FORMS if "all" in packages else tuple(form for form in FORMS if form in packages),
        version=package_version,
        runtime=runtime,
        kernels=kernels,
        extras=extras,
        names=names,
        on_board=on_board,
        verify=verify,
        toolchain=toolchain,
        command=_words(ctx),
    )
    with progress() as stage:
        made = export(models, str(output), options, stage)
        gone = write_export(made.files, output, force=force)
    chosen = {
        "board": board,
        "calibration": calibration,
        "evaluate": evaluate,
        "activations": activations,
        "package": packages,
        "runtime": runtime,
        "kernels": kernels if runtime == "tflm" else None,
        "name": names,
        **told,
        **pipeline.describe(options.plan),
    }
    facts = replace(made.facts, notes=tuple(f"gone, left from an earlier export: {path}" for path in gone))
    emit(export_document(facts, provenance(chosen, made.tools)), format_)
    if made.why_not is not None:
        raise made.why_not
    if isinstance(made.facts.planned, Planned):
        require_fit(made.facts.planned, hint="`tinydeploy plan` names the tensors to blame")
    tflm = made.facts.tflm
    if tflm is not None and tflm.room is not None and tflm.room.why_not():
        raise GateError(f"{printable(models[0], 200)} does not fit {tflm.room.board}: {tflm.room.why_not()}")


def _words(ctx: click.Context) -> tuple[str, ...]:
    """What makes the same again: the command line with what the configuration adds to it, but for where files go and
    what is shown."""
    words = ["tinydeploy", "export", *ctx.params["models"]]
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if isinstance(parameter, click.Argument) or name in _NOT_MADE_OF or name not in ctx.params:
            continue
        if ctx.get_parameter_source(name) in (None, ParameterSource.DEFAULT):
            continue
        value = ctx.params[name]
        for each in value if isinstance(value, tuple) else (value,):
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            words += [parameter.opts[0]] if is_flag else [parameter.opts[0], str(each)]
    return tuple(words)
