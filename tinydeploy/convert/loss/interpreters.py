"""Models run on the host: LiteRT's reference kernels, and TensorFlow Lite Micro's where it is installed.

Reference kernels compute the same on every machine. For int8 TFLM decides, as in verification: LiteRT's kernels do not
always round as it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tinydeploy.convert.types import Array
from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.operators.base import printable

INSTALL_HINT = "pip install 'tinydeploy[export]'"
_LEAST_ARENA_BYTES = 1 << 20
_MOST_ARENA_BYTES = 1 << 30


def litert(
    data: bytes, samples: Iterable[Mapping[int, Array]], tensors: Sequence[int], *, inner: bool = False
) -> Iterator[dict[int, Array]]:
    """For each sample the `tensors` by index, from LiteRT's reference kernels; `inner`: not only outputs are asked for.

    Every sample starts from a fresh state. Raises `MissingToolError`, and `UnsupportedModelError` for a model that
    LiteRT refuses.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingToolError(
            "the model is run here by the package ai-edge-litert, which is not installed",
            hint="pip install 'tinydeploy[verify]'",
        ) from error
    try:
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=inner,
        )
        interpreter.allocate_tensors()
        for sample in samples:
            interpreter.reset_all_variables()
            for index, array in sample.items():
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            yield {index: interpreter.get_tensor(index) for index in tensors}
    except (RuntimeError, ValueError) as error:
        words = " ".join(str(error).split())
        raise UnsupportedModelError(f"ai-edge-litert cannot run this model: {printable(words, 400)}") from error


def int8_outputs(
    data: bytes, inputs: Sequence[int], samples: Sequence[Mapping[int, Array]], outputs: Sequence[int]
) -> tuple[str, list[dict[int, Array]]]:
    """Each sample's outputs as a device computes them, and the name of the package that computed them.

    LiteRT stands in for TFLM where that is not installed or refuses the model.
    """
    interpreter = _tflm(data)
    if interpreter is None:
        return "ai-edge-litert", list(litert(data, samples, outputs))
    answers = []
    for number, sample in enumerate(samples):
        if number:
            interpreter.reset()  # variable tensors and operators' states restart
        for position, index in enumerate(inputs):
            interpreter.set_input(sample[index], position)
        interpreter.invoke()
        answers.append({index: interpreter.get_output(position) for position, index in enumerate(outputs)})
    return "tflite-micro", answers


def _tflm(data: bytes) -> Any | None:
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    size = _LEAST_ARENA_BYTES
    while size <= _MOST_ARENA_BYTES:
        try:
            return runtime.Interpreter.from_bytes(data, arena_size=size)
        except RuntimeError:
            size *= 4
    return None
