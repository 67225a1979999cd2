"""The report of `check`: the answer first, then a line for each case, then all that is wrong and who is responsible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tinydeploy.report.document import Block, Column, Document, Line, Provenance, Table, envelope, number, told
from tinydeploy.report.findings import details, explained, incomplete, visible
from tinydeploy.report.verdicts import CaseVerdict, CheckReport, Number, Verdict

_COLUMNS = (
    ("arena B", "arena_bytes"),
    ("SRAM B", "sram_bytes"),
    ("flash B", "flash_bytes"),
    ("instructions", "instructions"),
    ("ms", "latency_ms"),
)
_VERDICT_KEYS = (
    "budget",
    "growth",
    "result",
    "message",
    "unit",
    "actual",
    "limit",
    "allowed",
    "over_by",
    "kind",
    "baseline",
    "since",
    "culprit",
    "file",
    "line",
    "exit_code",
)


def check_document(report: CheckReport, provenance: Provenance) -> Document:
    """The report for people and machines."""
    kinds = {
        f"cases[{n}].figures.{name}": kind for n, case in enumerate(report.cases) for name, kind in case.kinds.items()
    }
    data: dict[str, Any] = {
        **envelope("check", provenance, kinds),
        "passed": report.passed,
        "exit_code": report.exit_code,
        "config": report.config_file,
        "baseline": {"file": report.baseline_file, "since": report.since, "updated": report.updated},
        "notes": list(report.notes),
        "cases": [_case_data(case) for case in report.cases],
    }
    blocks: list[Block] = [
        Line("check", "title"),
        Line(_answer(report), "good" if report.passed else "bad"),
        _table(report),
    ]
    for case in report.cases:
        blocks += _wrong(case)
    blocks += [Line(visible(f"note: {note}")) for note in report.notes]
    if report.updated:
        blocks.append(Line(f"{report.baseline_file} is up to date: `git diff` shows what changed"))
    blocks.append(told(provenance))
    return Document(tuple(blocks), data)


def _answer(report: CheckReport) -> str:
    wrong = [case for case in report.cases if not case.passed]
    cases = _many(len(report.cases), "case")
    if not wrong:
        return f"passed: {_many(sum(len(case.verdicts) for case in report.cases), 'budget')} of {cases}, all kept"
    exceeded = sum(1 for case in wrong for verdict in case.failures if verdict.result == "exceeded")
    if not exceeded:
        return f"failed: {len(wrong)} of {cases} did not come to an end or cannot be judged"
    return f"failed: {_many(exceeded, 'budget')} exceeded, {len(wrong)} of {cases} not passed"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _table(report: CheckReport) -> Table:
    columns = (
        Column("model"),
        Column("board"),
        *(Column(title, True) for title, _ in _COLUMNS),
        Column("budgets", True),
        Column(""),
    )
    rows = tuple(
        (
            visible(case.model),
            visible(case.board),
            *(_cell(case, figure) for _, figure in _COLUMNS),
            f"{sum(1 for verdict in case.verdicts if verdict.passed)} of {len(case.verdicts)}",
            "passed" if case.passed else case.status if case.status != "ok" else "failed",
        )
        for case in report.cases
    )
    marked = frozenset(position for position, case in enumerate(report.cases) if not case.passed)
    notes = ["in brackets: what changed since the baseline"] if any(case.baseline for case in report.cases) else []
    notes += ["~ is an estimate"] if any("~" in cell for row in rows for cell in row[2:]) else []
    return Table("", columns, rows, marked, "; ".join(notes))


def _cell(case: CaseVerdict, figure: str) -> str:
    """A figure, and by how much it differs from the baseline's."""
    value, was = case.figures.get(figure), case.baseline.get(figure)
    if value is None:
        return ""
    value = _rounded(value)
    text = ("~" if case.kinds.get(figure) == "estimated" else "") + _amount(value)
    if was is None or case.kinds.get(figure) == "estimated" or _rounded(value - was) == 0:
        return text
    return f"{text} ({'+' if value > was else '−'}{_amount(abs(_rounded(value - was)))})"


def _rounded(value: Number) -> Number:
    return value if isinstance(value, int) else round(value, 3)


def _amount(value: Number) -> str:
    return number(value) if isinstance(value, int) else f"{value:.3f}"


def _wrong(case: CaseVerdict) -> Iterator[Line]:
    """What is wrong with a case, each with who is responsible."""
    told = [verdict for verdict in case.failures if not explained(case, verdict)]
    if incomplete(case):
        yield Line(visible(f"{case.name}: {case.status}: {case.message}"), "bad")
    for verdict in told:
        yield Line(visible(f"{case.name}: {verdict.message}"), "bad")
        yield from (Line(visible(f"  {text}")) for text in details(verdict))
    if case.hint and not case.passed and not any(case.hint in verdict.message for verdict in told):
        yield Line(visible(f"  hint: {case.hint}"))


def _case_data(case: CaseVerdict) -> dict[str, Any]:
    return {
        "model": case.model,
        "board": case.board,
        "passed": case.passed,
        "exit_code": case.exit_code,
        "status": case.status,
        "message": case.message,
        "hint": case.hint,
        "model_file": case.model_file,
        "sha256": case.sha256,
        "figures": dict(case.figures),
        "baseline": dict(case.baseline),
        "seconds": round(case.seconds, 3),
        "cached": case.cached,
        "verdicts": [_verdict_data(verdict) for verdict in case.verdicts],
    }


def _verdict_data(verdict: Verdict) -> dict[str, Any]:
    fields = asdict(verdict)
    return {key: fields[key] for key in _VERDICT_KEYS}
