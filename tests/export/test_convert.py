"""Keras models of all kinds and SavedModels become int8 files that compute what the models do; what cannot, is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support import keras_sources
from tests.support.conversions import Outcome, Task, convert_all, converted, refusal
from tinydeploy.convert.data.feeding import feed, real_values
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.process import convert
from tinydeploy.convert.sources.find import find_source
from tinydeploy.convert.types import ConvertOptions
from tinydeploy.errors import ModelError, UnsupportedModelError, UsageError
from tinydeploy.ir import DType, Model
from tinydeploy.plan import make_plan
from tinydeploy.tflite import parse_model
from tinydeploy.verify import reference_outputs

FUNCTIONS = keras_sources.__name__
PIXELS = ConvertOptions(calibration="pixels.npz")
ENDS = ConvertOptions(calibration="ends.npz")
TASKS = {
    "keras": Task("image.keras", PIXELS),
    "h5": Task("image.h5", PIXELS),
    "floats": Task("image.keras", ConvertOptions(calibration="pixels.npz", ends="float")),
    "wide": Task("image.keras", ConvertOptions(calibration="pixels.npz", activations="int16")),
    "per tensor": Task("image.keras", ConvertOptions(calibration="pixels.npz", per_channel=False)),
    "function": Task(f"{FUNCTIONS}:two_ends", ENDS),
    "saved": Task("saved", ENDS),
    "subclassed": Task(f"{FUNCTIONS}:subclassed", ConvertOptions(calibration="sum.npz")),
    "uncalibrated": Task("image.keras", ConvertOptions()),
    "weights": Task("image.weights.h5", PIXELS),
    "renamed": Task("renamed.h5", PIXELS),
    "short": Task("short.h5", PIXELS),
    "own": Task("own.keras", PIXELS),
    "lambda": Task("lambda.keras", PIXELS),
    "several": Task("several", PIXELS),
    "open": Task("open", PIXELS),
    "none": Task("none", PIXELS),
    "spoilt": Task("spoilt", PIXELS),
    **{
        name: Task(f"{FUNCTIONS}:{name}", PIXELS)
        for name in ("never_called", "in_eights", "inverse", "fails", "fails_when_called", "not_alone", "no_model")
    },
    "half read": Task(f"{FUNCTIONS}:half_read", ConvertOptions(calibration="sum.npz")),
    "remembers": Task(f"{FUNCTIONS}:remembers", PIXELS),
    "astray": Task(f"{FUNCTIONS}:astray", PIXELS),
    "nothing": Task(f"{FUNCTIONS}:nothing", PIXELS),
    "nowhere": Task("nowhere.at_all:model", PIXELS),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    return convert_all(folder, TASKS, keras_sources.write)


def ends(model: Model) -> list[tuple[str, tuple[int, ...], str]]:
    found = (model.tensor(index) for index in (*model.inputs, *model.outputs))
    return [(tensor.name, tensor.shape, tensor.dtype.label) for tensor in found]


def only_integers(model: Model) -> bool:
    return all(tensor.dtype in (DType.INT8, DType.INT32) for tensor in model.tensors)


def test_a_sequential_model(outcomes: dict[str, Outcome]) -> None:
    got = converted(outcomes, "keras")
    model = parse_model(got.data)
    # scaling, batch normalization and ReLU6 are within the convolution, dropout is gone
    opcodes = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert [op.opcode for op in model.operators] == opcodes
    assert only_integers(model)
    assert [(shape, dtype) for _, shape, dtype in ends(model)] == [((1, 8, 8, 3), "int8"), ((1, 4), "int8")]
    assert [name for name, _, _ in ends(model)] == ["pixels", "scores"]
    # 8·3·3·3 + 4·8 of the normalization + 8·3·3 + 8·8 + 8 + 4·8 + 4, 4 bytes each
    assert got.float_weights_bytes == 4 * (216 + 32 + 72 + 64 + 8 + 32 + 4)
    assert got.calibration_samples == keras_sources.SAMPLES
    assert "tensorflow-cpu" in got.tools or "tensorflow" in got.tools


def test_weights_have_a_scale_for_each_channel_and_accumulators_two_scales_product(
    outcomes: dict[str, Outcome],
) -> None:
    model = parse_model(converted(outcomes, "keras").data)
    stem = next(op for op in model.operators if op.opcode == "CONV_2D")
    given, weights, bias = (model.tensor(index) for index in stem.inputs)
    assert weights.quantization is not None and bias.quantization is not None and given.quantization is not None
    assert len(weights.quantization.scales) == 8 and len(set(weights.quantization.scales)) == 8
    assert set(weights.quantization.zero_points) == {0} and weights.quantization.axis == 0
    products = [given.quantization.scale * scale for scale in weights.quantization.scales]
    assert bias.quantization.scales == pytest.approx(products, rel=1e-6)
    whole = parse_model(converted(outcomes, "per tensor").data)
    one = whole.tensor(next(op for op in whole.operators if op.opcode == "CONV_2D").inputs[1])
    assert one.quantization is not None and len(one.quantization.scales) == 1


def test_pixels_as_they_are_become_int8_by_the_range_of_the_calibration(outcomes: dict[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "keras").data)
    quantization = model.tensor(model.inputs[0]).quantization
    assert quantization is not None
    # 0..255 in 256 steps: real = 1 · (q + 128)
    assert (quantization.scale, quantization.zero_point) == (pytest.approx(1.0), -128)


def test_pixels_are_no_surprise_to_a_network_that_scales_them(outcomes: dict[str, Outcome]) -> None:
    assert not [told for told in converted(outcomes, "keras").warnings if "255" in told]


def test_a_file_of_keras_2s_format_is_the_same_network(outcomes: dict[str, Outcome]) -> None:
    keras, h5 = converted(outcomes, "keras"), converted(outcomes, "h5")
    assert h5.data == keras.data
    assert h5.source_sha256 != keras.source_sha256


def test_ends_may_stay_floats(outcomes: dict[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "floats").data)
    assert [dtype for _, _, dtype in ends(model)] == ["float32", "float32"]
    assert [op.opcode for op in model.operators][:: len(model.operators) - 1] == ["QUANTIZE", "DEQUANTIZE"]


def test_activations_may_have_16_bits(outcomes: dict[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "wide").data)
    assert [dtype for _, _, dtype in ends(model)] == ["int16", "int16"]
    # CMSIS-NN's kernel takes one scale for all of a dense layer's weights
    dense = [model.input_of(op, 1) for op in model.operators if op.opcode == "FULLY_CONNECTED"]
    assert [t.quantization.per_channel for t in dense if t is not None and t.quantization is not None] == [False]
    weights = model.tensor(next(op for op in model.operators if op.opcode == "CONV_2D").inputs[1])
    assert weights.dtype is DType.INT8


def test_the_same_as_tensorflows_public_converter(outcomes: dict[str, Outcome], folder: Path) -> None:
    ours, theirs = parse_model(converted(outcomes, "keras").data), parse_model((folder / "public.tflite").read_bytes())

    def steps(model: Model) -> list[object]:
        tensors = [[model.tensor(index) for index in (*op.inputs, *op.outputs)] for op in model.operators]
        return [[(t.shape, t.dtype, t.quantization, t.data) for t in used] for used in tensors]

    assert [op.opcode for op in ours.operators] == [op.opcode for op in theirs.operators]
    assert steps(ours) == steps(theirs)


def test_inputs_and_outputs_keep_kerass_order_and_names(outcomes: dict[str, Outcome]) -> None:
    got = converted(outcomes, "function")
    shapes = [("zeta", (1, 8)), ("alpha", (1, 4, 4, 1)), ("zz", (1, 3)), ("aa", (1, 2))]
    for data, dtype in ((got.data, "int8"), (got.float_data, "float32")):
        assert data is not None
        assert ends(parse_model(data)) == [(name, shape, dtype) for name, shape in shapes]


def test_tensors_are_called_as_the_layers_in_both_files(outcomes: dict[str, Outcome]) -> None:
    got = converted(outcomes, "function")
    assert got.float_data is not None
    model, floats = parse_model(got.data), parse_model(got.float_data)
    names = [model.layer_name(op) for op in model.operators]
    assert names == [floats.layer_name(op) for op in floats.operators]
    # a layer that is used twice is called so twice, and nothing has TensorFlow's numbers behind layers' names
    assert sum(name.startswith("two_ends/twice/") for name in names) == 2
    assert any(name.startswith("two_ends/conv/") for name in names)


def test_a_saved_model_sorts_its_inputs_and_says_so(outcomes: dict[str, Outcome]) -> None:
    got = converted(outcomes, "saved")
    model = parse_model(got.data)
    assert [name for name, _, _ in ends(model)][:2] == ["alpha", "zeta"]
    assert any("sorted by name: 'alpha', 'zeta'" in note for note in got.notes)
    assert not {"SHAPE", "PACK", "STRIDED_SLICE"} & {op.opcode for op in model.operators}
    # the same network by another way: the same weights
    other = parse_model(converted(outcomes, "function").data)

    def weights(of: Model) -> set[bytes | None]:
        return {tensor.data for tensor in of.tensors if tensor.constant and tensor.dtype is DType.INT8}

    assert weights(model) == weights(other)


def test_a_class_of_the_users_own(outcomes: dict[str, Outcome], folder: Path) -> None:
    got = converted(outcomes, "subclassed")
    assert [name for name, _, _ in ends(parse_model(got.data))][:2] == ["a", "b"]
    assert got.float_weights_bytes == 4 * (6 * 4 + 4 + 4 * 2 + 2)


def test_what_comes_out_is_planned_and_run(outcomes: dict[str, Outcome], folder: Path) -> None:
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    got = converted(outcomes, "function")
    model = parse_model(got.data)
    assert make_plan(model).arena_bytes >= sum(model.tensor(index).bytes for index in model.inputs)
    with np.load(folder / "ends.npz") as arrays:
        given = {name: arrays[name][:8] for name in arrays}
    assert got.float_data is not None
    floats = parse_model(got.float_data)
    wanted = litert(got.float_data, feed(floats, given), floats.outputs)
    found = reference_outputs(model, got.data, feed(model, given))[0].samples
    for ours, theirs in zip(found, wanted, strict=True):
        for one, other in zip(model.outputs, floats.outputs, strict=True):
            assert real_values(model.tensor(one), ours[one]) == pytest.approx(theirs[other], abs=0.05)


def test_an_input_that_nothing_reads_is_told(outcomes: dict[str, Outcome]) -> None:
    warnings = converted(outcomes, "half read").warnings
    assert any(warning.endswith("nothing in the model reads its input 'b'") for warning in warnings)


def worst(outcomes: dict[str, Outcome], name: str) -> float:
    """The lowest signal to noise of an operator, in dB."""
    return min(loss.sqnr_db for loss in converted(outcomes, name).losses if loss.sqnr_db is not None)


def test_int8_loses_little_and_int16_less(outcomes: dict[str, Outcome]) -> None:
    assert min(worst(outcomes, name) for name in ("keras", "function", "saved", "subclassed")) > 25
    assert worst(outcomes, "wide") > worst(outcomes, "keras") + 3  # the weights have 8 bits in both


def test_the_float_file_computes_what_keras_does(outcomes: dict[str, Outcome], folder: Path) -> None:
    """By hand: the subclassed model is two dense layers and an addition, whose weights are in the file."""
    got = converted(outcomes, "subclassed")
    assert got.float_data is not None
    model = parse_model(got.float_data)
    a, b = (np.linspace(-1, 1, n, dtype=np.float32)[None] for n in (4, 6))
    by_name = {model.tensor(index).name: index for index in model.inputs}
    ran = next(iter(litert(got.float_data, [{by_name["a"]: a, by_name["b"]: b}], model.outputs)))
    first, last = (
        np.frombuffer(t.data or b"", np.float32).reshape(t.shape)
        for t in sorted((t for t in model.tensors if t.constant and len(t.shape) == 2), key=lambda t: -t.shape[1])
    )
    assert ran[model.outputs[0]] == pytest.approx(np.maximum(b @ first.T + a, 0) @ last.T, abs=1e-6)


REFUSED = [
    ("uncalibrated", UsageError, "needs calibration data", "--calibration"),
    ("weights", ModelError, "holds a model's weights and no model", "module:function"),
    ("renamed", ModelError, "holds a model's weights and no model", "module:function"),
    ("short", ModelError, "is damaged", "save it again"),
    ("own", UnsupportedModelError, "its 'Own' is code of your own", "module:function"),
    ("lambda", UnsupportedModelError, "Lambda layer", "module:function"),
    (
        "several",
        UnsupportedModelError,
        "and none is 'serving_default': 'one', 'other'",
        "signatures=",
    ),
    ("open", UnsupportedModelError, "the input 'x' has the shape (None, None)", "whole shape"),
    ("none", UnsupportedModelError, "no signature", "model.export"),
    ("spoilt", ModelError, "TensorFlow cannot load it", "model.export"),
    ("never_called", UnsupportedModelError, "shape of the model's input is not known", "call the model once"),
    ("in_eights", UnsupportedModelError, "takes batches of 8 samples only", "one sample at a time"),
    ("inverse", UnsupportedModelError, "'Erfinv' (layer 'unusual", "firmware"),
    ("remembers", UnsupportedModelError, "layer 'memory' keeps a state", "as an input"),
    ("astray", ModelError, "the weights of layer 'lost' hold NaN", "training"),
    ("fails", UsageError, "failed with ValueError: the weights are elsewhere", 'raise ValueError("the weights'),
    ("fails_when_called", UsageError, "failed with KeyError", "raise KeyError"),
    ("not_alone", UsageError, "returned a tuple, and no Keras model", "alone"),
    ("no_model", UsageError, "returned an int, and no Keras model", "return a Keras model"),
    ("nothing", UsageError, "has no function nothing", None),
    ("nowhere", UsageError, "there is no module nowhere.at_all", "current folder"),
]


@pytest.mark.parametrize("name, kind, message, hint", REFUSED, ids=[each[0] for each in REFUSED])
def test_what_cannot_be_converted_is_told(
    outcomes: dict[str, Outcome], name: str, kind: type[Exception], message: str, hint: str | None
) -> None:
    error = refusal(outcomes, name)
    assert type(error) is kind
    assert message in error.message and "\n" not in error.message
    assert hint is None or (error.hint is not None and hint in error.hint)


def test_the_same_bytes_in_another_process_and_folder(
    outcomes: dict[str, Outcome], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other conversion ran among many, with another seed of hashes, and with as many threads as there are."""
    for name in ("image.keras", "pixels.npz"):
        shutil.copy(folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    again = convert(find_source("image.keras"), PIXELS)
    once = converted(outcomes, "keras")
    assert again.data == once.data and again.float_data == once.float_data
    assert (again.source_sha256, again.source_bytes) == (once.source_sha256, once.source_bytes)
    assert again.calibration_sha256 == once.calibration_sha256
    assert again.losses == once.losses
    for data in (again.data, again.float_data or b""):
        assert str(tmp_path).encode() not in data
        assert "CONVERSION_METADATA" not in parse_model(data).metadata
