"""`export`: the whole way, from what the user named to the files of the folder and what the report says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tinydeploy.boards import Board
from tinydeploy.codegen import Extras
from tinydeploy.convert.types import ConvertOptions, EvaluationSet
from tinydeploy.errors import UnsupportedModelError, UsageError
from tinydeploy.operators.base import printable
from tinydeploy.pipeline.exporting.for_tflm import for_tflm
from tinydeploy.pipeline.exporting.int8 import Int8Model, evaluate_int8, evaluation_set, make_int8
from tinydeploy.pipeline.exporting.library import identified, package_library
from tinydeploy.pipeline.exporting.on_board import OnBoard, answer_on_board
from tinydeploy.pipeline.options import PlanOptions
from tinydeploy.pipeline.planning import plan_model, require_fit
from tinydeploy.pipeline.shared import plan_together, require_fit_together
from tinydeploy.plan.tflm import KernelSet
from tinydeploy.report.exports import BoardFacts, ExportFacts, written
from tinydeploy.report.plans import Planned
from tinydeploy.report.shared import PlannedTogether
from tinydeploy.report.tflm_exports import TflmFacts

if TYPE_CHECKING:
    from tinydeploy.export.packages import Form

Runtime = Literal["tinydeploy", "tflm"]
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class ExportOptions:
    """What a user may choose. `forms`: of the package, none for no package. `extras`: one for each model. `names`: C
    prefixes and the file's name, one for each model or none. `on_board`: have the emulated board answer the evaluation
    data, too. `verify`: check what is made for TensorFlow Lite Micro on this computer. `command`: what the model card
    gives as the way to make all of it again, word by word."""

    convert: ConvertOptions
    plan: PlanOptions
    board: Board | None = None
    forms: tuple[Form, ...] = ()
    version: str | None = None
    runtime: Runtime = "tinydeploy"
    kernels: KernelSet = "cmsis-nn"
    extras: tuple[Extras, ...] = (Extras(),)
    names: tuple[str, ...] = ()
    on_board: bool = False
    verify: bool = True
    toolchain: str | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """The files of the folder, by relative path, and what there is to tell. `why_not`: what the board was asked for
    cannot be said, since tinydeploy's runtime will not run the model."""

    files: Mapping[str, str | bytes]
    facts: ExportFacts
    tools: Mapping[str, str]
    why_not: UnsupportedModelError | None = None


def export(
    texts: Sequence[str], folder: str, options: ExportOptions, stage: Callable[[str], None] = lambda _: None
) -> Exported:
    """Everything but writing the files. `folder`: what the report calls the place. `stage` is told what goes on.

    Raises what the stages raise, `UsageError` for options that do not go together, `GateError` for a package of what
    does not fit the board. A converted model that does not fit is no error here.
    """
    stage("reading the model" if len(texts) == 1 else "reading the models")
    _check_usage(len(texts), options)
    found = [_int8(text, options, stage) for text in texts]
    model, *more = found
    data = _evaluation_data(model, options)
    evaluation = evaluate_int8(model, data) if data is not None and model.converted is None else None
    planned, why_not = _planned(found, options, stage)
    answers = _answers(planned, model, data, options, stage)
    files: dict[str, str | bytes] = {}
    tflm = None
    if options.runtime == "tflm":
        stage("placing tensors for TensorFlow Lite Micro")
        tflm, made = for_tflm(model, options, stage)
        files |= made
    elif options.forms:
        stage("writing the library")
        files |= _package(planned, found, options)
    if model.converted is not None and not more and options.runtime != "tflm":
        files[f"{options.names[0] if options.names else model.source.name}.tflite"] = model.data
    files |= _cards(found, planned, answers, tflm, options)
    facts = ExportFacts(
        folder=folder,
        files=(),
        models=tuple(each.model for each in found),
        converted=model.converted,
        evaluation=evaluation,
        planned=planned,
        unplanned=why_not.message if why_not is not None else "",
        forms=options.forms,
        on_board=_board_facts(answers),
        tflm=tflm,
    )
    return Exported(files, replace(facts, files=written(files)), answers.tools if answers is not None else {}, why_not)


