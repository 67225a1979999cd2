"""What Unicorn has for each core, and what must be kept from it to be true to the board.

Unicorn's models are QEMU's: a Cortex-M7 always computes double precision, a Cortex-M3 runs the DSP extension. The
counter refuses what the board's core lacks (`deny`), so an image for a larger core fails here as it would there.

What still passes: such an instruction inside an IT block (whether it is skipped is not known before), and unaligned
LDM, STM, LDRD and STRD, at which Armv7-M and Armv8-M cores fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards import Board
from tinydeploy.emulate.hook import DENY_DOUBLE, DENY_DSP, DENY_FPU
from tinydeploy.errors import UsageError


@dataclass(frozen=True)
class CoreModel:
    """`model`: the name in `unicorn.arm_const` after `UC_CPU_ARM_`. `cpuid`: the register's value, from the core's
    technical reference manual. `cycle_counter`: whether its DWT has CYCCNT."""

    model: str
    cpuid: int
    cycle_counter: bool = True


_CORES = {
    "cortex-m0": CoreModel("CORTEX_M0", 0x410CC200, cycle_counter=False),
    "cortex-m0plus": CoreModel("CORTEX_M0", 0x410CC601, cycle_counter=False),
    "cortex-m3": CoreModel("CORTEX_M3", 0x412FC231),
    "cortex-m4": CoreModel("CORTEX_M4", 0x410FC241),
    "cortex-m7": CoreModel("CORTEX_M7", 0x411FC272),
    "cortex-m33": CoreModel("CORTEX_M33", 0x410FD214),
}


def core_model(board: Board) -> CoreModel:
    """The model for a board's core; `UsageError` when Unicorn has none."""
    name = board.core.name.lower().replace("cortex-m0+", "cortex-m0plus")
    if board.core.mve:
        raise UsageError(
            f"{board.id}: its {board.core.name} has Helium (MVE), which the Unicorn emulator does not execute",
            hint="Renode runs models for it, built without Helium (--emulator renode); here there are "
            + ", ".join(sorted(_CORES)),
        )
    found = _CORES.get(name)
    if found is None:
        raise UsageError(
            f"{board.id}: the Unicorn emulator has no {board.core.name}",
            hint="it has " + ", ".join(sorted(_CORES)),
        )
    return found


def denied(board: Board) -> int:
    """The hook's `deny` flags: instructions that the board's core does not have."""
    flags = 0
    if not board.core.hard_float:
        flags |= DENY_FPU
    elif "sp" in board.core.fpu:
        flags |= DENY_DOUBLE
    if not board.core.dsp:
        flags |= DENY_DSP
    return flags
