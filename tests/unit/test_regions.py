"""Memories with holes between them: reserves, chosen regions, rooms, and where an arena lies, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.boards import Board, Core, Region, RegionKind, find_board
from tinydeploy.boards.board import joined
from tinydeploy.boards.reserve import read_regions, read_reserves, without
from tinydeploy.errors import PlanInvalidError, UsageError
from tinydeploy.ir import Model
from tinydeploy.pipeline import PlanOptions, load, plan_model
from tinydeploy.plan import Plan, make_plan
from tinydeploy.plan.regions import Memories, Room, Zone, whole
from tinydeploy.plan.types import Share
from tinydeploy.plan.validate.memories import check_shares


def memory(name: str, base: int, size: int, speed: int = 1, *, arena: bool = True) -> Region:
    return Region(name, RegionKind.RAM, base, size, "data", "by hand", arena=arena, speed=speed)


FLASH = Region("FLASH", RegionKind.FLASH, 0x0800_0000, 1 << 20, "code", "by hand", arena=False)
FAST = memory("FAST", 0x1000_0000, 1024)
MAIN = memory("MAIN", 0x2000_0000, 2048, 2)
MORE = memory("MORE", 0x2000_0800, 1024, 2)  # right behind MAIN
FAR = memory("FAR", 0x3000_0000, 1024, 3)
ODD = memory("ODD", 0x4000_0000, 1024, arena=False)


def board(*rams: Region, main: int = 1) -> Board:
    """`main`: how many of the RAMs make `Board.ram`."""
    core = Core("cortex-m7", "none", True, False, "by hand")
    return Board("made", "Made", "mcu", core, 1, "", None, "", "", (FLASH, *rams), FLASH, joined(rams[:main]), None)


HERE = board(MAIN, MORE, FAST, FAR, ODD, main=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main=1024", {"MAIN": 1024}),
        ("Main=1K", {"MAIN": 1024}),
        ("FAR=1k", {"FAR": 1024}),
        (" far = 32 ", {"FAR": 32}),
        ("odd=0", {"ODD": 0}),
        ("main=1.5 KiB", {"MAIN": 1536}),
    ],
)
def test_reserves_are_read(text: str, expected: dict[str, int]) -> None:
    assert read_reserves(HERE, [text]) == expected


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["main"], "is not REGION=BYTES"),
        (["main="], "is not REGION=BYTES"),
        (["main=-1"], "is not REGION=BYTES"),
        (["main=1.3K"], "is not REGION=BYTES"),
        (["main=1KB"], "is not REGION=BYTES"),
        (["main=1G"], "only 2,048 bytes"),
        (["main=\u0661"], "is not REGION=BYTES"),
        (["main=9999999999999999"], "is not REGION=BYTES"),
        (["main=2049"], "MAIN of made has only 2,048 bytes"),
        (["main=1M"], "only 2,048 bytes"),
        (["flash=1K"], "FLASH of made is flash, not RAM"),
        (["mian=1K"], "has no region 'mian'"),
        (["main=1", "MAIN=1"], "names MAIN twice"),
    ],
)
def test_bad_reserves_are_refused(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read_reserves(HERE, texts)
    assert "\n" not in caught.value.message


def test_an_unknown_region_says_which_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        read_regions(HERE, "fats,main")
    assert caught.value.hint == (
        "did you mean fast? it has main (2.0 KiB), more (1.0 KiB), fast (1.0 KiB), far (1.0 KiB)"
    )
    with pytest.raises(UsageError, match="ODD of made cannot hold tensors"):
        read_regions(HERE, "odd")
    with pytest.raises(UsageError, match="has no region ''"):
        read_regions(HERE, "main,")
    assert read_regions(HERE, "FAR, main,far") == ("FAR", "MAIN")
    assert read_regions(HERE, None) == ("MAIN", "MORE", "FAST", "FAR")


def spans(made: Board) -> dict[str, tuple[int, int]]:
    return {r.name: (r.base, r.end) for r in made.regions if r.kind is RegionKind.RAM}


def test_what_is_reserved_leaves_the_rest_in_one_piece() -> None:
    first = without(HERE, {"MAIN": 100})  # begins a piece of memory: from its start, 128 bytes
    assert spans(first)["MAIN"] == (0x2000_0080, 0x2000_0800)
    assert (first.ram.name, first.ram.base, first.ram.end) == ("MAIN+MORE", 0x2000_0080, 0x2000_0C00)
    last = without(HERE, {"MORE": 1024, "FAST": 1000})
    assert "MORE" not in spans(last)
    assert "FAST" not in spans(last)  # 1,000 bytes are 1,024
    assert last.ram.name == "MAIN"
    assert without(HERE, {"MAIN": 2048}).ram.name == "MORE"
    with pytest.raises(UsageError, match=r"nothing of MAIN\+MORE is left"):
        without(HERE, {"MAIN": 2048, "MORE": 1024})
    assert without(HERE, {"MAIN": 0}) is HERE


def test_a_reserve_in_the_middle_splits_the_ram() -> None:
    f746 = find_board("stm32f746")
    left = without(f746, {"SRAM1": 1024})
    assert left.ram.name == "DTCM+SRAM1"
    assert left.ram.end == 0x2004_C000 - 1024


def test_rooms_are_what_stack_and_static_data_leave() -> None:
    rooms = Memories(HERE, HERE, read_regions(HERE, None)).rooms(stack_bytes=100, static_bytes=20)
    assert [(r.name, r.base, r.bytes) for r in rooms] == [
        ("FAST", 0x1000_0000, 1024),
        ("MAIN+MORE", 0x2000_0020, 3072 - 32 - 112),  # 20 up to 32; 100 up to 104 for the stack, to a multiple of 16
        ("FAR", 0x3000_0000, 1024),
    ]
    uses = Memories(HERE, without(HERE, {"FAR": 64}), ("MAIN",)).uses(example(), 100, 20)
    assert [(u.name, u.usable, u.reserved_bytes, u.stack_bytes, u.static_bytes, u.free_bytes) for u in uses] == [
        ("MAIN", True, 0, 0, 20, 2028),
        ("MORE", False, 0, 104, 0, 920),
        ("FAST", False, 0, 0, 0, 1024),
        ("FAR", False, 64, 0, 0, 960),
    ]


def test_the_fastest_region_that_holds_the_arena() -> None:
    rooms = Memories(HERE, HERE, read_regions(HERE, None)).rooms(stack_bytes=0, static_bytes=0)
    assert whole(rooms, 1024) == Share("FAST", 0x1000_0000, 0, 1024)
    assert whole(rooms, 1040) == Share("MAIN", 0x2000_0000, 0, 1040)
    assert whole(rooms, 2064) is None
    even = board(replace(MAIN, speed=1), FAST)
    rooms = Memories(even, even, ("FAST", "MAIN")).rooms(stack_bytes=0, static_bytes=0)
    assert whole(rooms, 16) == Share("MAIN", 0x2000_0000, 0, 16)  # as fast, and the stack is there


def room(name: str, base: int, size: int, speed: int) -> Room:
    return Room((Zone(name, base, size, speed, False),))


def example(rooms: tuple[Room, ...] = ()) -> Plan:
    """300 → 600 → 600 (in place) → 300 elements: 304 + 608 = 912 bytes at once."""
    return make_plan(example_model(), solver="builtin", memory_of=memory_of, rooms=rooms)


def example_model() -> Model:
    net = Net()
    x = net.input(1, 10, 10, 3)
    a = net.op("CONV_2D", [x], 1, 10, 10, 6)
    b = net.op("RELU", [a], 1, 10, 10, 6)
    return net.model(net.op("CONV_2D", [b], 1, 10, 10, 3))


def test_the_busiest_tensors_are_in_the_fastest_memory() -> None:
    assert example().arena_bytes == 912
    plan = example((room("FAST", 0x1000_0000, 640, 1), room("FAR", 0x3000_0000, 320, 2)))
    # the tensor of 600 is written, read, written and read; those of 300 are read or written once
    assert plan.shares == (Share("FAST", 0x1000_0000, 0, 608), Share("FAR", 0x3000_0000, 608, 304))
    assert [plan.placements[t].offset for t in range(4)] == [608, 0, 0, 608]
    assert plan.distance(0) == 0
    assert plan.distance(608) == 0x2000_0000
    turned = example((room("FAST", 0x3000_0000, 640, 1), room("FAR", 0x1000_0000, 320, 2)))
    assert turned.base.region == "FAR"
    assert (turned.distance(0), turned.distance(608)) == (0x2000_0000, 0)


def test_where_it_cannot_be_spread_there_are_no_shares() -> None:
    plan = example((room("FAST", 0x1000_0000, 592, 1), room("FAR", 0x3000_0000, 592, 2)))
    assert plan.shares == ()
    assert plan.arena_bytes == 912


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ((Share("FAST", 0x1000_0000, 0, 608), Share("FAR", 0x3000_0000, 608, 288)), "are 896 bytes of 912"),
        ((Share("FAST", 0x1000_0000, 0, 304), Share("FAR", 0x3000_0000, 304, 608)), "lies across a hole"),
        ((Share("FAST", 0x1000_0000, 0, 608), Share("FAST", 0x1000_0200, 608, 304)), "overlap"),
        ((Share("ODD", 0x4000_0000, 0, 912),), "no tensor may lie"),
        ((Share("MAIN+MORE", 0x2000_0000, 0, 912),), "overlaps static data"),
        ((Share("MAIN+MORE", 0x2000_0800, 0, 1024),), "overlaps the stack"),
        ((Share("FAST", 0x1000_0100, 0, 912),), "no tensor may lie"),
        ((Share("MAIN", 0x2000_0500, 0, 912),), "in MORE, not in MAIN"),
        ((Share("FAR", 0x3000_0000, 0, 912),), "is reserved"),
        ((Share("FAST", 0x1000_0004, 0, 912),), "not aligned"),
        ((Share("FAST", 0x1000_0000, 16, 912),), "begins at 16"),
    ],
)
def test_the_check_of_shares_knows_better(shares: tuple[Share, ...], says: str) -> None:
    spread = example((room("FAST", 0x1000_0000, 640, 1), room("FAR", 0x3000_0000, 320, 2)))
    model = example_model()
    check_shares(model, spread, HERE, HERE, stack_bytes=64, static_bytes=16)
    left = without(HERE, {"FAR": 512}) if "reserved" in says else HERE
    with pytest.raises(PlanInvalidError, match=says):
        check_shares(model, replace(spread, shares=shares), HERE, left, stack_bytes=64, static_bytes=16)


def test_a_model_that_fits_no_memory_says_which_is_too_small() -> None:
    options = PlanOptions(execution="whole", regions="dtcm,sram2", reserve=("dtcm=30K",))
    planned = plan_model(load("vww"), find_board("stm32f746"), options)
    assert not planned.fit.fits
    assert planned.fit.sram.over_bytes == 55_296 - 34 * 1024 - 16 * 1024 + 1024  # the stack is in SRAM2
    changed = replace(options, regions="sram3,dtcm", reserve=("dtcm=93K",))
    roomy = plan_model(load("vww"), find_board("stm32h743"), changed)
    assert roomy.fit.sram.over_bytes == 0
    assert roomy.fit.why_not() == (
        "DTCM, the largest piece, is 19,456 bytes too small: 55,296 needed (arena 55,296), 35,840 there"
    )