def _check_usage(models: int, options: ExportOptions) -> None:
    """Options that do not go together. Raises `UsageError`."""
    tflm, convert = options.runtime == "tflm", options.convert
    if models > 1 and (tflm or not options.forms):
        raise UsageError(
            f"{models} models at once are for --package, as libraries that share one arena", hint="export them apart"
        )
    if models > 1 and (convert.calibration is not None or convert.evaluate is not None):
        raise UsageError("--calibration and --evaluate are for one model", hint="convert each by itself first")
    if len(options.names) not in (0, models):
        raise UsageError(f"{len(options.names)} names for {models} models", hint="--name once for each, in order")
    if tflm and options.forms:
        raise UsageError("--package is for tinydeploy's own runtime", hint="--runtime tflm writes a folder of its own")
    if options.forms and options.board is None:
        raise UsageError("a package is planned for a board", hint="--board, see `tinydeploy boards`")
    if options.on_board and (options.board is None or convert.evaluate is None):
        raise UsageError("--on-board needs --board, and --evaluate for what to ask it")


def _int8(text: str, options: ExportOptions, stage: Callable[[str], None]) -> Int8Model:
    """Raises `UsageError` for a model that is int8 already and of which nothing is to be made."""
    int8 = make_int8(text, options.convert, on_convert=lambda: stage(f"converting {printable(text, 60)}"))
    if int8.converted is None and not options.forms and options.runtime != "tflm":
        raise UsageError(
            f"{printable(text)} is int8 already: what is to be made of it?",
            hint="--package writes the C library for a build system, --runtime tflm what TensorFlow Lite Micro takes",
        )
    return int8


def _evaluation_data(int8: Int8Model, options: ExportOptions) -> EvaluationSet | None:
    """Where it is needed here: a conversion has answered it already."""
    spec = options.convert.evaluate
    if spec is None or not (options.on_board or int8.converted is None):
        return None
    return evaluation_set(int8, spec, options.convert.pixels)


def _planned(
    found: Sequence[Int8Model], options: ExportOptions, stage: Callable[[str], None]
) -> tuple[Planned | PlannedTogether | None, UnsupportedModelError | None]:
    """The plan for the board, or why there is none: TensorFlow Lite Micro may run what the library does not."""
    if options.board is None or (options.runtime == "tflm" and not options.on_board):
        return None, None
    stage("planning")
    models = [each.model for each in found]
    if len(models) > 1:
        return plan_together(models, options.board, options.plan, names=options.names), None
    try:
        return plan_model(models[0], options.board, options.plan), None
    except UnsupportedModelError as error:
        why_not = _by_layer(found[0], options.board, error)
        if options.forms or options.on_board:
            raise why_not from error
        return None, why_not


def _by_layer(int8: Int8Model, board: Board, error: UnsupportedModelError) -> UnsupportedModelError:
    """The same with the layers' names and remedies, which a plan does not know."""
    from tinydeploy.convert.obstacles.refusals import refusal

    obstacles = int8.converted.obstacles if int8.converted is not None else ()
    return refusal(printable(int8.source.text, 400), obstacles, f"on {board.id}") if obstacles else error


def _answers(
    planned: Planned | PlannedTogether | None,
    int8: Int8Model,
    data: EvaluationSet | None,
    options: ExportOptions,
    stage: Callable[[str], None],
) -> OnBoard | None:
    if not options.on_board or data is None:
        return None
    assert isinstance(planned, Planned)
    require_fit(planned)
    stage("answering on the board")
    return answer_on_board(planned, int8, data, toolchain=options.toolchain)


def _cards(
    found: Sequence[Int8Model],
    planned: Planned | PlannedTogether | None,
    answers: OnBoard | None,
    tflm: TflmFacts | None,
    options: ExportOptions,
) -> Mapping[str, str]:
    """MODEL_CARD.md, or one for each of several models."""
    from tinydeploy.pipeline.exporting.card import Chosen, library_card, tflm_card

    chosen = Chosen(options.board, options.command)
    if tflm is not None:
        return {CARD: tflm_card(found[0], tflm.plan, options.extras[0], chosen)}
    if isinstance(planned, PlannedTogether):
        members = zip(planned.names, found, planned.members, options.extras, strict=True)
        return {
            f"MODEL_CARD_{name}.md": library_card(int8, member, None, extras, chosen, planned)
            for name, int8, member, extras in members
        }
    return {CARD: library_card(found[0], planned, answers, options.extras[0], chosen)}


def _board_facts(answers: OnBoard | None) -> BoardFacts | None:
    if answers is None:
        return None
    return BoardFacts(answers.samples, answers.same, answers.correct, answers.ran.instructions, answers.against)


def _package(
    planned: Planned | PlannedTogether | None, found: Sequence[Int8Model], options: ExportOptions
) -> Mapping[str, str]:
    assert planned is not None
    if isinstance(planned, PlannedTogether):
        require_fit_together(planned)
    else:
        require_fit(planned)
    extras = [identified(each, int8) for each, int8 in zip(options.extras, found, strict=True)]
    name = options.names[0] if options.names else None
    return package_library(planned, options.forms, extras, name=name, version=options.version)[1]
