"""Placement of bodies: no byte belongs to two boxes at once, and bounds are bounds, byte by byte and tick by tick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.row_networks import random_row_network
from tinydeploy.plan import make_plan
from tinydeploy.plan.bodies import Body, Box, arrange, live_bytes, lower_bound
from tinydeploy.tflite import parse_model

ROOT = Path(__file__).resolve().parents[2]
TICKS = 10


@st.composite
def bodies(draw: st.DrawFn) -> list[Body]:
    """Boxes one behind the other, those of a body often given up one by one; some written over what ends then."""
    found = []
    for group in range(draw(st.integers(1, 7))):
        boxes = []
        at = 0
        for _ in range(draw(st.integers(1, 4))):
            size = draw(st.integers(1, 12))
            first = draw(st.integers(0, TICKS - 1))
            end = draw(st.integers(first + 1, TICKS))
            over = frozenset({draw(st.integers(0, group - 1))}) if group and draw(st.booleans()) else frozenset()
            boxes.append(Box(at, size, first, end, group, over))
            at += size
        found.append(Body((group,), tuple(boxes)))
    return found


def may_lie_over(upper: Box, at: int, lower: Box, below: int) -> bool:
    """A result over what it is made from: in the one tick that both see, and not beginning behind it."""
    return lower.group in upper.over and lower.first <= upper.first == lower.end - 1 and at <= below


@settings(max_examples=300)
@given(bodies())
def test_no_byte_belongs_to_two(found: list[Body]) -> None:
    arrangement = arrange(found, lower_bound(found, TICKS), effort=2000)
    placed = [
        (b, box, at + box.offset)
        for b, (body, at) in enumerate(zip(found, arrangement.offsets, strict=True))
        for box in body.boxes
    ]
    assert max(at + box.bytes for _, box, at in placed) <= arrangement.bytes
    for tick in range(TICKS):
        owners: dict[int, list[tuple[int, Box, int]]] = {}
        for each in placed:
            if each[1].first <= tick < each[1].end:
                for byte in range(each[2], each[2] + each[1].bytes):
                    owners.setdefault(byte, []).append(each)
        for several in owners.values():
            for i, (b, box, at) in enumerate(several):
                for c, other, below in several[:i]:
                    assert b != c
                    assert may_lie_over(box, at, other, below) or may_lie_over(other, below, box, at)


@settings(max_examples=200)
@given(bodies())
def test_live_bytes_are_counted_tick_by_tick(found: list[Body]) -> None:
    boxes = [replaced for body in found for replaced in body.boxes]
    plain = [Body(b.key, tuple(Box(x.offset, x.bytes, x.first, x.end) for x in b.boxes)) for b in found]
    expected = [sum(box.bytes for box in boxes if box.first <= tick < box.end) for tick in range(TICKS)]
    assert list(live_bytes(plain, TICKS)) == expected
    assert all(a <= b for a, b in zip(live_bytes(found, TICKS), expected, strict=True))
    assert arrange(plain, 0, effort=500).bytes >= max(expected)


_PLAN = """
import sys, numpy as np
from tests.support.row_networks import random_row_network
from tinydeploy.plan import make_plan
from tinydeploy.tflite import parse_model
for seed in (0, 5, 12):
    model = parse_model(random_row_network(np.random.default_rng([seed, 4])).data)
    for execution in ("whole", "overlap", "streamed"):
        plan = make_plan(model, execution=execution, solver="builtin")
        print(plan.offsets, sorted(plan.placements.items()), plan.problem.steps, plan.segments, plan.proof, plan.peak)
"""


def test_plans_are_the_same_in_every_process() -> None:
    written = []
    for seed in ("1", "2", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", _PLAN], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
        )
        written.append(done.stdout)
    assert "Segment(" in written[0]
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("seed", [0, 5])
def test_plans_are_the_same_again(seed: int) -> None:
    model = parse_model(random_row_network(np.random.default_rng([seed, 4])).data)
    assert make_plan(model, execution="streamed") == make_plan(model, execution="streamed")
