"""The check of where an arena is on a board: only bytes that are there, and nothing lies across a hole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from tinydeploy.ir import Model
from tinydeploy.plan.types import Plan
from tinydeploy.plan.validate.places import Place, cut
from tinydeploy.plan.validate.refusal import Refusal

if TYPE_CHECKING:
    from tinydeploy.boards import Board


def check_shares(
    model: Model, plan: Plan, board: Board, left: Board, *, stack_bytes: int = 0, static_bytes: int = 0
) -> None:
    """Return if the plan's shares are its whole arena, each byte of them in memory that may hold tensors and that
    nobody else has, and every row, every ring and every scratch lies in one of them.

    `left`: the board without what is reserved, with static data at the start of its RAM and the stack at the end.
    Raises `PlanInvalidError`.
    """
    refusal = Refusal(model)
    at = 0
    for share in plan.shares:
        if share.offset < at or share.offset - at >= plan.alignment or share.bytes <= 0:
            refusal.because(f"the arena's share in {share.region} begins at {share.offset}, not at {at}")
        at = share.offset + share.bytes
        if share.address % plan.alignment:
            refusal.because(f"the arena's share in {share.region} is not aligned to {plan.alignment} bytes")
    if at < plan.arena_bytes:
        refusal.because(f"the arena's shares are {at} bytes of {plan.arena_bytes}")
    _check_apart(plan, refusal)
    _check_memory(plan, board, left, stack_bytes, static_bytes, refusal)
    if len(plan.shares) > 1:
        for what, first, end in _pieces(model, plan, refusal):
            if not any(s.offset <= first and end <= s.offset + s.bytes for s in plan.shares):
                refusal.because(f"{what} at [{first}, {end}) of the arena lies across a hole between memories")


def _check_apart(plan: Plan, refusal: Refusal) -> None:
    shares = sorted(plan.shares, key=lambda s: s.address)
    for low, high in pairwise(shares):
        if low.address + low.bytes > high.address:
            refusal.because(f"the arena's shares in {low.region} and {high.region} overlap")


def _check_memory(plan: Plan, board: Board, left: Board, stack: int, static: int, refusal: Refusal) -> None:
    """Byte by byte would be the same: each region that a share goes through, from its first address to its last."""
    taken = [(left.ram.base, left.ram.base + static, "static data"), (left.ram.end - stack, left.ram.end, "the stack")]
    for share in plan.shares:
        at, end = share.address, share.address + share.bytes
        for low, high, what in taken:
            if at < high and low < end:
                refusal.because(f"the arena's share in {share.region} overlaps {what}")
        while at < end:
            region, free = board.region_at(at), left.region_at(at)
            if region is None or not region.arena:
                refusal.because(f"the arena's share in {share.region} holds {at:#x}, where no tensor may lie")
            if free is None or free.name != region.name:
                refusal.because(f"the arena's share in {share.region} holds {at:#x}, which is reserved")
            if region.name not in share.region.split("+"):
                refusal.because(f"{at:#x} is in {region.name}, not in {share.region}")
            at = free.end


def _pieces(model: Model, plan: Plan, refusal: Refusal) -> Iterator[tuple[str, int, int]]:
    """What must lie in one piece, as `[first, end)` of the arena: also rows that lie apart, since 16 bits say where."""
    for index, placement in plan.placements.items():
        rows, row_bytes = cut(model.tensors[index])
        place = Place(placement, rows, row_bytes)
        if placement.row_offsets:
            offsets = [place.at(row) for row in range(rows)]
            yield f"{refusal.named(index)} with its rows", min(offsets), max(offsets) + row_bytes
        else:
            yield refusal.named(index), placement.offset, placement.offset + placement.ring_rows * row_bytes
    for operator, offset in plan.scratch_offsets.items():
        size = next(b.bytes for b in plan.problem.buffers if b.scratch_of == operator)
        yield f"the scratch of operator {operator}", offset, offset + size
