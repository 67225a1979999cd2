"""Boards as Renode platforms: what each must hold, by the boards' figures and the vendors' headers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tinydeploy.boards import Board, Core, Uart, all_boards, find_board
from tinydeploy.emulate.renode.parts import PARTS, part_of
from tinydeploy.emulate.renode.peripherals import check
from tinydeploy.emulate.renode.platform import make_platform, stub_script, without_helium
from tinydeploy.emulate.renode.repl import Entry, Peripheral, memories, parse, peripherals
from tinydeploy.errors import UsageError

BOARDS = [b.id for b in all_boards()]


def _entries(text: str) -> tuple[Entry, ...]:
    return parse(text, "platform.repl").entries


def _peripherals(board: Board, **options: object) -> dict[str, Peripheral]:
    return peripherals(_entries(make_platform(board, **options).repl))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("stubs", [True, False])
def test_every_board_has_a_sound_platform(name: str, stubs: bool) -> None:
    platform = make_platform(find_board(name), marker_address=0xE000007C, stubs=stubs)
    assert check(_entries(platform.repl)) == []


@pytest.mark.parametrize("name", BOARDS)
def test_memories_are_the_chips_and_no_others(name: str) -> None:
    board = find_board(name)
    platform = make_platform(board)
    found = {m.name: (m.base, m.bytes) for m in memories(_entries(platform.repl))}
    assert found == {platform.memories[r.name]: (r.base, r.bytes) for r in board.regions}


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_not_stubbed_warns(name: str) -> None:
    """Only the core, the memories and the UART: any other access is one to nothing."""
    types = {p.type.partition(".")[0] for p in _peripherals(find_board(name), stubs=False).values() if p.type}
    assert types <= {"Memory", "CPU", "IRQControllers", "Miscellaneous", "UART"}
    assert "bit_band_sram" not in _peripherals(find_board(name), stubs=False)


# Interrupts and __NVIC_PRIO_BITS: ST cmsis_device_*, Nordic MDK, pico-sdk, Microchip DFP, NXP headers of these chips.
@pytest.mark.parametrize(
    ("name", "cpu", "priorities", "uart", "type_", "address", "irq"),
    [
        ("stm32f746", "cortex-m7", 0xF0, "usart1", "STM32F7_USART", 0x40011000, 37),
        ("nucleo_f401re", "cortex-m4", 0xF0, "usart2", "STM32_UART", (0x40004400, 0x400), 38),
        ("nucleo_f103rb", "cortex-m3", 0xF0, "usart2", "STM32_UART", (0x40004400, 0x400), 38),
        ("nucleo_f030r8", "cortex-m0", 0xC0, "usart2", "STM32F7_USART", 0x40004400, 28),
        ("nucleo_g0b1re", "cortex-m0+", 0xC0, "usart2", "STM32F7_USART", 0x40004400, 28),
        ("nucleo_l4r5zi", "cortex-m4", 0xF0, "lpuart1", "STM32F7_USART", 0x40008000, 70),
        ("nucleo_g474re", "cortex-m4", 0xF0, "lpuart1", "STM32F7_USART", 0x40008000, 91),
        ("nucleo_l552ze_q", "cortex-m33", 0xE0, "lpuart1", "STM32F7_USART", 0x40008000, 66),
        ("nucleo_u575zi_q", "cortex-m33", 0xF0, "usart1", "STM32F7_USART", 0x40013800, 61),
        ("nucleo_wb55rg", "cortex-m4", 0xF0, "usart1", "STM32F7_USART", 0x40013800, 36),
        ("nrf52840dk", "cortex-m4", 0xE0, "uarte0", "NRF52840_UART", 0x40002000, 2),
        ("nrf5340dk", "cortex-m33", 0xE0, "uarte0", "NRF52840_UART", 0x50008000, 8),
        ("rpi_pico", "cortex-m0+", 0xC0, "uart0", "PL011", 0x40034000, 20),
        ("rpi_pico2", "cortex-m33", 0xF0, "uart0", "PL011", 0x40070000, 33),
        ("adafruit_feather_m4_express", "cortex-m4", 0xE0, "sercom5", "SAMD5_UART", 0x43000400, 66),
        ("teensy40", "cortex-m7", 0xF0, "lpuart6", "NXP_LPUART", 0x40198000, 25),
        ("mps3_corstone300_an547", "cortex-m55", 0xE0, "uart0", "CMSDK_APB_UART", 0x49303000, None),
    ],
)
def test_core_and_uart(
    name: str, cpu: str, priorities: int, uart: str, type_: str, address: int | tuple[int, int], irq: int | None
) -> None:
    found = _peripherals(find_board(name))
    assert found["cpu"].properties["cpuType"] == cpu
    assert found["nvic"].properties["priorityMask"] == priorities
    assert make_platform(find_board(name)).uart == uart
    assert found[uart].type == f"UART.{type_}"
    place = found[uart].registrations[0].place
    at = place if isinstance(place, int) else (place.begin, place.end - place.begin)  # type: ignore[union-attr]
    assert at == address
    wired = [d.inputs for wire in found[uart].wires for d in wire.destinations]
    assert wired == ([(irq,)] if irq is not None else [])
    assert found[uart].properties.get("lowPowerMode", False) is (name in LOW_POWER)


LOW_POWER = ("nucleo_l4r5zi", "nucleo_g474re", "nucleo_l552ze_q")


@pytest.mark.parametrize("name", BOARDS)
def test_cycle_counter_counts_instructions(name: str) -> None:
    """Only when DWT's frequency is a million times the instructions a microsecond; Armv6-M cores have none."""
    board = find_board(name)
    found = _peripherals(board)
    mips = found["cpu"].properties["PerformanceInMips"]
    assert mips == board.clock_hz // 1_000_000 == make_platform(board).mips
    assert ("dwt" in found) is not board.core.name.startswith("cortex-m0")
    if "dwt" in found:
        assert found["dwt"].properties["frequency"] == mips * 1_000_000
    assert found["nvic"].properties["systickFrequency"] == board.clock_hz


