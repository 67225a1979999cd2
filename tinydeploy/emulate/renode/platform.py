"""`make_platform`: a board as a Renode platform description, with the chip's true memories and nothing that it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.boards import Board
from tinydeploy.emulate.renode.parts import Part, part_of
from tinydeploy.errors import UsageError

# GCC's name of a core → Renode's `cpuType`. Renode's cortex-m4f is an M7 to the program that asks for the CPUID.
CPU_TYPES = {
    "cortex-m0": "cortex-m0",
    "cortex-m0plus": "cortex-m0+",
    "cortex-m1": "cortex-m1",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m7",
    "cortex-m23": "cortex-m23",
    "cortex-m33": "cortex-m33",
    "cortex-m55": "cortex-m55",
    "cortex-m85": "cortex-m85",
}
_WITHOUT_DWT = frozenset({"cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m23"})  # no cycle counter
_PAGE = 1024  # bytes: what Renode maps for an Arm core starts and ends at a multiple of this


@dataclass(frozen=True)
class Platform:
    """A board as Renode has it.

    `repl`: the text. `cpu`, `uart`: names to use after `using sysbus`; no `uart` where the board has none.
    `memories`: the name of each region's peripheral. `notes`: what is approximated, a sentence each.
    """

    repl: str
    cpu: str
    uart: str | None
    memories: Mapping[str, str]
    notes: tuple[str, ...]


def make_platform(board: Board, *, marker_address: int | None = None, stubs: bool = True) -> Platform:
    """The platform of a board.

    `marker_address`: a word that an image may write its step numbers to. `stubs`: clocks, power and flash control
    answer start-up code that waits for them; without, nothing is there but the core, the memories and the UART.
    Raises `UsageError` for a core, a UART or a memory that Renode cannot have.
    """
    part = part_of(board)
    core = _cpu_type(board)
    mips = max(1, round(board.clock_hz / 1e6))
    memories = _memory_names(board)
    uart = _uart(board, part)
    entries = [
        *(_memory(board, memories[r.name], r.base, r.bytes) for r in board.regions),
        f"nvic: IRQControllers.NVIC @ sysbus 0xE000E000\n    priorityMask: 0x{0xFF & ~(0xFF >> part.priority_bits):02X}\n"
        f"    systickFrequency: {board.clock_hz}\n    IRQ -> cpu@0",
        f'cpu: CPU.CortexM @ sysbus\n    cpuType: "{core}"\n    nvic: nvic\n    PerformanceInMips: {mips}',
    ]
    if board.core.name not in _WITHOUT_DWT:
        entries.append(f"dwt: Miscellaneous.DWT @ sysbus 0xE0001000\n    frequency: {mips * 1_000_000}")
    if marker_address is not None:
        entries.append(f"marker: Memory.ArrayMemory @ sysbus 0x{marker_address:08X}\n    size: 0x4")
    if uart is not None:
        entries.append(uart[1])
    return Platform(
        repl="\n\n".join(entries) + "\n",
        cpu="cpu",
        uart=uart[0] if uart is not None else None,
        memories=memories,
        notes=(),
    )


def _cpu_type(board: Board) -> str:
    found = CPU_TYPES.get(board.core.name)
    if found is None:
        raise UsageError(f"{board.id}: Renode has no {board.core.name}", hint="it has " + ", ".join(sorted(CPU_TYPES)))
    return found


def peripheral_name(text: str) -> str:
    """A region's or a UART's name as Renode may have it: letters and digits, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"p_{name}"


def _memory_names(board: Board) -> dict[str, str]:
    taken = {"cpu", "nvic", "dwt", "marker", "sysbus"}
    names: dict[str, str] = {}
    for region in board.regions:
        name = peripheral_name(region.name)
        while name in taken:
            name += "_memory"
        taken.add(name)
        names[region.name] = name
    return names


def _memory(board: Board, name: str, base: int, size: int) -> str:
    if base % _PAGE or size % _PAGE:
        raise UsageError(
            f"{board.id}: Renode cannot have a memory of {size} bytes at {base:#x}",
            hint=f"it maps pages of {_PAGE} bytes: address and size must be multiples of it",
        )
    return f"{name}: Memory.MappedMemory @ sysbus 0x{base:08X}\n    size: 0x{size:X}"


def _uart(board: Board, part: Part) -> tuple[str, str] | None:
    uart = board.uart
    if uart is None:
        return None
    name = peripheral_name(uart.name)
    irq = part.uart_irqs.get(uart.name)
    wired = f"\n    IRQ -> nvic@{irq}" if irq is not None else ""
    if uart.model == "stm32_sr_dr":
        text = f"UART.STM32_UART @ sysbus <0x{uart.base:08X}, +0x400>\n    frequency: {board.clock_hz}{wired}"
    elif uart.model == "stm32_isr_tdr":
        low_power = "\n    lowPowerMode: true" if uart.name.startswith("LPUART") else ""
        text = f"UART.STM32F7_USART @ sysbus 0x{uart.base:08X}\n    frequency: {board.clock_hz}{low_power}{wired}"
    elif uart.model == "nrf_uarte":
        text = f"UART.NRF52840_UART @ sysbus 0x{uart.base:08X}\n    easyDMA: true{wired}"
    elif uart.model == "pl011":
        text = f"UART.PL011 @ sysbus 0x{uart.base:08X}\n    frequency: {board.clock_hz}{wired}"
    elif uart.model == "sam_sercom":
        text = f"UART.SAMD5_UART @ sysbus 0x{uart.base:08X}{wired}"
    elif uart.model == "imxrt_lpuart":
        text = f"UART.NXP_LPUART @ sysbus 0x{uart.base:08X}{wired}"
    elif uart.model == "cmsdk":
        text = f"UART.CMSDK_APB_UART @ sysbus 0x{uart.base:08X}\n    frequency: {board.clock_hz}"
    else:
        raise UsageError(f"{board.id}: Renode has no UART with the layout '{uart.model}'")
    return name, f"{name}: {text}"
