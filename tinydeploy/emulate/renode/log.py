"""What Renode's log lines mean: its warnings are this project's faults.

Line forms are those of Renode 1.15 and 1.16 (SystemBus, TranslationCPU, CortexM, NVIC, tlib).
"""

from __future__ import annotations

import re

from tinydeploy.boards import Board
from tinydeploy.emulate.faults import Stop

_AT = re.compile(r"\[cpu: 0x([0-9A-Fa-f]+)\]|\[PC=0x([0-9A-Fa-f]+)\]")
_NON_EXISTING = re.compile(
    r"(Read|Write)\w+ (?:from|to) (?:non existing peripheral|overriding tag) at 0x([0-9A-Fa-f]+)"
)
_OUTSIDE = re.compile(r"execute code outside RAM or ROM at 0x([0-9A-Fa-f]+)")
_RESET = "No action for reset"
_LEVEL = re.compile(r"^(?:[\d:.]+ )?\[(WARNING|ERROR)\] ")


def stop_of(line: str, board: Board, pc: int) -> Stop:
    """Why the run ended, when it ended with this line of the log while the core was at `pc`."""
    text = _LEVEL.sub("", line)
    at = _AT.search(text)
    if at is not None:
        pc = int(at[1] or at[2], 16) & ~1
    access = _NON_EXISTING.search(text)
    outside = _OUTSIDE.search(text)
    if outside is not None or (access is not None and board.region_at(pc) is None):
        # A fetch is first reported as the reads that it is made of.
        return Stop("unmapped-fetch", f"jump to {pc:#010x}, outside every memory of {board.id}", pc, pc)
    if access is not None:
        address = int(access[2], 16)
        place = f"{address:#010x}, outside every memory of {board.id}"
        if access[1] == "Read":
            return Stop("unmapped-read", f"read of {place}", address, pc)
        return Stop("unmapped-write", f"write to {place}", address, pc)
    if _RESET in text:
        return Stop("no-exit", "the firmware asked for a system reset (AIRCR)", None, pc)
    if "CPU abort" in text or "CPU was halted" in text or "lockup" in text.lower():
        return Stop("abort", f"Renode's core gave up: {text}", None, pc)
    return Stop("warning", f"Renode warned: {text}", None, pc)