def test_marker_is_a_word_of_its_own() -> None:
    found = _peripherals(find_board("stm32f746"), marker_address=0xE000007C)["marker"]
    assert (found.type, found.properties["size"], found.registrations[0].place) == (
        "Memory.ArrayMemory",
        4,
        0xE000007C,
    )
    assert "marker" not in _peripherals(find_board("stm32f746"))


def test_bit_band_is_where_the_chip_has_it() -> None:
    have = {name for name in BOARDS if "bit_band_peripherals" in _peripherals(find_board(name))}
    assert {"nucleo_f103rb", "stm32f4_disco", "nucleo_l152re", "nucleo_l4r5zi"} <= have
    assert not have & {"stm32f746g_disco", "nucleo_u575zi_q", "nrf52840dk", "nucleo_f030r8", "nucleo_l552ze_q"}


def test_refusals() -> None:
    board = find_board("stm32f746")
    region = board.regions[0]
    with pytest.raises(UsageError, match="Renode has no cortex-m35p"):
        make_platform(replace(board, core=Core("cortex-m35p", "none", False, False, "test")))
    with pytest.raises(UsageError, match="cannot have a memory of 1000 bytes"):
        make_platform(replace(board, regions=(replace(region, bytes=1000),)))
    with pytest.raises(UsageError, match="no UART of Renode's has the layout 'ns16550'"):
        make_platform(replace(board, uart=Uart("COM1", "ns16550", 0x3F8, "test")))


def test_names_never_clash_or_break_out() -> None:
    board = find_board("stm32f746")
    names = ("CPU", "sysbus", "1st", "a b", "A-B", "SRAM @ sysbus 0x0: {")
    regions = tuple(replace(r, name=name) for r, name in zip(board.regions, names, strict=True))
    platform = make_platform(replace(board, regions=regions))
    assert len(set(platform.memories.values())) == 6
    assert not {"cpu", "sysbus", platform.uart} & set(platform.memories.values())
    assert check(_entries(platform.repl)) == []


