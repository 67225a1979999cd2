"""`Toolchain`, which builds, and `Image`, what it built: sizes come from the ELF, never from estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinydeploy.boards import Board
from tinydeploy.elf import ElfFile, read_elf

STACK_BYTES = 4096
ARENA_SECTION, STACK_SECTION = ".arena", ".stack"
CONSTRUCTORS_SECTION = ".init_array"  # compilers mark it as writable, but it stays in flash


@dataclass(frozen=True)
class ImageSymbol:
    """A symbol that takes memory. `kind`: `code`, `rodata`, `data`, `bss` or `arena`."""

    name: str
    address: int
    bytes: int
    section: str
    kind: str


@dataclass(frozen=True)
class Image:
    """A linked image. All sizes are bytes.

    code_bytes: executable sections, the vector table included. rodata_bytes: other constants in flash. data_bytes:
    initialised variables (in flash and in RAM). bss_bytes: zeroed variables. arena_bytes: the section that start-up
    leaves alone, in the region it was linked to. stack_bytes: what is reserved.
    """

    elf: Path
    map: Path
    toolchain: str
    sections: Mapping[str, int]
    symbols: tuple[ImageSymbol, ...]
    code_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    stack_bytes: int
    stack_limit: int
    stack_top: int

    @property
    def flash_bytes(self) -> int:
        """Everything that lies in flash."""
        return self.code_bytes + self.rodata_bytes + self.data_bytes

    @property
    def static_bytes(self) -> int:
        """Static RAM without arena and stack: .data and .bss."""
        return self.data_bytes + self.bss_bytes

    def flash_bytes_of(self, which: str | Callable[[ImageSymbol], bool]) -> int:
        """Flash taken by the symbols that begin with `which`, or for which it is true.

        Padding between symbols belongs to none; aliases of one place count once.
        """
        wanted = (lambda s: s.name.startswith(which)) if isinstance(which, str) else which
        sizes: dict[int, int] = {}
        for symbol in self.symbols:
            if symbol.kind in ("code", "rodata", "data") and wanted(symbol):
                sizes[symbol.address] = max(symbol.bytes, sizes.get(symbol.address, 0))
        return sum(sizes.values())


@dataclass(frozen=True)
class ArenaPart:
    """A section of the image that lies at an address of its own: all of an arena, or its share in one memory."""

    section: str
    address: int
    bytes: int


@dataclass(frozen=True)
class CxxLibrary:
    """A C++ library that somebody else built for the board's core: its archive, and the folders and definitions with
    which its headers are compiled. It brings the C and C++ libraries into the image that it needs, but no heap."""

    archive: Path
    includes: tuple[Path, ...]
    defines: tuple[str, ...] = ()


class Toolchain(Protocol):
    """A C compiler and linker for Cortex-M. `name` is what users type, `version` what a report says."""

    name: str

    @property
    def version(self) -> str:
        """The compiler's name and version, one line."""
        ...

    def library_flags(self) -> Sequence[str]:
        """How to link with a library in C++, behind its name; raises `MissingToolError` for a compiler that cannot."""
        ...

    def build(
        self,
        sources: Sequence[Path],
        includes: Sequence[Path],
        board: Board,
        out_dir: Path,
        *,
        name: str = "image",
        defines: Mapping[str, str] | None = None,
        optimize: str = "-O2",
        stack_bytes: int = STACK_BYTES,
        arena: Sequence[ArenaPart] = (),
        library: CxxLibrary | None = None,
    ) -> Image:
        """Compile and link `sources` with the start-up code into `out_dir/<name>.elf`.

        `arena`: where the arena lies; by default the section `.arena` is behind the static data in the board's RAM.
        `library`: linked, too; then sources may be C++ (`.cc`).
        Raises `DoesNotLinkError` when the image is larger than a region, `BuildError` for what the compiler refuses,
        `MissingToolError` when there is no C++ library to link with.
        """
        ...


def image_of(elf: Path, map_file: Path, toolchain: str) -> Image:
    """Read an image's sizes from its ELF."""
    file = read_elf(elf)
    kinds: dict[str, str] = {}
    sizes = dict.fromkeys(("code", "rodata", "data", "bss", "arena", "stack"), 0)
    sections: dict[str, int] = {}
    for section in file.sections:
        kind = _kind(section.name, section.executable, section.writable, section.nobits)
        kinds[section.name] = kind
        sizes[kind] += section.bytes
        sections[section.name] = section.bytes
    symbols = tuple(
        ImageSymbol(s.name, s.address, s.bytes, s.section, kinds[s.section])
        for s in file.symbols
        if s.bytes and s.section in kinds
    )
    return Image(
        elf=elf,
        map=map_file,
        toolchain=toolchain,
        sections=sections,
        symbols=symbols,
        code_bytes=sizes["code"],
        rodata_bytes=sizes["rodata"],
        data_bytes=sizes["data"],
        bss_bytes=sizes["bss"],
        arena_bytes=sizes["arena"],
        stack_bytes=sizes["stack"],
        stack_limit=_absolute(file, "__stack_limit"),
        stack_top=_absolute(file, "__stack_top"),
    )


def _kind(name: str, executable: bool, writable: bool, nobits: bool) -> str:
    if name == ARENA_SECTION or name.startswith(f"{ARENA_SECTION}_"):
        return "arena"
    if name == STACK_SECTION:
        return "stack"
    if nobits:
        return "bss"
    if executable or name == ".vectors":
        return "code"
    if name == CONSTRUCTORS_SECTION:
        return "rodata"
    return "data" if writable else "rodata"


def _absolute(file: ElfFile, name: str) -> int:
    return file.address_of(name)
