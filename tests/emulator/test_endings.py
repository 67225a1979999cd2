"""Every way in which a run can end, provoked."""

from __future__ import annotations

import signal

import pytest

from tests.support.firmware import BOTH, build, function, needs_any, needs_unicorn, run, run_image
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Job, MemoryWrite, UnicornEmulator
from tinydeploy.emulate.types import Fault, RunResult
from tinydeploy.errors import UsageError

pytestmark = [needs_unicorn, needs_any]


def fault_of(result: RunResult) -> Fault:
    """The fault, which must be there."""
    assert result.fault is not None
    assert "\n" not in result.fault.message
    return result.fault


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["nucleo_g071rb", "nucleo_f103rb", "nucleo_f446re", "stm32f746", "nucleo_u575zi_q"])
def test_a_normal_end_with_its_exit_code(toolchain: str, board: str) -> None:
    source = "int data = 40; int zero; int main(void) { return data + zero + 2; }"
    result = run(source, board, toolchain)
    assert (result.exit_code, result.fault) == (42, None)


def test_the_stop_symbol_ends_the_run_before_it_runs() -> None:
    source = function("work", "nop", "bx lr") + function("done", "1: b 1b")
    source += "void work(void); void done(void); int main(void) { work(); done(); return 3; }"
    result = run(source, stop_symbol="done")
    assert (result.exit_code, result.fault) == (0, None)
    assert result.instructions_by_function["work"] == 2
    assert "done" not in result.instructions_by_function


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_write_outside_every_memory(toolchain: str) -> None:
    # STM32F746: 320 KiB of SRAM at 0x20000000, so 0x20050000 is the first address behind it
    source = function("td_conv_2d", "ldr r0, =0x20050000", "movs r5, #7", "str r5, [r0]", "bx lr")
    source += """
    void td_conv_2d(void);
    int main(void) { *(volatile unsigned *)0xE000007Cu = 3u; td_conv_2d(); return 0; }
    """
    result = run(source, toolchain=toolchain, marker_address=0xE000007C)
    fault = fault_of(result)
    pc = read_elf(build(source, "stm32f746", toolchain).elf).address_of("td_conv_2d") + 4
    assert fault.kind == "unmapped-write"
    assert (fault.pc, fault.address, fault.function, fault.step) == (pc, 0x20050000, "td_conv_2d", 3)
    assert fault.message == (
        f"write to 0x20050000, outside every memory of stm32f746g_disco, at pc {pc:#010x} in td_conv_2d, step 3"
    )
    assert (fault.registers["r0"], fault.registers["r5"], fault.registers["pc"]) == (0x20050000, 7, pc)


def test_a_read_outside_every_memory() -> None:
    source = function("peek", "ldr r0, =0x1FFF0000", "ldrb r1, [r0, #3]", "bx lr")
    fault = fault_of(run(source + "void peek(void); int main(void) { peek(); return 0; }", "nucleo_f446re"))
    assert (fault.kind, fault.address, fault.function) == ("unmapped-read", 0x1FFF0003, "peek")


def test_the_last_byte_of_ram_is_there_and_the_next_is_not() -> None:
    board = find_board("nucleo_f103rb")
    source = f"int main(void) {{ *(volatile unsigned char *){board.ram.end - 1:#x}u = 1; return 5; }}"
    assert run(source, board.id).exit_code == 5
    fault = fault_of(run(source.replace(f"{board.ram.end - 1:#x}", f"{board.ram.end:#x}"), board.id))
    assert (fault.kind, fault.address) == ("unmapped-write", board.ram.end)


def test_a_jump_to_nowhere_names_where_it_came_from() -> None:
    source = function("leap", "ldr r0, =0x00000001", "bx r0")
    fault = fault_of(run(source + "void leap(void); int main(void) { leap(); return 0; }", "nucleo_f446re"))
    assert (fault.kind, fault.pc, fault.function) == ("unmapped-fetch", 0, "leap")


def test_returning_where_nobody_called_from() -> None:
    source = function("stray", "movs r0, #0", "mvns r0, r0", "bx r0")
    fault = fault_of(run(source + "void stray(void); int main(void) { stray(); return 0; }", "nucleo_f446re"))
    assert fault.kind == "unmapped-fetch"


def test_a_jump_without_the_thumb_bit() -> None:
    source = function("even", "adr r0, 1f", "bx r0", ".balign 4", "1: nop", "b 1b")
    fault = fault_of(run(source + "void even(void); int main(void) { even(); return 0; }"))
    assert (fault.kind, fault.function) == ("hard-fault", "even")


