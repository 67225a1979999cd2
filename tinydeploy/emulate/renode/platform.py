"""`make_platform`: a board as a Renode platform, with the chip's true memories and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tinydeploy.boards import Board, RegionKind, Uart
from tinydeploy.emulate.renode.parts import Part, Stub, part_of
from tinydeploy.emulate.renode.peripherals import PAGE_BYTES
from tinydeploy.errors import UsageError

# GCC's name of a core → Renode's `cpuType`. Renode's cortex-m4f has the M7's CPUID; its cortex-m4 has an FPU, too.
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
_RESERVED = frozenset({"cpu", "nvic", "dwt", "marker", "semihosting", "sysbus", "machine", "emulation"})


@dataclass(frozen=True)
class Platform:
    """A board as Renode has it.

    `repl`: the text. `cpu`, `uart`, `semihosting`: names to use after `using sysbus`; `uart` is None where the board
    has none, `semihosting` is the UART that `bkpt 0xAB` prints on. `memories`: the name of each region's peripheral.
    `mips`: instructions a microsecond, the clock in MHz. `notes`: what is approximated, a sentence each.
    """

    repl: str
    cpu: str
    uart: str | None
    semihosting: str
    memories: Mapping[str, str]
    mips: int
    notes: tuple[str, ...]


def make_platform(board: Board, *, marker_address: int | None = None, stubs: bool = True) -> Platform:
    """The platform of a board.

    `marker_address`: a word that an image may write its step numbers to. `stubs`: clocks, power, pins and flash
    control answer start-up code that waits for them; without, nothing is there but the core, the memories and the
    UART, so that whatever else a program touches is a warning.
    Raises `UsageError` for a core, a UART or a memory that Renode cannot have.
    """
    part = part_of(board)
    mips = max(1, round(board.clock_hz / 1e6))
    memories = dict(zip((r.name for r in board.regions), _memory_names(board), strict=True))
    entries = [
        *(_memory(board, memories[region.name], region.base, region.bytes) for region in board.regions),
        *_core(board, part, mips),
        *([f"marker: Memory.ArrayMemory @ sysbus 0x{marker_address:08X}\n    size: 0x4"] if marker_address else []),
    ]
    if board.uart is not None:
        entries.append(_uart(board, board.uart, part))
    if stubs:
        entries += [_stub(s) for s in part.stubs]
        entries += _bit_band() if part.bit_band else []
    return Platform(
        repl="\n\n".join(entries) + "\n",
        cpu="cpu",
        uart=peripheral_name(board.uart.name) if board.uart is not None else None,
        semihosting="semihosting",
        memories=memories,
        mips=mips,
        notes=tuple(_notes(board, part, stubs)),
    )


def has_cycle_counter(board: Board) -> bool:
    """Whether the core has DWT CYCCNT."""
    return board.core.name not in _WITHOUT_DWT


def without_helium(board: Board) -> Board:
    """The board that an image must be compiled for to run in Renode 1.16: its cores with Helium do not have the
    extension's 64-bit shifts (ASRL, LSLL), and take a UsageFault. Any other board is the same."""
    return replace(board, core=replace(board.core, mve=False)) if board.core.mve else board


