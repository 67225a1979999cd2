"""Memory beside the arena and the stack that an image leaves to nobody: it must be after a run what it was before."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.boards import Board, RegionKind
from tinydeploy.boards.spans import less
from tinydeploy.elf import ElfFile
from tinydeploy.emulate.types import Guard, Painted
from tinydeploy.toolchain.types import STACK_SECTION

_LONGEST = 1024  # bytes; what writes too far writes near


def guards(board: Board, elf: ElfFile, painted: Sequence[Painted]) -> list[Guard]:
    """Up to 1 KiB on each side of each painted range, as far as no section and no other range lies there."""
    owned = [(p.base, p.base + p.bytes) for p in painted]
    # The stack's section only counts its bytes; the stack itself is among what is painted.
    owned += [(s.address, s.address + s.bytes) for s in elf.sections if s.name != STACK_SECTION]
    ram = [(r.base, r.end) for r in board.regions if r.kind is RegionKind.RAM]
    found = []
    for begin, end in less(ram, owned):
        after = next((p for p in painted if p.base + p.bytes == begin), None)
        before = next((p for p in painted if p.base == end), None)
        if after is not None:
            size = min(end - begin, _LONGEST)
            found.append(Guard(f"the {after.name}", begin, size))
            begin += size
        if before is not None and begin < end:
            size = min(end - begin, _LONGEST)
            found.append(Guard(f"the {before.name}", end - size, size))
    return found
