"""The memories of a board that an arena may use: which bytes are free, in which of them an arena lies whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinydeploy.operators.base import rows_of
from tinydeploy.plan.types import ALIGNMENT, Plan, Share
from tinydeploy.units import align_up

if TYPE_CHECKING:
    from tinydeploy.boards import Board, Region
    from tinydeploy.ir import Model

_STACK_ALIGNMENT = 8  # of the stack pointer, by the procedure call standard for Arm


@dataclass(frozen=True)
class Zone:
    """Free bytes of one region. `speed` is the region's; `home`: stack and static data are in the same memory."""

    region: str
    base: int
    bytes: int
    speed: int
    home: bool

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.bytes


@dataclass(frozen=True)
class Room:
    """Zones that lie one behind the other: free memory without a hole."""

    zones: tuple[Zone, ...]

    @property
    def base(self) -> int:
        """Its first address."""
        return self.zones[0].base

    @property
    def bytes(self) -> int:
        """Of all zones."""
        return sum(zone.bytes for zone in self.zones)

    @property
    def name(self) -> str:
        """The regions' names, joined by `+`."""
        return "+".join(zone.region for zone in self.zones)

    def first(self, size: int) -> Room:
        """Its first `size` bytes."""
        found: list[Zone] = []
        for zone in self.zones:
            taken = min(zone.bytes, size - sum(z.bytes for z in found))
            if taken > 0:
                found.append(replace(zone, bytes=taken))
        return Room(tuple(found))

    def cost(self, offset: int, size: int) -> float:
        """Mean of the speeds of `[offset, offset + size)`."""
        total, at = 0, 0
        for zone in self.zones:
            total += zone.speed * max(0, min(offset + size, at + zone.bytes) - max(offset, at))
            at += zone.bytes
        return total / size


def free_rooms(board: Board, regions: Collection[str], *, stack_bytes: int, static_bytes: int) -> tuple[Room, ...]:
    """What an arena may use of the regions with these names, the fastest rooms first.

    `board` is without what is reserved. Static data are the first bytes of its RAM, the stack is the last.
    """
    spans = fixed_spans(board, stack_bytes=stack_bytes, static_bytes=static_bytes)
    zones: list[Zone] = []
    for region in sorted(board.regions, key=lambda r: r.base):
        if not region.arena or region.name not in regions:
            continue
        home = board.ram.base <= region.base < board.ram.end
        for low, high in _less(region, spans.values()):
            base, end = align_up(low, ALIGNMENT), high // ALIGNMENT * ALIGNMENT
            if base < end:
                zones.append(Zone(region.name, base, end - base, region.speed, home))
    rooms: list[list[Zone]] = []
    for zone in zones:
        if rooms and rooms[-1][-1].end == zone.base:
            rooms[-1].append(zone)
        else:
            rooms.append([zone])
    found = [Room(tuple(zones)) for zones in rooms]
    return tuple(sorted(found, key=lambda room: (min(z.speed for z in room.zones), not room.zones[0].home, room.base)))


def fixed_spans(board: Board, *, stack_bytes: int, static_bytes: int) -> dict[str, tuple[int, int]]:
    """Where the linker puts static data and stack: `[first address, end)` by name."""
    ram = board.ram
    top = ram.end // _STACK_ALIGNMENT * _STACK_ALIGNMENT
    limit = max(ram.base, top - align_up(stack_bytes, _STACK_ALIGNMENT))
    return {"static": (ram.base, min(ram.base + static_bytes, ram.end)), "stack": (limit, ram.end)}


def _less(region: Region, taken: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a region."""
    left = [(region.base, region.end)]
    for low, high in taken:
        parts = [part for a, b in left for part in ((a, min(b, low)), (max(a, high), b))] if low < high else left
        left = [(a, b) for a, b in parts if a < b]
    return left


def whole(rooms: Sequence[Room], arena_bytes: int) -> Share | None:
    """The fastest single region that holds an arena; of equally fast ones where stack and static data are, too."""
    zones = [zone for room in rooms for zone in room.zones if zone.bytes >= arena_bytes]
    if not zones:
        return None
    best = min(zones, key=lambda zone: (zone.speed, not zone.home, zone.base))
    return Share(best.region, best.base, 0, arena_bytes)


def settled(model: Model, plan: Plan, rooms: Sequence[Room]) -> Plan:
    """The plan with the regions that each tensor lies in; it must have shares."""
    zones = sorted((zone for room in rooms for zone in room.zones), key=lambda zone: zone.base)

    def region_of(offset: int, size: int) -> str:
        first = plan.base.address + plan.distance(offset)
        return "+".join(zone.region for zone in zones if zone.base < first + size and first < zone.end)

    placements = {}
    for index, place in plan.placements.items():
        _, row_bytes = rows_of(model.tensors[index])
        last = max(place.row_offsets) if place.row_offsets else place.offset + (place.ring_rows - 1) * row_bytes
        placements[index] = replace(place, region=region_of(place.offset, last + row_bytes - place.offset))
    return replace(plan, placements=placements)


@dataclass(frozen=True)
class RegionUse:
    """What is made of one region of a board, in bytes. `usable`: the arena may lie there."""

    name: str
    base: int
    bytes: int
    speed: int
    usable: bool
    reserved_bytes: int
    arena_bytes: int
    stack_bytes: int
    static_bytes: int

    @property
    def used_bytes(self) -> int:
        """Arena, stack and static data."""
        return self.arena_bytes + self.stack_bytes + self.static_bytes

    @property
    def free_bytes(self) -> int:
        """What nobody has asked for."""
        return self.bytes - self.reserved_bytes - self.used_bytes


@dataclass(frozen=True)
class Memories:
    """A board's memories as a user lets them be used: `left` is the board without what is reserved, `regions` are
    those that the arena may lie in."""

    board: Board
    left: Board
    regions: tuple[str, ...]

    def rooms(self, stack_bytes: int, static_bytes: int) -> tuple[Room, ...]:
        """What the arena may use, the fastest rooms first."""
        return free_rooms(self.left, self.regions, stack_bytes=stack_bytes, static_bytes=static_bytes)

    def uses(self, plan: Plan, stack_bytes: int, static_bytes: int) -> tuple[RegionUse, ...]:
        """What is made of each region that can hold an arena."""
        spans = fixed_spans(self.left, stack_bytes=stack_bytes, static_bytes=static_bytes)
        remaining = {region.name: region.bytes for region in self.left.regions}

        def inside(region: Region, low: int, high: int) -> int:
            return max(0, min(region.end, high) - max(region.base, low))

        return tuple(
            RegionUse(
                name=region.name,
                base=region.base,
                bytes=region.bytes,
                speed=region.speed,
                usable=region.name in self.regions,
                reserved_bytes=region.bytes - remaining.get(region.name, 0),
                arena_bytes=sum(inside(region, s.address, s.address + s.bytes) for s in plan.shares),
                stack_bytes=inside(region, *spans["stack"]),
                static_bytes=inside(region, *spans["static"]),
            )
            for region in self.board.regions
            if region.arena
        )
