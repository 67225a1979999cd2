"""Placement by OR-Tools' CP-SAT (the extra `solver`), where the built-in search has not proved its result optimal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from tinydeploy.errors import MissingToolError, UsageError
from tinydeploy.plan.placement import Placed
from tinydeploy.plan.shape import Rectangle, Shape
from tinydeploy.plan.types import Buffer, Proof

DETERMINISTIC_LIMIT = 0.5  # CP-SAT's own measure of work, alike on every machine; under ten seconds of one core


def available() -> bool:
    """Whether OR-Tools is installed and can be used in this process."""
    return find_spec("ortools") is not None and not _would_crash()


def _would_crash() -> bool:
    """Solving ends the process (seen with OR-Tools 9.15 and TensorFlow 2.21) where TensorFlow was loaded first; the
    other way round both work."""
    return "tensorflow" in sys.modules and "ortools" not in sys.modules


def improve(
    items: Sequence[Buffer | Rectangle],
    start: Placed,
    *,
    capacity: int | None = None,
    effort: float = DETERMINISTIC_LIMIT,
    seconds: float | None = None,
) -> Placed:
    """The smallest arena that CP-SAT finds, from `start` on: one worker, a fixed seed and a deterministic limit.

    What is optimal already comes back as it is. With `capacity` the first placement within it will do, and `start`
    comes back if it is one; as with `placement.place`, a lower bound above the capacity says that none exists.
    Each item is one rectangle (or one for each piece of its life) in the plane of time and offsets, and none may
    overlap. `seconds` ends the search earlier. Raises `MissingToolError` without OR-Tools, and `UsageError` in a
    process that has loaded TensorFlow before it.
    """
    if _would_crash():
        raise UsageError(
            "OR-Tools would crash in this process, which has loaded TensorFlow before it",
            hint="import ortools.sat.python.cp_model before tensorflow, or use the solver 'builtin'",
        )
    if not available():
        raise MissingToolError(
            "the solver 'cp-sat' needs OR-Tools, which is not installed", hint="pip install 'tinydeploy[solver]'"
        )
    bound = start.proof.lower_bound_bytes
    if start.proof.optimal or (capacity is not None and not bound <= capacity < start.arena_bytes):
        return start
    from ortools.sat.python import cp_model  # here, because it takes longer to load than most plans to make

    shape = Shape(items)
    unit = shape.unit
    model = cp_model.CpModel()
    ceiling = (start.arena_bytes if capacity is None else capacity) // unit
    arena = model.new_int_var(-(-bound // unit), ceiling, "arena")
    offsets = []
    spans, heights, demands = [], [], []
    for b in range(shape.count):
        step = max(1, shape.alignment[b] // unit)
        place = model.new_int_var(0, max(0, ceiling - shape.size[b] // unit) // step, f"place{b}")
        if capacity is None:
            model.add_hint(place, start.offsets[b] // (step * unit))
        offsets.append((place, step * unit))
        model.add(step * place + shape.size[b] // unit <= arena)
        for first, end, low, high in shape.pieces[b]:
            spans.append(model.new_fixed_size_interval_var(first, end - first, f"span{b}.{first}"))
            at = step * place + low // unit
            heights.append(model.new_fixed_size_interval_var(at, (high - low) // unit, f"height{b}.{first}"))
            demands.append((high - low) // unit)
    model.add_no_overlap_2d(spans, heights)
    model.add_cumulative(spans, demands, arena)  # implied, and a help
    if capacity is None:
        model.add_hint(arena, ceiling)
        model.minimize(arena)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = effort
    if seconds is not None:
        solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE and capacity is not None:
        proof = Proof(capacity + 1, False, "CP-SAT finished: nothing fits the capacity")
        return Placed(start.offsets, start.arena_bytes, proof)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start
    found = tuple(solver.value(place) * grain for place, grain in offsets)
    height = shape.height(found)
    if height > start.arena_bytes:
        return start
    return Placed(found, height, _proof(height, bound, capacity, status == cp_model.OPTIMAL))


def _proof(height: int, bound: int, capacity: int | None, finished: bool) -> Proof:
    if height == bound:
        return Proof(bound, True, "CP-SAT meets the lower bound")
    if capacity is not None:
        return Proof(bound, False, "the first placement that CP-SAT found within the capacity")
    if finished:
        return Proof(bound, True, "CP-SAT finished: nothing smaller exists", exhaustive=True)
    return Proof(bound, False, "best found by CP-SAT, which did not finish")
