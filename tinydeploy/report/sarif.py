"""Renders a check as SARIF 2.1.0 (OASIS), which GitHub's code scanning shows: a rule for each budget.

Where code scanning asks for more than the standard (a location in every result, the name of the fingerprint that it
follows a result by): GitHub's documentation, "SARIF support for code scanning".
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from typing import Any
from urllib.parse import quote

from tinydeploy.report.document import Provenance
from tinydeploy.report.findings import COMPLETES, Finding, findings, visible
from tinydeploy.report.verdicts import CheckReport

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"  # what files are relative to: the top of the repository, where `check` is run

# Statuses that say nothing about the model: the check itself did not get so far.
_NOT_JUDGED = frozenset({"timed-out", "missing-tool", "crashed"})


def render(report: CheckReport, where: Provenance) -> str:
    """The JSON text, ASCII only, with a final newline. All findings are results of level `error`; what is kept is not
    mentioned, but its rule is listed."""
    rules = sorted({COMPLETES, *(verdict.rule for case in report.cases for verdict in case.verdicts)})
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "tinydeploy",
                        "version": where.tinydeploy,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": "tinydeploy/"},
                "invocations": [
                    {
                        "executionSuccessful": not any(case.status in _NOT_JUDGED for case in report.cases),
                        "exitCode": report.exit_code,
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, rules) for finding in findings(report)],
                "properties": {"tools": dict(where.tools)},
            }
        ],
    }
    return json.dumps(log, indent=2, allow_nan=False) + "\n"


def _rule(rule: str) -> dict[str, Any]:
    if rule == COMPLETES:
        short, full = "Deploys", "The model can be read, fits the board, runs on it, and gives the right outputs."
    elif rule.endswith("-growth"):
        short = f"Growth of {rule.removesuffix('-growth')}"
        full = "A figure of a model on a board grows by no more than it may since the baseline."
    else:
        short, full = f"Budget: {rule}", "A figure of a model on a board keeps its budget."
    return {
        "id": rule,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": f"{full} `tinydeploy check` says by how much it is not so, and what is responsible."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    case = finding.case
    location = {
        "physicalLocation": {
            "artifactLocation": _artifact(finding.file),
            "region": {"startLine": finding.line or 1},
        },
        "logicalLocations": [{"name": _text(case.name), "kind": "module"}],
    }
    identity = "\0".join((finding.rule, case.model, case.board)).encode("utf-8", errors="surrogatepass")
    text = f"{case.name}: {finding.message}" if case.name not in finding.message else finding.message
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": "error",
        "message": {"text": _text("\n".join(part for part in (text, finding.detail) if part))},
        "locations": [location],
        # The same finding after the budget's line has moved, and not that of the next model below the same budget.
        "partialFingerprints": {"primaryLocationLineHash": f"{hashlib.sha256(identity).hexdigest()[:16]}:1"},
        "properties": {"model": _text(case.model), "board": _text(case.board), "status": case.status},
    }


def _artifact(file: str) -> dict[str, str]:
    path = quote(posixpath.normpath(file), safe="/", errors="replace")
    return {"uri": f"file://{path}"} if path.startswith("/") else {"uri": path, "uriBaseId": _ROOT}


def _text(text: str) -> str:
    # a bracket and a parenthesis side by side make a link of what is in them, in plain text, too
    return visible(text, keep="\n").replace("](", "] (")
