"""`Board`: what a board's TOML says, checked. Addresses and sizes are integers, clocks are in Hz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class RegionKind(Enum):
    """What a memory is. Only RAM holds tensors, only FLASH holds weights and code by default."""

    FLASH = "flash"
    RAM = "ram"
    EEPROM = "eeprom"


@dataclass(frozen=True)
class Region:
    """One memory of the chip: `[base, base + bytes)`.

    `arena` says that the region may hold the arena; `code` that it may be executed from; `dma` that DMA reaches it.
    `use` says what it is good for, in words; `source` says where the figures come from. `speed` ranks the RAMs of a
    chip by how soon the core has a word of them: 1 is the soonest, equals are equally fast.
    """

    name: str
    kind: RegionKind
    base: int
    bytes: int
    use: str
    source: str
    arena: bool = True
    code: bool = True
    dma: bool = True
    speed: int = 1

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.base + self.bytes


@dataclass(frozen=True)
class Core:
    """The CPU. `name` is GCC's spelling (`cortex-m7`), `fpu` one of `none`, `fpv4-sp-d16`, `fpv5-sp-d16`, `fpv5-d16`.

    `dsp` is the DSP extension (SMLAD and friends), `mve` Helium.
    """

    name: str
    fpu: str
    dsp: bool
    mve: bool
    source: str

    @property
    def hard_float(self) -> bool:
        """Whether single precision is computed in hardware."""
        return self.fpu != "none"

    @property
    def mainline(self) -> bool:
        """Whether it has all of Thumb-2, long multiplication among it: Armv6-M and Armv8-M Baseline have not."""
        return self.name not in ("cortex-m0", "cortex-m0plus", "cortex-m23")


@dataclass(frozen=True)
class Uart:
    """The UART that a board's debug probe shows: `model` is the register layout, `base` its address.

    Layouts: `stm32_sr_dr` (F1, F2, F4, L1), `stm32_isr_tdr` (F0, F3, F7, G, H, L4, L5, U5, WB), `nrf_uarte`,
    `pl011` (RP2040, RP2350), `sam_sercom`, `imxrt_lpuart`, `cmsdk`.
    """

    name: str
    model: str
    base: int
    source: str


@dataclass(frozen=True)
class Board:
    """A board as data.

    `flash` is the region that a program starts from, `ram` the one for stack and static data. `wait_states` are the
    flash's at `clock_hz`, None where unknown. `aliases` are other names users may type.
    """

    id: str
    name: str
    mcu: str
    core: Core
    clock_hz: int
    clock_source: str
    wait_states: int | None
    wait_states_source: str
    cache: str
    regions: tuple[Region, ...]
    flash: Region
    ram: Region
    uart: Uart | None
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def region_at(self, address: int) -> Region | None:
        """The region that holds `address`, or None."""
        return next((r for r in self.regions if r.base <= address < r.end), None)


def joined(parts: Sequence[Region]) -> Region:
    """Regions that lie one behind the other, by rising address, as one; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    return Region(
        name="+".join(p.name for p in parts),
        kind=RegionKind.RAM,
        base=parts[0].base,
        bytes=sum(p.bytes for p in parts),
        use="; ".join(dict.fromkeys(f"{p.name}: {p.use}" for p in parts)),
        source="; ".join(dict.fromkeys(p.source for p in parts)),
        arena=True,
        code=all(p.code for p in parts),
        dma=all(p.dma for p in parts),
        speed=max(p.speed for p in parts),
    )
