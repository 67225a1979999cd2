"""What stands behind addresses that are not memory: the core's registers, the UART, registers that only remember.

Only the core's system control block and the board's UART have a model. Start-up code of real firmware also sets clocks,
power and pins, so (unless the job is strict) the peripheral space 0x40000000–0x5FFFFFFF and the device space
0xA0000000–0xDFFFFFFF of the Armv7-M memory map are a register file with two rules:

1. A register reads what was last written to it, and 0 before.
2. When the same basic block has read the same register 16 times with nothing else touched in between, it waits for
   something that will not come. From then on its reads answer 0x00000000, 0x11111111, … 0xFFFFFFFF in turn, so that
   any field of up to four bits takes every value and the wait ends, whatever it waits for.

The result lists every register that was touched so, and which were waited on: what such firmware computes from
peripherals is made up, and the list says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.boards import Uart
from tinydeploy.emulate.types import PeripheralUse
from tinydeploy.errors import UsageError

PERIPHERAL_SPACES = ((0x40000000, 0x60000000), (0xA0000000, 0xE0000000))
PRIVATE_BUS = (0xE0000000, 0xE0100000)
POLLS_BEFORE_HELP = 16
_REGISTERS_KEPT = 65536
_OUTPUT_KEPT = 16 << 20


class Output:
    """What the firmware prints, from the UART, semihosting and ITM port 0 alike; the first 16 MiB are kept."""

    def __init__(self, live: Callable[[bytes], None] | None) -> None:
        self._data = bytearray()
        self._live = live

    def add(self, data: bytes) -> None:
        """Keep `data`, and pass it on at once where somebody watches."""
        self._data += data[: max(0, _OUTPUT_KEPT - len(self._data))]
        if self._live is not None and data:
            self._live(data)

    @property
    def data(self) -> bytes:
        """All of it."""
        return bytes(self._data)


@dataclass
class _Register:
    value: int = 0
    reads: int = 0
    writes: int = 0
    polled: bool = False


class RegisterFile:
    """Registers that remember, with the rule for waits. Addresses are those of aligned words."""

    def __init__(self) -> None:
        self._registers: dict[int, _Register] = {}
        self._waiting: tuple[int, int] | None = None
        self._reads_in_a_row = 0

    def _register(self, address: int) -> _Register:
        register = self._registers.get(address)
        if register is None:
            register = _Register()
            if len(self._registers) < _REGISTERS_KEPT:
                self._registers[address] = register
        return register

    def read(self, address: int, where: int) -> int:
        """The word at `address`, read by the block at `where`."""
        register = self._register(address)
        register.reads += 1
        if self._waiting != (address, where):
            self._waiting = (address, where)
            self._reads_in_a_row = 0
        self._reads_in_a_row += 1
        if self._reads_in_a_row <= POLLS_BEFORE_HELP:
            return register.value
        register.polled = True
        return (self._reads_in_a_row - POLLS_BEFORE_HELP - 1) % 16 * 0x11111111

    def write(self, address: int, value: int, mask: int) -> None:
        """Write the bits of `mask`."""
        register = self._register(address)
        register.writes += 1
        register.value = (register.value & ~mask) | (value & mask)
        self._waiting = None

    def uses(self) -> tuple[PeripheralUse, ...]:
        """Everything touched, by address."""
        return tuple(
            PeripheralUse(address, r.reads, r.writes, r.polled) for address, r in sorted(self._registers.items())
        )


@dataclass(frozen=True)
class UartLayout:
    """Where a UART has its data register, and what its other registers read (offset → value): always ready to send."""

    data: int
    ready: dict[int, int]


_NRF_START, _NRF_POINTER, _NRF_COUNT, _NRF_LEGACY_DATA = 0x008, 0x544, 0x548, 0x51C

UART_LAYOUTS = {
    # STM32F4 reference manual RM0090, USART: SR.TXE, SR.TC
    "stm32_sr_dr": UartLayout(0x04, {0x00: 0xC0}),
    # STM32F7 reference manual RM0385, USART: ISR.TXE, TC, TEACK, REACK
    "stm32_isr_tdr": UartLayout(0x28, {0x1C: 0x006000C0}),
    # nRF52840 product specification, UARTE: EVENTS_TXDRDY, ENDTX, TXSTARTED, TXSTOPPED; TXD of the older UART
    "nrf_uarte": UartLayout(_NRF_LEGACY_DATA, {0x11C: 1, 0x120: 1, 0x150: 1, 0x158: 1}),
    # Arm PrimeCell PL011 manual: FR.TXFE, FR.RXFE
    "pl011": UartLayout(0x00, {0x18: 0x90}),
    # SAM D21 data sheet, SERCOM USART: INTFLAG.DRE, TXC; SYNCBUSY
    "sam_sercom": UartLayout(0x28, {0x18: 0x03, 0x1C: 0}),
    # i.MX RT1060 reference manual, LPUART: STAT.TDRE, TC
    "imxrt_lpuart": UartLayout(0x1C, {0x14: 0x00C00000}),
    # Arm CMSDK APB UART: STATE, neither buffer full
    "cmsdk": UartLayout(0x00, {0x04: 0}),
}


class UartModel:
    """The board's UART, sending side: takes bytes at once, is always ready, never receives."""

    BYTES = 0x600  # the largest of the layouts

    def __init__(self, uart: Uart, output: Output, memory: Callable[[int, int], bytes]) -> None:
        layout = UART_LAYOUTS.get(uart.model)
        if layout is None:
            raise UsageError(
                f"uart {uart.name}: the emulator does not know the register layout '{uart.model}'",
                hint="it knows " + ", ".join(sorted(UART_LAYOUTS)),
            )
        self.base = uart.base
        self._layout = layout
        self._nrf = uart.model == "nrf_uarte"
        self._output = output
        self._memory = memory
        self._kept: dict[int, int] = {}

    def holds(self, address: int) -> bool:
        """Whether an address is one of its registers."""
        return 0 <= address - self.base < self.BYTES

    def read(self, address: int) -> int:
        """A word."""
        offset = address - self.base
        return self._layout.ready.get(offset, self._kept.get(offset, 0))

    def write(self, address: int, value: int, mask: int) -> None:
        """A word; the data register sends its low byte."""
        offset = address - self.base
        if offset == self._layout.data:
            self._output.add(bytes([value & 0xFF]))
            return
        self._kept[offset] = (self._kept.get(offset, 0) & ~mask) | (value & mask)
        if self._nrf and offset == _NRF_START and value & 1:
            start, count = self._kept.get(_NRF_POINTER, 0), self._kept.get(_NRF_COUNT, 0) & 0xFFFF
            self._output.add(self._memory(start, count))


