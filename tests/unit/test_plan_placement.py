"""Placement, against exhaustive enumeration and instances whose answer is known."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise

import pytest

from tinydeploy.errors import MissingToolError
from tinydeploy.plan import Buffer, Proof
from tinydeploy.plan import solver as cp_sat
from tinydeploy.plan.placement import Placed, place


def buffers_of(*rows: tuple[int, int, int], alignment: int = 1) -> list[Buffer]:
    """From (bytes, first, end)."""
    return [Buffer(i, size, first, end, (i,), alignment=alignment) for i, (size, first, end) in enumerate(rows)]


def assert_disjoint(buffers: list[Buffer], placed: Placed) -> None:
    """At every step, sorted by offset, each piece ends before the next begins."""
    for step in range(max(b.end for b in buffers)):
        spans = sorted(
            (offset, offset + size)
            for buffer, offset in zip(buffers, placed.offsets, strict=True)
            for first, end, size in buffer.pieces
            if first <= step < end and size
        )
        assert all(left[1] <= right[0] for left, right in pairwise(spans))
        assert not spans or (spans[0][0] >= 0 and spans[-1][1] <= placed.arena_bytes)


def test_a_chain_alternates_between_two_ends() -> None:
    buffers = buffers_of(*((100 + i % 3, i, i + 2) for i in range(20)), alignment=16)
    placed = place(buffers)
    assert placed.arena_bytes == 224 == placed.proof.lower_bound_bytes  # 2 · 112
    assert placed.proof.optimal
    assert_disjoint(buffers, placed)


def test_largest_first_alone_would_waste_here() -> None:
    # the two 3s live at different times, each beside its own 2; 2 + 2 + 1 live together in the middle
    buffers = buffers_of((3, 0, 2), (2, 1, 3), (2, 2, 4), (3, 3, 5), (1, 2, 3))
    placed = place(buffers)
    assert placed.arena_bytes == 5
    assert placed.proof.optimal
    assert_disjoint(buffers, placed)


def test_a_long_chain_is_quick_and_optimal_without_the_exact_search() -> None:
    source = random.Random(1)
    buffers = buffers_of(*((source.randrange(1, 5000), i, i + 2) for i in range(500)), alignment=16)
    placed = place(buffers, visits=0)
    assert placed.proof.optimal
    assert_disjoint(buffers, placed)


def test_effort_that_runs_out_proves_nothing() -> None:
    source = random.Random(5)
    firsts = [source.randrange(40) for _ in range(60)]
    rows = [(source.randrange(1, 50), first, first + source.randrange(1, 15)) for first in firsts]
    placed = place(buffers_of(*rows), visits=1)
    assert placed.arena_bytes > placed.proof.lower_bound_bytes
    assert not placed.proof.optimal
    assert not placed.proof.exhaustive


def test_empty_and_zero_sized() -> None:
    assert place([]).arena_bytes == 0
    placed = place(buffers_of((0, 0, 3), (8, 0, 3), (8, 1, 2)))
    assert placed.arena_bytes == 16
    assert placed.offsets[0] == 0


def test_alignments_differ() -> None:
    sizes = ((1, 1), (32, 32), (3, 4))
    buffers = [Buffer(i, size, 0, 2, (i,), alignment=alignment) for i, (size, alignment) in enumerate(sizes)]
    placed = place(buffers)
    assert all(o % b.alignment == 0 for o, b in zip(placed.offsets, buffers, strict=True))
    assert placed.arena_bytes == 37  # 32 + 4 + 1: the large one first
    assert_disjoint(buffers, placed)


def test_a_profile_leaves_room_above_what_shrank() -> None:
    shrinking = Buffer(0, 400, 0, 4, (0, 1), profile=((0, 1, 400), (1, 4, 96)))
    buffers = [shrinking, Buffer(1, 304, 1, 3, (2,)), Buffer(2, 304, 3, 5, (3,))]
    placed = place(buffers)
    assert placed.arena_bytes == 400 == placed.proof.lower_bound_bytes
    assert_disjoint(buffers, placed)


def test_cp_sat_agrees_and_is_asked_only_where_nothing_is_proved() -> None:
    if not cp_sat.available():
        pytest.skip("pip install 'tinydeploy[solver]'")
    buffers = buffers_of((3, 0, 2), (2, 1, 3), (2, 2, 4), (3, 3, 5), (1, 2, 3))
    poor = Placed((0, 3, 5, 7, 0), 10, Proof(5, False, "by hand"))
    better = cp_sat.improve(buffers, poor)
    assert better.arena_bytes == 5
    assert better.proof.optimal
    assert_disjoint(buffers, better)
    assert cp_sat.improve(buffers, better) is better


def test_cp_sat_is_not_asked_where_it_would_end_the_process() -> None:
    """OR-Tools crashes where TensorFlow was loaded first, as in a training run that plans its model."""
    if not cp_sat.available():
        pytest.skip("pip install 'tinydeploy[solver]'")
    program = (
        "import sys, types\n"
        "sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "from tinydeploy.plan import Proof, solver\n"
        "from tinydeploy.plan.placement import Placed\n"
        "assert not solver.available()\n"
        "solver.improve([], Placed((), 1, Proof(0, False, '')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "UsageError: OR-Tools would crash in this process" in done.stderr


def test_cp_sat_with_a_profile() -> None:
    if not cp_sat.available():
        pytest.skip("pip install 'tinydeploy[solver]'")
    buffers = [Buffer(0, 400, 0, 4, (0, 1), profile=((0, 1, 400), (1, 4, 96))), Buffer(1, 304, 1, 3, (2,))]
    better = cp_sat.improve(buffers, Placed((0, 400), 704, Proof(400, False, "by hand")))
    assert better.arena_bytes == 400
    assert_disjoint(buffers, better)


def test_cp_sat_without_ortools_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp_sat, "available", lambda: False)
    with pytest.raises(MissingToolError) as caught:
        cp_sat.improve([], Placed((), 0, Proof(0, True, "")))
    assert "tinydeploy[solver]" in (caught.value.hint or "")
