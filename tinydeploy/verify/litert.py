"""LiteRT's reference kernels, through the `ai-edge-litert` wheel: a second opinion, and a stand-in for TFLM.

They are not always TFLM's: FULLY_CONNECTED, for one, rounds once there and twice in TFLM's reference kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.verify.layers import observable
from tinydeploy.verify.stderr import NativeError, call_quietly
from tinydeploy.verify.types import Array, Sample

INSTALL_HINT = "pip install 'tinydeploy[verify]'"


class LitertReference:
    """LiteRT (TensorFlow Lite) with the built-in reference kernels, without delegates."""

    name = "ai-edge-litert"

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
        """See `Reference.run`."""
        interpreter = _interpreter(model, data, layers)
        wanted = (*(observable(model) if layers else ()), *model.outputs)
        answers: list[Sample] = []
        for sample in samples:
            try:
                interpreter.reset_all_variables()
                for index in model.inputs:
                    interpreter.set_tensor(index, sample[index])
                interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise _refused(model, str(error)) from error
            answer: dict[int, Array] = {index: np.array(interpreter.get_tensor(index)) for index in wanted}
            answers.append(answer)
        return tuple(answers)


def _interpreter(model: Model, data: bytes, layers: bool) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise _missing() from error

    def make() -> Any:
        made = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=layers,
        )
        made.allocate_tensors()
        return made

    try:
        return call_quietly(make)
    except NativeError as error:
        raise _refused(model, error.words) from error


def _missing() -> MissingToolError:
    return MissingToolError(
        "verification needs the package ai-edge-litert, which is not installed", hint=INSTALL_HINT
    )


def _refused(model: Model, words: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{printable(model.path or model.name)}: LiteRT cannot run this model: {printable(words, 400)}",
        hint="run with --no-verify to do without the comparison",
    )
