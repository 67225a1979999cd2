"""`make_plan`: the problem, its placement, every tensor's place and the peak, put together and always checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import rows_of
from tinydeploy.plan import placement
from tinydeploy.plan import solver as cp_sat
from tinydeploy.plan.budget import USUAL, Budget
from tinydeploy.plan.order import ORDER_VISITS, orders, reordered
from tinydeploy.plan.problem import MemoryOf, build_problem, stated_memory
from tinydeploy.plan.program import cost, plan_rows
from tinydeploy.plan.regions import Room
from tinydeploy.plan.spread import spread_whole
from tinydeploy.plan.types import ALIGNMENT, Buffer, Execution, Occupied, Peak, Placement, Plan, Problem, Proof
from tinydeploy.plan.validate import validate

Solver = Literal["auto", "builtin", "cp-sat"]
MOST_ROWS = 60_000  # of all tensors together, that are planned one by one: under a minute


def make_plan(
    model: Model,
    *,
    execution: Execution = "whole",
    fed: Sequence[int] = (),
    kept: Sequence[int] = (),
    in_place: bool = True,
    behind: Collection[int] = (),
    cut_after: Collection[int] = (),
    solver: Solver = "auto",
    rooms: Sequence[Room] = (),
    budget: Budget = USUAL,
    memory_of: MemoryOf = stated_memory,
) -> Plan:
    """The plan for `model`. Deterministic, and checked by the validator.

    `execution` is explained in plan/types.py. `fed`: inputs (tensor indices) that the application hands over row by
    row. `kept`: tensors that stay readable to the end, beside the model's outputs. `behind`: tensors that lie behind
    all others in the arena, so that what comes before them can be shared. `cut_after`: operators after which no other
    takes turns with those before.

    Operators run in the order with the least peak that is found. Where rows save nothing, or
    there are more than MOST_ROWS of them, tensors are whole.

    `rooms`: free memories over which the arena is spread if no single region holds it; see spread.py. The plan then
    says where its shares are, and has none where it does not fit them.

    `budget`: how long the searches may go on; `Plan.proof.complete` says whether one was ended by it.

    `solver`, of whole tensors' places: `builtin` needs nothing; `cp-sat` adds OR-Tools where the built-in search has
    proved nothing; `auto` does the same if OR-Tools is installed.

    Raises what `build_problem` raises, `MissingToolError` for `cp-sat` without OR-Tools, and `PlanInvalidError` if
    the validator refuses the result, which is a bug.
    """
    if solver not in get_args(Solver):
        raise UsageError(f"unknown solver '{solver}'", hint=f"one of: {', '.join(get_args(Solver))}")
    if execution not in get_args(Execution):
        raise UsageError(f"unknown execution '{execution}'", hint=f"one of: {', '.join(get_args(Execution))}")
    if execution == "whole" and fed:
        raise UsageError("an input can be fed by rows only where rows are planned: not with whole tensors")
    wanted = replace(model, outputs=tuple(dict.fromkeys((*model.outputs, *kept))))
    offered = orders(wanted, in_place=in_place, memory_of=memory_of, visits=budget.scaled(ORDER_VISITS))
    least = min(offered, key=lambda order: order.peak_bytes)
    plan = None
    if not fed:
        whole = reordered(wanted, least.order)
        plan = replace(
            _plan_whole(whole, in_place, behind, solver if execution == "whole" else "builtin", memory_of),
            kept=tuple(kept),
        )
        if rooms:
            plan = spread_whole(model, plan, rooms)
    if execution != "whole" and not _too_many_rows(model, fed):
        by_rows = plan_rows(
            model,
            execution,
            offered,
            fed=fed,
            kept=kept,
            in_place=in_place,
            behind=behind,
            cut_after=cut_after,
            rooms=rooms,
            budget=budget,
            memory_of=memory_of,
        )
        something_runs = any(not step.elided for step in by_rows.problem.steps)
        if plan is None or (something_runs and cost(by_rows, rooms) < cost(plan, rooms)):
            plan = by_rows
    assert plan is not None  # whole tensors, or rows, or both were planned
    validate(model, plan, memory_of=memory_of)
    return plan


def _too_many_rows(model: Model, fed: Sequence[int]) -> bool:
    """Whether rows would take too long to plan: then tensors are whole. Raises `UsageError` where they cannot be."""
    made = (model.tensors[t] for op in model.operators for t in op.outputs)
    rows = sum(rows_of(tensor)[0] for tensor in (*made, *(model.tensors[t] for t in model.inputs)))
    if rows > MOST_ROWS and fed:
        raise UsageError(
            f"an input is to be fed by rows, but {rows:,} rows are too many to plan: {MOST_ROWS:,} are the most",
            hint="leave out --feed-rows: the plan is then for whole tensors",
        )
    return rows > MOST_ROWS


def _plan_whole(model: Model, in_place: bool, behind: Collection[int], solver: Solver, memory_of: MemoryOf) -> Plan:
    """Whole tensors in one arena."""
    problem = build_problem(model, in_place=in_place, memory_of=memory_of)
    front = [b for b in problem.buffers if not set(b.tensors).intersection(behind)]
    placed = placement.place(front)
    if solver == "cp-sat" or (solver == "auto" and not placed.proof.optimal and cp_sat.available()):
        placed = cp_sat.improve(front, placed)
    if len(front) < len(problem.buffers):
        placed = _stacked(problem.buffers, front, placed)
    live = _live_by_step(problem)
    return Plan(
        problem=problem,
        offsets=placed.offsets,
        placements=_placements(model, problem, placed.offsets),
        arena_bytes=placed.arena_bytes,
        alignment=ALIGNMENT,
        proof=placed.proof,
        peak=_peak(problem, live),
        live_bytes=live,
        scratch_offsets={b.scratch_of: placed.offsets[b.id] for b in problem.buffers if b.scratch_of is not None},
        occupied=tuple(
            Occupied(b.id, placed.offsets[b.id], size, first, end)
            for b in problem.buffers
            for first, end, size in b.pieces
        ),
    )


def _stacked(buffers: Sequence[Buffer], front: Sequence[Buffer], placed: placement.Placed) -> placement.Placed:
    """All buffers, those that are not placed yet one behind the other behind those that are."""
    offsets = {b.id: at for b, at in zip(front, placed.offsets, strict=True)}
    top = placed.arena_bytes
    for buffer in buffers:
        if buffer.id not in offsets:
            offsets[buffer.id] = top
            top += buffer.aligned_bytes
    bound = placement.lower_bound(buffers)
    proof = Proof(bound, top == bound, f"what must lie behind, behind the rest: {placed.proof.method}")
    return placement.Placed(tuple(offsets[b.id] for b in buffers), top, proof)


def _live_by_step(problem: Problem) -> tuple[int, ...]:
    changes = placement.live_bytes(problem.buffers)
    result = [0] * len(problem.steps)
    for (first, size), (end, _) in pairwise(changes.items()):
        result[first:end] = [size] * (end - first)
    return tuple(result)


def _peak(problem: Problem, live: tuple[int, ...]) -> Peak:
    """The first step at which the most is alive."""
    step = max(range(len(live)), key=lambda s: (live[s], -s))
    sizes = {b.id: size for b in problem.buffers for first, end, size in b.pieces if first <= step < end}
    return Peak(step, live[step], tuple(sorted(sizes, key=lambda i: (-sizes[i], i))))


def _placements(model: Model, problem: Problem, offsets: tuple[int, ...]) -> dict[int, Placement]:
    found = {}
    for buffer in problem.buffers:
        for index in buffer.tensors:
            first, end = problem.tensor_ranges[index]
            rows = rows_of(model.tensors[index])[0]
            found[index] = Placement(index, buffer.id, offsets[buffer.id], first, end, rows)
    return dict(sorted(found.items()))
