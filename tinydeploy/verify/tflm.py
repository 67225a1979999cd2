"""TensorFlow Lite Micro as reference, through the `tflite-micro` wheel: outputs must equal its bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.units import align_up
from tinydeploy.verify.layers import observable
from tinydeploy.verify.stderr import NativeError, call_quietly
from tinydeploy.verify.types import Array, Sample

INSTALL_HINT = "pip install 'tinydeploy[verify]'"

_MOST_ARENA_BYTES = 2 << 30


class TflmReference:
    """The reference kernels of TensorFlow Lite Micro."""

    name = "tflite-micro"

    @property
    def version(self) -> str:
        """The wheel's version."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError as error:
            raise _missing() from error

    def run(
        self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False
    ) -> tuple[Sample, ...]:
        """See `Reference.run`. With `layers` the interpreter keeps every tensor in a place of its own."""
        interpreter = _interpreter(model, data, layers)
        watched = observable(model) if layers else ()
        answers: list[Sample] = []
        for number, sample in enumerate(samples):
            try:
                if number:
                    interpreter.reset()  # variable tensors and operator state restart
                for position, index in enumerate(model.inputs):
                    interpreter.set_input(sample[index], position)
                interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise _refused(model, str(error)) from error
            answer: dict[int, Array] = {}
            for index in watched:
                # GetTensor copies. It trusts its argument and crashes on tensors without memory: hence
                # `observable`.
                answer[index] = interpreter.GetTensor(index, 0)["tensor_data"]
            for position, index in enumerate(model.outputs):
                answer[index] = np.array(interpreter.get_output(position))
            answers.append(answer)
        return tuple(answers)


def arena_estimate(model: Model, data: bytes) -> int:
    """An arena that is surely large enough, in bytes; untouched pages are free, a far too small one crashes.

    Every tensor in a place of its own, as much again for the kernels' scratch buffers, and TFLM's own
    structures, which grow with the numbers of tensors and operators and with per-channel tables (at most the
    file's size).
    """
    tensors = sum(align_up(t.bytes, 16) for t in model.tensors if not t.constant)
    return (1 << 20) + 2 * tensors + 4 * len(data) + 512 * len(model.tensors) + 2048 * len(model.operators)


def _interpreter(model: Model, data: bytes, layers: bool) -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise _missing() from error
    config = (
        runtime.InterpreterConfig.kPreserveAllTensors
        if layers
        else runtime.InterpreterConfig.kAllocationRecording
    )
    make = runtime.Interpreter.from_bytes
    size = arena_estimate(model, data)
    while True:
        try:
            return call_quietly(partial(make, data, arena_size=size, intrepreter_config=config))
        except NativeError as error:
            size *= 4
            if "allocate" not in error.words or "missing" not in error.words or size > _MOST_ARENA_BYTES:
                raise _refused(model, error.words) from error


def _missing() -> MissingToolError:
    return MissingToolError(
        "verification needs the package tflite-micro, which is not installed", hint=INSTALL_HINT
    )


def _refused(model: Model, words: str) -> UnsupportedModelError:
    where = printable(model.path or model.name)
    return UnsupportedModelError(
        f"{where}: TensorFlow Lite Micro cannot run this model: {printable(words, 400)}",
        hint="run with --no-verify to do without the comparison",
    )
