"""Reads an ELF for 32-bit Arm: what is loaded where, sections, symbols, and which function an address is in.

The file may be anybody's, so everything that is wrong with one is a `UsageError` of one line, and nothing in it decides
how much memory or time is used: what a header claims must lie inside the file. pyelftools knows the format; what is
here checks, and turns it into values.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError

_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_STT_FUNC = 2
_LARGEST = 256 << 20  # bytes of a file; the largest microcontroller flash is a small part of it
# Far above any firmware's; a hostile file has more, and each costs time.
_MOST_SEGMENTS = 1024
_MOST_SECTIONS = 4096
_MOST_SYMBOLS = 1 << 18
_SYMBOL = struct.Struct("<IIIBBH")


@dataclass(frozen=True)
class ElfSegment:
    """Bytes to load: `physical` is where they lie at reset (flash), `virtual` where the program sees them.

    `memory_bytes` can exceed `len(data)`: the rest starts as zero.
    """

    virtual: int
    physical: int
    data: bytes
    memory_bytes: int


@dataclass(frozen=True)
class ElfSection:
    """A section that takes memory on the chip. `load_address` is where its bytes lie at reset."""

    name: str
    address: int
    load_address: int
    bytes: int
    writable: bool
    executable: bool
    nobits: bool


@dataclass(frozen=True)
class ElfSymbol:
    """A symbol with a place: `address` is without the Thumb bit, `section` is "" for absolute ones."""

    name: str
    address: int
    bytes: int
    is_function: bool
    section: str


@dataclass(frozen=True)
class ElfFile:
    """What was read. `entry` is without the Thumb bit; symbols are sorted by address, then by size, largest first."""

    path: Path
    entry: int
    segments: tuple[ElfSegment, ...]
    sections: tuple[ElfSection, ...]
    symbols: tuple[ElfSymbol, ...]

    @cached_property
    def _by_name(self) -> dict[str, ElfSymbol]:
        return {s.name: s for s in reversed(self.symbols)}

    @cached_property
    def functions(self) -> tuple[ElfSymbol, ...]:
        """Functions by address, one for each address: the one with a size, then the first by name."""
        best: dict[int, ElfSymbol] = {}
        for symbol in self.symbols:
            if symbol.is_function:
                best.setdefault(symbol.address, symbol)
        return tuple(best[address] for address in sorted(best))

    @cached_property
    def _function_starts(self) -> list[int]:
        return [f.address for f in self.functions]

    def symbol(self, name: str) -> ElfSymbol | None:
        """The symbol of that name."""
        return self._by_name.get(name)

    def address_of(self, name: str) -> int:
        """A symbol's address; `UsageError` when there is none."""
        found = self.symbol(name)
        if found is None:
            raise UsageError(f"{self.path}: has no symbol '{name}'")
        return found.address

    def function_at(self, address: int) -> ElfSymbol | None:
        """The function that holds `address`. One without a size reaches to the next."""
        index = bisect_right(self._function_starts, address) - 1
        if index < 0:
            return None
        found = self.functions[index]
        return found if found.bytes == 0 or address < found.address + found.bytes else None


