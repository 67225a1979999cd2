"""The hardware figures behind the modelled estimates, each with its source.

Cycles per MAC are published end-to-end results, so they hold everything a run needs (requantization, activation
functions, pooling, the waiting for flash). Bandwidths are what bus and flash line can give at best. Energies are
orders of magnitude for a 45 nm process, not for any of these chips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tinydeploy.errors import BoardError

if TYPE_CHECKING:
    from tinydeploy.boards import Board, Region

MLPERF_TINY_MACS: Mapping[str, int] = {"ad": 264_192, "ic": 12_501_632, "kws": 2_656_768, "vww": 7_489_664}
"""MACs of the reference models of MLPerf Tiny, counted from their files."""


@dataclass(frozen=True)
class Figure:
    """A number, its unit, and where it comes from."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class PublishedRun:
    """Four published latencies (in milliseconds, by benchmark) on one MCU at one clock."""

    mcu: str
    clock_mhz: int
    milliseconds: Mapping[str, float]
    software: str

    @property
    def cycles_per_mac(self) -> float:
        """Geometric mean over the four benchmarks of milliseconds · clock / MACs of the reference model."""
        ratios = [ms * self.clock_mhz * 1000 / MLPERF_TINY_MACS[name] for name, ms in self.milliseconds.items()]
        return float(prod(ratios) ** (1 / len(ratios)))


# One engine on four cores: HALE has results on M0+, M4, M7 and M33 alike, and unlike X-CUBE-AI from 8.1 and Plumerai
# from 2023.05 it evidently computes the all-zero channels of the wake-word model, as a straightforward kernel does.
_HALE = "Bosch HALE, best of the MLPerf Tiny v1.1 and v1.2 results (closed division, mlcommons.org)"
_TFLM_HELIUM = "Renesas with TensorFlow Lite Micro, MLPerf Tiny v1.2 (closed division, mlcommons.org)"

PUBLISHED: Mapping[str, PublishedRun] = {
    "cortex-m0plus": PublishedRun(
        "STM32G0B1RE", 64, {"ad": 40.892, "ic": 1521.6, "kws": 474.5909, "vww": 1414.0}, _HALE
    ),
    "cortex-m4": PublishedRun("STM32L4R5ZI", 120, {"ad": 4.7282, "ic": 179.0133, "kws": 60.1556, "vww": 180.5}, _HALE),
    "cortex-m7": PublishedRun("STM32F746NG", 216, {"ad": 1.4249, "ic": 61.57, "kws": 18.4183, "vww": 57.175}, _HALE),
    "cortex-m33": PublishedRun("STM32U575ZI", 160, {"ad": 3.0909, "ic": 117.74, "kws": 38.584, "vww": 114.75}, _HALE),
    "cortex-m85": PublishedRun("R7FA8D1", 480, {"ad": 0.5308, "ic": 8.478, "kws": 3.465, "vww": 13.393}, _TFLM_HELIUM),
}

COREMARK_PER_MHZ: Mapping[str, float] = {
    "cortex-m0": 2.33,
    "cortex-m0plus": 2.46,
    "cortex-m3": 3.32,
    "cortex-m55": 4.40,
    "cortex-m85": 6.28,
}
"""CoreMark/MHz, used only to scale from a core with published results to one without. M0 and M3: ARM-Based
Microcontroller Projects Using mbed, table 3.2; M0+: SAM D21 data sheet; M55 and M85: Arm's product pages."""

# A core without published results takes the nearest one's, scaled by CoreMark/MHz where both are known.
_NEAREST = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m1": "cortex-m0plus",
    "cortex-m23": "cortex-m0plus",
    "cortex-m3": "cortex-m0plus",
    "cortex-m35p": "cortex-m33",
    "cortex-m52": "cortex-m85",
    "cortex-m55": "cortex-m85",
}


def cycles_per_mac(board: Board) -> Figure:
    """Core cycles for one int8 MAC, everything included. Raises `BoardError` for a core nothing is known of."""
    core = board.core.name
    if core in ("cortex-m4", "cortex-m33") and not board.core.dsp:
        core = "cortex-m3"  # without the DSP extension these multiply like a Cortex-M3
    nearest = core if core in PUBLISHED else _NEAREST.get(core)
    if nearest is None:
        raise BoardError(f"{board.id}: no cycles per MAC are known for {core}")
    run = PUBLISHED[nearest]
    source = f"geometric mean over ad, ic, kws, vww on {run.mcu} ({nearest}): {run.software}"
    value = run.cycles_per_mac
    if nearest != core:
        scale = 1.0
        if core in COREMARK_PER_MHZ:
            scale = COREMARK_PER_MHZ[nearest] / COREMARK_PER_MHZ[core]
        value *= scale
        source += f"; assumption: {core} takes {scale:.2f} times as many cycles (CoreMark/MHz; 1 where unknown)"
    return Figure(value, "cycles/MAC", source)


