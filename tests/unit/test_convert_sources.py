"""What a user names as a model: known by what is in it, or told what it is instead and what to do."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.convert.sources.find import digest, find_source
from tinydeploy.convert.types import Source
from tinydeploy.errors import ModelError, TinydeployError, UnsupportedModelError, UsageError
from tinydeploy.resources import models_dir

HDF5 = b"\x89HDF\r\n\x1a\n"


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return path


def keras_zip(path: Path) -> Path:
    return zipped(path, "metadata.json", "config.json", "model.weights.h5")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_files_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    for name in ("a.keras", "a.zip", "plain"):
        keras_zip(tmp_path / name)
        assert find_source(name).kind == "keras"
    for name in ("a.h5", "a.hdf5", "odd.bin"):
        (tmp_path / name).write_bytes(HDF5 + bytes(100))
        assert find_source(name).kind == "keras"
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    (tmp_path / "unnamed").write_bytes(b"\x08\x08\x12\x07pytorch")
    assert find_source("a.onnx").kind == find_source("unnamed").kind == "onnx"
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    assert find_source("saved").kind == find_source("saved/").kind == "saved-model"
    assert find_source("saved/").name == "saved"


def test_an_int8_file_is_one_already() -> None:
    path = models_dir() / "digits.tflite"
    assert find_source(str(path)) == Source("int8-tflite", str(path), "digits", path)


def network(weights: str, activations: str = "float32", inner: str = "") -> bytes:
    """x → dense → dense → y; `inner`: the type of the tensor between, that of the others being `activations`."""
    graph = GraphBuilder()

    def tensor(name: str, shape: tuple[int, ...], dtype: str, data: Any = None) -> int:
        scale = {"scale": 0.5, "zero_point": 0} if dtype == "int8" else {}
        return graph.tensor(name, shape, dtype, data=data, **scale)

    x, y = (tensor(name, (1, 4), activations) for name in "xy")
    between = tensor("between", (1, 4), inner or activations)
    matrix = tensor("w", (4, 4), weights, np.eye(4, dtype=weights))
    if weights == "float16":
        plain = tensor("plain", (4, 4), "float32")
        graph.op("DEQUANTIZE", [matrix], [plain])
        matrix = plain
    graph.op("FULLY_CONNECTED", [x, matrix, -1], [between])
    graph.op("FULLY_CONNECTED", [between, matrix, -1], [y])
    return graph.build(inputs=[x], outputs=[y])


def test_a_float_file_can_still_be_quantized(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(network("float32"))
    assert find_source("net.tflite").kind == "float-tflite"
    (tmp_path / "net.tflite").write_bytes(network("int8", "int8"))
    assert find_source("net.tflite").kind == "int8-tflite"


@pytest.mark.parametrize(
    "data, message",
    [
        (network("int8"), "its weights are int8 and its activations float (dynamic range quantization)"),
        (network("float16"), "its weights are float16"),
        (network("float32", "float32", inner="int8"), "quantized in parts"),
    ],
    ids=["dynamic range", "float16", "in parts"],
)
def test_a_file_that_is_quantized_half_way(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "net.tflite").write_bytes(data)
    with pytest.raises(UnsupportedModelError) as caught:
        find_source("net.tflite")
    assert message in caught.value.message and "the float model" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text, name",
    [
        ("nets:small", "nets_small"),
        ("my.package.nets:build", "my_package_nets_build"),
    ],
)
def test_functions(text: str, name: str) -> None:
    assert find_source(text) == Source("function", text, name, None)


@pytest.mark.parametrize(
    "file, name",
    [
        ("KWS model (v2).keras", "KWS_model_v2"),
        ("-o.keras", "o"),
        ("..keras.keras", "keras"),
        ("日本.keras", "model"),
        ("a\nb.keras", "a_b"),
        ("x" * 200 + ".keras", "x" * 64),
    ],
)
def test_names_are_made_of_letters_digits_and_two_signs(tmp_path: Path, file: str, name: str) -> None:
    keras_zip(tmp_path / file)
    assert find_source(file).name == name


def test_what_exists_is_no_function(tmp_path: Path) -> None:
    """Where colons may stand in names."""
    try:
        keras_zip(tmp_path / "nets:small")
    except OSError:
        pytest.skip("this file system cannot be installed with names that hold colons")
    assert find_source("nets:small").kind == "keras"


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("missing.keras", "missing.keras: no such file or folder", "a model is"),
        ("C:\\models\\x.keras", "no such file or folder", "a model is"),
        ("C:/models/x.keras", "no such file or folder", "a model is"),
        ("", "no such file or folder", "a model is"),
        ("a\0b", "no such file or folder", "a model is"),
        ("x" * 5000, "no such file or folder", "a model is"),
        ("nets/small.py:build", "a function is named by its module", "write small:build"),
        ("nets:", "no such file", "module:function"),
        ("nets:build()", "no such file", "module:function"),
    ],
)
def test_nothing_is_there(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_source(text)
    assert message in caught.value.message and hint in (caught.value.hint or "")


FOREIGN = [
    ("net.pt", b"\x80\x02\x8a\nl\xfcF\x9c", "a PyTorch model", "torch.onnx.export"),
    ("net.pkl", b"\x80\x04\x95\x01", "a Python pickle", "model.save"),
    ("net.ckpt.index", b"\x00\x00\x07\x02", "a TensorFlow checkpoint", "load_weights"),
    ("net.data-00000-of-00001", b"\x00" * 9, "a TensorFlow checkpoint", "load_weights"),
    ("frozen.pb", b"\x0a\x05input", "a frozen TensorFlow graph", "SavedModel"),
    ("net.safetensors", b"\x40\0\0\0\0\0\0\0{}", "weights without a network", "module:function"),
    ("data.npy", b"\x93NUMPY\x01\x00", "arrays", "--calibration"),
    ("net.tar.gz", b"\x1f\x8b\x08\x00", "an archive", "unpack"),
    ("net.gguf", b"GGUF\x03\0\0\0", "a language model", "made from"),
    ("build.py", b"import keras\n", "a Python file", "module:function"),
    ("net.json", b'{"class_name": "Sequential"}', "a JSON file", "weights"),
    ("empty.keras", b"", "the file is empty", None),
    ("broken.keras", b"not a zip at all", "is named .keras", "again"),
    ("broken.h5", b"not HDF5 at all", "is named .h5", "again"),
    ("broken.tflite", b"\x1c\0\0\0XXXX" + bytes(40), "is named .tflite", "again"),
    ("pointer.keras", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
    ("text.txt", b"hello\n", "no model that is known", "a .keras or .h5 file"),
]


@pytest.mark.parametrize("name, data, message, hint", FOREIGN, ids=[each[0] for each in FOREIGN])
def test_files_of_another_kind(tmp_path: Path, name: str, data: bytes, message: str, hint: str | None) -> None:
    (tmp_path / name).write_bytes(data)
    told(name, message, hint)


def told(name: str, message: str, hint: str | None) -> TinydeployError:
    with pytest.raises(ModelError) as caught:
        find_source(name)
    assert message in caught.value.message and caught.value.message.startswith(name)
    assert hint is None or hint in (caught.value.hint or "")
    return caught.value


def test_zips_of_another_kind(tmp_path: Path) -> None:
    zipped(tmp_path / "net.pth", "archive/data.pkl", "archive/version")
    told("net.pth", "a PyTorch model", "torch.onnx.export")
    zipped(tmp_path / "data.npz", "x.npy", "y.npy")
    told("data.npz", "arrays", "--calibration")
    zipped(tmp_path / "saved.zip", "saved/saved_model.pb")
    told("saved.zip", "an archive", "unpack")
    whole = keras_zip(tmp_path / "whole.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    told("half.keras", "a damaged zip archive", "again")


def test_folders_of_another_kind(tmp_path: Path) -> None:
    def folder(name: str, *files: str) -> str:
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(b"")
        (tmp_path / name).mkdir(exist_ok=True)
        return name

    told(folder("empty"), "an empty folder", "saved_model.pb")
    told(folder("checkpoints", "checkpoint", "net.index"), "a TensorFlow checkpoint", "load_weights")
    told(folder("half", "variables/variables.index", "fingerprint.pb"), "without its saved_model.pb", "whole folder")
    told(folder("above", "1/saved_model.pb"), "no SavedModel itself", "1")
    told(folder("unpacked", "config.json", "metadata.json"), "an unpacked .keras file", ".keras")
    told(folder("other", "x.txt"), "a folder without saved_model.pb", "file or its folder")
    told(str(Path("above", "1", "saved_model.pb")), "", None)


def test_the_digest_is_that_of_the_file_or_of_all_files_of_a_folder(tmp_path: Path) -> None:
    path = keras_zip(tmp_path / "a.keras")
    data = path.read_bytes()
    assert digest(find_source("a.keras")) == (hashlib.sha256(data).hexdigest(), len(data))
    assert digest(find_source("nets:small")) == ("", 0)
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"abc")
    (tmp_path / "saved" / "variables" / "v").write_bytes(b"de")
    first = digest(find_source("saved"))
    assert first[1] == 5
    (tmp_path / "saved").rename(tmp_path / "moved")
    assert digest(find_source("moved")) == first
    (tmp_path / "moved" / "variables" / "v").rename(tmp_path / "moved" / "variables" / "w")
    assert digest(find_source("moved")) != first
