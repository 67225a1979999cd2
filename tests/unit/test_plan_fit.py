"""Does it fit, by how many bytes not, and who is to blame: by hand calculation."""

from __future__ import annotations

from tests.support.plan_nets import Net, memory_of
from tinydeploy.boards import Board, Core, Region, RegionKind
from tinydeploy.ir import Model
from tinydeploy.plan import Fit, Memory, Plan, Shrink, fit, make_plan


def board(ram_bytes: int, flash_bytes: int) -> Board:
    flash = Region("flash", RegionKind.FLASH, 0x0800_0000, flash_bytes, "code", "by hand")
    ram = Region("sram", RegionKind.RAM, 0x2000_0000, ram_bytes, "data", "by hand")
    core = Core("cortex-m4", "fpv4-sp-d16", True, False, "by hand")
    return Board("tiny", "Tiny", "mcu", core, 1, "", None, "", "", (flash, ram), flash, ram, None)


def example() -> tuple[Model, Plan]:
    """Live bytes by step: 304 + 608 = 912; 608 + 128 (scratch) + 304 = 1,040; 304; 304 + 16 = 320."""
    net = Net()
    x = net.input(1, 10, 10, 3)  # 300, aligned 304
    a = net.op("CONV_2D", [x], 1, 10, 10, 6)  # 600, aligned 608
    b = net.op("DEPTHWISE_CONV_2D", [a], 1, 10, 10, 3)  # scratch 1 + (2,100 + 13) % 200 = 114, aligned 128
    c = net.op("RESHAPE", [b], 300)
    d = net.op("FULLY_CONNECTED", [c], 10)
    model = net.model(d)
    return model, make_plan(model, solver="builtin", memory_of=memory_of)


def fit_on(ram_bytes: int, flash_bytes: int) -> Fit:
    model, plan = example()
    return fit(
        model,
        plan,
        board(ram_bytes, flash_bytes),
        weights_bytes=5000,
        code_bytes=3000,
        static_bytes=100,
        stack_bytes=400,
    )


def test_totals_and_kinds() -> None:
    exact = fit_on(1040 + 500, 8000)
    assert exact.sram == Memory("SRAM", 1540, 1540, "estimated")
    assert exact.flash == Memory("flash", 8000, 8000, "estimated")
    assert [(p.name, p.bytes, p.kind) for p in exact.sram_parts] == [
        ("arena", 1040, "computed"), ("stack", 400, "estimated"), ("static", 100, "estimated"),
    ]  # fmt: skip
    assert exact.fits
    assert exact.why_not() == ""
    assert exact.shrinks == ()


def test_one_byte_too_small_says_so() -> None:
    small = fit_on(1539, 7999)
    assert not small.fits
    assert (small.sram.over_bytes, small.flash.over_bytes) == (1, 1)
    assert small.why_not() == (
        "SRAM is 1 bytes too small: 1,540 needed (arena 1,040 + stack 400 + static 100), 1,539 there; "
        "flash is 1 bytes too small: 8,000 needed (weights 5,000 + code 3,000), 7,999 there"
    )


def test_blame_names_the_step_and_what_is_alive_largest_first() -> None:
    peak = fit_on(1539, 8000).blame
    assert (peak.step, peak.operator, peak.layer, peak.live_bytes) == (1, 1, "t2", 608 + 304 + 128)
    assert [(a.name, a.bytes, a.tensor) for a in peak.alive] == [
        ("t1", 608, 1), ("t2", 304, 2), ("scratch of operator 1 (DEPTHWISE_CONV_2D)", 128, None),
    ]  # fmt: skip


def test_what_would_have_to_shrink() -> None:
    # 400 B are left for the arena: steps 0 and 1 are too large, the others are not
    assert fit_on(900, 8000).shrinks == (Shrink(0, 912 - 400, (1, 0)), Shrink(1, 1040 - 400, (1, 2), 128))


def test_no_room_at_all_is_not_negative_room() -> None:
    none = fit_on(300, 8000)
    assert none.arena_free_bytes == 0
    assert none.sram.over_bytes == 1540 - 300
    assert [s.over_bytes for s in none.shrinks] == [912, 1040, 304, 320]


def test_kinds_that_are_known_better() -> None:
    model, plan = example()
    built = fit(
        model, plan, board(2000, 9000), weights_bytes=1, code_bytes=1, static_bytes=1, stack_bytes=1,
        kinds={"code": "computed", "static": "computed", "stack": "emulated"},
    )  # fmt: skip
    assert (built.sram.kind, built.flash.kind) == ("emulated", "computed")
    given = fit(
        model, plan, board(2000, 9000), weights_bytes=1, code_bytes=1, static_bytes=1, stack_bytes=1,
        kinds={"stack": "given", "static": "computed"},
    )  # fmt: skip
    assert given.sram.kind == "given"
