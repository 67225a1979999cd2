"""A training is told what its model comes to on a board, and is otherwise what it would be without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinydeploy.errors import BoardError, GateError, UnsupportedModelError, UsageError

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'tinydeploy[export]'")

import keras
from keras import layers as L  # noqa: N812

from tinydeploy.keras import FitsOn

BOARD, SMALL_BOARD = "stm32f746", "stm32f030"  # 1 MiB and 64 KiB of flash
KEYS = {f"tinydeploy_{name}" for name in ("arena_bytes", "sram_bytes", "flash_bytes", "latency_ms", "fits")}
_RNG = np.random.default_rng(5)
X, Y = _RNG.normal(size=(16, 6, 6, 2)).astype(np.float32), np.arange(16) % 3


class Branchless(keras.Model):  # type: ignore[misc]
    """A model of a user's own class, whose shapes are not known before its first batch."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.convolution, self.flat, self.last = L.Conv2D(2, 3), L.Flatten(), L.Dense(3, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.last(self.flat(self.convolution(x)))


def network(activation: str = "relu", filters: int = 4, units: int = 3) -> Any:
    """With everything that draws random numbers or keeps statistics."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.RandomFlip(seed=1),
            L.Conv2D(filters, 3, name="conv"),
            L.BatchNormalization(),
            L.Activation(activation, name="bend"),
            L.Dropout(0.3),
            L.Flatten(),
            L.Dense(units, activation="softmax"),
        ],
        name="net",
    )


def train(*callbacks: Any, model: Callable[[], Any] = network, epochs: int = 2, verbose: int = 0) -> tuple[Any, Any]:
    """A model after a short training, and its history."""
    keras.utils.set_random_seed(11)
    made = model()
    made.compile("adam", "sparse_categorical_crossentropy")
    return made, made.fit(X, Y, batch_size=8, epochs=epochs, verbose=verbose, callbacks=list(callbacks)).history


@pytest.fixture(scope="module")
def watched() -> tuple[Any, Any, FitsOn]:
    """One training with the callback, for all tests that only look at what came of it."""
    watcher = FitsOn(BOARD, every=1, verbose=False)
    return *train(watcher), watcher


def test_a_training_is_not_disturbed(watched: tuple[Any, Any, FitsOn]) -> None:
    """Weights, statistics, optimizer and losses are the same, bit by bit; so are the next random numbers."""
    with_model, with_history, _ = watched
    without_model, without_history = train()
    assert with_history["loss"] == without_history["loss"]
    for one, other in zip(with_model.get_weights(), without_model.get_weights(), strict=True):
        assert np.array_equal(one, other)
    for one, other in zip(with_model.optimizer.variables, without_model.optimizer.variables, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_global_random_states_stay() -> None:
    import random

    watcher = FitsOn(BOARD, verbose=False)
    watcher.set_model(network())
    keras.utils.set_random_seed(3)
    before = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    drawn = []
    for looked_at in (False, True):
        keras.utils.set_random_seed(3)
        if looked_at:
            watcher.on_train_begin()
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]
        drawn.append(np.asarray(keras.random.normal((4,))))
    assert np.array_equal(drawn[0], drawn[1])


def test_figures_are_in_the_history(watched: tuple[Any, Any, FitsOn]) -> None:
    _, history, watcher = watched
    assert history.keys() == {"loss", *KEYS}
    assert all(len(values) == 2 for values in history.values())
    assert history["tinydeploy_fits"] == [1.0, 1.0]
    # 3·3·2·4 + 4·4·4·3 weights of a byte, 4 + 3 biases of four
    assert history["tinydeploy_flash_bytes"][0] > 72 + 192 + 28
    assert watcher.outlook is not None
    fit = watcher.outlook.planned.fit
    assert history["tinydeploy_arena_bytes"] == [float(watcher.outlook.planned.plan.arena_bytes)] * 2
    # 6·6·2 bytes of input and a row of the convolution at the least, both of them whole at the most
    assert 72 + 16 <= history["tinydeploy_arena_bytes"][0] <= 72 + 64 + 16
    assert history["tinydeploy_sram_bytes"][0] == fit.sram.used_bytes > history["tinydeploy_arena_bytes"][0]
    macs = 4 * 4 * 4 * 18 + 64 * 3
    assert watcher.outlook.planned.costs.totals.macs == macs
    # an M7 at 216 MHz does no more than two MACs a cycle, and no network of this size takes a second
    assert 1e3 * macs / (2 * 216e6) <= history["tinydeploy_latency_ms"][0] < 1e3


def test_lines_stand_between_those_of_the_progress_bar(capfd: pytest.CaptureFixture[str]) -> None:
    train(FitsOn(BOARD, every=2), epochs=3, verbose=2)
    captured = capfd.readouterr()
    lines = captured.out.splitlines()
    ours = [number for number, line in enumerate(lines) if "tinydeploy: fits stm32f746g_disco: arena " in line]
    assert [lines[number + 1] for number in ours] == ["Epoch 1/3", "Epoch 3/3"]
    assert all("(computed)" in lines[n] and "(estimated)" in lines[n] and "(modelled)" in lines[n] for n in ours)
    assert "flatbuffer_export" not in captured.err and "fully_quantize" not in captured.err


def big() -> Any:
    """With 64 × 1200 weights, and 64 KiB of flash on the small board."""
    return network(units=1200)


def test_what_does_not_fit_is_told_stopped_or_failed() -> None:
    told, history = train(FitsOn(SMALL_BOARD, verbose=False), model=big, epochs=1)
    assert history["tinydeploy_fits"] == [0.0] and not told.stop_training
    stopped = FitsOn(SMALL_BOARD, stop=True, verbose=False)
    _, history = train(stopped, model=big)
    assert len(history["loss"]) == 1
    assert stopped.outlook is not None and "flash is" in stopped.outlook.why_not
    with pytest.raises(GateError, match=r"net does not fit nucleo_f030r8: flash is .* bytes too small"):
        train(FitsOn(SMALL_BOARD, fail=True, verbose=False), model=big)


def test_what_will_not_run_is_warned_of_once_by_layer_or_fails() -> None:
    def bell() -> Any:
        return network("gelu")

    with pytest.warns(UserWarning, match="layer 'bend' needs GELU.*hard_swish") as caught:
        _, history = train(FitsOn(BOARD), model=bell)
    assert len(caught) == 1 and history.keys() == {"loss"}
    with pytest.raises(UnsupportedModelError, match="layer 'bend' needs GELU"):
        train(FitsOn(BOARD, fail=True), model=bell)


def test_a_model_without_shapes_is_looked_at_after_its_first_batch(capfd: pytest.CaptureFixture[str]) -> None:
    _, history = train(FitsOn(BOARD), model=Branchless)
    assert history["tinydeploy_fits"] == [1.0, 1.0]
    assert capfd.readouterr().out.count("tinydeploy: fits") == 1


def test_changed_layers_are_looked_at_again() -> None:
    watcher = FitsOn(BOARD, verbose=False)
    watcher.set_model(network())
    watcher.on_train_begin()
    first = watcher.outlook
    watcher.on_epoch_end(0, {})
    assert first is not None and watcher.outlook is first
    watcher.set_model(network(filters=8))
    logs: dict[str, Any] = {}
    watcher.on_epoch_end(1, logs)
    assert watcher.outlook is not first and logs["tinydeploy_flash_bytes"] > first.logs()["tinydeploy_flash_bytes"]


def test_mistakes_are_told_before_the_training() -> None:
    with pytest.raises(BoardError, match="no board called") as caught:
        FitsOn("stm32f747")
    assert caught.value.hint is not None and "stm32f746" in caught.value.hint
    with pytest.raises(UsageError, match="every is 0"):
        FitsOn(BOARD, every=0)


def test_without_keras_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    from tinydeploy.errors import MissingToolError

    monkeypatch.delitem(sys.modules, "tinydeploy.keras")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingToolError, match=r"pip install 'tinydeploy\[export\]'"):
        importlib.import_module("tinydeploy.keras")
