"""TensorFlow Lite Micro as reference, through the `tflite-micro` wheel: outputs must equal its bit by bit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.ir import Model
from tinydeploy.units import align_up
from tinydeploy.verify.layers import observable
from tinydeploy.verify.process import Request, ask_and_listen, installed_version
from tinydeploy.verify.types import Sample

_SAID = re.compile(r"Arena allocation (head|tail) (\d+) bytes")


@dataclass(frozen=True)
class TflmRun:
    """What TensorFlow Lite Micro computed on this computer, sample by sample, and the two ends of its arena.

    The non-persistent part is that of every computer with the same kernels; the other one has pointers in it, and is
    larger here than on a microcontroller.
    """

    samples: tuple[Sample, ...]
    nonpersistent_bytes: int
    persistent_bytes: int


class TflmReference:
    """The reference kernels of TensorFlow Lite Micro."""

    name = "tflite-micro"

    @property
    def version(self) -> str:
        """The wheel's version."""
        return installed_version(self.name)

    def run(self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False) -> tuple[Sample, ...]:
        """See `Reference.run`."""
        return self._ask(model, data, samples, observable(model) if layers else ())[0]

    def measure(self, model: Model, data: bytes, samples: Sequence[Sample]) -> TflmRun:
        """Run the samples, and ask for the arena. Raises what `run` raises."""
        outputs, said = self._ask(model, data, samples, (), tell_arena=True)
        told = {end: int(size) for end, size in _SAID.findall(said)}
        return TflmRun(outputs, told["head"], told["tail"])

    def _ask(
        self, model: Model, data: bytes, samples: Sequence[Sample], layers: tuple[int, ...], *, tell_arena: bool = False
    ) -> tuple[tuple[Sample, ...], str]:
        request = Request(
            reference="tflm",
            samples=len(samples),
            inputs=model.inputs,
            outputs=model.outputs,
            layers=layers,
            arena_bytes=arena_estimate(model, data),
            tell_arena=tell_arena,
        )
        return ask_and_listen(self.name, model, data, samples, request)


def arena_estimate(model: Model, data: bytes) -> int:
    """An arena that is surely large enough, in bytes; untouched pages are free, a far too small one crashes.

    Every tensor in a place of its own, as much again for the kernels' scratch buffers, and TFLM's own
    structures, which grow with the numbers of tensors and operators and with per-channel tables (at most the
    file's size).
    """
    tensors = sum(align_up(t.bytes, 16) for t in model.tensors if not t.constant)
    return (1 << 20) + 2 * tensors + 4 * len(data) + 512 * len(model.tensors) + 2048 * len(model.operators)
