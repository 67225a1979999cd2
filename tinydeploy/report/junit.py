"""Renders a check as JUnit XML, which Jenkins, GitLab, Azure and Buildkite read: a suite for each model on a board.

A suite's test cases are one for each budget, and `completes` unless a budget says that it does not. There is no time
of day and no host name in it: the same check gives the same file but for the seconds that it took.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from tinydeploy.report.document import Provenance
from tinydeploy.report.findings import COMPLETES, details, explained, incomplete, visible
from tinydeploy.report.verdicts import CaseVerdict, CheckReport, Verdict

# A model that breaks a rule is a failure; where nothing could be found out about it, that is an error.
_FAILURES = frozenset({"does-not-fit", "failed", "differs"})


def render(report: CheckReport, where: Provenance) -> str:
    """The XML text, with a final newline."""
    root = ET.Element("testsuites", name="tinydeploy check")
    for case in report.cases:
        root.append(_suite(report, case, where))
    for counted in ("tests", "failures", "errors"):
        root.set(counted, str(sum(int(suite.attrib[counted]) for suite in root)))
    root.set("time", _seconds(sum(case.seconds for case in report.cases)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(report: CheckReport, case: CaseVerdict, where: Provenance) -> ET.Element:
    tests = [_budget(case, verdict) for verdict in case.verdicts]
    if case.status == "ok" or incomplete(case):
        tests.insert(0, _completes(case))
    suite = ET.Element("testsuite", name=visible(case.name), tests=str(len(tests)))
    for counted, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(counted, str(sum(test.find(tag) is not None for test in tests)))
    suite.set("time", _seconds(case.seconds))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report, case, where).items():
        ET.SubElement(properties, "property", name=visible(name), value=visible(value))
    suite.extend(tests)
    return suite


def _properties(report: CheckReport, case: CaseVerdict, where: Provenance) -> dict[str, str]:
    found = {
        "tinydeploy": where.tinydeploy,
        **{f"tool.{name}": version for name, version in where.tools.items()},
        **{f"option.{name}": _option(value) for name, value in where.options.items()},
        "board": case.board,
        "model": case.model,
        "model.file": case.model_file,
        "model.sha256": case.sha256,
        "configuration": report.config_file,
        "baseline": report.since,
        **{name: str(value) for name, value in case.figures.items()},
    }
    return {name: value for name, value in found.items() if value}


def _option(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)


def _completes(case: CaseVerdict) -> ET.Element:
    test = _test(case, COMPLETES, case.seconds)
    if case.status != "ok":
        tag = "failure" if case.status in _FAILURES else "error"
        _say(test, tag, case.status, case.message, [f"hint: {case.hint}"] if case.hint else [])
    return test


def _budget(case: CaseVerdict, verdict: Verdict) -> ET.Element:
    test = _test(case, verdict.rule, 0)
    if explained(case, verdict):
        ET.SubElement(test, "skipped", message=visible(verdict.message))
    elif not verdict.passed:
        _say(test, "failure", verdict.result, verdict.message, details(verdict))
    return test


def _test(case: CaseVerdict, name: str, seconds: float) -> ET.Element:
    # Jenkins takes what comes before the last dot for a package: boards, with the models in them.
    board, model = (re.sub(r"[./\\]", "_", part) for part in (case.board, case.model))
    return ET.Element("testcase", name=name, classname=visible(f"{board}.{model}"), time=_seconds(seconds))


def _say(test: ET.Element, tag: str, kind: str, message: str, more: list[str]) -> None:
    element = ET.SubElement(test, tag, type=kind, message=visible(message))
    element.text = "\n".join(visible(line) for line in (message, *more))


def _seconds(value: float) -> str:
    return f"{value:.3f}"
