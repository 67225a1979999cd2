"""The steps of a conversion, from a source to all that is told of it. Needs TensorFlow.

`convert_model` is for who trains with TensorFlow in the same process, `convert_here` for the worker.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from tinydeploy.convert.aware import has_trained_ranges, quantize_aware, with_plain_floats
from tinydeploy.convert.data.calibration import load_calibration
from tinydeploy.convert.data.classes import refuse_labels
from tinydeploy.convert.data.evaluation import evaluate, load_evaluation
from tinydeploy.convert.loss.losses import Examined, examine
from tinydeploy.convert.network import Network, scaled_inputs
from tinydeploy.convert.obstacles.graph import graph_obstacles
from tinydeploy.convert.obstacles.refusals import refuse
from tinydeploy.convert.quantize import quantize
from tinydeploy.convert.soundness import check_sound
from tinydeploy.convert.types import Array, Calibration, Converted, ConvertOptions, EvaluationSet, Source
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model

_TOOLS = ("tensorflow", "tensorflow-cpu", "keras", "tf_keras", "onnx2tf", "ai-edge-litert", "numpy")
_CALIBRATION_HINT = (
    "--calibration names samples as the device will see them: a .npz file, a folder of .npy files or images, or "
    "module:function"
)


def convert_here(source: Source, options: ConvertOptions, sha256: str, source_bytes: int) -> Converted:
    """The source as an int8 model, with what it lost. `sha256` and `source_bytes` are the source's.

    Raises what the loaders, the data's checks and `quantize` raise.
    """
    shown = printable(source.text, 400)
    network = _load(source)
    trained = has_trained_ranges(network)
    if trained:
        network = with_plain_floats(network)
    refuse(shown, graph_obstacles(network.float_data, layers=network.layers))
    float_model = parse_model(network.float_data, name=shown)
    unsound = check_sound(shown, float_model)
    calibration = _calibration(network, options, needed=not trained)
    held_out = _evaluation_set(network, options, float_model)  # before the long part, which bad data are not worth
    samples = calibration.samples if calibration else ()
    data, ranges = _quantized(network, trained, samples, options, shown)
    examined = examine(network.float_data, data, samples) if samples else Examined((), ())
    told, done = (calibration.warnings, calibration.notes) if calibration else ((), ())
    return Converted(
        data=data,
        float_data=network.float_data,
        source=source,
        source_sha256=sha256,
        source_bytes=source_bytes,
        float_weights_bytes=4 * network.parameters,
        calibration_spec=calibration.spec if calibration else None,
        calibration_sha256=calibration.sha256 if calibration else "",
        calibration_samples=len(samples),
        losses=examined.losses,
        evaluation=evaluate(network.float_data, data, held_out) if held_out else None,
        warnings=(*unsound, *told, *examined.warnings),
        notes=(*network.notes, *done, *ranges),
        tools=_versions(),
        held_out=held_out,
        obstacles=graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy"),
    )


def convert_model(
    model: Any, samples: Sequence[Mapping[str, Array]], options: ConvertOptions | None = None
) -> tuple[bytes, bytes]:
    """A Keras model of this process as .tflite files: int8, float. The model is left as it is.

    samples: one array of batch 1 for each input by the name that it has in `keras_network(model).inputs`. Raises
    `UnsupportedModelError`, which names the layers that will not run.
    """
    from tinydeploy.convert.sources.keras_models import keras_network

    shown = printable(str(getattr(model, "name", "the model")), 400)
    network = keras_network(model)
    refuse(shown, graph_obstacles(network.float_data, layers=network.layers))
    trained = has_trained_ranges(network)
    data, _ = _quantized(network, trained, samples, options or ConvertOptions(), shown)
    return data, network.float_data


def _load(source: Source) -> Network:
    """The network of a source. Raises what the loaders raise."""
    if source.kind == "onnx":
        from tinydeploy.convert.sources.onnx.network import onnx_network

        return onnx_network(source)
    if source.kind == "float-tflite":
        from tinydeploy.convert.sources.float_tflite import float_tflite_network

        return float_tflite_network(source)
    if source.kind == "saved-model":
        from tinydeploy.convert.sources.saved_models import saved_model_network

        return saved_model_network(source)
    from tinydeploy.convert.sources.aware_keras import load_with_tfmot, made_with_tfmot, refuse_quantized_by_keras
    from tinydeploy.convert.sources.keras_models import keras_network, load_keras_file, load_keras_function

    if source.kind == "function":
        model = load_keras_function(source.text)
    else:
        assert source.kind == "keras" and source.path is not None
        model = load_with_tfmot(source.path) if made_with_tfmot(source.path) else load_keras_file(source.path)
    refuse_quantized_by_keras(printable(source.text, 400), model)
    return keras_network(model, source.text)


def _calibration(network: Network, options: ConvertOptions, *, needed: bool) -> Calibration | None:
    if options.calibration is not None:
        return load_calibration(
            options.calibration,
            network.inputs,
            most=options.most_samples,
            pixels=options.pixels,
            scaled=scaled_inputs(network),
        )
    if needed:
        raise UsageError("quantization needs calibration data", hint=_CALIBRATION_HINT)
    return None


def _evaluation_set(network: Network, options: ConvertOptions, model: Model) -> EvaluationSet | None:
    if options.evaluate is None:
        return None
    data = load_evaluation(options.evaluate, network.inputs, pixels=options.pixels)
    if data.labels is not None:
        refuse_labels(model, data.labels)
    return data


def _quantized(
    network: Network, trained: bool, samples: Sequence[Mapping[str, Array]], options: ConvertOptions, shown: str
) -> tuple[bytes, tuple[str, ...]]:
    """The int8 file, and what there is to tell of how its ranges came about."""
    if trained:
        aware = quantize_aware(network, samples or None, options, name=shown)
        return aware.data, aware.notes
    return quantize(network.float_data, samples, options, name=shown), ()


def _versions() -> dict[str, str]:
    """The packages that had a hand in what came out: others may be installed beside them."""
    found = {}
    for package in _TOOLS:
        if package.removesuffix("-cpu").replace("-", "_") not in sys.modules:
            continue
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
