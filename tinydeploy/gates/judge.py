"""Outcomes held against their limits and the baseline: the verdict on each case, and the exit code of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tinydeploy.batch import Outcome
from tinydeploy.config import Budget
from tinydeploy.gates.baseline import Entry
from tinydeploy.gates.culprits import culprit
from tinydeploy.gates.limits import (
    EXCEEDED,
    NO_TOOL,
    NOT_JUDGED,
    amount,
    exit_code,
    figure_budgets,
    growths,
    verdict,
)
from tinydeploy.gates.targets import Target
from tinydeploy.report.verdicts import CaseVerdict, Verdict

_SAYS = {"does-not-fit": "fits", "differs": "matches_reference", "timed-out": "timeout"}


def judge(target: Target, outcome: Outcome, entry: Entry | None, since: str) -> CaseVerdict:
    """The verdict on one case. entry: the baseline's, if there is one; since: what the baseline is called."""
    limits = target.limits
    verdicts = (
        _fits(outcome),
        *figure_budgets(limits, outcome, entry, since),
        *_holding(limits.budgets.values(), outcome),
        *growths(limits, outcome, entry, since),
    )
    return CaseVerdict(
        model=target.model,
        board=target.board,
        status=outcome.status,
        verdicts=verdicts,
        exit_code=worst([_own_code(outcome, verdicts), *(each.exit_code for each in verdicts)]),
        message=outcome.message,
        hint=outcome.hint,
        model_file=target.model_file,
        sha256=outcome.model_sha256,
        figures=outcome.figures,
        kinds=outcome.kinds,
        baseline={} if entry is None else entry.outcome_figures,
        seconds=outcome.seconds,
        cached=outcome.cached,
    )


def worst(codes: Iterable[int]) -> int:
    """The exit code of several: 1 where a budget is exceeded, else the highest."""
    found = set(codes)
    return EXCEEDED if EXCEEDED in found else max(found, default=0)


def _own_code(outcome: Outcome, verdicts: Sequence[Verdict]) -> int:
    """The status's exit code, unless a budget is about just that."""
    about = any(each.budget == _SAYS.get(outcome.status) and each.result == "exceeded" for each in verdicts)
    return 0 if about else exit_code(outcome)


def _fits(outcome: Outcome) -> Verdict:
    """Whether the board's memories are large enough, which nobody has to ask for."""
    if outcome.status == "does-not-fit":
        blame = culprit(outcome, "flash" if outcome.message.startswith("flash") else "sram", None)
        return Verdict("fits", "exceeded", outcome.message, culprit=blame, exit_code=EXCEEDED)
    if "arena_bytes" not in outcome.figures:
        message = f"nothing is planned: {outcome.message}"
        return Verdict("fits", "unjudged", message, exit_code=exit_code(outcome))
    return Verdict("fits", "passed", "fits")


def _holding(budgets: Iterable[Budget], outcome: Outcome) -> Iterator[Verdict]:
    """Verdicts on what must hold, of the budgets that ask for it."""
    judges = {"timeout": _timeout, "matches_reference": _matches, "no_slow_kernels": _no_slow_kernels}
    for budget in sorted(budgets, key=lambda each: each.name):
        if budget.limit and budget.name in judges:
            yield judges[budget.name](budget, outcome)


def _timeout(budget: Budget, outcome: Outcome) -> Verdict:
    limit, took = float(budget.limit or 0), round(outcome.seconds, 3)
    facts: dict[str, Any] = {"limit": limit, "actual": took, "kind": "measured"}
    if took < limit:  # or the emulator's own patience was at its end
        return verdict(budget, "passed", f"took {amount(took, 's')} of {amount(limit, 's')}", **facts)
    if outcome.status == "timed-out":
        return verdict(budget, "exceeded", f"timed out: {outcome.message}", **facts)
    over = round(took - limit, 3)
    message = f"took {amount(took, 's')}, {amount(over, 's')} over its budget of {amount(limit, 's')}"
    message += ", when it was measured" if outcome.cached else ""
    return verdict(budget, "exceeded", message, over_by=over, **facts)


def _matches(budget: Budget, outcome: Outcome) -> Verdict:
    if outcome.bit_exact:
        return verdict(budget, "passed", f"outputs are those of {outcome.against}, bit by bit")
    if outcome.status == "differs":
        return verdict(budget, "exceeded", f"outputs differ from the reference: {outcome.message}")
    if outcome.status != "ok":
        why, code = outcome.message, exit_code(outcome)
    elif outcome.case.depth != "run":
        why, code = f"nothing runs at depth {outcome.case.depth}: --depth run", NOT_JUDGED
    else:
        why, code = " — ".join(part for part in (outcome.message, outcome.hint) if part), NO_TOOL
    return verdict(budget, "unjudged", f"outputs cannot be compared: {why}", exit_code=code)


def _no_slow_kernels(budget: Budget, outcome: Outcome) -> Verdict:
    if not outcome.layers:
        message = f"kernels cannot be judged: {outcome.message}"
        return verdict(budget, "unjudged", message, exit_code=exit_code(outcome) or NOT_JUDGED)
    slow, of_all = sum(1 for layer in outcome.layers if layer.slow), f"of {len(outcome.layers)} operators"
    if not slow:
        return verdict(budget, "passed", f"none {of_all} goes by a slow kernel")
    message = f"{slow} {of_all} {'goes' if slow == 1 else 'go'} by a slow kernel"
    return verdict(budget, "exceeded", message, culprit=culprit(outcome, budget.name, None))
