"""Finding out what a user has named as the model: by what is in it rather than by its name."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tinydeploy.convert.functions import is_function
from tinydeploy.convert.sources.foreign import Foreign, file_is, folder_is
from tinydeploy.convert.sources.kinds import Kind, kind_of
from tinydeploy.convert.types import Source, SourceKind
from tinydeploy.errors import ModelError, UnsupportedModelError, UsageError
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model, read_file

FORMS = "a .keras or .h5 file, a SavedModel folder, module:function, an .onnx or a .tflite file"
_HEAD_BYTES = 512
_PIECE_BYTES = 1 << 20
_NAME_LIMIT = 64
_FLOAT_HINT = "name the float model that it was made from: quantizing it again would add one loss to the other"
_HALF_QUANTIZED: dict[Kind, str] = {
    "dynamic-range": "its weights are int8 and its activations float (dynamic range quantization)",
    "float16": "its weights are float16",
    "partly": "it is quantized in parts, and computes in floats in others",
}


def find_source(text: str) -> Source:
    """The model that `text` names: something that exists, else a function.

    Raises `UsageError` when there is nothing, `ModelError` when it is damaged or something else (the message says what
    it is, the hint what to do), `UnsupportedModelError` for a .tflite file that is quantized half-way.
    """
    shown = printable(text, 400)
    path = Path(text)
    try:
        there = text != "" and path.exists()
    except (OSError, ValueError):  # far too long, or a NUL inside
        there = False
    if not there:
        if is_function(text):
            return Source("function", text, _name(text.replace(":", "_").replace(".", "_")))
        raise _nothing(shown, text)
    if path.is_dir():
        if path.name == "saved_model.pb" or not (path / "saved_model.pb").is_file():
            raise _foreign(shown, folder_is(path))
        return Source("saved-model", text, _name(path.resolve().name), path)
    return Source(_kind_of_file(shown, path), text, _name(path.stem), path)


def digest(source: Source) -> tuple[str, int]:
    """SHA-256 and bytes of the source's file, or of all files of its folder with their names, sorted by these.

    `("", 0)` for a function. Raises `UsageError` when a file cannot be read.
    """
    if source.path is None:
        return "", 0
    state, size = sha256(), 0
    try:
        if source.path.is_file():
            files = [("", source.path)]
        else:
            found = (each for each in source.path.rglob("*") if each.is_file())
            files = sorted((each.relative_to(source.path).as_posix(), each) for each in found)
        for name, file in files:
            if name:
                state.update(f"{name}\0{file.stat().st_size}\0".encode())
            for piece in _pieces(file):
                state.update(piece)
                size += len(piece)
    except OSError as error:
        raise UsageError(f"{printable(source.text, 400)}: cannot be read: {error.strerror or error}") from None
    return state.hexdigest(), size


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _kind_of_file(shown: str, path: Path) -> SourceKind:
    try:
        if not path.is_file():
            raise ModelError(f"{shown}: is not a regular file")
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror or error}") from None
    if not head:
        raise ModelError(f"{shown}: the file is empty")
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        raise ModelError(f"{shown}: is a part of a SavedModel", hint=f"name its folder: {printable(str(path.parent))}")
    if head[4:7] == b"TFL":
        return _kind_of_tflite(shown, path)
    if head.startswith(b"\x89HDF\r\n\x1a\n") or (path.suffix == ".keras" and _is_keras_zip(path)):
        return "keras"
    if head.startswith(b"PK\x03\x04") and _is_keras_zip(path):
        return "keras"
    if path.suffix.lower() == ".onnx" or _looks_like_onnx(head):
        return "onnx"
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(f"{shown}: is a pointer of Git LFS and no model", hint="`git lfs pull` fetches the file")
    found = file_is(path, head)
    if found is not None:
        raise _foreign(shown, found)
    suffix = path.suffix.lower()
    if suffix in (".keras", ".h5", ".hdf5", ".tflite", ".lite"):
        raise ModelError(f"{shown}: is named {suffix}, and is none or is damaged", hint="copy or save it again")
    raise ModelError(f"{shown}: is no model that is known", hint=f"a model is {FORMS}")


def _is_keras_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "metadata.json"} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False


def _looks_like_onnx(head: bytes) -> bool:
    """The first field of a ModelProto is its version, a small number; then comes its producer's name or domain."""
    return head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in (b"\x12", b"\x22", b"\x3a")


def _kind_of_tflite(shown: str, path: Path) -> SourceKind:
    kind = kind_of(parse_model(read_file(path), name=path.stem, path=str(path)))
    if kind == "integer":
        return "int8-tflite"
    if kind == "float":
        return "float-tflite"
    raise UnsupportedModelError(f"{shown}: {_HALF_QUANTIZED[kind]}", hint=_FLOAT_HINT)


def _foreign(shown: str, found: Foreign) -> ModelError:
    return ModelError(f"{shown}: is {found.what}", hint=found.remedy)


def _nothing(shown: str, text: str) -> UsageError:
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py") and name.isidentifier():
        module = file.removesuffix(".py").replace("\\", "/").rpartition("/")[2]
        return UsageError(f"{shown}: a function is named by its module", hint=f"write {printable(module)}:{name}")
    return UsageError(f"{shown}: no such file or folder", hint=f"a model is {FORMS}")


def _name(text: str) -> str:
    """Letters, digits, `_` and `-`, for a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:_NAME_LIMIT].strip("_-") or "model"
