"""MobileNetV2 0.35 for 224×224 images with five classes: a network whose whole tensors outgrow most microcontrollers.

The architecture is Keras' own (keras.applications.MobileNetV2): explicit zero padding before each strided depthwise
convolution, batch normalization, which the converter folds. Five classes at the end, as in STMicroelectronics' model
zoo (stm32ai-modelzoo, mobilenet_v2_0.35_224_fft_int8, trained on flowers), which publishes what X-CUBE-AI needs for
its file on an STM32H7: 686.5 KiB of activations with version 8.1.0, 832.64 KiB with 10.0.0. The weights are random,
from a seed.
"""

from __future__ import annotations

from math import prod
from typing import Any

import convert
import numpy as np
from convert import Made
from tensorflow import keras

SEED = 106
CALIBRATION_SAMPLES = 32


def mobilenet_v2_035(rng: np.random.Generator) -> Any:
    """The network with He-initialized convolutions, its batch normalizations ready for `convert.settle_batch_norm`."""
    image = keras.Input((224, 224, 3), batch_size=1, name="image")
    model = keras.applications.MobileNetV2(input_tensor=image, alpha=0.35, weights=None, classes=5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            shape = tuple(layer.kernel.shape)
            # a depthwise filter meets one channel only, whatever its shape says
            inputs = prod(shape[:-1] if isinstance(layer, keras.layers.Conv2D) else shape[:2])
            layer.kernel.assign(rng.normal(0.0, np.sqrt(2 / inputs), shape).astype(np.float32))
    return model


def make_mobilenet_v2_035() -> Made:
    """Inputs in [-1, 1], as Keras' preprocessing gives them."""
    convert.start(SEED)
    rng = np.random.default_rng(SEED)
    model = mobilenet_v2_035(rng)
    samples = convert.random_fields(rng, CALIBRATION_SAMPLES, 224, 224, 3) * np.float32(2) - np.float32(1)
    convert.settle_batch_norm(model, samples, rng)
    convert.spread_logits(model, samples, layer="predictions", spread=2.0)
    return Made(
        data=convert.keep_padding(convert.to_int8(model, convert.each(samples))),
        title="MobileNetV2 0.35, 224×224×3 → 5",
        description=(
            "MobileNetV2 with a width of 0.35 as Keras builds it, with as many classes as the one for flowers in "
            "STMicroelectronics' model zoo."
        ),
        weights=f"random (He initialization, seed {SEED}), batch normalization settled on synthetic data: not trained",
        seed=SEED,
        tools=("tensorflow-cpu", "keras", "numpy"),
    )