def test_a_board_without_a_uart_has_semihosting() -> None:
    platform = make_platform(replace(find_board("stm32f746"), uart=None))
    assert platform.uart is None
    found = peripherals(_entries(platform.repl))
    assert found[platform.semihosting].type == "UART.SemihostingUart"
    assert found[platform.semihosting].registrations[0].parent == "cpu"


def test_an_unknown_chip_has_what_its_core_implies() -> None:
    board = replace(find_board("nucleo_g071rb"), mcu="ACME1")
    assert _peripherals(board)["nvic"].properties["priorityMask"] == 0xC0
    assert any("clocks" in note for note in make_platform(board).notes)


def test_helium_is_left_out_for_renode() -> None:
    board = find_board("mps3_corstone300_an547")
    assert board.core.mve and not without_helium(board).core.mve
    assert without_helium(find_board("stm32f746")) == find_board("stm32f746")


def test_every_chip_of_a_board_is_of_a_known_family() -> None:
    assert [b.id for b in all_boards() if part_of(b) not in PARTS] == []


class Registers:
    """A stub's script, run as Renode runs it: once for the set-up, once for each access."""

    def __init__(self, name: str, stub: str) -> None:
        board = find_board(name)
        found = next(s for s in part_of(board).stubs if s.name == stub)
        written = _peripherals(board)[stub].properties["script"]
        assert written == "\n" + stub_script(found)
        self._code = compile(stub_script(found), stub, "exec")
        self._scope: dict[str, object] = {}
        self._run(IsInit=True)

    def _run(self, **request: object) -> SimpleNamespace:
        asked = {"IsInit": False, "IsWrite": False, "IsRead": False, "Offset": 0, "Value": 0, "Length": 4, **request}
        self._scope["request"] = answer = SimpleNamespace(**asked)
        exec(self._code, self._scope)
        return answer

    def read(self, offset: int, length: int = 4) -> int:
        return int(self._run(IsRead=True, Offset=offset, Length=length).Value)

    def write(self, offset: int, value: int, length: int = 4) -> None:
        self._run(IsWrite=True, Offset=offset, Value=value, Length=length)


