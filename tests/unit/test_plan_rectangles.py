"""Placement as a library: rectangles with gaps, a capacity to reach, problems whose optimum is known."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from tinydeploy.plan import solver as cp_sat
from tinydeploy.plan.instances import read_csv
from tinydeploy.plan.placement import Placed, place
from tinydeploy.plan.shape import Gap, Rectangle

EFFORT = 20_000_000


def assert_disjoint(rectangles: list[Rectangle] | tuple[Rectangle, ...], placed: Placed) -> None:
    """Byte by byte of each moment at which something changes, by the definition of a gap and not by `pieces`."""
    moments = sorted({t for r in rectangles for t in (r.lower, *(t for g in r.gaps for t in (g.lower, g.upper)))})
    for moment in moments:
        spans = []
        for r, offset in zip(rectangles, placed.offsets, strict=True):
            assert offset % r.alignment == 0
            assert 0 <= offset <= placed.arena_bytes - r.size
            gap = next((g for g in r.gaps if g.lower <= moment < g.upper), None)
            low, high = (0, r.size) if gap is None else gap.window or (0, 0)
            if r.lower <= moment < r.upper and high > low:
                spans.append((offset + low, offset + high))
        spans.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


def guillotine(source: random.Random, count: int, width: int, height: int) -> list[Rectangle]:
    """A full area of time and bytes cut in two again and again, across or along: the optimum is its height."""
    areas = [(0, width, height)]
    while len(areas) < count:
        left, right, size = areas.pop(max(range(len(areas)), key=lambda i: (areas[i][1] - areas[i][0]) * areas[i][2]))
        if (source.random() < 0.5 and right - left > 1) or size == 1:
            middle = source.randrange(left + 1, right)
            areas += [(left, middle, size), (middle, right, size)]
        else:
            part = source.randrange(1, size)
            areas += [(left, right, part), (left, right, size - part)]
    source.shuffle(areas)
    return [Rectangle(str(i), left, right, size) for i, (left, right, size) in enumerate(areas)]


def pinwheels(source: random.Random, count: int, width: int, height: int) -> list[Rectangle]:
    """Pinwheels of five beside each other, full to the same height, which no straight cut divides."""
    rectangles = []
    for n in range(count):
        at = n * width
        a, b = sorted(source.sample(range(1, width), 2))
        p, q = sorted(source.sample(range(1, height), 2))
        areas = [(0, b, p), (b, width, q), (a, width, height - q), (0, a, height - p), (a, b, q - p)]
        rectangles += [Rectangle(f"{n}.{i}", at + f, at + t, size) for i, (f, t, size) in enumerate(areas)]
    source.shuffle(rectangles)
    return rectangles


@pytest.mark.parametrize("seed", range(12))
def test_what_was_cut_with_a_guillotine_is_put_together_again(seed: int) -> None:
    rectangles = guillotine(random.Random(seed), 30 + 3 * seed, 40, 1000)
    placed = place(rectangles, visits=EFFORT)
    assert placed.arena_bytes == 1000
    assert placed.proof.optimal
    assert_disjoint(rectangles, placed)


@pytest.mark.parametrize("seed", range(6))
def test_pinwheels_are_put_together_again(seed: int) -> None:
    rectangles = pinwheels(random.Random(seed), 8, 12, 500)
    # a belt over all of them, below, above or between
    rectangles.append(Rectangle("belt", 0, 96, 77))
    placed = place(rectangles, visits=EFFORT)
    assert placed.arena_bytes == 577
    assert_disjoint(rectangles, placed)


def test_parts_that_share_no_time_are_placed_apart() -> None:
    source = random.Random(3)
    early = guillotine(source, 25, 30, 1000)
    late = [Rectangle("late" + r.id, r.lower + 30, r.upper + 30, r.size) for r in guillotine(source, 25, 30, 900)]
    placed = place(early + late, visits=EFFORT)
    assert placed.arena_bytes == 1000
    assert_disjoint(early + late, placed)


def test_a_capacity_ends_the_search_at_the_first_placement_within_it() -> None:
    # 5 is the optimum (see test_plan_placement); largest first alone needs 6
    rows = ((3, 0, 2), (2, 1, 3), (2, 2, 4), (3, 3, 5), (1, 2, 3))
    rectangles = [Rectangle(str(i), first, end, size) for i, (size, first, end) in enumerate(rows)]
    assert place(rectangles, capacity=5).arena_bytes == 5
    assert 5 <= place(rectangles, capacity=9).arena_bytes <= 9
    below = place(rectangles, capacity=4)
    assert below.proof.lower_bound_bytes > 4


def test_what_no_capacity_can_hold_is_proved() -> None:
    # never more than 6 bytes alive, but the upper one begins at 4: 4 + 3 = 7
    rectangles = [Rectangle("a", 0, 2, 3, alignment=4), Rectangle("b", 1, 3, 3, alignment=4)]
    smallest = place(rectangles)
    assert smallest.arena_bytes == 7
    assert smallest.proof.optimal and smallest.proof.exhaustive
    assert smallest.proof.lower_bound_bytes == 6
    within = place(rectangles, capacity=6)
    assert within.proof.lower_bound_bytes == 7
    assert not within.proof.optimal
    if cp_sat.available():
        start = Placed((0, 4), 7, place(rectangles, capacity=6, visits=0).proof)
        assert cp_sat.improve(rectangles, start, capacity=6).proof.lower_bound_bytes == 7


def test_an_alignment_need_not_be_a_power_of_two() -> None:
    placed = place([Rectangle("a", 0, 2, 5, alignment=6), Rectangle("b", 1, 3, 5, alignment=6)])
    assert sorted(placed.offsets) == [0, 6]


def test_effort_that_runs_out_within_a_capacity_proves_nothing() -> None:
    rectangles = guillotine(random.Random(0), 60, 40, 1000)
    placed = place(rectangles, capacity=1000, visits=1)
    assert placed.arena_bytes > 1000 == placed.proof.lower_bound_bytes
    assert not placed.proof.optimal


def test_a_stop_ends_the_search() -> None:
    rectangles = guillotine(random.Random(0), 60, 40, 1000)
    asked: list[int] = []
    placed = place(rectangles, visits=EFFORT, stop=lambda: len(asked) >= 3 or asked.append(0) is not None)
    assert len(asked) == 3
    assert placed.arena_bytes > 1000
    assert_disjoint(rectangles, placed)


def test_a_gap_without_window_leaves_everything_to_others() -> None:
    rectangles = [Rectangle("a", 0, 9, 10, gaps=(Gap(3, 6),)), Rectangle("b", 3, 6, 10), Rectangle("c", 4, 5, 2)]
    placed = place(rectangles)
    assert placed.arena_bytes == 12
    assert_disjoint(rectangles, placed)


def test_what_uses_nothing_but_in_a_gap_of_its_own_still_has_its_size() -> None:
    rectangles = [Rectangle("a", 0, 3, 8, gaps=(Gap(0, 3),)), Rectangle("b", 0, 3, 4)]
    placed = place(rectangles)
    assert placed.arena_bytes == 8


def test_a_window_above_leaves_room_below() -> None:
    rectangles = [Rectangle("a", 0, 6, 10, gaps=(Gap(2, 4, (6, 10)),)), Rectangle("b", 2, 4, 6)]
    placed = place(rectangles)
    assert placed.arena_bytes == 10
    assert_disjoint(rectangles, placed)


def test_what_interlocks_is_never_said_to_be_impossible() -> None:
    # both at 0: a below b at first, above it later; the built-in search doesn't try that, CP-SAT does
    a = Rectangle("a", 0, 2, 10, gaps=(Gap(0, 1, (0, 4)), Gap(1, 2, (6, 10))))
    b = Rectangle("b", 0, 2, 10, gaps=(Gap(0, 1, (4, 10)), Gap(1, 2, (0, 6))))
    placed = place([a, b])
    assert_disjoint([a, b], placed)
    assert placed.proof.optimal == (placed.arena_bytes == 10)
    assert place([a, b], capacity=12).proof.lower_bound_bytes <= 12
    if cp_sat.available():
        assert cp_sat.improve([a, b], placed).arena_bytes == 10


def test_cp_sat_stops_at_the_capacity() -> None:
    if not cp_sat.available():
        pytest.skip("pip install 'tinydeploy[solver]'")
    rows = ((3, 0, 2), (2, 1, 3), (2, 2, 4), (3, 3, 5), (1, 2, 3))
    rectangles = [Rectangle(str(i), first, end, size) for i, (size, first, end) in enumerate(rows)]
    start = Placed((0, 3, 5, 7, 9), 10, place(rectangles, capacity=9).proof)
    placed = cp_sat.improve(rectangles, start, capacity=6)
    assert 5 <= placed.arena_bytes <= 6
    assert_disjoint(rectangles, placed)
    assert cp_sat.improve(rectangles, start, capacity=10) is start


@pytest.mark.parametrize(
    "wrong",
    [
        {"upper": 0},
        {"size": -1},
        {"alignment": 0},
        {"gaps": (Gap(2, 2),)},
        {"gaps": (Gap(3, 5),)},
        {"gaps": (Gap(2, 3), Gap(1, 2))},
        {"gaps": (Gap(1, 2, (0, 9)),)},
        {"gaps": (Gap(1, 2, (3, 2)),)},
    ],
)
def test_what_is_no_rectangle_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Rectangle(**{"id": "a", "lower": 0, "upper": 4, "size": 8, **wrong})  # type: ignore[arg-type]


def benchmark() -> dict[str, Path]:
    """The benchmark's problems by name, where they are to be had."""
    folder = os.environ.get("TINYDEPLOY_BENCH")
    return {} if not folder else {p.name[0]: p for p in sorted(Path(folder, "minimalloc").glob("?.*.csv"))}


@pytest.mark.parametrize("name", "ABCDE")
def test_the_benchmark_of_minimalloc_is_solved_to_its_capacity(name: str) -> None:
    if not benchmark():
        pytest.skip(
            "cannot be installed: set TINYDEPLOY_BENCH to a folder with minimalloc/*.csv, the directory "
            "benchmarks/challenging of github.com/google/minimalloc"
        )
    path = benchmark()[name]
    rectangles = read_csv(path.read_text(encoding="utf-8"), path.name)
    placed = place(rectangles, capacity=1_048_576, visits=EFFORT)
    assert placed.arena_bytes <= 1_048_576
    alive: dict[int, int] = defaultdict(int)
    for r in rectangles:
        alive[r.lower] += r.size
        alive[r.upper] -= r.size
    assert placed.proof.lower_bound_bytes == max(sum(v for t, v in alive.items() if t <= at) for at in alive)
    assert_disjoint(rectangles, placed)
    assert place(rectangles, capacity=1_048_576, visits=EFFORT) == placed
