"""Instruction counts against loops counted by hand."""

from __future__ import annotations

import pytest

from tests.support.firmware import BOTH, function, needs_any, needs_unicorn, run

pytestmark = [needs_unicorn, needs_any]

MARKER = 0xE000007C


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_loop_counts_exactly(toolchain: str) -> None:
    # 1 + 10·(subs, bne) + bx
    source = function("work", "movs r1, #10", "1: subs r1, #1", "bne 1b", "bx lr")
    result = run(source + "void work(void); int main(void) { work(); return 0; }", toolchain=toolchain)
    assert result.fault is None
    assert result.instructions_by_function["work"] == 22


def test_functions_add_up_to_the_whole() -> None:
    source = function("inner", "movs r0, #3", "1: subs r0, #1", "bne 1b", "bx lr") + function(
        "outer", "push {r4, lr}", "movs r4, #5", "1: bl inner", "subs r4, #1", "bne 1b", "pop {r4, pc}"
    )
    result = run(source + "void outer(void); int main(void) { outer(); return 0; }")
    assert result.instructions_by_function["inner"] == 5 * (1 + 2 * 3 + 1)
    assert result.instructions_by_function["outer"] == 2 + 5 * 3 + 1  # exclusive: without inner
    assert sum(result.instructions_by_function.values()) == result.instructions


def test_an_it_block_counts_what_it_skips() -> None:
    source = function("skips", "movs r0, #0", "cmp r0, #0", "ite ne", "movne r1, #1", "moveq r1, #2", "bx lr")
    result = run(source + "void skips(void); int main(void) { skips(); return 0; }")
    assert result.instructions_by_function["skips"] == 6


def test_wide_instructions_count_once() -> None:
    source = function("wide", "movw r0, #1234", "movt r0, #5678", "add.w r1, r0, #1", "nop", "nop.w", "bx lr")
    result = run(source + "void wide(void); int main(void) { wide(); return 0; }")
    assert result.instructions_by_function["wide"] == 6


STORES = {
    "immediate": ("ldr r0, =0xE000007C", "str r1, [r0]"),
    "immediate offset": ("ldr r0, =0xE0000078", "str r1, [r0, #4]"),
    "wide": ("ldr r0, =0xE000007C", "str.w r1, [r0]"),
    "wide offset": ("ldr r0, =0xE0000000", "str.w r1, [r0, #124]"),
    "negative offset": ("ldr r0, =0xE0000080", "str r1, [r0, #-4]"),
    "register": ("ldr r0, =0xE0000000", "str r1, [r0, r3]"),
    "shifted register": ("ldr r0, =0xE0000000", "str.w r1, [r0, r4, lsl #2]"),
    "high register": ("ldr.w r9, =0xE000007C", "str.w r1, [r9]"),
}


@pytest.mark.parametrize("form", STORES)
def test_markers_split_inside_a_block_to_the_instruction(form: str) -> None:
    load, store = STORES[form]
    source = function(
        "steps",
        "push {r4-r9, lr}",
        "movs r3, #124",
        "movs r4, #31",
        load,
        "movs r1, #0",
        store,  # step 0 begins behind this
        "nop",
        "nop",
        "nop",
        "movs r1, #1",
        store,  # 3 nops, movs, str: 5
        "movs r2, #4",
        "1: subs r2, #1",
        "bne 1b",
        "movs r1, #0",
        "mvns r1, r1",
        store,  # movs, 4·2, movs, mvns, str: 12
        "nop",
        "pop {r4-r9, pc}",
    )
    result = run(source + "void steps(void); int main(void) { steps(); return 0; }", marker_address=MARKER)
    assert result.fault is None
    assert result.instructions_by_step == {0: 5, 1: 12}


