"""ONNX files into networks: converted by onnx2tf, and held against onnxruntime before they go on. Needs TensorFlow.

Exporters write the channels of images first, TensorFlow has them last: the network takes its inputs channels last,
and `InputSpec.source_axes` says how data in the file's order are turned. onnx2tf prints what it does, ends the process
when it gives up, and fetches pictures to try a model on: none of that comes through here.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.convert.network import Network, input_specs, output_names, to_float_tflite, trace
from tinydeploy.convert.sources.onnx.files import extents, gist, graph_inputs, read_onnx
from tinydeploy.convert.sources.onnx.rewriting import rewritten, starting_channels_first
from tinydeploy.convert.types import Array, InputSpec, Source
from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.operators.base import printable

CLOSE = 1e-3
"""The largest difference from onnxruntime that is let through, as a part of the largest output."""

_SPATIAL = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize")
_TRIALS = 3
_NOT_CONVERTED_HINT = (
    "simplify the file first (onnxsim), or write that part with other operators; a Keras model or a SavedModel of the "
    "same network is the surer way"
)


@dataclass(frozen=True)
class _Reference:
    """What onnxruntime computes from some inputs, in the file's order of axes."""

    inputs: tuple[dict[str, Array], ...]
    outputs: tuple[tuple[Array, ...], ...]


def onnx_network(source: Source) -> Network:
    """The network of an ONNX file, for a batch of one.

    Raises what `read_onnx` and `rewritten` raise, and `UnsupportedModelError` where the converter fails, or makes a
    network that does not compute what onnxruntime computes.
    """
    assert source.path is not None
    shown = printable(source.text, 200)
    model = read_onnx(source.path)
    reference, parameters = _reference(model, shown), _parameters(model)
    refusal: UnsupportedModelError | None = None
    for prepare in (_as_written, _simplified):
        try:
            network = _converted(prepare(rewritten(model, shown)), shown, reference)
            return replace(network, parameters=parameters)
        except UnsupportedModelError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _converted(model: Any, shown: str, reference: _Reference) -> Network:
    """A network that does what the reference does."""
    was_last = starting_channels_first(model)
    sources = graph_inputs(model)
    kept = () if any(node.op_type in _SPATIAL for node in model.graph.node) else [value.name for value in sources]
    keras = _onnx2tf(model, kept, shown)
    specs = input_specs((value.name, extents(value)[1:], "float32") for value in sources)
    inputs = tuple(
        spec if value.name in kept or len(spec.shape) < 2 else _channels_last(spec, value.name in was_last)
        for spec, value in zip(specs, sources, strict=True)
    )
    outputs = [value.name for value in model.graph.output]
    function = trace(_calling(keras), inputs, outputs)
    turned = _check(function, inputs, reference, shown)
    told = [_told(shown, spec) for spec in inputs if spec.source_axes]
    last = [printable(name) for name, is_turned in zip(outputs, turned, strict=True) if is_turned]
    told += [f"{shown}: output '{name}' is channels last in the model, channels first in the file" for name in last]
    return Network(
        inputs=inputs,
        outputs=output_names(function),
        float_data=to_float_tflite(function),
        parameters=_parameters(model),
        function=function,
        notes=tuple(told),
    )


def _parameters(model: Any) -> int:
    weights = [each for each in model.graph.initializer if each.data_type == each.FLOAT and each.dims]
    return sum(prod(weight.dims) for weight in weights)


def _calling(keras: Any) -> Callable[..., Sequence[Any]]:
    def call(*given: Any) -> Sequence[Any]:
        results = keras(list(given) if len(given) > 1 else given[0], training=False)
        return list(results) if isinstance(results, list | tuple) else [results]

    return call


def _channels_last(spec: InputSpec, was_last: bool) -> InputSpec:
    """What the network takes for an input of the shape [channels, *extents]; `was_last`: the file takes the same."""
    axes = (*range(1, len(spec.shape)), 0)
    return replace(spec, shape=tuple(spec.shape[axis] for axis in axes), source_axes=() if was_last else axes)


def _told(shown: str, spec: InputSpec) -> str:
    return (
        f"{shown}: input '{printable(spec.name)}' is {list(_source_shape(spec))} in the file, channels first; the "
        f"model takes {list(spec.shape)}, channels last, and so must the firmware: data in the file's order are turned"
    )


