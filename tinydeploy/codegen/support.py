"""`check_supported`: whether every operator and port of a model has exact C, before anything is planned or made."""

from __future__ import annotations

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import printable, refuse
from tinydeploy.operators.registry import kind_of

PORT_CTYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.FLOAT32: "float",
    DType.BOOL: "uint8_t",
}

# Operators that the converter writes only where Keras left the batch open: a dilated convolution, a dense layer over
# more than two axes.
_FROM_OPEN_BATCHES = frozenset({"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SHAPE", "REDUCE_PROD"})
_OPEN_BATCH_HINT = (
    "the converter writes this when the batch is open: build the Keras model with Input(batch_shape=(1, …)) and "
    "convert it again"
)


def check_supported(model: Model) -> None:
    """Raise `UnsupportedModelError` for the first operator or port that has no exact kernel."""
    for op in model.operators:
        kind = kind_of(op.opcode)
        if kind is None:
            hint = _OPEN_BATCH_HINT if op.opcode in _FROM_OPEN_BATCHES else "`tinydeploy ops` lists those that do"
            others = {o.opcode for o in model.operators if kind_of(o.opcode) is None} - {op.opcode}
            also = f", nor have {', '.join(sorted(others))}" if others else ""
            raise refuse(model, op, f"{op.opcode} has no kernel{also}", hint=hint)
        kind.check(model, op)
    for index in (*model.inputs, *model.outputs):
        tensor = model.tensor(index)
        if tensor.dtype not in PORT_CTYPES:
            where = f"{printable(model.path or model.name, 400)}: tensor {index}"
            raise UnsupportedModelError(f"{where}: a model input or output cannot be {tensor.dtype.label}")
