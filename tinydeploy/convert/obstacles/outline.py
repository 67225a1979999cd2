"""The operators of a .tflite file by name, of files too that the reader refuses: with whatever they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinydeploy.tflite import schema
from tinydeploy.tflite.flatbuffer import Table, TableVector, View
from tinydeploy.tflite.schema import ModelSlot, OperatorCodeSlot, OperatorSlot, SubGraphSlot, TensorSlot


@dataclass(frozen=True)
class OutlineTensor:
    """`dtype` is the schema's name, such as `FLOAT32`; an open extent of `shape` is −1, but for that of the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def open(self) -> bool:
        """Whether the shape is known at run time alone."""
        return -1 in self.shape


@dataclass(frozen=True)
class OutlineOperator:
    """`opcode` is the schema's name; of a custom operator, and of TensorFlow's own, `custom` is the name."""

    index: int
    opcode: str
    custom: str
    inputs: tuple[OutlineTensor, ...]
    outputs: tuple[OutlineTensor, ...]


@dataclass(frozen=True)
class Outline:
    """The first subgraph."""

    inputs: tuple[OutlineTensor, ...]
    operators: tuple[OutlineOperator, ...]


def outline(data: bytes) -> Outline:
    """What a file holds. Raises `MalformedError` for bytes that are no sound .tflite file."""
    root = View(data).root()
    codes = [_code(table) for table in _all(root.tables(ModelSlot.OPERATOR_CODES))]
    graph = root.tables(ModelSlot.SUBGRAPHS)[0]
    tensors = [_tensor(table) for table in _all(graph.tables(SubGraphSlot.TENSORS))]

    def named(table: Table, slot: int) -> tuple[OutlineTensor, ...]:
        return tuple(tensors[index] for index in table.integers(slot) or () if index >= 0)

    operators = []
    for index, table in enumerate(_all(graph.tables(SubGraphSlot.OPERATORS))):
        opcode, custom = codes[table.integer(OperatorSlot.OPCODE_INDEX, 4, signed=False)]
        inputs, outputs = named(table, OperatorSlot.INPUTS), named(table, OperatorSlot.OUTPUTS)
        operators.append(OutlineOperator(index, opcode, custom, inputs, outputs))
    return Outline(named(graph, SubGraphSlot.INPUTS), tuple(operators))


def _all(tables: TableVector) -> Iterator[Table]:
    return (tables[index] for index in range(len(tables)))


def _code(table: Table) -> tuple[str, str]:
    number = max(
        table.integer(OperatorCodeSlot.DEPRECATED_BUILTIN_CODE, 1), table.integer(OperatorCodeSlot.BUILTIN_CODE, 4)
    )
    opcode = schema.OPCODES[number] if 0 <= number < len(schema.OPCODES) else f"opcode {number}"
    return opcode, table.string(OperatorCodeSlot.CUSTOM_CODE) or ""


def _tensor(table: Table) -> OutlineTensor:
    shape = table.integers(TensorSlot.SHAPE) or ()
    signature = table.integers(TensorSlot.SHAPE_SIGNATURE) or shape
    if len(signature) == len(shape):
        shape = (*shape[:1], *signature[1:])
    number = table.integer(TensorSlot.TYPE, 1)
    dtype = schema.TENSOR_TYPES[number] if 0 <= number < len(schema.TENSOR_TYPES) else f"type {number}"
    return OutlineTensor(table.string(TensorSlot.NAME) or "", shape, dtype)
