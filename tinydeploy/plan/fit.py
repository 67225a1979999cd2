"""Does a plan fit a board, by how many bytes not, and which tensors are to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.plan.regions import RegionUse, Room
from tinydeploy.plan.types import Memory, Plan, Shrink

if TYPE_CHECKING:
    from tinydeploy.boards import Board

# How each figure was got, unless the caller knows better: a built image makes code and static data exact.
KINDS: Mapping[str, str] = {
    "arena": "computed",
    "stack": "estimated",
    "static": "estimated",
    "weights": "computed",
    "code": "estimated",
}
_WEAKEST_FIRST = ("unknown", "estimated", "modelled", "given", "measured", "emulated", "computed")


@dataclass(frozen=True)
class Part:
    """One share of a memory: `arena`, `stack` and `static` of SRAM, `weights` and `code` of flash.

    A share of the kind `unknown` counts as 0 bytes.
    """

    name: str
    bytes: int
    kind: str


@dataclass(frozen=True)
class Alive:
    """A tensor, or an operator's scratch (`tensor` is None), alive at the peak. Tensors in one buffer count once."""

    name: str
    bytes: int
    tensor: int | None
    shares: tuple[int, ...] = ()


@dataclass(frozen=True)
class Blame:
    """The peak: the step, its operator's index, what a person calls it, and all that is alive then, largest first."""

    step: int
    operator: int
    layer: str
    live_bytes: int
    alive: tuple[Alive, ...]


@dataclass(frozen=True)
class Fit:
    """A plan against a board. `sram` and `flash` are the totals, `parts` what they are made of.

    `arena_free_bytes`: what stack and static data leave for the arena (0 or more). `shrinks`: every step at which
    more is alive than that, in order; when it is empty although the arena is too large, the placement is to blame,
    which wastes `fragmentation_bytes`. `regions`: what is made of each memory that can hold an arena, where that was
    asked. `crowded`: the largest piece of memory, where no piece holds the arena and it could not be spread over all.
    """

    board: str
    sram: Memory
    flash: Memory
    sram_parts: tuple[Part, ...]
    flash_parts: tuple[Part, ...]
    arena_free_bytes: int
    fragmentation_bytes: int
    blame: Blame
    shrinks: tuple[Shrink, ...]
    regions: tuple[RegionUse, ...] = ()
    crowded: Memory | None = None

    @property
    def fits(self) -> bool:
        """Whether both memories are large enough."""
        return not (self.sram.over_bytes or self.flash.over_bytes or self.crowded)

    def why_not(self) -> str:
        """One line that says by how many bytes it does not fit; empty when it does."""
        memories = [(self.sram, self.sram_parts), (self.flash, self.flash_parts)]
        if self.crowded is not None and not self.sram.over_bytes:
            memories.insert(0, (self.crowded, self.sram_parts[:1]))
        return why_not(*memories)


def why_not(*memories: tuple[Memory, tuple[Part, ...]]) -> str:
    """One line that says of each memory by how many bytes it is too small; empty when none is."""
    told = []
    for memory, parts in memories:
        if memory.over_bytes:
            made_of = " + ".join(
                f"{part.name} {f'{part.bytes:,}' if part.kind != 'unknown' else 'not known'}" for part in parts
            )
            told.append(
                f"{memory.name} is {memory.over_bytes:,} bytes too small: {memory.used_bytes:,} needed "
                f"({made_of}), {memory.capacity_bytes:,} there"
            )
    return "; ".join(told)


