"""Bad board files: each kind is refused with one line that names the file and the key."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tinydeploy.boards import Board, RegionKind, find_board, load_board
from tinydeploy.boards.table import BEGIN, END, board_table_markdown, refreshed
from tinydeploy.errors import BoardError, UsageError
from tinydeploy.resources import boards_dir

GOOD = """\
id = "toy"
name = "Toy board"
mcu = "TOY1"
aliases = ["toy1"]
flash = "ROM"
ram = ["LOW", "HIGH"]
cache = "none"
notes = ["a note"]

[core]
name = "cortex-m33"
fpu = "fpv5-sp-d16"
dsp = true
source = "toy manual 1"

[clock]
hz = 100_000_000
source = "toy manual 2"

[wait_states]
count = 3
source = "toy manual 3"

[[region]]
name = "ROM"
kind = "flash"
base = 0x08000000
bytes = 65536
use = "program"
source = "toy manual 4"

[[region]]
name = "LOW"
kind = "ram"
base = 0x20000000
bytes = 4096
use = "stack"
source = "toy manual 5"

[[region]]
name = "HIGH"
kind = "ram"
base = 0x20001000
bytes = 8192
dma = false
use = "tensors"
source = "toy manual 6"

[[region]]
name = "FAR"
kind = "ram"
base = 0x30000000
bytes = 1024
arena = false
use = "radio"
source = "toy manual 7"

[[region]]
name = "PROM"
kind = "eeprom"
base = 0x08080000
bytes = 1024
use = "settings"
source = "toy manual 8"

