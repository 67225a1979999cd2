"""The model card: what it tells, and that nothing of others acts in it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

import pytest

from tests.support.packages import planned
from tinydeploy.convert.types import Converted, Evaluation, LayerLoss, Pixels, Source
from tinydeploy.export.card import model_card
from tinydeploy.export.types import CardFacts
from tinydeploy.pipeline import figures_of

SHA = "ab" * 32


@dataclass(frozen=True)
class Number:
    """A figure with its kind."""

    value: int | float
    kind: str


def converted(text: str = "nets/net.keras", spec: str = "data.npz") -> Converted:
    return Converted(
        data=b"x" * 7936,
        float_data=None,
        source=Source("keras", text, "net"),
        source_sha256="cd" * 32,
        source_bytes=123456,
        float_weights_bytes=8000,
        calibration_spec=spec,
        calibration_sha256="ef" * 32,
        calibration_samples=64,
        losses=(LayerLoss(0, "CONV_2D", "fine", 41.0, 42.0), LayerLoss(3, "SOFTMAX", "rough", 20.0, 12.5)),
        evaluation=Evaluation(360, 357, 350, 349, 30.0, spec, "12" * 32),
        tools={"tensorflow": "2.20.0"},
    )


def facts(**more: object) -> CardFacts:
    of = planned()
    told = CardFacts("digits", of.model, SHA, 7936, "tinydeploy", board=of.board)
    return replace(told, **more)  # type: ignore[arg-type]


def rows(card: str) -> dict[str, str]:
    """First and second cell of every row of its tables."""
    return dict(re.findall(r"^\| ([^|]*?) \| ([^|]*?) \|", card, re.MULTILINE))


def test_it_tells_what_goes_in_and_comes_out() -> None:
    card = model_card(facts())
    # of models/digits.tflite, by another reader of the format
    assert "| input | serving\\_default\\_image:0 | int8 | 1×8×8×1 | 0.00392156886 | -128 |" in card
    assert "| output | StatefulPartitionedCall\\_1:0 | int8 | 1×10 | 0.00390625 | -128 |" in card
    assert rows(card)["weights"] == "int8, one scale for each output channel"
    assert rows(card)["int8 file, sha256"] == f"{SHA} (7,936 B)"


def test_every_figure_has_its_kind_and_unknown_ones_are_left_out() -> None:
    figures = {
        "latency_ms": Number(1.5, "modelled"),
        "arena_bytes": Number(512, "computed"),
        "head_bytes": Number(1234567, "emulated"),
        "code_bytes": Number(0, "unknown"),
    }
    card = model_card(facts(figures=figures))
    table = re.findall(r"^\| (.*) \| (computed|modelled|emulated) \|$", card, re.MULTILINE)
    assert table == [
        ("arena | 512 | B", "computed"),
        ("latency | 1.500 | ms", "modelled"),
        ("head | 1,234,567 | B", "emulated"),
    ]
    assert "unknown" not in card
    assert "Modelled cycles are no measurement" in card
    assert "Modelled cycles" not in model_card(facts())


def test_the_figures_of_the_pipeline_fit() -> None:
    figures = figures_of(planned())
    card = model_card(facts(figures=figures))
    assert f"| arena | {figures['arena_bytes'].value:,} | B | computed |" in card
    assert f"| multiply-accumulates | {figures['macs'].value:,} |  | computed |" in card


def test_where_it_comes_from_and_what_was_lost() -> None:
    card = model_card(facts(converted=converted(), pixels=Pixels(-1, 1)))
    found = rows(card)
    assert found["source, sha256"] == f"{'cd' * 32} (123,456 B)"
    assert found["calibration data, sha256 of the arrays"] == "ef" * 32
    assert found["evaluation data, sha256 of the arrays"] == "12" * 32
    assert found["pixels"] == "0 stands for -1, 255 for 1"
    assert "tensorflow 2.20.0" in found["versions"]
    assert "350 correct" in card and "349 correct" in card
    assert card.index("rough") < card.index("fine")  # the worst first
    assert "not evaluated" not in card


def test_what_is_not_known_is_said() -> None:
    card = model_card(facts())
    assert "what it was trained and calibrated with is not known" in card
    assert "How good the quantized model is was not evaluated here" in card


@pytest.mark.parametrize("folder", ["/home/somebody/secret", "C:\\Users\\somebody\\secret"])
def test_absolute_paths_leave_their_last_part(folder: str) -> None:
    sign = "\\" if "\\" in folder else "/"
    net, data = f"{folder}{sign}net.keras", f"{folder}{sign}data.npz"
    absolute = replace(converted(net, data), warnings=(f"calibration {data}: values up to 255",))
    card = model_card(facts(converted=absolute, command=("tinydeploy", "export", net)))
    assert "secret" not in card and "somebody" not in card
    relative = replace(converted("net.keras", "data.npz"), warnings=("calibration data.npz: values up to 255",))
    assert card == model_card(facts(converted=relative, command=("tinydeploy", "export", "net.keras")))


def test_the_command_can_be_pasted() -> None:
    command = ("tinydeploy", "export", "my net.keras", "--name", "x" * 70, "--labels", "a'b.txt")
    block = re.search(r"```\n(.*?)\n```", model_card(facts(command=command)), re.DOTALL)
    assert block is not None
    assert tuple(shlex.split(block[1].replace("\\\n", ""))) == command
    assert max(map(len, block[1].splitlines())) <= 120


def test_nothing_of_others_acts() -> None:
    evil = "`a`|<script>[x](http://e)\n# *b*\x1b[31m"
    of = planned()
    tensors = tuple(replace(t, name=evil) for t in of.model.tensors)
    model = replace(of.model, name=evil, tensors=tensors)
    told = facts(model=model, name=evil, labels=(evil,), remarks=(evil,), plan=((evil, evil),), command=("a", evil))
    card = model_card(replace(told, tools={evil: evil}))
    outside = re.sub(r"^(`{3,})\n.*?^\1$", "", card, flags=re.DOTALL | re.MULTILINE)
    assert "<script>" not in outside and "\x1b" not in card
    assert not re.search(r"(?<!\\)[`\[*]", outside)
    assert not re.search(r"^# ", card, re.MULTILINE)


def test_many_labels_are_counted() -> None:
    card = model_card(facts(labels=tuple(f"class {n}" for n in range(1000))))
    assert "class 39 " in card and "class 40 " not in card
    assert "and 960 more" in card
