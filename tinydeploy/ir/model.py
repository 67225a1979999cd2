"""`Model`: what the reader and the builder produce and every later stage reads. Nothing changes after it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from types import MappingProxyType

from tinydeploy.ir.attributes import Attributes


class DType(Enum):
    """Element types; the value is (name, bytes per element)."""

    FLOAT32 = ("float32", 4)
    FLOAT16 = ("float16", 2)
    FLOAT64 = ("float64", 8)
    INT8 = ("int8", 1)
    UINT8 = ("uint8", 1)
    INT16 = ("int16", 2)
    UINT16 = ("uint16", 2)
    INT32 = ("int32", 4)
    UINT32 = ("uint32", 4)
    INT64 = ("int64", 8)
    UINT64 = ("uint64", 8)
    BOOL = ("bool", 1)

    @property
    def label(self) -> str:
        """The NumPy name of the type."""
        return self.value[0]

    @property
    def bytes(self) -> int:
        """Bytes per element."""
        return self.value[1]


@dataclass(frozen=True)
class Quantization:
    """real = scale · (quantized − zero_point); one pair, or one for each slice along `axis`.

    `len(scales) == len(zero_points) >= 1`.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        return self.zero_points[0]

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return len(self.scales) > 1


@dataclass(frozen=True)
class Tensor:
    """One tensor. `data` holds a constant's little-endian bytes; in a network without weights constants have none."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    constant: bool = False
    data: bytes | None = field(default=None, repr=False)
    variable: bool = False

    @property
    def elements(self) -> int:
        """The number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The size in bytes, without alignment."""
        return self.elements * self.dtype.bytes


@dataclass(frozen=True)
class Operator:
    """One operator of a model. A tensor index of −1 stands for an optional input that is left out."""

    index: int
    opcode: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Attributes

    def __str__(self) -> str:
        return f"operator {self.index} ({self.opcode})"


@dataclass(frozen=True)
class Model:
    """A network: operators in an order that can be executed, tensors by index, inputs and outputs by tensor index.

    `name` is for people and never reaches C or a path unescaped. `path` is what the user named, `sha256` the
    hash of the file's bytes (empty for a network described in Python). `folded_operators` are those of the file that
    are not among `operators` because they only compute shapes, which are known; their indices are the file's.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    path: str = ""
    sha256: str = ""
    description: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    folded_operators: tuple[Operator, ...] = ()

    @property
    def folded(self) -> int:
        """How many operators of the file are folded away."""
        return len(self.folded_operators)

    def tensor(self, index: int) -> Tensor:
        """The tensor at `index`."""
        return self.tensors[index]

    def input_of(self, op: Operator, position: int) -> Tensor | None:
        """The operator's input at `position`, or None where it is left out."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        return self.tensors[op.inputs[position]]

    def output_of(self, op: Operator, position: int = 0) -> Tensor:
        """The operator's output at `position`."""
        return self.tensors[op.outputs[position]]

    def activation_inputs(self, op: Operator) -> Iterator[Tensor]:
        """The operator's inputs that are computed or given at run time, in order, each position once."""
        for index in op.inputs:
            if index >= 0 and not self.tensors[index].constant:
                yield self.tensors[index]

    def constant_inputs(self, op: Operator) -> Iterator[Tensor]:
        """The operator's constant inputs, in order."""
        for index in op.inputs:
            if index >= 0 and self.tensors[index].constant:
                yield self.tensors[index]

    def layer_name(self, op: Operator) -> str:
        """What a person calls this operator: the name of its first output, or its opcode."""
        return self.output_of(op).name if op.outputs else op.opcode
