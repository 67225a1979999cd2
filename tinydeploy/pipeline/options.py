"""What a user may choose of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, Literal

from tinydeploy.plan import Execution
from tinydeploy.plan.planner import Solver
from tinydeploy.transform import Io

Effort = Literal["quick", "normal", "thorough"]
EFFORTS: dict[Effort, float] = {"quick": 0.25, "normal": 1.0, "thorough": 20.0}


@dataclass(frozen=True)
class PlanOptions:
    """What a user may choose of a plan. `stack_bytes`: None for the estimate.

    `feed_rows`: inputs are handed over row by row. `io`: "int8" leaves out conversions at the ends. `keep`: names or
    numbers of tensors that stay readable. `reserve`: memory that is somebody else's, such as "dtcm=16K". `regions`:
    names of the memories that the arena may use, with commas between them; None for all that can hold tensors.
    `time_limit`: seconds from now for the searches of one plan, which end then with the best that they have.
    """

    execution: Execution = "streamed"
    feed_rows: bool = False
    io: Io = "model"
    keep: tuple[str, ...] = ()
    in_place: bool = True
    solver: Solver = "auto"
    effort: Effort = "normal"
    time_limit: float | None = None
    stack_bytes: int | None = None
    reserve: tuple[str, ...] = ()
    regions: str | None = None

    @property
    def deadline(self) -> float | None:
        """When the searches of a plan that begins now end; None for never."""
        return None if self.time_limit is None else monotonic() + self.time_limit


def describe(options: PlanOptions) -> Mapping[str, Any]:
    """The options as a report's provenance has them."""
    return asdict(options)
