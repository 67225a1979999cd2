"""What a check found wrong, one `Finding` each, with the place of the repository at which it is best shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from tinydeploy.report.verdicts import CaseVerdict, CheckReport, Verdict

COMPLETES = "completes"
"""The rule that every case is held to besides its budgets: the model can be read, it fits, it runs, its outputs are
right. A case that breaks it in the way that one of its budgets is about breaks only that."""

_WHERE_BUDGETS_STAND = "tinydeploy.toml"  # where one would be written, for those that are written nowhere


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `rule`: a budget's rule, or `COMPLETES`. `file`: as seen from the working directory, with forward slashes; the line
    of the budget if that is known, else the model. `line`: None where the file has no lines or none is known.
    """

    rule: str
    case: CaseVerdict
    message: str
    detail: str
    file: str
    line: int | None

    @property
    def title(self) -> str:
        """For people: `arena: kws on stm32f746g_disco`."""
        return f"{self.rule}: {self.case.name}"


def incomplete(case: CaseVerdict) -> bool:
    """Whether the case did not do all it should, and none of its budgets says so."""
    said = (verdict.message for verdict in case.verdicts if verdict.result == "exceeded")
    told = case.message and any(case.message in message for message in said)
    return case.status != "ok" and not told


def explained(case: CaseVerdict, verdict: Verdict) -> bool:
    """Whether a budget was not judged because the case ended early, which is said once and not for each budget."""
    return verdict.result == "unjudged" and case.status != "ok"


def findings(report: CheckReport) -> tuple[Finding, ...]:
    """All that is wrong, in the order of the cases; nothing twice."""
    found = []
    for case in report.cases:
        if incomplete(case):
            place = case.model_file or report.config_file
            found.append(Finding(COMPLETES, case, case.message, case.hint or "", _place(report, place), None))
        for verdict in case.failures:
            if explained(case, verdict):
                continue
            file, line = (verdict.file, verdict.line) if verdict.file else (case.model_file, None)
            detail = "\n".join(details(verdict))
            found.append(Finding(verdict.rule, case, verdict.message, detail, _place(report, file), line))
    return tuple(found)


def details(verdict: Verdict) -> list[str]:
    """What a message leaves out, a line each."""
    lines = [verdict.culprit] if verdict.culprit and verdict.culprit not in verdict.message else []
    if verdict.file:
        lines.append(f"budget: {verdict.file}" + (f":{verdict.line}" if verdict.line is not None else ""))
    return lines


def visible(text: str, keep: str = "") -> str:
    """What steers terminals, logs or the direction of reading, as the escape that Python writes for it (`\\x1b`).

    What XML 1.0 cannot hold is among it, tabs and line ends, too, but for those in `keep`.
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def _place(report: CheckReport, file: str) -> str:
    return PurePath(file or report.config_file or _WHERE_BUDGETS_STAND).as_posix()