def peripheral_name(text: str) -> str:
    """A region's or a UART's name as Renode may have it: lower-case letters, digits and underscores, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"p_{name}"


def _memory_names(board: Board) -> Iterator[str]:
    taken = set(_RESERVED) | ({peripheral_name(board.uart.name)} if board.uart is not None else set())
    for region in board.regions:
        name = peripheral_name(region.name)
        while name in taken:
            name += "_memory"
        taken.add(name)
        yield name


def _memory(board: Board, name: str, base: int, size: int) -> str:
    if base % PAGE_BYTES or size % PAGE_BYTES:
        raise UsageError(
            f"{board.id}: Renode cannot have a memory of {size} bytes at {base:#x}",
            hint=f"it maps pages of {PAGE_BYTES} bytes: address and size must be multiples of it",
        )
    return f"{name}: Memory.MappedMemory @ sysbus 0x{base:08X}\n    size: 0x{size:X}"


def _core(board: Board, part: Part, mips: int) -> Iterator[str]:
    cpu_type = CPU_TYPES.get(board.core.name)
    if cpu_type is None:
        raise UsageError(f"{board.id}: Renode has no {board.core.name}", hint="it has " + ", ".join(sorted(CPU_TYPES)))
    priorities = 0xFF & ~(0xFF >> part.priority_bits)
    yield (
        f"nvic: IRQControllers.NVIC @ sysbus 0xE000E000\n    priorityMask: 0x{priorities:02X}\n"
        f"    systickFrequency: {board.clock_hz}\n    IRQ -> cpu@0"
    )
    yield f'cpu: CPU.CortexM @ sysbus\n    cpuType: "{cpu_type}"\n    nvic: nvic\n    PerformanceInMips: {mips}'
    if has_cycle_counter(board):
        yield f"dwt: Miscellaneous.DWT @ sysbus 0xE0001000\n    frequency: {mips * 1_000_000}"
    yield "semihosting: UART.SemihostingUart @ cpu"


def _uart(board: Board, uart: Uart, part: Part) -> str:
    clock = f"\n    frequency: {board.clock_hz}"
    low_power = "\n    lowPowerMode: true" if uart.name.upper().startswith("LPUART") else ""
    models = {
        "stm32_sr_dr": ("STM32_UART", clock),
        "stm32_isr_tdr": ("STM32F7_USART", clock + low_power),
        "nrf_uarte": ("NRF52840_UART", "\n    easyDMA: true"),
        "pl011": ("PL011", clock),
        "sam_sercom": ("SAMD5_UART", ""),
        "imxrt_lpuart": ("NXP_LPUART", clock),
        "cmsdk": ("CMSDK_APB_UART", clock),
    }
    if uart.model not in models:
        raise UsageError(
            f"{board.id}: no UART of Renode's has the layout '{uart.model}'", hint="known: " + ", ".join(sorted(models))
        )
    type_, told = models[uart.model]
    place = f"<0x{uart.base:08X}, +0x400>" if type_ == "STM32_UART" else f"0x{uart.base:08X}"  # it has no size
    irq = part.uart_irqs.get(uart.name)
    wired = f"\n    IRQ -> nvic@{irq}" if irq is not None else ""
    return f"{peripheral_name(uart.name)}: UART.{type_} @ sysbus {place}{told}{wired}"


def _stub(stub: Stub) -> str:
    return (
        f"{stub.name}: Python.PythonPeripheral @ sysbus 0x{stub.base:08X}\n    size: 0x{stub.bytes:X}\n"
        f"    initable: true\n    script: '''\n{stub_script(stub)}'''"
    )


def stub_script(stub: Stub) -> str:
    """The Python that Renode runs at each access, as `PythonPeripheral` wants it: words that remember, ready bits that
    follow. Its braces come in pairs, since Renode counts them when it reads the file."""
    reset = ", ".join(f"0x{offset:X}: 0x{value:X}" for offset, value in stub.reset.items())
    lines = [
        "if request.IsInit:",
        f"    words = {{{reset}}}",
        "else:",
        "    at, low = int(request.Offset) & ~3, 8 * (int(request.Offset) & 3)",
        "    mask = ((1 << 8 * int(getattr(request, 'Length', 4))) - 1) << low",
        "    value = words.get(at, 0)",
        "    if request.IsWrite:",
        "        words[at] = value & ~mask | int(request.Value) << low & mask",
        "    else:",
    ]
    for f in stub.follow:
        moved = f"words.get(0x{f.source:X}, 0) {'<<' if f.up >= 0 else '>>'} {abs(f.up)}"
        lines.append(f"        if at == 0x{f.offset:X}: value = value & ~0x{f.mask:X} | {moved} & 0x{f.mask:X}")
    lines += [f"        if at == 0x{offset:X}: value |= 0x{mask:X}" for offset, mask in stub.ones.items()]
    return "\n".join([*lines, "        request.Value = (value & mask) >> low", ""])


def _bit_band() -> list[str]:
    return [
        f"bit_band_{name}: Miscellaneous.BitBanding @ sysbus <0x{base + 0x2000000:08X}, +0x2000000>\n"
        f"    peripheralBase: 0x{base:08X}"
        for name, base in (("sram", 0x20000000), ("peripherals", 0x40000000))
    ]


def _notes(board: Board, part: Part, stubs: bool) -> Iterator[str]:
    core = board.core
    if not has_cycle_counter(board):
        yield f"Renode's {core.name} also runs instructions that the real one does not have (UDIV, IT, the wide ones)."
    else:
        yield "DWT CYCCNT counts instructions, not cycles: wait states, caches and pipelines are not modelled."
    if core.name == "cortex-m4" and not core.hard_float:
        yield "Renode's cortex-m4 has a floating-point unit, the board's has none."
    elif "sp" in core.fpu:
        yield f"Renode's {core.name} also computes double precision in hardware."
    if core.mve:
        yield f"Renode's {core.name} lacks Helium's 64-bit shifts (ASRL, LSLL): build images for it without Helium."
    if any(r.kind is RegionKind.FLASH for r in board.regions):
        yield "Flash is plain memory to Renode: a program that writes to it is not stopped."
    if core.name in ("cortex-m0", "cortex-m0plus"):
        yield "Unaligned accesses are not refused."
    if board.uart is None:
        yield "The board file names no UART, so there is none."
    elif board.uart.model == "sam_sercom":
        yield "Renode's SERCOM has no control registers: it warns of writes to them, and sends all the same."
    if stubs and part.stubs:
        names = ", ".join(s.name for s in part.stubs)
        yield f"Only stubs, which remember and say that they are ready: {names}. No clock changes its frequency."
    if stubs and part.missing is not None:
        yield f"Not there: {part.missing}."
