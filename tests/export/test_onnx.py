"""ONNX files: converted, they compute what onnxruntime computes, in float and in int8; what cannot go on is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import onnx_networks as networks
from tests.support.conversions import Outcome, Task, convert_all, converted, needs_onnx, refusal
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.onnx_networks import OnnxNetwork
from tinydeploy.convert.data.feeding import feed, real_values
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.sources.onnx.files import read_onnx
from tinydeploy.convert.sources.onnx.rewriting import rewritten
from tinydeploy.convert.types import Converted, ConvertOptions
from tinydeploy.errors import ModelError, TinydeployError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.tflite import parse_model
from tinydeploy.verify.tflm import TflmReference

Array = NDArray[Any]
WRITERS: dict[str, Callable[[Path], None]] = {
    "mobile": networks.mobile,
    "residual": networks.residual,
    "mixed": networks.mixed,
    "two_inputs": networks.two_inputs,
    "channels_last": networks.channels_last,
    "segments": networks.segments,
}
INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    "mobile": {"image": (3, 24, 24)},
    "residual": {"image": (3, 32, 32)},
    "mixed": {"image": (1, 15, 15)},
    "two_inputs": {"image.1": (2, 12, 9), "numbers": (5,)},
    "channels_last": {"image": (8, 8, 3)},
    "segments": {"image": (2, 10, 14)},
}
SAMPLES = 24


def samples(name: str) -> dict[str, Array]:
    """Samples for each input in the file's order of axes, first."""
    draw = np.random.default_rng(11)
    return {each: draw.random((SAMPLES, *shape), dtype=np.float32) for each, shape in INPUTS[name].items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_onnx()
    path = tmp_path_factory.mktemp("onnx")
    for name, write in WRITERS.items():
        write(path / f"{name}.onnx")
        np.savez(path / f"{name}.npz", **samples(name))
    return path


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    tasks = {name: Task(f"{name}.onnx", ConvertOptions(calibration=f"{name}.npz")) for name in WRITERS}
    tasks["again"] = tasks["mobile"]
    tasks["wide"] = Task("mobile.onnx", ConvertOptions(calibration="mobile.npz", activations="int16"))
    tasks["other data"] = Task("mobile.onnx", ConvertOptions(calibration="mixed.npz"))
    before = sorted(folder.iterdir())
    done = convert_all(folder, tasks)
    assert sorted(folder.iterdir()) == before  # onnx2tf leaves nothing behind
    return done


def onnxruntime_outputs(path: Path, name: str) -> Array:
    """The output for all samples, in the file's order of axes."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'tinydeploy[onnx]'")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = dict(zip((each.name for each in session.get_inputs()), samples(name).values(), strict=True))
    return np.concatenate(
        [session.run(None, {each: array[n : n + 1] for each, array in given.items()})[0] for n in range(SAMPLES)]
    )


def turned(model: Model, name: str) -> dict[str, Array]:
    """The samples as the model takes them: by hand, channels last."""
    last = {each: np.moveaxis(array, 1, -1) if array.ndim > 2 else array for each, array in samples(name).items()}
    if name == "channels_last":
        last = samples(name)
    inputs = [model.tensor(index) for index in model.inputs]
    assert {each.name: each.shape[1:] for each in inputs} == {each: array.shape[1:] for each, array in last.items()}
    return last


def tflm_outputs(done: Converted, name: str) -> Array:
    """The output for all samples as real numbers, in the file's order of axes."""
    model = parse_model(done.data)
    runs = TflmReference().run(model, done.data, feed(model, turned(model, name)))
    real = np.concatenate([real_values(model.tensor(model.outputs[0]), run[model.outputs[0]]) for run in runs])
    return np.moveaxis(real, -1, 1) if real.ndim > 2 else real


def decibels(signal: Array, other: Array) -> float:
    return float(10 * np.log10((signal**2).sum() / ((signal - other) ** 2).sum()))


@pytest.mark.parametrize("name", WRITERS)
def test_floats_are_those_of_onnxruntime(name: str, folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    done = converted(outcomes, name)
    assert done.float_data is not None
    wanted = onnxruntime_outputs(folder / f"{name}.onnx", name)
    model = parse_model(done.float_data)
    found = [run[model.outputs[0]] for run in litert(done.float_data, feed(model, turned(model, name)), model.outputs)]
    ours = np.concatenate(found)
    ours = np.moveaxis(ours, -1, 1) if wanted.ndim > 2 else ours
    assert np.abs(ours - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", WRITERS)
def test_int8_is_close_to_onnxruntime(name: str, folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    assert (
        decibels(onnxruntime_outputs(folder / f"{name}.onnx", name), tflm_outputs(converted(outcomes, name), name)) > 30
    )


def test_int8_computes_here_what_tflm_computes(outcomes: Mapping[str, Outcome]) -> None:
    cases = {name: converted(outcomes, name) for name in ("residual", "mixed", "segments")}
    models = {name: parse_model(done.data) for name, done in cases.items()}
    fed = {name: feed(models[name], turned(models[name], name))[:4] for name, done in cases.items()}
    ours = run_models_on_host(
        [HostModel(cases[name].data, tuple(tuple(s.values()) for s in fed[name])) for name in cases]
    )
    for (name, model), outputs in zip(models.items(), ours, strict=True):
        tflm = TflmReference().run(model, cases[name].data, fed[name])
        for mine, theirs in zip(outputs, tflm, strict=True):
            np.testing.assert_array_equal(mine[0].reshape(-1), theirs[model.outputs[0]].reshape(-1), err_msg=name)


def test_weights_have_a_scale_for_each_channel(outcomes: Mapping[str, Outcome]) -> None:
    model = parse_model(converted(outcomes, "mobile").data)
    depthwise = next(op for op in model.operators if op.opcode == "DEPTHWISE_CONV_2D")
    quantization = model.tensor(depthwise.inputs[1]).quantization
    assert quantization is not None and len(set(quantization.scales)) == 16


def test_batch_normalization_and_activations_cost_no_operators(outcomes: Mapping[str, Outcome]) -> None:
    opcodes = [op.opcode for op in parse_model(converted(outcomes, "mobile").data).operators]
    convolutions = ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert opcodes == ["PAD", *convolutions, "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def test_no_operator_that_tflm_lacks_is_made_of_what_it_has(outcomes: Mapping[str, Outcome]) -> None:
    opcodes = {op.opcode for op in parse_model(converted(outcomes, "mixed").data).operators}
    assert "HARD_SWISH" in opcodes
    assert "RELU_0_TO_1" not in opcodes


def test_another_order_of_axes_is_told(outcomes: Mapping[str, Outcome]) -> None:
    told = [each for each in converted(outcomes, "mobile").notes if "channels first" in each]
    assert len(told) == 1 and "[3, 24, 24]" in told[0] and "[24, 24, 3]" in told[0] and "firmware" in told[0]
    assert not any("channels first" in each for each in converted(outcomes, "channels_last").notes)
    assert any("output 'map' is channels last" in each for each in converted(outcomes, "segments").notes)


def test_parameters_are_those_of_the_file(outcomes: Mapping[str, Outcome]) -> None:
    convolutions = (8 * 27 + 8) + (16 * 8 + 16) + (16 * 9 + 16) + (8 * 16 + 8)
    norms, dense = 4 * (8 + 16 + 16 + 8), 10 * 8 + 10
    assert converted(outcomes, "mobile").float_weights_bytes == 4 * (convolutions + norms + dense)


def test_the_same_file_gives_the_same_bytes(outcomes: Mapping[str, Outcome]) -> None:
    assert converted(outcomes, "mobile").data == converted(outcomes, "again").data


def test_int16_activations_run_with_tflm_alone(folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    done = converted(outcomes, "wide")
    model = parse_model(done.data)
    assert {model.tensor(i).dtype.label for i in (*model.inputs, *model.outputs)} == {"int16"}
    wanted = onnxruntime_outputs(folder / "mobile.onnx", "mobile")
    narrow = decibels(wanted, tflm_outputs(converted(outcomes, "mobile"), "mobile"))
    assert decibels(wanted, tflm_outputs(done, "mobile")) > narrow + 2


def test_data_of_another_shape_are_told_in_the_files_order(outcomes: Mapping[str, Outcome]) -> None:
    assert "expects [samples, 3, 24, 24]" in refusal(outcomes, "other data").message


def plain(**shape: Any) -> OnnxNetwork:
    """A network of one convolution."""
    network = OnnxNetwork(**shape)
    network.op("Relu", network.conv("image", 3, 4), output="map")
    return network


def one(kind: str, **attributes: Any) -> Any:
    """A `ModelProto` with one operator behind a convolution."""
    network = OnnxNetwork()
    network.op(kind, network.conv("image", 3, 4), output="map", **attributes)
    return network.proto({"image": [1, 3, 8, 8]}, {"map": ["a", "b", "c", "d"]})


def with_opset(version: int) -> Any:
    proto = plain().proto({"image": [1, 3, 8, 8]}, {"map": [1, 4, 8, 8]})
    proto.opset_import[0].version = version
    return proto


def of_domain() -> Any:
    proto = plain().proto({"image": [1, 3, 8, 8]}, {"map": [1, 4, 8, 8]})
    proto.graph.node[1].domain = "com.microsoft"
    proto.opset_import.add(domain="com.microsoft", version=1)
    return proto


def quantized() -> Any:
    network = OnnxNetwork()
    scale, zero = network.constant(np.float32(0.1)), network.constant(np.int8(0))
    inner = network.op("QuantizeLinear", "image", scale, zero)
    network.op("DequantizeLinear", inner, scale, zero, output="map")
    return network.proto({"image": [1, 3, 8, 8]}, {"map": [1, 3, 8, 8]})


def padded(before: str = "") -> Any:
    network = OnnxNetwork()
    inner = network.conv("image", 3, 4)
    inner = network.op(before, inner) if before else inner
    network.op("MaxPool", inner, output="map", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return network.proto({"image": [1, 3, 8, 8]}, {"map": [1, 4, 4, 4]})


def shaped(*shape: int | str, kind: str = "FLOAT") -> Any:
    if kind != "FLOAT":
        network = OnnxNetwork()
        network.op("Relu", "image", output="map")
        return network.proto({"image": shape}, {"map": shape}, kind)
    return plain().proto({"image": shape}, {"map": [shape[0], 4, *shape[2:]]})


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "open extents": (
        lambda: shaped("batch", 3, "height", 8),
        r"'image' has the open shape \[batch, 3, height, 8\]",
        "fix",
    ),
    "a batch": (lambda: shaped(8, 3, 8, 8), "takes 8 samples at once", "batch of one"),
    "too much": (lambda: shaped(1, 3, 1 << 20, 1 << 20), "3,298,534,883,328 elements", "smaller inputs"),
    "halves": (lambda: shaped(1, 3, 8, 8, kind="FLOAT16"), "'image' is FLOAT16", "float32"),
    "quantized": (quantized, r"quantized already: node 'quantizelinear_0' \(QuantizeLinear\)", "float model"),
    "a new opset": (lambda: with_opset(99), "of opset 99", "older opset"),
    "another domain": (of_domain, r"node 'relu_1' \(Relu\) is of the domain 'com.microsoft'", "optimizations"),
    "no converter": (
        lambda: one("LpPool", kernel_shape=[2, 2]),
        r"does not convert node 'lppool_1' \(LpPool\)",
        "other operators",
    ),
    "negative pads": (padded, r"node 'maxpool_1' \(MaxPool\) pads what may be negative", "ReLU"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_go_on_is_told_by_node_with_a_remedy(case: str, tmp_path: Path) -> None:
    needs_onnx()
    make, said, remedy = REFUSED[case]
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        rewritten(read_onnx(path), "net.onnx")
    assert remedy in str(caught.value.hint)
    assert caught.value.message.isprintable()


def test_what_a_relu_went_through_is_padded_with_zeros(tmp_path: Path) -> None:
    needs_onnx()
    path = tmp_path / "net.onnx"
    path.write_bytes(padded("Relu").SerializeToString())
    assert [node.op_type for node in rewritten(read_onnx(path), "").graph.node] == ["Conv", "Relu", "Pad", "MaxPool"]


@pytest.mark.parametrize("data", [b"\x08\x07\x12", b"PK\x03\x04 nothing", b"", b"\x08\x08"])
def test_files_that_are_none(data: bytes, tmp_path: Path) -> None:
    needs_onnx()
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="is not an ONNX"):
        read_onnx(path)


def test_external_data_that_are_missing_are_named(tmp_path: Path) -> None:
    needs_onnx()
    import onnx

    path = tmp_path / "net.onnx"
    proto = shaped(1, 3, 8, 8)
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert len(read_onnx(path).graph.initializer) == 2
    (tmp_path / "net.data").unlink()
    with pytest.raises(ModelError, match=r"'constant_0' are in 'net\.data', which is missing"):
        read_onnx(path)


def test_external_data_stay_beside_the_file(tmp_path: Path) -> None:
    needs_onnx()
    import onnx

    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "net.onnx"
    onnx.save(shaped(1, 3, 8, 8), path, save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "in" / "net.data").rename(tmp_path / "net.data")
    proto = onnx.load(path, load_external_data=False)
    for initializer in proto.graph.initializer:
        initializer.external_data[0].value = "../net.data"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(TinydeployError, match="external data cannot be read"):
        read_onnx(path)


def test_without_the_packages_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib import util

    from tinydeploy.errors import MissingToolError

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "onnx2tf" else found(name))
    with pytest.raises(MissingToolError, match="onnx2tf") as caught:
        read_onnx(tmp_path / "net.onnx")
    assert caught.value.hint == "pip install 'tinydeploy[onnx]'"
