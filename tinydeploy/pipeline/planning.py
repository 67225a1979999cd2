"""A model, prepared and planned for a board, with its costs and its fit."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tinydeploy.boards import Board
from tinydeploy.boards.reserve import read_regions, read_reserves, without
from tinydeploy.codegen import check_supported, emit
from tinydeploy.codegen.code_size import estimate_code_bytes
from tinydeploy.cost import cost_table
from tinydeploy.errors import GateError, UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.pipeline.options import EFFORTS, PlanOptions
from tinydeploy.plan import Fit, Plan, fit, make_plan
from tinydeploy.plan.budget import Budget
from tinydeploy.plan.regions import Memories, Room, settled, whole
from tinydeploy.plan.validate.memories import check_shares
from tinydeploy.report.plans import Planned
from tinydeploy.transform import Prepared, prepare

# The deepest kernel with its callers takes about 700 bytes (Zig's compiler on an M0+); `run` measures it.
DEFAULT_STACK_BYTES = 1024
_USUAL_WINDOW_ROWS = 16  # row pointers that are in that figure; larger windows come on top, four bytes a row
_log = logging.getLogger(__name__)
STATIC_BYTES = 0  # a generated library has no static data of its own


def plan_model(model: Model, board: Board, options: PlanOptions) -> Planned:
    """Costs, placement and fit of `model` on `board`.

    Raises `UnsupportedModelError` for a model that cannot run as int8, `MissingToolError` for a solver that is not
    installed, `UsageError` for a tensor to keep that there is not. A model that does not fit is no error here: see
    `Planned.fit`.
    """
    prepared = prepare_model(model, options)
    memories = Memories(
        board, without(board, read_reserves(board, options.reserve)), read_regions(board, options.regions)
    )
    alone = plan_prepared(prepared, options)
    plan, stack_bytes, needed = alone, -1, _needs(prepared.model, alone, board, options).stack_bytes
    while needed > stack_bytes:  # what is spread may be a plan of another kind, which needs more stack
        stack_bytes = needed
        rooms = memories.rooms(stack_bytes, STATIC_BYTES)
        share = whole(rooms, max(alone.arena_bytes, 1))
        if share is not None:
            plan = replace(alone, shares=(share,))
        elif rooms:
            plan = plan_prepared(prepared, options, rooms=rooms)
        needed = _needs(prepared.model, plan, board, options).stack_bytes
    if plan.shares:
        plan = settled(prepared.model, plan, rooms)
        check_shares(prepared.model, plan, board, memories.left, stack_bytes=stack_bytes, static_bytes=STATIC_BYTES)
    return judged(prepared, board, plan, options, memories)


def prepare_model(model: Model, options: PlanOptions) -> Prepared:
    """The model as it will be planned. Raises `UnsupportedModelError` for one that cannot run as int8."""
    if has_weights(model):
        check_supported(model)
    return prepare(model, io=options.io, keep=find_tensors(model, options.keep))


def require_fit(planned: Planned, *, hint: str | None = None) -> None:
    """Raise `GateError` when the model does not fit the board."""
    if not planned.fit.fits:
        name = printable(planned.model.path or planned.model.name, 200)
        raise GateError(f"{name} does not fit {planned.board.id}: {planned.fit.why_not()}", hint=hint)


def has_weights(model: Model) -> bool:
    """Whether it comes from a file; a network has shapes alone."""
    return all(t.data is not None for t in model.tensors if t.constant)


def judged(
    prepared: Prepared, board: Board, plan: Plan, options: PlanOptions, memories: Memories | None = None
) -> Planned:
    """The plan with the model's costs and its fit: in `memories`, or in the board's RAM in one piece."""
    costs = cost_table(prepared.model)
    fitted = _fit(prepared.model, board, plan, options, costs.totals.constant_bytes, memories)
    return Planned(prepared, board, costs, plan, fitted, memories.left if memories is not None else None)


def plan_prepared(
    prepared: Prepared,
    options: PlanOptions,
    *,
    behind: Collection[int] = (),
    cut_after: Collection[int] = (),
    rooms: Sequence[Room] = (),
) -> Plan:
    """The plan alone, of a model that is prepared with the same options; the rest is as in `make_plan`."""
    model = prepared.model
    fed = tuple(dict.fromkeys(model.inputs)) if options.feed_rows else ()
    kept = find_tensors(model, options.keep)
    for tensor in set(fed).intersection(kept):
        raise UsageError(f"'{printable(model.tensor(tensor).name)}' cannot be kept: its rows are fed one by one")
    plan = make_plan(
        model,
        execution=options.execution,
        fed=fed,
        kept=kept,
        in_place=options.in_place,
        behind=behind,
        cut_after=cut_after,
        rooms=rooms,
        budget=Budget(EFFORTS[options.effort], options.deadline),
        solver=options.solver,
    )
    told = (plan.execution, plan.arena_bytes, plan.proof.lower_bound_bytes, plan.proof.method)
    _log.debug("%s: arena %d B, lower bound %d B (%s)", *told)
    return plan


def find_tensors(model: Model, named: Sequence[str]) -> tuple[int, ...]:
    """The indices of inputs or computed tensors, each given by its name or its number. Raises `UsageError`."""
    computed = {t: model.tensor(t).name for t in model.inputs}
    computed |= {t: model.tensor(t).name for op in model.operators for t in op.outputs}
    found = []
    for text in named:
        matches = [t for t, name in computed.items() if name == text]
        if not matches and text.isdecimal() and int(text) in computed:
            matches = [int(text)]
        if len(matches) != 1:
            from difflib import get_close_matches  # only needed for this message

            near = get_close_matches(text, computed.values(), n=3)
            hint = f"did you mean {' or '.join(map(printable, near))}?" if near else "`plan --format json` lists them"
            what = "is the name of several tensors" if matches else "is no tensor that the model computes"
            raise UsageError(f"'{printable(text)}' {what}", hint=hint if not matches else "give its number")
        found += matches
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class _Needs:
    """What a plan needs beside its arena. None: not known of a network without weights, of which nothing is emitted."""

    stack_bytes: int
    constant_bytes: int | None
    code_bytes: int | None


def _needs(model: Model, plan: Plan, board: Board, options: PlanOptions) -> _Needs:
    stack_bytes = DEFAULT_STACK_BYTES
    constant_bytes = code_bytes = None
    if has_weights(model):
        program = emit(model, plan)
        stack_bytes += 4 * max(0, program.window_rows - _USUAL_WINDOW_ROWS) + program.counter_bytes
        constant_bytes = sum(program.pool.bytes_by_role().values())
        code_bytes = estimate_code_bytes([program], board.core)
    return _Needs(stack_bytes if options.stack_bytes is None else options.stack_bytes, constant_bytes, code_bytes)


def _fit(
    model: Model, board: Board, plan: Plan, options: PlanOptions, constant_bytes: int, memories: Memories | None
) -> Fit:
    """`constant_bytes`: as the costs have them, for a network without weights."""
    needs = _needs(model, plan, board, options)
    kinds = {"stack": "estimated" if options.stack_bytes is None else "given"}
    if needs.code_bytes is None:
        kinds["code"] = "unknown"
    return fit(
        model,
        plan,
        board if memories is None else memories.left,
        weights_bytes=constant_bytes if needs.constant_bytes is None else needs.constant_bytes,
        code_bytes=needs.code_bytes or 0,
        static_bytes=STATIC_BYTES,
        stack_bytes=needs.stack_bytes,
        kinds=kinds,
        rooms=memories.rooms(needs.stack_bytes, STATIC_BYTES) if memories is not None else None,
        regions=memories.uses(plan, needs.stack_bytes, STATIC_BYTES) if memories is not None else (),
    )
