"""UARTs, semihosting, ITM, the peripheral space, and watermarks."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.firmware import build, function, needs_any, needs_unicorn, run, run_image
from tinydeploy.boards import Uart, find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Job, MemoryWrite, Painted, UnicornEmulator
from tinydeploy.emulate.memory import watermark
from tinydeploy.emulate.peripherals import UART_LAYOUTS
from tinydeploy.errors import UsageError

pytestmark = [needs_unicorn, needs_any]

# (offset of the data register, offset of the status register, mask, value when ready to send), from the manuals
UARTS = {
    "stm32_sr_dr": (0x04, 0x00, 0x80, 0x80),  # SR.TXE
    "stm32_isr_tdr": (0x28, 0x1C, 0x80, 0x80),  # ISR.TXE
    "pl011": (0x00, 0x18, 0x20, 0x00),  # not FR.TXFF
    "sam_sercom": (0x28, 0x18, 0x01, 0x01),  # INTFLAG.DRE
    "imxrt_lpuart": (0x1C, 0x14, 0x00800000, 0x00800000),  # STAT.TDRE
    "cmsdk": (0x00, 0x04, 0x01, 0x00),  # not STATE.TX full
    "nrf_uarte": (0x51C, 0x11C, 0x01, 0x01),  # the older UART: TXD, EVENTS_TXDRDY
}


def test_every_layout_is_tested() -> None:
    assert set(UARTS) == set(UART_LAYOUTS)


@pytest.mark.parametrize("model", UARTS)
def test_what_is_printed_arrives(model: str) -> None:
    data, status, mask, ready = UARTS[model]
    base = 0x40011000
    source = f"""
    static void put(char c) {{
        while ((*(volatile unsigned *){base + status:#x}u & {mask:#x}u) != {ready:#x}u) {{}}
        *(volatile unsigned *){base + data:#x}u = (unsigned char)c;
    }}
    int main(void) {{ const char *s = "on " "{model}\\n"; while (*s) put(*s++); return 0; }}
    """
    board = dataclasses.replace(find_board("stm32f746"), uart=Uart("U", model, base, "test"))
    image = build(source, "stm32f746")
    for strict in (False, True):
        live: list[bytes] = []
        result = UnicornEmulator(on_output=live.append).run(board, Job(image.elf, strict_peripherals=strict))
        assert result.fault is None
        assert result.uart == b"on " + model.encode() + b"\n"
        assert b"".join(live) == result.uart


def test_nordic_sends_from_memory() -> None:
    source = """
    static const char text[] = "by DMA";
    static char copy[8];
    int main(void) {
        volatile unsigned *u = (volatile unsigned *)0x40002000u;
        for (int i = 0; i < 6; i++) copy[i] = text[i];
        u[0x544 / 4] = (unsigned)copy; u[0x548 / 4] = 6; u[0x120 / 4] = 0; u[0x008 / 4] = 1;
        while (u[0x120 / 4] == 0) {}
        return 0;
    }
    """
    result = run(source, "nrf52840dk")
    assert (result.fault, result.uart) == (None, b"by DMA")


def test_an_unknown_layout_is_refused() -> None:
    board = dataclasses.replace(find_board("stm32f746"), uart=Uart("U", "eight_track", 0x40011000, "test"))
    with pytest.raises(UsageError, match="eight_track"):
        run_image(build("int main(void) { return 0; }", "stm32f746"), board)


SEMIHOSTING = """
static int call(int op, const void *arg) {
    register int r0 __asm__("r0") = op;
    register const void *r1 __asm__("r1") = arg;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
"""


def test_semihosting_prints_and_knows_no_files() -> None:
    source = (
        SEMIHOSTING
        + """
    int main(void) {
        const char c = '!';
        const unsigned console[3] = {(unsigned)":tt", 4, 3};
        const unsigned file[3] = {(unsigned)"/etc/passwd", 0, 11};
        int handle = call(1, console);
        const unsigned out[3] = {(unsigned)handle, (unsigned)"abcdef", 5};
        call(4, "hello ");
        call(3, &c);
        if (call(5, out) != 0) return 1;
        if (call(1, file) != -1) return 2;
        if (call(0x12, 0) != -1) return 3; /* SYS_SYSTEM */
        return 7;
    }
    """
    )
    result = run(source)
    assert (result.fault, result.exit_code, result.uart) == (None, 7, b"hello !abcde")


@pytest.mark.parametrize(("reason", "code"), [(0x20026, 0), (0x20023, 1)])
def test_the_older_exit(reason: int, code: int) -> None:
    result = run(SEMIHOSTING + f"int main(void) {{ call(0x18, (void *){reason:#x}); return 9; }}", "nucleo_g071rb")
    assert (result.fault, result.exit_code) == (None, code)


def test_elapsed_counts_instructions() -> None:
    source = (
        SEMIHOSTING
        + """
    int main(void) {
        unsigned a[2], b[2];
        call(0x30, a);
        for (volatile int i = 0; i < 100; i++) {}
        call(0x30, b);
        return b[0] - a[0] > 100 && b[1] == 0 ? 1 : 0;
    }
    """
    )
    assert run(source).exit_code == 1


def test_semihosting_pointers_are_checked() -> None:
    result = run(SEMIHOSTING + "int main(void) { call(4, (void *)0x30000000); return 0; }")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.address) == ("unmapped-read", 0x30000000)


def test_itm_port_0_prints() -> None:
    source = """
    int main(void) {
        volatile unsigned char *port = (volatile unsigned char *)0xE0000000u;
        while (*(volatile unsigned *)0xE0000000u == 0) {}
        *port = 'o'; *port = 'k';
        return 0;
    }
    """
    assert run(source).uart == b"ok"


def test_peripherals_remember_and_waits_end() -> None:
    source = """
    #define REG(a) (*(volatile unsigned *)(a))
    int main(void) {
        REG(0x40023800u) |= 1u << 16;                       /* HSEON */
        while (!(REG(0x40023800u) & (1u << 17))) {}         /* HSERDY: set */
        REG(0x40023808u) = 2u;                              /* SW = PLL */
        while ((REG(0x40023808u) & 0xCu) != 0x8u) {}        /* SWS = PLL: a field with one right value */
        while (REG(0x40022010u) & 1u) {}                    /* a flag that must be clear */
        *(volatile unsigned char *)0x40020001u = 0xAB;      /* a byte of a word */
        return REG(0x40020000u) == 0xAB00u ? 21 : 1;
    }
    """
    result = run(source, "nucleo_f446re")
    assert (result.fault, result.exit_code) == (None, 21)
    uses = {use.address: use for use in result.peripherals}
    assert set(uses) == {0x40023800, 0x40023808, 0x40022010, 0x40020000}
    assert (uses[0x40023800].polled, uses[0x40023808].polled) == (True, True)
    assert (uses[0x40020000].polled, uses[0x40022010].polled) == (False, False)
    assert (uses[0x40020000].reads, uses[0x40020000].writes) == (1, 1)


def test_a_strict_job_has_no_other_peripherals() -> None:
    source = "int main(void) { *(volatile unsigned *)0x40023800u = 1u; return 0; }"
    assert run(source).fault is None
    result = run(source, strict_peripherals=True)
    assert result.fault is not None
    assert (result.fault.kind, result.fault.address) == ("unmapped-write", 0x40023800)


def test_systick_can_be_waited_for() -> None:
    source = """
    #define REG(a) (*(volatile unsigned *)(a))
    int main(void) {
        REG(0xE000E014u) = 999u; REG(0xE000E018u) = 0u; REG(0xE000E010u) = 5u;
        for (int i = 0; i < 3; i++) while (!(REG(0xE000E010u) & 0x10000u)) {}
        return 4;
    }
    """
    result = run(source)
    assert (result.fault, result.exit_code) == (None, 4)
    assert 3000 <= result.instructions < 3500


def test_ram_holds_noise_at_reset_and_static_data_does_not() -> None:
    source = """
    static unsigned char quiet[256]; unsigned char kept[256] __attribute__((section(".arena")));
    int main(void) {
        int zero = 1, noise = 0;
        for (int i = 0; i < 256; i++) { zero &= quiet[i] == 0; noise += ((volatile unsigned char *)kept)[i] != 0; }
        return zero && noise > 200 ? 1 : 0;
    }
    """
    assert run(source).exit_code == 1


def test_writes_reach_the_arena_and_survive_start_up() -> None:
    source = """
    unsigned char input[16] __attribute__((section(".arena"), aligned(16)));
    unsigned char output[16];
    int main(void) { for (int i = 0; i < 16; i++) output[i] = (unsigned char)(input[i] * 3); return 0; }
    """
    elf = read_elf(build(source, "stm32f746").elf)
    result = run(
        source,
        writes=[MemoryWrite(elf.address_of("input"), bytes(range(16)))],
        reads=[(elf.address_of("output"), 16)],
    )
    assert result.reads == (bytes(3 * i for i in range(16)),)


def test_watermarks_see_the_deepest_push_and_the_farthest_write() -> None:
    source = function(
        "dig", "push {r4-r7}", "sub sp, #84", "movs r0, #0", "str r0, [sp]", "add sp, #84", "pop {r4-r7}", "bx lr"
    )
    source += """
    void dig(void);
    __attribute__((section(".arena"), aligned(16))) unsigned char arena[4096];
    int main(void) { ((volatile unsigned char *)arena)[1234] = 0; dig(); return 0; }
    """
    image = build(source, "stm32f746")
    arena = read_elf(image.elf).address_of("arena")
    painted = [
        Painted("arena", arena, 4096),
        Painted("stack", image.stack_limit, image.stack_bytes, grows_down=True),
    ]
    result = run(source, painted=painted)
    assert result.watermarks["arena"] == 1235
    # dig's own 100 bytes; above it what Reset_Handler and main pushed: a few words
    assert 100 <= result.watermarks["stack"] <= 100 + 64


def test_neighbouring_regions_are_one_memory() -> None:
    # STM32F746: DTCM of 64 KiB at 0x20000000, SRAM1 behind it
    source = """
    int main(void) {
        volatile unsigned char *p = (volatile unsigned char *)0x2000FFFEu;
        *(volatile unsigned *)(unsigned)p = 0x04030201u;
        return p[0] + p[1] * 2 + p[2] * 4 + p[3] * 8;
    }
    """
    result = run(
        source,
        painted=[Painted("both", 0x2000F000, 0x2000)],
        writes=[MemoryWrite(0x2000FF00, b"A" * 512)],
        reads=[(0x2000FFFC, 8)],
    )
    assert (result.fault, result.exit_code) == (None, 1 + 4 + 12 + 32)
    assert result.reads == (b"AA\1\2\3\4AA",)
    assert result.watermarks["both"] == 0xF00 + 512


def test_watermark_by_hand() -> None:
    paint = bytes(range(1, 201)) * 100
    assert watermark(paint, paint, False) == 0
    assert watermark(paint, paint, True) == 0
    for at in (0, 1, 4095, 4096, 12345, len(paint) - 1):
        seen = bytearray(paint)
        seen[at] = 0
        assert watermark(paint, bytes(seen), False) == at + 1
        assert watermark(paint, bytes(seen), True) == len(paint) - at


def test_code_can_run_from_ram_and_be_rewritten() -> None:
    source = """
    #include <stdint.h>
    static uint16_t code[8];
    static int go(uint16_t first) {
        code[0] = first; code[1] = 0x4770u; /* movs r0, #n; bx lr */
        __asm__ volatile("dsb\\n isb" ::: "memory");
        return ((int (*)(void))((uintptr_t)code | 1u))();
    }
    int main(void) { return go(0x2003u) * 10 + go(0x2004u); }
    """
    result = run(source)
    assert (result.fault, result.exit_code) == (None, 34)


def test_job_without_painted_ranges_reports_none() -> None:
    result = UnicornEmulator().run(find_board("stm32f746"), Job(build("int main(void) { return 0; }", "stm32f746").elf))
    assert result.watermarks == {}
    assert result.peripherals == ()


def test_enabled_interrupts_are_told() -> None:
    """STM32 HAL's time base, and two lines of the NVIC in words 0 and 1; a counter that is polled is none."""
    source = """
    #define R(a) (*(volatile unsigned *)(a))
    int main(void) {
        R(0xE000E014) = 99999; R(0xE000E018) = 0; R(0xE000E010) = CONTROL;
        R(0xE000E100) = NVIC; R(0xE000E104) = NVIC; R(0xE000E180) = 0xF;
        return 0;
    }
    """
    loud = run("#define CONTROL 7\n#define NVIC (1u << 5 | 1u)" + source)
    assert loud.interrupts == ("SysTick", "IRQ 0", "IRQ 5", "IRQ 32", "IRQ 37")
    quiet = run("#define CONTROL 5\n#define NVIC 0u" + source)
    assert (quiet.fault, quiet.interrupts) == (None, ())
