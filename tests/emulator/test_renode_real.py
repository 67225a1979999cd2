"""Runs on a real Renode: agreement with the embedded emulator, and what bad firmware ends in.

Renode 1.16.1 agrees in every count that is tested here, instructions that an IT block skips included: both count by
basic block. What differs is only where a run ends badly. Renode does not count the instructions of the block that did
not end, and what it lets pass (a write to flash, a stack that is too deep) is found later than it happened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.firmware import build, function, needs_any, needs_unicorn
from tinydeploy import pipeline
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Feed, Job, UnicornEmulator
from tinydeploy.emulate.renode.install import find_renode
from tinydeploy.emulate.renode.machine import RenodeEmulator
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.types import Fault, RunResult
from tinydeploy.errors import RunError, UsageError
from tinydeploy.verify import random_inputs

RENODE = os.environ.get("TINYDEPLOY_RENODE")
pytestmark = [
    needs_unicorn,
    needs_any,
    pytest.mark.skipif(RENODE is None, reason="Renode cannot be installed from a registry; set TINYDEPLOY_RENODE"),
]

MARKER = 0xE000007C


def emulator(repl: Path | None = None) -> RenodeEmulator:
    return RenodeEmulator(find_renode(RENODE), repl=repl)


def run(source: str, board: str = "stm32f746", **job: object) -> RunResult:
    image = build(source, board)
    job.setdefault("stack_limit", image.stack_limit)
    return emulator().run(find_board(board), Job(image.elf, **job))  # type: ignore[arg-type]


def fault_of(result: RunResult) -> Fault:
    assert result.fault is not None
    assert "\n" not in result.fault.message
    return result.fault


# --- agreement


def both(built: pipeline.Built, *, layers: bool = False) -> Sequence[pipeline.Ran]:
    """The same image and input on both."""
    given = random_inputs(built.planned.model, 0, 1)
    return [pipeline.run_model(built, e, given, layers=layers) for e in (UnicornEmulator(), emulator())]


def assert_agreement(embedded: pipeline.Ran, renode: pipeline.Ran) -> None:
    (a,), (b,) = embedded.results, renode.results
    assert b.reads == a.reads
    assert b.step_data == {step: seen for step, seen in a.step_data.items() if seen}
    assert b.watermarks == a.watermarks
    assert b.instructions_by_step == a.instructions_by_step
    assert b.instructions == a.instructions
    assert (a.fault, b.fault) == (None, None)


@pytest.mark.parametrize("board", ["stm32f746", "nucleo_l4r5zi", "nucleo_u575zi_q", "nucleo_g0b1re"])
@pytest.mark.parametrize("model", ["digits", "kws", "vww"])
def test_models(model: str, board: str, tmp_path: Path) -> None:
    planned = pipeline.plan_model(pipeline.load(model), find_board(board), pipeline.PlanOptions())
    assert_agreement(*both(pipeline.build_image(planned, tmp_path)))


def test_layers(tmp_path: Path) -> None:
    """Every operator, and what each computes."""
    planned = pipeline.plan_model(pipeline.load("everything"), find_board("stm32f746"), pipeline.PlanOptions())
    assert_agreement(*both(pipeline.build_image(planned, tmp_path), layers=True))


def test_rows_that_are_fed(tmp_path: Path) -> None:
    options = pipeline.PlanOptions(feed_rows=True)
    planned = pipeline.plan_model(pipeline.load("vww"), find_board("stm32f746"), options)
    assert planned.plan.fed
    assert_agreement(*both(pipeline.build_image(planned, tmp_path)))


WORK = {
    "ite": ["movs r0, #0", "cmp r0, #1", "ite eq", "addeq r1, r1, #1", "addne r1, r1, #2", "bx lr"],
    "itttt": [
        "cmp r0, r0",
        "itttt ne",
        "addne r1, r1, #1",
        "addne r1, r1, #2",
        "addne r1, #3",
        "addne r1, #4",
        "bx lr",
    ],
    "return taken": ["movs r0, #0", "cmp r0, #1", "it ne", "bxne lr", "nop", "bx lr"],
    "return not taken": ["movs r0, #0", "cmp r0, #1", "it eq", "bxeq lr", "nop", "bx lr"],
    "loop": ["movs r2, #100", "1: tst r2, #1", "it ne", "addne r3, r3, #1", "subs r2, r2, #1", "bne 1b", "bx lr"],
    "skipped loads": ["cmp r0, r0", "it ne", "ldrne r1, [r0]", "it ne", "strne r1, [r0]", "bx lr"],
    "table": ["movs r0, #3", "tbb [pc, r0]", ".byte 2,2,2,2", "nop", "nop", "dsb", "isb", "bx lr"],
    "float": ["vmov.f32 s0, #1.0", "vadd.f32 s0, s0, s0", "vmrs r0, fpscr", "bx lr"],
}
# Counted by hand, those that an IT block skips included.
COUNTS = {"ite": 6, "itttt": 7, "return taken": 4, "return not taken": 6, "loop": 502, "skipped loads": 6, "table": 7}


def test_conditional_instructions() -> None:
    names = {f"work{n}": lines for n, lines in enumerate(WORK.values())}
    source = "".join(function(name, *lines) + f"void {name}(void);" for name, lines in names.items())
    source += function("done", "nop", "1: b 1b") + "void done(void); int main(void) {"
    source += "".join(f"*(volatile unsigned *){MARKER:#x}u = {n}u; {name}();" for n, name in enumerate(names))
    source += f"*(volatile unsigned *){MARKER:#x}u = 0xFFFFFFFFu; done(); return 0; }}"
    job = Job(build(source, "stm32f746").elf, stop_symbol="done", marker_address=MARKER)
    board = find_board("stm32f746")
    embedded, renode = UnicornEmulator().run(board, job), emulator().run(board, job)
    assert renode.fault is None
    assert renode.instructions_by_step == embedded.instructions_by_step
    assert renode.instructions == embedded.instructions
    counted = dict(zip(WORK, renode.instructions_by_step.values(), strict=True))
    around = counted.pop("float") - len(WORK["float"])  # the call and the marker, the same for each
    assert {name: count - around for name, count in counted.items()} == COUNTS


def test_a_program_that_prints_and_exits() -> None:
    source = """
    static void print(const char *text) {
        register unsigned r0 __asm__("r0") = 4; register const char *r1 __asm__("r1") = text;
        __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    }
    int data = 40; int zero;
    int main(void) { print("one\\n"); print("two\\n"); return data + zero + 2; }
    """
    for board in ("nucleo_g071rb", "nucleo_f103rb", "stm32f746"):
        job = Job(build(source, board).elf)
        embedded, renode = (e.run(find_board(board), job) for e in (UnicornEmulator(), emulator()))
        assert (renode.uart, renode.exit_code, renode.fault) == (b"one\ntwo\n", 42, None)
        assert renode.instructions == embedded.instructions


def test_a_uart_is_heard_as_it_prints() -> None:
    # USART1 of the STM32F746: CR1 at 0x40011000, ISR at +0x1C (TXE is bit 7), TDR at +0x28
    source = """
    #define R(a) (*(volatile unsigned *)(a))
    int main(void) {
        R(0x4001100C) = 1875; R(0x40011000) = 0xD;
        for (const char *s = "hello"; *s; s++) { while (!(R(0x4001101C) & 0x80)) {} R(0x40011028) = *s; }
        return 0;
    }
    """
    seen: list[bytes] = []
    renode = RenodeEmulator(find_renode(RENODE), on_output=seen.append)
    result = renode.run(find_board("stm32f746"), Job(build(source, "stm32f746").elf))
    assert (result.fault, result.uart) == (None, b"hello")
    assert b"".join(seen) == b"hello"


def test_interrupts_come() -> None:
    source = """
    #define R(a) (*(volatile unsigned *)(a))
    volatile int ticks;
    void SysTick_Handler(void) { ticks++; }
    int main(void) {
        R(0xE000E014) = 9999; R(0xE000E018) = 0; R(0xE000E010) = 7;
        while (ticks < 3) __asm__ volatile("wfi");
        return ticks;
    }
    """
    result = run(source)
    assert (result.fault, result.exit_code) == (None, 3)


# --- what bad firmware ends in


@pytest.mark.parametrize(
    ("name", "lines", "kind", "address"),
    [
        ("td_conv_2d", ["ldr r0, =0x20050000", "str r5, [r0]", "bx lr"], "unmapped-write", 0x20050000),
        ("peek", ["ldr r0, =0x1FFF0000", "ldrb r1, [r0, #3]", "bx lr"], "unmapped-read", 0x1FFF0003),
        ("undefined", ["nop", "udf #0", "bx lr"], "undefined-instruction", None),
        ("HardFault_Handler", ["1: b 1b"], "hard-fault", None),
        ("stop", ["bkpt #1", "bx lr"], "hard-fault", None),
    ],
)
def test_a_fault_with_its_place(name: str, lines: list[str], kind: str, address: int | None) -> None:
    source = function(name, *lines)
    source += f"void {name}(void); int main(void) {{ *(volatile unsigned *){MARKER:#x}u = 3u; {name}(); return 0; }}"
    fault = fault_of(run(source, marker_address=MARKER, strict_peripherals=True))
    assert (fault.kind, fault.function, fault.step) == (kind, name, 3)
    start = read_elf(build(source, "stm32f746").elf).address_of(name)
    assert start <= fault.pc < start + 8
    if address is not None:
        assert fault.address == address
    assert f"in {name}, step 3" in fault.message


@pytest.mark.parametrize("to", [0x00100001, 0x30000001, 0xC0000001])
def test_a_jump_to_nowhere_names_who_called(to: int) -> None:
    """After such an abort Renode itself would never end."""
    source = function("leap", f"ldr r0, ={to:#x}", "bx r0")
    fault = fault_of(run(source + "void leap(void); int main(void) { leap(); return 0; }"))
    assert (fault.kind, fault.pc, fault.function) == ("unmapped-fetch", to & ~1, "main")


def test_a_jump_without_the_thumb_bit() -> None:
    source = function("even", "adr r0, 1f", "bx r0", ".balign 4", "1: nop", "b 1b")
    fault = fault_of(run(source + "void even(void); int main(void) { even(); return 0; }"))
    assert (fault.kind, fault.function) == ("hard-fault", "even")


def test_flash_that_was_written() -> None:
    """A store that changes nothing cannot be seen; one that does names what it hit."""
    source = "__attribute__((used)) const int table[4] = {1, 2, 3, 4};"
    source += "int main(void) { ((volatile int *)table)[2] = 7; return 0; }"
    fault = fault_of(run(source))
    address = read_elf(build(source, "stm32f746").elf).address_of("table") + 8
    assert (fault.kind, fault.address, fault.function) == ("flash-changed", address, "table")


def test_a_peripheral_that_a_strict_image_may_not_touch() -> None:
    source = "int main(void) { *(volatile unsigned *)0x40000010u = 1; return *(volatile unsigned *)0x40000014u; }"
    fault = fault_of(run(source, strict_peripherals=True))
    assert (fault.kind, fault.address) == ("unmapped-write", 0x40000010)
    free = run(source)
    assert free.fault is None
    assert [(p.address, p.reads, p.writes) for p in free.peripherals] == [(0x40000010, 0, 1), (0x40000014, 1, 0)]


def test_an_endless_loop_ends_by_count_and_by_time() -> None:
    source = "volatile unsigned n; int main(void) { for (;;) n++; }"
    by_count = run(source, max_instructions=100_000)
    fault = fault_of(by_count)
    assert (fault.kind, fault.function) == ("time-out", "main")
    assert 99_000 < by_count.instructions <= 100_000
    by_time = fault_of(run(source, timeout_seconds=1.0))
    assert (by_time.kind, by_time.function) == ("time-out", "main")
    assert "no end after 1 s" in by_time.message


def test_a_loop_that_floods_the_log_ends_by_time() -> None:
    source = "int main(void) { for (;;) (void)*(volatile unsigned *)0x50000000u; }"
    result = run(source, timeout_seconds=1.0)
    assert fault_of(result).kind == "time-out"
    assert [p.address for p in result.peripherals] == [0x50000000]


def test_a_system_reset() -> None:
    fault = fault_of(run("int main(void) { *(volatile unsigned *)0xE000ED0Cu = 0x05FA0004u; for (;;); }"))
    assert (fault.kind, "reset" in fault.message) == ("no-exit", True)


def test_a_model_that_writes_behind_its_arena(tmp_path: Path) -> None:
    """On both emulators: nothing but the guard sees it, for the memory is there."""
    planned = pipeline.plan_model(pipeline.load("digits"), find_board("stm32f746"), pipeline.PlanOptions())
    built = pipeline.build_image(planned, tmp_path)
    main = next(tmp_path.rglob("main.c"))
    text = main.read_text()
    assert text.count("_done();") == 1
    behind = "volatile uint8_t *volatile end = digits_arena + DIGITS_ARENA_BYTES; end[3] ^= 1; "
    main.write_text(text.replace("digits_done();", behind + "digits_done();"))
    from tinydeploy.toolchain import find_toolchain

    image = find_toolchain().build(
        [tmp_path / s for s in (*built.tree.sources, *built.tree.example)],
        [tmp_path, tmp_path / "runtime"],
        planned.memory,
        tmp_path / "again",
        defines={"TD_STEP_PORT": f"{MARKER:#x}u"},
    )
    given = random_inputs(planned.model, 0, 1)
    for each in (UnicornEmulator(), emulator()):
        with pytest.raises(RunError, match="memory beside the arena that nothing owns was overwritten: 1 bytes"):
            pipeline.run_model(replace(built, image=image), each, given)


def test_rows_that_are_asked_for_wrongly() -> None:
    source = """
    __attribute__((noinline, used)) void take(void *c, unsigned input, unsigned row, void *to)
    { (void)c; (void)input; (void)row; __asm volatile("" ::"r"(to) : "memory"); }
    void (*volatile ask)(void *, unsigned, unsigned, void *) = take;
    char seen[16];
    __attribute__((noinline, used)) void done(void) { __asm volatile("" ::: "memory"); }
    int main(void) { ask(0, 0, 1, seen); done(); return 0; }
    """
    fault = fault_of(run(source, stop_symbol="done", feed=Feed("take", {0: [b"ab", b"cd"]})))
    assert fault.kind == "feed"
    assert "asked for row 1 of input 0, but row 0 comes next" in fault.message


# --- platforms of the user's, and several runs at once


def test_a_platform_of_the_users(tmp_path: Path) -> None:
    board = find_board("stm32f746")
    own = tmp_path / "my board.repl"
    more = "extra: Memory.MappedMemory @ sysbus 0x90000000\n    size: 0x10000\n"
    own.write_text(make_platform(board).repl + "\n" + more)
    renode = emulator(own)
    renode.check(board)
    assert "64.0 KiB at 0x90000000" in (renode.excess(board) or "")
    planned = pipeline.plan_model(pipeline.load("digits"), board, pipeline.PlanOptions())
    built = pipeline.build_image(planned, tmp_path / "out")
    given = random_inputs(planned.model, 0, 1)
    expected = pipeline.run_model(built, UnicornEmulator(), given).results[0]
    seen = pipeline.run_model(built, renode, given).results[0]
    assert (seen.reads, seen.instructions) == (expected.reads, expected.instructions)


def test_a_platform_with_a_second_core(tmp_path: Path) -> None:
    """It stands still: nothing is loaded for it, and what it fetched would be the image's fault."""
    own = tmp_path / "own.repl"
    own.write_text(
        make_platform(find_board("stm32f746")).repl
        + """
cpu2: CPU.CortexM @ sysbus
    cpuType: "cortex-m0"
    nvic: nvic2
nvic2: IRQControllers.NVIC @ sysbus new Bus.BusPointRegistration { address: 0xE000E000; cpu: cpu2 }
    IRQ -> cpu2@0
"""
    )
    image = build("int main(void) { for (volatile int i = 0; i < 100000; i++) {} return 7; }", "stm32f746")
    result = emulator(own).run(find_board("stm32f746"), Job(image.elf))
    assert (result.fault, result.exit_code) == (None, 7)


