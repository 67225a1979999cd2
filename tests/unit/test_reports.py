"""Reports: the JSON's keys, numbers that are never shortened, and names from hostile models that act nowhere."""

from __future__ import annotations

import json as stdlib_json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import reports
from tests.support.json_schema import PLAN, RUN, check
from tinydeploy.report import json, markdown, table
from tinydeploy.report.costs import cost_document
from tinydeploy.report.document import Column, Document, Facts, Line, Table, bar
from tinydeploy.report.plans import plan_document
from tinydeploy.report.runs import run_document, verdict


def parsed(document: Document) -> Any:
    return stdlib_json.loads(json.render(document))


@pytest.fixture(scope="module", name="planned")
def _planned() -> Any:
    return reports.planned()


def test_plan_json(planned: Any) -> None:
    data = parsed(plan_document(planned, reports.OTHERS, reports.PROVENANCE))
    check(data, PLAN)
    # By hand: the depthwise convolution has its 256 bytes of input and of output alive, more than any other layer.
    assert data["sram"]["arena_bytes"] == data["sram"]["lower_bound_bytes"] == 512
    assert data["sram"]["optimal"] is True
    assert data["sram"]["total_bytes"] == 512 + 1024 + 100
    assert data["flash"] == {
        "weights_bytes": 2800,
        "code_bytes": 9000,
        "total_bytes": 11800,
        "capacity_bytes": 65536,
        "over_bytes": 0,
    }
    assert data["kinds"]["flash.code_bytes"] == "estimated"
    assert data["totals"]["macs"] == 2304 + 2304 + 2560
    assert data["totals"]["flop"] == 2 * 7168
    assert data["totals"]["params"] == 36 + 36 + 2560
    assert data["totals"]["activations"] == 64 + 256 + 256 + 10
    assert data["totals"]["peak_activations"] == 512
    assert [layer["live_bytes"] for layer in data["layers"]] == [320, 512, 272]
    assert [layer["macs"] for layer in data["layers"]] == [2304, 2304, 2560]
    assert data["layers"][0]["name"] == reports.HOSTILE  # exact in JSON
    assert data["layers"][0]["outputs"] == [reports.HOSTILE]
    assert data["layers"][2]["output_shape"] == [1, 10]
    assert {t["name"]: (t["bytes"], t["first"], t["end"]) for t in data["tensors"]} == {
        "image": (64, 0, 1),
        reports.HOSTILE: (256, 0, 2),
        "second": (256, 1, 3),
        "scores": (10, 2, 3),
    }
    assert {t["region"] for t in data["tensors"]} == {"SRAM"}
    assert data["peak"]["operator"] == 1
    assert data["provenance"] == {
        "tinydeploy": "9.9.9",
        "options": {"solver": "auto", "in_place": True},
        "tools": {"tool": "1.0"},
    }


def test_plan_that_does_not_fit() -> None:
    data = parsed(plan_document(reports.planned(ram_bytes=1500, flash_bytes=11000), reports.OTHERS, reports.PROVENANCE))
    assert data["fits"] is False
    assert data["sram"]["over_bytes"] == 1636 - 1500
    assert data["flash"]["over_bytes"] == 11800 - 11000
    assert "136 bytes too small" in data["why_not"]
    # 1500 − 1024 − 100 = 376 bytes are left for the arena; only the second layer needs more
    assert [(s["operator"], s["over_bytes"]) for s in data["shrink"]] == [(1, 512 - 376)]


def test_run_json(planned: Any) -> None:
    where = reports.PROVENANCE
    data = parsed(run_document(planned, reports.run_facts(), reports.OUTPUTS, reports.EXACT, where))
    check(data, RUN)
    assert data["run"]["layers"] == [
        {"index": 0, "instructions": 10_000, "cycles": 12_500},
        {"index": 1, "instructions": 20_000, "cycles": 25_000},
        {"index": 2, "instructions": 9_000, "cycles": 11_250},
    ]
    kind = "modelled: cortex-m4 instruction timing, zero wait states"
    assert data["run"]["cycles"] == {"value": 50_000, "kind": kind}
    assert (data["kinds"]["run.cycles"], data["kinds"]["run.layers.cycles"]) == ("modelled", "modelled")
    assert data["verified"]["second"] == {"against": "ai-edge-litert 2.0", "agrees": True}
    unverified = parsed(run_document(planned, reports.run_facts(), (), None, where, not_verified="told not to"))
    assert unverified["verified"] is None
    assert unverified["not_verified"] == "told not to"
    different = parsed(run_document(planned, reports.run_facts(), (), reports.DIFFERENT, where))
    assert different["verified"]["first_difference"]["index"] == [0, 1, 2, 3]
    assert (different["verified"]["first_difference"]["ours"], different["verified"]["max_abs"]) == (-5, 3.0)


