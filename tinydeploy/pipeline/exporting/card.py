"""`MODEL_CARD.md` of what is exported, from all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinydeploy.boards import Board
from tinydeploy.codegen import Extras
from tinydeploy.export.card import model_card
from tinydeploy.export.types import CardFacts
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.pipeline.exporting.on_board import OnBoard
from tinydeploy.pipeline.figures import Figure, figures_of
from tinydeploy.plan.tflm import OfflinePlan
from tinydeploy.report.document import number
from tinydeploy.report.plans import Planned
from tinydeploy.report.shared import PlannedTogether


@dataclass(frozen=True)
class Chosen:
    """What the user chose, as far as a card tells it; `command` is what makes all of it again, word by word."""

    board: Board | None
    command: tuple[str, ...]


def library_card(
    int8: Int8Model,
    planned: Planned | None,
    answers: OnBoard | None,
    extras: Extras,
    chosen: Chosen,
    together: PlannedTogether | None = None,
) -> str:
    """The card of a model alone, or of its C library for a board; without a plan it has no figures.

    `together`: the models that share an arena, where it is one of them.
    """
    facts = _facts(int8, extras, chosen)
    if planned is not None:
        built, ran = (answers.ran.built, answers.ran) if answers is not None else (None, None)
        facts = replace(facts, figures=figures_of(planned, built, ran), plan=(*_plan(planned), *_shared(together)))
    if answers is not None:
        facts = replace(facts, tools=answers.tools, remarks=(_answered(answers),))
    return model_card(facts)


def tflm_card(int8: Int8Model, plan: OfflinePlan, extras: Extras, chosen: Chosen) -> str:
    """The card of a model that is exported for TensorFlow Lite Micro."""
    arena = plan.arenas[plan.kernels]
    sizes = {
        "arena_bytes": arena.arena_bytes,
        "activations_bytes": arena.nonpersistent_bytes,
        "persistent_bytes": arena.persistent_bytes,
    }
    return model_card(
        replace(
            _facts(int8, extras, chosen),
            runtime="tflm",
            figures={name: Figure(size, "computed") for name, size in sizes.items()},
            plan=(("placement", f"OfflineMemoryAllocation metadata, for {plan.kernels} kernels on 32-bit targets"),),
            remarks=("The hash is that of the model without the placement; manifest.json has that of the file here.",),
        )
    )


def _facts(int8: Int8Model, extras: Extras, chosen: Chosen) -> CardFacts:
    return CardFacts(
        name=int8.model.name,
        model=int8.model,
        sha256=int8.model.sha256,
        file_bytes=len(int8.data),
        runtime="tinydeploy",
        converted=int8.converted,
        board=chosen.board,
        labels=extras.labels,
        pixels=extras.pixels,
        command=chosen.command,
    )


def _plan(planned: Planned) -> tuple[tuple[str, str], ...]:
    fed = (("inputs", "handed over row by row"),) if planned.plan.fed else ()
    return (("execution", planned.plan.execution), *fed)


def _shared(together: PlannedTogether | None) -> tuple[tuple[str, str], ...]:
    if together is None:
        return ()
    shared = f"{number(together.arena.arena_bytes)} B shared by {', '.join(together.names)}"
    return (("arena", f"{shared}; the figures are this model's, as if alone"),)


def _answered(answers: OnBoard) -> str:
    told = f"On the emulated board {answers.same} of {answers.samples} evaluation samples gave the same bytes as "
    told += answers.against
    return f"{told}; {answers.correct} answers were right." if answers.correct is not None else f"{told}."