def read_elf(path: Path) -> ElfFile:
    """Read an ELF. Raises `UsageError` for what is no sound little-endian 32-bit Arm ELF."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: is {path.stat().st_size} bytes, which is too large for firmware")
        data = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror or problem}") from problem
    if data[:4] != b"\x7fELF":
        raise UsageError(f"{path}: is not an ELF file", hint="give the .elf that the linker made")

    from elftools.common.exceptions import ELFError

    try:
        return _Reader(path, data).read()
    except ELFError as problem:
        raise UsageError(f"{path}: is not a sound ELF: {_printable(str(problem))}") from problem


class _Reader:
    """The file's bytes, and checked ways into them."""

    def __init__(self, path: Path, data: bytes) -> None:
        from io import BytesIO

        from elftools.elf.elffile import ELFFile

        self._path = path
        self._data = data
        self._elf: Any = ELFFile(BytesIO(data))

    def _bad(self, why: str) -> UsageError:
        return UsageError(f"{self._path}: is not a sound ELF: {why}")

    def _slice(self, offset: int, size: int, what: str) -> bytes:
        if offset + size > len(self._data):
            raise self._bad(f"{what} reaches beyond the end of the file")
        return self._data[offset : offset + size]

    def _table(self, layout: Any, prefix: str, most: int, what: str) -> list[Mapping[str, Any]]:
        """The program headers or the section headers, parsed.

        Not `get_segment` and `get_section`: these make an object for each kind, and some kinds follow offsets and
        counts of the file as far as it likes.
        """
        from elftools.common.utils import struct_parse

        header = self._elf.header
        at, entry, number = header[f"e_{prefix}off"], header[f"e_{prefix}entsize"], header[f"e_{prefix}num"]
        if number == 0:
            return []
        if entry != layout.sizeof():
            raise self._bad(f"the {what} header table has entries of {entry} bytes instead of {layout.sizeof()}")
        if at + entry * number > len(self._data):
            raise self._bad(f"the {what} header table reaches beyond the end of the file")
        if number > most:
            raise self._bad(f"its {what} headers are more than {most}")
        return [struct_parse(layout, self._elf.stream, at + entry * i) for i in range(number)]

    def read(self) -> ElfFile:
        elf = self._elf
        if elf.elfclass != 32 or not elf.little_endian or elf["e_machine"] != "EM_ARM":
            raise UsageError(f"{self._path}: is not for a 32-bit little-endian Arm core")
        if elf["e_type"] != "ET_EXEC":
            raise UsageError(f"{self._path}: is not an executable", hint="link it first: objects cannot run")

        segments = self._segments()
        headers = self._table(elf.structs.Elf_Shdr, "sh", _MOST_SECTIONS, "section")
        text = self._strings(headers, elf["e_shstrndx"])
        titles = [_name(text, header["sh_name"]) for header in headers]
        symbols = self._symbols(headers, titles)
        return ElfFile(self._path, elf["e_entry"] & ~1, segments, _sections(headers, titles, segments), symbols)

    def _segments(self) -> tuple[ElfSegment, ...]:
        segments, lengths = [], 0
        for header in self._table(self._elf.structs.Elf_Phdr, "ph", _MOST_SEGMENTS, "program"):
            file_bytes, memory_bytes = header["p_filesz"], header["p_memsz"]
            if header["p_type"] != "PT_LOAD" or memory_bytes == 0:
                continue
            virtual, physical = header["p_vaddr"], header["p_paddr"]
            if file_bytes > memory_bytes or max(virtual, physical) + memory_bytes > 1 << 32:
                raise self._bad("a segment does not fit its own memory")
            lengths += file_bytes
            if lengths > len(self._data):
                raise self._bad("its segments are larger than the file")
            data = self._slice(header["p_offset"], file_bytes, "a segment")
            segments.append(ElfSegment(virtual, physical, data, memory_bytes))
        if not segments:
            raise self._bad("there is nothing to load")
        return tuple(segments)

    def _symbols(self, headers: list[Mapping[str, Any]], titles: list[str]) -> tuple[ElfSymbol, ...]:
        """Of the first symbol table.

        Its bytes are taken apart here: pyelftools needs 80 µs a symbol, half a second for an ordinary firmware.
        """
        for header in headers:
            if header["sh_type"] != "SHT_SYMTAB":
                continue
            size = header["sh_size"]
            if size and header["sh_entsize"] != _SYMBOL.size:
                raise self._bad(
                    f"the symbol table has entries of {header['sh_entsize']} bytes instead of {_SYMBOL.size}"
                )
            if size > _MOST_SYMBOLS * _SYMBOL.size:
                raise self._bad(f"it has more than {_MOST_SYMBOLS} symbols")
            table = self._slice(header["sh_offset"], size // _SYMBOL.size * _SYMBOL.size, "the symbol table")
            found = _named(_SYMBOL.iter_unpack(table), self._strings(headers, header["sh_link"]), titles)
            return tuple(sorted(found, key=lambda s: (s.address, -s.bytes, s.name)))
        return ()

    def _strings(self, headers: list[Mapping[str, Any]], index: int) -> bytes:
        if not headers or index == 0:
            return b""
        if index >= len(headers):
            raise self._bad("a string table is missing")
        return self._slice(headers[index]["sh_offset"], headers[index]["sh_size"], "a string table")


def _sections(
    headers: list[Mapping[str, Any]], titles: list[str], segments: tuple[ElfSegment, ...]
) -> tuple[ElfSection, ...]:
    """Those that take memory on the chip. Where a section is loaded, its segment knows."""
    sections = []
    for header, title in zip(headers, titles, strict=True):
        flags, address, size = header["sh_flags"], header["sh_addr"], header["sh_size"]
        if not flags & _SHF_ALLOC or not size:
            continue
        nobits = header["sh_type"] == "SHT_NOBITS"
        inside = (s for s in segments if s.virtual <= address < s.virtual + s.memory_bytes)
        segment = next(inside, None)
        shift = 0 if segment is None or nobits else segment.physical - segment.virtual
        writable, executable = bool(flags & _SHF_WRITE), bool(flags & _SHF_EXEC)
        sections.append(ElfSection(title, address, address + shift, size, writable, executable, nobits))
    return tuple(sections)


def _named(rows: Iterator[tuple[int, ...]], text: bytes, titles: list[str]) -> Iterator[ElfSymbol]:
    for name, value, size, info, _, section in rows:
        kind = info & 0xF
        if name == 0 or section == 0 or kind > _STT_FUNC:
            continue
        title = _name(text, name)
        if title.startswith("$"):  # mapping symbols: where code turns into data
            continue
        is_function = kind == _STT_FUNC
        where = titles[section] if section < len(titles) else ""
        yield ElfSymbol(title, value & ~1 if is_function else value, size, is_function, where)


def _name(text: bytes, offset: int, longest: int = 512) -> str:
    """A name from a string table, fit for one line: cut, and with control characters escaped."""
    end = text.find(b"\0", offset, offset + longest)
    return _printable(text[offset : end if end >= 0 else offset + longest].decode("utf-8", "replace"))


def _printable(raw: str) -> str:
    return raw if raw.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in raw)
