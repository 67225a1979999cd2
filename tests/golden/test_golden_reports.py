"""Reports as people see them, kept as files beside this one.

After a wanted change: `python -m tests.golden.test_golden_reports` writes them anew; read the difference before
committing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import reports
from tinydeploy.cost.latency import estimate
from tinydeploy.report import json, markdown, table
from tinydeploy.report.costs import cost_document
from tinydeploy.report.document import Document
from tinydeploy.report.listings import board_document, boards_document
from tinydeploy.report.plans import plan_document
from tinydeploy.report.runs import run_document

FOLDER = Path(__file__).parent / "reports"


def documents() -> dict[str, Document]:
    """Every report, by name."""
    fits, small = reports.planned(), reports.planned(ram_bytes=1500, flash_bytes=11000)
    where = reports.PROVENANCE
    return {
        "plan": plan_document(fits, reports.OTHERS, where),
        "plan_too_small": plan_document(small, reports.OTHERS, where),
        "cost": cost_document(fits.costs, where, bits=32, estimate=estimate(fits.costs, fits.board)),
        "run": run_document(fits, reports.run_facts(), reports.OUTPUTS, reports.EXACT, where),
        "run_differs": run_document(fits, reports.run_facts(), reports.OUTPUTS, reports.DIFFERENT, where),
        "boards": boards_document([fits.board], where),
        "board": board_document(fits.board, where),
    }


def renderings() -> dict[str, str]:
    """Every golden file's text, by file name."""
    found: dict[str, str] = {}
    for name, document in documents().items():
        found[f"{name}.txt"] = table.render(document)
        found[f"{name}.md"] = markdown.render(document)
        found[f"{name}.json"] = json.render(document)
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_report(name: str) -> None:
    assert renderings()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_every_report_has_its_golden_file() -> None:
    assert sorted(renderings()) == sorted(path.name for path in FOLDER.iterdir())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in renderings().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
