"""Full-integer quantization of a float .tflite file with calibration samples. Needs TensorFlow.

In two steps, calibration and then quantization of the file that was calibrated, where TensorFlow's public converter
takes the source and does both at once: the float file is the one that the losses are measured against, so that its
tensors are named as those of the int8 file, and a float .tflite file takes the same way as a Keras model. The steps are
those that `TFLiteConverter.convert` itself takes; a test holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinydeploy.convert.obstacles.refusals import layer_of, refused_by_converter
from tinydeploy.convert.sources.kinds import float_operators
from tinydeploy.convert.types import Array, ConvertOptions
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model

_KEPT_HINT = (
    "TensorFlow Lite has no int8 form for it: write the model with other layers, or end it before and compute the rest "
    "in the firmware"
)


def quantize(
    float_data: bytes, samples: Sequence[Mapping[str, Array]], options: ConvertOptions, *, name: str = "the model"
) -> bytes:
    """The fully quantized .tflite file of a float one; both have the same tensor names.

    samples: one array of batch 1 for each input by the tensor's name. `name` is the model's in errors. Integer inputs
    stay as they are; `ends` "int8" with int16 activations means int16. Raises `UnsupportedModelError` with the
    operators that have no integer form.
    """
    import tensorflow as tf
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.optimize import calibrator

    network = parse_model(float_data, name=name)
    order = [network.tensors[index].name for index in network.inputs]
    activations = tf.as_dtype(options.activations)
    ends = tf.float32 if options.ends == "float" else activations

    def given() -> Iterator[list[Any]]:
        return ([sample[each] for each in order] for sample in samples)

    with refused_by_converter():
        if activations == tf.int8:
            calibrated = calibrator.Calibrator(calibrator.add_intermediate_tensors(float_data)).calibrate(given)
            data: bytes = convert.mlir_quantize(
                calibrated, not options.per_channel, input_data_type=ends, output_data_type=ends
            )
        else:
            data = calibrator.Calibrator(calibrator.add_intermediate_tensors(float_data)).calibrate_and_quantize(
                given,
                ends,
                ends,
                allow_float=False,
                activations_type=activations,
                bias_type=tf.int64,
                disable_per_channel=not options.per_channel,
                disable_per_channel_quantization_for_dense_layers=True,  # CMSIS-NN has no such kernel for int16
            )
    require_integer(parse_model(data, name=name))
    return data


def require_integer(model: Model) -> None:
    """Raise `UnsupportedModelError` when a quantized file still computes in floats somewhere inside."""
    kept = float_operators(model)
    if not kept:
        return
    told = [f"{op} of layer '{printable(layer_of(model.output_of(op).name))}'" for op in kept[:4]]
    more = f" and {len(kept) - len(told)} more" if len(kept) > len(told) else ""
    raise UnsupportedModelError(
        f"{printable(model.path or model.name)} stays in floats after quantization: {', '.join(told)}{more}",
        hint=_KEPT_HINT,
    )
