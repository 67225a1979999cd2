"""Random networks and random placements: plans hold, bounds are bounds, and what is called optimal is."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plan_nets import memory_of, networks
from tinydeploy.ir import Model
from tinydeploy.plan import Buffer, make_plan
from tinydeploy.plan.placement import place
from tinydeploy.plan.search import fit
from tinydeploy.plan.shape import Shape


def height_beside(buffer: Buffer, other: Buffer) -> int:
    """The most bytes that `buffer` uses at a step at which `other` uses any."""
    steps = {s for first, end, _ in other.pieces for s in range(first, end)}
    return max((size for first, end, size in buffer.pieces if steps & set(range(first, end))), default=0)


def lowest_by_enumeration(buffers: list[Buffer]) -> int:
    """The smallest arena: a placement that cannot be pushed down is found when its buffers are stacked bottom up."""
    beside = {(b.id, c.id): height_beside(b, c) for b in buffers for c in buffers}
    best = sum(b.aligned_bytes + b.alignment for b in buffers)
    for order in permutations(buffers):
        placed: list[tuple[int, Buffer]] = []
        for buffer in order:
            at = max((o + beside[c.id, buffer.id] for o, c in placed if beside[c.id, buffer.id]), default=0)
            placed.append((-(-at // buffer.alignment) * buffer.alignment, buffer))
        best = min(best, max(offset + b.aligned_bytes for offset, b in placed))
    return best


@st.composite
def shrinking(draw: st.DrawFn, most: int = 7) -> list[Buffer]:
    """Buffers whose bytes in use may fall over time, with various alignments."""
    buffers = []
    for number in range(draw(st.integers(1, most))):
        sizes = sorted(draw(st.lists(st.integers(1, 60), min_size=1, max_size=3)), reverse=True)
        at = first = draw(st.integers(0, 6))
        profile = []
        for size in sizes:
            profile.append((at, at := at + draw(st.integers(1, 3)), size))
        shape = tuple(profile) if len(profile) > 1 else ()
        alignment = draw(st.sampled_from([4, 4, 1, 8]))
        buffers.append(Buffer(number, sizes[0], first, at, (number,), alignment=alignment, profile=shape))
    return buffers


instances = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 7), st.integers(1, 4)), min_size=1, max_size=6).map(
    lambda rows: [Buffer(i, size, at, at + life, (i,), alignment=1) for i, (size, at, life) in enumerate(rows)]
)


@settings(max_examples=60)
@given(instances)
def test_small_instances_are_solved_to_the_true_optimum(buffers: list[Buffer]) -> None:
    placed = place(buffers)
    assert placed.proof.optimal  # six buffers are always searched to the end
    assert placed.arena_bytes == lowest_by_enumeration(buffers)


@settings(max_examples=100)
@given(instances | shrinking(most=5))
def test_the_exact_search_alone_finds_the_optimum(buffers: list[Buffer]) -> None:
    best = lowest_by_enumeration(buffers)
    shape = Shape(buffers)
    found = fit(shape, best, 10**9)
    assert found.offsets is not None and shape.height(found.offsets) <= best
    assert fit(shape, best - 1, 10**9).offsets is None
    assert fit(shape, best - 1, 10**9).complete
    assert place(buffers).arena_bytes == best


@given(shrinking())
def test_placements_never_overlap_and_bounds_hold(buffers: list[Buffer]) -> None:
    placed = place(buffers)
    sizes = [sum(size for b in buffers for first, end, size in b.pieces if first <= s < end) for s in range(20)]
    assert placed.proof.lower_bound_bytes == max(sizes)
    assert placed.arena_bytes >= max(sizes)
    for step in range(20):
        used: set[int] = set()
        for buffer, offset in zip(buffers, placed.offsets, strict=True):
            for first, end, size in buffer.pieces:
                if first <= step < end:
                    mine = set(range(offset, offset + size))
                    assert not used & mine
                    assert not mine or max(mine) < placed.arena_bytes
                    used |= mine


@settings(max_examples=400)
@given(networks(), st.booleans())
def test_every_plan_passes_the_validator(model: Model, in_place: bool) -> None:
    plan = make_plan(model, in_place=in_place, solver="builtin", memory_of=memory_of)  # validates, or raises
    assert plan.arena_bytes >= plan.proof.lower_bound_bytes == max(plan.live_bytes)
    assert make_plan(model, in_place=in_place, solver="builtin", memory_of=memory_of) == plan


@settings(max_examples=200)
@given(networks())
def test_working_in_place_never_raises_the_bound(model: Model) -> None:
    over = make_plan(model, solver="builtin", memory_of=memory_of)
    apart = make_plan(model, in_place=False, solver="builtin", memory_of=memory_of)
    assert over.proof.lower_bound_bytes <= apart.proof.lower_bound_bytes
