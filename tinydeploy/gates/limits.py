"""A figure of an outcome held against a budget, or against what the baseline had: the verdict, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from tinydeploy.batch import Outcome, Status
from tinydeploy.config import BUDGETS, GROWTHS, Budget, Growth, Limits, Unit
from tinydeploy.gates.baseline import FIGURES, GUESSES, Entry
from tinydeploy.gates.culprits import culprit
from tinydeploy.report.verdicts import Number, Result, Verdict
from tinydeploy.units import kib

EXCEEDED = 1
NOT_JUDGED = 2  # the configuration asks for what this check does not find out
NO_TOOL = 4

_EXIT_CODES: Mapping[Status, int] = {
    "ok": 0,
    "does-not-fit": EXCEEDED,
    "refused": 3,
    "missing-tool": NO_TOOL,
    "failed": 5,
    "timed-out": 5,
    "differs": 6,
    "crashed": 70,
}


def exit_code(outcome: Outcome) -> int:
    """What a case ends with, where no budget is exceeded."""
    return outcome.exit_code or _EXIT_CODES[outcome.status]


_FIGURES: Mapping[str, str] = {
    **{name: figure for name, (figure, _) in FIGURES.items() if name in BUDGETS},
    "latency": "latency_ms",
}
_RUN = frozenset({"stack", "sram", "instructions", "cycles", "latency"})  # what only a run shows
_DIGITS = 3  # behind the point of milliseconds: what the baseline keeps


@dataclass(frozen=True)
class _Figure:
    """What is known of a figure. `why_not`: why it cannot be judged, "" where it can; `exit_code` goes with it."""

    actual: Number | None
    kind: str
    baseline: Number | None
    why_not: str
    exit_code: int


def figure_budgets(limits: Limits, outcome: Outcome, entry: Entry | None, since: str) -> Iterator[Verdict]:
    """A verdict for each budget that limits a figure. entry: the baseline's; since: what that is called."""
    for name, figure in _FIGURES.items():
        budget = limits.budgets.get(name)
        if budget is not None and budget.limit is not None:
            yield _budget(budget, _look(outcome, name, entry, figure), outcome, entry, since)


def growths(limits: Limits, outcome: Outcome, entry: Entry | None, since: str) -> Iterator[Verdict]:
    """A verdict for each growth that is limited; arguments as above."""
    for name, figure in _FIGURES.items():
        growth = limits.growths.get(name)
        if growth is not None and growth.limited:
            seen = _look(outcome, name, entry, figure)
            if entry is None:
                missing = f"{since} has no entry for this case"
            else:
                missing = f"{since} has none" if seen.baseline is None else ""
            if missing and not seen.why_not:
                seen = replace(seen, why_not=f"{missing}: --update adds it")
            yield _growth(growth, seen, outcome, entry, since)


def verdict(of: Budget | Growth, result: Result, message: str, **facts: Any) -> Verdict:
    """A verdict on a limit, with what the limit says of itself; `facts` are further fields."""
    said = Verdict(
        of.name,
        result,
        message,
        growth=isinstance(of, Growth),
        unit=BUDGETS[of.name],
        allowed=of.text,
        file=of.place.file,
        line=of.place.line,
        exit_code=EXCEEDED if result == "exceeded" else 0,
    )
    return replace(said, **facts)


def amount(value: Number, unit: Unit) -> str:
    """A figure for people, exact: `66,048 B (64.5 KiB)`."""
    if unit == "bytes":
        return f"{value:,} B" + (f" ({kib(int(value))})" if value >= 1024 else "")
    if unit in ("ms", "s"):
        return f"{value:,.{_DIGITS}f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{value:,}"


