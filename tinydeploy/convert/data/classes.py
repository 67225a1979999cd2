"""What class a model's outputs say, and whether it is the label's; other outputs are held against no labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinydeploy.convert.data.feeding import real_values
from tinydeploy.convert.types import Array
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable

_HALF = 0.5
_SAME_VALUES = ("QUANTIZE", "DEQUANTIZE", "RESHAPE")
_WITHOUT = "leave the labels out of the data: without them the loss of the outputs is told"


def predicted(model: Model, outputs: Sequence[Array]) -> tuple[int, ...] | None:
    """The class of each sample, from the model's only output: the first of the highest scores; of a single score that a
    sigmoid gives 1 where it is above a half, else 0. None where outputs are neither."""
    if len(model.outputs) != 1:
        return None
    tensor = model.tensor(model.outputs[0])
    if tensor.elements > 1 and tensor.shape[-1] == tensor.elements:
        return tuple(int(np.argmax(output)) for output in outputs)
    if tensor.elements == 1 and _is_probability(model):
        return tuple(int(real_values(tensor, output).item() > _HALF) for output in outputs)
    return None


def _is_probability(model: Model) -> bool:
    """Whether a sigmoid computes the model's first output."""
    index = model.outputs[0]
    for op in reversed(model.operators):
        if index not in op.outputs:
            continue
        if op.opcode not in _SAME_VALUES:
            return op.opcode == "LOGISTIC"
        index = op.inputs[0]
    return False


def refuse_labels(model: Model, labels: Array) -> None:
    """Raise `UsageError` for labels that a model with such outputs cannot be held against."""
    whose = "the evaluation data have labels, and the model"
    tensors = [model.tensor(index) for index in model.outputs]
    if len(tensors) != 1:
        names = ", ".join(f"'{printable(tensor.name)}'" for tensor in tensors[:4])
        raise UsageError(f"{whose} has {len(tensors)} outputs: {names}", hint=_WITHOUT)
    (tensor,) = tensors
    if tensor.elements == 1 and not _is_probability(model):
        raise UsageError(f"{whose}'s output is a single number that no sigmoid gives, so no class", hint=_WITHOUT)
    if tensor.elements != 1 and tensor.shape[-1] != tensor.elements:
        raise UsageError(f"{whose}'s output is no row of scores, one for each class", hint=_WITHOUT)
    classes = max(tensor.elements, 2)
    if int(labels.max()) >= classes:
        raise UsageError(f"the labels go up to {int(labels.max())}, and the model has {classes} classes")


def count_correct(model: Model, outputs: Sequence[Array], labels: Array) -> int:
    """In how many samples the predicted class is the label's. `outputs`: of the model's only output, quantized or not.

    Raises what `refuse_labels` raises.
    """
    refuse_labels(model, labels)
    return int(np.count_nonzero(np.array(predicted(model, outputs)) == labels))
