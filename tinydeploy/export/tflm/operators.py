"""Which method of TensorFlow Lite Micro's resolver registers an operator, and which operators it has no kernel for.

The names are those of `MicroMutableOpResolver` (tensorflow/lite/micro/micro_mutable_op_resolver.h).
"""

from __future__ import annotations

from types import MappingProxyType

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator
from tinydeploy.operators.base import printable
from tinydeploy.plan.tflm import KernelSet

# Methods that are `Add` and the opcode's words: ADD_N is registered by AddAddN.
_REGULAR = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO
    CALL_ONCE CAST CEIL CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE
    ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL LOG LOG_SOFTMAX LOGICAL_AND
    LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PRELU
    QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
    REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNPACK VAR_HANDLE WHILE
    ZEROS_LIKE
"""

METHODS = MappingProxyType(
    {opcode: "Add" + "".join(word.capitalize() for word in opcode.split("_")) for opcode in _REGULAR.split()}
    | {
        "AVERAGE_POOL_2D": "AddAveragePool2D",
        "CONV_2D": "AddConv2D",
        "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
        "L2_POOL_2D": "AddL2Pool2D",
        "MAX_POOL_2D": "AddMaxPool2D",
        "BATCH_MATMUL": "AddBatchMatMul",
        "CUMSUM": "AddCumSum",
        "PADV2": "AddPadV2",
        "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    }
)
"""The resolver's method by opcode: every built-in operator that TensorFlow Lite Micro has a kernel for."""


def operators_of_file(model: Model) -> tuple[Operator, ...]:
    """The operators that TFLM runs, in its order: those that are folded away here, too.

    Their indices are those in the file.
    """
    folded = {op.index for op in model.folded_operators}
    places = (index for index in range(len(model.operators) + len(folded)) if index not in folded)
    kept = [
        Operator(place, op.opcode, op.inputs, op.outputs, op.attrs)
        for place, op in zip(places, model.operators, strict=False)
    ]
    return tuple(sorted([*kept, *model.folded_operators], key=lambda op: op.index))


def check_registered(model: Model) -> None:
    """Raise `UnsupportedModelError`, which names all operators that TensorFlow Lite Micro has no kernel for."""
    missing = [op for op in operators_of_file(model) if op.opcode not in METHODS]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UnsupportedModelError(
            f"{printable(model.path or model.name, 400)}: TensorFlow Lite Micro has no kernel for {shown}",
            hint="replace these layers, or end the model before them and compute the rest in the firmware",
        )


def check_kernels(model: Model, kernels: KernelSet) -> None:
    """Raise `UnsupportedModelError` for operators that TFLM's wrappers of CMSIS-NN refuse and its own kernels take.

    Sources: tensorflow/lite/micro/kernels/cmsis_nn/fully_connected.cc and transpose_conv.cc.
    """
    if kernels != "cmsis-nn":
        return
    told = [f"{op} ({why})" for op in model.operators if (why := _refused_by_cmsis_nn(model, op))]
    if told:
        raise UnsupportedModelError(
            f"{printable(model.path or model.name)}: TensorFlow Lite Micro with CMSIS-NN refuses {', '.join(told[:5])}",
            hint="--kernels reference, for a TensorFlow Lite Micro built without CMSIS-NN",
        )


def _refused_by_cmsis_nn(model: Model, op: Operator) -> str:
    """Why CMSIS-NN's kernel would not run the operator, or nothing."""
    transposed = op.opcode == "TRANSPOSE_CONV"
    data, weights = model.input_of(op, 2 if transposed else 0), model.input_of(op, 1)
    if data is None or data.dtype is not DType.INT16:
        return ""
    if transposed and model.input_of(op, 3) is None:
        return "int16 without a bias"
    per_channel = weights is not None and weights.quantization is not None and weights.quantization.per_channel
    return "int16 with a scale for each channel" if op.opcode == "FULLY_CONNECTED" and per_channel else ""


def resolver_methods(model: Model) -> tuple[str, ...]:
    """The methods that register exactly the operators of the model's file, sorted. Raises as `check_registered`."""
    check_registered(model)
    return tuple(sorted({METHODS[op.opcode] for op in operators_of_file(model)}))
