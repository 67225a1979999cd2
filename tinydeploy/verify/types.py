"""The values of verification: samples, what a reference answered, and where two answers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import Model

Array: TypeAlias = NDArray[Any]

# One inference's tensors by tensor index, each with the tensor's own shape and dtype.
Sample: TypeAlias = Mapping[int, Array]


class Reference(Protocol):
    """An interpreter whose outputs are taken for right."""

    @property
    def name(self) -> str:
        """The package as users know it: `tflite-micro`, `ai-edge-litert`."""
        ...

    @property
    def version(self) -> str:
        """The installed version. Raises `MissingToolError` when the package is not installed."""
        ...

    def run(self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False) -> tuple[Sample, ...]:
        """Run each sample from a fresh state (variable tensors restart).

        model and data: the same file, read and as bytes. samples: one array for each model input. Returns for
        each sample its model outputs, and with `layers` every tensor that an operator computes and something
        reads. Raises `MissingToolError`, and `UnsupportedModelError` when the interpreter refuses the model.
        """
        ...


@dataclass(frozen=True)
class ReferenceRun:
    """What one reference answered, sample by sample."""

    name: str
    version: str
    samples: tuple[Sample, ...]

    @property
    def against(self) -> str:
        """Name and version in one string, as reports show it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Difference:
    """The first element that differs, in the first layer that differs.

    `operator` and `opcode` computed the tensor (None for a tensor that no operator computes). `index` is the
    element's place in the tensor's shape. `differing` of `elements` and `max_abs` describe this tensor in
    this sample.
    """

    sample: int
    operator: int | None
    opcode: str | None
    tensor: int
    tensor_name: str
    index: tuple[int, ...]
    ours: int | float
    reference: int | float
    differing: int
    elements: int
    max_abs: float


@dataclass(frozen=True)
class Verification:
    """The verdict. `against` names the reference and its version.

    inputs: samples compared. tensors: how many tensors were compared in each sample. differing: elements that
    differ, over all samples and tensors, of `elements`; max_abs: the largest absolute difference (quantized
    units for integers). `second`: the other reference, when there is one, and whether it agrees with the
    first on every tensor compared.
    """

    against: str
    bit_exact: bool
    inputs: int
    tensors: int
    elements: int
    differing: int
    max_abs: float
    first_difference: Difference | None = None
    second: str | None = None
    second_agrees: bool | None = None


def element(value: np.generic) -> int | float:
    """A NumPy scalar as a plain number."""
    number = value.item()
    return number if isinstance(number, float) else int(number)
