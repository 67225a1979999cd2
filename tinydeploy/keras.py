"""A Keras callback that tells during training whether the model will fit a board.

    model.fit(x, y, epochs=20, callbacks=[tinydeploy.keras.FitsOn("stm32f746", fail=True)])

Weights do not change where tensors lie or how long a layer takes, so the model is converted with made-up calibration
data, once, before the first step of training; it is again when the layers have changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy.boards import Board, find_board
from tinydeploy.errors import GateError, MissingToolError, UnsupportedModelError, UsageError
from tinydeploy.units import kib

try:
    import keras
except ImportError as error:
    raise MissingToolError(
        "tinydeploy.keras needs Keras, which is not installed: pip install 'tinydeploy[export]'",
        hint="pip install 'tinydeploy[export]'",
    ) from error

from tinydeploy.convert.aware import has_trained_ranges, with_plain_floats
from tinydeploy.convert.obstacles.graph import graph_obstacles
from tinydeploy.convert.obstacles.refusals import refuse
from tinydeploy.convert.quantize import quantize
from tinydeploy.convert.quiet import quiet
from tinydeploy.convert.sources.keras_models import keras_network
from tinydeploy.convert.types import Array, ConvertOptions, InputSpec
from tinydeploy.cost.latency import estimate
from tinydeploy.operators.base import printable
from tinydeploy.pipeline import PlanOptions, figures_of, plan_model
from tinydeploy.report.plans import Planned
from tinydeploy.tflite import parse_model

__all__ = ["FitsOn", "Outlook", "examine"]

_SAMPLES = 4
_GATE_HINT = (
    "fewer filters, an earlier stride or a smaller input make it smaller; `tinydeploy plan` shows where it peaks"
)


@dataclass(frozen=True)
class Outlook:
    """What a model comes to on a board. `latency_ms` is modelled from costs and published figures, without a run.

    `why_not`: by how many bytes it does not fit; empty when it does.
    """

    planned: Planned
    latency_ms: float

    @property
    def why_not(self) -> str:
        """Empty when it fits."""
        return self.planned.fit.why_not()

    def logs(self) -> dict[str, float]:
        """What goes into the training's logs; floats, as all logs are."""
        figures = figures_of(self.planned)
        return {
            "tinydeploy_arena_bytes": float(figures["arena_bytes"].value),
            "tinydeploy_sram_bytes": float(figures["sram_bytes"].value),
            "tinydeploy_flash_bytes": float(figures["flash_bytes"].value),
            "tinydeploy_latency_ms": self.latency_ms,
            "tinydeploy_fits": float(not self.why_not),
        }

    def line(self) -> str:
        """All of it in a line."""
        fit, figures = self.planned.fit, figures_of(self.planned)
        told = [f"arena {kib(self.planned.plan.arena_bytes)} (computed)"]
        for memory, key in ((fit.sram, "sram_bytes"), (fit.flash, "flash_bytes")):
            told.append(f"{memory.name} {kib(memory.used_bytes)} of {kib(memory.capacity_bytes)} ({figures[key].kind})")
        told.append(f"latency {self.latency_ms:.3g} ms (modelled)")
        verdict = f"does not fit {fit.board}: {self.why_not};" if self.why_not else f"fits {fit.board}:"
        return f"{verdict} {', '.join(told)}"


def examine(model: Any, board: Board, options: PlanOptions | None = None) -> Outlook:
    """What a built Keras model will come to on `board`, as int8. Nothing of the model or of its training changes.

    Raises `UnsupportedModelError`, which names the layers that will not run.
    """
    name = printable(str(model.name))
    with quiet():
        network = keras_network(model)
        if has_trained_ranges(network):
            network = with_plain_floats(network)
        refuse(name, graph_obstacles(network.float_data, layers=network.layers, runtime="tinydeploy"))
        data = quantize(network.float_data, _made_up(network.inputs), ConvertOptions(), name=name)
    planned = plan_model(parse_model(data, name=name), board, options or PlanOptions())
    return Outlook(planned, 1e3 * estimate(planned.costs, board).latency_seconds)


