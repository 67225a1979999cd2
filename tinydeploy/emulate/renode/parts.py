"""What a platform needs to know of a family of chips and no board file says: interrupts, and clocks that must answer.

Start-up code switches an oscillator or a voltage on and waits until a bit says that it is there. A `Stub` is a block
of registers that remember what was written, with such bits following the ones that ask for them.

Sources: interrupt numbers, __NVIC_PRIO_BITS and addresses are those of the vendors' CMSIS device headers (ST
cmsis_device_*, Nordic MDK, pico-sdk, Microchip DFP, NXP, Arm); what bits mean, of the families' reference manuals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinydeploy.boards import Board


@dataclass(frozen=True)
class Follow:
    """The bits `mask` of the register at `offset` read as those of the register at `source`, `up` bits below them."""

    offset: int
    mask: int
    source: int
    up: int


@dataclass(frozen=True)
class Stub:
    """A block of registers. `reset`: values that are not 0 at first; `ones`: bits that are always 1; by offset."""

    name: str
    base: int
    bytes: int
    reset: Mapping[int, int] = field(default_factory=dict)
    follow: tuple[Follow, ...] = ()
    ones: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A family of chips. `prefix`: what the MCU's name begins with. `priority_bits`: __NVIC_PRIO_BITS.
    `uart_irqs`: the interrupt of each UART that a board may show. `bit_band`: SRAM and peripherals show bit by bit
    at 0x22000000 and 0x42000000. `missing`: what a firmware for such a chip may want and the stubs do not have."""

    prefix: str
    priority_bits: int
    uart_irqs: Mapping[str, int] = field(default_factory=dict)
    stubs: tuple[Stub, ...] = ()
    bit_band: bool = False
    missing: str | None = None


def _ready(offset: int, *pairs: tuple[int, int]) -> tuple[Follow, ...]:
    """In one register: (bit that switches on, bit that says it is)."""
    return tuple(Follow(offset, 1 << ready, offset, ready - on) for on, ready in pairs)


_CLASSIC = {"USART1": 37, "USART2": 38, "USART3": 39}  # most of ST's families with an M3, M4 or M7
_SMALL = {"USART1": 27, "USART2": 28}
_NEWER = {"USART1": 61, "USART2": 62, "USART3": 63, "LPUART1": 66}
_OSCILLATORS = _ready(0x00, (0, 1), (16, 17), (24, 25))  # CR of the older families: HSI, HSE, PLL
_OSCILLATORS_2 = _ready(0x00, (8, 10), (16, 17), (24, 25))  # CR of the newer ones


def _clock_switch(offset: int, mask: int, up: int) -> Follow:
    """CFGR: SWS follows SW."""
    return Follow(offset, mask << up, offset, up)


