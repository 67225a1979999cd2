"""The shipped models: files, catalogue and claims agree, and the networks are what they are said to be."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pytest

from tests.support.model_files import SKIP_REASON, real_models
from tinydeploy.ir import DepthwiseConv2DAttrs, Model, Padding
from tinydeploy.ir.catalog import ShippedModel, shipped_model, shipped_models
from tinydeploy.operators.registry import kinds
from tinydeploy.resources import models_dir
from tinydeploy.tflite import read_model
from tinydeploy.verify.inputs import random_inputs
from tinydeploy.verify.litert import LitertReference
from tinydeploy.verify.tflm import TflmReference

CATALOG = {model.name: model for model in shipped_models()}
VERIFY = "pip install 'tinydeploy[verify]' for the reference interpreters"

# The MLPerf Tiny reference networks: multiply-accumulates as the benchmark's models have them, and the file names
# under which the originals are known.
TWINS = {
    "kws": (2_656_768, "kws_ref_model.tflite"),
    "vww": (7_489_664, "vww_96_int8.tflite"),
    "resnet8": (12_501_632, "pretrainedResnet_quant.tflite"),
    "ad": (264_192, "ad01_int8.tflite"),
}


def needs(package: str) -> None:
    """Skip without a reference interpreter. It is not imported here: references run in a process of their own."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(VERIFY)


def read(name: str) -> Model:
    return read_model(CATALOG[name].path)


def macs(model: Model) -> int:
    """Weights × the positions that each weight meets."""
    total = 0
    for op in model.operators:
        output = model.output_of(op)
        if op.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            total += prod(model.tensor(op.inputs[1]).shape) * output.shape[1] * output.shape[2]
        elif op.opcode == "TRANSPOSE_CONV":
            total += prod(model.tensor(op.inputs[1]).shape) * prod(model.tensor(op.inputs[2]).shape[1:3])
        elif op.opcode == "FULLY_CONNECTED":
            total += prod(model.tensor(op.inputs[1]).shape) * prod(output.shape[:-1])
    return total


def test_every_file_is_listed_and_every_entry_has_its_file() -> None:
    listed = {path for model in CATALOG.values() for path in (model.path, *model.companions)}
    folder = models_dir()
    assert listed == {*folder.glob("*.tflite"), *folder.glob("*.npy")}
    assert {"digits", *TWINS, "mobilenet_v2_035", "everything", "branches", "unet"} <= CATALOG.keys()


@pytest.mark.parametrize("model", CATALOG.values(), ids=list(CATALOG))
def test_the_catalogue_states_the_file_as_it_is(model: ShippedModel) -> None:
    data = model.path.read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (model.sha256, model.bytes)
    read = read_model(model.path)
    for stated, found in ((model.inputs, read.inputs), (model.outputs, read.outputs)):
        tensors = [read.tensor(index) for index in found]
        assert list(stated) == [f"{t.dtype.label}{list(t.shape)}" for t in tensors]
    assert model.macs == macs(read)
    assert model.licence == "MIT"
    assert model.tools
    assert (models_dir().parent / model.script).is_file() or "_data" in str(models_dir())


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_costs_what_the_benchmark_network_costs(name: str) -> None:
    assert macs(read(name)) == TWINS[name][0]
    assert "random" in CATALOG[name].weights


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.skipif(not real_models(), reason=SKIP_REASON)
def test_a_twin_has_the_layers_of_the_original_and_none_of_its_weights(name: str) -> None:
    original = real_models().get(TWINS[name][1])
    if original is None:
        pytest.skip(f"{SKIP_REASON}; {TWINS[name][1]} is not there")
    ours, theirs = read(name), read_model(original)

    def layers(model: Model) -> Iterator[tuple[object, ...]]:
        for op in model.operators:
            # RESHAPE's shape stands as an option, a constant or both; the output's shape says it all.
            attrs = None if op.opcode == "RESHAPE" else op.attrs
            tensors = [None if i < 0 else model.tensor(i) for i in op.inputs]
            inputs = [t and (t.shape, t.dtype, t.quantization and len(t.quantization.scales)) for t in tensors]
            yield op.opcode, attrs, inputs, model.output_of(op).shape

    assert list(layers(ours)) == list(layers(theirs))
    weights = {t.data for t in theirs.tensors if t.data and t.bytes > 64}
    assert not weights & {t.data for t in ours.tensors if t.data}


