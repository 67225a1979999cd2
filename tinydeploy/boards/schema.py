"""What a board file may say: a strict check that turns parsed TOML into a `Board`, or names the file and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from tinydeploy.boards.board import Board, Core, Region, RegionKind, Uart, joined
from tinydeploy.errors import BoardError

SCHEMA_HINT = "docs/boards.md describes every key of a board file"

# Cores by GCC's names, with the floating-point units that each can have and whether it has the DSP extension
# (None: the chip's maker chooses). Source: the Technical Reference Manual of each core.
_CORES: Mapping[str, tuple[frozenset[str], bool | None]] = {
    "cortex-m0": (frozenset({"none"}), False),
    "cortex-m0plus": (frozenset({"none"}), False),
    "cortex-m3": (frozenset({"none"}), False),
    "cortex-m4": (frozenset({"none", "fpv4-sp-d16"}), True),
    "cortex-m7": (frozenset({"none", "fpv5-sp-d16", "fpv5-d16"}), True),
    "cortex-m23": (frozenset({"none"}), False),
    "cortex-m33": (frozenset({"none", "fpv5-sp-d16"}), None),
    "cortex-m55": (frozenset({"none", "fpv5-d16"}), True),
    "cortex-m85": (frozenset({"none", "fpv5-d16"}), True),
}
_FPUS = ("none", "fpv4-sp-d16", "fpv5-sp-d16", "fpv5-d16")
_MVE_CORES = frozenset({"cortex-m55", "cortex-m85"})
_UART_MODELS = (
    "stm32_sr_dr",
    "stm32_isr_tdr",
    "nrf_uarte",
    "pl011",
    "sam_sercom",
    "imxrt_lpuart",
    "cmsdk",
)

_ADDRESS_SPACE = 1 << 32
_MAX_HZ = 10_000_000_000
_MAX_WAIT_STATES = 255
_MAX_SPEED = 9
_MAX_TEXT = 1000
_MAX_ITEMS = 64
# A RAM region starts and ends on a cache line of the Cortex-M7 and on the smallest region of the Armv7-M MPU.
_ALIGNMENT = 32
# The vector table lies at the start of the flash; VTOR wants it aligned to its size rounded up to a power of
# two, and 1024 bytes is 240 interrupts (Armv7-M ARM, B3.2.5).
_VECTOR_ALIGNMENT = 1024

# Names reach the command line and file names, region names reach linker scripts: nothing else gets through.
_ID = re.compile(r"[a-z0-9][a-z0-9_]{0,63}", re.ASCII)
_REGION_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)

_BOARD_KEYS = frozenset(
    {
        "id", "name", "mcu", "aliases", "flash", "ram", "cache", "notes",
        "core", "clock", "wait_states", "region", "uart",
    }
)  # fmt: skip


def one_line(text: str, limit: int = 160) -> str:
    """`text` fit for a message: on one line, without control characters, cut at `limit` characters."""
    cut = text[: limit + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _number(value: int) -> str:
    """An integer for a message. Python refuses to print huge integers in decimal, so those stay hexadecimal."""
    return str(value) if abs(value) < _ADDRESS_SPACE else one_line(hex(value), 40)


_TYPE_NAMES: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a float",
    list: "a list",
    dict: "a table",
}


class _Table:
    """One table of the file: reads typed values by key and knows its place for messages."""

    def __init__(self, file: str, where: str, values: Mapping[str, object], known: frozenset[str]) -> None:
        self._file = file
        self._where = where
        self._values = values
        for key in values:
            if key not in known:
                self._refuse_unknown(key, known)

    def _refuse_unknown(self, key: str, known: frozenset[str]) -> NoReturn:
        import difflib  # only needed for this message

        near = difflib.get_close_matches(key[:64], sorted(known), n=1)
        raise self.error(
            one_line(key, 40),
            "unknown key",
            hint=f"did you mean `{near[0]}`? The keys here are {', '.join(sorted(known))}"
            if near
            else f"the keys here are {', '.join(sorted(known))}",
        )

    def error(self, key: str, problem: str, *, hint: str = SCHEMA_HINT) -> BoardError:
        """The error for one key of this table."""
        path = f"{self._where}.{key}" if self._where else key
        return BoardError(f"{self._file}: {path}: {problem}", hint=hint)

    def has(self, key: str) -> bool:
        return key in self._values

    def _get(self, key: str, expected: type) -> object:
        if key not in self._values:
            raise self.error(key, "missing")
        value = self._values[key]
        # bool is a subclass of int in Python, but not in TOML
        if type(value) is not expected:
            got = _TYPE_NAMES.get(type(value), "a date or time")
            raise self.error(key, f"must be {_TYPE_NAMES[expected]}, not {got}")
        return value

    def text(self, key: str) -> str:
        """A string of one printable line."""
        value = self._get(key, str)
        assert isinstance(value, str)
        return self._clean(key, value)

    def _clean(self, key: str, value: str) -> str:
        if not value.strip():
            raise self.error(key, "is empty")
        if len(value) > _MAX_TEXT:
            raise self.error(key, f"is longer than {_MAX_TEXT} characters")
        if not value.isprintable():
            raise self.error(key, "must be one line without control characters")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in allowed:
            raise self.error(key, f"`{one_line(value, 40)}` is not known", hint=f"known: {', '.join(allowed)}")
        return value

    def identifier(self, key: str, pattern: re.Pattern[str], says: str) -> str:
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise self.error(key, f"`{one_line(value, 40)}` is not a valid name", hint=says)
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        if default is not None and key not in self._values:
            return default
        value = self._get(key, bool)
        assert isinstance(value, bool)
        return value

    def integer(self, key: str, least: int, most: int) -> int:
        value = self._get(key, int)
        assert isinstance(value, int)
        if not least <= value <= most:
            raise self.error(key, f"{_number(value)} is outside {_number(least)} … {_number(most)}")
        return value

    def strings(self, key: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of one-line strings without repetition."""
        if default is not None and key not in self._values:
            return default
        values = self._get(key, list)
        assert isinstance(values, list)
        if len(values) > _MAX_ITEMS:
            raise self.error(key, f"has more than {_MAX_ITEMS} entries")
        found: list[str] = []
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"{key}[{index}]", "must be a string")
            if value in found:
                raise self.error(key, f"`{one_line(value, 40)}` is there twice")
            found.append(self._clean(f"{key}[{index}]", value))
        return tuple(found)

    def table(self, key: str, known: frozenset[str]) -> _Table:
        value = self._get(key, dict)
        assert isinstance(value, dict)
        return _Table(self._file, f"{self._where}.{key}" if self._where else key, value, known)

    def tables(self, key: str, known: frozenset[str]) -> tuple[_Table, ...]:
        """An array of tables (`[[key]]`), at least one."""
        values = self._get(key, list)
        assert isinstance(values, list)
        if not values:
            raise self.error(key, "is empty")
        if len(values) > _MAX_ITEMS:
            raise self.error(key, f"has more than {_MAX_ITEMS} entries")
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{key}[{index}]", f"must be a table: write it as [[{key}]]")
        return tuple(_Table(self._file, f"{key}[{i}]", v, known) for i, v in enumerate(values))


