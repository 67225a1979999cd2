"""Networks trained with quantization awareness keep their ranges; float .tflite files are quantized, others refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.support.conversions import Outcome, Task, convert_all, converted, needs_tensorflow, refusal
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.trained_networks import BIAS, DENSE, KERNEL, RANGES, SHAPE, samples, write, write_with_tfmot
from tinydeploy.convert.data.feeding import feed
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.sources.aware_keras import made_with_tfmot
from tinydeploy.convert.types import ConvertOptions
from tinydeploy.errors import UnsupportedModelError, UsageError
from tinydeploy.ir import DType, Model, Quantization
from tinydeploy.tflite import parse_model
from tinydeploy.verify.tflm import TflmReference

PLAIN = ConvertOptions()
CALIBRATED = ConvertOptions(calibration="wide.npz")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    needs_tensorflow()
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "wide.npz", picture=samples(40.0))
    tasks = {
        "trained": Task("trained", PLAIN),
        "calibrated": Task("trained", CALIBRATED),
        "floats": Task("trained", replace(PLAIN, ends="float")),
        "int16": Task("trained", replace(CALIBRATED, activations="int16")),
        "partly": Task("partly", PLAIN),
        "filled": Task("partly", CALIBRATED),
        "by keras": Task("by_keras.keras", CALIBRATED),
        "float": Task("float.tflite", CALIBRATED),
        "float16": Task("float16.tflite", CALIBRATED),
        "dynamic": Task("dynamic.tflite", CALIBRATED),
        "batch": Task("batch.tflite", CALIBRATED),
        "code": Task("code.h5", CALIBRATED),
    }
    outcomes: dict[str, Outcome] = convert_all(folder, tasks, write)
    assert not (folder / "ran").exists(), "code in a file was run"
    return outcomes


def written_by(model: Model, opcode: str) -> Quantization:
    """The quantization of the operator's output; `INPUT`: of the model's input."""
    tensor = model.tensor(model.inputs[0])
    if opcode != "INPUT":
        tensor = model.output_of(next(op for op in model.operators if op.opcode == opcode))
    assert tensor.quantization is not None
    return tensor.quantization


def weights_of(model: Model, opcode: str) -> Quantization:
    op = next(op for op in model.operators if op.opcode == opcode)
    quantization = model.tensor(op.inputs[1]).quantization
    assert quantization is not None
    return quantization


BY_OPCODE = {"INPUT": "input", "CONV_2D": "convolution", "MEAN": "mean", "FULLY_CONNECTED": "scores"}


@pytest.mark.parametrize("opcode", BY_OPCODE)
def test_scales_are_those_of_the_trained_ranges(opcode: str, outcomes: Mapping[str, Outcome]) -> None:
    low, high = RANGES[BY_OPCODE[opcode]]
    found = written_by(parse_model(converted(outcomes, "trained").data), opcode)
    assert found.scale == pytest.approx((high - low) / 255, rel=1e-6)
    assert found.zero_point == -128 + round(-low / (high - low) * 255)


def test_weights_keep_their_trained_ranges_by_channel(outcomes: Mapping[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "trained").data)
    by_channel = np.abs(KERNEL).max(axis=(0, 1, 2)) / 127
    assert weights_of(model, "CONV_2D").scales == pytest.approx(by_channel.tolist(), rel=1e-6)
    assert weights_of(model, "FULLY_CONNECTED").scales == pytest.approx((2.54 / 127,), rel=1e-6)


def test_calibration_changes_nothing_where_all_was_trained(outcomes: Mapping[str, Outcome]) -> None:
    models = [parse_model(converted(outcomes, name).data) for name in ("calibrated", "trained")]
    values = [[(t.shape, t.dtype, t.quantization, t.data) for t in model.tensors] for model in models]
    assert values[0] == values[1]


def test_what_int8_is_measured_against_rounds_nothing(outcomes: Mapping[str, Outcome]) -> None:
    """By NumPy, for a picture that the ranges clip."""
    data = converted(outcomes, "trained").float_data
    assert data is not None
    picture = samples(40.0)[:1]
    around = np.pad(picture[0], ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(0, 1))
    inner = np.maximum(np.einsum("yxcij,ijco->yxo", windows, KERNEL) + BIAS, 0).mean(axis=(0, 1))
    model = parse_model(data)
    run = next(iter(litert(data, feed(model, {"picture": picture}), model.outputs)))
    np.testing.assert_allclose(run[model.outputs[0]][0], inner @ DENSE, rtol=1e-4)


def test_missing_ranges_are_named_and_filled_in_by_calibration(outcomes: Mapping[str, Outcome]) -> None:
    error = refusal(outcomes, "partly")
    assert isinstance(error, UsageError) and "no ranges for" in error.message and "--calibration" in str(error.hint)
    filled = converted(outcomes, "filled")
    model = parse_model(filled.data)
    for opcode in ("INPUT", "FULLY_CONNECTED"):
        low, high = RANGES[BY_OPCODE[opcode]]
        assert written_by(model, opcode).scale == pytest.approx((high - low) / 255, rel=1e-6)
    assert written_by(model, "CONV_2D").scale != pytest.approx(5.1 / 255, rel=0.01)
    assert any("no ranges for" in each for each in filled.notes)


def test_int16_is_refused_where_int8_was_trained(outcomes: Mapping[str, Outcome]) -> None:
    error = refusal(outcomes, "int16")
    assert isinstance(error, UnsupportedModelError) and "trained for the ranges of int8" in error.message


def test_ends_may_stay_floats(outcomes: Mapping[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "floats").data)
    assert [op.opcode for op in model.operators][:: len(model.operators) - 1] == ["QUANTIZE", "DEQUANTIZE"]


def test_what_keras_has_quantized_is_told_from_training(outcomes: Mapping[str, Outcome]) -> None:
    error = refusal(outcomes, "by keras")
    assert "was quantized by Keras (int8)" in error.message and "before model.quantize()" in str(error.hint)


def test_a_float_tflite_file_keeps_its_plain_names(outcomes: Mapping[str, Outcome]) -> None:
    done = converted(outcomes, "float")
    model = parse_model(done.data)
    assert model.tensor(model.inputs[0]).name == "picture"
    assert model.tensor(model.inputs[0]).shape == (1, *SHAPE)
    assert len(weights_of(model, "CONV_2D").scales) == 6
    assert done.float_weights_bytes == 4 * (3 * 3 * 2 * 6 + 6 + 6 * 6 * 6 * 5)  # a bias of zeros is not in the file


@pytest.mark.parametrize(
    ("name", "said"),
    [("float16", "weights are float16"), ("dynamic", "dynamic range"), ("batch", "takes batches of 4 samples")],
)
def test_other_tflite_files_are_refused_with_the_reason(name: str, said: str, outcomes: Mapping[str, Outcome]) -> None:
    error = refusal(outcomes, name)
    assert isinstance(error, UnsupportedModelError) and said in error.message and error.hint


def test_int8_computes_here_what_tflm_computes(outcomes: Mapping[str, Outcome]) -> None:
    cases = [converted(outcomes, name).data for name in ("trained", "filled", "float")]
    models = [parse_model(data) for data in cases]
    fed = [feed(model, {"picture": samples(3.0)})[:4] for model in models]
    ours = run_models_on_host(
        [HostModel(data, tuple(tuple(s.values()) for s in given)) for data, given in zip(cases, fed, strict=True)]
    )
    for model, data, given, outputs in zip(models, cases, fed, ours, strict=True):
        for mine, theirs in zip(outputs, TflmReference().run(model, data, given), strict=True):
            np.testing.assert_array_equal(mine[0].reshape(-1), theirs[model.outputs[0]].reshape(-1))


def test_a_wrapped_keras_file_gives_what_its_saved_model_gives(tmp_path: Path) -> None:
    if find_spec("tensorflow_model_optimization") is None:
        pytest.skip("tensorflow-model-optimization cannot be installed beside OR-tools: both pin absl-py")
    tasks = {"file": Task("wrapped.h5", PLAIN), "folder": Task("wrapped", PLAIN)}
    outcomes = convert_all(tmp_path, tasks, write_with_tfmot)
    models = [parse_model(converted(outcomes, name).data) for name in tasks]
    for opcode in ("INPUT", "CONV_2D", "FULLY_CONNECTED"):
        assert written_by(models[0], opcode) == written_by(models[1], opcode)
    weights = [{t.data for t in model.tensors if t.constant and t.dtype is DType.INT8} for model in models]
    assert weights[0] == weights[1]


def test_code_in_a_file_of_keras_2_is_not_run(outcomes: Mapping[str, Outcome]) -> None:
    error = refusal(outcomes, "code")
    assert "Lambda" in str(error) and "code.h5" in str(error)


@pytest.mark.parametrize(
    ("layers", "found"),
    [(["TFOpt>QuantizeWrapperV2", "Dense"], True), (["InputLayer", "QuantizeLayer"], True), (["Conv2D"], False)],
)
def test_files_of_tensorflow_model_optimization_are_known_by_their_layers(
    layers: list[str], found: bool, tmp_path: Path
) -> None:
    path = tmp_path / "net.keras"
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": each} for each in layers]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    assert made_with_tfmot(path) is found


def test_files_that_are_none_are_left_to_keras(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="pip install 'tinydeploy[export]'")
    for data in (b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(40)):
        (tmp_path / "net.h5").write_bytes(data)
        assert not made_with_tfmot(tmp_path / "net.h5")