def test_mobilenet_v2_035_is_the_published_network() -> None:
    model = read("mobilenet_v2_035")
    # tensorflow.org, tf.keras.applications.mobilenet_v2, 0.35_224: 59 M MACs with 1000 classes; here there are 5
    assert macs(model) / 1e6 == pytest.approx(59 - 1280 * 995 / 1e6, abs=0.7)
    # STMicroelectronics, stm32ai-modelzoo, mobilenet_v2_0.35_224_fft_int8 (flowers, 5 classes): 406.86 KiB of weights
    layers = [op for op in model.operators if op.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    constants = [model.tensor(index) for op in layers for index in op.inputs[1:3]]
    assert {t.dtype.label for t in constants} == {"int8", "int32"}  # weights and biases
    assert round(sum(t.bytes for t in constants) / 1024, 2) == 406.86
    assert CATALOG["mobilenet_v2_035"].bytes < 900_000


def test_mobilenet_v2_035_pads_explicitly_before_each_strided_depthwise_convolution() -> None:
    """As Keras builds it; every other window of stride 2 is the first convolution's."""
    model = read("mobilenet_v2_035")
    padded = []
    for before, op in pairwise(model.operators):
        if isinstance(op.attrs, DepthwiseConv2DAttrs) and op.attrs.stride_h == 2:
            padded.append(model.tensor(op.inputs[0]).shape[1:3])
            assert (before.opcode, before.outputs[0], op.attrs.padding) == ("PAD", op.inputs[0], Padding.VALID)
    assert padded == [(113, 113), (57, 57), (29, 29), (15, 15)]


def test_branches_has_the_joins_it_is_there_for() -> None:
    model = read("branches")
    readers = Counter(index for op in model.operators for index in set(op.inputs))
    maps = [t for t in model.tensors if t.data is None and len(t.shape) == 4 and t.shape[1] > 1]
    assert sum(readers[t.index] > 1 for t in maps) >= 8
    assert max(readers[t.index] for t in maps) == 5
    assert readers[model.inputs[0]] == 2
    assert sum(readers[index] > 0 for index in model.outputs) == 1
    opcodes = Counter(op.opcode for op in model.operators)
    assert (opcodes["ADD"], opcodes["CONCATENATION"], opcodes["MUL"], opcodes["PAD"]) == (5, 3, 2, 1)
    assert {t.shape[1:3] for t in maps} >= {(37, 23), (19, 12), (10, 6), (9, 6), (7, 4), (3, 2)}


def test_unet_goes_up_by_every_way_there_is() -> None:
    ways = [op.opcode for op in read("unet").operators if op.opcode.startswith(("RESIZE", "TRANSPOSE_CONV"))]
    assert Counter(ways) == {"TRANSPOSE_CONV": 2, "RESIZE_BILINEAR": 2, "RESIZE_NEAREST_NEIGHBOR": 1}


def test_everything_uses_every_operator_that_runs() -> None:
    model = read("everything")
    runnable = {kind.opcode for kind in kinds() if getattr(kind, "runs", True)}
    assert {op.opcode for op in model.operators} >= runnable
    assert len(model.inputs) == 2
    assert len(model.outputs) == 7


@pytest.mark.parametrize("name", CATALOG)
def test_the_layers_live(name: str) -> None:
    """On random inputs no layer is stuck: none answers all inputs alike, none is mostly at an end of the range."""
    needs("ai_edge_litert")
    model = read(name)
    inputs = random_inputs(model, 11, 6)
    runs = LitertReference().run(model, CATALOG[name].path.read_bytes(), inputs, layers=True)
    for op in model.operators:
        values = np.stack([run[op.outputs[0]] for run in runs]).astype(np.float64)
        assert np.any(values != values[0]), f"{op}: the same for every input"
        for end in (-128, 127):
            assert np.mean(values == end) < 0.9, f"{op}: saturated at {end}"


@pytest.mark.parametrize("name", CATALOG)
def test_tflm_runs_it_and_answers_differ_by_input(name: str) -> None:
    needs("tflite_micro")
    model = read(name)
    runs = TflmReference().run(model, CATALOG[name].path.read_bytes(), random_inputs(model, 12, 4))
    for index in model.outputs:
        assert len({run[index].tobytes() for run in runs}) == 4
        assert all(len(np.unique(run[index])) > 1 for run in runs)


def test_the_accuracy_of_digits_is_what_the_catalogue_says() -> None:
    """Measured again: the same held-out images, from scikit-learn, on both reference interpreters."""
    needs("ai_edge_litert")
    needs("tflite_micro")
    datasets = pytest.importorskip("sklearn.datasets", reason="pip install 'tinydeploy[test]' for scikit-learn")
    from sklearn.model_selection import train_test_split

    stated = CATALOG["digits"].accuracy
    assert stated is not None
    assert stated.kind == "measured"
    digits = datasets.load_digits()
    _, images, _, labels = train_test_split(
        digits.images, digits.target, test_size=0.25, random_state=20, stratify=digits.target
    )
    assert len(labels) == stated.samples

    model = read("digits")
    source, target = model.inputs[0], model.outputs[0]
    quantization = model.tensor(source).quantization
    assert quantization is not None
    # Images hold 0 … 16. No code lies near a rounding tie, so rint does as well as rounding half away.
    codes = np.rint(images / 16 / quantization.scale) + quantization.zero_point
    inputs = np.clip(codes, -128, 127).astype(np.int8).reshape(-1, 1, 8, 8, 1)
    data = CATALOG["digits"].path.read_bytes()
    for reference in (LitertReference(), TflmReference()):
        runs = reference.run(model, data, [{source: one} for one in inputs])
        classes = np.array([run[target].argmax() for run in runs])
        assert np.sum(classes == labels) == stated.int8_correct
    assert stated.int8_share > 0.95

    samples, shown = (np.load(path) for path in CATALOG["digits"].companions)
    assert np.array_equal(samples, inputs[: len(samples)])
    assert np.array_equal(shown, labels[: len(shown)])
    assert len(samples) == len(shown) >= 10


def test_a_shipped_model_is_found_by_name() -> None:
    path = shipped_model("kws")
    assert path is not None
    assert path.name == "kws.tflite"
    assert shipped_model("kws.tflite") == path
    assert shipped_model("nosuch") is None
    assert shipped_model("../kws") is None


def test_the_script_would_write_the_same_catalogue() -> None:
    """What it renders reads back as what it was given, so remaking one model leaves the other entries alone."""
    path = Path(__file__).resolve().parents[2] / "models" / "make" / "make_models.py"
    spec = importlib.util.spec_from_file_location("make_models", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = (models_dir() / "models.toml").read_text("utf-8")
    assert script.render(tomllib.loads(text)) == text
    assert list(script.RECIPES) == list(CATALOG)
