"""Sources that TensorFlow writes: networks with trained ranges, and .tflite files quantized to several degrees.

`write` runs where TensorFlow is; what tests compare with stands here as numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE = (8, 8, 2)
RANGES: Mapping[str, tuple[float, float]] = {
    "input": (-1.0, 2.0),
    "convolution": (0.0, 5.1),
    "mean": (0.0, 2.55),
    "scores": (-7.0, 8.0),
}
"""What training has left, chosen so that zero is one of the 256 values."""

_DRAW = np.random.default_rng(9)
KERNEL: NDArray[Any] = (_DRAW.standard_normal((3, 3, 2, 6)) * np.linspace(0.1, 0.6, 6)).astype(np.float32)
BIAS: NDArray[Any] = _DRAW.standard_normal(6).astype(np.float32)
DENSE: NDArray[Any] = _DRAW.standard_normal((6, 4)).astype(np.float32)


def samples(largest: float) -> NDArray[Any]:
    """Samples of 0..largest, [24, *SHAPE]."""
    return (np.random.default_rng(4).random((24, *SHAPE)) * largest).astype(np.float32)


def write(folder: Path) -> None:
    """The SavedModels trained/ and partly/, by_keras.keras, float, float16, dynamic and batch.tflite, and code.h5."""
    import keras
    import tensorflow as tf

    _save_trained(folder / "trained", set(RANGES))
    _save_trained(folder / "partly", {"input", "scores"})
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Conv2D(6, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(5),
    ]  # large enough for dynamic range quantization
    model = keras.Sequential([keras.Input(SHAPE, name="picture"), *layers])
    for name, types in {"float": None, "dynamic": [], "float16": [tf.float16]}.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if types is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = types
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    four = keras.Sequential([keras.Input(batch_shape=(4, *SHAPE)), *layers])
    (folder / "batch.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(four).convert())
    model.quantize("int8")
    model.save(folder / "by_keras.keras")
    _save_code(folder / "code.h5")


def _save_code(path: Path) -> None:
    """A model of Keras 2 that makes a folder `ran` beside it when it is loaded, and looks like one of
    tensorflow-model-optimization, for which a stand-in is put in place where it is missing."""
    import h5py
    import tf_keras

    def code(value: Any) -> Any:
        return (__import__("os").makedirs("ran", exist_ok=True), value)[1]

    model = tf_keras.Sequential([tf_keras.Input(SHAPE, name="picture"), tf_keras.layers.Lambda(code)])
    model.save(path)
    Path("ran").rmdir()
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps({**config, "also": {"class_name": "QuantizeLayer"}})
    if find_spec("tensorflow_model_optimization") is None:
        name = "tensorflow_model_optimization"
        for part in ("python", "core", "quantization", "keras", "quantize"):
            sys.modules[name] = ModuleType(name)
            name = f"{name}.{part}"
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name])["quantize_scope"] = nullcontext


def _save_trained(folder: Path, ranges: set[str]) -> None:
    """A network with FakeQuant operators as tensorflow-model-optimization leaves them: ranges are variables."""
    import tensorflow as tf

    class Trained(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.limits = {name: tuple(tf.Variable(each) for each in RANGES[name]) for name in RANGES}
            self.kernel, self.bias, self.dense = tf.Variable(KERNEL), tf.Variable(BIAS), tf.Variable(DENSE)

        def passed(self, value: Any, name: str) -> Any:
            if name not in ranges:
                return value
            return tf.quantization.fake_quant_with_min_max_vars(value, *self.limits[name])

        @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE), name="picture")])  # type: ignore[untyped-decorator]
        def __call__(self, picture: Any) -> dict[str, Any]:
            most = tf.reduce_max(tf.abs(KERNEL), axis=(0, 1, 2))
            kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
                self.kernel, -most, most, narrow_range=True
            )
            dense = tf.quantization.fake_quant_with_min_max_vars(self.dense, -2.54, 2.54, narrow_range=True)
            inner = tf.nn.conv2d(self.passed(picture, "input"), kernel, 1, "SAME") + self.bias
            inner = self.passed(tf.nn.relu(inner), "convolution")
            inner = self.passed(tf.reduce_mean(inner, axis=(1, 2)), "mean")
            return {"scores": self.passed(tf.matmul(inner, dense), "scores")}

    tf.saved_model.save(Trained(), str(folder))


def write_with_tfmot(folder: Path) -> None:
    """wrapped.h5 and wrapped/ (a SavedModel): one model, trained by tensorflow-model-optimization for a few steps."""
    import tensorflow as tf
    import tf_keras
    from tensorflow_model_optimization.python.core.quantization.keras.quantize import quantize_model

    tf_keras.utils.set_random_seed(3)
    layers = [tf_keras.layers.Conv2D(6, 3, activation="relu"), tf_keras.layers.Flatten(), tf_keras.layers.Dense(4)]
    model = quantize_model(tf_keras.Sequential([tf_keras.Input(SHAPE, name="picture"), *layers]))
    model.compile("sgd", "mse")
    model.fit(samples(1.0), np.zeros((24, 4)), epochs=2, verbose=0)
    model.save(folder / "wrapped.h5")
    tf.saved_model.save(model, str(folder / "wrapped"))
