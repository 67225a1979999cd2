"""A small U-Net with every kind of up-sampling: for regression tests of row-by-row execution.

On the way up a row of a small map makes several rows of a larger one, and each join meets a path that came across
without delay.
"""

from __future__ import annotations

from typing import Any

import convert
import numpy as np
from convert import Made
from tensorflow import keras

SEED = 108
CALIBRATION_SAMPLES = 64

layers = keras.layers


def unet() -> Any:
    """image 36×20×2 → a mask 36×20×1 and a coarse one of 25×13×1, which no factor leads to."""
    image = keras.Input((36, 20, 2), batch_size=1, name="image")
    high = _norm(layers.Conv2D(6, 3, padding="same")(image))  # 36×20
    middle = _norm(layers.Conv2D(8, 3, padding="same")(_norm(layers.Conv2D(8, 3, 2, "same")(high))))  # 18×10
    low = _norm(layers.Conv2D(16, 3, padding="same")(layers.MaxPooling2D(2)(middle)))  # 9×5

    # Up by a transposed convolution whose window is wider than its stride: rows of the output overlap in it.
    up = _norm(layers.Conv2DTranspose(8, 3, 2, "same")(low))  # 18×10
    joined = _norm(layers.Conv2D(8, 3, padding="same")(layers.Concatenate()([middle, up])))
    # Up by repeating, beside up by interpolating from the bottom; what skips everything is as old as can be.
    repeated = layers.Resizing(36, 20, "nearest")(joined)  # 36×20
    smooth = layers.Resizing(36, 20)(_norm(layers.Conv2D(4, 1)(low)))
    last = _norm(layers.Conv2D(8, 3, padding="same")(layers.Concatenate()([high, repeated, smooth])))
    # Up by a window as wide as the stride, of all three: the rows of the output do not overlap.
    fine = _norm(layers.Conv2DTranspose(4, 2, 2)(joined))
    logits = _norm(layers.Conv2D(1, 1)(layers.Concatenate()([last, fine])), relu=False)
    mask = layers.Activation("sigmoid", name="mask")(logits)

    coarse = layers.Resizing(25, 13, name="coarse")(_norm(layers.Conv2D(1, 1)(joined), relu=False))
    return keras.Model(image, [mask, coarse], name="unet")


def _norm(x: Any, *, relu: bool = True) -> Any:
    # momentum 0: see convert.settle_batch_norm
    x = layers.BatchNormalization(momentum=0.0)(x)
    return layers.ReLU()(x) if relu else x


def make_unet() -> Made:
    """Inputs in [-1, 1]."""
    convert.start(SEED)
    rng = np.random.default_rng(SEED)
    model = unet()
    samples = convert.random_fields(rng, CALIBRATION_SAMPLES, 36, 20, 2) * np.float32(2) - np.float32(1)
    convert.settle_batch_norm(model, samples, rng)
    return Made(
        data=convert.to_int8(model, convert.each(samples)),
        title="U-Net, 36×20×2 → 36×20 and 25×13",
        description=(
            "A small network for regression tests of row-by-row execution: down by strides and pooling, up by "
            "transposed convolutions, by repeating rows and by interpolating, joined with what came across."
        ),
        weights=f"random (seed {SEED}), batch normalization settled on synthetic data: not trained",
        seed=SEED,
        tools=("tensorflow-cpu", "keras", "numpy"),
    )