[uart]
name = "UART0"
model = "pl011"
base = 0x40001000
source = "toy manual 9"
"""


def _load(tmp_path: Path, text: str) -> Board:
    file = tmp_path / "toy.toml"
    file.write_text(text)
    return load_board(file)


def _refusal(tmp_path: Path, text: str) -> BoardError:
    with pytest.raises(BoardError) as caught:
        _load(tmp_path, text)
    error = caught.value
    assert error.message.startswith(str(tmp_path / "toy.toml") + ": ")
    assert error.message.isprintable() and error.hint
    assert error.exit_code == 2
    return error


def test_good(tmp_path: Path) -> None:
    board = _load(tmp_path, GOOD)
    assert (board.id, board.mcu, board.aliases, board.notes) == ("toy", "TOY1", ("toy1",), ("a note",))
    core = board.core
    assert (core.name, core.fpu, core.dsp, core.mve) == ("cortex-m33", "fpv5-sp-d16", True, False)
    assert (board.clock_hz, board.wait_states) == (100_000_000, 3)
    assert [r.name for r in board.regions] == ["ROM", "LOW", "HIGH", "FAR", "PROM"]
    flags = {r.name: (r.kind, r.arena, r.code, r.dma) for r in board.regions}
    assert flags == {
        "ROM": (RegionKind.FLASH, False, True, True),
        "LOW": (RegionKind.RAM, True, True, True),
        "HIGH": (RegionKind.RAM, True, True, False),
        "FAR": (RegionKind.RAM, False, True, True),
        "PROM": (RegionKind.EEPROM, False, False, True),
    }
    # one span: the sum of its parts, and only as capable as the least of them
    assert (board.ram.name, board.ram.base, board.ram.bytes) == ("LOW+HIGH", 0x20000000, 12288)
    assert (board.ram.arena, board.ram.code, board.ram.dma) == (True, True, False)
    assert board.ram.source == "toy manual 5; toy manual 6"
    assert board.flash is board.regions[0]
    assert board.uart is not None and board.uart.base == 0x40001000


def test_optional_parts(tmp_path: Path) -> None:
    text = GOOD.replace('aliases = ["toy1"]\n', "").replace('notes = ["a note"]\n', "").replace("count = 3\n", "")
    board = _load(tmp_path, text[: text.index("[uart]")])
    assert (board.aliases, board.notes, board.wait_states, board.uart) == ((), (), None, None)
    one = _load(tmp_path, GOOD.replace('ram = ["LOW", "HIGH"]', 'ram = ["HIGH"]'))
    assert one.ram is one.regions[2]


def test_start_from_ram(tmp_path: Path) -> None:
    # a board without flash: code is loaded into a RAM that is not part of `ram`
    board = _load(tmp_path, GOOD.replace('flash = "ROM"', 'flash = "FAR"'))
    assert board.flash.name == "FAR"


def test_every_line_is_needed(tmp_path: Path) -> None:
    optional = {"aliases", "notes", "count", "arena", "dma"}
    lines = GOOD.splitlines(keepends=True)
    for index, line in enumerate(lines):
        key = line.split(" = ")[0]
        if " = " in line and key not in optional:
            message = _refusal(tmp_path, "".join(lines[:index] + lines[index + 1 :])).message
            assert re.search(rf"[: .]{key}: missing$", message), message


# (what to replace, by what, the key that is named, a word of the message)
BAD = [
    ('id = "toy"', 'id = "Toy"', "id", "not a valid name"),
    ('id = "toy"', 'id = "../toy"', "id", "not a valid name"),
    ('id = "toy"', 'id = "toy\\u001b[31m"', "id", "control"),
    ('id = "toy"', "id = 3", "id", "must be a string, not an integer"),
    ('name = "Toy board"', 'name = "  "', "name", "is empty"),
    ('name = "Toy board"', 'name = "two\\nlines"', "name", "one line"),
    ('name = "Toy board"', f'name = "{"x" * 2000}"', "name", "longer than"),
    ('mcu = "TOY1"', "mcu = 1979-05-27", "mcu", "not a date"),
    ('aliases = ["toy1"]', 'aliases = "toy1"', "aliases", "must be a list, not a string"),
    ('aliases = ["toy1"]', 'aliases = ["toy1", "toy1"]', "aliases", "twice"),
    ('aliases = ["toy1"]', 'aliases = ["toy"]', "aliases", "own id"),
    ('aliases = ["toy1"]', 'aliases = ["to y"]', "aliases", "not a valid name"),
    ('aliases = ["toy1"]', "aliases = [1]", "aliases[0]", "must be a string"),
    ('aliases = ["toy1"]', f"aliases = {[f'a{i}' for i in range(100)]}", "aliases", "more than"),
    ('flash = "ROM"', 'flash = "ROOM"', "flash", "no region is called `ROOM`"),
    ('flash = "ROM"', 'flash = "LOW"', "flash", "part of `ram`"),
    ('flash = "ROM"', 'flash = "PROM"', "flash", "code cannot run"),
    ('flash = "ROM"', 'flash = ["ROM"]', "flash", "must be a string"),
    ("base = 0x08000000", "base = 0x08000100", "flash", "vector table"),
    ('ram = ["LOW", "HIGH"]', 'ram = "LOW"', "ram", "must be a list"),
    ('ram = ["LOW", "HIGH"]', "ram = []", "ram", "is empty"),
    ('ram = ["LOW", "HIGH"]', 'ram = ["LOW", "MID"]', "ram", "no region is called `MID`"),
    ('ram = ["LOW", "HIGH"]', 'ram = ["HIGH", "LOW"]', "ram", "does not follow"),
    ('ram = ["LOW", "HIGH"]', 'ram = ["LOW", "LOW"]', "ram", "twice"),
    ('ram = ["LOW", "HIGH"]', 'ram = ["LOW", "FAR"]', "ram", "cannot hold tensors"),
    ('ram = ["LOW", "HIGH"]', 'ram = ["ROM"]', "ram", "cannot hold tensors"),
    ("base = 0x20001000", "base = 0x20001020", "ram", "does not follow"),
    ('name = "cortex-m33"', 'name = "cortex-m34"', "core.name", "not known"),
    ('name = "cortex-m33"', 'name = "Cortex-M33"', "core.name", "not known"),
    ('fpu = "fpv5-sp-d16"', 'fpu = "vfp9"', "core.fpu", "not known"),
    ('fpu = "fpv5-sp-d16"', 'fpu = "fpv4-sp-d16"', "core.fpu", "a cortex-m33 has no fpv4-sp-d16"),
    ('fpu = "fpv5-sp-d16"', "fpu = true", "core.fpu", "not true or false"),
    ("dsp = true", "dsp = 1", "core.dsp", "must be true or false, not an integer"),
    ("dsp = true", "dsp = true\nmve = true", "core.mve", "no MVE"),
    ('name = "cortex-m33"\nfpu = "fpv5-sp-d16"', 'name = "cortex-m3"\nfpu = "none"', "core.dsp", "never has"),
    (
        'name = "cortex-m33"\nfpu = "fpv5-sp-d16"\ndsp = true',
        'name = "cortex-m4"\nfpu = "none"\ndsp = false',
        "core.dsp",
        "always has",
    ),
    ("hz = 100_000_000", "hz = 0", "clock.hz", "outside"),
    ("hz = 100_000_000", "hz = -5", "clock.hz", "outside"),
    ("hz = 100_000_000", "hz = 1e8", "clock.hz", "must be an integer, not a float"),
    ("hz = 100_000_000", f"hz = 0x{'f' * 6000}", "clock.hz", "outside"),
    ("count = 3", "count = -1", "wait_states.count", "outside"),
    ("count = 3", 'count = "3"', "wait_states.count", "must be an integer"),
    ('name = "LOW"', 'name = "ROM"', "region[1].name", "a second region"),
    ('name = "LOW"', 'name = "rom"', "region[1].name", "a second region"),
    ('name = "LOW"', 'name = "L.W"', "region[1].name", "not a valid name"),
    ('name = "LOW"', 'name = "A} /* "', "region[1].name", "not a valid name"),
    ('kind = "eeprom"', 'kind = "tape"', "region[4].kind", "not known"),
    ("base = 0x20000000", "base = -32", "region[1].base", "outside"),
    ("base = 0x20000000", "base = 0x20000010", "region[1].base", "multiple of 32"),
    ("base = 0x20000000", "base = 0x100000000", "region[1].base", "outside"),
    ("base = 0x20001000", "base = 0x20000fe0", "region[2].base", "overlaps LOW"),
    ("base = 0x20001000", "base = 0x08000020", "region[2].base", "overlaps ROM"),
    ("bytes = 4096", "bytes = 0", "region[1].bytes", "outside"),
    ("bytes = 4096", "bytes = -4096", "region[1].bytes", "outside"),
    ("bytes = 4096", "bytes = 100", "region[1].bytes", "multiple of 32"),
    ("bytes = 4096", "bytes = 0xF0000000", "region[1].bytes", "past 4 GiB"),
    ('kind = "eeprom"', 'kind = "eeprom"\narena = true', "region[4].arena", "only RAM"),
    ("arena = false", 'arena = "no"', "region[3].arena", "must be true or false"),
    ('model = "pl011"', 'model = "8250"', "uart.model", "not known"),
    ("base = 0x40001000", "base = 0x40001001", "uart.base", "multiple of 4"),
    ("base = 0x40001000", "base = 0x20000100", "uart.base", "inside the memory LOW"),
    ('source = "toy manual 1"', 'source = ""', "core.source", "is empty"),
    ('source = "toy manual 6"', 'source = ""', "region[2].source", "is empty"),
    ('cache = "none"', 'cache = "none"\ncahce = "x"', "cahce", "unknown key"),
    ("dsp = true", "dsp = true\nturbo = 1", "core.turbo", "unknown key"),
    ("count = 3", "count = 3\nat = 1", "wait_states.at", "unknown key"),
    ("dma = false", "dmaa = false", "region[2].dmaa", "unknown key"),
    ('model = "pl011"', 'model = "pl011"\nbaud = 9600', "uart.baud", "unknown key"),
]


@pytest.mark.parametrize("old, new, key, words", BAD, ids=[f"{i}-{b[2]}" for i, b in enumerate(BAD)])
def test_bad_values(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    assert GOOD.count(old) == 1
    message = _refusal(tmp_path, GOOD.replace(old, new)).message
    assert f": {key}: " in message, message
    assert words in message, message
    assert len(message) < 500


def test_unknown_key_suggests(tmp_path: Path) -> None:
    error = _refusal(tmp_path, GOOD.replace("dma = false", "dmaa = false"))
    assert error.hint is not None and "did you mean `dma`?" in error.hint


def test_tables_of_the_wrong_shape(tmp_path: Path) -> None:
    assert (
        "core: must be a table, not an integer"
        in _refusal(tmp_path, "core = 1\n" + re.sub(r"\[core\].*?(?=\[clock\])", "", GOOD, flags=re.DOTALL)).message
    )
    head = GOOD[: GOOD.index("[[region]]")]
    assert "region: missing" in _refusal(tmp_path, head).message
    assert "region: is empty" in _refusal(tmp_path, "region = []\n" + head).message
    assert "region[0]: must be a table" in _refusal(tmp_path, "region = [1]\n" + head).message
    assert "region: must be a list, not a table" in _refusal(tmp_path, head + "[region]\n").message
    many = "".join(
        f'[[region]]\nname="R{i}"\nkind="ram"\nbase={i * 32}\nbytes=32\nuse="x"\nsource="x"\n' for i in range(65)
    )
    assert "region: has more than 64" in _refusal(tmp_path, head + many).message


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "missing"),
        (b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        (b"id = 'toy'\n\xc3(", "not UTF-8 text (byte 11)"),
        (b'id = "a"\nid = "b"\n', "not valid TOML"),
        (b"id = \n", "not valid TOML"),
        (b"\x00" * 100, "not valid TOML"),
        (b"x = " + b"[" * 50_000, "nested too deeply"),
        (b"x = " + b"9" * 50_000, "not valid TOML"),
        (b"#" * (5 << 20), "larger than 4 MiB"),
        (b"\n<<<<<<< ours\n", "bad.toml:2: holds the marks of a merge conflict"),
    ],
    ids=["empty", "bom", "utf8", "twice", "no-value", "zeros", "deep", "digits", "huge", "conflict"],
)
def test_hostile_files(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(data)
    with pytest.raises(BoardError) as caught:
        find_board(str(file))
    assert words in caught.value.message
    assert caught.value.message.isprintable() and len(caught.value.message) < 500


def test_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    for path, words in [
        (tmp_path / "none.toml", "no such file"),
        (tmp_path / "folder.toml", "is a folder"),
        (tmp_path / "none.toml" / "below.toml", "no such file"),
        (tmp_path / ("x" * 5000 + ".toml"), "cannot be read"),
        (tmp_path / "nul\0.toml", "nul\\x00.toml: "),
        (tmp_path / "two\nlines.toml", "no such file"),
    ]:
        with pytest.raises(BoardError) as caught:
            find_board(str(path))
        assert words in caught.value.message, path
        assert caught.value.message.isprintable()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a system with /dev/zero, such as Linux")
def test_device_without_end(tmp_path: Path) -> None:
    link = tmp_path / "endless.toml"
    link.symlink_to("/dev/zero")
    with pytest.raises(BoardError, match="not a regular file"):
        find_board(str(link))


SHIPPED = [*sorted(p.read_bytes() for p in boards_dir().glob("*.toml")), GOOD.encode()]
TOKENS = [b"0", b"-1", b"1e9", b"true", b'""', b"[]", b"{}", b"[core]\n", b"[[region]]\n", b"=", b"\n", b'"', b"\xff"]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A good file with a few bytes cut, replaced or inserted, or with lines dropped, doubled or swapped."""
    data = draw(st.sampled_from(SHIPPED))
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            at = draw(st.integers(0, len(data)))
            end = min(len(data), at + draw(st.integers(0, 12)))
            data = data[:at] + draw(st.sampled_from(TOKENS) | st.binary(max_size=8)) + data[end:]
        else:
            lines = data.splitlines(keepends=True) or [b""]
            one = draw(st.integers(0, len(lines) - 1))
            other = draw(st.integers(0, len(lines) - 1))
            action = draw(st.sampled_from(["drop", "double", "swap"]))
            if action == "drop":
                del lines[one]
            elif action == "double":
                lines.insert(other, lines[one])
            else:
                lines[one], lines[other] = lines[other], lines[one]
            data = b"".join(lines)
    return data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=_mutated())
