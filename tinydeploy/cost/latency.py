"""`estimate`: time, throughput and energy of a network on a board, modelled from its costs and published figures.

T_compute = (MAC + OP) · cycles per MAC / clock; T_memory = (flash bytes / flash bandwidth + RAM bytes / RAM
bandwidth) / clock, every byte moved once; latency ≈ max of both, as a roofline has it. Emulated or measured cycles
are better wherever they exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tinydeploy.cost.constants import (
    INSTRUCTION_ENERGY,
    MAC_ENERGY,
    OP_ENERGY,
    Figure,
    cycles_per_mac,
    flash_bytes_per_cycle,
    flash_energy,
    ram_bytes_per_cycle,
    ram_energy,
)
from tinydeploy.cost.table import CostTable, LayerCost

if TYPE_CHECKING:
    from tinydeploy.boards import Board


@dataclass(frozen=True)
class LayerEstimate:
    """One operator's times in seconds and energy in joule. `bound` says which time is the longer."""

    index: int
    compute_seconds: float
    memory_seconds: float
    energy_joule: float

    @property
    def seconds(self) -> float:
        """max of both."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def bound(self) -> Literal["compute", "memory"]:
        """Which of the two times is the longer."""
        return "memory" if self.memory_seconds > self.compute_seconds else "compute"


@dataclass(frozen=True)
class Energy:
    """Joule of one inference, in parts: arithmetic, moving data, and the instructions that tell it to."""

    arithmetic_joule: float
    flash_joule: float
    ram_joule: float
    instructions_joule: float

    @property
    def data_joule(self) -> float:
        """Moving weights and activations."""
        return self.flash_joule + self.ram_joule

    @property
    def total_joule(self) -> float:
        """All parts."""
        return self.arithmetic_joule + self.data_joule + self.instructions_joule


@dataclass(frozen=True)
class Estimate:
    """Times in seconds, throughput in inferences a second, energy in joule; always of kind `modelled`.

    `figures` are the constants that went in, each with its source; `sources` the same as lines of text.
    """

    board: str
    clock_hz: int
    compute_seconds: float
    memory_seconds: float
    energy: Energy
    layers: tuple[LayerEstimate, ...]
    figures: dict[str, Figure]
    notes: tuple[str, ...]
    kind: str = "modelled"

    @property
    def latency_seconds(self) -> float:
        """max of T_compute and T_memory."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def throughput(self) -> float:
        """Inferences a second; 0 for an empty network."""
        return 1 / self.latency_seconds if self.latency_seconds else 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """One line for each constant: name, value, unit, source."""
        return tuple(f"{name}: {f.value:.3g} {f.unit} — {f.source}" for name, f in self.figures.items())


NOTES = (
    "An OP is charged like a MAC; a byte is moved once, as if nothing had to be read again.",
    "Energies are of a 45 nm process at one instruction a cycle, without leakage, regulators and peripherals.",
    "They are an order of magnitude: use them to compare, not to size a battery.",
)


def estimate(table: CostTable, board: Board) -> Estimate:
    """Time and energy of one inference on `board`. Raises `BoardError` for a core nothing is known of."""
    figures = {
        "cycles_per_mac": cycles_per_mac(board),
        "flash_bytes_per_cycle": flash_bytes_per_cycle(board),
        "ram_bytes_per_cycle": ram_bytes_per_cycle(board),
        "mac_energy": MAC_ENERGY,
        "op_energy": OP_ENERGY,
        "flash_energy": flash_energy(board),
        "ram_energy": ram_energy(board.ram),
        "instruction_energy": INSTRUCTION_ENERGY,
    }
    value = {name: figure.value for name, figure in figures.items()}

    def compute_cycles(layer: LayerCost) -> float:
        return 0.0 if layer.alias else (layer.macs + layer.ops) * value["cycles_per_mac"]

    def memory_cycles(layer: LayerCost) -> float:
        flash = layer.flash_bytes_moved / value["flash_bytes_per_cycle"]
        return flash + layer.ram_bytes_moved / value["ram_bytes_per_cycle"]

    def energy(layer: LayerCost) -> Energy:
        return Energy(
            arithmetic_joule=layer.macs * value["mac_energy"] + layer.ops * value["op_energy"],
            flash_joule=layer.flash_bytes_moved * value["flash_energy"],
            ram_joule=layer.ram_bytes_moved * value["ram_energy"],
            instructions_joule=compute_cycles(layer) * value["instruction_energy"],
        )

    parts = [energy(layer) for layer in table.layers]
    layers = tuple(
        LayerEstimate(
            layer.index,
            compute_cycles(layer) / board.clock_hz,
            memory_cycles(layer) / board.clock_hz,
            part.total_joule,
        )
        for layer, part in zip(table.layers, parts, strict=True)
    )
    uncounted = table.totals.uncounted
    notes = (*NOTES, f"{len(uncounted)} operators without rules take no time here.") if uncounted else NOTES
    return Estimate(
        board=board.id,
        clock_hz=board.clock_hz,
        compute_seconds=sum(layer.compute_seconds for layer in layers),
        memory_seconds=sum(layer.memory_seconds for layer in layers),
        energy=Energy(
            sum(p.arithmetic_joule for p in parts),
            sum(p.flash_joule for p in parts),
            sum(p.ram_joule for p in parts),
            sum(p.instructions_joule for p in parts),
        ),
        layers=layers,
        figures=figures,
        notes=notes,
    )
