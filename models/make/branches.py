"""A small network of branches on maps of odd size: for regression tests of row-by-row execution.

Every join meets paths that delay their rows differently, and some rows are never read at all; a plan that keeps one
row too few, or gives one back too early, computes something else.
"""

from __future__ import annotations

from typing import Any

import convert
import numpy as np
from convert import Made
from tensorflow import keras

SEED = 107
CALIBRATION_SAMPLES = 64

layers = keras.layers


def branches() -> Any:
    """image 37×23×3 → a map 19×12×1 and 6 classes. Every paragraph says what it is there for."""
    image = keras.Input((37, 23, 3), batch_size=1, name="image")
    stem = _norm(layers.Conv2D(8, 3, 2, "same")(image))  # 19×12, padded on both sides

    # Inception: 1×1, 3×3, 5×5 and a pooling beside each other, joined on channels.
    middle = _norm(layers.Conv2D(8, 3, padding="same")(_pointwise(stem, 4)))
    wide = _norm(layers.Conv2D(8, 5, padding="same")(_pointwise(stem, 4)))
    pooled = _pointwise(layers.MaxPooling2D(3, 1, "same")(stem), 8)
    mixed = layers.Concatenate()([_pointwise(stem, 8), middle, wide, pooled])  # 19×12×32

    # Residuals around one, two and three operators, and one around all of them.
    trunk = _pointwise(mixed, 16, relu=False)
    one = layers.Add()([trunk, _norm(layers.DepthwiseConv2D(3, padding="same")(trunk))])
    row = _norm(layers.Conv2D(16, (1, 3), padding="same")(one))
    two = layers.ReLU()(layers.Add()([one, _norm(layers.Conv2D(16, (3, 1), padding="same")(row), relu=False)]))
    expanded = _norm(layers.DepthwiseConv2D(5, padding="same")(_pointwise(two, 32)))
    three = layers.Add()([two, _pointwise(expanded, 16, relu=False)])
    long = layers.Add()([trunk, three])

    # An output that is also read: it weighs what it came from, broadcast over the channels.
    heat = layers.Activation("sigmoid", name="heat")(_pointwise(long, 1, relu=False))
    attended = layers.Multiply()([long, heat])

    # Skip connections of five depths to half the size: windows of 3, 5, 3 and 1 rows, and of 4 from the image itself.
    down = [
        _norm(layers.Conv2D(8, 3, 2, "same")(attended)),
        _norm(layers.Conv2D(8, 5, 2)(layers.ZeroPadding2D(((3, 1), (0, 3)))(three))),  # no Padding SAME does this
        layers.AveragePooling2D(3, 2, "same")(mixed),
        _norm(layers.Conv2D(8, 1, 2)(stem)),  # reads every other row
        _norm(layers.Conv2D(4, 4, 4, "same")(image)),
    ]
    small = layers.Concatenate()(down)  # 10×6×60

    # Squeeze and excite: every row of the product waits for the last row of the map.
    gate = layers.GlobalAveragePooling2D(keepdims=True)(small)
    gate = layers.Dense(8, "relu", kernel_initializer="he_normal")(gate)
    excited = layers.Multiply()([small, layers.Dense(60, "sigmoid", kernel_initializer="he_normal")(gate)])

    # A dilated window beside a shortcut; a stride that passes over rows and leaves the last one unread.
    base = _pointwise(excited, 16, relu=False)
    dilated = _norm(layers.Conv2D(16, 3, padding="same", dilation_rate=2)(base), relu=False)
    deep = layers.ReLU()(layers.Add()([base, dilated]))
    sparse = _norm(layers.Conv2D(8, 2, 3)(deep))  # 3×2×8
    # Strides that differ by axis, behind a pooling whose windows leave the last row out.
    narrow = _norm(layers.DepthwiseConv2D(3)(layers.MaxPooling2D(2, 2)(attended)))  # 7×4×16
    narrow = layers.AveragePooling2D((2, 1), (2, 1), "same")(narrow)  # 4×4×16

    # Ends: means and a maximum over maps of three sizes, and a map laid flat.
    ends = [
        layers.GlobalAveragePooling2D()(deep),
        layers.GlobalMaxPooling2D()(excited),
        layers.GlobalAveragePooling2D()(narrow),
        layers.Flatten()(sparse),
    ]
    logits = layers.Dense(6, name="logits")(layers.Concatenate()(ends))
    return keras.Model(image, [heat, layers.Softmax(name="classes")(logits)], name="branches")


def _pointwise(x: Any, filters: int, *, relu: bool = True) -> Any:
    return _norm(layers.Conv2D(filters, 1, kernel_initializer="he_normal")(x), relu=relu)


def _norm(x: Any, *, relu: bool = True) -> Any:
    # momentum 0: see convert.settle_batch_norm
    x = layers.BatchNormalization(momentum=0.0)(x)
    return layers.ReLU()(x) if relu else x


def make_branches() -> Made:
    """Inputs in [-1, 1]."""
    convert.start(SEED)
    rng = np.random.default_rng(SEED)
    model = branches()
    samples = convert.random_fields(rng, CALIBRATION_SAMPLES, 37, 23, 3) * np.float32(2) - np.float32(1)
    convert.settle_batch_norm(model, samples, rng)
    convert.spread_logits(model, samples, layer="logits", spread=2.0)
    return Made(
        data=convert.to_int8(model, convert.each(samples), per_channel_dense=True),
        title="Branches, 37×23×3 → 19×12 and 6",
        description=(
            "A small network for regression tests of row-by-row execution: an inception block, residuals around one, "
            "two and three operators, skip connections through windows of four sizes and from the input, squeeze and "
            "excite, strides that pass over rows, an output that is also read, maps of odd size."
        ),
        weights=f"random (seed {SEED}), batch normalization settled on synthetic data: not trained",
        seed=SEED,
        tools=("tensorflow-cpu", "keras", "numpy"),
    )
