"""SavedModel folders into networks. Needs TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydeploy.convert.network import Network, input_specs, output_names, to_float_tflite, trace
from tinydeploy.convert.types import Source
from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.operators.base import printable

_USUAL = ("serving_default", "serve")
_KERAS_HINT = "save with model.export(folder), or name the .keras file or module:function"


def saved_model_network(source: Source) -> Network:
    """The network of a SavedModel's signature, for a batch of one; its inputs in the order of the signature's names.

    Raises `ModelError` when it cannot be loaded, `UnsupportedModelError` when it is not clear which signature is meant
    or shapes are open.
    """
    import tensorflow as tf

    assert source.path is not None
    shown = printable(source.text, 400)
    try:
        loaded = tf.saved_model.load(str(Path(source.path)))
    except Exception as error:
        said = " ".join(str(error).split())
        raise ModelError(f"{shown}: TensorFlow cannot load it: {printable(said, 300)}", hint=_KERAS_HINT) from error
    name, signature = _signature(shown, loaded.signatures)
    specs = signature.structured_input_signature[1]
    order = tuple(signature._arg_keywords)
    for each in order:
        _check_shape(shown, each, specs[each].shape)
    inputs = input_specs((each, specs[each].shape[1:], specs[each].dtype.name) for each in order)
    results = sorted(signature.structured_outputs, key=_naturally)

    def call(*given: Any) -> Sequence[Any]:
        found = signature(**dict(zip(order, given, strict=True)))
        return [found[each] for each in results]

    function = trace(call, inputs, results)
    notes = []
    if len(inputs) > 1:
        told = ", ".join(f"'{printable(spec.name)}'" for spec in inputs)
        notes.append(f"{shown}: a SavedModel keeps its inputs sorted by name: {told}")
    if name not in _USUAL[:1]:
        notes.append(f"{shown}: the signature '{printable(name)}' is taken")
    return Network(
        inputs=inputs,
        outputs=output_names(function),
        float_data=to_float_tflite(function),
        parameters=sum(int(variable.shape.num_elements() or 0) for variable in signature.graph.variables),
        function=function,
        notes=tuple(notes),
    )


def _signature(shown: str, signatures: Mapping[str, Any]) -> tuple[str, Any]:
    names = list(signatures)
    if not names:
        raise UnsupportedModelError(f"{shown}: the SavedModel has no signature that could be called", hint=_KERAS_HINT)
    name = next((usual for usual in _USUAL if usual in names), names[0])
    if name not in _USUAL and len(names) > 1:
        told = ", ".join(f"'{printable(each)}'" for each in sorted(names))
        raise UnsupportedModelError(
            f"{shown}: the SavedModel has several signatures, and none is 'serving_default': {told}",
            hint="save the one that is meant: tf.saved_model.save(module, folder, signatures=module.function)",
        )
    return name, signatures[name]


def _check_shape(shown: str, name: str, shape: Any) -> None:
    if shape.rank is None or any(extent is None for extent in shape[1:]) or (shape.rank and shape[0] not in (None, 1)):
        raise UnsupportedModelError(
            f"{shown}: the input '{printable(name)}' has the shape {shape}",
            hint="the batch may be open or 1, all else has to be fixed: give the whole shape when the model is saved",
        )


def _naturally(name: str) -> tuple[tuple[int, str], ...]:
    """A key that puts `output_2` before `output_10`."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