# What start-up code switches on, and what it then waits for, from the families' reference manuals:
# board, stub, register, bits to set, register to watch, bits to come
WAITS = [
    ("nucleo_f103rb", "rcc", 0x00, 1 << 16, 0x00, 1 << 17),  # HSEON, HSERDY
    ("nucleo_f103rb", "rcc", 0x00, 1 << 24, 0x00, 1 << 25),  # PLLON, PLLRDY
    ("nucleo_f103rb", "rcc", 0x04, 2, 0x04, 2 << 2),  # CFGR SW, SWS: PLL
    ("nucleo_f030r8", "rcc", 0x34, 1, 0x34, 2),  # CR2 HSI14ON, HSI14RDY
    ("nucleo_f303re", "flash_registers", 0x00, 1 << 4, 0x00, 1 << 5),  # ACR PRFTBE, PRFTBS
    ("stm32f4_disco", "rcc", 0x00, 1 << 24, 0x00, 1 << 25),
    ("stm32f4_disco", "rcc", 0x08, 2, 0x08, 2 << 2),
    ("stm32f4_disco", "pwr", 0x00, 3 << 14, 0x04, 1 << 14),  # VOS, VOSRDY
    ("stm32f746g_disco", "pwr", 0x00, 1 << 16, 0x04, 1 << 16),  # ODEN, ODRDY
    ("stm32f746g_disco", "pwr", 0x00, 1 << 17, 0x04, 1 << 17),  # ODSWEN, ODSWRDY
    ("stm32f746g_disco", "pwr", 0x04, 1 << 9, 0x04, 1 << 3),  # BRE, BRR
    ("nucleo_l152re", "rcc", 0x00, 1 << 8, 0x00, 1 << 9),  # MSION, MSIRDY
    ("nucleo_l152re", "rcc", 0x34, 1 << 8, 0x34, 1 << 9),  # LSEON, LSERDY
    ("nucleo_g071rb", "rcc", 0x00, 1 << 8, 0x00, 1 << 10),  # HSION, HSIRDY
    ("nucleo_g071rb", "rcc", 0x08, 2, 0x08, 2 << 3),
    ("nucleo_c031c6", "rcc", 0x08, 1, 0x08, 1 << 3),
    ("nucleo_g474re", "rcc", 0x08, 3, 0x08, 3 << 2),
    ("nucleo_l4r5zi", "rcc", 0x00, 1, 0x00, 2),  # MSION, MSIRDY
    ("nucleo_l4r5zi", "rcc", 0x98, 1, 0x98, 2),  # HSI48ON, HSI48RDY
    ("nucleo_l4r5zi", "rcc", 0x94, 1, 0x94, 2),  # LSION, LSIRDY
    ("nucleo_l552ze_q", "rcc", 0x08, 3, 0x08, 3 << 2),
    ("nucleo_wb55rg", "rcc", 0x08, 0, 0x08, 1 << 16),  # HPREF: the prescaler is there
    ("nucleo_h743zi", "rcc", 0x00, 1, 0x00, 1 << 2),
    ("nucleo_h743zi", "rcc", 0x00, 1 << 24, 0x00, 1 << 25),
    ("nucleo_h743zi", "rcc", 0x10, 3, 0x10, 3 << 3),  # CFGR SW, SWS: PLL1
    ("nucleo_h743zi", "pwr", 0x18, 3 << 14, 0x18, 1 << 13),  # D3CR VOS, VOSRDY
    ("nucleo_h743zi", "pwr", 0x18, 3 << 14, 0x04, 1 << 13),  # CSR1 ACTVOSRDY
    ("nucleo_u575zi_q", "rcc", 0x1C, 3, 0x1C, 3 << 2),  # CFGR1 SW, SWS
    ("nucleo_u575zi_q", "rcc", 0x00, 1, 0x00, 1 << 2),  # MSISON, MSISRDY
    ("nucleo_u575zi_q", "pwr", 0x0C, 1 << 18, 0x0C, 1 << 14),  # BOOSTEN, BOOSTRDY
    ("nucleo_u575zi_q", "pwr", 0x08, 1 << 1, 0x3C, 1 << 1),  # REGSEL, REGS
    ("nrf52840dk", "clock", 0x000, 1, 0x100, 1),  # TASKS_HFCLKSTART, EVENTS_HFCLKSTARTED
]


@pytest.mark.parametrize(("name", "stub", "offset", "on", "watched", "ready"), WAITS)
def test_start_up_goes_on(name: str, stub: str, offset: int, on: int, watched: int, ready: int) -> None:
    registers = Registers(name, stub)
    registers.write(offset, registers.read(offset) | on)
    assert registers.read(watched) & ready == ready
    assert registers.read(offset) & on == on


@pytest.mark.parametrize(
    ("name", "offset", "on", "ready"), [("stm32f4_disco", 0, 1 << 24, 1 << 25), ("nucleo_l4r5zi", 0, 1 << 16, 1 << 17)]
)
def test_what_is_off_is_not_ready(name: str, offset: int, on: int, ready: int) -> None:
    """HAL waits for PLLRDY to go before it changes the PLL."""
    registers = Registers(name, "rcc")
    assert registers.read(offset) & ready == 0
    registers.write(offset, on)
    registers.write(offset, 0)
    assert registers.read(offset) & ready == 0


def test_bytes_and_halves_of_registers() -> None:
    registers = Registers("stm32f4_disco", "gpio")
    registers.write(0x18, 0x11223344)
    registers.write(0x19, 0xAA, length=1)
    registers.write(0x1A, 0xBBCC, length=2)
    assert registers.read(0x18) == 0xBBCCAA44
    assert (registers.read(0x1B, length=1), registers.read(0x18, length=2)) == (0xBB, 0xAA44)
