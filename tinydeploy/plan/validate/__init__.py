"""The check of every plan: replays its program on a picture of the arena. Shares no code with what makes plans.

`accesses.py` says which bytes each row step of an operator reads and writes, worked out from opcode, shapes and
attributes alone; `moves.py` does so for operators that only move bytes. `picture.py` says which byte of which value
lies where; `places.py` turns rows into addresses. `replay.py` runs the program on the picture, and `claims.py`
compares what a plan says about itself with what the replay saw. `shared.py` looks at several plans in one arena.
`offline.py` checks the placements that are written into files for TensorFlow Lite Micro.
"""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory
from tinydeploy.plan.types import Plan
from tinydeploy.plan.validate.claims import check_claims
from tinydeploy.plan.validate.refusal import Refusal
from tinydeploy.plan.validate.replay import Replay


def validate(model: Model, plan: Plan, *, memory_of: Callable[[Model, Operator], Memory] | None = None) -> None:
    """Return if running `plan` computes what `model` says and all that the plan claims is so.

    `memory_of` says how much scratch an operator needs (by default its kind does); nothing else is asked of it: which
    rows an operator reads, which operators may be elided or work in place is decided here. Raises `PlanInvalidError`,
    which names the tensors.
    """
    refusal = Refusal(model)
    seen = Replay(model, plan, memory_of or _stated, refusal).run()
    check_claims(model, plan, seen, refusal)


def _stated(model: Model, op: Operator) -> Memory:
    from tinydeploy.operators.registry import kind_of

    kind = kind_of(op.opcode)
    return kind.memory(model, op) if kind is not None else Memory()
