"""Bodies placed in memories with holes: they straddle none, touch nobody's bytes, and fit where there is room."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.plan.bodies import Arrangement, Body, Box, arrange
from tinydeploy.plan.regions import Room, Zone
from tinydeploy.plan.spread import spread


@st.composite
def body_lists(draw: st.DrawFn) -> list[Body]:
    bodies = []
    for number in range(draw(st.integers(1, 12))):
        boxes, offset = [], 0
        for _ in range(draw(st.integers(1, 3))):
            size, first = 4 * draw(st.integers(1, 30)), draw(st.integers(0, 9))
            boxes.append(Box(offset, size, first, draw(st.integers(first + 1, 10))))
            offset += size
        bodies.append(Body((number,), tuple(boxes)))
    return bodies


@st.composite
def room_lists(draw: st.DrawFn) -> list[Room]:
    rooms, base = [], 0x1000_0000
    for _ in range(draw(st.integers(1, 4))):
        zones = []
        for _ in range(draw(st.integers(1, 2))):
            size = 16 * draw(st.integers(1, 40))
            zones.append(Zone(f"R{base:x}", base, size, draw(st.integers(1, 3)), False))
            base += size
        rooms.append(Room(tuple(zones)))
        base += 0x100_0000
    return rooms


@settings(max_examples=150, deadline=None)
@given(body_lists(), room_lists(), st.booleans(), st.data())
def test_bodies_straddle_no_hole(bodies: list[Body], rooms: list[Room], tied: bool, data: st.DataObject) -> None:
    packed = arrange(bodies, 0, effort=2000)
    busy = data.draw(st.lists(st.integers(0, 999), min_size=len(bodies), max_size=len(bodies)))
    together = [i % 2 if i < 4 else None for i in range(len(bodies))] if tied else None
    found = spread(bodies, busy, packed, rooms, together, effort=20_000)
    if any(room.bytes >= packed.bytes for room in rooms):
        assert found.bytes <= packed.bytes  # one memory is enough, and no more of it is used
        assert len(found.shares) == 1
    if not found.shares:
        return
    by_base = {room.base: room for room in rooms}
    at = 0
    for share in found.shares:
        assert at <= share.offset < at + 16
        assert share.bytes <= by_base[share.address].bytes
        at = share.offset + share.bytes
    addresses = []
    homes = []
    for body, offset in zip(bodies, found.offsets, strict=True):
        (home,) = [s for s in found.shares if s.offset <= offset and offset + body.bytes <= s.offset + s.bytes]
        homes.append(home)
        addresses.append(home.address + offset - home.offset)
    for (a, one), (b, other) in combinations(zip(addresses, bodies, strict=True), 2):
        for x in one.boxes:
            for y in other.boxes:
                apart = a + x.offset + x.bytes <= b + y.offset or b + y.offset + y.bytes <= a + x.offset
                assert apart or x.end <= y.first or y.end <= x.first
    if together is not None:
        for group in (0, 1):
            assert len({home for home, g in zip(homes, together, strict=True) if g == group}) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_what_has_a_room_of_its_own_is_placed(sizes: list[int]) -> None:
    """All alive at once, a room of exactly its size for each: first fit alone would not find that."""
    bodies = [Body((i,), (Box(0, 16 * size, 0, 1),)) for i, size in enumerate(sizes)]
    rooms = [
        Room((Zone(f"R{i}", 0x1000_0000 * (i + 1), 16 * size, 1, False),)) for i, size in enumerate(reversed(sizes))
    ]
    offsets = [16 * sum(sizes[:i]) for i in range(len(sizes))]
    found = spread(bodies, [1] * len(bodies), Arrangement(tuple(offsets), 16 * sum(sizes)), rooms)
    assert found.bytes == 16 * sum(sizes)
