"""The facts of the schema that the reader holds, against two independently generated readers of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinydeploy.ir import DType
from tinydeploy.tflite import schema

litert = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="pip install 'tinydeploy[verify]' for the reference interpreters"
)


class _Recorder:
    """Stands for a FlatBuffer builder and remembers which slot a generated function writes."""

    def __init__(self) -> None:
        self.slot: int | None = None

    def __getattr__(self, name: str) -> Any:
        def call(slot: int, *_: object) -> None:
            self.slot = slot

        return call


SLOTS = {
    "Model": schema.ModelSlot,
    "OperatorCode": schema.OperatorCodeSlot,
    "SubGraph": schema.SubGraphSlot,
    "Tensor": schema.TensorSlot,
    "QuantizationParameters": schema.QuantizationSlot,
    "Operator": schema.OperatorSlot,
    "Buffer": schema.BufferSlot,
    "Metadata": schema.MetadataSlot,
}


@pytest.mark.parametrize(
    "table, field",
    [(table, field) for table, cls in SLOTS.items() for field in vars(cls) if field.isupper()],
)
def test_slot_is_the_schema_s(table: str, field: str) -> None:
    camel = "".join(part.capitalize() for part in field.split("_"))
    recorder = _Recorder()
    getattr(litert, f"{table}Add{camel}")(recorder, 0)
    assert recorder.slot == getattr(SLOTS[table], field)


def _enumeration(cls: type) -> dict[int, str]:
    return {value: name for name, value in vars(cls).items() if isinstance(value, int) and not name.startswith("_")}


def test_opcodes_are_those_of_ai_edge_litert() -> None:
    theirs = _enumeration(litert.BuiltinOperator)
    assert dict(enumerate(schema.OPCODES)) == theirs


def test_opcodes_are_those_of_the_tflite_package() -> None:
    tflite = pytest.importorskip("tflite", reason="pip install 'tinydeploy[test]' for the tflite package")
    theirs = _enumeration(tflite.BuiltinOperator)
    assert len(theirs) > 200
    assert {code: schema.OPCODES[code] for code in theirs} == theirs


def test_tensor_types_are_those_of_ai_edge_litert() -> None:
    assert dict(enumerate(schema.TENSOR_TYPES)) == _enumeration(litert.TensorType)


def test_element_types_have_the_size_that_numpy_gives_them() -> None:
    assert len(schema.DTYPES) == len(DType)
    for number, dtype in schema.DTYPES.items():
        assert np.dtype(schema.TENSOR_TYPES[number].lower()).itemsize == dtype.bytes


def test_options_are_numbered_as_in_the_union() -> None:
    theirs = {name.removesuffix("Options").lower(): n for n, name in _enumeration(litert.BuiltinOptions).items()}
    ours = {name: value for name, value in vars(schema.OptionsType).items() if name.isupper()}
    assert {name: theirs[name.replace("_", "").lower()] for name in ours} == ours