def test_a_write_to_flash() -> None:
    source = "int main(void) { *(volatile unsigned *)0x08010000u = 1u; return 0; }"
    fault = fault_of(run(source))
    assert (fault.kind, fault.address, fault.function) == ("flash-write", 0x08010000, "main")


RECURSION = """
volatile int depth = 1000;
static int guard[16];
__attribute__((noinline)) static int deeper(int n) {
    volatile int frame[32];
    frame[n & 31] = n;
    if (n == 0) return guard[0];
    return deeper(n - 1) + frame[n & 31];
}
int main(void) { return deeper(depth); }
"""


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_stack_overflow_is_found_before_static_data_is_hit(toolchain: str) -> None:
    image = build(RECURSION, "nucleo_f103rb", toolchain, stack_bytes=2048)
    board = find_board("nucleo_f103rb")
    fault = fault_of(run_image(image, board, stack_limit=image.stack_limit))
    assert fault.kind == "stack-overflow"
    assert image.stack_limit == board.ram.end - 2048
    assert fault.address is not None
    assert image.stack_limit - 256 < fault.address < image.stack_limit  # one frame is under 256 bytes
    assert fault.function is not None
    assert fault.function.startswith("deeper")
    assert fault.registers["sp"] >= image.stack_limit  # nothing was written below


def test_without_a_limit_the_same_overflow_runs_on_until_memory_ends() -> None:
    image = build(RECURSION, "nucleo_f103rb", stack_bytes=2048)
    fault = fault_of(run_image(image, find_board("nucleo_f103rb")))
    assert fault.kind in ("unmapped-write", "unmapped-fetch", "undefined-instruction", "hard-fault")


@pytest.mark.parametrize(
    "grow",
    [
        "sub.w sp, sp, #8192",
        "subw sp, sp, #4095; subw sp, sp, #5",
        "mov.w r0, #8192; mov r1, sp; subs r1, r1, r0; mov sp, r1",
        "movw r0, #2048; 1: push {r0}; subs r0, #1; bne 1b",
        "mov r0, #600; 1: push {r0-r7}; subs r0, #1; bne 1b",
        "mov r0, #2000; 1: str r0, [sp, #-8]!; subs r0, #1; bne 1b",
        "mov r0, #2000; 1: strd r0, r1, [sp, #-16]!; subs r0, #1; bne 1b",
        "mov r0, #500; 1: vpush {d0-d7}; subs r0, #1; bne 1b",
        "mov r0, #2000; 1: cmp r0, #0; it ne; subne sp, sp, #8; subs r0, #1; bne 1b",
    ],
)
def test_every_way_to_move_the_stack_is_watched(grow: str) -> None:
    source = function("grow", *(part.strip() for part in grow.split(";")), "1: b 1b")
    fault = fault_of(run(source + "void grow(void); int main(void) { grow(); return 0; }"))
    assert (fault.kind, fault.function) == ("stack-overflow", "grow")


def test_a_deep_stack_that_fits_is_no_overflow() -> None:
    image = build(RECURSION.replace("1000", "20"), "nucleo_f103rb", stack_bytes=8192)
    result = run_image(image, find_board("nucleo_f103rb"), stack_limit=image.stack_limit)
    assert result.fault is None


def test_going_into_a_fault_handler() -> None:
    source = "void HardFault_Handler(void); int main(void) { HardFault_Handler(); return 0; }"
    fault = fault_of(run(source))
    assert (fault.kind, fault.function) == ("hard-fault", "HardFault_Handler")
    assert "HardFault_Handler" in fault.message


@pytest.mark.parametrize("board", ["nucleo_g071rb", "stm32f746"])
def test_undefined_instructions(board: str) -> None:
    source = function("undefined", "nop", "udf #0", "bx lr")
    result = run(source + "void undefined(void); int main(void) { undefined(); return 0; }", board)
    fault = fault_of(result)
    assert (fault.kind, fault.function) == ("undefined-instruction", "undefined")
    assert fault.pc == read_elf_address(source, board) + 2
    assert result.instructions_by_function["undefined"] == 1
    assert "de00" in fault.message


def read_elf_address(source: str, board: str) -> int:
    """Where `undefined` lies."""
    whole = source + "void undefined(void); int main(void) { undefined(); return 0; }"
    return read_elf(build(whole, board).elf).address_of("undefined")


