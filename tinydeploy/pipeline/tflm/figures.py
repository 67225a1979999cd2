"""What a report tells of a run on TensorFlow Lite Micro beside one of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinydeploy.plan.tflm.arena import as_in_file
from tinydeploy.report.runs import RunFacts, VerifiedFacts
from tinydeploy.report.runtimes import BesideLayer, TflmFacts

if TYPE_CHECKING:
    from tinydeploy.emulate import RunResult
    from tinydeploy.pipeline.running import Ran
    from tinydeploy.pipeline.tflm.running import TflmRan


def tflm_facts(
    ran: TflmRan,
    ours: Ran,
    verified: VerifiedFacts | None,
    *,
    whence: str,
    not_verified: str = "",
    same_without_placement: bool | None = None,
) -> TflmFacts:
    """`ran` and `ours` are runs of the same model on the same samples; `whence` says in words where those came from."""
    built, planned, image = ran.built, ran.built.planned, ran.built.image
    return TflmFacts(
        run=RunFacts(
            samples=len(ran.results),
            inputs=whence,
            instructions=ran.instructions,
            cycles=ran.cycles,
            cycles_kind=ran.worst.cycles_kind,
            seconds_emulating=sum(result.seconds for result in ran.results),
            arena_watermark_bytes=ran.arena_watermark,
            stack_watermark_bytes=ran.stack_watermark,
            static_bytes=image.static_bytes - built.results_bytes,
            weights_bytes=built.model_bytes,
            code_bytes=image.flash_bytes - built.model_bytes,
            layers=ran.instructions_by_operator,
            layer_cycles=ran.cycles_by_operator,
            functions=ran.worst.instructions_by_function,
        ),
        library=built.library.archive.name,
        library_sha256=hashlib.sha256(built.library.archive.read_bytes()).hexdigest(),
        kernels=planned.plan.kernels,
        arena_bytes=built.arena_bytes,
        predicted_bytes=planned.arena.total_bytes,
        unknown=planned.arena.unknown,
        used_bytes=ran.used_bytes,
        interpreter_instructions=ran.interpreter_instructions,
        setup_instructions=_before(ran.worst),
        our_setup_instructions=_before(ours.worst),
        layers=tuple(_layers(ran, ours)),
        verified=verified,
        not_verified=not_verified,
        same_without_placement=same_without_placement,
    )


def _before(result: RunResult) -> int:
    """Instructions from reset to the first marker."""
    return result.instructions - sum(result.instructions_by_step.values())


def _layers(ran: TflmRan, ours: Ran) -> Iterator[BesideLayer]:
    """The operators of the file, as TFLM runs them; those of ours that make the same tensor are the same."""
    model = ran.built.planned.model
    counts, own = ran.instructions_by_operator, ours.instructions_by_operator
    by_output = {op.outputs[0]: own[op.index] for op in ours.built.planned.model.operators if op.outputs}
    for op in as_in_file(model).operators:
        made = by_output.get(op.outputs[0]) if op.outputs else None
        yield BesideLayer(op.index, op.opcode, model.layer_name(op), counts.get(op.index), made)
