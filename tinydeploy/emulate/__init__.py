"""Runs an ELF on an emulated board: the small protocol of an emulator, and Unicorn behind it.

`types.py` has the values, `unicorn_machine.py` the machine, `hook.c` what runs once a basic block, `peripherals.py` and
`semihosting.py` what stands behind addresses and `bkpt 0xAB`, `cores.py` what Unicorn knows of each core, `timing.h`
the model of cycles and `timing.py` its figures, `feeding.py` hands over rows of input, `layers.py` has all that a
model computes read as it runs. `trace.py` puts together what a traced run recorded, `gdb.py` speaks with a debugger and
`debugger.py` does what it wants. `memory.py` has the memories before and after a run, and `renode/` the other emulator.
"""

from tinydeploy.emulate.gdb import GdbServer
from tinydeploy.emulate.types import (
    Emulator,
    Fault,
    Feed,
    Guard,
    Job,
    MemoryWrite,
    Painted,
    PeripheralUse,
    RunResult,
    Trace,
)
from tinydeploy.emulate.unicorn_machine import UnicornEmulator

__all__ = [
    "Emulator",
    "Fault",
    "Feed",
    "GdbServer",
    "Guard",
    "Job",
    "MemoryWrite",
    "Painted",
    "PeripheralUse",
    "RunResult",
    "Trace",
    "UnicornEmulator",
]
