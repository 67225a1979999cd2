"""Reading ELFs: a small one made by hand, and thousands of broken ones."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.firmware import build, needs_any, needs_unicorn
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Job, UnicornEmulator
from tinydeploy.errors import UsageError

HEADER = [
    "type",
    "machine",
    "version",
    "entry",
    "ph",
    "sh",
    "flags",
    "size",
    "ph_size",
    "ph_number",
    "sh_size",
    "sh_number",
    "names",
]
SEGMENT = ["type", "offset", "virtual", "physical", "file", "memory", "flags", "align"]
NAMES = b"\0.text\0.data\0.bss\0.symtab\0.strtab\0"
STRINGS = b"\0first\0second\0alias\0value\0$t\0"


def hand_made(**changes: int) -> bytes:
    """Two functions in flash at 0x08000000, 4 bytes of data at 0x20000000 loaded behind them, 8 bytes of .bss.

    `changes` replaces fields: header ones by name, or e.g. `segment0_offset`.
    """
    text, data = bytes(range(16)), b"DATA"
    symbols = [
        (0, 0, 0, 0, 0, 0),
        (1, 0x08000001, 8, 0x12, 0, 1),  # first: Thumb bit set
        (7, 0x08000009, 6, 0x12, 0, 1),  # second
        (14, 0x08000009, 0, 0x12, 0, 1),  # alias, without a size
        (20, 0x20000000, 4, 0x11, 0, 2),  # value
        (26, 0x08000000, 0, 0x00, 0, 1),  # $t
    ]
    table = b"".join(struct.pack("<IIIBBH", *s) for s in symbols)
    at_text, at_data = 0x100, 0x110
    at_symbols = at_data + 4
    at_strings = at_symbols + len(table)
    at_names = at_strings + len(STRINGS)
    at_sections = at_names + len(NAMES)
    segments = [
        dict(zip(SEGMENT, (1, at_text, 0x08000000, 0x08000000, 16, 16, 5, 4), strict=True)),
        dict(zip(SEGMENT, (1, at_data, 0x20000000, 0x08000010, 4, 12, 6, 4), strict=True)),
    ]
    sections = [
        (0,) * 10,
        (1, 1, 6, 0x08000000, at_text, 16, 0, 0, 4, 0),
        (7, 1, 3, 0x20000000, at_data, 4, 0, 0, 4, 0),
        (13, 8, 3, 0x20000004, at_symbols, 8, 0, 0, 4, 0),
        (18, 2, 0, 0, at_symbols, len(table), 5, 1, 4, 16),
        (26, 3, 0, 0, at_strings, len(STRINGS), 0, 0, 1, 0),
        (1, 3, 0, 0, at_names, len(NAMES), 0, 0, 1, 0),
    ]
    header_values = (2, 40, 1, 0x08000001, 52, at_sections, 0x05000000, 52, 32, 2, 40, len(sections), 6)
    header = dict(zip(HEADER, header_values, strict=True))
    for name, value in changes.items():
        if name.startswith("segment"):
            number, _, field = name.removeprefix("segment").partition("_")
            segments[int(number)][field] = value
        else:
            header[name] = value
    out = bytearray(at_sections)
    out[:52] = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", *header.values())
    out[52 : 52 + 64] = b"".join(struct.pack("<8I", *s.values()) for s in segments)
    out[at_text:at_data] = text
    out[at_data:at_symbols] = data
    out[at_symbols:at_strings] = table
    out[at_strings:at_names] = STRINGS
    out[at_names:at_sections] = NAMES
    return bytes(out) + b"".join(struct.pack("<10I", *s) for s in sections)


def reading(tmp_path: Path, data: bytes) -> Path:
    """The bytes as a file."""
    path = tmp_path / "firmware.elf"
    path.write_bytes(data)
    return path


def test_everything_in_a_hand_made_file(tmp_path: Path) -> None:
    file = read_elf(reading(tmp_path, hand_made()))
    assert file.entry == 0x08000000
    assert [(s.virtual, s.physical, s.data, s.memory_bytes) for s in file.segments] == [
        (0x08000000, 0x08000000, bytes(range(16)), 16),
        (0x20000000, 0x08000010, b"DATA", 12),
    ]
    assert [
        (s.name, s.address, s.load_address, s.bytes, s.writable, s.executable, s.nobits) for s in file.sections
    ] == [
        (".text", 0x08000000, 0x08000000, 16, False, True, False),
        (".data", 0x20000000, 0x08000010, 4, True, False, False),
        (".bss", 0x20000004, 0x20000004, 8, True, False, True),
    ]
    assert [(s.name, s.address, s.bytes, s.is_function, s.section) for s in file.symbols] == [
        ("first", 0x08000000, 8, True, ".text"),
        ("second", 0x08000008, 6, True, ".text"),
        ("alias", 0x08000008, 0, True, ".text"),
        ("value", 0x20000000, 4, False, ".data"),
    ]
    assert file.address_of("alias") == 0x08000008
    assert file.symbol("missing") is None


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0x07FFFFFF, None),
        (0x08000000, "first"),
        (0x08000007, "first"),
        (0x08000008, "second"),
        (0x0800000D, "second"),
        (0x0800000E, None),
        (0x20000000, None),
    ],
)
def test_functions_by_address(tmp_path: Path, address: int, name: str | None) -> None:
    found = read_elf(reading(tmp_path, hand_made())).function_at(address)
    assert (None if found is None else found.name) == name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": 62}, "not for a 32-bit little-endian Arm core"),
        ({"type": 1}, "not an executable"),
        ({"ph": 0xFFFFFFF0}, "program header table reaches beyond the end"),
        ({"ph_size": 0}, "entries of 0 bytes"),
        ({"ph_number": 0}, "nothing to load"),
        ({"ph_number": 65535}, "beyond the end"),
        ({"sh": 0x7FFFFFFF}, "section header table reaches beyond the end"),
        ({"sh_size": 1}, "entries of 1 bytes"),
        ({"names": 99}, "string table is missing"),
        ({"sh": 0, "sh_number": 5000, "names": 0}, "beyond the end"),
        ({"segment0_offset": 0xFFFFFFFF}, "a segment reaches beyond the end"),
        ({"segment0_file": 0xFFFFFFFF}, "does not fit its own memory"),
        ({"segment0_memory": 0xFFFFFFFF}, "does not fit its own memory"),
        ({"segment0_file": 4000, "segment0_memory": 4000}, "larger than the file"),
        ({"segment1_virtual": 0xFFFFFFFC}, "does not fit its own memory"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_elf(reading(tmp_path, hand_made(**changes)))
    assert caught.value.message.startswith(str(tmp_path))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ", b"\x7fELF" + bytes(40), b"TFL3" * 100])
def test_files_of_other_kinds(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UsageError):
        read_elf(reading(tmp_path, data))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_elf(tmp_path / "none.elf")
    with pytest.raises(UsageError, match="cannot be read"):
        read_elf(tmp_path)


def test_names_cannot_break_a_line(tmp_path: Path) -> None:
    data = hand_made().replace(b"second", b"a\x1b[1m\n")
    names = [s.name for s in read_elf(reading(tmp_path, data)).symbols]
    assert "a\\x1b[1m\\x0a" in names


def outcome(act: Callable[[], Any]) -> Any:
    """What it gives; None when it refuses in one line. Anything else is raised."""
    try:
        return act()
    except UsageError as refused:
        if "\n" in refused.message:
            raise AssertionError(refused.message) from refused
        return None


@settings(max_examples=800)
@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 700) | st.none(),
)
def test_mutated_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]], cut: int | None
) -> None:
    data = bytearray(hand_made())
    for at, value in edits:
        data[at % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "mutated.elf"
    path.write_bytes(bytes(data[:cut]))
    file = outcome(lambda: read_elf(path))
    if file is None:
        return
    assert sum(len(s.data) for s in file.segments) <= len(data)
    for address in (0, 0x08000000, 0x0800000A, 0xFFFFFFFF):
        file.function_at(address)


def enlarged(entries: int, size: int) -> bytes:
    """As many section headers as asked for behind the hand-made file, each with the name table's last name."""
    data = hand_made()
    names = b"\0" + b"n" * size
    header = struct.pack("<10I", 1, 0x6FFFFFF6, 2, 0, len(data), 1 << 20, 0, 0, 1, 4)  # SHT_GNU_HASH
    strings = struct.pack("<10I", 1, 3, 0, 0, len(data), len(names), 0, 0, 1, 0)
    out = bytearray(data + names + header * (entries - 1) + strings)
    struct.pack_into("<I", out, 32, len(data) + len(names))
    struct.pack_into("<HH", out, 48, entries, entries - 1)
    return bytes(out)


