"""A small convolutional network that reads handwritten digits, trained on scikit-learn's 8×8 digits."""

from __future__ import annotations

import io
from typing import Any

import convert
import numpy as np
from convert import Accuracy, Floats, Made
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorflow import keras

SEED = 20
TEST_SHARE = 0.25
EPOCHS = 60
SAMPLES_SHIPPED = 20


def split() -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """(train images, test images, train labels, test labels); images (n, 8, 8, 1) in [0, 1], stratified, seeded."""
    digits = load_digits()
    images = (digits.images[..., None] / 16.0).astype(np.float32)
    parts = train_test_split(images, digits.target, test_size=TEST_SHARE, random_state=SEED, stratify=digits.target)
    return parts[0], parts[1], parts[2].astype(np.int64), parts[3].astype(np.int64)


def network() -> Any:
    """conv 3×3×16, pool, depthwise-separable 32, pool, dense 10, softmax."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), batch_size=1, name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise"),
            layers.Conv2D(32, 1, activation="relu", name="pointwise"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )


def npy(array: NDArray[Any]) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def make_digits() -> Made:
    """Train, convert, and measure on the images that training never saw."""
    convert.start(SEED)
    train_x, test_x, train_y, test_y = split()
    model = network()
    trainable = keras.Sequential([keras.Input((8, 8, 1)), *model.layers], name="digits_training")
    trainable.compile(
        optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    trainable.fit(train_x, train_y, batch_size=32, epochs=EPOCHS, verbose=0)
    float_classes = np.asarray(trainable(test_x, training=False)).argmax(axis=1)

    data = convert.to_int8(model, convert.each(train_x[:300]))
    int8_classes, inputs = convert.classify(data, test_x)
    accuracy = Accuracy(
        dataset=(
            "scikit-learn load_digits, images / 16, held-out part of train_test_split("
            f"test_size={TEST_SHARE}, random_state={SEED}, stratify=target)"
        ),
        samples=len(test_y),
        float_correct=int((float_classes == test_y).sum()),
        int8_correct=int((int8_classes == test_y).sum()),
        measured="on the host; float: Keras, int8: ai-edge-litert with its reference kernels (BUILTIN_REF)",
    )
    return Made(
        data=data,
        title="Handwritten digits",
        description=(
            "A small CNN that reads 8×8 grey images of the digits 0 to 9. digits_samples.npy holds "
            f"{SAMPLES_SHIPPED} held-out images as int8 inputs of shape ({SAMPLES_SHIPPED}, 1, 8, 8, 1), "
            "digits_labels.npy what they show. Images: Optical Recognition of Handwritten Digits, "
            "E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0, as shipped by scikit-learn."
        ),
        weights=f"trained on the {len(train_y)} other images, Adam, {EPOCHS} epochs",
        seed=SEED,
        tools=convert.TOOLS,
        accuracy=accuracy,
        companions=(
            ("digits_samples.npy", npy(inputs[:SAMPLES_SHIPPED])),
            ("digits_labels.npy", npy(test_y[:SAMPLES_SHIPPED].astype(np.uint8))),
        ),
    )
