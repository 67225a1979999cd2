"""Rows of input that the emulator hands over: written where the firmware asks, in order, or the run ends."""

from __future__ import annotations

import pytest

from tests.support.firmware import needs_any, needs_unicorn, run
from tinydeploy.emulate import Feed, RunResult

pytestmark = [needs_unicorn, needs_any]

ROWS = {0: [b"ab", b"cd", b"ef"], 1: [b"xyz"]}

FIRMWARE = """
#include <stdint.h>
__attribute__((noinline, used)) void take(void *context, uint32_t input, uint32_t row, void *to)
{
    (void)context; (void)input; (void)row;
    __asm volatile("" ::"r"(to) : "memory");
}
void (*volatile ask)(void *, uint32_t, uint32_t, void *) = take; /* a call that no compiler sees through */
char seen[16];
__attribute__((noinline, used)) void done(void) { __asm volatile("" ::: "memory"); }
int main(void)
{
    %s
    done();
    return 0;
}
"""


def fed(body: str) -> RunResult:
    """A run of `body`, which calls ask(context, input, row, to)."""
    return run(FIRMWARE % body, stop_symbol="done", feed=Feed("take", ROWS))


def test_rows_are_where_they_were_wanted() -> None:
    from tests.support.firmware import build
    from tinydeploy.elf import read_elf

    body = "ask(0, 0, 0, seen); ask(0, 1, 0, seen + 8); ask(0, 0, 1, seen + 2); ask(0, 0, 2, seen + 4);"
    address = read_elf(build(FIRMWARE % body, "stm32f746").elf).address_of("seen")
    result = run(FIRMWARE % body, stop_symbol="done", feed=Feed("take", ROWS), reads=[(address, 11)])
    assert result.fault is None
    assert result.reads == (b"abcdef\0\0xyz",)
    assert result.instructions_by_function["take"] == 4  # the emulator's part costs no instruction: four times bx lr


ALL = "ask(0, 1, 0, seen); ask(0, 0, 0, seen); ask(0, 0, 1, seen); ask(0, 0, 2, seen);"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("ask(0, 0, 1, seen);", "asked for row 1 of input 0, but row 0 comes next"),
        ("ask(0, 0, 0, seen); ask(0, 0, 0, seen);", "asked for row 0 of input 0, but row 1 comes next"),
        (ALL + "ask(0, 0, 3, seen);", "asked for row 3 of input 0, but all 3 are handed over"),
        ("ask(0, 2, 0, seen);", "asked for row 0 of input 2, which is not fed"),
        ("ask(0, 0, 0, (void *)0x2004FFFF);", "row 0 of input 0 at 0x2004ffff, where no RAM has 2 bytes"),
        ("ask(0, 0, 0, (void *)0x08000000);", "row 0 of input 0 at 0x08000000, where no RAM has 2 bytes"),
        (ALL.rpartition("ask")[0], "the run ended after 2 of 3 rows of input 0"),
        ("ask(0, 1, 0, seen);", "the run ended after 0 of 3 rows of input 0"),
    ],
)
def test_anything_else_ends_the_run(body: str, said: str) -> None:
    """STM32F746: RAM is [0x20000000, 0x20050000), flash starts at 0x08000000."""
    result = fed(body)
    assert result.fault is not None
    assert result.fault.kind == "feed"
    assert said in result.fault.message
    if "ended" not in said:
        assert result.fault.function == "take"
        assert result.instructions_by_function.get("take", 0) == body.count("ask(") - 1  # the bad one did not run