def ram_bytes_per_cycle(board: Board) -> Figure:
    """Bytes that the core can load from or store to RAM in a cycle, at best."""
    core = board.core.name
    if core in ("cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m23"):
        return Figure(2.0, "bytes/cycle", "a 32-bit bus; a load takes 2 cycles (Arm DDI0484C, 3.3, for Cortex-M0+)")
    if core in ("cortex-m7", "cortex-m55", "cortex-m85"):
        return Figure(8.0, "bytes/cycle", "assumption: 64-bit TCM or AXI, one access a cycle, caches that hit")
    return Figure(
        4.0, "bytes/cycle", "a 32-bit bus; loads in a row take 1 cycle each (Arm DDI0337I, 3.3.2, for Cortex-M3)"
    )


# By the start of the MCU's name: bits that one flash read brings, core cycles for each of flash, and the source.
_FLASH_READ = (
    ("STM32F4", 128, 1, "128-bit flash line (RM0090, 3.5)"),
    ("STM32F7", 256, 1, "256-bit flash line (AN4667)"),
    ("STM32H7A", 128, 1, "128-bit flash word at the core's clock (RM0455)"),
    ("STM32H7", 256, 2, "256-bit flash word at half the core's clock (RM0433)"),
    ("STM32U5", 128, 1, "128-bit refill of the instruction cache, which serves constants, too (AN5212)"),
    ("STM32L4", 64, 1, "64-bit flash read in dual-bank mode (RM0351)"),
    ("STM32L1", 64, 1, "64-bit access (RM0038)"),
    ("STM32F1", 64, 1, "64-bit prefetch buffer (RM0008)"),
    ("STM32F3", 64, 1, "64-bit prefetch buffer (RM0316)"),
    ("STM32G0", 64, 1, "64-bit flash read (RM0444)"),
)

# Code and weights stand in a serial flash outside the chip.
_SERIAL_FLASH = ("RP2040", "RP2350", "I.MX RT", "IMXRT", "MIMXRT")


def has_serial_flash(board: Board) -> bool:
    """Whether weights come from a serial flash outside the chip."""
    return board.mcu.upper().startswith(_SERIAL_FLASH)


def flash_bytes_per_cycle(board: Board) -> Figure:
    """Bytes of weights that reach the core in a cycle when flash is read in order, at best."""
    bus = ram_bytes_per_cycle(board)
    if has_serial_flash(board):
        return Figure(0.25, "bytes/cycle", "assumption: quad SPI flash, four bits on every second core cycle")
    if board.wait_states is None:
        half = bus.value / 2
        return Figure(half, "bytes/cycle", "assumption: wait states unknown, half of what the bus could bring")
    mcu = board.mcu.upper()
    bits, divider, what = next(
        (read[1:] for read in _FLASH_READ if mcu.startswith(read[0])),
        (64, 1, "assumption: 64-bit flash read"),
    )
    cycles = divider * (1 + board.wait_states)
    return Figure(
        min(bus.value, bits / 8 / cycles),
        "bytes/cycle",
        f"{what}, {board.wait_states} wait states ({board.wait_states_source}): every {cycles} cycles, "
        f"at most {bus.value:g} bytes/cycle by the bus",
    )


_HOROWITZ = "M. Horowitz, Computing's energy problem, ISSCC 2014, fig. 1.1.9 (45 nm, 0.9 V)"

PICOJOULE = 1e-12
MAC_ENERGY = Figure(0.3 * PICOJOULE, "J/MAC", f"{_HOROWITZ}: 8-bit multiply 0.2 pJ + 32-bit add 0.1 pJ")
OP_ENERGY = Figure(0.1 * PICOJOULE, "J/OP", f"{_HOROWITZ}: 32-bit add 0.1 pJ")
INSTRUCTION_ENERGY = Figure(
    70 * PICOJOULE, "J/instruction", f"{_HOROWITZ}: an add instruction, fetch, registers and control included, 70 pJ"
)

# (capacity in bytes, picojoule for 64 bits): the source's caches
_SRAM = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))
_DRAM_PER_64_BITS = 1280.0  # 640 pJ for 32 bits; the source's range is 1.3 to 2.6 nJ for 64


def _array_energy(bytes_: int) -> tuple[float, str]:
    """(joule a byte, words) for the smallest of the source's SRAM arrays that holds `bytes_`."""
    size, picojoule = next((row for row in _SRAM if bytes_ <= row[0]), _SRAM[-1])
    return picojoule / 8 * PICOJOULE, f"{_HOROWITZ}: 64 bits of {size // 1024} KB SRAM, {picojoule:g} pJ"


def ram_energy(region: Region) -> Figure:
    """Energy of moving one byte of activations: an SRAM as large as the region."""
    value, words = _array_energy(region.bytes)
    return Figure(value, "J/byte", f"{words}; region {region.name} of {region.bytes} bytes")


def flash_energy(board: Board) -> Figure:
    """Energy of moving one byte of weights."""
    if has_serial_flash(board):
        return Figure(
            _DRAM_PER_64_BITS / 8 * PICOJOULE,
            "J/byte",
            f"{_HOROWITZ}: DRAM, 640 pJ for 32 bits; assumption: a serial flash costs like other memory off the chip",
        )
    value, words = _array_energy(_SRAM[-1][0])
    return Figure(value, "J/byte", f"{words}; assumption: on-chip flash reads cost like a large SRAM")
