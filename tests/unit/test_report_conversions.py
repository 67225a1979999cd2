"""The report of a conversion: the figures of one made up by hand, worst layers first, whatever names it holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tests.support.reports import HOSTILE, network
from tinydeploy.convert.types import Converted, Evaluation, LayerLoss, Source
from tinydeploy.report import markdown, table
from tinydeploy.report.conversions import conversion_blocks, conversion_data, conversion_kinds, worst
from tinydeploy.report.document import Document, Table

LOSSES = (
    LayerLoss(0, "CONV_2D", HOSTILE, 40.123, 41.0),
    LayerLoss(1, "DEPTHWISE_CONV_2D", "second;fused", 21.987, 22.5),
    LayerLoss(2, "FULLY_CONNECTED", "scores", 20.0, None),
)
CONVERTED = Converted(
    data=bytes(4096),
    float_data=bytes(9),
    source=Source("keras", HOSTILE, "demo", Path("demo.keras")),
    source_sha256="cd" * 32,
    source_bytes=51200,
    float_weights_bytes=10528,
    calibration_spec=HOSTILE,
    calibration_sha256="ef" * 32,
    calibration_samples=200,
    losses=LOSSES,
    evaluation=Evaluation(360, 357, 350, 349, 31.256, HOSTILE, "01" * 32, "tflite-micro"),
    warnings=(f"of {HOSTILE}",),
    tools={"tensorflow": "2.21.0"},
)


def shown(converted: Converted) -> tuple[str, str]:
    """As a table and as Markdown."""
    document = Document(conversion_blocks(converted, network()), {})
    return table.render(document, width=240), markdown.render(document)


def test_figures_are_told() -> None:
    for text in shown(CONVERTED):
        assert "50.0 KiB" in text and "10.3 KiB, 2,632 parameters of 4 bytes" in text
        assert "4.0 KiB with everything in it, 38.9% of the float weights" in text
        assert "float 350 correct (97.2%), int8 349 correct (96.9%), the same class in 357 (99.2%)" in text
        assert "outputs 31.3 dB SQNR; computed on this computer, int8 by tflite-micro" in text
        assert "over 32 calibration samples" in text
        assert "\x1b" not in text and "\u202e" not in text


def test_the_layers_that_lose_most_come_first_by_their_own_part() -> None:
    assert [loss.operator for loss in worst(LOSSES)] == [1, 0]
    by_all = worst([replace(loss, own_sqnr_db=None) for loss in LOSSES])
    assert [loss.operator for loss in by_all] == [2, 1, 0]
    many = replace(CONVERTED, losses=tuple(LayerLoss(i, "ADD", f"l{i}", 50.0, 50.0 - i) for i in range(25)))
    found = next(b for b in conversion_blocks(many, network()) if isinstance(b, Table) and "SQNR dB" in str(b.columns))
    assert [row[0] for row in found.rows] == [str(i) for i in range(24, 14, -1)]
    assert "all 25 in --format json" in found.note


def test_json_holds_everything_exactly() -> None:
    data = json.loads(json.dumps(conversion_data(CONVERTED, network()), allow_nan=False))
    assert data["source"]["given"] == HOSTILE and data["source"]["bytes"] == 51200
    assert data["operators"] == [
        {"opcode": "CONV_2D", "count": 1},
        {"opcode": "DEPTHWISE_CONV_2D", "count": 1},
        {"opcode": "FULLY_CONNECTED", "count": 1},
    ]
    assert [loss["sqnr_db"] for loss in data["losses"]] == [40.12, 21.99, 20.0]
    assert data["losses"][2]["own_sqnr_db"] is None and data["loss_samples"] == 32
    assert data["evaluation"]["int8_correct"] == 349 and data["calibration"]["samples"] == 200
    assert conversion_kinds() == {"conversion": "computed"}


def test_what_there_was_not_is_not_told() -> None:
    bare = replace(
        CONVERTED, losses=(), evaluation=None, calibration_spec=None, calibration_samples=0, tools={}, warnings=()
    )
    for text in shown(bare):
        assert not re.search("SQNR|evaluation|calibration|warning|None", text)
    data = conversion_data(bare, network())
    assert data["losses"] == [] and data["evaluation"] is None and data["calibration"] is None


def test_keys_are_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", page))

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    data = {**conversion_data(CONVERTED, network()), "tools": {}}
    assert keys(data) - words == set()
    assert all(f"`conversion.{key}" in page for key in data)
