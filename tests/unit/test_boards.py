"""The shipped boards: their figures against a second table, their names, and how they are found."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tinydeploy.boards import Board, RegionKind, all_boards, find_board, load_board, loader
from tinydeploy.errors import BoardError
from tinydeploy.resources import boards_dir

KIB = 1024
MIB = 1024 * KIB

# Typed by hand as the makers advertise the parts, apart from the board files; it catches slips, it is no source.
# id, part, core, RAM in one span, flash, MHz
CAPACITIES = [
    ("stm32f746g_disco", "STM32F746NG", "cortex-m7", 320 * KIB, 1 * MIB, 216),
    ("nucleo_f767zi", "STM32F767ZI", "cortex-m7", 512 * KIB, 2 * MIB, 216),
    ("nucleo_h743zi", "STM32H743ZI", "cortex-m7", 512 * KIB, 2 * MIB, 480),
    ("stm32h747i_disco", "STM32H747XI", "cortex-m7", 512 * KIB, 2 * MIB, 480),
    ("nucleo_h7a3zi_q", "STM32H7A3ZIQ", "cortex-m7", 1024 * KIB, 2 * MIB, 280),
    ("nucleo_l4r5zi", "STM32L4R5ZI", "cortex-m4", 640 * KIB, 2 * MIB, 120),
    ("nucleo_l496zg", "STM32L496ZG", "cortex-m4", 320 * KIB, 1 * MIB, 80),
    ("nucleo_l476rg", "STM32L476RG", "cortex-m4", 96 * KIB, 1 * MIB, 80),
    ("nucleo_l432kc", "STM32L432KC", "cortex-m4", 64 * KIB, 256 * KIB, 80),
    ("nucleo_f446re", "STM32F446RE", "cortex-m4", 128 * KIB, 512 * KIB, 180),
    ("stm32f4_disco", "STM32F407VG", "cortex-m4", 128 * KIB, 1 * MIB, 168),
    ("nucleo_f411re", "STM32F411RE", "cortex-m4", 128 * KIB, 512 * KIB, 100),
    ("nucleo_f401re", "STM32F401RE", "cortex-m4", 96 * KIB, 512 * KIB, 84),
    ("stm32f469i_disco", "STM32F469NI", "cortex-m4", 320 * KIB, 2 * MIB, 180),
    ("nucleo_f303re", "STM32F303RE", "cortex-m4", 64 * KIB, 512 * KIB, 72),
    ("nucleo_g474re", "STM32G474RE", "cortex-m4", 128 * KIB, 512 * KIB, 170),
    ("nucleo_wb55rg", "STM32WB55RG", "cortex-m4", 192 * KIB, 1 * MIB, 64),
    ("nucleo_f103rb", "STM32F103RB", "cortex-m3", 20 * KIB, 128 * KIB, 72),
    ("stm32_min_dev", "STM32F103C8", "cortex-m3", 20 * KIB, 64 * KIB, 72),
    ("nucleo_l152re", "STM32L152RE", "cortex-m3", 80 * KIB, 512 * KIB, 32),
    ("nucleo_f030r8", "STM32F030R8", "cortex-m0", 8 * KIB, 64 * KIB, 48),
    ("nucleo_c031c6", "STM32C031C6", "cortex-m0plus", 12 * KIB, 32 * KIB, 48),
    ("nucleo_g071rb", "STM32G071RB", "cortex-m0plus", 36 * KIB, 128 * KIB, 64),
    ("nucleo_g0b1re", "STM32G0B1RE", "cortex-m0plus", 144 * KIB, 512 * KIB, 64),
    ("nucleo_u575zi_q", "STM32U575ZI", "cortex-m33", 768 * KIB, 2 * MIB, 160),
    ("b_u585i_iot02a", "STM32U585AI", "cortex-m33", 768 * KIB, 2 * MIB, 160),
    ("nucleo_u5a5zj_q", "STM32U5A5ZJ", "cortex-m33", 2496 * KIB, 4 * MIB, 160),
    ("nucleo_l552ze_q", "STM32L552ZE", "cortex-m33", 256 * KIB, 512 * KIB, 110),
    ("nrf52dk", "nRF52832", "cortex-m4", 64 * KIB, 512 * KIB, 64),
    ("nrf52840dk", "nRF52840", "cortex-m4", 256 * KIB, 1 * MIB, 64),
    ("nrf5340dk", "nRF5340", "cortex-m33", 512 * KIB, 1 * MIB, 128),
    ("rpi_pico", "RP2040", "cortex-m0plus", 264 * KIB, 2 * MIB, 133),
    ("rpi_pico2", "RP2350", "cortex-m33", 520 * KIB, 4 * MIB, 150),
    ("adafruit_feather_m4_express", "ATSAMD51J19A", "cortex-m4", 192 * KIB, 512 * KIB, 120),
    ("teensy40", "MIMXRT1062", "cortex-m7", 768 * KIB, 2 * MIB, 600),
    ("teensy41", "MIMXRT1062", "cortex-m7", 768 * KIB, 8 * MIB, 600),
    ("mps3_corstone300_an547", "SSE-300", "cortex-m55", 512 * KIB, 512 * KIB, 25),
]

# What people type, and the part that it must mean
NAMES = {
    "stm32f746": "STM32F746NG",
    "stm32f746ng": "STM32F746NG",
    "stm32l4r5": "STM32L4R5ZI",
    "stm32u575": "STM32U575ZI",
    "stm32f103": "STM32F103RB",
    "stm32f446": "STM32F446RE",
    "stm32h743": "STM32H743ZI",
    "stm32g0b1": "STM32G0B1RE",
    "rp2040": "RP2040",
    "nrf52840": "nRF52840",
    "stm32f407": "STM32F407VG",
    "stm32f411": "STM32F411RE",
    "stm32l476": "STM32L476RG",
    "stm32g474": "STM32G474RE",
    "stm32wb55": "STM32WB55RG",
    "stm32f767": "STM32F767ZI",
    "stm32h747": "STM32H747XI",
    "stm32h7a3": "STM32H7A3ZIQ",
    "stm32l552": "STM32L552ZE",
    "stm32u585": "STM32U585AI",
    "rp2350": "RP2350",
    "nrf52832": "nRF52832",
    "nrf5340": "nRF5340",
    "samd51": "ATSAMD51J19A",
    "imxrt1062": "MIMXRT1062",
    "bluepill": "STM32F103C8",
    "pico": "RP2040",
    "teensy40": "MIMXRT1062",
    "corstone300": "SSE-300",
}


@pytest.fixture(scope="module")
def boards() -> dict[str, Board]:
    return {b.id: b for b in all_boards()}


def test_table_covers_every_board(boards: dict[str, Board]) -> None:
    assert sorted(boards) == sorted(row[0] for row in CAPACITIES)


@pytest.mark.parametrize("board_id, mcu, core, ram, flash, mhz", CAPACITIES, ids=[r[0] for r in CAPACITIES])
def test_capacities(
    boards: dict[str, Board], board_id: str, mcu: str, core: str, ram: int, flash: int, mhz: int
) -> None:
    board = boards[board_id]
    assert (board.mcu, board.core.name) == (mcu, core)
    assert (board.ram.bytes, board.flash.bytes, board.clock_hz) == (ram, flash, mhz * 1_000_000)


# All RAM of the chip as the maker advertises it: TCMs, SRAMs and backup SRAM (the U5's 2 KiB are left out)
@pytest.mark.parametrize(
    "name, total_kib",
    [
        ("stm32f746", 320 + 16 + 4),
        ("stm32f767", 512 + 16 + 4),
        ("stm32h743", 192 + 864 + 4),
        ("stm32h7a3", 192 + 1184 + 4),
        ("stm32u575", 784),
        ("stm32u5a5", 2512),
        ("stm32f407", 192 + 4),
        ("stm32f469", 384 + 4),
        ("stm32l476", 128),
        ("stm32f303", 80),
        ("stm32wb55", 256),
        ("imxrt1062", 1024),
    ],
)
def test_all_ram_of_the_chip(name: str, total_kib: int) -> None:
    regions = find_board(name).regions
    assert sum(r.bytes for r in regions if r.kind is RegionKind.RAM) == total_kib * KIB


@pytest.mark.parametrize(
    "name, fpu, dsp",
    [
        ("stm32f746", "fpv5-sp-d16", True),
        ("stm32f767", "fpv5-d16", True),
        ("stm32h743", "fpv5-d16", True),
        ("stm32f446", "fpv4-sp-d16", True),
        ("stm32f103", "none", False),
        ("rp2040", "none", False),
        ("stm32l552", "fpv5-sp-d16", True),
        ("stm32u575", "fpv5-sp-d16", True),
        ("nrf5340", "fpv5-sp-d16", True),
        ("rp2350", "fpv5-sp-d16", True),
    ],
)
def test_core_options(name: str, fpu: str, dsp: bool) -> None:
    core = find_board(name).core
    assert (core.fpu, core.dsp, core.mve) == (fpu, dsp, False)
    assert core.hard_float is (fpu != "none")


def test_f746_memories() -> None:
    # ST's stm32f746xx.h: DTCM 64 KB, SRAM1 240 KB and SRAM2 16 KB one behind the other, ITCM 16 KB at 0
    board = find_board("stm32f746")
    spans = {r.name: (r.base, r.bytes) for r in board.regions}
    assert spans["DTCM"] == (0x20000000, 64 * KIB)
    assert spans["SRAM1"] == (0x20010000, 240 * KIB)
    assert spans["SRAM2"] == (0x2004C000, 16 * KIB)
    assert spans["ITCM"] == (0, 16 * KIB)
    assert (board.ram.name, board.ram.base, board.ram.end) == ("DTCM+SRAM1+SRAM2", 0x20000000, 0x20050000)
    assert board.flash.base == 0x08000000
    itcm = board.region_at(0x100)
    assert itcm is not None and itcm.name == "ITCM" and not itcm.arena
    assert board.region_at(0x20050000) is None
    assert board.uart is not None and (board.uart.base, board.uart.model) == (0x40011000, "stm32_isr_tdr")


@pytest.mark.parametrize(
    "name, uart, base, model",
    [
        # the console of Zephyr's board files; addresses from the makers' device headers
        ("stm32f103", "USART2", 0x40004400, "stm32_sr_dr"),
        ("bluepill", "USART1", 0x40013800, "stm32_sr_dr"),
        ("stm32f446", "USART2", 0x40004400, "stm32_sr_dr"),
        ("stm32h743", "USART3", 0x40004800, "stm32_isr_tdr"),
        ("stm32l4r5", "LPUART1", 0x40008000, "stm32_isr_tdr"),
        ("stm32u575", "USART1", 0x40013800, "stm32_isr_tdr"),
        ("rp2040", "UART0", 0x40034000, "pl011"),
        ("nrf52840", "UARTE0", 0x40002000, "nrf_uarte"),
    ],
)
def test_uarts(name: str, uart: str, base: int, model: str) -> None:
    found = find_board(name).uart
    assert found is not None
    assert (found.name, found.base, found.model) == (uart, base, model)


def test_every_board_is_sound(boards: dict[str, Board]) -> None:
    assert list(boards) == sorted(boards)
    for board in boards.values():
        main = [r for r in board.regions if board.ram.base <= r.base < board.ram.end]
        assert sum(r.bytes for r in main) == board.ram.bytes, board.id
        assert board.flash in board.regions
        assert board.ram.arena
        sources = [board.core.source, board.clock_source, board.wait_states_source]
        sources += [r.source for r in board.regions]
        sources += [board.uart.source] if board.uart else []
        assert all(len(s) > 15 for s in sources), board.id
        for a in board.regions:
            assert not any(a is not b and a.base < b.end and b.base < a.end for b in board.regions), board.id


def test_ids_are_file_names() -> None:
    for path in boards_dir().glob("*.toml"):
        assert load_board(path).id == path.stem


def test_every_name_finds_its_board(boards: dict[str, Board]) -> None:
    owners: dict[str, str] = {}
    for board in boards.values():
        for name in (board.id, *board.aliases):
            assert name not in owners, f"{name}: {board.id} and {owners[name]}"
            owners[name] = board.id
            assert find_board(name) == board


@pytest.mark.parametrize("name, mcu", NAMES.items())
def test_required_names(name: str, mcu: str) -> None:
    assert find_board(name).mcu == mcu


@pytest.mark.parametrize("written", ["NUCLEO-L4R5ZI", "Nucleo L4R5ZI", "  nucleo_l4r5zi ", "STM32L4R5"])
def test_spelling_does_not_matter(written: str) -> None:
    assert find_board(written).id == "nucleo_l4r5zi"


def test_path_of_an_own_file(tmp_path: Path) -> None:
    own = tmp_path / "My Board.toml"
    text = (boards_dir() / "nucleo_f103rb.toml").read_text()
    own.write_text(text.replace('id = "nucleo_f103rb"', 'id = "mine"'))
    board = find_board(str(own))
    assert (board.id, board.mcu) == ("mine", "STM32F103RB")


@pytest.mark.parametrize(
    "wrong, suggested",
    [
        ("stm32f747", "stm32f746"),
        ("nucleo_l4r5z", "nucleo_l4r5zi"),
        ("stm32l4r5zit6", "nucleo_l4r5zi"),  # an order code begins with the part
        ("STM32F746NGH6", "stm32f746g_disco"),
        ("nucleo", "nucleo_"),
        ("rpi-pic", "rpi_pico"),
        ("nrf52480", "nrf52840"),
    ],
)
def test_unknown_name_suggests_the_nearest(wrong: str, suggested: str) -> None:
    with pytest.raises(BoardError) as caught:
        find_board(wrong)
    assert wrong in caught.value.message
    assert caught.value.hint is not None
    assert "did you mean" in caught.value.hint and suggested in caught.value.hint
    assert "tinydeploy boards" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "wrong", ["", " ", "qqqqqqqqqq", "x" * 1_000_000, "\x1b[31mred", "a\nb", "ünïcode", "..", "\0"], ids=range(9)
)
def test_hopeless_names(wrong: str) -> None:
    with pytest.raises(BoardError) as caught:
        find_board(wrong)
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


def test_by_id_only_that_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = loader._read_text

    def spy(path: Path) -> str:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(loader, "_read_text", spy)
    find_board("nucleo_l4r5zi")
    assert read == ["nucleo_l4r5zi.toml"]


def test_heads_agree_with_files(boards: dict[str, Board]) -> None:
    # an alias is looked up in the part before the first table: it must say what the whole file says
    for board in boards.values():
        path = boards_dir() / f"{board.id}.toml"
        head = tomllib.loads(re.split(r"^\[", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0])
        assert (head["id"], head["mcu"], tuple(head["aliases"])) == (board.id, board.mcu, board.aliases)


def _two_boards(folder: Path) -> tuple[Path, Path]:
    for name in ("nucleo_f103rb", "nucleo_f446re"):
        shutil.copy(boards_dir() / f"{name}.toml", folder)
    return folder / "nucleo_f103rb.toml", folder / "nucleo_f446re.toml"


@pytest.mark.parametrize("alias", ["stm32f103", "nucleo_f103rb"])
def test_a_name_belongs_to_one_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alias: str) -> None:
    _, second = _two_boards(tmp_path)
    second.write_text(second.read_text().replace('"stm32f446re"', f'"{alias}"'))
    monkeypatch.setattr(loader, "boards_dir", lambda: tmp_path)
    for ask in (all_boards, lambda: find_board("stm32f446")):
        with pytest.raises(BoardError, match=f"nucleo_f446re.toml: aliases: `{alias}` belongs to nucleo_f103rb.toml"):
            ask()


def test_a_file_is_called_like_its_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = _two_boards(tmp_path)
    first.rename(tmp_path / "other.toml")
    monkeypatch.setattr(loader, "boards_dir", lambda: tmp_path)
    with pytest.raises(BoardError, match=r"other\.toml: id: the file of nucleo_f103rb must be called"):
        all_boards()


def test_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "boards_dir", lambda: tmp_path / "gone")
    for ask in (all_boards, lambda: find_board("stm32f103")):
        with pytest.raises(BoardError, match="folder of board files is missing"):
            ask()
