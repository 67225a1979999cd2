"""`MODEL_CARD.md` of what is exported, from all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.boards import Board
from tinydeploy.codegen import Extras
from tinydeploy.convert.types import ConvertOptions
from tinydeploy.export.card import model_card
from tinydeploy.export.types import CardFacts
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.pipeline.exporting.on_board import OnBoard
from tinydeploy.pipeline.figures import Figure, figures_of
from tinydeploy.plan.tflm import OfflinePlan
from tinydeploy.report.plans import Planned


def library_card(
    int8: Int8Model,
    planned: Planned | None,
    answers: OnBoard | None,
    *,
    board: Board | None,
    convert: ConvertOptions,
    extras: Extras,
    command: tuple[str, ...],
) -> str:
    """The card of a model alone, or of its C library for `board`; a plan that fits no board has no figures."""
    figures: Mapping[str, Figure] = {}
    tools: Mapping[str, str] = {}
    if planned is not None:
        built, ran = (answers.ran.built, answers.ran) if answers is not None else (None, None)
        figures = figures_of(planned, built, ran)
    if answers is not None:
        tools = {"toolchain": answers.ran.built.image.toolchain, "emulator": answers.emulator}
    return model_card(
        CardFacts(
            name=int8.model.name,
            model=int8.model,
            sha256=int8.model.sha256,
            file_bytes=len(int8.data),
            runtime="tinydeploy",
            converted=int8.converted,
            options=convert,
            board=board,
            figures=figures,
            plan=_plan(planned),
            labels=extras.labels,
            command=command,
            tools=tools,
            remarks=_answered(answers),
        )
    )


def tflm_card(
    int8: Int8Model,
    plan: OfflinePlan,
    *,
    board: Board | None,
    convert: ConvertOptions,
    extras: Extras,
    command: tuple[str, ...],
) -> str:
    """The card of a model that is exported for TensorFlow Lite Micro."""
    arena = plan.arenas[plan.kernels]
    sizes = {
        "arena_bytes": arena.arena_bytes,
        "activations_bytes": arena.nonpersistent_bytes,
        "persistent_bytes": arena.persistent_bytes,
    }
    return model_card(
        CardFacts(
            name=int8.model.name,
            model=int8.model,
            sha256=int8.model.sha256,
            file_bytes=len(int8.data),
            runtime="tflm",
            converted=int8.converted,
            options=convert,
            board=board,
            figures={name: Figure(size, "computed") for name, size in sizes.items()},
            plan=(("placement", f"OfflineMemoryAllocation metadata, for {plan.kernels} kernels on 32-bit targets"),),
            labels=extras.labels,
            command=command,
            remarks=("The hash is that of the model without the placement; manifest.json has that of the file here.",),
        )
    )


def _plan(planned: Planned | None) -> tuple[tuple[str, str], ...]:
    if planned is None:
        return ()
    found: list[tuple[str, str]] = [("execution", planned.plan.execution)]
    found += [("inputs", "handed over row by row")] if planned.plan.fed else []
    return tuple(found)


def _answered(answers: OnBoard | None) -> tuple[str, ...]:
    if answers is None:
        return ()
    told = f"On the emulated board {answers.same} of {answers.samples} evaluation samples gave the same bytes as "
    told += f"{answers.against}"
    return (f"{told}; {answers.correct} answers were right." if answers.correct is not None else f"{told}.",)
