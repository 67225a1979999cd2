"""`diff`: layers are paired rightly, figures blamed on the layer that changed, and reports are not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tinydeploy import __version__, pipeline
from tinydeploy.boards import find_board
from tinydeploy.diff.align import align
from tinydeploy.diff.compare import compare
from tinydeploy.diff.snapshot import Layer, read_report, snapshot
from tinydeploy.errors import UsageError
from tinydeploy.report.document import Provenance, envelope
from tinydeploy.report.plans import plan_data, plan_kinds

Run = Callable[..., "tuple[int, str, str]"]


def layers(*told: str) -> list[Layer]:
    """`CONV_2D:a` is a convolution named a."""
    return [Layer(i, *text.split(":"), {}) for i, text in enumerate(told)]


def paired(before: list[Layer], after: list[Layer]) -> list[tuple[int | None, int | None]]:
    return [(a.index if a else None, b.index if b else None) for a, b in align(before, after)]


def test_a_layer_put_in_between_is_the_new_one() -> None:
    before = layers("CONV_2D:a", "CONV_2D:b", "SOFTMAX:c")
    after = layers("CONV_2D:a", "CONV_2D:new", "CONV_2D:b", "SOFTMAX:c")
    assert paired(before, after) == [(0, 0), (None, 1), (1, 2), (2, 3)]
    assert paired(after, before) == [(0, 0), (1, None), (2, 1), (3, 2)]


def test_renamed_layers_are_paired_by_what_they_are() -> None:
    before = layers("CONV_2D:a", "ADD:b", "SOFTMAX:c")
    after = layers("CONV_2D:x", "ADD:y", "MEAN:m", "SOFTMAX:z")
    assert paired(before, after) == [(0, 0), (1, 1), (None, 2), (2, 3)]


def test_other_opcodes_are_never_paired() -> None:
    assert paired(layers("CONV_2D:a"), layers("DEPTHWISE_CONV_2D:a")) == [(0, None), (None, 0)]
    assert paired([], layers("ADD:a")) == [(None, 0)]


def with_constants(names: str, digests: str) -> list[Layer]:
    """Convolutions of one shape, called by `names`, with constants by `digests`."""
    shaped = {"output_shape": (1, 4, 4, 8), "params": 64}
    told = zip(names, digests, strict=True)
    return [Layer(i, "CONV_2D", name, {**shaped, "constants": digest}) for i, (name, digest) in enumerate(told)]


def test_layers_that_were_numbered_anew_are_known_by_their_constants() -> None:
    """A framework calls layers by their number: one put in front takes the name of the next."""
    before, after = with_constants("012", "abc"), with_constants("0123", "nabc")
    assert paired(before, after) == [(None, 0), (0, 1), (1, 2), (2, 3)]


def test_layers_that_were_numbered_anew_and_trained_again_are_known_by_what_they_are() -> None:
    before, after = (
        [Layer(i, "CONV_2D", f"conv_{i}", {"output_shape": (1, 4, 4, n), "params": n}) for i, n in enumerate(sizes)]
        for sizes in ((8, 16, 32, 64), (8, 9, 16, 32, 64))
    )
    assert paired(before, after) == [(0, 0), (None, 1), (1, 2), (2, 3), (3, 4)]


def test_thousands_of_layers_with_other_names() -> None:
    """Each layer's shape is another one's, too, and all were renamed: what tells is their order."""
    kinds = [f"{'CONV_2D' if i % 2 else 'ADD'}:a{i}" for i in range(3000)]
    after = [kind.replace(":", ":b") for kind in kinds]
    after[1500:1500] = ["CONV_2D:new"]
    pairs = paired(layers(*kinds), layers(*after))
    assert pairs.count((None, 1500)) + pairs.count((None, 1501)) == 1 and len(pairs) == 3001
    assert pairs[0] == (0, 0) and pairs[-1] == (2999, 3000)


def test_few_layers_and_many_others() -> None:
    many = [f"ADD:a{i}" for i in range(3000)]
    many[0], many[2999] = "CONV_2D:x", "SOFTMAX:y"
    pairs = paired(layers("CONV_2D:p", "SOFTMAX:q"), layers(*many))
    assert (0, 0) in pairs and (1, 2999) in pairs and len(pairs) == 3000


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    planned = pipeline.plan_model(pipeline.load("digits"), find_board("stm32f746"), pipeline.PlanOptions())
    provenance = Provenance(__version__, {}, {})
    data = {**envelope("plan", provenance, plan_kinds(planned)), **plan_data(planned)}
    found: dict[str, Any] = json.loads(json.dumps(data))
    return found


def test_a_report_and_itself(report: dict[str, Any]) -> None:
    side = snapshot(report, "a.json")
    found = compare(side, side)
    assert not found.changed and not found.layers and not found.tensors
    assert found.same_layers == len(report["layers"]) and found.same_tensors == len(report["tensors"])


def test_who_is_responsible(report: dict[str, Any]) -> None:
    """Figures changed by hand: each is blamed on the layer or tensor that was changed for it."""
    other = deepcopy(report)
    other["layers"][2]["weight_bytes"] += 1000
    other["flash"]["weights_bytes"] += 1000
    other["layers"][1]["macs"] -= 7
    other["totals"]["macs"] -= 7
    other["peak"]["operator"] = 2
    other["peak"]["alive"][0]["bytes"] += 4096
    other["sram"]["arena_bytes"] += 4096
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    blame = {change.name: change.blame for change in found.figures if change.blame}
    second, third = report["layers"][1], report["layers"][2]
    assert blame["weights_bytes"][0].startswith(f"{third['opcode']} #2 ")
    assert "+1,000" in blame["weights_bytes"][0] and len(blame["weights_bytes"]) == 1
    assert blame["macs"][0].startswith(f"{second['opcode']} #1 ") and "-7" in blame["macs"][0]
    assert blame["arena_bytes"][0].startswith(f"the peak is at {third['opcode']} #2 ")
    assert f"it was at {second['opcode']} #1" in blame["arena_bytes"][0]
    alive = report["peak"]["alive"][0]["name"].partition(";")[0]
    assert blame["arena_bytes"][1] == f"{alive} +4.0 KiB alive there"
    assert blame.keys() == {"weights_bytes", "macs", "arena_bytes"}
    assert [(layer.state, layer.after) for layer in found.layers] == [("changed", 1), ("changed", 2)]


def test_what_no_layer_is_responsible_for(report: dict[str, Any]) -> None:
    """A layer's weights and the whole's are told to the byte: what is left over is named."""
    other = deepcopy(report)
    other["layers"][2]["weight_bytes"] += 1000
    other["flash"]["weights_bytes"] += 1288
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    blame = next(change.blame for change in found.figures if change.name == "weights_bytes")
    assert "+1,000" in blame[0] and blame[1:] == ("biases, scales, tables and what layers share +288",)


def test_what_layers_compute_with(report: dict[str, Any]) -> None:
    """Trained again, quantized anew, another attribute: no size changes, and the layer is named."""
    other = deepcopy(report)
    conv, pool, last = other["layers"][0], other["layers"][1], other["layers"][-1]
    conv["attributes"]["activation"] = "tanh"
    conv["constants"] = pool["quantization"] = last["quantization"] = "0123456789abcdef"
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    assert [(layer.after, [*layer.figures]) for layer in found.layers] == [
        (0, ["activation", "constants"]),
        (1, ["quantization"]),
        (last["index"], ["quantization"]),
    ]
    assert found.changed and found.digests and found.layers[0].figures["activation"][1] == "tanh"


def test_a_report_of_an_earlier_version_is_silent_on_it(report: dict[str, Any]) -> None:
    other = deepcopy(report)
    for layer in other["layers"]:
        for key in ("attributes", "constants", "quantization"):
            del layer[key]
    found = compare(snapshot(other, "old.json"), snapshot(report, "b.json"))
    assert not found.changed and not found.digests


def test_which_layers_were_trained_again(run: Run, tmp_path: Path) -> None:
    """The file with one weight of one layer changed, by hand: the table says which."""
    before = pipeline.load("digits")
    weights = next(t for t in before.tensors if t.data is not None and t.dtype.label == "int8")
    layer = next(op for op in before.operators if weights.index in op.inputs)
    raw = Path(before.path).read_bytes()
    assert weights.data is not None and raw.count(weights.data) == 1
    at = raw.index(weights.data)
    other = tmp_path / "digits.tflite"
    other.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    code, out, _ = run("diff", "digits", str(other), "--board", "pico", "--exit-code")
    row = next(line for line in out.splitlines() if line.startswith("changed"))
    assert code == 1 and f"{layer.opcode} #{layer.index}" in row and row.endswith("other constants")
    assert out.count("changed ") == 1


def test_an_estimate_beside_a_count_is_no_change(report: dict[str, Any]) -> None:
    other = deepcopy(report)
    other["flash"]["code_bytes"] += 40
    other["kinds"]["flash.code_bytes"] = "computed"
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    assert not found.changed


def test_placement(report: dict[str, Any]) -> None:
    other = deepcopy(report)
    moved, resized, renamed = other["tensors"][:3]
    moved["offset"] += 8
    resized["bytes"] += 1
    renamed["name"] = "another"
    del other["tensors"][-1]
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    assert [tensor.state for tensor in found.tensors] == ["moved", "resized", "gone"]
    assert found.same_tensors == len(report["tensors"]) - 3  # the renamed one lies where it did


def test_tensors_are_those_of_their_layers(report: dict[str, Any]) -> None:
    """A layer in front takes the first one's name, and so on: each tensor stays its layer's."""
    other = deepcopy(report)
    names = [layer["name"] for layer in other["layers"]]
    shifted = dict(zip(names, [*names[1:], "last"], strict=True))
    for each in (*other["layers"], *other["tensors"], *other["peak"]["alive"]):
        each["name"] = shifted.get(each["name"], each["name"])
    other["layers"].insert(0, {"index": 0, "opcode": "PAD", "name": names[0]})
    other["tensors"].append({"name": names[0], "offset": 9999, "bytes": 7, "region": "SRAM"})
    other["peak"]["alive"].append({"name": names[0], "bytes": 2048})
    other["sram"]["arena_bytes"] += 2048
    found = compare(snapshot(report, "a.json"), snapshot(other, "b.json"))
    assert [(tensor.name, tensor.state) for tensor in found.tensors] == [(names[0], "new")]
    blame = next(change.blame for change in found.figures if change.name == "arena_bytes")
    assert [told for told in blame if "alive there" in told] == [f"{names[0].partition(';')[0]} +2.0 KiB alive there"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no report of tinydeploy"),
        ('{"schema_version": 1, "x": NaN}', "is no JSON: NaN is no finite number"),
        ('{"schema_version": 1, "x": [1e999]}', "is no JSON: 1e999 is no finite number"),
        ('{"schema_version": 99, "command": "plan"}', "has schema version 99"),
        ('{"schema_version": 1, "command": "check"}', "is a report of `check` without a plan of one model"),
        ('{"schema_version": 1, "command": "plan"}', "without a plan of one model"),
    ],
)
def test_what_is_no_report(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "side.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_report(file)


@pytest.mark.parametrize("ill", [None, [], "x", -1, 1e300, True, {"name": {}}])
def test_a_report_with_anything_in_any_place(report: dict[str, Any], ill: object) -> None:
    """Each value of the report in turn is another one: what is told is less, and nothing breaks."""
    good = snapshot(report, "a.json")
    for key in report:
        compare(good, snapshot({**report, key: ill}, "b.json"))
        for inner in report[key] if isinstance(report[key], dict) else ():
            compare(good, snapshot({**report, key: {**report[key], inner: ill}}, "b.json"))
    for key in ("layers", "tensors"):
        for inner in report[key][0]:
            compare(good, snapshot({**report, key: [{**report[key][0], inner: ill}]}, "b.json"))


def test_two_boards_and_a_report_beside_a_model(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("diff", "digits", "--board", "stm32f746", "--board", "pico", "--format", "json", "--exit-code")
    told = json.loads(out)
    assert code == 1 and [side["board"] for side in told["sides"]] == ["stm32f746g_disco", "rpi_pico"]
    assert told["figures"]["macs"]["delta"] == 0

    file = tmp_path / "old.json"
    file.write_text(run("plan", "digits", "--board", "pico", "--format", "json")[1])
    code, out, _ = run("diff", str(file), "digits", "--exit-code", "--format", "json")
    assert code == 0 and json.loads(out)["sides"][1]["board"] == "rpi_pico" and not json.loads(out)["settings"]
    out = run("diff", str(file), "digits", "--reserve", "sram=16K", "--format", "json")[1]
    assert json.loads(out)["settings"] == [{"name": "reserve", "before": [], "after": ["sram=16K"]}]


def test_who_fits(run: Run, tmp_path: Path) -> None:
    """The first and the last side's words, and those between one side and the other."""
    file = tmp_path / "too-large.json"
    small = json.loads(run("plan", "digits", "--board", "pico", "--format", "json")[1])
    file.write_text(json.dumps({**small, "fits": False}))
    out = run("diff", str(file), "digits")[1]
    assert "digits, on rpi_pico, does not fit, sha256" in out and "\nnow it fits rpi_pico\n" in out
    out = run("diff", "digits", str(file), "--board", "stm32f746")[1]
    assert "\nit does not fit rpi_pico\n" in out


def test_instructions_by_layer(run: Run) -> None:
    """An M0+ has no instruction that multiplies two pairs: its convolutions take more instructions than an M7's."""
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
    code, out, err = run("diff", "digits", "--board", "stm32f746", "--board", "pico", "--run")
    assert (code, err.count("error")) == (0, 0)
    line = next(line for line in out.splitlines() if line.startswith("instructions:"))
    assert "CONV_2D" in line and "+" in line


@pytest.mark.parametrize(
    "args, words",
    [
        (("digits",), "there is nothing to compare with"),
        (("digits", "kws"), "a board is needed to plan digits for"),
        (("digits", "kws", "--board", "a", "--board", "b", "--board", "c"), "3 boards for two sides"),
        (("nowhere.json", "kws"), "cannot read nowhere.json"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], words: str, run: Run) -> None:
    code, _, err = run("diff", *args)
    assert code == 2 and words in err
