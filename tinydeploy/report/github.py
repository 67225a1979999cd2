"""Renders a check for GitHub Actions: workflow commands that annotate files, and the job summary in Markdown.

The commands' form and limits: GitHub's documentation, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from tinydeploy.report import markdown
from tinydeploy.report.document import Document
from tinydeploy.report.findings import Finding, findings, visible
from tinydeploy.report.verdicts import CheckReport

# What GitHub shows of one step: so many annotations of each level, and a summary of 1 MiB.
ANNOTATIONS = 10
SUMMARY_BYTES = 1024 * 1024

_CUT = "\n*The rest is left out: GitHub takes no longer summaries. The reports have it all.*\n"


def render(report: CheckReport) -> str:
    """Workflow commands, a line each: an error for each finding, a notice for each note; and a line that counts.

    Where there are more than GitHub shows, the last one says how many.
    """
    found = findings(report)
    lines = _limited("error", [_annotation(finding) for finding in found])
    lines += _limited("notice", [({"title": "tinydeploy check"}, note) for note in report.notes])
    budgets = sum(len(case.verdicts) for case in report.cases)
    lines.append(f"tinydeploy check: cases {len(report.cases)}, budgets {budgets}, findings {len(found)}")
    return "\n".join(lines) + "\n"


def summary(document: Document) -> str:
    """The report as Markdown, cut after a line where it would be longer than a job summary may be."""
    text = markdown.render(document)
    data = text.encode("utf-8", errors="replace")
    if len(data) <= SUMMARY_BYTES:
        return text
    kept = data[: SUMMARY_BYTES - len(_CUT.encode())]
    return kept[: kept.rfind(b"\n") + 1].decode("utf-8") + _CUT


def _annotation(finding: Finding) -> tuple[dict[str, str], str]:
    properties = {"file": finding.file}
    if finding.line is not None:
        properties["line"] = str(finding.line)
    properties["title"] = finding.title
    return properties, "\n".join(part for part in (finding.message, finding.detail) if part)


def _limited(level: str, annotations: list[tuple[dict[str, str], str]]) -> list[str]:
    if len(annotations) > ANNOTATIONS:
        more = len(annotations) - (ANNOTATIONS - 1)
        rest = {"title": "tinydeploy check"}, f"and {more} more: see the job summary and the reports"
        annotations = [*annotations[: ANNOTATIONS - 1], rest]
    return [_command(level, properties, message) for properties, message in annotations]


def _command(level: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {told}::{_data(message)}"


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")


def _data(text: str) -> str:
    return visible(text, keep="\n").replace("%", "%25").replace("\n", "%0A")
