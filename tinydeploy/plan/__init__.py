"""From a model to a plan: what lives when, where it lies, how good that is, whether it fits, and a check of it all.

`planner.py` is where to start, `types.py` has the values.
- Whole tensors: `order.py` finds the order of operators, `problem.py` live ranges, `placement.py` (with `shape.py` and
  `search.py`) and `solver.py` offsets; `instances.py` reads problems of placement alone.
- Rows: `rows.py` says which rows each step needs, `turns.py` and `schedule.py` in which order they run, `layout.py` and
  `bodies.py` where they lie, and `program.py` makes the plan of it.
- Memories: `regions.py` and `spread.py` put an arena into the memories of a board, `shared.py` several models into one.
- `validate.py` replays every plan without sharing any of that code, `fit.py` compares it with a board, and `tflm/`
  predicts what TensorFlow Lite Micro would need.
"""

from tinydeploy.plan.fit import Fit, fit
from tinydeploy.plan.planner import make_plan
from tinydeploy.plan.problem import build_problem
from tinydeploy.plan.types import (
    ALIGNMENT,
    Buffer,
    Execution,
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
    "Execution",
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
