"""Keras models into networks: from a file, or from a function of the user's that returns one. Needs TensorFlow."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydeploy.convert.functions import apart, call_function, guarded
from tinydeploy.convert.network import Network, input_specs, output_names, to_float_tflite, trace
from tinydeploy.convert.obstacles.layers import keras_obstacles, layer_names
from tinydeploy.convert.obstacles.refusals import refuse
from tinydeploy.convert.sources.aware_keras import load_with_tfmot, made_with_tfmot, refuse_quantized_by_keras
from tinydeploy.convert.types import InputSpec
from tinydeploy.errors import ModelError, UnsupportedModelError, UsageError
from tinydeploy.operators.base import printable

_AUTOMATIC = re.compile(r"keras_tensor(_\d+)?(:0)?$")  # counts the tensors of the session
_WEIGHTS_HINT = (
    "a file of weights has no layers: write the whole model with model.save('model.keras'), or name module:function, "
    "a function that builds the model, loads these weights and returns it"
)
_CODE_HINT = (
    "name module:function instead, a function that returns the model: it can import its layers, and then load "
    "the file with keras.models.load_model"
)


def load_keras_file(path: Path) -> Any:
    """The model in a .keras or .h5 file, without what was needed to train it.

    Raises `ModelError` when the file cannot be read or holds only weights, and `UnsupportedModelError` when it needs
    the user's own code.
    """
    import keras

    shown = printable(str(path), 400)
    if _only_weights(path):
        raise ModelError(f"{shown}: holds a model's weights and no model", hint=_WEIGHTS_HINT)
    if made_with_tfmot(path):
        return load_with_tfmot(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a layer's code does
        raise _not_loaded(shown, path, error) from error


def load_keras_function(spec: str) -> Any:
    """The model that `module:function` returns. Raises `UsageError` for what it raises, or returns instead of one."""
    with apart():
        model = call_function(spec)
    if not is_keras_model(model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        hint = "it has to return a Keras model"
        if isinstance(model, tuple | list) and any(is_keras_model(each) for each in model):
            hint += " alone, and returns it with something else"
        elif "torch" in kind or any("torch.nn" in str(base) for base in type(model).__mro__):
            hint = "this is a PyTorch model: write it with torch.onnx.export and name the .onnx file"
        raise UsageError(f"{printable(spec)} returned {_a(kind)}, and no Keras model", hint=hint)
    return model


def is_keras_model(value: Any) -> bool:
    """Whether it is one, of Keras 3 or of tf_keras."""
    return all(hasattr(value, name) for name in ("count_params", "layers", "get_config")) and callable(value)


def keras_network(model: Any, text: str = "") -> Network:
    """The network of a Keras model, for a batch of one. `text` is what the user calls it.

    Raises `UnsupportedModelError`, which names the layers, where it will not run on a microcontroller.
    """
    shown = printable(text or str(getattr(model, "name", "the model")), 400)
    refuse_quantized_by_keras(shown, model)
    refuse(shown, keras_obstacles(model))
    inputs, call = _entry(shown, model)
    function = guarded(shown, lambda: trace(call, inputs, _output_names(model), _scopes(model)))
    return Network(
        inputs=inputs,
        outputs=output_names(function),
        float_data=to_float_tflite(function),
        parameters=int(model.count_params()),
        function=function,
        layers=layer_names(model),
    )


def _entry(shown: str, model: Any) -> tuple[tuple[InputSpec, ...], Any]:
    """The inputs of a model in its order, and a function that takes them so and returns its outputs in order."""
    import tensorflow as tf

    tensors = getattr(model, "inputs", None)
    if tensors:
        structure = getattr(model, "input", tensors[0] if len(tensors) == 1 else list(tensors))
        names = getattr(model, "input_names", None) or [_AUTOMATIC.sub("input", tensor.name) for tensor in tensors]
        shapes = [tuple(tensor.shape) for tensor in tensors]
        dtypes = [tf.as_dtype(tensor.dtype).name for tensor in tensors]
    else:
        structure, leaves = _leaves(_built_for(shown, model))
        names = [name for name, _ in leaves]
        shapes = [(None, *tuple(shape)[1:]) for _, shape in leaves]  # of the batches that it was trained with
        dtypes = [str(getattr(model, "input_dtype", None) or "float32")] * len(shapes)
    for name, shape in zip(names, shapes, strict=True):
        if shape and shape[0] not in (None, 1):
            raise UnsupportedModelError(
                f"{shown}: the input '{printable(name)}' takes batches of {shape[0]} samples only",
                hint="a device sees one sample at a time: build the model with an open batch, or batch_shape=(1, …)",
            )
    specs = input_specs((name, shape[1:], dtype) for name, shape, dtype in zip(names, shapes, dtypes, strict=True))

    def call(*given: Any) -> Sequence[Any]:
        results = model(tf.nest.pack_sequence_as(structure, list(given)), training=False)
        found: Sequence[Any] = tf.nest.flatten(results)
        return found

    return specs, call


def _output_names(model: Any) -> tuple[str, ...]:
    """The names of the outputs in order, those of their layers; a subclassed model knows none."""
    import keras

    if isinstance(model, keras.Sequential) and model.layers:
        return (str(model.layers[-1].name),)
    return tuple(getattr(model, "output_names", None) or ())


def _scopes(model: Any) -> Callable[[str], str] | None:
    """Makes `model_1/dense_1/MatMul` of a traced node `model/dense/MatMul` again.

    Keras 3 opens the scope of each layer twice, and TensorFlow numbers the second; tf_keras does not.
    """
    import keras

    if not isinstance(model, keras.Model):
        return None
    layers = {model.name, *layer_names(model)}

    def plain(node: str) -> str:
        *scopes, last = node.split("/")
        cut = (scope.rpartition("_")[0] for scope in scopes)
        kept = [short if short in layers else scope for short, scope in zip(cut, scopes, strict=True)]
        return "/".join((*kept, last))

    return plain


class _Leaf:
    """Stands in a nested structure for a tensor, where a shape would be taken for more structure."""


def _leaves(shapes: Any, name: str = "") -> tuple[Any, list[tuple[str, Sequence[int | None]]]]:
    """The structure of nested shapes, and each with its name, in the order in which TensorFlow flattens them."""
    if isinstance(shapes, Mapping):
        parts = {key: _leaves(shapes[key], f"{name}{key}") for key in sorted(shapes)}
        return {key: part for key, (part, _) in parts.items()}, [leaf for _, found in parts.values() for leaf in found]
    if any(isinstance(each, Mapping | tuple | list) for each in shapes):
        listed = [_leaves(each, f"{name or 'input'}_{number}") for number, each in enumerate(shapes)]
        return [part for part, _ in listed], [leaf for _, found in listed for leaf in found]
    return _Leaf(), [(name or "input", shapes)]


def _built_for(shown: str, model: Any) -> Any:
    """The shapes that a subclassed model was last called with, as nested as its argument is."""
    config: Mapping[str, Any] = (model.get_build_config() if hasattr(model, "get_build_config") else None) or {}
    shapes = config.get("input_shape")
    if not getattr(model, "built", False) or not shapes:
        raise UnsupportedModelError(
            f"{shown}: the shape of the model's input is not known",
            hint="call the model once on a sample before it is returned or saved, or start it with keras.Input(shape)",
        )
    return shapes


def _only_weights(path: Path) -> bool:
    import h5py

    if path.name.endswith(".weights.h5"):
        return True
    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return "model_config" not in file.attrs
    except OSError:  # damaged: Keras says how
        return False


def _not_loaded(shown: str, path: Path, error: Exception) -> ModelError:
    said = " ".join(str(error).split())
    if "Lambda" in said and ("safe" in said or "deserializ" in said):
        return UnsupportedModelError(
            f"{shown}: has a Lambda layer, whose Python code is in the file, and is not run unseen",
            hint=f"{_CODE_HINT}(…, safe_mode=False), if you trust it",
        )
    for words in ("Could not locate class '", "Unknown layer: '", "Could not locate function '", "Unknown object: '"):
        if words in said:
            name = said.partition(words)[2].partition("'")[0]
            return UnsupportedModelError(f"{shown}: its '{printable(name)}' is code of your own", hint=_CODE_HINT)
    if isinstance(error, OSError):
        return ModelError(f"{shown}: is damaged: {printable(said, 200)}", hint="copy or save it again")
    wrote = _written_by(path)
    if wrote.startswith("2."):
        return UnsupportedModelError(
            f"{shown}: was written by Keras {printable(wrote)}, whose .keras files Keras 3 does not read",
            hint="where it was trained, write model.save('model.h5') or model.export(folder), and name that",
        )
    cause = said.rpartition("Exception encountered: ")[2]
    return ModelError(
        f"{shown}: Keras cannot load it: {type(error).__name__}: {printable(cause, 300)}",
        hint=f"if another version wrote it ({wrote or 'it does not say'}), save it with this one; else {_CODE_HINT}",
    )


def _written_by(path: Path) -> str:
    """The version of Keras that wrote a .keras file, as the file says."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (zipfile.BadZipFile, OSError, KeyError, TypeError, ValueError):
        return ""


def _a(words: str) -> str:
    name = words.removeprefix("builtins.")
    return printable(f"{'an' if name[:1] in 'aeiou' else 'a'} {name}")
