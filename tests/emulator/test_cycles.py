"""Modelled cycles of loops against sums by hand.

Each sum uses figures of Arm's technical reference manuals (DDI0432 for Cortex-M0, DDI0484C for M0+, DDI0337I for M3,
100166 for M4; M33 is modelled as M4), or for the Cortex-M7 LLVM's ARMScheduleM7.td, as docs/timing.md lists them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import function, needs_any, needs_unicorn, run, variant
from tinydeploy.boards import find_board
from tinydeploy.emulate import RunResult
from tinydeploy.emulate.timing import COST_NAMES, TIMINGS, timing_of

pytestmark = [needs_unicorn, needs_any]

BOARDS = {
    "m0": "nucleo_f030r8",
    "m0+": "nucleo_g071rb",
    "m3": "nucleo_f103rb",
    "m4": "nucleo_f446re",
    "m33": "nucleo_l552ze_q",
    "m7": "stm32f746",
}
MARKER = 0xE000007C

# Instructions of a loop's body, and cycles of one turn; its end is `subs; bne`, taken: 1 + 3, 1 + 2 or 1 + 2 cycles,
# or on the M7, where both pair, 1. r0 points to two words, the first of which points to itself; r1 is 3.
LOOPS = {
    "nothing": ([], {"m0": 4, "m0+": 3, "m3": 3, "m4": 3, "m33": 3, "m7": 1}),
    "arithmetic": (["adds r2, r1, #1", "adds r3, r1, #2"], {"m0": 6, "m0+": 5, "m3": 5, "m4": 5, "m33": 5, "m7": 2}),
    # M7: r2 is ready a cycle after it is computed, so the two do not pair, but the second does with subs
    "dependent arithmetic": (["adds r2, r1, #1", "adds r3, r2, #2"], {"m3": 5, "m4": 5, "m7": 3}),
    # two loads that overlap: 2 + 1; where nothing overlaps 2 + 2; M7: one access a cycle
    "two loads": (["ldr r2, [r0]", "ldr r3, [r0, #4]"], {"m0": 8, "m0+": 7, "m3": 6, "m4": 6, "m33": 6, "m7": 3}),
    "three loads": (["ldr r2, [r0]", "ldr r3, [r0, #4]", "ldr r4, [r0]"], {"m0+": 9, "m3": 7, "m4": 7, "m7": 4}),
    "load and store": (["ldr r2, [r0]", "str r2, [r0]"], {"m0": 8, "m0+": 7, "m3": 6, "m4": 6}),
    # nothing overlaps with a store: 2 + 1 + 2
    "load, store, load": (["ldr r2, [r0]", "str r2, [r0]", "ldr r3, [r0]"], {"m3": 8, "m4": 8}),
    # the second address is the first's result: 2 + 2; M7: latency 2 and a cycle before, then subs with it, bne
    "chained loads": (["ldr r2, [r0]", "ldr r3, [r2]"], {"m0+": 7, "m3": 7, "m4": 7, "m7": 5}),
    # 1 + 2 and a stall for the address
    "computed address": (["mov r2, r0", "ldr r3, [r2]"], {"m0+": 6, "m3": 7, "m4": 7, "m7": 4}),
    # M7: the result of a byte load is there after 3 cycles: ldrb, -, -, adds and subs, bne
    "byte and use": (["ldrb r2, [r0]", "adds r3, r2, #1"], {"m0+": 6, "m3": 6, "m4": 6, "m7": 5}),
    # 1 + 3 each; M7: two registers a cycle
    "push and pop": (
        ["push {r1, r2, r3}", "pop {r1, r2, r3}"],
        {"m0": 12, "m0+": 11, "m3": 11, "m4": 11, "m33": 11, "m7": 5},
    ),
    "two words at once": (["ldrd r2, r3, [r0]"], {"m3": 6, "m4": 6, "m7": 2}),
    "multiply": (["muls r2, r1, r2"], {"m0": 5, "m0+": 4, "m3": 4, "m4": 4, "m33": 4, "m7": 2}),
    "multiply and add": (["mla r2, r1, r1, r2"], {"m3": 5, "m4": 4, "m33": 4}),
    "long multiply": (["smull r2, r3, r1, r1"], {"m3": 8, "m4": 4}),
    # M7: an accumulator's next addition follows at once
    "four dual multiplications": (["smlad r2, r1, r1, r2"] * 4, {"m4": 7, "m33": 7, "m7": 5}),
    # M7: but a factor is there after two cycles
    "factors of factors": (["mul r2, r1, r1", "mul r3, r2, r1"], {"m4": 5, "m7": 4}),
    "bit fields": (["ubfx r2, r1, #1, #3", "ubfx r3, r1, #1, #3"], {"m4": 5, "m7": 3}),
    "divide": (["udiv r2, r1, r1"], {"m3": 10, "m4": 10, "m33": 9}),
    # 1 + 1: not taken
    "a branch not taken": (["cmp r1, r1", "bne 3f", "3:"], {"m0": 6, "m0+": 5, "m3": 5, "m4": 5, "m7": 2}),
    "a branch taken": (["b 3f", "nop", "3:"], {"m0": 7, "m0+": 5, "m3": 5, "m4": 5, "m7": 2}),
    "skipped or not": (["cmp r1, r1", "ite eq", "moveq r2, #1", "movne r2, #2"], {"m3": 7, "m4": 7}),
    # BL and BX: 4 + 3, 3 + 2, and 1 + P each, P 1 and 2
    "a call": (["bl leaf"], {"m0": 11, "m0+": 8, "m3": 8, "m4": 8, "m7": 3}),
    # BL, push of 2, pop of 2 with the pc: 3 to refill, on M0+ 2
    "a call that saves": (["bl saves"], {"m0": 17, "m0+": 14, "m3": 14, "m4": 14}),
    # 1, and 1 for the target; then add.w, subs, bne
    "unaligned target": (["b 3f", "nop", "nop", "3: add.w r2, r1, #1"], {"m3": 7, "m4": 7, "m7": 3}),
    "aligned target": (["b 3f", "nop", "3: add.w r2, r1, #1"], {"m3": 6, "m4": 6, "m7": 3}),
}
CALLED = function("leaf", "bx lr") + function("saves", "push {r4, lr}", "pop {r4, pc}")


def looping(board: str, body: list[str], turns: int) -> RunResult:
    """A program that goes round the loop so often."""
    source = function(
        "work",
        "push {r4-r7, lr}",
        "ldr r0, =words",
        "str r0, [r0]",
        "movs r1, #3",
        "movs r2, #1",
        f"movs r7, #{turns}",
        ".balign 4",
        "1:",
        *body,
        "subs r7, #1",
        "bne 1b",
        "pop {r4-r7, pc}",
    )
    result = run(f"int words[2]; void work(void); {CALLED}{source}int main(void) {{ work(); return 0; }}", board)
    assert result.fault is None, result.fault
    assert result.cycles is not None
    return result


@pytest.mark.parametrize(("loop", "core"), [(name, core) for name, (_, sums) in LOOPS.items() for core in sums])
def test_a_turn_of_a_loop(loop: str, core: str) -> None:
    body, sums = LOOPS[loop]
    few, many = (looping(BOARDS[core], body, turns).cycles for turns in (20, 120))
    assert few is not None
    assert many is not None
    assert many - few == 100 * sums[core]


def test_floating_point() -> None:
    # vmul 1, vadd 1 and a cycle to wait for s0; then vdiv 14; vldr 2
    body = ["vmul.f32 s0, s1, s2", "vadd.f32 s3, s0, s0", "vdiv.f32 s4, s1, s1", "vldr s5, [r0]"]
    few, many = (looping(BOARDS["m4"], body, turns).cycles or 0 for turns in (20, 120))
    assert many - few == 100 * (1 + 2 + 14 + 2 + 3)


def test_branches_that_are_predicted_wrongly() -> None:
    # Taken in every other turn. A two-bit counter that starts just below the middle, and first sees it not taken, goes
    # from 0 to 1 and back: each time that it is taken is guessed wrongly, for 5 cycles.
    # lsls, beq: 1. Taken: subs, bne: 1. Not taken: nop and subs, bne: 2.
    body = ["lsls r2, r7, #31", "beq 3f", "nop", "3:"]
    few, many = (looping(BOARDS["m7"], body, turns).cycles or 0 for turns in (20, 120))
    assert many - few == 50 * (1 + 5 + 1) + 50 * (1 + 2)


def test_code_that_is_written_anew_is_modelled_anew() -> None:
    # 2 turns of nops with bx, 100 calls each: then the nops become loads, `ldr r3, [r0]`: 2 + 1 instead of 1 + 1
    source = """
    #include <stdint.h>
    static uint16_t code[4] = {0xBF00, 0xBF00, 0x4770, 0x4770};
    static volatile uint32_t *const marker = (uint32_t *)0xE000007Cu;
    int main(void) {
        int (*f)(uint32_t *) = (int (*)(uint32_t *))((uintptr_t)code + 1u);
        uint32_t word = 0;
        for (uint32_t round = 1; round <= 2; round++) {
            *marker = round;
            for (volatile int i = 0; i < 100; i++) f(&word);
            *marker = 0xFFFFFFFFu;
            ((volatile uint16_t *)code)[0] = ((volatile uint16_t *)code)[1] = 0x6803;
        }
        return 0;
    }
    """
    steps = run(source, BOARDS["m4"], marker_address=MARKER).cycles_by_step
    assert steps[2] - steps[1] == 100


@pytest.mark.parametrize("core", ["m0+", "m3", "m4"])
def test_steps_have_their_cycles(core: str) -> None:
    source = function(
        "steps",
        "ldr r0, =0xE000007C",
        "movs r1, #1",
        "ldr r4, =words",
        "str r1, [r0]",  # step 1 begins behind this
        "ldr r2, [r4]",
        "ldr r3, [r4]",
        "movs r1, #2",
        "str r1, [r0]",  # M0+: 2 + 2 + 1 + 2; the others: two loads 3, movs, store
        "nop",
        "mvns r1, r1",
        "bx lr",
    )
    source = f"int words[2]; void steps(void); {source} int main(void) {{ steps(); return 0; }}"
    result = run(source, BOARDS[core], marker_address=MARKER)
    assert result.cycles_by_step[1] == (7 if core == "m0+" else 5)
    assert result.instructions_by_step[1] == 4
    assert sum(result.cycles_by_step.values()) <= (result.cycles or 0)


def test_a_fault_takes_the_cycles_of_the_rest_back() -> None:
    source = function(
        "crash",
        "ldr r0, =0xE000007C",
        "ldr r2, =0x30000000",
        "str r1, [r0]",
        "nop",
        "nop",
        "str r1, [r2]",
        "nop",
        "bx lr",
    )
    result = run(
        source + "void crash(void); int main(void) { crash(); return 0; }", "nucleo_f446re", marker_address=MARKER
    )
    assert result.fault is not None
    assert list(result.cycles_by_step.values()) == [2]


@pytest.mark.parametrize("core", BOARDS)
def test_cycles_are_possible_ones(core: str) -> None:
    source = """
    #include <stdint.h>
    static uint32_t a[64];
    int main(void) { for (uint32_t i = 0; i < 3000; i++) a[i & 63u] += a[(i * 7u) & 63u] * i; return (int)(a[5] & 1u); }
    """
    first, second = run(source, BOARDS[core]), run(source, BOARDS[core])
    assert first.cycles == second.cycles
    width = 2 if core == "m7" else 1
    assert first.cycles is not None
    assert first.instructions / width <= first.cycles < 4 * first.instructions
    assert first.cycles_kind is not None
    assert first.cycles_kind.startswith("modelled: cortex-m")
    assert first.cycles_kind.endswith("zero wait states")


def test_every_figure_has_a_source() -> None:
    for timing in TIMINGS.values():
        assert len(timing.costs()) == len(COST_NAMES)
        for name in COST_NAMES:
            figure = getattr(timing, name)
            assert figure.source
            assert figure.value >= 0


def test_the_documented_figures_are_these() -> None:
    text = (Path(__file__).parents[2] / "docs" / "timing.md").read_text(encoding="utf-8")
    cores = ["cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m7"]
    assert cores == list(TIMINGS)
    for name in COST_NAMES:
        figures = [getattr(TIMINGS[core], name) for core in cores]
        cells = [
            "–" if f.source.startswith("the core has no") else f"{f.value}{'' if f.verified else '?'}" for f in figures
        ]
        assert f"| `{name}` | {' | '.join(cells)} |\n" in text


def test_other_cores_have_no_figures() -> None:
    assert timing_of(variant(find_board("stm32f746"), name="cortex-m55")) is None