def _source_shape(spec: InputSpec) -> tuple[int, ...]:
    shape = [0] * len(spec.shape)
    for axis, extent in zip(spec.source_axes, spec.shape, strict=True):
        shape[axis] = extent
    return tuple(shape)


def _onnx2tf(model: Any, kept: Sequence[str], shown: str) -> Any:
    """The tf_keras model that onnx2tf makes, without a word, a file or a look at the network."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        import tf_keras
        from onnx2tf import onnx2tf

        tf_keras.backend.clear_session()  # it numbers layers through, and their names are in the file
        pictures = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
        onnx2tf.download_test_image_data = lambda: pictures
        try:
            return onnx2tf.convert(
                onnx_graph=_copy(model),
                output_folder_path=folder,
                not_use_onnxsim=True,
                keep_shape_absolutely_input_names=list(kept),
                disable_model_save=True,
                verbosity="error",
            )
        except (Exception, SystemExit) as error:
            node = getattr(error, "onnx_op_name", None)
            at = f" at node '{printable(str(node))}'" if node else ""
            raise UnsupportedModelError(
                f"{shown}: onnx2tf does not convert it{at}: {gist(error)}", hint=_NOT_CONVERTED_HINT
            ) from error


def _reference(model: Any, shown: str) -> _Reference:
    """Inputs drawn from a fixed seed, and what onnxruntime makes of them. Raises `ModelError` when it refuses."""
    import onnxruntime

    draw = np.random.default_rng(0)
    values = [(value.name, extents(value)) for value in graph_inputs(model)]
    trials = tuple(
        {name: draw.standard_normal(shape).astype(np.float32) for name, shape in values} for _ in range(_TRIALS)
    )
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), _quiet(onnxruntime), providers=["CPUExecutionProvider"]
        )
        return _Reference(trials, tuple(tuple(session.run(None, trial)) for trial in trials))
    except Exception as error:  # its exceptions have no base of their own
        raise ModelError(f"{shown}: onnxruntime refuses the model: {gist(error)}") from error


def _check(function: Any, inputs: Sequence[InputSpec], reference: _Reference, shown: str) -> tuple[bool, ...]:
    """Which outputs have their channels last. Raises `UnsupportedModelError` where they are not the reference's."""
    import tensorflow as tf

    turned: tuple[bool, ...] = ()
    for trial, wanted in zip(reference.inputs, reference.outputs, strict=True):
        given = [
            np.transpose(array, (0, *(axis + 1 for axis in spec.source_axes))) if spec.source_axes else array
            for spec, array in zip(inputs, trial.values(), strict=True)
        ]
        found = [np.asarray(each) for each in function(*(tf.constant(array) for array in given))]
        differences = [_difference(ours, theirs) for ours, theirs in zip(found, wanted, strict=True)]
        worst = max(difference for difference, _ in differences)
        if not worst <= CLOSE:
            raise UnsupportedModelError(
                f"{shown}: what onnx2tf makes of it does not compute the same as onnxruntime: outputs differ by "
                f"{worst:.2g} of the largest",
                hint=_NOT_CONVERTED_HINT,
            )
        turned = tuple(is_turned for _, is_turned in differences)
    return turned


def _difference(ours: Array, theirs: Array) -> tuple[float, bool]:
    """The largest difference as a part of the largest output, and whether our axes are in the other order."""
    ways = [(ours, False)] if ours.shape == theirs.shape else []
    if theirs.ndim > 2 and np.moveaxis(ours, -1, 1).shape == theirs.shape:
        ways.append((np.moveaxis(ours, -1, 1), True))
    most = max(float(np.abs(theirs).max(initial=0.0)), 1e-6)
    found = [(float(np.abs(way - theirs).max(initial=0.0)) / most, is_turned) for way, is_turned in ways]
    return min(found, default=(float("inf"), False))


def _as_written(model: Any) -> Any:
    return model


def _simplified(model: Any) -> Any:
    """The graph after onnxruntime's basic optimizations, which compute what is constant and keep to ONNX's operators.

    They take HardSwish apart, so they are not tried first.
    """
    import onnx
    import onnxruntime
    from onnx import shape_inference

    options = _quiet(onnxruntime)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simple.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return shape_inference.infer_shapes(onnx.load(path), data_prop=True)


def _quiet(onnxruntime: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def _copy(model: Any) -> Any:
    made = type(model)()
    made.CopyFrom(model)
    return made
