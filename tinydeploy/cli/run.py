"""`tinydeploy run`: build a model, run it on an emulated board, and compare its outputs with the reference's."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tinydeploy.cli.common import (
    ModelType,
    board_option,
    emit,
    format_option,
    plan_options,
    progress,
    provenance,
    toolchain_option,
)
from tinydeploy.cli.emulators import emulator_options, make_emulator
from tinydeploy.cli.runtimes import TflmChoice, raise_on_tflm_difference, run_on_tflm, runtime_options
from tinydeploy.cli.watching import (
    announce,
    check_trace,
    gdb_option,
    open_server,
    save_trace,
    trace_facts,
    trace_option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from tinydeploy.ir import Model
    from tinydeploy.pipeline import Ran
    from tinydeploy.pipeline.emulators import EmulatorChoice
    from tinydeploy.report.runs import OutputFacts, VerifiedFacts
    from tinydeploy.verify import ReferenceRun, Sample, Verification


@click.command("run", short_help="Run and verify on an emulated board.")
@click.argument("model", metavar="MODEL", required=False, type=ModelType())
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
@runtime_options
@plan_options
@click.option("--output", type=click.Path(path_type=Path), default=None, metavar="DIR", help="Write outputs as .npy.")
@emulator_options
@click.option(
    "--elf",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Run firmware of your own instead of a model, as `emulate` does.",
)
@trace_option
@gdb_option
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str | None,
    board: str,
    inputs: tuple[str, ...],
    seed: int,
    samples: int,
    verify: bool,
    layers: bool,
    toolchain: str | None,
    tflm: TflmChoice | None,
    planning: Mapping[str, Any],
    output: Path | None,
    choice: EmulatorChoice,
    elf: Path | None,
    trace: Path | None,
    gdb: int | None,
    format_: str,
) -> None:
    """Run a model on an emulated board: outputs, exact instruction counts, memory watermarks, bit-exactness.

    \b
    Example:
      tinydeploy run kws.tflite --board stm32f746
    """
    if elf is not None:
        _run_firmware(ctx, elf, board, choice, trace, gdb, format_)
        return
    if model is None:
        raise click.MissingParameter(ctx=ctx, param=next(p for p in ctx.command.params if p.name == "model"))
    _check_options(ctx, inputs, verify, layers)
    check_trace(trace)
    if tflm is not None:
        _check_runtime(tflm, trace, gdb, toolchain)
    from tinydeploy import pipeline
    from tinydeploy.boards import find_board
    from tinydeploy.cli.planning import plan_choices
    from tinydeploy.errors import UsageError
    from tinydeploy.pipeline.planning import require_fit
    from tinydeploy.pipeline.tflm.figures import tflm_facts
    from tinydeploy.report.runs import run_document
    from tinydeploy.report.runtimes import with_tflm
    from tinydeploy.resources import firmware_dir
    from tinydeploy.transform import original_inputs, original_outputs
    from tinydeploy.verify import compare, load_inputs, raise_on_difference, random_inputs

    options = plan_choices(planning)
    scratch = tempfile.TemporaryDirectory(prefix="tinydeploy-")
    with progress() as stage, scratch as folder, open_server(gdb) as server:
        stage("reading the model")
        read = pipeline.load(model)
        found = find_board(board)
        stage("planning")
        planned = pipeline.plan_model(read, found, options)
        path = pipeline.model_path(model)
        if path is None:
            pipeline.generate_library(planned)  # a network, which has no weights: it refuses
        require_fit(planned, hint="`tinydeploy plan` names the tensors to blame")
        using = make_emulator(choice, found, debugger=server, trace=trace is not None)
        if output is not None:
            _make_folder(output)
        given = load_inputs(planned.model, inputs) if inputs else random_inputs(planned.model, seed, samples)
        if server is not None and len(given) > 1:
            raise UsageError(f"--gdb debugs one run, and {len(given)} samples are {len(given)} runs")
        asked = [original_inputs(read, planned.model, sample) for sample in given]
        answers = _ask_references(path, read, asked, layers) if path and verify else None
        stage("compiling")
        built = pipeline.build_image(using.fitted(planned), Path(folder), toolchain=toolchain)
        stage("emulating" if server is None else None)
        if server is not None:
            announce(server, built.image.elf, Path(folder), firmware_dir().parent)
        ran = pipeline.run_model(built, using.emulator, given, layers=layers, trace=trace is not None)
        stage("comparing with the reference")
        runs, why_not = _wait(answers, layers)
        answered = [original_outputs(read, planned.model, sample) for sample in ran.outputs]
        verification = compare(read, answered, runs) if runs else None
        beside = None
        if tflm is not None and path is not None:
            stage("running on TensorFlow Lite Micro")
            beside = run_on_tflm(
                tflm,
                read,
                path.read_bytes(),
                using.fitted(planned),
                using.emulator,
                asked,
                Path(folder) / "tflm",
                runs=runs,
                toolchain=toolchain,
                stack_bytes=options.stack_bytes,
            )
    files = _write_outputs(output, planned.model, ran) if output is not None else ()
    tools = {"toolchain": built.image.toolchain, "emulator": using.version}
    tools |= {run.name: run.version for run in runs}
    chosen = {
        "board": board,
        "input": inputs,
        "seed": None if inputs else seed,
        "samples": None if inputs else samples,
        "layers": layers,
        "toolchain": toolchain,
        "runtime": "tflm" if tflm is not None else None,
        "kernels": tflm.kernels if tflm is not None else None,
        **pipeline.describe(options),
    }
    told = provenance(chosen, tools)
    whence = "given: " + ", ".join(inputs) if inputs else f"random, seed {seed}"
    run = pipeline.run_facts(ran, whence)
    document = run_document(
        planned,
        run,
        _output_facts(planned.model, ran, files),
        _verified(verification),
        told,
        not_verified=why_not,
    )
    if beside is not None:
        facts = tflm_facts(
            beside.ran,
            ran,
            _verified(beside.verification),
            whence=whence,
            not_verified=why_not,
            same_without_placement=beside.same_without_placement,
        )
        document = with_tflm(document, run, planned.plan.arena_bytes, facts)
    emit(document, format_)
    if trace is not None:
        save_trace(trace, pipeline.timeline_of_run(ran, trace_facts(told, model=planned.model.sha256)))
    if verification is not None:
        raise_on_difference(read, verification)
    if beside is not None:
        raise_on_tflm_difference(read, beside)


_OF_FIRMWARE = frozenset(["elf", "board", "emulator", "renode", "repl", "trace", "gdb", "format_"])


def _run_firmware(
    ctx: click.Context,
    elf: Path,
    board: str,
    choice: EmulatorChoice,
    trace: Path | None,
    gdb: int | None,
    format_: str,
) -> None:
    """--elf: what `emulate` does, which has nothing to plan, to build or to compare."""
    from tinydeploy.cli.emulate import emulate_firmware

    for parameter in ctx.command.params:
        name = str(parameter.name)
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and name not in _OF_FIRMWARE:
            what = "MODEL" if name == "model" else parameter.opts[0]
            raise click.UsageError(f"{what} is for a model, and --elf runs firmware.", ctx)
    emulate_firmware(elf, board, choice, trace=trace, gdb=gdb, format_=format_)


def _check_options(ctx: click.Context, inputs: tuple[str, ...], verify: bool, layers: bool) -> None:
    for name in ("seed", "samples"):
        if inputs and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for made-up inputs, and --input gives them.", ctx)
    if layers and not verify:
        raise click.UsageError("--layers is for the comparison that --no-verify skips.", ctx)


def _check_runtime(tflm: TflmChoice, trace: Path | None, gdb: int | None, toolchain: str | None) -> None:
    """Look at the library, and whether the compiler can link it, before any work."""
    from tinydeploy.toolchain import find_toolchain

    for given, option in ((trace, "--trace"), (gdb, "--gdb")):
        if given is not None:
            raise click.UsageError(f"{option} is for one runtime, and --runtime tflm runs two.")
    tflm.library()
    find_toolchain(toolchain).library_flags()


def _ask_references(
    path: Path, model: Model, given: Sequence[Sample], layers: bool
) -> Future[tuple[ReferenceRun, ...]]:
    """Start the reference interpreters: they have processes of their own, and answer while the image is built."""
    from concurrent.futures import ThreadPoolExecutor

    from tinydeploy.verify import reference_outputs

    pool = ThreadPoolExecutor(max_workers=1)
    answers = pool.submit(reference_outputs, model, path.read_bytes(), given, layers=layers)
    pool.shutdown(wait=False)
    return answers


def _wait(answers: Future[tuple[ReferenceRun, ...]] | None, layers: bool) -> tuple[tuple[ReferenceRun, ...], str]:
    """What the references answered, or why there is nothing; who asks for --layers insists on a comparison."""
    from tinydeploy.errors import MissingToolError

    if answers is None:
        return (), "--no-verify"
    try:
        return answers.result(), ""
    except MissingToolError as error:
        if layers:
            raise
        return (), f"{error.message} ({error.hint})"


def _output_facts(model: Model, ran: Ran, files: Sequence[str]) -> tuple[OutputFacts, ...]:
    import hashlib

    from tinydeploy.report.runs import OutputFacts

    found = []
    for position, index in enumerate(model.outputs):
        tensor = model.tensor(index)
        digest = hashlib.sha256()
        for sample in ran.outputs:
            digest.update(sample[index].astype(sample[index].dtype.newbyteorder("<")).tobytes())
        file = files[position] if files else None
        found.append(OutputFacts(tensor.name, digest.hexdigest(), tensor.dtype.label, tensor.shape, file))
    return tuple(found)


def _verified(verification: Verification | None) -> VerifiedFacts | None:
    from tinydeploy.report.runs import DifferenceFacts, VerifiedFacts

    if verification is None:
        return None
    at = verification.first_difference
    first = (
        None
        if at is None
        else DifferenceFacts(at.sample, at.operator, at.opcode, at.tensor_name, at.index, at.ours, at.reference)
    )
    return VerifiedFacts(
        against=verification.against,
        bit_exact=verification.bit_exact,
        inputs=verification.inputs,
        tensors=verification.tensors,
        differing=verification.differing,
        elements=verification.elements,
        max_abs=verification.max_abs,
        first_difference=first,
        second=verification.second,
        second_agrees=verification.second_agrees,
    )


def _make_folder(folder: Path) -> None:
    """Made before the work, so that a mistake costs none of it."""
    from tinydeploy.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from error


def _write_outputs(folder: Path, model: Model, ran: Ran) -> tuple[str, ...]:
    """One .npy for each output, in the model's order; several samples get one more leading axis."""
    import numpy as np

    from tinydeploy.codegen import c_identifier
    from tinydeploy.errors import UsageError

    names = []
    try:
        for position, index in enumerate(model.outputs):
            arrays = [sample[index] for sample in ran.outputs]
            path = folder / f"{position}_{c_identifier(model.tensor(index).name, 'output')[:60]}.npy"
            np.save(path, arrays[0] if len(arrays) == 1 else np.stack(arrays))
            names.append(str(path))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from error
    return tuple(names)