def _read_core(board: _Table) -> Core:
    table = board.table("core", frozenset({"name", "fpu", "dsp", "mve", "source"}))
    name = table.choice("name", tuple(_CORES))
    fpu = table.choice("fpu", _FPUS)
    dsp = table.flag("dsp")
    mve = table.flag("mve", default=False)
    fpus, has_dsp = _CORES[name]
    if fpu not in fpus:
        raise table.error("fpu", f"a {name} has no {fpu}", hint=f"possible: {', '.join(sorted(fpus))}")
    if has_dsp is not None and dsp is not has_dsp:
        raise table.error("dsp", f"a {name} {'always has' if has_dsp else 'never has'} the DSP extension")
    if mve and name not in _MVE_CORES:
        raise table.error("mve", f"a {name} has no MVE")
    return Core(name=name, fpu=fpu, dsp=dsp, mve=mve, source=table.text("source"))


def _read_region(table: _Table) -> Region:
    name = table.identifier(
        "name", _REGION_NAME, "a letter, then letters, digits and underscores, 32 at most: it reaches linker scripts"
    )
    kind = RegionKind(table.choice("kind", tuple(k.value for k in RegionKind)))
    base = table.integer("base", 0, _ADDRESS_SPACE - 1)
    size = table.integer("bytes", 1, _ADDRESS_SPACE)
    if base + size > _ADDRESS_SPACE:
        raise table.error("bytes", f"{name} ends past 4 GiB: {hex(base)} + {_number(size)}")
    if base % _ALIGNMENT:
        raise table.error("base", f"{hex(base)} is not a multiple of {_ALIGNMENT}")
    if size % _ALIGNMENT:
        raise table.error("bytes", f"{size} is not a multiple of {_ALIGNMENT}")
    # Only RAM can hold an arena, so nobody has to say it of a flash.
    holds = kind is RegionKind.RAM
    arena = table.flag("arena", default=holds)
    if arena and not holds:
        raise table.error("arena", f"{name} is {kind.value}: only RAM holds an arena")
    return Region(
        name=name,
        kind=kind,
        base=base,
        bytes=size,
        use=table.text("use"),
        source=table.text("source"),
        arena=arena,
        code=table.flag("code", default=kind is not RegionKind.EEPROM),
        dma=table.flag("dma", default=True),
        speed=table.integer("speed", 1, _MAX_SPEED) if table.has("speed") else 1,
    )


