"""Modelled time and energy against hand calculation from the published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tinydeploy.boards import Board, Core, Region, RegionKind
from tinydeploy.cost import cost_table, estimate
from tinydeploy.cost.constants import PUBLISHED
from tinydeploy.errors import BoardError
from tinydeploy.ir.builder import NetworkBuilder

KIB = 1024


def _board(mcu: str, core: str, clock_hz: int, wait_states: int | None, ram_bytes: int, *, dsp: bool) -> Board:
    flash = Region("flash", RegionKind.FLASH, 0x0800_0000, 1024 * KIB, "code", "test")
    ram = Region("ram", RegionKind.RAM, 0x2000_0000, ram_bytes, "data", "test")
    return Board(
        id="test_board",
        name="Test board",
        mcu=mcu,
        core=Core(core, "none", dsp, False, "test"),
        clock_hz=clock_hz,
        clock_source="test",
        wait_states=wait_states,
        wait_states_source="data sheet",
        cache="",
        regions=(flash, ram),
        flash=flash,
        ram=ram,
        uart=None,
    )


L4R5 = _board("STM32L4R5ZI", "cortex-m4", 120_000_000, 5, 640 * KIB, dsp=True)
F746 = _board("STM32F746NG", "cortex-m7", 216_000_000, 7, 320 * KIB, dsp=True)
RT1062 = _board("i.MX RT1062", "cortex-m7", 600_000_000, None, 512 * KIB, dsp=True)

# One linear layer 1000 → 100: 100,000 MACs, 100,400 bytes from flash, 1,100 bytes of RAM.
_NET = NetworkBuilder("linear")
LINEAR = cost_table(_NET.build(_NET.linear(_NET.input((1, 1000)), 100)))


@pytest.mark.parametrize(
    ("core", "published"),
    # cycles per MAC of ad, ic, kws, vww, each rounded to three places: MLPerf Tiny's results tables
    [
        ("cortex-m0plus", (9.906, 7.79, 11.433, 12.083)),
        ("cortex-m85", (0.964, 0.326, 0.626, 0.858)),
    ],
)
def test_cycles_per_mac_are_the_geometric_mean(core: str, published: tuple[float, ...]) -> None:
    product = 1.0
    for value in published:
        product *= value
    assert PUBLISHED[core].cycles_per_mac == pytest.approx(product**0.25, rel=2e-3)


def test_times_by_hand() -> None:
    found = estimate(LINEAR, L4R5)
    # (2.1476 · 1.7183 · 2.7171 · 2.8920) ^ ¼ cycles for each MAC
    assert found.compute_seconds == pytest.approx(100_000 * 2.3205 / 120e6, rel=1e-3)
    # 8 bytes of flash in 6 cycles, 4 bytes of RAM in 1
    assert found.memory_seconds == pytest.approx((100_400 * 6 / 8 + 1_100 / 4) / 120e6)
    assert found.latency_seconds == found.compute_seconds
    assert found.throughput == pytest.approx(1 / found.compute_seconds)
    assert found.layers[0].bound == "compute"
    assert found.kind == "modelled"


def test_a_serial_flash_makes_a_linear_layer_wait_for_its_weights() -> None:
    found = estimate(LINEAR, RT1062)
    assert found.memory_seconds == pytest.approx((100_400 * 4 + 1_100 / 8) / 600e6)
    assert found.latency_seconds == found.memory_seconds > found.compute_seconds
    assert found.layers[0].bound == "memory"


def test_flash_at_half_the_cores_clock_is_read_half_as_fast() -> None:
    h743 = replace(F746, mcu="STM32H743ZI", wait_states=4)
    h7a3 = replace(F746, mcu="STM32H7A3ZI", wait_states=4)
    ram = 1_100 / 8
    assert estimate(LINEAR, h743).memory_seconds * 216e6 == pytest.approx(100_400 * 10 / 32 + ram)
    assert estimate(LINEAR, h7a3).memory_seconds * 216e6 == pytest.approx(100_400 * 5 / 16 + ram)


def test_no_wait_states_leave_the_bus() -> None:
    found = estimate(LINEAR, replace(L4R5, wait_states=0))
    assert found.memory_seconds * 120e6 == pytest.approx(100_400 / 4 + 1_100 / 4)


def test_energy_by_hand() -> None:
    energy = estimate(LINEAR, L4R5).energy
    pico = 1e-12
    assert energy.arithmetic_joule == pytest.approx(100_000 * 0.3 * pico)
    # 100 pJ for 64 bits of 1 MB: 640 KiB of RAM, and the flash
    assert energy.flash_joule == pytest.approx(100_400 * 12.5 * pico)
    assert energy.ram_joule == pytest.approx(1_100 * 12.5 * pico)
    assert energy.instructions_joule == pytest.approx(232_050 * 70 * pico, rel=1e-3)
    assert energy.total_joule == pytest.approx(
        energy.arithmetic_joule + energy.flash_joule + energy.ram_joule + energy.instructions_joule
    )


@pytest.mark.parametrize(("ram", "pico_a_byte"), [(8 * KIB, 1.25), (20 * KIB, 2.5), (128 * KIB, 12.5)])
def test_a_larger_ram_costs_more(ram: int, pico_a_byte: float) -> None:
    board = replace(L4R5, ram=replace(L4R5.ram, bytes=ram))
    assert estimate(LINEAR, board).energy.ram_joule == pytest.approx(1_100 * pico_a_byte * 1e-12)


def test_moving_from_outside_the_chip_costs_what_dram_costs() -> None:
    # 640 pJ for 32 bits
    assert estimate(LINEAR, RT1062).energy.flash_joule == pytest.approx(100_400 * 160e-12)


def test_a_core_without_published_results_is_scaled_and_says_so() -> None:
    found = estimate(LINEAR, replace(L4R5, core=replace(L4R5.core, name="cortex-m3", dsp=False)))
    figure = found.figures["cycles_per_mac"]
    assert figure.value == pytest.approx(10.161 * 2.46 / 3.32, rel=1e-3)
    assert "assumption" in figure.source
    slow = estimate(LINEAR, replace(L4R5, core=replace(L4R5.core, dsp=False)))
    assert slow.figures["cycles_per_mac"].value == figure.value


def test_an_unknown_core_is_refused_in_words() -> None:
    with pytest.raises(BoardError, match="test_board: no cycles per MAC are known for cortex-r5"):
        estimate(LINEAR, replace(L4R5, core=replace(L4R5.core, name="cortex-r5")))


def test_every_figure_has_a_unit_and_a_source() -> None:
    for board in (L4R5, F746, RT1062):
        found = estimate(LINEAR, board)
        assert all(figure.unit and len(figure.source) > 10 for figure in found.figures.values())
        assert len(found.sources) == len(found.figures)
        assert "order of magnitude" in " ".join(found.notes)


def test_layers_add_up() -> None:
    net = NetworkBuilder("two")
    x = net.conv2d(net.input((1, 16, 16, 3)), 8, 3)
    found = estimate(cost_table(net.build(net.linear(x, 10))), F746)
    assert sum(layer.compute_seconds for layer in found.layers) == pytest.approx(found.compute_seconds)
    assert sum(layer.memory_seconds for layer in found.layers) == pytest.approx(found.memory_seconds)
    assert sum(layer.energy_joule for layer in found.layers) == pytest.approx(found.energy.total_joule)