def test_an_endless_loop_ends_by_count() -> None:
    source = "volatile unsigned n; int main(void) { for (;;) n++; }"
    fault = fault_of(run(source, max_instructions=100_000))
    assert (fault.kind, fault.function) == ("time-out", "main")
    assert "100000 instructions" in fault.message


def test_an_endless_loop_ends_by_time() -> None:
    source = "volatile unsigned n; int main(void) { for (;;) n++; }"
    result = run(source, timeout_seconds=0.5)
    assert fault_of(result).kind == "time-out"
    assert result.seconds < 60  # not the 20 billion instructions that the count would allow


def test_time_also_ends_a_run_that_only_talks_to_peripherals() -> None:
    source = "int main(void) { for (;;) (void)*(volatile unsigned *)0x40000000u; }"
    assert fault_of(run(source, timeout_seconds=0.5)).kind == "time-out"


def test_time_also_ends_a_run_that_only_prints() -> None:
    source = function("chat", "movs r0, #3", "ldr r1, =0x20000000", "bkpt 0xAB", "b chat")
    fault = fault_of(run(source + "void chat(void); int main(void) { chat(); return 0; }", timeout_seconds=0.5))
    assert fault.kind == "time-out"


def test_an_empty_loop_ends_at_once() -> None:
    result = run('int main(void) { for (;;) __asm__ volatile("1: b 1b"); }')
    assert fault_of(result).kind == "no-exit"
    assert result.instructions < 10_000


def test_sleep_without_interrupts() -> None:
    result = run('int main(void) { __asm__ volatile("wfi"); return 0; }')
    assert fault_of(result).kind == "no-exit"
    assert "wfi" in fault_of(result).message


def test_hints_do_nothing() -> None:
    source = 'int main(void) { __asm__ volatile("wfe\\n sev\\n yield\\n nop\\n dsb\\n isb\\n wfe"); return 11; }'
    result = run(source)
    assert (result.exit_code, result.fault) == (11, None)


def test_a_supervisor_call() -> None:
    fault = fault_of(run('int main(void) { __asm__ volatile("svc #1"); return 0; }'))
    assert (fault.kind, fault.function) == ("unsupported", "main")


def test_a_breakpoint_without_a_debugger() -> None:
    fault = fault_of(run('int main(void) { __asm__ volatile("bkpt #1"); return 0; }'))
    assert (fault.kind, fault.function) == ("hard-fault", "main")


def test_a_system_reset() -> None:
    fault = fault_of(run("int main(void) { *(volatile unsigned *)0xE000ED0Cu = 0x05FA0004u; for (;;); }"))
    assert fault.kind == "no-exit"
    assert "reset" in fault.message


def test_an_image_for_another_board() -> None:
    image = build("int main(void) { return 0; }", "rpi_pico")  # flash at 0x10000000
    with pytest.raises(UsageError, match="outside every memory of stm32f746g_disco"):
        UnicornEmulator().run(find_board("stm32f746"), Job(image.elf))


def test_inputs_must_lie_in_ram() -> None:
    image = build("int main(void) { return 0; }", "stm32f746")
    board = find_board("stm32f746")
    for address in (0x08000000, 0x30000000, board.ram.end - 1):
        with pytest.raises(UsageError, match=r"not in a RAM of stm32f746g_disco"):
            run_image(image, board, writes=[MemoryWrite(address, b"ab")])
    with pytest.raises(UsageError, match=r"0x30000000 is not in a memory"):
        run_image(image, board, reads=[(0x30000000, 4)])
    with pytest.raises(UsageError, match="no symbol 'nowhere'"):
        run_image(image, board, stop_symbol="nowhere")
    with pytest.raises(UsageError, match="marker port"):
        run_image(image, board, marker_address=board.ram.base)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX cannot be installed")
@pytest.mark.parametrize("body", ["n++", "n = *(volatile unsigned *)0x40021000"])
def test_a_signal_in_the_middle_comes_out_of_the_run(body: str) -> None:
    """Whichever callback it meets; nothing is printed of it, and no other reason given."""
    image = build(f"volatile unsigned n; int main(void) {{ for (;;) {body}; }}", "stm32f746")

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            run_image(image, find_board("stm32f746"), timeout_seconds=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_from_the_keyboard_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    image = build("volatile unsigned n; int main(void) { for (;;) n++; }", "stm32f746")
    import tinydeploy.emulate.unicorn_machine as machine

    times = iter([0.0, 0.0])
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(times, None) or interrupted())
    with pytest.raises(KeyboardInterrupt):
        run_image(image, find_board("stm32f746"))