_RCC_F1 = Stub(
    "rcc",
    0x40021000,
    0x400,
    {0x00: 0x83},
    (
        *_OSCILLATORS,
        _clock_switch(0x04, 3, 2),
        *_ready(0x20, (0, 1)),  # BDCR: LSE
        *_ready(0x24, (0, 1)),  # CSR: LSI
        *_ready(0x34, (0, 1), (16, 17)),  # CR2 of F0: HSI14, HSI48
    ),
)
_FLASH_F1 = Stub("flash_registers", 0x40022000, 0x400, {0x00: 0x30}, (Follow(0x00, 1 << 5, 0x00, 1),))  # ACR: prefetch
_FLASH_G = Stub("flash_registers", 0x40022000, 0x400)
_PWR = Stub("pwr", 0x40007000, 0x400)
_RCC_F4 = Stub(
    "rcc",
    0x40023800,
    0x400,
    {0x00: 0x83, 0x04: 0x24003010},
    (
        *_OSCILLATORS,
        *_ready(0x00, (26, 27), (28, 29)),  # CR: PLLI2S, PLLSAI
        _clock_switch(0x08, 3, 2),
        *_ready(0x70, (0, 1)),
        *_ready(0x74, (0, 1)),
    ),
)
_PWR_F4 = Stub(
    "pwr",
    0x40007000,
    0x400,
    {0x00: 0xC000},
    # CSR: over-drive (ODRDY, ODSWRDY) as CR asks for it, the backup regulator (BRR) as BRE does
    (Follow(0x04, 3 << 16, 0x00, 0), Follow(0x04, 1 << 3, 0x04, -6)),
    {0x04: 1 << 14},  # VOSRDY
)
_FLASH_F4 = Stub("flash_registers", 0x40023C00, 0x400)
_RCC_L1 = Stub(
    "rcc",
    0x40023800,
    0x400,
    {0x00: 0x300},
    (*_OSCILLATORS, *_ready(0x00, (8, 9)), _clock_switch(0x08, 3, 2), *_ready(0x34, (0, 1), (8, 9))),
)
_RCC_G0 = Stub(
    "rcc",
    0x40021000,
    0x400,
    {0x00: 0x500},
    (
        *_OSCILLATORS_2,
        *_ready(0x00, (22, 23)),  # CR: HSI48
        _clock_switch(0x08, 7, 3),
        *_ready(0x5C, (0, 1)),
        *_ready(0x60, (0, 1)),
    ),
)
_RCC_L4_FOLLOW = (
    *_OSCILLATORS_2,
    *_ready(0x00, (0, 1), (26, 27), (28, 29)),  # CR: MSI, PLLSAI1, PLLSAI2
    _clock_switch(0x08, 3, 2),
    *_ready(0x90, (0, 1)),
    *_ready(0x94, (0, 1), (2, 3)),
    *_ready(0x98, (0, 1)),  # CRRCR: HSI48
)
_RCC_L4 = Stub("rcc", 0x40021000, 0x400, {0x00: 0x63}, _RCC_L4_FOLLOW)
_RCC_G4 = Stub("rcc", 0x40021000, 0x400, {0x00: 0x500}, _RCC_L4_FOLLOW)
_H7_STUBS = (
    Stub(
        "rcc",
        0x58024400,
        0x400,
        {0x00: 0x01},
        (
            *_ready(0x00, (0, 2), (7, 8), (12, 13), (16, 17), (24, 25), (26, 27), (28, 29)),
            _clock_switch(0x10, 7, 3),
            *_ready(0x70, (0, 1)),
            *_ready(0x74, (0, 1)),
        ),
        {0x00: 0xC020},  # CR: HSIDIVF, D1CKRDY, D2CKRDY
    ),
    Stub(
        "pwr",
        0x58024800,
        0x400,
        {0x18: 0x4000},
        (Follow(0x04, 3 << 14, 0x18, 0),),  # CSR1: ACTVOS as D3CR has VOS
        {0x04: 1 << 13, 0x0C: 1 << 16 | 1 << 26, 0x18: 1 << 13},  # ACTVOSRDY, SDEXTRDY, USB33RDY, VOSRDY
    ),
    Stub("flash_registers", 0x52002000, 0x400),
    Stub("fmc", 0x52004000, 0x400),
    Stub("syscfg", 0x58000400, 0x400),
    Stub("dbgmcu", 0x5C001000, 0x400, {0x00: 0x20036450}),  # IDCODE: revision V
    Stub("gpio", 0x58020000, 0x2C00),
)
_U5_STUBS = (
    Stub(
        "rcc",
        0x46020C00,
        0x400,
        {0x00: 0x35},
        (
            *_ready(0x00, (0, 2), (4, 5), (8, 10), (12, 13), (16, 17), (24, 25), (26, 27), (28, 29)),
            _clock_switch(0x1C, 3, 2),
            *_ready(0xF0, (0, 1), (7, 11), (26, 27)),  # BDCR: LSE, LSESYS, LSI
        ),
    ),
    Stub(
        "pwr",
        0x46020800,
        0x400,
        # VOSR: BOOSTRDY as BOOSTEN; SVMSR: ACTVOS as VOS, REGS as REGSEL in CR3
        follow=(Follow(0x0C, 1 << 14, 0x0C, -4), Follow(0x3C, 3 << 16, 0x0C, 0), Follow(0x3C, 2, 0x08, 0)),
        ones={0x0C: 1 << 15, 0x3C: 1 << 15},  # VOSRDY, ACTVOSRDY
    ),
    Stub("flash_registers", 0x40022000, 0x400),
    Stub("icache", 0x40030400, 0x400, ones={0x04: 1 << 1}),  # SR: BSYENDF
    Stub("gpio", 0x42020000, 0x2400),
)


def _nrf_clock(base: int) -> Stub:
    """EVENTS_HFCLKSTARTED, EVENTS_LFCLKSTARTED, HFCLKSTAT, LFCLKSTAT: both clocks run, from crystals."""
    return Stub("clock", base, 0x1000, ones={0x100: 1, 0x104: 1, 0x40C: 0x10001, 0x418: 0x10001})


