"""Keras models that something has quantized before: tensorflow-model-optimization, which is read, and Keras itself.

tensorflow-model-optimization wraps the layers of Keras 2, and only there its files can be read. It asks for an absl-py
that others here cannot take, so no extra of tinydeploy has it; a SavedModel of the same model needs none of it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from tinydeploy.errors import MissingToolError, ModelError, UnsupportedModelError
from tinydeploy.operators.base import printable

_WRAPPERS = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer")
_SAVED_MODEL_HINT = "where it was trained, write it as a SavedModel, which needs no more packages: model.export(folder)"


def made_with_tfmot(path: Path) -> bool:
    """Whether a .keras or .h5 file has the layers of tensorflow-model-optimization."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                config = archive.read("config.json")
        else:
            import h5py

            with h5py.File(path, "r") as file:
                config = file.attrs["model_config"]
        return any(name in _WRAPPERS for name in _class_names(json.loads(config)))
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile):
        return False  # Keras says what is wrong with it


def load_with_tfmot(path: Path) -> Any:
    """The tf_keras model in such a file. Raises `MissingToolError` without the packages, `ModelError` when they cannot
    read it."""
    shown = printable(str(path), 400)
    try:
        import tf_keras
        from tensorflow_model_optimization.python.core.quantization.keras.quantize import quantize_scope
        from tf_keras.src.saving.serialization_lib import SafeModeScope
    except ImportError as error:
        raise MissingToolError(
            f"{shown}: was trained with tensorflow-model-optimization, which cannot be imported: "
            f"{printable(str(error), 200)}",
            hint=f"{_SAVED_MODEL_HINT}; or pip install tensorflow-model-optimization here",
        ) from error
    try:
        with quantize_scope(), SafeModeScope(safe_mode=True):  # load_model's own safe_mode does not hold for .h5
            return tf_keras.models.load_model(path, compile=False)
    except Exception as error:  # it raises whatever a layer's code does
        said = " ".join(str(error).split())
        raise ModelError(
            f"{shown}: tf_keras cannot load it: {type(error).__name__}: {printable(said, 300)}", hint=_SAVED_MODEL_HINT
        ) from error


def refuse_quantized_by_keras(shown: str, model: Any) -> None:
    """Raise `UnsupportedModelError` for a model on which `model.quantize` of Keras was called, which is no training."""
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else model.layers
    for layer in layers:
        mode = getattr(layer, "quantization_mode", None)
        if mode:
            raise UnsupportedModelError(
                f"{shown}: layer '{printable(layer.name)}' was quantized by Keras ({printable(str(mode))}): its "
                "weights are rounded, its activations have no fixed ranges, and a microcontroller needs both",
                hint="name the model as it was before model.quantize(): it is quantized here, with --calibration",
            )


def _class_names(config: Any) -> list[str]:
    if isinstance(config, dict):
        own = [config["class_name"]] if isinstance(config.get("class_name"), str) else []
        found = own + [name for value in config.values() for name in _class_names(value)]
        return [name.rpartition(">")[2] for name in found]
    if isinstance(config, list):
        return [name for value in config for name in _class_names(value)]
    return []