def test_a_register_of_a_peripheral_with_two_places(tmp_path: Path) -> None:
    """A bit that a model does not know is no fault: the STM32F4's flash control is also where its option bytes are."""
    own = tmp_path / "own.repl"
    text = make_platform(find_board("nucleo_f446re")).repl
    stub = next(entry for entry in text.split("\n\n") if entry.startswith("flash_registers:"))
    model = """flash_registers: MTD.STM32F4_FlashController @ {
        sysbus 0x40023C00;
        sysbus new Bus.BusMultiRegistration { address: 0x1FFFC000; size: 0x400; region: "optionBytes" }
    }
    flash: flash"""
    own.write_text(text.replace(stub, model))
    image = build("int main(void) { *(volatile unsigned *)0x40023C00u = 0x200; return 7; }", "nucleo_f446re")
    result = emulator(own).run(find_board("nucleo_f446re"), Job(image.elf))
    assert (result.fault, result.exit_code) == (None, 7)
    assert [p.address for p in result.peripherals] == [0x40023C00]


def test_a_platform_that_renode_refuses(tmp_path: Path) -> None:
    own = tmp_path / "own.repl"
    own.write_text(make_platform(find_board("stm32f746")).repl + "\nx: Memory.NoSuchMemory @ sysbus 0x90000000\n")
    with pytest.raises(UsageError, match=r"Error E04: Could not resolve type: 'Memory\.NoSuchMemory'"):
        emulator(own).run(find_board("stm32f746"), Job(build("int main(void) { return 0; }", "stm32f746").elf))


def test_runs_at_once_do_not_meet() -> None:
    sources = [f"int main(void) {{ return {code}; }}" for code in (11, 12)]
    with ThreadPoolExecutor(2) as pool:
        assert [r.exit_code for r in pool.map(run, sources)] == [11, 12]
