"""Networks trained with quantization awareness: the ranges that training found are those of the int8 file.

Such a graph has FakeQuant operators, each with the range of what goes through it. TensorFlow's converter makes scales
of them; calibration fills in where there are none, and changes none of those that there are. What computes in floats
for want of a range is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinydeploy.convert.network import Network, converter, to_float_tflite
from tinydeploy.convert.obstacles.refusals import layer_of, refused_by_converter
from tinydeploy.convert.quantize import require_integer
from tinydeploy.convert.sources.kinds import float_operators
from tinydeploy.convert.types import Array, ConvertOptions, InputSpec
from tinydeploy.errors import UnsupportedModelError, UsageError
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model

_FAKE_QUANT = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", "FakeQuantWithMinMaxArgs")


@dataclass(frozen=True)
class Aware:
    """The int8 file of a network trained so; `calibrated` are the layers whose ranges the samples had to give; `notes`
    say for the user where ranges come from."""

    data: bytes
    calibrated: tuple[str, ...]
    notes: tuple[str, ...]


def has_trained_ranges(network: Network) -> bool:
    """Whether a network was trained with quantization awareness."""
    return network.function is not None and any(
        node.type in _FAKE_QUANT for node in network.function.graph.get_operations()
    )


def with_plain_floats(network: Network) -> Network:
    """The same network whose `float_data` pass everything on as it is, unrounded: what int8 is measured against."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.eager.wrap_function import function_from_graph_def

    function: Any = network.function
    graph = function.graph.as_graph_def()
    for node in graph.node:
        if node.op in _FAKE_QUANT:
            source = node.input[0]
            node.ClearField("input")
            node.ClearField("attr")
            node.op = "Identity"
            node.input.append(source)
            node.attr["T"].type = types_pb2.DT_FLOAT
    inputs = [tensor.name for tensor in function.inputs]
    outputs = [tensor.name for tensor in function.outputs]
    return replace(network, float_data=to_float_tflite(function_from_graph_def(graph, inputs, outputs)))


def quantize_aware(
    network: Network,
    samples: Sequence[Mapping[str, Array]] | None,
    options: ConvertOptions,
    *,
    name: str = "the model",
) -> Aware:
    """The int8 file of a network with trained ranges; samples and `name` as `quantize` takes them, None where no
    samples are given.

    Raises `UsageError` when ranges are missing and there are no samples, `UnsupportedModelError` for int16 activations
    and for operators that have no integer form.
    """
    if options.activations != "int8":
        raise UnsupportedModelError(
            f"{name} was trained for the ranges of int8 activations, and int16 is asked for",
            hint="leave out --activations, or export the network as it was before it was made aware of quantization",
        )
    missing = _without_range(network, options)
    if missing and samples is None:
        raise UsageError(
            f"{name}: training has left no ranges for {_told(missing)}",
            hint="give --calibration: samples fill in what is missing, and the trained ranges stay",
        )
    data = _convert(network, samples or [_nothing(network.inputs)], options)
    require_integer(parse_model(data, name=name))
    notes = ["the network was trained with quantization awareness: its trained ranges are used"]
    if missing:
        notes.append(f"training has left no ranges for {_told(missing)}: calibration gives them")
    elif samples is None:
        notes.append("losses by layer are not known without --calibration, which changes no trained range")
    return Aware(data, missing, tuple(notes))


def _without_range(network: Network, options: ConvertOptions) -> tuple[str, ...]:
    """The layers that stay in floats when there are only the trained ranges."""
    model = parse_model(_convert(network, None, options))
    return tuple(dict.fromkeys(layer_of(model.output_of(op).name) for op in float_operators(model)))


def _convert(network: Network, samples: Sequence[Mapping[str, Array]] | None, options: ConvertOptions) -> bytes:
    import tensorflow as tf

    def given() -> Iterator[list[Any]]:
        return ([sample[spec.name] for spec in network.inputs] for sample in samples or ())

    made = converter(network.function)
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.inference_input_type = made.inference_output_type = tf.float32 if options.ends == "float" else tf.int8
    if samples is not None:
        made.representative_dataset = given
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with refused_by_converter(network.function):
        data: bytes = made.convert()
    return data


def _nothing(inputs: Sequence[InputSpec]) -> dict[str, Array]:
    """A sample for a converter that names tensors better when it has one; no range follows from it."""
    return {spec.name: np.zeros((1, *spec.shape), spec.dtype) for spec in inputs}


def _told(layers: Sequence[str]) -> str:
    shown = ", ".join(f"'{printable(layer)}'" for layer in layers[:4])
    return f"{shown} and {len(layers) - 4} more" if len(layers) > 4 else shown
