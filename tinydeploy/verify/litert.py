"""LiteRT's reference kernels, through the `ai-edge-litert` wheel: a second opinion, and a stand-in for TFLM.

They are not always TFLM's: FULLY_CONNECTED, for one, is rounded differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.ir import Model
from tinydeploy.verify.layers import observable
from tinydeploy.verify.process import Request, ask, installed_version
from tinydeploy.verify.types import Sample


class LitertReference:
    """LiteRT (TensorFlow Lite) with the built-in reference kernels, without delegates."""

    name = "ai-edge-litert"

    @property
    def version(self) -> str:
        """The wheel's version."""
        return installed_version(self.name)

    def run(self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False) -> tuple[Sample, ...]:
        """See `Reference.run`."""
        request = Request(
            reference="litert",
            samples=len(samples),
            inputs=model.inputs,
            outputs=model.outputs,
            layers=observable(model) if layers else (),
        )
        return ask(self.name, model, data, samples, request)
