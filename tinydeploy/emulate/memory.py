"""A board's memories as bytes: what lies there at reset, what an ELF and a job put there, what is read after a run.

Shared by the emulators, so that both start from the same bytes and read the same of them.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
from dataclasses import dataclass

from tinydeploy.boards import Board, Region, RegionKind
from tinydeploy.elf import ElfFile
from tinydeploy.emulate.types import Fault, Job
from tinydeploy.errors import UsageError

_SMALL_PAGE = 1024


@dataclass(frozen=True)
class Block:
    """Neighbouring regions of one kind, as bytes of this process: what crosses from one to the next is whole."""

    base: int
    bytes: int
    writable: bool
    data: mmap.mmap

    @property
    def host(self) -> int:
        """Where the bytes lie in this process."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self.data))


class BoardMemory:
    """The board's regions as bytes of this process, as they are at reset: RAM holds noise, flash reads 0xFF."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.blocks: list[Block] = []
        groups: list[list[Region]] = []
        for region in sorted(board.regions, key=lambda r: r.base):
            if region.bytes % _SMALL_PAGE or region.base % _SMALL_PAGE:
                raise UsageError(f"{board.id}: region {region.name} is no multiple of 1 KiB, which the emulator needs")
            last = groups[-1][-1] if groups else None
            if last is not None and last.end == region.base and last.kind is region.kind:
                groups[-1].append(region)
            else:
                groups.append([region])
        for group in groups:
            writable = group[0].kind is RegionKind.RAM
            size = group[-1].end - group[0].base
            data = mmap.mmap(-1, size)
            reset = hashlib.shake_128(group[0].name.encode()).digest(65536) if writable else b"\xff" * 65536
            for start in range(0, size, len(reset)):
                data[start : start + len(reset)] = reset[: size - start]
            self.blocks.append(Block(group[0].base, size, writable, data))

    def block_at(self, address: int, size: int = 1) -> Block:
        """The block that holds all of a range; `IndexError` (with the address) when none does."""
        for block in self.blocks:
            if block.base <= address and address + size <= block.base + block.bytes:
                return block
        raise IndexError(address)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of one block; `IndexError` (with the address) outside."""
        block = self.block_at(address, size)
        return block.data[address - block.base : address - block.base + size]

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into one block, flash included; `IndexError` outside."""
        block = self.block_at(address, len(data))
        block.data[address - block.base : address - block.base + len(data)] = data

    def write_ram(self, address: int, data: bytes) -> None:
        """Put bytes into RAM; `IndexError` elsewhere."""
        if not self.block_at(address, len(data)).writable:
            raise IndexError(address)
        self.write(address, data)

    def load(self, elf: ElfFile) -> None:
        """Put an ELF's segments where they lie at reset; `UsageError` when there is no memory for one."""
        for segment in elf.segments:
            try:
                if segment.data:
                    self.write(segment.physical, segment.data)
            except IndexError:
                raise UsageError(
                    f"{elf.path}: {len(segment.data)} bytes are to be loaded at {segment.physical:#010x}, "
                    f"outside every memory of {self.board.id}",
                    hint="was it linked for another board?",
                ) from None

    def close(self) -> None:
        """Give the memory back."""
        for block in self.blocks:
            try:
                block.data.close()
            except BufferError:  # something still looks into it; freed with the last reference
                continue


def find_vectors(board: Board, elf: ElfFile, memory: BoardMemory) -> tuple[int, int, int]:
    """(address of the vector table, initial stack pointer, first instruction) of what was loaded.

    Looked for where the chip starts, then behind RP2040's second-stage boot loader, then where the image starts in
    flash (an image that a boot loader would start). `UsageError` when there is none.
    """
    flash = board.flash
    images = [s.physical for s in elf.segments if s.data and flash.base <= s.physical < flash.end]
    for table in (flash.base, flash.base + 0x100, *sorted(images)):
        try:
            words = memory.read(table, 8)
        except IndexError:
            continue
        stack, entry = int.from_bytes(words[:4], "little"), int.from_bytes(words[4:], "little")
        in_ram = any(r.kind is RegionKind.RAM and r.base < stack <= r.end for r in board.regions)
        if in_ram and stack % 4 == 0 and entry & 1 and board.region_at(entry) is not None:
            return table, stack, entry & ~1
    raise UsageError(
        f"{elf.path}: no vector table at {flash.base:#010x}, the start of {board.id}'s flash",
        hint="its first word must be the initial stack pointer (in RAM), its second the reset handler (odd)",
    )


class Prepared:
    """What a job puts into the memories before the run, and what it makes of them after it.

    Raises `UsageError` for places that are no RAM.
    """

    def __init__(self, job: Job, memory: BoardMemory) -> None:
        self._job, self._memory = job, memory
        self._paints = [hashlib.shake_128(f"{p.name}:{p.base:#x}".encode()).digest(p.bytes) for p in job.painted]
        try:
            for painted, paint in zip(job.painted, self._paints, strict=True):
                memory.write_ram(painted.base, paint)
            for write in job.writes:
                memory.write_ram(write.address, write.data)
            self._guarded = [memory.read(g.base, g.bytes) for g in job.guards]
        except IndexError as outside:
            raise UsageError(f"{outside.args[0]:#010x} is not in a RAM of {memory.board.id}") from None

    def watermarks(self) -> dict[str, int]:
        """Bytes used of each painted range."""
        return {
            p.name: watermark(paint, self._memory.read(p.base, p.bytes), p.grows_down)
            for p, paint in zip(self._job.painted, self._paints, strict=True)
        }

    def reads(self) -> tuple[bytes, ...]:
        """What the job asks for; `UsageError` outside the memories."""
        try:
            return tuple(self._memory.read(address, size) for address, size in self._job.reads)
        except IndexError as outside:
            raise UsageError(f"{outside.args[0]:#010x} is not in a memory of {self._memory.board.id}") from None

    def overwritten(self, pc: int) -> Fault | None:
        """What is wrong when the run ends at `pc` and a guard is not what it was: memory that nothing owns."""
        for guard, before in zip(self._job.guards, self._guarded, strict=True):
            after = self._memory.read(guard.base, guard.bytes)
            changed = [guard.base + i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
            if changed:
                message = (
                    f"memory beside {guard.what} that nothing owns was overwritten: {len(changed)} bytes "
                    f"in [{changed[0]:#010x}, {changed[-1] + 1:#010x}), seen when the run had ended"
                )
                return Fault("guard", message, pc, changed[0], None, None)
        return None


def watermark(paint: bytes, seen: bytes, grows_down: bool) -> int:
    """Bytes used, from the end where use begins to the last byte that differs from the paint.

    A byte written with its own paint (1 in 256) does not show: the mark can be short by as many such bytes as end it.
    """
    size = len(paint)
    if grows_down:
        paint, seen = paint[::-1], seen[::-1]
    for end in range(size, 0, -4096):
        start = max(0, end - 4096)
        if paint[start:end] != seen[start:end]:
            return next(i for i in range(end, start, -1) if paint[i - 1] != seen[i - 1])
    return 0