def test_cost_json(planned: Any) -> None:
    data = parsed(cost_document(planned.costs, reports.PROVENANCE, bits=4))
    assert data["model_size"] == {"bits": 4, "bytes": 2632 // 2}
    assert "estimate" not in data
    assert [layer["params"] for layer in data["layers"]] == [36, 36, 2560]


def test_json_is_ascii_and_refuses_what_json_has_not(planned: Any) -> None:
    assert json.render(plan_document(planned, reports.OTHERS, reports.PROVENANCE)).isascii()
    with pytest.raises(ValueError):
        json.render(Document((), {"x": float("nan")}))


@pytest.mark.parametrize("width", [None, 200, 80, 40, 1])
@pytest.mark.parametrize("colour", [False, True])
def test_numbers_are_never_shortened(planned: Any, width: int | None, colour: bool) -> None:
    text = table.render(plan_document(planned, reports.OTHERS, reports.PROVENANCE), width=width, colour=colour)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert (plain == text) is not colour
    line = next(line for line in plain.splitlines() if "2,560" in line)
    assert re.search(r"2\s+FULLY.* 1×10 .* 2,560 +2,560 +2,560 +all +272 ", line)
    assert "…" not in plain.split("peak:")[0]


def test_a_pipe_gets_one_line_for_each_row(planned: Any) -> None:
    text = table.render(plan_document(planned, reports.OTHERS, reports.PROVENANCE))
    assert "\x1b" not in text
    assert sum("CONV_2D" in line and "1×8×8×4" in line for line in text.splitlines()) == 2
    assert not any(line != line.rstrip() for line in text.splitlines())


@given(st.text(max_size=30))
def test_no_name_acts_in_a_terminal(name: str) -> None:
    """Names come through `printable`; table cells are plain text to rich: no markup, no emoji, no sequences."""
    from tinydeploy.operators.base import printable

    shown = printable(name)
    document = Document(
        (Table("", (Column("name"),), ((f"[red]:smile:{shown}|",),)), Line(shown), Facts("", (("a", shown),))), {}
    )
    text = table.render(document)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "[red]:smile:" in text
    assert "\x1b[" not in re.sub(r"\x1b\[[0-9;]*m", "", table.render(document, width=80, colour=True))


def test_hostile_names_in_every_rendering(planned: Any) -> None:
    for document in (
        plan_document(planned, reports.OTHERS, reports.PROVENANCE),
        run_document(planned, reports.run_facts(), reports.OUTPUTS, reports.DIFFERENT, reports.PROVENANCE),
    ):
        for text in (table.render(document), markdown.render(document)):
            assert "\x1b" not in text
            assert "\u202e" not in text
        written = markdown.render(document)
        assert "<b>" not in written
        assert "conv\\|1\\`\\[red\\]&lt;b&gt;" in written


def test_markdown_rows_have_as_many_cells_as_columns() -> None:
    cells = ("a|b", "c\nd", "`e`", "<f>", "g\\|h")
    text = markdown.render(Document((Table("", tuple(Column(str(i)) for i in range(5)), (cells,)),), {}))
    row = text.splitlines()[2]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 6


@pytest.mark.parametrize(
    ("value", "full", "expected"),
    [(8, 8, "████████"), (4, 8, "████    "), (1, 1000, "▏       "), (0, 8, "        "), (5, 0, ""), (9, 8, "████████")],
)
def test_bar(value: int, full: int, expected: str) -> None:
    assert bar(value, full) == expected


def test_verdicts() -> None:
    assert (
        verdict(reports.EXACT, "").text
        == "bit-exact with tflite-micro 1.2 on 2 input(s); ai-edge-litert 2.0 agrees with it"
    )
    wrong = verdict(reports.DIFFERENT, "")
    assert wrong.tone == "bad"
    assert (
        "differs from tflite-micro 1.2 in 7 of 1,044 elements; ai-edge-litert 2.0 does not agree with it" in wrong.text
    )
    assert "operator 0 (CONV_2D)" in wrong.text
    assert "[0, 1, 2, 3]: -5, not -4" in wrong.text
    assert verdict(None, "the package is missing").text == "not verified: the package is missing"


def test_the_page_on_json_names_every_key(planned: Any) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z_0-9]+", page))
    document = run_document(planned, reports.run_facts(), reports.OUTPUTS, reports.DIFFERENT, reports.PROVENANCE)
    for key, value in document.data.items():
        assert key in words, key
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and key not in ("kinds", "totals"):
            assert not set(inner) - words, (key, set(inner) - words)
