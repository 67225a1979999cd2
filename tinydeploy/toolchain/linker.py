"""The linker script, made from the board, and what a linker says when an image does not fit.

Symbols that it defines: `__stack_top`, `__stack_limit` (the lowest address of the stack), `__data_load`,
`__data_start`, `__data_end`, `__bss_start`, `__bss_end`, `__flash_start`.

The stack is the last part of RAM and grows towards the static data, so that an overflow is one compare away from being
seen. `.stack` reserves its size among the static data only for the linker to count it.
Sections that load nothing say so of their load address, too: without `AT` they would inherit a place in flash from
.data, and a loader that clears them (Renode's) would write zeros there.
The vector table is at the start of flash, where the emulator and most chips look. (A real RP2040 wants a boot loader of
256 bytes before it.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tinydeploy.boards import Board, Region, RegionKind
from tinydeploy.errors import DoesNotLinkError
from tinydeploy.toolchain.types import ArenaPart
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
{constructors}
  .data : {{ . = ALIGN(4); __data_start = .; *(.data .data.*) . = ALIGN(4); __data_end = .; }} > {ram} AT > {flash}
  __data_load = LOADADDR(.data);
  .bss (NOLOAD) : {{
    . = ALIGN(4); __bss_start = .; *(.bss .bss.* COMMON) . = ALIGN(4); __bss_end = .;
  }} > {ram} AT > {ram}
{arena}
  .stack{stack_at} (NOLOAD) : {{ . = ALIGN({alignment}); . += {stack_bytes}; }} > {ram} AT > {ram}
  __stack_top = {stack_top:#x};
  __stack_limit = {stack_limit:#x};
  /DISCARD/ : {{ *(.comment) *(.ARM.attributes) *(.note .note.*) *(.eh_frame) }}
}}
"""

# What start-up calls before main, and where a C++ library looks for its tables.
_CONSTRUCTORS = """\
  .init_array : {{
    . = ALIGN(4); __init_array_start = .; KEEP(*(SORT(.init_array.*))) KEEP(*(.init_array)) __init_array_end = .;
  }} > {flash}
  PROVIDE(__exidx_start = ADDR(.ARM.exidx));
  PROVIDE(__exidx_end = ADDR(.ARM.exidx) + SIZEOF(.ARM.exidx));"""
_ARENA = "  {section} (NOLOAD) : {{ . = ALIGN(16); {wanted} }} > {memory} AT > {memory}"
# GNU's linker sees no overlap of sections that load nothing.
_APART = '  ASSERT({1} <= {low} || {high} <= {0}, "{what} overlaps with {section}")'


def linker_script(
    board: Board, *, stack_bytes: int, arena: Sequence[ArenaPart] = (), constructors: bool = False
) -> str:
    """The script. `arena`: where its sections lie; by default behind the static data, of whatever size it is.
    `constructors`: those of C++ are kept, for start-up to call.

    Of a board without what is reserved of it, since `board.ram` is all for static data, arena and stack.
    """
    stack_bytes = align_up(stack_bytes, STACK_ALIGNMENT)
    stack_top = board.ram.end & ~(STACK_ALIGNMENT - 1)
    ram = _word(board.ram)
    memories = [_memory(_word(board.flash), board.flash.base, board.flash.bytes, board.flash.kind)]
    memories.append(_memory(ram, board.ram.base, board.ram.bytes, RegionKind.RAM))
    sections = [_ARENA.format(section=".arena", wanted="*(.arena .arena.*)", memory=ram)]
    stack_at = ""
    if arena:
        memories += [_memory(f"ARENA_{p.address:08X}", p.address, p.bytes, RegionKind.RAM) for p in arena]
        stack_at = f" {stack_top - stack_bytes:#x}"
        sections = []
        for p in arena:
            memory = f"ARENA_{p.address:08X}"
            sections.append(_ARENA.format(section=p.section, wanted=f"KEEP(*({p.section}))", memory=memory))
            span = (f"{p.address:#x}", f"{p.address + p.bytes:#x}")
            sections.append(
                _APART.format(*span, section=p.section, what="static data", low="__data_start", high="__bss_end")
            )
            sections.append(_APART.format(*span, section=p.section, what="stack", low=stack_at, high=f"{stack_top:#x}"))
    return _SCRIPT.format(
        board=re.sub(r"[^\w.-]", "_", board.id),
        memories="\n".join(memories),
        flash=_word(board.flash),
        ram=ram,
        constructors=_CONSTRUCTORS.format(flash=_word(board.flash)) if constructors else "",
        arena="\n".join(sections),
        alignment=STACK_ALIGNMENT,
        stack_at=stack_at,
        stack_bytes=stack_bytes,
        stack_top=stack_top,
        stack_limit=stack_top - stack_bytes,
    )


def _memory(word: str, base: int, size: int, kind: RegionKind) -> str:
    return f"  {word} ({'rwx' if kind is RegionKind.RAM else 'rx'}) : ORIGIN = {base:#x}, LENGTH = {size:#x}"


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