def _made_up(inputs: Sequence[InputSpec]) -> list[dict[str, Array]]:
    """Calibration data. The state of NumPy's and Keras' own random numbers belongs to the training."""
    import numpy as np

    rng = np.random.default_rng(0)

    def one(spec: InputSpec) -> Array:
        shape = (1, *spec.shape)
        values = rng.uniform(-1, 1, shape) if spec.dtype.startswith("float") else rng.integers(0, 2, shape)
        return values.astype(spec.dtype)

    return [{spec.name: one(spec) for spec in inputs} for _ in range(_SAMPLES)]


class FitsOn(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Tells what a model comes to on a board, before training begins and every so many epochs.

    board: as on the command line: an id, an alias, the path of a .toml file, or a `Board`. every: epochs from one
    line to the next. stop: end the training of a model that does not fit, or will not run there, after a batch. fail:
    raise instead: `GateError` for what does not fit, `UnsupportedModelError` for what will not run. verbose: False
    prints nothing; a model that will not run is warned of all the same, once. options: of the plan.

    Each epoch's logs get `tinydeploy_arena_bytes`, `tinydeploy_sram_bytes`, `tinydeploy_flash_bytes`,
    `tinydeploy_latency_ms` (modelled) and `tinydeploy_fits` (0 or 1), for all callbacks that stand behind this one.
    `outlook` is the last `Outlook`. Raises `BoardError` for a board that there is not, and `UsageError`.
    """

    def __init__(
        self,
        board: str | Board,
        every: int = 10,
        *,
        stop: bool = False,
        fail: bool = False,
        verbose: bool = True,
        options: PlanOptions | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise UsageError(f"every is {every}: it counts epochs, and has to be 1 or more")
        if getattr(keras, "backend", None) is not None and keras.backend.backend() != "tensorflow":
            raise UsageError(
                f"Keras computes with {keras.backend.backend()}: only TensorFlow's models can be converted here",
                hint="set the environment variable KERAS_BACKEND=tensorflow",
            )
        self.board = board if isinstance(board, Board) else find_board(board)
        self.every = every
        self.outlook: Outlook | None = None
        self._stop, self._fail, self._verbose = stop, fail, verbose
        self._options = options
        self._seen: object = None
        self._to_tell = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """The first look, where the model has its shapes already."""
        self._seen = None
        self._look()
        self._tell()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Lines are printed here, before the epoch's own: at its end the progress bar's line is still open."""
        self._tell()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The first look at a model that had no shapes before its first batch."""
        if self._seen is None:
            self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Another look, where the layers have changed."""
        self._look()
        self._to_tell = (epoch + 1) % self.every == 0 or self._to_tell
        if logs is not None and self.outlook is not None:
            logs.update(self.outlook.logs())

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """What is left to print."""
        self._tell()

    def _look(self) -> None:
        model = self.model
        if not getattr(model, "built", False):
            return
        layers = _layers_of(model)
        if layers == self._seen:
            return
        self._seen = layers
        try:
            self.outlook = examine(model, self.board, self._options)
        except UnsupportedModelError as error:
            self.outlook = None
            if self._fail:
                raise
            hint = f"; {error.hint}" if error.hint else ""
            warnings.warn(f"tinydeploy: {error.message}{hint}", stacklevel=2)
            model.stop_training = model.stop_training or self._stop
            return
        self._to_tell = True
        if self.outlook.why_not:
            if self._fail:
                name = printable(str(model.name))
                raise GateError(f"{name} does not fit {self.board.id}: {self.outlook.why_not}", hint=_GATE_HINT)
            model.stop_training = model.stop_training or self._stop

    def _tell(self) -> None:
        if self._to_tell and self._verbose and self.outlook is not None:
            print(f"tinydeploy: {self.outlook.line()}", flush=True)
        self._to_tell = False


def _layers_of(model: Any) -> object:
    """What a plan depends on: the layers as they are configured, and the shapes of their weights."""
    shapes = tuple(
        (weight.path if hasattr(weight, "path") else weight.name, tuple(weight.shape)) for weight in model.weights
    )
    try:
        return shapes, model.to_json()
    except Exception:  # a model of the user's own class need not tell its configuration
        return shapes, ""
