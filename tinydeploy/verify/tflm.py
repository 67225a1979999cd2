"""TensorFlow Lite Micro as reference, through the `tflite-micro` wheel: outputs must equal its bit by bit."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.ir import Model
from tinydeploy.units import align_up
from tinydeploy.verify.layers import observable
from tinydeploy.verify.process import Request, ask, installed_version
from tinydeploy.verify.types import Sample


class TflmReference:
    """The reference kernels of TensorFlow Lite Micro."""

    name = "tflite-micro"

    @property
    def version(self) -> str:
        """The wheel's version."""
        return installed_version(self.name)

    def run(self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False) -> tuple[Sample, ...]:
        """See `Reference.run`."""
        request = Request(
            reference="tflm",
            samples=len(samples),
            inputs=model.inputs,
            outputs=model.outputs,
            layers=observable(model) if layers else (),
            arena_bytes=arena_estimate(model, data),
        )
        return ask(self.name, model, data, samples, request)


def arena_estimate(model: Model, data: bytes) -> int:
    """An arena that is surely large enough, in bytes; untouched pages are free, a far too small one crashes.

    Every tensor in a place of its own, as much again for the kernels' scratch buffers, and TFLM's own
    structures, which grow with the numbers of tensors and operators and with per-channel tables (at most the
    file's size).
    """
    tensors = sum(align_up(t.bytes, 16) for t in model.tensors if not t.constant)
    return (1 << 20) + 2 * tensors + 4 * len(data) + 512 * len(model.tensors) + 2048 * len(model.operators)