def _read_regions(board: _Table) -> tuple[Region, ...]:
    keys = frozenset({"name", "kind", "base", "bytes", "use", "source", "arena", "code", "dma", "speed"})
    tables = board.tables("region", keys)
    regions: list[Region] = []
    for table in tables:
        region = _read_region(table)
        for other in regions:
            if region.name.lower() == other.name.lower():
                raise table.error("name", f"a second region is called {region.name}")
            if region.base < other.end and other.base < region.end:
                raise table.error("base", f"{region.name} overlaps {other.name} ({hex(other.base)} … {hex(other.end)})")
        regions.append(region)
    return tuple(regions)


def _main_ram(board: _Table, regions: Mapping[str, Region]) -> Region:
    """The memory that `ram` names: one region, or several that lie one behind the other, as one."""
    names = board.strings("ram")
    if not names:
        raise board.error("ram", "is empty")
    parts: list[Region] = []
    for name in names:
        if name not in regions:
            raise board.error(
                "ram", f"no region is called `{one_line(name, 40)}`", hint=f"regions: {', '.join(regions)}"
            )
        region = regions[name]
        if region.kind is not RegionKind.RAM or not region.arena:
            raise board.error("ram", f"{name} cannot hold tensors", hint="name regions of kind ram with arena = true")
        if parts and region.base != parts[-1].end:
            raise board.error(
                "ram",
                f"{name} at {hex(region.base)} does not follow {parts[-1].name}, which ends at {hex(parts[-1].end)}",
                hint="ram is one span: list adjacent regions by rising address, and leave the others out",
            )
        parts.append(region)
    return joined(parts)


def _start(board: _Table, regions: Mapping[str, Region], ram: Region) -> Region:
    """The region that a program starts from."""
    name = board.text("flash")
    if name not in regions:
        raise board.error("flash", f"no region is called `{one_line(name, 40)}`", hint=f"regions: {', '.join(regions)}")
    region = regions[name]
    # Boards without flash (FPGA images, models) start from a RAM that a debugger loads.
    if region.kind is RegionKind.EEPROM or not region.code:
        raise board.error("flash", f"code cannot run from {name}")
    if ram.base <= region.base < ram.end:
        raise board.error("flash", f"{name} is part of `ram`")
    if region.base % _VECTOR_ALIGNMENT:
        raise board.error(
            "flash", f"{name} starts at {hex(region.base)}: a vector table must be {_VECTOR_ALIGNMENT}-byte aligned"
        )
    return region


def _read_uart(board: _Table, regions: tuple[Region, ...]) -> Uart | None:
    if not board.has("uart"):
        return None
    table = board.table("uart", frozenset({"name", "model", "base", "source"}))
    base = table.integer("base", 0, _ADDRESS_SPACE - 1)
    if base % 4:
        raise table.error("base", f"{hex(base)} is not a multiple of 4")
    for region in regions:
        if region.base <= base < region.end:
            raise table.error("base", f"{hex(base)} lies inside the memory {region.name}")
    return Uart(
        name=table.text("name"), model=table.choice("model", _UART_MODELS), base=base, source=table.text("source")
    )


def _read_names(board: _Table) -> tuple[str, tuple[str, ...]]:
    says = "lower-case letters, digits and underscores, 64 at most"
    board_id = board.identifier("id", _ID, says)
    aliases = board.strings("aliases", default=())
    for alias in aliases:
        if not _ID.fullmatch(alias):
            raise board.error("aliases", f"`{one_line(alias, 40)}` is not a valid name", hint=says)
        if alias == board_id:
            raise board.error("aliases", f"{alias} is the board's own id")
    return board_id, aliases


def read_board(document: Mapping[str, object], file: str) -> Board:
    """The board that a parsed file describes.

    file: how messages call the file. Raises `BoardError`, one line that names the file and the key.
    """
    table = _Table(file, "", document, _BOARD_KEYS)
    board_id, aliases = _read_names(table)
    core = _read_core(table)
    clock = table.table("clock", frozenset({"hz", "source"}))
    waits = table.table("wait_states", frozenset({"count", "source"}))
    regions = _read_regions(table)
    by_name = {r.name: r for r in regions}
    ram = _main_ram(table, by_name)
    return Board(
        id=board_id,
        name=table.text("name"),
        mcu=table.text("mcu"),
        core=core,
        clock_hz=clock.integer("hz", 1, _MAX_HZ),
        clock_source=clock.text("source"),
        wait_states=waits.integer("count", 0, _MAX_WAIT_STATES) if waits.has("count") else None,
        wait_states_source=waits.text("source"),
        cache=table.text("cache"),
        regions=regions,
        flash=_start(table, by_name, ram),
        ram=ram,
        uart=_read_uart(table, regions),
        aliases=aliases,
        notes=table.strings("notes", default=()),
    )


def read_names(document: Mapping[str, object], file: str) -> tuple[str, str, tuple[str, ...]]:
    """Only (id, MCU, aliases), from the head of a file; the rest of it is neither needed nor checked."""
    table = _Table(file, "", document, _BOARD_KEYS)
    board_id, aliases = _read_names(table)
    return board_id, table.text("mcu"), aliases
