"""What of a Keras model will not run on a microcontroller, told by layer before anything is converted.

Only what stops TensorFlow's converter, or makes it end in a crash or in operators that no runtime here has, whatever
surrounds the layer: each rule was seen to. All else is seen better in the converted graph, see `graph_obstacles`.
Nothing of Keras is imported, so that models of Keras 3 and of tf_keras are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tinydeploy.convert.obstacles.remedies import BEFORE, FIXED_SHAPE, FLOAT32, RECURRENT, RESIZING
from tinydeploy.convert.types import Obstacle

_TEXT = frozenset({"StringLookup", "TextVectorization", "Hashing", "IntegerLookup", "HashedCrossing"})
_VOLUMES = frozenset({"Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D", "UpSampling3D"})
_SCALING = frozenset({"UpSampling2D", "Resizing"})
_SCALED_BY = ("nearest", "bilinear")
_OTHER_FLOATS = frozenset({"float16", "bfloat16", "float64"})


def keras_obstacles(model: Any) -> tuple[Obstacle, ...]:
    """What stands in the way of a built Keras model: functional, sequential or subclassed, with models in it."""
    found = [*_of_inputs(model)]
    wide: dict[str, list[str]] = {}
    for name, layer in _layers(model):
        for rule in _RULES:
            told = rule(layer, _kinds(layer))
            if told is not None:
                found.append(Obstacle(name, *told))
                break
        else:
            dtype = str(getattr(layer, "compute_dtype", ""))
            if dtype in _OTHER_FLOATS and _computes(layer):
                wide.setdefault(dtype, []).append(name)
    for dtype, names in wide.items():
        more = f", as do {len(names) - 1} more layers" if len(names) > 1 else ""
        found.append(Obstacle(names[0], f"computes in {dtype}{more}", FLOAT32))
    return tuple(found)


def layer_names(model: Any) -> tuple[str, ...]:
    """The names of all layers within a model, those of models in it too: by these a graph's names are understood."""
    return tuple(dict.fromkeys(part for path, _ in _layers(model, leaves=False) for part in path.split("/")))


def _of_inputs(model: Any) -> Iterator[Obstacle]:
    for name, shape, dtype in _inputs(model):
        if None in shape[1:]:
            shown = ", ".join("None" if extent is None else str(extent) for extent in shape[1:])
            yield Obstacle(name, f"takes inputs of any size: ({shown})", FIXED_SHAPE)
        if dtype in ("string", "str"):
            yield Obstacle(name, "takes text", f"{BEFORE}, with numbers as its input")


def _inputs(model: Any) -> Iterator[tuple[str, tuple[int | None, ...], str]]:
    """Name, shape with the batch, and dtype of each input, as far as they are known."""
    tensors = getattr(model, "inputs", None)
    for number, tensor in enumerate(tensors or ()):
        name = str(getattr(tensor, "name", "") or f"input {number}").partition(":")[0]
        yield name, tuple(tensor.shape), str(getattr(tensor.dtype, "name", tensor.dtype))
    if not tensors and hasattr(model, "get_build_config"):
        shapes = (model.get_build_config() or {}).get("input_shape")
        for shape in _shapes(shapes):
            yield "input", shape, ""


def _shapes(found: Any) -> Iterator[tuple[int | None, ...]]:
    """The shapes within a nest of lists and dictionaries of them."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        return
    if found and all(extent is None or isinstance(extent, int) for extent in found):
        yield tuple(found)
        return
    for each in found:
        yield from _shapes(each)


def _layers(model: Any, prefix: str = "", *, leaves: bool = True) -> Iterator[tuple[str, Any]]:
    """All layers with the path of their names, models and wrappers opened; without `leaves` these themselves too."""
    for layer in _parts(model):
        path = prefix + str(getattr(layer, "name", type(layer).__name__))
        inner = list(_parts(layer))
        if not inner or not leaves or _RECURRENT_KINDS & _kinds(layer):
            yield path, layer
        if inner:
            yield from _layers(layer, f"{path}/", leaves=leaves)


def _parts(layer: Any) -> Iterable[Any]:
    """The layers directly within a model, or within a layer of several."""
    parts = getattr(layer, "layers", None) or getattr(layer, "_layers", None) or ()
    own = [part for part in parts if part is not layer and hasattr(part, "weights")]
    return list({id(part): part for part in own}.values())


def _kinds(layer: Any) -> frozenset[str]:
    return frozenset(base.__name__ for base in type(layer).__mro__)


def _computes(layer: Any) -> bool:
    return not {"InputLayer", "Dropout", "Flatten", "Reshape"} & _kinds(layer)


_Told = tuple[str, str] | None
_RECURRENT_KINDS = frozenset({"RNN", "ConvRNN", "ConvLSTM"})


def _recurrent(layer: Any, kinds: frozenset[str]) -> _Told:
    if not _RECURRENT_KINDS & kinds:
        return None
    if not getattr(layer, "unroll", False):
        return f"is of the class {type(layer).__name__}, which loops over time", RECURRENT
    return None


def _text(layer: Any, kinds: frozenset[str]) -> _Told:
    return ("looks its input up in a table", BEFORE) if _TEXT & kinds else None


def _embedding(layer: Any, kinds: frozenset[str]) -> _Told:
    return ("looks rows of a table up by numbers", BEFORE) if "Embedding" in kinds else None


def _volume(layer: Any, kinds: frozenset[str]) -> _Told:
    if not _VOLUMES & kinds:
        return None
    return f"is of the class {type(layer).__name__}, and only two dimensions are computed", "use its 2D form on slices"


def _scaling(layer: Any, kinds: frozenset[str]) -> _Told:
    how = getattr(layer, "interpolation", "bilinear")
    return (f"interpolates '{how}'", RESIZING) if _SCALING & kinds and how not in _SCALED_BY else None


def _dilated_transpose(layer: Any, kinds: frozenset[str]) -> _Told:
    if not {"Conv2DTranspose", "Conv1DTranspose"} & kinds:
        return None
    rate = getattr(layer, "dilation_rate", 1)
    if max(rate if isinstance(rate, tuple | list) else (rate,)) == 1:
        return None
    return "is a transposed convolution with dilation", "use dilation_rate=1, or UpSampling2D and Conv2D"


_RULES: tuple[Callable[[Any, frozenset[str]], _Told], ...] = (
    _recurrent,
    _text,
    _embedding,
    _volume,
    _scaling,
    _dilated_transpose,
)