@example(data=b"[" * 3000)
def test_a_mutated_file_is_a_board_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "mutated.toml"
    file.write_bytes(data)
    try:
        board = load_board(file)
    except BoardError as error:
        refused = error.message
        board = None
    if board is None:
        assert refused.isprintable() and "mutated.toml: " in refused
        return
    # what got through still keeps every promise that the rest of the project builds on
    assert re.fullmatch("[a-z0-9][a-z0-9_]*", board.id)
    assert board.clock_hz > 0 and board.core.source and board.ram.arena
    assert board.ram.bytes > 0 and board.ram.end <= 1 << 32 and board.flash.end <= 1 << 32
    assert board.ram.end <= board.flash.base or board.flash.end <= board.ram.base
    regions = sorted(board.regions, key=lambda r: r.base)
    assert all(a.end <= b.base for a, b in pairwise(regions))
    for region in regions:
        assert region.name.isidentifier() and region.source and region.use
        assert region.base % 32 == 0 and region.bytes % 32 == 0 and region.bytes > 0


DOCS = Path(__file__).resolve().parents[2] / "docs" / "boards.md"


def test_docs_table_is_current() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert refreshed(page) == page, "run: python -m tinydeploy.boards.table docs/boards.md"
    row = next(line for line in page.splitlines() if line.startswith("| `stm32f746g_disco` "))
    for cell in ("`stm32f746`", "STM32F746NG", "cortex-m7 +DSP +fpv5-sp-d16", "216", "320 KiB", "1 MiB"):
        assert cell in row


