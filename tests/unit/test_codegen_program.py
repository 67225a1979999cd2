"""What `emit` and `generate` make of a plan: what runs when, how it is announced, and which API there is for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.streamed_plans import streamed_plan
from tinydeploy.catalog import load
from tinydeploy.codegen import emit, executed, generate, marker_of
from tinydeploy.errors import PlanInvalidError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.plan import Plan, make_plan
from tinydeploy.plan.types import FEED, Segment, Step


@pytest.fixture(scope="module", name="digits")
def _digits() -> Model:
    return load("digits")


def text_of(model: Model, plan: Plan, suffix: str) -> str:
    """A file of the library that is named after the model."""
    tree = generate(model, plan, emit(model, plan))
    return tree.files[f"{tree.name}{suffix}"]


def test_each_operator_has_one_call_and_one_table_however_many_steps_it_has(digits: Model) -> None:
    text = text_of(digits, streamed_plan(digits), ".c")
    for op in digits.operators:
        if op.opcode != "RESHAPE":
            assert text.count(f"static const td_{op.opcode.lower()}_t op_{op.index} ") == 1
            assert text.count(f"(&op_{op.index},") == 1
        assert text.count(f"TD_ON_STEP({op.index})") == 1


def test_what_runs_covers_all_rows_in_order_and_leaves_elided_steps_out_of_segments(digits: Model) -> None:
    plan = streamed_plan(digits, feed=True)
    steps = plan.problem.steps
    everything = Segment(0, len(steps), tuple(op.index for op in digits.operators))
    assert [s for s in executed(plan) if s.elided] == [s for s in steps if s.elided] != []
    assert not [s for s in executed(replace(plan, segments=(everything,))) if s.elided]
    assert executed(plan) == steps  # nothing else is left out, and no step here has too many rows for a turn


def test_long_steps_become_several_turns(digits: Model) -> None:
    """63 rows are the most that an entry has room for."""
    plan = streamed_plan(digits)
    long = (Step(0, 0, 150), Step(1, 0, 63))
    cut = replace(plan, problem=replace(plan.problem, steps=long), segments=(Segment(0, 2, (0, 1)),))
    assert executed(cut) == (Step(0, 0, 63), Step(0, 63, 126), Step(0, 126, 150), Step(1, 0, 63))


def test_markers_tell_operators_and_fed_inputs_apart(digits: Model) -> None:
    plan = streamed_plan(digits, feed=True)
    counts = Counter(marker_of(digits, step) for step in executed(plan))
    assert counts[len(digits.operators)] == 8  # the rows of the input
    assert set(counts) == set(range(len(digits.operators) + 1))
    assert f"#define DIGITS_STEPS {len(counts)}\n" in text_of(digits, plan, ".h")


def test_a_fed_input_has_rows_instead_of_a_place(digits: Model) -> None:
    header = text_of(digits, streamed_plan(digits, feed=True), ".h")
    assert "#define DIGITS_INPUT_0_ROWS 8\n" in header and "#define DIGITS_INPUT_0_ROW_BYTES 8\n" in header
    assert "void digits_invoke(void *arena, digits_feed_t feed, void *context);" in header
    assert "digits_input_0(" not in header and "INPUT_0_OFFSET" not in header
    tree = generate(digits, plan := streamed_plan(digits, feed=True), emit(digits, plan))
    assert tree.feed_symbol == "digits_feed_row" and f"void {tree.feed_symbol}(" in tree.files["example/main.c"]


def test_a_stored_input_knows_nothing_of_feeding(digits: Model) -> None:
    tree = generate(digits, plan := streamed_plan(digits), emit(digits, plan))
    assert tree.feed_symbol is None
    own = [text for name, text in tree.files.items() if not name.startswith("runtime/")]
    assert not [text for text in own if "feed" in text]


def test_a_kept_tensor_has_an_accessor(digits: Model) -> None:
    plan = make_plan(digits, solver="builtin")
    tensor = digits.operators[0].outputs[0]
    header = text_of(digits, replace(plan, kept=(tensor,)), ".h")
    assert f"#define DIGITS_KEPT_0_OFFSET {plan.placements[tensor].offset}\n" in header
    assert "static inline int8_t *digits_kept_0(void *arena)" in header
    assert "#define DIGITS_KEPT_0_SHAPE { 1, 8, 8, 16 }\n" in header


@pytest.mark.parametrize("change", [{"ring_rows": 3}, {"row_offsets": tuple(range(0, 64, 8))}])
def test_what_the_application_reaches_must_be_whole(digits: Model, change: dict[str, object]) -> None:
    plan = streamed_plan(digits)
    places = {**plan.placements, 0: replace(plan.placements[0], **change)}  # type: ignore[arg-type]
    with pytest.raises(PlanInvalidError, match="tensor 0 is not whole"):
        text_of(digits, replace(plan, placements=places), ".h")


def test_rows_that_lie_too_far_apart_are_refused(digits: Model) -> None:
    """Places of rows are 16 bits of words: 256 KiB."""
    plan = streamed_plan(digits, scatter=True)
    tensor, place = next((t, p) for t, p in plan.placements.items() if p.row_offsets)

    def with_last_at(distance: int) -> Plan:
        offsets = (0, *place.row_offsets[1:-1], distance)
        return replace(plan, placements={**plan.placements, tensor: replace(place, offset=0, row_offsets=offsets)})

    emit(digits, with_last_at(4 * 65535))
    with pytest.raises(UnsupportedModelError, match="rows that lie 262144 bytes apart"):
        emit(digits, with_last_at(4 * 65536))


def test_equal_tables_of_rows_are_one(digits: Model) -> None:
    """They are relative to the tensor: two rings of the same shape share one."""
    plan = streamed_plan(digits, scatter=True)
    tensors = [p for p in plan.placements.values() if p.row_offsets]
    relative = {tuple((o - p.offset) // 4 for o in p.row_offsets) for p in tensors}
    program = emit(digits, plan)
    assert set(program.row_tables.values()) == relative
    assert len(program.row_tables) == len(relative)


def test_a_segment_of_feeding_only_is_possible(digits: Model) -> None:
    """Rows of an input that nobody reads in the same segment."""
    plan = make_plan(digits, solver="builtin")
    tensor = digits.inputs[0]
    steps = (Step(FEED, 0, 8, feeds=tensor), *plan.problem.steps)
    fed = replace(plan, problem=replace(plan.problem, steps=steps), fed=(tensor,))
    assert "feed(context, 0, (uint32_t)row, td_row(a, &t_0, row));" in text_of(digits, fed, ".c")
