"""What a file or a folder is that cannot be converted, and what to do: other frameworks, weights, archives."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Foreign:
    """`what` it is, to follow "is", and what to do."""

    what: str
    remedy: str


_TORCH = Foreign(
    "a PyTorch model",
    "write it with torch.onnx.export(model, sample, 'model.onnx') and name the .onnx file",
)
_CHECKPOINT = Foreign(
    "a TensorFlow checkpoint: weights without a network",
    "name module:function, a function that builds the model, calls model.load_weights and returns it",
)
_FROZEN = Foreign(
    "a frozen TensorFlow graph",
    "wrap it into a SavedModel (tf.compat.v1.saved_model.simple_save) and name that folder",
)
_ARCHIVE = Foreign("an archive", "unpack it and name the model inside")
_PICKLE = Foreign(
    "a Python pickle, which is not opened: it may run any code",
    "save a Keras model with model.save('model.keras'), a PyTorch one with torch.onnx.export",
)
_DATA = Foreign("a file of arrays and no model", "arrays are for --calibration and --evaluate")
_WEIGHTS = Foreign(
    "a file of weights without a network",
    "name module:function, a function that builds the model, loads these weights and returns it",
)


def _compiled(what: str) -> Foreign:
    return Foreign(what, "name the trained model that it was made from")


_BY_SUFFIX: Mapping[str, Foreign] = MappingProxyType(
    {
        **dict.fromkeys((".pt", ".pth", ".ckpt.pt"), _TORCH),
        **dict.fromkeys((".index", ".ckpt"), _CHECKPOINT),
        **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
        **dict.fromkeys((".npy", ".npz"), _DATA),
        **dict.fromkeys((".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".zst"), _ARCHIVE),
        ".pb": _FROZEN,
        ".pbtxt": _FROZEN,
        ".safetensors": _WEIGHTS,
        ".msgpack": Foreign("a file of JAX or Flax parameters", "write the model as a SavedModel with jax2tf"),
        ".mlmodel": _compiled("a Core ML model"),
        ".engine": _compiled("a TensorRT engine"),
        ".plan": _compiled("a TensorRT engine"),
        ".hef": _compiled("a model compiled for Hailo"),
        ".rknn": _compiled("a model compiled for Rockchip"),
        ".pdmodel": Foreign("a Paddle model", "write it with paddle2onnx and name the .onnx file"),
        ".gguf": _compiled("a language model (GGUF)"),
        ".json": Foreign("a JSON file", "a network's JSON has no weights: save the whole model (model.save)"),
        ".xml": Foreign("an XML file (OpenVINO?)", "name the trained model that it was made from"),
        ".py": Foreign("a Python file", "name a function in it that returns the model, as module:function"),
    }
)


def file_is(path: Path, head: bytes) -> Foreign | None:
    """What a file is by its first bytes, else by its name; None for what is not known."""
    if head.startswith(b"PK\x03\x04"):
        return _zip_is(path)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")):
        return _ARCHIVE
    if head.startswith(b"\x93NUMPY"):
        return _DATA
    if head.startswith(b"GGUF"):
        return _BY_SUFFIX[".gguf"]
    suffix = path.suffix.lower()
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return _TORCH if suffix in (".pt", ".pth") else _PICKLE
    if ".data-" in path.name or path.name == "checkpoint":
        return _CHECKPOINT
    return _BY_SUFFIX.get(suffix)


def _zip_is(path: Path) -> Foreign:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return Foreign("a damaged zip archive: its end is missing", "copy or save it again")
    if any(name.endswith("data.pkl") for name in names):
        return _TORCH
    if names and all(name.endswith(".npy") for name in names):
        return _DATA
    return _ARCHIVE


def folder_is(folder: Path) -> Foreign:
    """What a folder is that is no SavedModel."""
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return Foreign("an empty folder", "a SavedModel is a folder with saved_model.pb in it")
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return _CHECKPOINT
    if "variables" in names or "assets" in names or "fingerprint.pb" in names:
        return Foreign("a SavedModel without its saved_model.pb", "copy or save it again, the whole folder")
    if "saved_model.pbtxt" in names:
        return Foreign("a SavedModel as text", "save it as saved_model.pb")
    if {"config.json", "metadata.json"} <= set(names):
        return Foreign("an unpacked .keras file", "name the .keras file itself")
    if path_with_model := next((name for name in names if (folder / name / "saved_model.pb").is_file()), None):
        return Foreign("no SavedModel itself", f"there is one in it: name the folder {path_with_model}")
    if any(name.endswith(".mlpackage") or name == "Manifest.json" for name in names):
        return _compiled("a Core ML model")
    return Foreign("a folder without saved_model.pb in it, and no SavedModel", "name the model's file or its folder")
