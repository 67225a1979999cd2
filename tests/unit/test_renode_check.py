"""A platform is held against what Renode's peripherals are told: each mistake of a sound one is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinydeploy.boards import find_board
from tinydeploy.emulate.renode.peripherals import TYPES, check
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.repl import parse, peripherals

SOUND = make_platform(find_board("stm32f4_disco"), marker_address=0xE000007C).repl

# what is replaced, by what, and what the check must say
MUTATIONS = [
    (r"    size: 0x100000\n", "", "flash: Memory.MappedMemory needs size"),
    (r"size: 0x100000", "size: 0x100200", "not made of pages of 1024 bytes"),
    (r"size: 0x100000", "size: 0", "size must be positive"),
    (r"size: 0x100000", 'size: "1M"', "size must be of the kind int"),
    (r"size: 0x100000", "size: true", "size must be of the kind int"),
    (r"size: 0x100000", "size: 0x100000\n    size: 0x200000", "size is given twice"),
    (r"0x08000000", "0x08000100", "not made of pages"),
    (
        r"sram2: (.*) 0x2001C000",
        r"sram2: \1 0x2001B000",
        "sram2 at 0x2001b000 overlaps sram1, which ends at 0x2001c000",
    ),
    (r"sysbus 0x20000000", "sysbus", "sram1: Memory.MappedMemory needs an address"),
    (r"sysbus 0x20000000", "sysbuss 0x20000000", "attached to sysbuss, which is not there"),
    (r"sysbus 0x20000000", "cpu 0x20000000", "attached to sysbus, not to cpu"),
    (r"@ sysbus 0x20000000", "@ none", "sram1: is attached to nothing"),
    (r"Memory.MappedMemory @ sysbus 0x2000", "Memory.Mapped @ sysbus 0x2000", "no type Memory.Mapped is known"),
    (r"sram1: Memory.MappedMemory", "sram1: ", "sram1 has no type"),
    (r"sram2:", "sram1:", "sram1 is there already"),
    (r'    cpuType: "cortex-m4"\n', "", "cpu: CPU.CortexM needs cpuType"),
    (r"cpuType:", "cputype:", "CPU.CortexM has no cputype"),
    (r"nvic: nvic", "nvic: nvik", "nvic names nvik, which is not there"),
    (r"nvic: nvic", 'nvic: "nvic"', "nvic must be of the kind reference"),
    (r"PerformanceInMips: 168", "PerformanceInMips: 16.8", "PerformanceInMips must be of the kind int"),
    (r"CPU.CortexM @ sysbus", "CPU.CortexM @ sysbus 0x0", "CPU.CortexM has no address"),
    (r"    IRQ -> cpu@0\n", "", "the NVIC is not wired to the core"),
    (r"IRQ -> cpu@0", "IRQ -> cpu@1", "the NVIC goes to input 0 of the core"),
    (r"IRQ -> nvic@38", "IRQ -> nvic@600", "the NVIC has no input 600"),
    (r"IRQ -> nvic@38", "IRQ -> sram1@38", "sram1 takes no interrupts"),
    (r"IRQ -> nvic@38", "IRQ -> vic@38", "an interrupt goes to vic, which is not there"),
    (r"IRQ -> nvic@38", "Interrupt -> nvic@38", "UART.STM32_UART has no output Interrupt"),
    (r"    frequency: 168000000\n\nsemihosting", "\nsemihosting", "dwt: Miscellaneous.DWT needs frequency"),
    (r"frequency: 168000000\n    IRQ", "baudRate: 168000000\n    IRQ", "UART.STM32_UART has no baudRate"),
    (r"<0x40004400, \+0x400>", "0x40004400", "UART.STM32_UART needs an address, and a range"),
    (r"    peripheralBase: 0x20000000\n", "", "bit_band_sram: Miscellaneous.BitBanding needs peripheralBase"),
    (r"SemihostingUart @ cpu", "SemihostingUart @ sysbus", "attached to cpu, not to sysbus"),
    (r"words = \{\}", "words = {", "braces in a script must come in pairs"),
    (r"marker: (.*) 0xE000007C", r"marker: \1 0x20000000", "overlaps"),
]


def test_the_platform_is_sound() -> None:
    assert check(parse(SOUND).entries) == []


@pytest.mark.parametrize(("pattern", "replacement", "problem"), MUTATIONS)
def test_mistakes_are_found(pattern: str, replacement: str, problem: str) -> None:
    mutated, count = re.subn(pattern, replacement, SOUND, count=1)
    assert count == 1 and mutated != SOUND
    if problem.startswith("braces"):  # Renode's own reader trips over it, and so does ours
        with pytest.raises(Exception, match="expected"):
            parse(mutated)
        return
    assert any(problem in found for found in check(parse(mutated, "board.repl").entries)), check(parse(mutated).entries)


def test_problems_say_where() -> None:
    (problem,) = check(parse("\nram: Memory.MappedMemory @ sysbus 0x0\n", "own.repl").entries)
    assert problem == "own.repl:2: ram: Memory.MappedMemory needs size"


def test_scripts_need_one_source() -> None:
    text = "p: Python.PythonPeripheral @ sysbus 0\n    size: 4\n"
    assert any("either script or filename" in p for p in check(parse(text).entries))
    both = text + '    filename: "a.py"\n    script: "pass"\n'
    assert any("either script or filename" in p for p in check(parse(both).entries))
    assert check(parse(text + '    filename: "a.py"\n').entries) == []


def test_the_table_has_no_type_that_nothing_uses() -> None:
    """Every entry of the table is written for some board: what is not written is not checked against Renode."""
    from tinydeploy.boards import all_boards

    written = set()
    for board in all_boards():
        found = peripherals(parse(make_platform(board, marker_address=0xE000007C).repl).entries)
        written |= {p.type for p in found.values()}
    assert written == set(TYPES)


def test_the_facts_file_of_a_user(tmp_path: Path) -> None:
    """A platform of one's own may have types that the table lacks: they are named, and nothing else is."""
    text = SOUND + "\nrtc: Timers.Something @ sysbus 0x50000000\n"
    (problem,) = check(parse(text).entries)
    assert "no type Timers.Something is known" in problem
