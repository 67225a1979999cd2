"""Small Keras models as files, SavedModels and functions, and data for them. TensorFlow is imported when they are made.

Functions without arguments are sources themselves: `tests.support.keras_sources:two_ends`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 60


def image() -> Any:
    """What image networks start with: scaling, batch normalization, a separable convolution, dropout."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="pixels"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, use_bias=False, name="stem"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.SeparableConv2D(8, 3, name="apart"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax", name="scores"),
        ],
        name="image",
    )


def two_ends() -> Any:
    """Two inputs and two outputs, neither sorted by name, and a layer that is used twice."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    zeta, alpha = keras.Input((8,), name="zeta"), keras.Input((4, 4, 1), name="alpha")
    twice = layers.Dense(8, activation="relu", name="twice")
    joined = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3, name="conv")(alpha)), twice(twice(zeta))])
    outputs = [layers.Dense(3, name="zz")(joined), layers.Dense(2, activation="softmax", name="aa")(joined)]
    return keras.Model([zeta, alpha], outputs, name="two_ends")


def subclassed() -> Any:
    """A class of the user's own, which takes a dictionary and has been called once."""
    import keras

    class Sum(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="sum")
            self.first = keras.layers.Dense(4, name="first")
            self.last = keras.layers.Dense(2, name="last")

        def call(self, inputs: Any) -> Any:
            return self.last(keras.ops.relu(self.first(inputs["b"]) + inputs["a"]))

    keras.utils.set_random_seed(7)
    model = Sum()
    model({"b": np.zeros((1, 6), np.float32), "a": np.zeros((1, 4), np.float32)})
    return model


def never_called() -> Any:
    """A class of the user's own, whose shapes nobody knows."""
    import keras

    class Nothing(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    return Nothing()


def in_eights() -> Any:
    """A model that takes eight samples at a time."""
    import keras

    return keras.Sequential([keras.Input(batch_shape=(8, 4), name="x"), keras.layers.Dense(2)])


def inverse() -> Any:
    """An operation that TensorFlow Lite does not have."""
    import keras
    import tensorflow as tf

    class Inverse(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return tf.math.erfinv(inputs)

    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3), Inverse(name="unusual")])


def remembers() -> Any:
    """A layer that keeps what it has seen for the next call."""
    import keras
    from keras import layers

    recurrent = layers.SimpleRNN(4, unroll=True, stateful=True, name="memory")
    return keras.Sequential([keras.Input(batch_shape=(1, 5, 3), name="x"), recurrent, layers.Dense(2)])


def astray() -> Any:
    """Weights as training leaves them that has diverged."""
    import keras

    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="lost")])
    model.layers[0].set_weights([np.full((4, 2), np.nan), np.zeros(2)])
    return model


def half_read() -> Any:
    """A model with an input that nothing reads."""
    import keras

    inputs = [keras.Input((4,), name="a"), keras.Input((6,), name="b")]
    return keras.Model(inputs, keras.layers.Dense(2)(inputs[0]))


def fails() -> Any:
    """What a user's function may do."""
    raise ValueError("the weights\nare elsewhere")


def fails_when_called() -> Any:
    """A model whose own code raises."""
    import keras

    class Broken(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            if inputs.shape[0] == 1:
                raise KeyError("gone")
            return 2 * inputs

    return keras.Sequential([keras.Input((4,), name="x"), Broken()])


def not_alone() -> Any:
    """A model, and something else with it."""
    return image(), 3


def no_model() -> int:
    """No model at all."""
    return 3


def write(folder: Path) -> None:
    """Write all sources and data."""
    import keras
    import tensorflow as tf
    from keras import layers

    draw = np.random.default_rng(5)
    np.savez(folder / "pixels.npz", pixels=draw.integers(0, 256, (SAMPLES, 8, 8, 3)).astype(np.float32))
    zeta, alpha = draw.normal(size=(SAMPLES, 8)), draw.normal(size=(SAMPLES, 4, 4, 1))
    np.savez(folder / "ends.npz", zeta=zeta.astype(np.float32), alpha=alpha.astype(np.float32))
    a, b = draw.normal(size=(SAMPLES, 4)), draw.normal(size=(SAMPLES, 6))
    np.savez(folder / "sum.npz", a=a.astype(np.float32), b=b.astype(np.float32))

    model = image()
    model.save(folder / "image.keras")
    model.save(folder / "image.h5")
    model.save_weights(folder / "image.weights.h5")
    shutil.copy(folder / "image.weights.h5", folder / "renamed.h5")
    (folder / "short.h5").write_bytes((folder / "image.h5").read_bytes()[:3000])
    two_ends().export(str(folder / "saved"), verbose=False)

    class Own(layers.Layer):  # type: ignore[misc]
        pass

    keras.Sequential([keras.Input((4,)), Own(), layers.Dense(2)]).save(folder / "own.keras")
    keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: 2 * x), layers.Dense(2)]).save(folder / "lambda.keras")

    class Two(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])  # type: ignore[misc]
        def one(self, x: Any) -> Any:
            return {"y": 2 * x}

        @tf.function(input_signature=[tf.TensorSpec([None, None], name="x")])  # type: ignore[misc]
        def other(self, x: Any) -> Any:
            return {"y": 3 * x}

    two = Two()
    tf.saved_model.save(two, str(folder / "several"), signatures={"one": two.one, "other": two.other})
    tf.saved_model.save(two, str(folder / "open"), signatures=two.other)
    tf.saved_model.save(two, str(folder / "none"))
    (folder / "spoilt").mkdir()
    (folder / "spoilt" / "saved_model.pb").write_bytes(b"no protobuf of any kind")
    _write_public(model, folder)


def _write_public(model: Any, folder: Path) -> None:
    """`public.tflite` is what TensorFlow's public converter makes of the image model, with the same calibration."""
    import tensorflow as tf

    with np.load(folder / "pixels.npz") as arrays:
        pixels = arrays["pixels"]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each[None]] for each in pixels)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "public.tflite").write_bytes(converter.convert())
