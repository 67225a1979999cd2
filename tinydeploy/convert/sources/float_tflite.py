"""Float .tflite files into networks. Needs TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

from tinydeploy.convert.network import Network
from tinydeploy.convert.types import InputSpec, Source
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model, read_file

_BATCH_HINT = "a device sees one sample at a time: convert the model with an open batch, or a batch of one"


def float_tflite_network(source: Source) -> Network:
    """The network of a float .tflite file, whose inputs and outputs get the names that they had before TensorFlow wrote
    it: `serving_default_x:0` is `x`.

    Raises what `read_file` and `parse_model` raise, and `UnsupportedModelError` for a batch that is not one.
    """
    assert source.path is not None
    data = read_file(source.path)
    model = parse_model(data, name=source.name, path=source.text)
    for index in model.inputs:
        tensor = model.tensor(index)
        if len(tensor.shape) > 1 and tensor.shape[0] != 1:
            raise UnsupportedModelError(
                f"{printable(source.text, 400)}: the input '{printable(tensor.name)}' takes batches of "
                f"{tensor.shape[0]} samples",
                hint=_BATCH_HINT,
            )
    names = _plain_names(model)
    return Network(
        inputs=tuple(
            InputSpec(names[index], model.tensor(index).shape[1:], model.tensor(index).dtype.label)
            for index in model.inputs
        ),
        outputs=tuple(names[index] for index in model.outputs),
        float_data=_renamed(data, {index: name for index, name in names.items() if name != model.tensor(index).name}),
        parameters=sum(prod(t.shape) for t in model.tensors if t.constant and t.dtype is DType.FLOAT32),
    )


def _plain_names(model: Model) -> dict[int, str]:
    """A name for each input and output, by the tensor's index; one that is not the only one of its kind is kept."""
    wanted = {
        index: model.tensor(index).name.removeprefix("serving_default_").removesuffix(":0") or f"tensor_{index}"
        for index in (*model.inputs, *model.outputs)
    }
    others = Counter(tensor.name for tensor in model.tensors if tensor.index not in wanted)
    taken = Counter(wanted.values()) + others
    return {index: name if taken[name] == 1 else model.tensor(index).name for index, name in wanted.items()}


def _renamed(data: bytes, names: Mapping[int, str]) -> bytes:
    if not names:
        return data
    from tensorflow.lite.tools import flatbuffer_utils

    file = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for index, name in names.items():
        file.subgraphs[0].tensors[index].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(file))
