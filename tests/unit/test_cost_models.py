"""Costs of real int8 models, against figures counted by others."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from tinydeploy.cost import CostTable, cost_table
from tinydeploy.operators.registry import kind_of, kinds
from tinydeploy.tflite import read_model


def table_of(name: str) -> CostTable:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("set TINYDEPLOY_MODELS to a folder with the MLPerf Tiny models and mcunet_vww.tflite")
    return cost_table(read_model(Path(folder) / f"{name}.tflite"))


@pytest.mark.parametrize(
    ("name", "macs", "peak"),
    # MACs counted from the files by others; in these models nothing waits for a later operator at the peak, so the
    # peak is the known least arena for whole tensors
    [
        ("vww_96_int8", 7_489_664, 55_296),
        ("kws_ref_model", 2_656_768, 16_000),
        ("pretrainedResnet_quant", 12_501_632, 49_152),
        ("ad01_int8", 264_192, 768),
        ("mcunet_vww", 11_578_816, 161_472),
    ],
)
def test_macs_and_peak(name: str, macs: int, peak: int) -> None:
    table = table_of(name)
    assert table.totals.macs == macs == sum(layer.macs for layer in table.layers)
    assert table.totals.peak_activation_bytes == peak
    assert table.totals.uncounted == ()


def test_weights_of_the_wake_word_model() -> None:
    totals = table_of("vww_96_int8").totals
    assert totals.weight_bytes + totals.bias_bytes == 219_064  # as X-CUBE-AI up to 8.0 reports it
    assert totals.params == totals.weight_bytes


def test_the_autoencoder_by_hand() -> None:
    table = table_of("ad01_int8")
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    pairs = list(pairwise(widths))
    assert [layer.params for layer in table.layers] == [a * b for a, b in pairs]
    assert [layer.bias_bytes for layer in table.layers] == [4 * b for _, b in pairs]
    assert [layer.activation_elements for layer in table.layers] == [a + b for a, b in pairs]
    assert table.totals.activations == sum(widths)


def test_parameters_are_what_the_kinds_say() -> None:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("set TINYDEPLOY_MODELS to a folder of .tflite files")
    for path in sorted(Path(folder).glob("*.tflite")):
        model = read_model(path)
        for op, layer in zip(model.operators, cost_table(model).layers, strict=True):
            kind = kind_of(op.opcode)
            assert kind is None or layer.params == kind.work(model, op).params, f"{path.name}: {op}"


def test_the_page_on_costs_names_every_operator() -> None:
    page = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## OP: arithmetic that is not a MAC")
    assert [kind.opcode for kind in kinds() if f"`{kind.opcode}`" not in section.partition("\n## ")[0]] == []
