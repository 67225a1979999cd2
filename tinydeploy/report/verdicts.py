"""What `check` found, as plain values: the `Verdict` on a budget, the `CaseVerdict` on a model on a board, and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tinydeploy.config import Unit

Number = int | float

Result = Literal["passed", "exceeded", "unjudged"]
"""`unjudged`: there is no figure to hold against the budget, or only a rule of thumb; it counts as not passed."""


@dataclass(frozen=True)
class Verdict:
    """One budget on one model on one board.

    `budget`: its name in the configuration, such as `arena`; `growth`: it limits the growth against the baseline and
    not the figure itself. `message`: the verdict in one line for people, with the figure, the limit, by how much it is
    over, and since which baseline. `culprit`: the layer or tensors responsible, in words; "" where it passed.
    `actual`, `limit`, `over_by` and `baseline` are in `unit`; None where there is none. The limit of a growth is the
    largest figure that is still allowed. `allowed`: the limit as it was written ("64K", "2%", "true"). `kind`: of what
    kind the actual figure is. `since`: which baseline, in words. `file` and `line`: where the budget is written; "" and
    None for one of the command line, None for a line that is not known. `exit_code`: 0 where it passed.
    """

    budget: str
    result: Result
    message: str
    growth: bool = False
    unit: Unit = ""
    actual: Number | None = None
    limit: Number | None = None
    allowed: str = ""
    over_by: Number | None = None
    kind: str = ""
    baseline: Number | None = None
    since: str = ""
    culprit: str = ""
    file: str = ""
    line: int | None = None
    exit_code: int = 0

    @property
    def rule(self) -> str:
        """A name for the budget that tells it from its growth: `arena`, `arena-growth`."""
        return f"{self.budget}-growth" if self.growth else self.budget

    @property
    def passed(self) -> bool:
        """Whether the budget is known to be kept."""
        return self.result == "passed"


@dataclass(frozen=True)
class CaseVerdict:
    """One model on one board.

    `model`: its name or path with the options that are not the usual ones, as the baseline calls it. `model_file`: its
    path as seen from the working directory; "" for a shipped model. `status`: as `batch.types.Status` has it.
    `message` and `hint`: what went wrong, where the status is not `ok`. `figures` and `kinds`: as
    `batch.types.Outcome` has them; `baseline`: the same figures of the baseline, empty where it has none.
    `exit_code`: 0 where all is well, 1 where a budget is exceeded or it does not fit, else that of what went wrong.
    """

    model: str
    board: str
    status: str
    verdicts: tuple[Verdict, ...]
    exit_code: int
    message: str = ""
    hint: str | None = None
    model_file: str = ""
    sha256: str = ""
    figures: Mapping[str, Number] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    baseline: Mapping[str, Number] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False

    @property
    def name(self) -> str:
        """For people: `kws on stm32f746g_disco`."""
        return f"{self.model} on {self.board}"

    @property
    def passed(self) -> bool:
        """Whether the case did all it should and every budget is kept."""
        return self.exit_code == 0

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The verdicts that are not known to be kept."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


@dataclass(frozen=True)
class CheckReport:
    """All cases, in order. `config_file` and `baseline_file`: as seen from the working directory; "" for none.
    `since`: which baseline, in words. `updated`: the baseline was rewritten. `notes`: what else people should know.
    `tools`: names and versions of what was used."""

    cases: tuple[CaseVerdict, ...]
    exit_code: int
    config_file: str = ""
    baseline_file: str = ""
    since: str = ""
    updated: bool = False
    notes: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything did."""
        return self.exit_code == 0
