"""From training to the board: a Keras model of handwritten digits, exported, and run on an emulated board.

The data are scikit-learn's, 1797 images of 8×8 pixels, of which training never sees 450. The same images go through
the float model in Keras, the int8 model in TensorFlow Lite Micro on this computer, and the C library on the board.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.firmware import needs_any, needs_unicorn

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'tinydeploy[export]'")
pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tinydeploy[verify]'")
load_digits = pytest.importorskip("sklearn.datasets", reason="pip install 'tinydeploy[export]'").load_digits
pytestmark = [
    needs_unicorn,
    needs_any,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, as it saves a model
]

BOARD = "stm32f746"
TEST_SAMPLES = 450
LEAST_FLOAT = 0.95  # what so small a network easily reaches here
MOST_LOST = 0.01  # of accuracy, by int8

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A model's file, the data beside it, and the classes that the float model answers for the test images."""

    path: Path
    calibration: Path
    evaluation: Path
    images: Floats
    labels: NDArray[np.int64]
    float_classes: NDArray[np.int64]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained for a few seconds, with a fixed seed."""
    import keras

    folder = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    order = np.random.default_rng(7).permutation(len(digits.target))
    images, labels = (digits.images[order, ..., None] / 16).astype(np.float32), digits.target[order].astype(np.int64)
    test, rest = slice(0, TEST_SAMPLES), slice(TEST_SAMPLES, None)
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(12, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(name="pool"),
            layers.SeparableConv2D(16, 3, padding="same", activation="relu", name="separable"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    model.fit(images[rest], labels[rest], batch_size=64, epochs=15, verbose=0)
    made = Trained(
        path=folder / "digits.keras",
        calibration=folder / "calibration.npz",
        evaluation=folder / "evaluation.npz",
        images=images[test],
        labels=labels[test],
        float_classes=np.asarray(model(images[test], training=False)).argmax(axis=1),
    )
    model.save(made.path)
    np.savez(made.calibration, image=images[rest][:300])
    np.savez(made.evaluation, image=made.images, labels=made.labels)
    return made


def quantized(images: Floats, scale: float, zero_point: int) -> NDArray[np.int8]:
    """As the firmware's helpers do it: halves away from zero, then clamped."""
    values = images / np.float32(scale)
    rounded = np.copysign(np.floor(np.abs(values) + 0.5), values).astype(np.int64)
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)


def test_float_host_and_board(
    trained: Trained, run: Callable[..., tuple[int, str, str]], tmp_path: Path, record_property: Callable[..., None]
) -> None:
    from tinydeploy.boards import find_board
    from tinydeploy.emulate import UnicornEmulator
    from tinydeploy.pipeline import PlanOptions, build_image, plan_model, run_model
    from tinydeploy.tflite import read_model
    from tinydeploy.verify import reference_outputs
    from tinydeploy.verify.tflm import TflmReference

    told = ("--calibration", trained.calibration, "--evaluate", trained.evaluation, "--board", BOARD)
    code, out, err = run("export", trained.path, *told, "-o", tmp_path / "out", "--format", "json")
    assert code == 0, err
    report: dict[str, Any] = json.loads(out)

    path = tmp_path / "out" / "digits.tflite"
    model = read_model(path)
    entry, result = model.tensor(model.inputs[0]), model.outputs[0]
    assert entry.quantization is not None
    codes = quantized(trained.images, entry.quantization.scale, entry.quantization.zero_point)
    samples = [{entry.index: image[None]} for image in codes]

    (host,) = reference_outputs(model, path.read_bytes(), samples, references=[TflmReference()])
    built = build_image(plan_model(model, find_board(BOARD), PlanOptions()), tmp_path / "built")
    board = run_model(built, UnicornEmulator(), samples)

    for number, (there, here) in enumerate(zip(host.samples, board.outputs, strict=True)):
        assert np.array_equal(there[result], here[result]), f"sample {number}"
    correct = {
        "float, Keras": int((trained.float_classes == trained.labels).sum()),
        "int8, host": _correct([each[result] for each in host.samples], trained),
        "int8, board": _correct([each[result] for each in board.outputs], trained),
    }
    for name, count in correct.items():
        record_property(name, count)  # in the JUnit file; `pytest -s` shows them, too
        print(f"{name}: {count} of {TEST_SAMPLES}, {count / TEST_SAMPLES:.2%}")
    assert correct["int8, board"] == correct["int8, host"]
    assert correct["float, Keras"] >= LEAST_FLOAT * TEST_SAMPLES
    assert abs(correct["float, Keras"] - correct["int8, board"]) <= MOST_LOST * TEST_SAMPLES
    evaluation = report["conversion"]["evaluation"]
    assert (evaluation["float_correct"], evaluation["int8_correct"]) == (correct["float, Keras"], correct["int8, host"])


def _correct(outputs: list[NDArray[Any]], trained: Trained) -> int:
    return int((np.array([each.reshape(-1).argmax() for each in outputs]) == trained.labels).sum())
