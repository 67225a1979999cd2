"""What is wrong with a float network whatever becomes of it: weights that are no numbers, inputs that nothing reads."""

from __future__ import annotations

import numpy as np

from tinydeploy.convert.obstacles.refusals import layer_of
from tinydeploy.errors import ModelError
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import printable


def check_sound(shown: str, model: Model) -> tuple[str, ...]:
    """Warnings about a float model, which messages call `shown`. Raises `ModelError` for weights that are NaN."""
    for tensor in model.tensors:
        if tensor.dtype is DType.FLOAT32 and tensor.data and np.isnan(np.frombuffer(tensor.data, "<f4")).any():
            raise ModelError(
                f"{shown}: the weights of layer '{printable(layer_of(tensor.name))}' hold NaN",
                hint="training went astray: take weights from before that, and train with a lower learning rate",
            )
    read = {index for op in model.operators for index in op.inputs} | set(model.outputs)
    unread = [printable(model.tensor(index).name) for index in model.inputs if index not in read]
    return tuple(f"{shown}: nothing in the model reads its input '{name}'" for name in unread)