def test_a_step_that_comes_again_adds_up() -> None:
    source = function(
        "steps",
        "ldr r0, =0xE000007C",
        "movs r3, #3",
        "1: movs r1, #7",
        "str r1, [r0]",
        "nop",
        "nop",
        "movs r1, #8",
        "str r1, [r0]",  # step 7: nop, nop, movs, str
        "subs r3, #1",
        "bne 1b",  # step 8: subs, bne, and but for the last time movs, str
        "mvns r1, r3",
        "str r1, [r0]",  # the last time: subs, bne, mvns, str
        "bx lr",
    )
    result = run(source + "void steps(void); int main(void) { steps(); return 0; }", marker_address=MARKER)
    assert result.instructions_by_step == {7: 3 * 4, 8: 3 * 4}


def test_steps_are_read_as_they_end() -> None:
    source = """
    #include <stdint.h>
    volatile uint32_t seen = 1;
    #define MARK(n) (*(volatile uint32_t *)0xE000007Cu = (n))
    int main(void) { MARK(0u); seen = 10; MARK(1u); seen = 20; MARK(0xFFFFFFFFu); seen = 30; return 0; }
    """
    from tests.support.firmware import build
    from tinydeploy.elf import read_elf

    address = read_elf(build(source, "stm32f746").elf).address_of("seen")
    wanted = {step: [[(address, 4)]] for step in (0, 1, 5)}
    result = run(source, marker_address=MARKER, step_reads=wanted, reads=[(address, 4)])
    assert result.step_data == {0: [((10).to_bytes(4, "little"),)], 1: [((20).to_bytes(4, "little"),)]}
    assert result.reads == ((30).to_bytes(4, "little"),)


def test_a_fault_in_the_middle_of_a_block_takes_the_rest_back() -> None:
    source = function("crash", "ldr r0, =0x30000000", "nop", "nop", "str r1, [r0]", "nop", "nop", "nop", "bx lr")
    result = run(source + "void crash(void); int main(void) { crash(); return 0; }")
    assert result.fault is not None
    assert result.instructions_by_function["crash"] == 3
    assert sum(result.instructions_by_function.values()) == result.instructions


@pytest.mark.parametrize("limit", [0, 1, 1000, 12345])
def test_the_instruction_limit_is_never_passed(limit: int) -> None:
    source = function("forever", "movs r0, #0", "1: adds r0, #1", "b 1b")
    result = run(source + "void forever(void); int main(void) { forever(); return 0; }", max_instructions=limit)
    assert result.fault is not None
    assert result.fault.kind == "time-out"
    assert limit - 64 < result.instructions <= limit  # ends before the block that would pass it


def test_the_cycle_counter_counts_instructions_when_it_is_on() -> None:
    source = function(
        "measure",
        "ldr r0, =0xE0001000",
        "ldr r1, [r0, #4]",  # off: does not move
        "nop",
        "ldr r2, [r0, #4]",
        "subs r2, r2, r1",
        "movs r3, #1",
        "str r3, [r0]",  # on
        "ldr r1, [r0, #4]",
        "nop",
        "nop",
        "nop",
        "ldr r3, [r0, #4]",
        "subs r3, r3, r1",  # 3 nops and the ldr: 4
        "lsls r2, r2, #8",
        "orrs r3, r2",
        "mov r0, r3",
        "bx lr",
    )
    result = run(source + "int measure(void); int main(void) { return measure(); }")
    assert result.exit_code == 4


def test_m0_has_no_cycle_counter() -> None:
    source = "#include <stdint.h>\nint main(void) { volatile uint32_t *d = (uint32_t *)0xE0001000u; d[0] = 1;"
    result = run(source + "uint32_t a = d[1]; return d[1] == a ? 9 : 1; }", board="nucleo_g071rb")
    assert (result.exit_code, result.fault) == (9, None)


def test_counts_do_not_depend_on_the_run() -> None:
    source = """
    #include <stdint.h>
    static uint32_t a[64];
    int main(void) { for (uint32_t i = 0; i < 9999; i++) a[i & 63u] += a[(i * 7u) & 63u] + i; return (int)(a[5] & 1u); }
    """
    first, second = run(source), run(source)
    assert first.instructions == second.instructions
    assert first.instructions_by_function == second.instructions_by_function
