"""`Network`: a float network on its way to int8, whatever it was loaded from, with one sample for each call.

TensorFlow leaves the batch of a model open, and a converter then writes operators that compute shapes. Here the model
is traced anew for a batch of one, and its variables are made constants, before the converter sees it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from tinydeploy.convert.obstacles.refusals import layer_of, refused_by_converter
from tinydeploy.convert.types import InputSpec
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.base import printable

_SOURCE = re.compile(r"(\^?)([^:]*)(:\d+)?")
"""What a node of a GraphDef reads: of a node an output, or its end (`^`)."""

_SCALING = ("Mul", "RealDiv", "Sub", "AddV2")
_HANDING_ON = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Pad", "PadV2")


@dataclass(frozen=True)
class Network:
    """A float network of fixed shapes.

    `inputs` and `outputs` (names) are in the order of the source, and the tensors of `float_data`, the .tflite file of
    it in float, are called so. `parameters` are counted in the source. `function`: what TensorFlow makes .tflite files
    of, a concrete function without variables; None where the source was a .tflite file. `notes` are for the user.
    `layers`: the names of a Keras model's layers.
    """

    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    float_data: bytes
    parameters: int
    function: Any | None = None
    notes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


def input_specs(inputs: Iterable[tuple[str, Sequence[int], str]]) -> tuple[InputSpec, ...]:
    """Specs of (name, shape without the batch, dtype), with names that TensorFlow takes, each once."""
    names: list[str] = []
    specs = []
    for name, shape, dtype in inputs:
        names.append(_node_name(name, names))
        specs.append(InputSpec(names[-1], tuple(shape), dtype))
    return tuple(specs)


def trace(
    call: Callable[..., Sequence[Any]],
    inputs: Sequence[InputSpec],
    outputs: Sequence[str],
    plain: Callable[[str], str] | None = None,
) -> Any:
    """A concrete function of a batch of one, without variables.

    `call` takes a tensor for each of `inputs` and returns the outputs in order, which get the names `outputs`; those
    that there is no name for are called `output_0` and so on. `plain` gives a node the name that the user knows.
    Raises what `call` raises, and `UnsupportedModelError` for layers that change variables when they are called.
    """
    import tensorflow as tf
    from tensorflow.python.eager.wrap_function import function_from_graph_def
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    results: list[str] = []

    def named(*tensors: Any) -> list[Any]:
        found = list(call(*tensors))
        names = list(outputs) if len(outputs) == len(found) else [f"output_{number}" for number in range(len(found))]
        taken = [spec.name for spec in inputs]
        for number, name in enumerate(names):
            taken.append(_node_name(name, taken))
            found[number] = tf.identity(found[number], name=taken[-1])
        results[:] = [result.name for result in found]
        return found

    signature = [tf.TensorSpec((1, *spec.shape), spec.dtype, name=spec.name) for spec in inputs]
    traced = tf.function(named, input_signature=signature, autograph=False).get_concrete_function()
    _refuse_state(traced.graph, plain or str)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    # `tf.function` wraps outputs once more, in nodes called Identity: end before these
    graph = frozen.graph.as_graph_def()
    if plain is not None:
        _rename(graph, plain)
    return function_from_graph_def(graph, [tensor.name for tensor in frozen.inputs], results)


def output_names(function: Any) -> tuple[str, ...]:
    """The names that the outputs of what `trace` returned have in a .tflite file."""
    return tuple(tensor.name.removesuffix(":0") for tensor in function.outputs)


def converter(function: Any) -> Any:
    """A `TFLiteConverter` for a traced function, with nothing in its files that differs from run to run.

    Raises nothing; its `convert` is to be called within `refused_by_converter`.
    """
    import tensorflow as tf

    made = tf.lite.TFLiteConverter.from_concrete_functions([function])
    made.exclude_conversion_metadata = True
    return made


def to_float_tflite(function: Any) -> bytes:
    """The float .tflite file of a traced function. Raises `UnsupportedModelError` with the layers that stand in the
    way."""
    with refused_by_converter(function):
        data: bytes = converter(function).convert()
    return data


def scaled_inputs(network: Network) -> frozenset[str]:
    """The names of the inputs that the network begins with scaling, or with taking something from: those it takes as
    they come, pixels of 0 to 255 for example."""
    if network.function is None:
        return frozenset()
    return frozenset(
        spec.name for spec, tensor in zip(network.inputs, network.function.inputs, strict=True) if _is_scaled(tensor)
    )


def _is_scaled(tensor: Any) -> bool:
    for node in tensor.consumers():
        by_constant = any(source.op.type == "Const" for source in node.inputs)
        if (node.type in _SCALING and by_constant) or (node.type in _HANDING_ON and any(map(_is_scaled, node.outputs))):
            return True
    return False


def _refuse_state(graph: Any, plain: Callable[[str], str]) -> None:
    """Raise `UnsupportedModelError` for operations that write to variables, which become constants."""
    writers = [layer_of(plain(node.name)) for node in graph.get_operations() if node.type.startswith("Assign")]
    if writers:
        layers = ", ".join(f"'{printable(layer)}'" for layer in dict.fromkeys(writers))
        raise UnsupportedModelError(
            f"the model changes when it is called: layer {layers} keeps a state, or draws random numbers",
            hint="give the state as an input and take it as an output, and leave random numbers to the training",
        )


def _rename(graph: Any, plain: Callable[[str], str]) -> None:
    """Give the nodes of a GraphDef other names, with a number where one is taken: a layer may be there twice."""
    taken = {node.name for node in graph.node}
    names: dict[str, str] = {}
    for node in graph.node:
        wanted = plain(node.name)
        if wanted != node.name:
            numbered = (f"{wanted}_{number}" for number in count(1))
            names[node.name] = next(name for name in chain([wanted], numbered) if name not in taken)
            taken.add(names[node.name])
    for node in graph.node:
        node.name = names.get(node.name, node.name)
        for position, source in enumerate(node.input):
            mark, name, output = _SOURCE.fullmatch(source).groups()  # type: ignore[union-attr]
            node.input[position] = f"{mark}{names.get(name, name)}{output or ''}"


def _node_name(name: str, taken: Sequence[str]) -> str:
    """`name` as TensorFlow's graphs may have it, and not among `taken`."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("_.-") or "tensor"
    made, number = clean, 0
    while made.lower() in {each.lower() for each in taken}:  # TensorFlow does not tell cases apart
        number += 1
        made = f"{clean}_{number}"
    return made
