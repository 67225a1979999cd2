"""The whole of tinydeploy, stage by stage: start reading here. Each function calls one layer down and returns a value.

    load → plan_model → build_image → run_model

Each result holds the one before it, so that a report can speak of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinydeploy.boards import Board
from tinydeploy.catalog import load, model_path
from tinydeploy.codegen import check_supported, emit
from tinydeploy.codegen.code_size import estimate_code_bytes
from tinydeploy.cost import cost_table
from tinydeploy.ir import Model
from tinydeploy.plan import Fit, Plan, fit, make_plan
from tinydeploy.plan.planner import Solver
from tinydeploy.report.plans import Planned

__all__ = ["PlanOptions", "describe", "load", "model_path", "plan_model"]

DEFAULT_STACK_BYTES = 1024  # several times what the deepest kernel takes; `run` measures it
STATIC_BYTES = 0  # a generated library has no static data of its own


@dataclass(frozen=True)
class PlanOptions:
    """What a user may choose of a plan. `stack_bytes`: None for the estimate."""

    in_place: bool = True
    solver: Solver = "auto"
    stack_bytes: int | None = None


def describe(options: PlanOptions) -> Mapping[str, Any]:
    """The options as a report's provenance has them."""
    return asdict(options)


def plan_model(model: Model, board: Board, options: PlanOptions) -> Planned:
    """Costs, placement and fit of `model` on `board`.

    Raises `UnsupportedModelError` for a model that cannot run as int8, `MissingToolError` for a solver that is not
    installed. A model that does not fit is no error here: see `Planned.fit`.
    """
    has_data = all(t.data is not None for t in model.tensors if t.constant)
    if has_data:
        check_supported(model)
    costs = cost_table(model)
    plan = make_plan(model, in_place=options.in_place, solver=options.solver)
    fitted = _fit(model, board, plan, options, costs.totals.constant_bytes if not has_data else None)
    return Planned(model, board, costs, plan, fitted)


def _fit(model: Model, board: Board, plan: Plan, options: PlanOptions, constant_bytes: int | None) -> Fit:
    """`constant_bytes`: of a network without weights, whose library cannot be emitted."""
    code_bytes = 0
    if constant_bytes is None:
        program = emit(model, plan)
        constant_bytes = sum(program.pool.bytes_by_role().values())
        code_bytes = estimate_code_bytes(program, len(plan.placements), board.core)
    stack = DEFAULT_STACK_BYTES if options.stack_bytes is None else options.stack_bytes
    return fit(
        model,
        plan,
        board,
        weights_bytes=constant_bytes,
        code_bytes=code_bytes,
        static_bytes=STATIC_BYTES,
        stack_bytes=stack,
        kinds={"stack": "estimated" if options.stack_bytes is None else "given"},
    )
