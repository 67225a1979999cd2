"""What else the arena of a plan could be: elsewhere, and with other options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tinydeploy.operators.base import rows_of
from tinydeploy.pipeline.options import PlanOptions
from tinydeploy.pipeline.planning import find_tensors, plan_prepared
from tinydeploy.plan import Plan
from tinydeploy.plan.tflm import predict_tflm_arena
from tinydeploy.report.comparison import Comparison, WhatIf
from tinydeploy.report.plans import Planned
from tinydeploy.transform import Prepared, prepare


def compare_plans(planned: Planned, options: PlanOptions) -> Comparison:
    """What else the arena could be: under TensorFlow Lite Micro, with whole tensors, and with options not chosen."""
    core = planned.board.core
    original = planned.prepared.original
    whole = replace(options, execution="whole", feed_rows=False)
    rival = planned.plan if planned.plan.execution == "whole" else plan_prepared(planned.prepared, whole)
    return Comparison(
        whole_bytes=rival.arena_bytes,
        tflm=predict_tflm_arena(original, kernels="reference", core=core),
        cmsis_nn=predict_tflm_arena(original, kernels="cmsis-nn", core=core),
        what_ifs=tuple(_what_ifs(planned, options)),
    )


def _what_ifs(planned: Planned, options: PlanOptions) -> Iterator[WhatIf]:
    """Each planned and validated like the plan itself."""
    model = planned.model
    if options.execution == "whole":
        yield _what_if(planned.prepared, replace(options, execution="streamed"), "--execution streamed", "row by row")
        return
    may_feed = not options.feed_rows and any(rows_of(model.tensor(t))[0] > 1 for t in model.inputs)
    if may_feed:
        changed = replace(options, feed_rows=True)
        yield _what_if(planned.prepared, changed, "--feed-rows", "with the input handed over row by row")
    if options.io == "model":
        prepared = prepare(planned.prepared.original, io="int8", keep=find_tensors(model, options.keep))
        if (prepared.model.inputs, prepared.model.outputs) != (model.inputs, model.outputs):
            changed = replace(options, io="int8")
            yield _what_if(prepared, changed, "--io int8", "with int8 at the ends")
            if may_feed:
                changed = replace(changed, feed_rows=True)
                yield _what_if(prepared, changed, "--io int8 --feed-rows", "with int8 handed over row by row")
    cut = cut_at_the_peak(planned.plan)
    if cut is not None:
        plan = plan_prepared(planned.prepared, options, cut_after=(cut,))
        yield WhatIf(f"cut after operator {cut}", "were that result kept whole", plan.arena_bytes)


def _what_if(prepared: Prepared, options: PlanOptions, option: str, change: str) -> WhatIf:
    return WhatIf(option, change, plan_prepared(prepared, options).arena_bytes)


def cut_at_the_peak(plan: Plan) -> int | None:
    """The operator in the middle of the segment that makes the peak; None where no segment does."""
    for segment in plan.segments:
        if segment.first <= plan.peak.step < segment.end:
            return segment.operators[(len(segment.operators) - 1) // 2]
    return None
