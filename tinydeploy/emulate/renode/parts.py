"""What a platform needs to know of a family of chips and no board file says: interrupts, clocks that must answer.

Sources: interrupt numbers, priority bits and base addresses are those of the vendors' CMSIS device headers (ST
cmsis_device_*, Nordic MDK, pico-sdk, Microchip DFP, NXP), the meaning of bits is from the families' reference manuals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinydeploy.boards import Board


@dataclass(frozen=True)
class Part:
    """A family of chips. `prefix`: what the MCU's name begins with. `priority_bits`: __NVIC_PRIO_BITS.
    `uart_irqs`: the interrupt of each UART that a board may show."""

    prefix: str
    priority_bits: int
    uart_irqs: Mapping[str, int] = field(default_factory=dict)


_CLASSIC = {"USART1": 37, "USART2": 38, "USART3": 39}  # most of ST's families with an M3, M4 or M7

PARTS = (
    Part("STM32C0", 2, {"USART1": 27, "USART2": 28}),
    Part("STM32F0", 2, {"USART1": 27, "USART2": 28}),
    Part("STM32F1", 4, _CLASSIC),
    Part("STM32F3", 4, _CLASSIC),
    Part("STM32F4", 4, _CLASSIC),
    Part("STM32F7", 4, _CLASSIC),
    Part("STM32G0", 2, {"USART1": 27, "USART2": 28}),
    Part("STM32G4", 4, {**_CLASSIC, "LPUART1": 91}),
    Part("STM32H7", 4, _CLASSIC),
    Part("STM32L1", 4, _CLASSIC),
    Part("STM32L4", 4, {**_CLASSIC, "LPUART1": 70}),
    Part("STM32L5", 3, {"USART1": 61, "USART2": 62, "USART3": 63, "LPUART1": 66}),
    Part("STM32U5", 4, {"USART1": 61, "USART2": 62, "USART3": 63, "LPUART1": 66}),
    Part("STM32WB", 4, {"USART1": 36, "LPUART1": 37}),
    Part("nRF52", 3, {"UARTE0": 2}),
    Part("nRF53", 3, {"UARTE0": 8}),
    Part("RP2040", 2, {"UART0": 20, "UART1": 21}),
    Part("RP2350", 4, {"UART0": 33, "UART1": 34}),
    Part("ATSAMD51", 3, {"SERCOM5": 66}),
    Part("MIMXRT10", 4, {"LPUART6": 25}),
    Part("SSE-300", 3),
)


def part_of(board: Board) -> Part:
    """The family of a board's chip; of one that is not known only what its core implies."""
    found = next((p for p in PARTS if board.mcu.upper().startswith(p.prefix.upper())), None)
    if found is not None:
        return found
    return Part(board.mcu, 2 if board.core.name in ("cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m23") else 4)
