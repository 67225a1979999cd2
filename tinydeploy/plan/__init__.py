"""From a model to a plan: what lives when, where it lies, how good that is, whether it fits, and a check of it all.

`problem.py` finds live ranges, `placement.py` and `solver.py` find offsets, `planner.py` puts a `Plan` together,
`validate.py` replays it without sharing their code, and `fit.py` compares it with a board. `types.py` has the values.
"""

from tinydeploy.plan.fit import Fit, fit
from tinydeploy.plan.planner import make_plan
from tinydeploy.plan.problem import build_problem
from tinydeploy.plan.types import (
    ALIGNMENT,
    Buffer,
    Memory,
    Peak,
    Placement,
    Plan,
    Problem,
    Proof,
    Shrink,
    Step,
)
from tinydeploy.plan.validate import validate

__all__ = [
    "ALIGNMENT",
    "Buffer",
    "Fit",
    "Memory",
    "Peak",
    "Placement",
    "Plan",
    "Problem",
    "Proof",
    "Shrink",
    "Step",
    "build_problem",
    "fit",
    "make_plan",
    "validate",
]