ITM_PORT_0, ITM_PORTS_END = 0xE0000000, 0xE0000080
_ITM_ENABLE, _ITM_CONTROL = 0xE0000E00, 0xE0000E80
SYSTICK_CONTROL, SYSTICK_RELOAD, SYSTICK_VALUE = 0xE000E010, 0xE000E014, 0xE000E018
CPUID, VECTOR_TABLE, RESET_CONTROL, COPROCESSOR_ACCESS = 0xE000ED00, 0xE000ED08, 0xE000ED0C, 0xE000ED88
_RESET_KEY, _RESET_REQUEST = 0x05FA, 0x4
_NVIC_ENABLE, _NVIC_ENABLE_END = 0xE000E100, 0xE000E140
_TICK_INTERRUPT = 0x2  # SysTick's TICKINT


class PrivateBus:
    """The core's own registers: SCB, SysTick and ITM as far as firmware looks at them, the rest remembers.

    CYCCNT and the marker port are the hook's. SysTick counts instructions. `reset` is called when firmware asks for a
    system reset, `fpu` when the coprocessor access register is written.
    """

    def __init__(
        self,
        cpuid: int,
        vectors: int,
        output: Output,
        executed: Callable[[], int],
        reset: Callable[[], None],
        fpu: Callable[[bool], None],
    ) -> None:
        self._kept = {VECTOR_TABLE: vectors, _ITM_ENABLE: 0x1, _ITM_CONTROL: 0x1}
        self._cpuid = cpuid
        self._output = output
        self._executed = executed
        self._reset = reset
        self._fpu = fpu
        self._tick_start = 0
        self._ticks_seen = 0
        self._interrupts: dict[str, None] = {}

    @property
    def interrupts(self) -> tuple[str, ...]:
        """The interrupts that the firmware enabled, in that order; none of them ever comes."""
        return tuple(self._interrupts)

    def read(self, address: int) -> int:
        """A word."""
        if address == CPUID:
            return self._cpuid
        if ITM_PORT_0 <= address < ITM_PORTS_END:
            return 1  # ready for more
        if address == RESET_CONTROL:
            return 0xFA050000 | (self._kept.get(address, 0) & 0x700)
        if address in (SYSTICK_CONTROL, SYSTICK_VALUE) and self._kept.get(SYSTICK_CONTROL, 0) & 1:
            return self._systick(address)
        return self._kept.get(address, 0)

    def _systick(self, address: int) -> int:
        period = (self._kept.get(SYSTICK_RELOAD, 0) & 0xFFFFFF) + 1
        elapsed = self._executed() - self._tick_start
        if address == SYSTICK_VALUE:
            return period - 1 - elapsed % period
        wraps = elapsed // period
        wrapped = wraps > self._ticks_seen  # COUNTFLAG: since the last look
        self._ticks_seen = wraps
        return (self._kept[SYSTICK_CONTROL] & 7) | (0x10000 if wrapped else 0)

    def write(self, address: int, value: int, mask: int) -> None:
        """A word."""
        if address == ITM_PORT_0:
            width = (mask.bit_length() + 7) // 8
            self._output.add((value & mask).to_bytes(4, "little")[:width])
            return
        if ITM_PORT_0 < address < ITM_PORTS_END:
            return
        if address in (SYSTICK_CONTROL, SYSTICK_VALUE):
            self._tick_start, self._ticks_seen = self._executed(), 0
        merged = (self._kept.get(address, 0) & ~mask) | (value & mask)
        self._kept[address] = merged
        if address == SYSTICK_CONTROL and merged & _TICK_INTERRUPT:
            self._interrupts["SysTick"] = None
        elif _NVIC_ENABLE <= address < _NVIC_ENABLE_END:
            first = (address - _NVIC_ENABLE) * 8
            self._interrupts |= {f"IRQ {first + bit}": None for bit in range(32) if value & mask & 1 << bit}
        if address == COPROCESSOR_ACCESS:
            self._fpu(merged >> 20 & 0xF == 0xF)
        elif address == RESET_CONTROL and merged >> 16 == _RESET_KEY and merged & _RESET_REQUEST:
            self._reset()