def test_table_of_one_board(tmp_path: Path) -> None:
    table = board_table_markdown([_load(tmp_path, GOOD)])
    assert table.splitlines()[2] == (
        "| `toy` | `toy1` | TOY1 | cortex-m33 +DSP +fpv5-sp-d16 | 100 | 3 | 12 KiB (LOW+HIGH) | 64 KiB |"
    )


def test_page_without_marks() -> None:
    for page in ("", BEGIN, END, f"{END}{BEGIN}"):
        with pytest.raises(UsageError):
            refreshed(page)


def test_docs_example_is_a_board(tmp_path: Path) -> None:
    page = DOCS.read_text(encoding="utf-8")
    example_file = re.search(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert example_file is not None
    board = _load(tmp_path, example_file.group(1))
    assert (board.id, board.flash.bytes, board.ram.bytes) == ("my_sensor", 992 * 1024, 96 * 1024)
    # 992 KiB behind a 32 KiB boot loader fill the chip's 1 MiB
    assert board.flash.end == 0x08100000


def test_docs_name_every_key() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for key in ("id", "name", "mcu", "aliases", "flash", "ram", "cache", "notes", "uart", "source"):
        assert f"| `{key}` |" in page
    for table, keys in {
        "core": ("name", "fpu", "dsp", "mve"),
        "clock": ("hz",),
        "wait_states": ("count",),
        "region": ("name", "kind", "base", "bytes", "use", "arena", "code", "dma"),
        "uart": ("name", "model", "base"),
    }.items():
        for key in keys:
            assert f"| `{table}.{key}` |" in page
