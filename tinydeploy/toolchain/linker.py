"""The linker script, made from the board, and what a linker says when an image does not fit.

Symbols that it defines: `__stack_top`, `__stack_limit` (the lowest address of the stack), `__data_load`,
`__data_start`, `__data_end`, `__bss_start`, `__bss_end`, `__arena_start`, `__arena_end`, `__flash_start`.

The stack is the last part of RAM and grows towards the static data, so that an overflow is one compare away from being
seen. `.stack` reserves its size among the static data only for the linker to count it.
The vector table is at the start of flash, where the emulator and most chips look. (A real RP2040 wants a boot loader of
256 bytes before it.)
"""

from __future__ import annotations

import re

from tinydeploy.boards import Board, Region, RegionKind
from tinydeploy.errors import BoardError, DoesNotLinkError
from tinydeploy.units import align_up, kib

STACK_ALIGNMENT = 8  # of the stack pointer, by the procedure call standard for Arm

# Spaces around `>`, `+` and `:` are not style: lld reads `>RAM` as one word.
_SCRIPT = """\
/* Written by tinydeploy for {board}. */
ENTRY(Reset_Handler)
MEMORY
{{
{memories}
}}
SECTIONS
{{
  .vectors : {{ __flash_start = .; KEEP(*(.vectors)) }} > {flash}
  .text : {{ *(.text .text.*) . = ALIGN(4); }} > {flash}
  .rodata : {{ *(.rodata .rodata.*) . = ALIGN(4); }} > {flash}
  .ARM.extab : {{ *(.ARM.extab .ARM.extab.*) }} > {flash}
  .ARM.exidx : {{ *(.ARM.exidx .ARM.exidx.*) . = ALIGN(4); }} > {flash}
  .data : {{ . = ALIGN(4); __data_start = .; *(.data .data.*) . = ALIGN(4); __data_end = .; }} > {ram} AT > {flash}
  __data_load = LOADADDR(.data);
  .bss (NOLOAD) : {{ . = ALIGN(4); __bss_start = .; *(.bss .bss.* COMMON) . = ALIGN(4); __bss_end = .; }} > {ram}
  .arena (NOLOAD) : {{ . = ALIGN(16); __arena_start = .; *(.arena .arena.*) __arena_end = .; }} > {arena}
  .stack (NOLOAD) : {{ . = ALIGN({alignment}); . += {stack_bytes}; }} > {ram}
  __stack_top = {stack_top:#x};
  __stack_limit = {stack_limit:#x};
  /DISCARD/ : {{ *(.comment) *(.ARM.attributes) *(.note .note.*) *(.eh_frame) }}
}}
"""


def linker_script(board: Board, *, stack_bytes: int, arena_region: str | None = None) -> str:
    """The script. Raises `BoardError` for an arena region that the board does not have, or that its RAM is made of."""
    arena = board.ram if arena_region is None else region_named(board, arena_region)
    if arena != board.ram and arena.base < board.ram.end and board.ram.base < arena.end:
        raise BoardError(f"{board.id}: {arena.name} is a part of {board.ram.name}, where the arena lies by default")
    stack_bytes = align_up(stack_bytes, STACK_ALIGNMENT)
    used = [board.flash, board.ram] + ([arena] if arena != board.ram else [])
    memories = "\n".join(
        f"  {_word(r)} ({'rx' if r.kind is not RegionKind.RAM else 'rwx'}) : "
        f"ORIGIN = {r.base:#x}, LENGTH = {r.bytes:#x}"
        for r in used
    )
    stack_top = board.ram.end & ~(STACK_ALIGNMENT - 1)
    return _SCRIPT.format(
        board=re.sub(r"[^\w.-]", "_", board.id),
        memories=memories,
        flash=_word(board.flash),
        ram=_word(board.ram),
        arena=_word(arena),
        alignment=STACK_ALIGNMENT,
        stack_bytes=stack_bytes,
        stack_top=stack_top,
        stack_limit=stack_top - stack_bytes,
    )


def region_named(board: Board, name: str) -> Region:
    """The RAM region of that name."""
    for region in (board.ram, *board.regions):
        if region.name.lower() == name.lower() and region.kind is RegionKind.RAM:
            return region
    rams = ", ".join(r.name for r in board.regions if r.kind is RegionKind.RAM)
    raise BoardError(f"{board.id} has no RAM region '{name}'", hint=f"it has {rams}")


def _word(region: Region) -> str:
    """A region's name as an identifier of the script; the base keeps it unique."""
    return f"{re.sub(r'[^A-Za-z0-9]', '_', region.name).upper()}_{region.base:08X}"


_LD = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes?")
_LLD = re.compile(r"will not fit in region '(\w+)': overflowed by (\d+) bytes?")


def overflow_error(board: Board, words: str) -> DoesNotLinkError | None:
    """The error for a linker's refusal of an image that is too large, from its output; None when that is not it."""
    worst: dict[str, int] = {}
    for pattern in (_LD, _LLD):
        for word, number in pattern.findall(words):
            worst[word] = max(worst.get(word, 0), int(number))
    if not worst:
        return None
    by_word = {_word(r): r for r in (*board.regions, board.ram, board.flash)}
    parts = []
    for word, over in worst.items():
        region = by_word.get(word)
        what = word if region is None else f"{region.name} ({kib(region.bytes)})"
        parts.append(f"{what} is too small by {over} B")
    return DoesNotLinkError(
        f"the image does not fit {board.id}: {', '.join(parts)}", hint="choose a larger board or a smaller model"
    )
