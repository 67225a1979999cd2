"""Checks as JUnit XML: held against the schema of Jenkins' xUnit plugin, and read back by another package."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.check_reports import CASES, EMPTY, FITS_NOT, PASSED, PROVENANCE, REPORT, TOO_LARGE, budget
from tinydeploy.report import junit
from tinydeploy.report.verdicts import CaseVerdict, CheckReport


class Rule(NamedTuple):
    """Of an element: attributes that it must have, others that it may have, and children."""

    must: str = ""
    may: str = ""
    children: str = ""


# Facts of Jenkins' junit-10.xsd (xunit-plugin 3), those parts that a writer of results may use.
SCHEMA = {
    "testsuites": Rule("", "name time tests failures errors", "testsuite"),
    "testsuite": Rule(
        "name tests failures errors",
        "group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "properties": Rule(children="property"),
    "property": Rule("name value"),
    "testcase": Rule("name", "time classname group", "skipped error failure system-out system-err"),
    "failure": Rule("", "type message"),
    "error": Rule("", "type message"),
    "skipped": Rule("", "type message"),
}


def conforms(element: ET.Element) -> None:
    """Raise unless the element is as the schema has it, and everything in it."""
    rule = SCHEMA[element.tag]
    must = set(rule.must.split())
    assert must <= set(element.attrib) <= must | set(rule.may.split()), element.tag
    assert {child.tag for child in element} <= set(rule.children.split()), element.tag
    if rule.children:
        assert not (element.text or "").strip()
    for name in {"time"} & set(element.attrib):
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.attrib[name])
    for child in element:
        conforms(child)


def parsed(report: CheckReport) -> ET.Element:
    """The report as it is read by a parser that refuses what is no XML."""
    root = ET.fromstring(junit.render(report, PROVENANCE))
    conforms(root)
    return root


@pytest.mark.parametrize("report", [REPORT, PASSED, EMPTY])
def test_the_schema_is_kept(report: CheckReport) -> None:
    assert len(parsed(report)) == len(report.cases)


def test_what_each_test_case_comes_to() -> None:
    found = {
        (number, test.attrib["name"]): [child.tag for child in test]
        for number, suite in enumerate(parsed(REPORT))
        for test in suite.iter("testcase")
    }
    assert found == {
        (0, "completes"): [],
        (0, "arena"): [],
        (0, "flash"): [],
        (1, "completes"): [],
        (1, "arena"): ["failure"],
        (1, "arena-growth"): ["failure"],
        (1, "cycles"): ["failure"],  # the case did end well: nothing else says that it was not judged
        (2, "completes"): ["failure"],
        (2, "arena"): ["failure"],
        (2, "instructions"): ["skipped"],
        (3, "completes"): ["error"],
        (3, "arena"): ["skipped"],
        (4, "completes"): ["error"],
        (4, "arena"): ["skipped"],
    }


def test_what_a_budget_says_is_not_said_twice() -> None:
    [suite] = parsed(CheckReport((FITS_NOT,), 1))
    assert [(test.attrib["name"], [child.tag for child in test]) for test in suite.iter("testcase")] == [
        ("fits", ["failure"]),
        ("instructions", ["skipped"]),
    ]


def test_counts() -> None:
    root = parsed(REPORT)
    counts = ("tests", "failures", "errors", "skipped")
    assert [[suite.attrib[name] for name in counts] for suite in root] == [
        ["3", "0", "0", "0"],
        ["4", "3", "0", "0"],
        ["3", "2", "0", "1"],
        ["2", "0", "1", "1"],
        ["2", "0", "1", "1"],
    ]
    assert [root.attrib[name] for name in counts[:3]] == ["14", "5", "2"]
    assert root.attrib["time"] == "1.750"


def test_a_failure_says_all_that_is_known() -> None:
    [failure] = parsed(REPORT)[1].findall("testcase[@name='arena']/failure")
    assert failure.attrib == {"type": "exceeded", "message": "arena 70.0 KiB, budget 64.0 KiB: 6.0 KiB over"}
    assert failure.text == (
        "arena 70.0 KiB, budget 64.0 KiB: 6.0 KiB over\nlayer 3 CONV_2D\nbudget: fw/tinydeploy.toml:7"
    )


def test_where_the_figures_come_from() -> None:
    properties = {p.attrib["name"]: p.attrib["value"] for p in parsed(REPORT)[0].iter("property")}
    assert properties == {
        "tinydeploy": "9.9.9",
        "tool.gcc": "14.2",
        "option.execution": "streamed",
        "option.boards": "a, b",
        "board": "demo_board",
        "model": "kws",
        "model.sha256": "ab" * 32,
        "configuration": "fw/tinydeploy.toml",
        "baseline": "tinydeploy.lock",
        "arena_bytes": "4096",
    }


def test_a_model_is_one_class_below_its_board() -> None:
    names = {test.attrib["classname"] for test in parsed(REPORT)[1].iter("testcase")}
    assert names == {"demo_board.models_vww_tflite"}


def test_another_package_reads_the_same(tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser", reason="pip install junitparser")
    file = tmp_path / "junit.xml"
    file.write_text(junit.render(REPORT, PROVENANCE), encoding="utf-8")
    read = junitparser.JUnitXml.fromfile(str(file))
    assert (read.tests, read.failures, read.errors) == (14, 5, 2)
    written = [dict(suite.attrib) for suite in parsed(REPORT)]
    read.update_statistics()  # counts anew
    assert [(s.tests, s.failures, s.errors, s.skipped) for s in read] == [
        tuple(int(suite[name]) for name in ("tests", "failures", "errors", "skipped")) for suite in written
    ]


@given(st.text(st.characters(), max_size=40), st.sampled_from(CASES))
def test_whatever_a_name_holds_it_stays_xml(text: str, case: CaseVerdict) -> None:
    evil = CaseVerdict(
        text, text, case.status, (budget("arena", result="exceeded", message=text, culprit=text, file=text),), 1,
        message=text, hint=text, model_file=text,
    )  # fmt: skip
    data = junit.render(CheckReport((evil, TOO_LARGE), 1, since=text), PROVENANCE).encode("utf-8")
    root = ET.fromstring(data)
    conforms(root)
    assert all(c.isprintable() or c in "\n " for c in data.decode("utf-8"))
    if text.isprintable():
        assert root[0].attrib["name"] == f"{text} on {text}"