PARTS = (
    Part("STM32C0", 2, _SMALL, (_RCC_G0, _PWR, _FLASH_G, Stub("gpio", 0x50000000, 0x1800))),
    Part("STM32F0", 2, _SMALL, (_RCC_F1, _PWR, _FLASH_F1, Stub("gpio", 0x48000000, 0x1800))),
    Part(
        "STM32F1",
        4,
        _CLASSIC,
        (_RCC_F1, _PWR, _FLASH_F1, Stub("afio", 0x40010000, 0x400), Stub("gpio", 0x40010800, 0x1C00)),
        bit_band=True,
    ),
    Part("STM32F3", 4, _CLASSIC, (_RCC_F1, _PWR, _FLASH_F1, Stub("gpio", 0x48000000, 0x2000)), bit_band=True),
    Part("STM32F4", 4, _CLASSIC, (_RCC_F4, _PWR_F4, _FLASH_F4, Stub("gpio", 0x40020000, 0x2C00)), bit_band=True),
    Part("STM32F7", 4, _CLASSIC, (_RCC_F4, _PWR_F4, _FLASH_F4, Stub("gpio", 0x40020000, 0x2C00))),
    Part("STM32G0", 2, _SMALL, (_RCC_G0, _PWR, _FLASH_G, Stub("gpio", 0x50000000, 0x1800))),
    Part(
        "STM32G4",
        4,
        {**_CLASSIC, "LPUART1": 91},
        (_RCC_G4, _PWR, _FLASH_G, Stub("gpio", 0x48000000, 0x1C00)),
        bit_band=True,
    ),
    Part("STM32H7", 4, _CLASSIC, _H7_STUBS),
    Part("STM32L1", 4, _CLASSIC, (_RCC_L1, _PWR, _FLASH_F4, Stub("gpio", 0x40020000, 0x2000)), bit_band=True),
    Part(
        "STM32L4",
        4,
        {**_CLASSIC, "LPUART1": 70},
        (_RCC_L4, _PWR, _FLASH_G, Stub("gpio", 0x48000000, 0x2400)),
        bit_band=True,
    ),
    Part(
        "STM32L5",
        3,
        _NEWER,
        (
            _RCC_L4,
            _PWR,
            _FLASH_G,
            Stub("icache", 0x40030400, 0x400, ones={0x04: 1 << 1}),
            Stub("gpio", 0x42020000, 0x2000),
        ),
    ),
    Part("STM32U5", 4, _NEWER, _U5_STUBS),
    Part(
        "STM32WB",
        4,
        {"USART1": 36, "LPUART1": 37},
        (
            # CFGR: HPREF, PPRE1F, PPRE2F; EXTCFGR: SHDHPREF, C2HPREF
            Stub("rcc", 0x58000000, 0x400, {0x00: 0x61}, _RCC_L4_FOLLOW, {0x08: 7 << 16, 0x108: 3 << 16}),
            Stub("pwr", 0x58000400, 0x400),
            Stub("flash_registers", 0x58004000, 0x400),
            Stub("hsem", 0x58001400, 0x400),
            Stub("gpio", 0x48000000, 0x2000),
        ),
        bit_band=True,
    ),
    Part(
        "nRF52",
        3,
        {"UARTE0": 2},
        (
            _nrf_clock(0x40000000),
            Stub("nvmc", 0x4001E000, 0x1000, ones={0x400: 1, 0x408: 1}),  # READY, READYNEXT
            Stub("ficr", 0x10000000, 0x1000),
            Stub("uicr", 0x10001000, 0x1000),
            Stub("gpio", 0x50000000, 0x1000),
        ),
    ),
    Part(
        "nRF53",
        3,
        {"UARTE0": 8},
        (
            _nrf_clock(0x50005000),
            Stub("nvmc", 0x50039000, 0x1000, ones={0x400: 1, 0x408: 1}),
            Stub("ficr", 0x00FF0000, 0x1000),
            Stub("uicr", 0x00FF8000, 0x1000),
            Stub("gpio", 0x50842000, 0x1000),
        ),
    ),
    Part("RP2040", 2, {"UART0": 20, "UART1": 21}, missing="the boot ROM, its table of functions, clocks and resets"),
    Part("RP2350", 4, {"UART0": 33, "UART1": 34}, missing="the boot ROM, its table of functions, clocks and resets"),
    Part("ATSAMD51", 3, {"SERCOM5": 66}, missing="oscillators and the clock generator"),
    Part("MIMXRT10", 4, {"LPUART6": 25}, missing="the boot ROM, clocks (CCM), the pin multiplexer and FlexSPI"),
    Part("SSE-300", 3),
)
_SMALL_CORES = frozenset({"cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m23"})


def part_of(board: Board) -> Part:
    """The family of a board's chip; of one that is not known only what its core implies."""
    found = next((p for p in PARTS if board.mcu.upper().startswith(p.prefix.upper())), None)
    if found is not None:
        return found
    return Part(board.mcu, 2 if board.core.name in _SMALL_CORES else 4, missing="clocks, power and flash control")