def fit(
    model: Model,
    plan: Plan,
    board: Board,
    *,
    weights_bytes: int,
    code_bytes: int,
    static_bytes: int,
    stack_bytes: int,
    kinds: Mapping[str, str] = KINDS,
    rooms: Sequence[Room] | None = None,
    regions: tuple[RegionUse, ...] = (),
) -> Fit:
    """Compare arena + stack + static data with the board's RAM, and weights + code with its flash.

    `board` is without what is reserved. `rooms`: the memories that the arena may use, where the plan's shares say
    whether it fits; without them it may use what stack and static data leave of `Board.ram`.

    `kinds` says by part name (as in `KINDS`, which fills what is left out) how a figure was got; a total is of its
    weakest part's kind.
    """
    kinds = {**KINDS, **kinds}
    sram_parts = _parts(kinds, arena=plan.arena_bytes, stack=stack_bytes, static=static_bytes)
    flash_parts = _parts(kinds, weights=weights_bytes, code=code_bytes)
    capacity, free = board.ram.bytes, max(0, board.ram.bytes - stack_bytes - static_bytes)
    crowded = None
    if rooms is not None:
        free = sum(room.bytes for room in rooms)
        capacity = sum(r.bytes - r.reserved_bytes if r.usable else r.stack_bytes + r.static_bytes for r in regions)
        if not plan.shares:
            name, there = max(((room.name, room.bytes) for room in rooms), key=lambda r: r[1], default=("memory", 0))
            crowded = Memory(f"{name}, the largest piece,", plan.arena_bytes, there, kinds["arena"])
    shrinks = tuple(_shrink(plan, step, live - free) for step, live in enumerate(plan.live_bytes) if live > free)
    return Fit(
        board=board.id,
        sram=total("SRAM", sram_parts, capacity),
        flash=total("flash", flash_parts, board.flash.bytes),
        sram_parts=sram_parts,
        flash_parts=flash_parts,
        arena_free_bytes=free,
        fragmentation_bytes=plan.arena_bytes - plan.proof.lower_bound_bytes,
        blame=blame(model, plan),
        shrinks=shrinks,
        regions=regions,
        crowded=crowded,
    )


def blame(model: Model, plan: Plan) -> Blame:
    """Who is to blame for the peak. Tensors that share a buffer are one entry, under the largest one's name."""
    step = plan.peak.step
    op = model.operators[plan.problem.steps[step].operator]
    alive = []
    for number in plan.peak.buffers:
        buffer = plan.problem.buffers[number]
        if buffer.scratch_of is not None:
            alive.append(Alive(f"scratch of {model.operators[buffer.scratch_of]}", buffer.aligned_bytes, None))
            continue
        sharing = _largest_first(model, plan, step, buffer.tensors)
        size = next(size for first, end, size in buffer.pieces if first <= step < end)
        alive.append(Alive(printable(model.tensors[sharing[0]].name), size, sharing[0], sharing[1:]))
    return Blame(step, op.index, printable(model.layer_name(op)), plan.peak.live_bytes, tuple(alive))


def _shrink(plan: Plan, step: int, over_bytes: int) -> Shrink:
    sizes: list[tuple[int, int]] = []
    scratch = 0
    for buffer in plan.problem.buffers:
        size = next((size for first, end, size in buffer.pieces if first <= step < end), 0)
        if not size:
            continue
        if buffer.scratch_of is not None:
            scratch += size
            continue
        ranges = plan.problem.tensor_ranges
        sizes += [(-size, t) for t in buffer.tensors if ranges[t][0] <= step < ranges[t][1]]
    return Shrink(step, over_bytes, tuple(t for _, t in sorted(sizes)), scratch)


def _largest_first(model: Model, plan: Plan, step: int, tensors: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the tensors that are alive at the step; of a buffer that waits for its next tensor, all."""
    ranges = plan.problem.tensor_ranges
    alive = [t for t in tensors if ranges[t][0] <= step < ranges[t][1]] or list(tensors)
    return tuple(sorted(alive, key=lambda t: (-model.tensors[t].bytes, t)))


def _parts(kinds: Mapping[str, str], **sizes: int) -> tuple[Part, ...]:
    return tuple(Part(name, size, kinds[name]) for name, size in sizes.items())


def total(name: str, parts: tuple[Part, ...], capacity: int) -> Memory:
    """A memory of `capacity` bytes with all of its parts; of its weakest part's kind."""
    kind = min((part.kind for part in parts), key=_WEAKEST_FIRST.index)
    return Memory(name, sum(part.bytes for part in parts), capacity, kind)
