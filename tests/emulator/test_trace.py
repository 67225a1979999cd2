"""Traces: calls, returns and markers as assembly written by hand makes them; of models, what adds up to the counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import BOTH, function, needs_gcc, needs_unicorn, run
from tests.support.slices import sums
from tinydeploy.boards import find_board
from tinydeploy.emulate import RunResult, Trace, UnicornEmulator
from tinydeploy.emulate.trace import edges
from tinydeploy.pipeline import PlanOptions, build_image, load, plan_model, run_model
from tinydeploy.verify import random_inputs

pytestmark = needs_unicorn

MARKER = 0xE000007C


def traced(result: RunResult) -> Trace:
    assert result.trace is not None
    return result.trace


def slices(result: RunResult, outermost: str) -> list[str]:
    """What lies in a function, as lines: depth by blanks, name (`#` and number for a layer), instructions in all."""
    trace, found, stack = traced(result), [], []
    for edge in edges(trace):
        name = f"#{edge.number}" if edge.layer else trace.functions[edge.number]
        if edge.begins:
            stack.append((edge, len(found)))
            found.append(name)
            continue
        begun, position = stack.pop()
        found[position] = " " * len(stack) + f"{found[position]} {edge.instructions - begun.instructions}"
    start = next(i for i, line in enumerate(found) if line.split()[0] == outermost)
    depth = len(found[start]) - len(found[start].lstrip())
    end = next((i for i in range(start + 1, len(found)) if not found[i].startswith(" " * (depth + 1))), len(found))
    return [line[depth:] for line in found[start:end]]


def go(*functions: str, **job: object) -> RunResult:
    return run("".join(functions) + "void f(void); int main(void) { f(); return 0; }", trace=True, **job)


def test_calls_nest_and_a_jump_to_a_function_takes_the_place_of_the_one_that_jumps() -> None:
    result = go(
        function("f", "push {r4, lr}", "bl g", "nop", "bl h", "pop {r4, pc}"),
        function("g", "nop", "b h"),
        function("h", "nop", "nop", "bx lr"),
    )
    assert slices(result, "f") == ["f 13", " g 2", " h 3", " h 3"]


def test_loops_are_no_calls() -> None:
    """Also one whose first instruction is the function's."""
    result = go(
        function("f", "push {r4, lr}", "movs r0, #3", "bl spin", "pop {r4, pc}"),
        function("spin", "subs r0, #1", "bne spin", "bx lr"),
    )
    assert slices(result, "f") == ["f 11", " spin 7"]


def test_recursion() -> None:
    result = go(
        function("f", "push {r4, lr}", "movs r0, #2", "bl down", "pop {r4, pc}"),
        function("down", "push {r4, lr}", "subs r0, #1", "bmi 1f", "bl down", "1: pop {r4, pc}"),
    )
    assert slices(result, "f") == ["f 18", " down 14", "  down 9", "   down 4"]


def test_a_long_jump_ends_all_that_it_leaves() -> None:
    result = go(
        function(
            "f", "push {r4, lr}", "mov r4, sp", "adr r5, 1f", "bl g", "nop", ".balign 4", "1: nop", "pop {r4, pc}"
        ),
        function("g", "push {r6, lr}", "bl h", "pop {r6, pc}"),
        function("h", "push {r6, lr}", "mov sp, r4", "adds r5, #1", "bx r5"),
    )
    assert slices(result, "f") == ["f 12", " g 6", "  h 4"]


def test_a_return_past_the_call_is_a_return() -> None:
    """As helpers for switch tables on Armv6-M do it, which find their table behind the call."""
    result = go(
        function("f", "push {r4, lr}", "bl skip", "nop", "nop", "pop {r4, pc}"),
        function("skip", "mov r1, lr", "adds r1, #4", "bx r1"),
    )
    assert slices(result, "f") == ["f 6", " skip 3"]


def test_layers_lie_where_their_markers_are_written() -> None:
    result = go(
        function(
            "f",
            "push {r4, lr}",
            "ldr r4, =0xE000007C",
            "movs r0, #1",
            "str r0, [r4]",
            "bl g",  # step 1: bl, nop, bx, movs, str
            "movs r0, #2",
            "str r0, [r4]",
            "nop",
            "mvns r0, r0",
            "movs r1, #0",
            "subs r0, r1, #1",
            "str r0, [r4]",  # step 2: nop, mvns, movs, subs, str
            "pop {r4, pc}",
        ),
        function("g", "nop", "bx lr"),
        marker_address=MARKER,
    )
    assert slices(result, "f") == ["f 15", " #1 5", "  g 2", " #2 5"]
    assert result.instructions_by_step == {1: 5, 2: 5}


def test_a_marker_from_within_splits_what_it_comes_from() -> None:
    """And where that function ends in the middle of the layer, the layer goes on outside."""
    result = go(
        function(
            "f", "push {r4, lr}", "ldr r4, =0xE000007C", "movs r0, #1", "str r0, [r4]", "bl g", "nop", "pop {r4, pc}"
        ),
        function("g", "nop", "movs r0, #2", "str r0, [r4]", "nop", "bx lr"),
        marker_address=MARKER,
    )
    assert slices(result, "f") == ["f 12", " #1 4", "  g 3", " g 2", "  #2 2", " #2 2"]
    assert sums(edges(traced(result)), traced(result).functions).layers[2] == result.instructions_by_step[2]


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32f746", "stm32g0b1", "stm32u575"])
def test_a_models_trace_adds_up_to_the_counts_of_its_run(tmp_path: Path, board: str, toolchain: str) -> None:
    planned = plan_model(load("kws"), find_board(board), PlanOptions())
    built = build_image(planned, tmp_path, toolchain=toolchain)
    samples = random_inputs(planned.model, 0, 2)
    plain = run_model(built, UnicornEmulator(), samples)
    ran = run_model(built, UnicornEmulator(), samples, trace=True)
    assert ran.results[1].trace is None
    for seen, expected in zip(ran.results, plain.results, strict=True):
        assert (seen.instructions, seen.cycles) == (expected.instructions, expected.cycles)
        assert (seen.instructions_by_function, seen.reads) == (expected.instructions_by_function, expected.reads)
    result, trace = ran.results[0], traced(ran.results[0])
    assert trace.complete
    found = sums(edges(trace), trace.functions)
    assert found.functions == result.instructions_by_function
    assert found.layers == {step: n for step, n in result.instructions_by_step.items() if n}
    assert found.layer_cycles == {step: n for step, n in result.cycles_by_step.items() if n}


@needs_gcc
def test_a_run_that_faults_has_a_trace_up_to_the_fault() -> None:
    result = go(
        function("f", "push {r4, lr}", "bl g", "pop {r4, pc}"),
        function("g", "ldr r0, =0x30000000", "nop", "str r1, [r0]", "nop", "bx lr"),
    )
    assert result.fault is not None
    assert slices(result, "f") == ["f 4", " g 2"]
    assert sums(edges(traced(result)), traced(result).functions).functions == result.instructions_by_function


def test_a_full_trace_ends_early_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydeploy.emulate.unicorn_machine.MOST_EVENTS", 6)
    code = (
        function("f", "push {r4, lr}", "movs r4, #200", "1: bl g", "subs r4, #1", "bne 1b", "pop {r4, pc}"),
        function("g", "nop", "bx lr"),
    )
    result = go(*code)
    trace = traced(result)
    assert not trace.complete
    found = sums(edges(trace), trace.functions)
    assert found.functions.total() == trace.instructions < result.instructions
    # reset, main, f; g, its return, g
    assert found.functions["g"] == 2
    assert result.instructions_by_function["g"] == 400