def test_many_sections_with_one_endless_name_take_no_time(tmp_path: Path) -> None:
    path = reading(tmp_path, enlarged(4096, 1 << 22))
    started = time.monotonic()
    file = read_elf(path)
    assert time.monotonic() - started < 20  # a hang would be hours
    assert {len(s.name) for s in file.sections} == {512}
    with pytest.raises(UsageError, match="section headers are more than 4096"):
        read_elf(reading(tmp_path, enlarged(4097, 10)))


def test_symbols_without_end_are_refused(tmp_path: Path) -> None:
    data = bytearray(hand_made())
    at_sections = struct.unpack_from("<I", data, 32)[0]
    struct.pack_into("<I", data, at_sections + 4 * 40 + 20, 0xFFFFFFF0)
    with pytest.raises(UsageError, match="more than 262144 symbols"):
        read_elf(reading(tmp_path, bytes(data)))


def test_the_elf_library_is_loaded_when_a_file_is_read() -> None:
    code = (
        "import sys, tinydeploy.pipeline, tinydeploy.toolchain, tinydeploy.emulate; sys.exit('elftools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_any
def test_a_thousand_spoiled_files_of_a_linker(tmp_path: Path) -> None:
    """Headers, tables and names: everywhere but in the code, where a change does not matter to a reader."""
    data = build("int main(void) { return 0; }", "nucleo_f103rb").elf.read_bytes()
    at_sections = struct.unpack_from("<I", data, 32)[0]
    places = [*range(52 + 32 * 3), *range(at_sections, len(data))]
    values = (0, 1, 0x7F, 0x80, 0xFF)
    rng = random.Random(11)
    read = 0
    for _ in range(1000):
        spoiled = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 6))):
            spoiled[rng.choice(places) if rng.random() < 0.9 else rng.randrange(len(data))] = rng.choice(values)
        if rng.random() < 0.1:
            del spoiled[rng.randrange(len(spoiled)) :]
        path = reading(tmp_path, bytes(spoiled))
        file = outcome(lambda path=path: read_elf(path))
        if file is not None:
            read += 1
            assert sum(len(s.data) for s in file.segments) <= len(spoiled)
            assert all(s.name.isprintable() for s in file.symbols)
    assert 100 < read < 900  # some changes matter, some do not


@needs_unicorn
@needs_any
@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=12))
def test_mutated_firmware_ends_somehow(tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]]) -> None:
    source = """
    static int fill[64] = {1, 2, 3};
    int main(void) { int sum = 0; for (int i = 0; i < 64; i++) sum += ((volatile int *)fill)[i]; return sum; }
    """
    image = build(source, "nucleo_f103rb")
    data = bytearray(image.elf.read_bytes())
    segment = read_elf(image.elf).segments[0]
    start = data.find(segment.data[:64])
    for at, value in edits:
        data[(start + at % len(segment.data)) if at % 3 else at % 400] = value
    path = tmp_path_factory.getbasetemp() / "firmware.elf"
    path.write_bytes(bytes(data))
    job = Job(path, max_instructions=20_000, timeout_seconds=5.0)
    result = outcome(lambda: UnicornEmulator().run(find_board("nucleo_f103rb"), job))
    if result is None:
        return
    assert sum(result.instructions_by_function.values()) == result.instructions
    assert 0 <= result.instructions <= 20_000