def _look(outcome: Outcome, name: str, entry: Entry | None, figure: str) -> _Figure:
    actual, kind = outcome.figures.get(figure), outcome.kinds.get(figure, "")
    depth = outcome.case.depth
    why_not = ""
    if actual is None or kind in GUESSES:
        lack = "it is not known" if actual is None else f"it is only {kind}"
        if outcome.status != "ok":
            why_not = f"{lack}: {outcome.message}"
        elif actual is None and depth == "run":
            why_not = "there is no timing model for this core"
        else:
            why_not = f"{lack} at depth {depth}: --depth {'run' if name in _RUN else 'build'}"
    return _Figure(
        actual=None if actual is None else _rounded(actual),
        kind=kind,
        baseline=None if entry is None else entry.outcome_figures.get(figure),
        why_not=why_not,
        exit_code=(exit_code(outcome) or NOT_JUDGED) if why_not else NOT_JUDGED,
    )


def _rounded(value: Number) -> Number:
    return value if isinstance(value, int) else round(value, _DIGITS)


def _seen(figure: _Figure, since: str) -> dict[str, Any]:
    """What a verdict says of the figure."""
    known = figure.baseline is not None
    return {
        "actual": figure.actual,
        "kind": figure.kind,
        "baseline": figure.baseline,
        "since": since if known else "",
    }


def _budget(budget: Budget, figure: _Figure, outcome: Outcome, entry: Entry | None, since: str) -> Verdict:
    name, unit = budget.name, BUDGETS[budget.name]
    limit: Number = float(budget.limit or 0) if unit == "ms" else int(budget.limit or 0)
    facts = {**_seen(figure, since), "limit": limit}
    if figure.actual is None or figure.why_not:
        message = f"{name} cannot be judged: {figure.why_not}"
        return verdict(budget, "unjudged", message, exit_code=figure.exit_code, **facts)
    over = _rounded(figure.actual - limit)
    if over <= 0:
        message = f"{name} {amount(figure.actual, unit)} of {amount(limit, unit)}"
        return verdict(budget, "passed", message, **facts)
    message = f"{name} {amount(figure.actual, unit)} is {amount(over, unit)} over its budget of {amount(limit, unit)}"
    if figure.baseline is not None:
        message += f"; it was {amount(figure.baseline, unit)} in {since}"
    was_within = figure.baseline is not None and figure.baseline <= limit
    blame = culprit(outcome, name, entry if was_within else None)
    return verdict(budget, "exceeded", message, over_by=over, culprit=blame, **facts)


def _growth(growth: Growth, figure: _Figure, outcome: Outcome, entry: Entry | None, since: str) -> Verdict:
    name, unit = growth.name, GROWTHS[growth.name]
    facts = _seen(figure, since)
    if figure.actual is None or figure.baseline is None or figure.why_not:
        message = f"the growth of {name} cannot be judged: {figure.why_not}"
        return verdict(growth, "unjudged", message, exit_code=figure.exit_code, **facts)
    was, actual = figure.baseline, figure.actual
    facts["limit"] = limit = _allowed(growth, was)
    grown = _rounded(actual - was)
    share = f" ({abs(grown) / was:.2%})" if was and grown else ""
    told = f"{amount(abs(grown), unit)}{share}"
    if actual <= limit:
        moved = f"grew by {told}" if grown > 0 else f"shrank by {told}" if grown < 0 else "did not change"
        return verdict(growth, "passed", f"{name} {moved}; growth allowed: {growth.text}", **facts)
    message = f"{name} grew by {told} from {amount(was, unit)} to {amount(actual, unit)} since {since}; "
    message += f"growth allowed: {growth.text}"
    blame = culprit(outcome, name, entry)
    return verdict(growth, "exceeded", message, over_by=_rounded(actual - limit), culprit=blame, **facts)


def _allowed(growth: Growth, was: Number) -> Number:
    """The largest figure that is still allowed."""
    more = (
        Fraction(was) * Fraction(growth.percent) / 100 if growth.percent is not None else Fraction(growth.amount or 0)
    )
    most = Fraction(was) + more
    return int(most) if isinstance(was, int) else _rounded(float(most))
