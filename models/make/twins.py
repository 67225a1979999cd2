"""Twins of the four MLPerf Tiny reference networks: the same architecture, weights of our own from a seed.

The architectures are those of the benchmark (C. Banbury et al., "MLPerf Tiny Benchmark", 2021): layer kinds, shapes and
strides. The weights are random (He initialization, batch normalization settled on synthetic data), so the
networks compute something lively but mean nothing: they serve for planning, building, running and timing.
"""

from __future__ import annotations

from typing import Any

import convert
import numpy as np
from convert import Made
from tensorflow import keras

TOOLS = ("tensorflow-cpu", "keras", "numpy")
CALIBRATION_SAMPLES = 64


def _conv(x: Any, filters: int, kernel: int | tuple[int, int], stride: int = 1, *, relu: bool = True) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", kernel_initializer="he_normal")(x)
    return _norm(x, relu=relu)


def _depthwise(x: Any, stride: int = 1) -> Any:
    x = keras.layers.DepthwiseConv2D(3, stride, "same", depthwise_initializer="he_normal")(x)
    return _norm(x)


def _norm(x: Any, *, relu: bool = True) -> Any:
    # momentum 0: see convert.settle_batch_norm
    x = keras.layers.BatchNormalization(momentum=0.0)(x)
    return keras.layers.ReLU()(x) if relu else x


def _classifier(x: Any, classes: int) -> Any:
    x = keras.layers.AveragePooling2D((x.shape[1], x.shape[2]))(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.layers.Softmax(name="probabilities")(x)


def ds_cnn() -> Any:
    """Keyword spotting: 49 frames × 10 MFCCs → 12 classes."""
    image = keras.Input((49, 10, 1), batch_size=1, name="mfcc")
    x = _conv(image, 64, (10, 4), 2)
    for _ in range(4):
        x = _conv(_depthwise(x), 64, 1)
    return keras.Model(image, _classifier(x, 12), name="kws")


def mobilenet_v1_025() -> Any:
    """Visual wake words: MobileNetV1 with width 0.25, 96×96×3 → 2 classes."""
    image = keras.Input((96, 96, 3), batch_size=1, name="image")
    x = _conv(image, 8, 3, 2)
    blocks = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for filters, stride in blocks:
        x = _conv(_depthwise(x, stride), filters, 1)
    return keras.Model(image, _classifier(x, 2), name="vww")


def resnet8() -> Any:
    """Image classification: ResNet-8, 32×32×3 → 10 classes."""
    image = keras.Input((32, 32, 3), batch_size=1, name="image")
    x = _conv(image, 16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(_conv(x, filters, 3, stride), filters, 3, relu=False)
        # As in the benchmark, the shortcut of a strided block is a 1×1 convolution without normalization.
        shortcut = x if stride == 1 else keras.layers.Conv2D(filters, 1, stride, "same")(x)
        x = keras.layers.ReLU()(keras.layers.Add()([shortcut, y]))
    return keras.Model(image, _classifier(x, 10), name="resnet8")


def autoencoder() -> Any:
    """Anomaly detection: dense 640-128-128-128-128-8-128-128-128-128-640."""
    x = spectrogram = keras.Input((640,), batch_size=1, name="spectrogram")
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _norm(keras.layers.Dense(units, kernel_initializer="he_normal")(x))
    # A bias that is not zero: the converter drops one that is, and the benchmark's last layer has one.
    last = keras.layers.Dense(640, bias_initializer=keras.initializers.RandomNormal(0.0, 0.3), name="reconstruction")
    return keras.Model(spectrogram, last(x), name="ad")


def _weights(seed: int) -> str:
    return f"random (He initialization, seed {seed}), batch normalization settled on synthetic data: not trained"


def make_kws() -> Made:
    """The DS-CNN; inputs like MFCCs, about −70 … 80."""
    seed = 101
    convert.start(seed)
    rng = np.random.default_rng(seed)
    model = ds_cnn()
    samples = (convert.random_fields(rng, CALIBRATION_SAMPLES, 49, 10, 1) - np.float32(0.45)) * np.float32(145)
    convert.settle_batch_norm(model, samples, rng)
    convert.spread_logits(model, samples, layer="logits", spread=2.0)
    return Made(
        data=convert.keep_reshape(convert.to_int8(model, convert.each(samples))),
        title="DS-CNN, 49×10×1 → 12",
        description="Twin of the MLPerf Tiny keyword-spotting network: a convolution, four depthwise-separable blocks.",
        weights=_weights(seed),
        seed=seed,
        tools=TOOLS,
    )


def make_vww() -> Made:
    """MobileNetV1 0.25; inputs in [0, 1]."""
    seed = 102
    convert.start(seed)
    rng = np.random.default_rng(seed)
    model = mobilenet_v1_025()
    samples = convert.random_fields(rng, CALIBRATION_SAMPLES, 96, 96, 3)
    convert.settle_batch_norm(model, samples, rng)
    convert.spread_logits(model, samples, layer="logits", spread=2.0)
    return Made(
        data=convert.keep_reshape(convert.to_int8(model, convert.each(samples))),
        title="MobileNetV1 0.25, 96×96×3 → 2",
        description="Twin of the MLPerf Tiny visual-wake-words network: MobileNetV1 with a width of 0.25.",
        weights=_weights(seed),
        seed=seed,
        tools=TOOLS,
    )


def make_resnet8() -> Made:
    """ResNet-8; inputs in [0, 255]."""
    seed = 103
    convert.start(seed)
    rng = np.random.default_rng(seed)
    model = resnet8()
    samples = convert.random_fields(rng, CALIBRATION_SAMPLES, 32, 32, 3) * np.float32(255)
    convert.settle_batch_norm(model, samples, rng)
    convert.spread_logits(model, samples, layer="logits", spread=2.0)
    return Made(
        data=convert.keep_reshape(convert.to_int8(model, convert.each(samples))),
        title="ResNet-8, 32×32×3 → 10",
        description="Twin of the MLPerf Tiny image-classification network: three residual stages.",
        weights=_weights(seed),
        seed=seed,
        tools=TOOLS,
    )


def make_ad() -> Made:
    """The dense autoencoder; inputs like log-mel energies in dB, about −80 … 20."""
    seed = 104
    convert.start(seed)
    rng = np.random.default_rng(seed)
    model = autoencoder()
    # Five frames of 128 mel bands, as the benchmark stacks them.
    frames = convert.random_fields(rng, 4 * CALIBRATION_SAMPLES, 5, 128, 1)
    samples = (frames.reshape(-1, 640) - np.float32(0.8)) * np.float32(100)
    convert.settle_batch_norm(model, samples, rng)
    return Made(
        data=convert.to_int8(model, convert.each(samples)),
        title="Dense autoencoder, 640 → 8 → 640",
        description="Twin of the MLPerf Tiny anomaly-detection network: ten dense layers.",
        weights=_weights(seed),
        seed=seed,
        tools=TOOLS,
    )
