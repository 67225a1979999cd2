"""Reads an ELF for 32-bit Arm: what is loaded where, sections, symbols, and which function an address is in.

The file may be anybody's, so everything that is wrong with one is a `UsageError` of one line, and nothing in it decides
how much memory is used: what a header claims must lie inside the file.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tinydeploy.errors import UsageError

_MACHINE_ARM = 40
_PT_LOAD = 1
_SHT_SYMTAB, _SHT_NOBITS = 2, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_STT_FUNC = 2
_MOST_SYMBOLS = 1 << 20
_LARGEST = 256 << 20  # bytes of a file; the largest microcontroller flash is a small part of it

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
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
    return _Reader(path, data).read()


class _Reader:
    """The file's bytes, and checked ways into them."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._data = data

    def _bad(self, why: str) -> UsageError:
        return UsageError(f"{self._path}: is not a sound ELF: {why}")

    def _slice(self, offset: int, size: int, what: str) -> bytes:
        if offset + size > len(self._data):
            raise self._bad(f"{what} reaches beyond the end of the file")
        return self._data[offset : offset + size]

    def _table(
        self, layout: struct.Struct, offset: int, entry: int, number: int, what: str
    ) -> Iterator[tuple[int, ...]]:
        if number == 0:
            return iter(())
        if entry != layout.size:
            raise self._bad(f"{what} has entries of {entry} bytes instead of {layout.size}")
        return layout.iter_unpack(self._slice(offset, entry * number, what))

    def read(self) -> ElfFile:
        if self._data[:4] != b"\x7fELF":
            raise UsageError(f"{self._path}: is not an ELF file", hint="give the .elf that the linker made")
        if len(self._data) < _HEADER.size:
            raise self._bad("the header is cut off")
        (ident, kind, machine, _, entry, ph_at, sh_at, _, _, ph_size, ph_number, sh_size, sh_number, names) = (
            _HEADER.unpack_from(self._data)
        )
        if ident[4] != 1 or ident[5] != 1 or machine != _MACHINE_ARM:
            raise UsageError(f"{self._path}: is not for a 32-bit little-endian Arm core")
        if kind != 2:
            raise UsageError(f"{self._path}: is not an executable", hint="link it first: objects cannot run")

        segments, lengths = [], 0
        moved: list[tuple[int, int, int]] = []  # virtual start, end, distance to the load address
        for p_type, offset, virtual, physical, file_bytes, memory_bytes, _, _ in self._table(
            _SEGMENT, ph_at, ph_size, ph_number, "the program header table"
        ):
            if p_type != _PT_LOAD or memory_bytes == 0:
                continue
            if file_bytes > memory_bytes or max(virtual, physical) + memory_bytes > 1 << 32:
                raise self._bad("a segment does not fit its own memory")
            lengths += file_bytes
            if lengths > len(self._data):
                raise self._bad("its segments are larger than the file")
            segments.append(ElfSegment(virtual, physical, self._slice(offset, file_bytes, "a segment"), memory_bytes))
            moved.append((virtual, virtual + memory_bytes, physical - virtual))
        if not segments:
            raise self._bad("there is nothing to load")

        headers = list(self._table(_SECTION, sh_at, sh_size, sh_number, "the section header table"))
        text = self._strings(headers, names)
        sections = []
        titles: dict[int, str] = {}
        symbols: list[ElfSymbol] = []
        for index, (name, s_type, flags, address, _, size, _, _, _, _) in enumerate(headers):
            titles[index] = _name(text, name)
            if flags & _SHF_ALLOC and size:
                shift = next((m for low, high, m in moved if low <= address < high), 0)
                sections.append(
                    ElfSection(
                        titles[index],
                        address,
                        address if s_type == _SHT_NOBITS else address + shift,
                        size,
                        bool(flags & _SHF_WRITE),
                        bool(flags & _SHF_EXEC),
                        s_type == _SHT_NOBITS,
                    )
                )
        for _, s_type, _, _, offset, size, link, _, _, entry_bytes in headers:
            if s_type == _SHT_SYMTAB:
                if size > _MOST_SYMBOLS * _SYMBOL.size:
                    raise self._bad(f"it has more than {_MOST_SYMBOLS} symbols")
                rows = self._table(
                    _SYMBOL, offset, entry_bytes, size // entry_bytes if entry_bytes else 1, "the symbol table"
                )
                symbols.extend(_symbols(rows, self._strings(headers, link), titles))
                break
        symbols.sort(key=lambda s: (s.address, -s.bytes, s.name))
        return ElfFile(self._path, entry & ~1, tuple(segments), tuple(sections), tuple(symbols))

    def _strings(self, headers: list[tuple[int, ...]], index: int) -> bytes:
        if not headers or index == 0:
            return b""
        if index >= len(headers):
            raise self._bad("a string table is missing")
        return self._slice(headers[index][4], headers[index][5], "a string table")


def _symbols(rows: Iterator[tuple[int, ...]], text: bytes, titles: dict[int, str]) -> Iterator[ElfSymbol]:
    for name, value, size, info, _, section in rows:
        kind = info & 0xF
        if name == 0 or section == 0 or kind > _STT_FUNC:
            continue
        title = _name(text, name)
        if title.startswith("$"):  # mapping symbols: where code turns into data
            continue
        is_function = kind == _STT_FUNC
        yield ElfSymbol(title, value & ~1 if is_function else value, size, is_function, titles.get(section, ""))


def _name(text: bytes, offset: int, longest: int = 512) -> str:
    """A name from a string table, fit for one line: cut, and with control characters escaped."""
    end = text.find(b"\0", offset, offset + longest)
    raw = text[offset : end if end >= 0 else offset + longest].decode("utf-8", "replace")
    return raw if raw.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in raw)
