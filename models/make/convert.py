"""What the model scripts share: seeds, int8 conversion, synthetic data, and a look at the finished file.

Needs the extras `export` (TensorFlow, scikit-learn) and `verify` (ai-edge-litert).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from typing import Any

# Before TensorFlow is imported: fewer paths through the arithmetic, so fewer ways for bytes to differ between runs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from tensorflow import keras
from tensorflow.lite.python import schema_py_generated as schema

Floats = NDArray[np.float32]
Int8s = NDArray[np.int8]

TOOLS = ("tensorflow-cpu", "keras", "numpy", "scikit-learn", "ai-edge-litert")

OPCODE_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy on held-out samples: how many of `samples` the float and the int8 model got right."""

    dataset: str
    samples: int
    float_correct: int
    int8_correct: int
    measured: str


@dataclass(frozen=True)
class Made:
    """One finished model: the file's bytes, what models.toml says of it, and files that go beside it."""

    data: bytes
    title: str
    description: str
    weights: str
    seed: int
    tools: tuple[str, ...]
    accuracy: Accuracy | None = None
    companions: tuple[tuple[str, bytes], ...] = ()


def start(seed: int) -> None:
    """Make what follows repeatable: seeds for Python, NumPy and TensorFlow, deterministic kernels, one thread."""
    tf.config.experimental.enable_op_determinism()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)


def to_int8(model: Any, samples: Sequence[Floats], *, per_channel_dense: bool = False) -> bytes:
    """Convert a Keras model by post-training full-integer quantization; int8 in and out.

    `samples` are calibration inputs, each with its batch axis of 1. Convolutions are always quantized per channel;
    `per_channel_dense` says whether FULLY_CONNECTED is too, which is the converter's default since TensorFlow 2.17
    and which the MLPerf Tiny files are not.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # The only switch that TensorFlow offers for this has an underscore in its name.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel_dense
    return bytes(converter.convert())


def settle_batch_norm(model: Any, samples: Floats, rng: np.random.Generator) -> None:
    """Give an untrained network's batch normalizations the statistics of `samples` and random affine parameters.

    Every layer then sees activations of a sane spread, as in a trained network, so that int8 codes are neither all
    zero nor all saturated. The layers must have been made with `momentum=0`: one forward pass sets the statistics.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            layer.gamma.assign(rng.uniform(0.6, 1.4, channels).astype(np.float32))
            layer.beta.assign(rng.normal(0.0, 0.4, channels).astype(np.float32))
    model(samples, training=True)


def spread_logits(model: Any, samples: Floats, *, layer: str, spread: float) -> None:
    """Scale and shift the dense layer before a softmax: zero mean and a deviation of `spread` for each logit.

    An untrained classifier would otherwise answer the same class, or the same distribution, for every input.
    """
    dense = model.get_layer(layer)
    # The layer's own input, whatever it is called: the model is cut there.
    features = np.asarray(keras.Model(model.inputs, dense.input)(samples, training=False))
    kernel = np.asarray(dense.kernel)
    logits = features @ kernel
    kernel = kernel * (spread / logits.std(axis=0))
    dense.kernel.assign(kernel)
    dense.bias.assign(-(features @ kernel).mean(axis=0))


def random_fields(rng: np.random.Generator, count: int, height: int, width: int, channels: int) -> Floats:
    """`count` random fields of shape (height, width, channels) with values in [0, 1]: half smooth, half white.

    Smooth ones are noise at several scales, enlarged bilinearly, with a random brightness and contrast for each:
    nearer to pictures and spectrograms. White ones are what a test with random codes feeds in; a network settled on
    smooth fields alone answers all of them alike, with saturated logits. They take turns, smooth first.
    """
    total = np.zeros((count, height, width, channels), np.float32)
    for cells, weight in ((2, 1.0), (4, 0.7), (8, 0.5), (16, 0.35)):
        coarse = rng.normal(size=(count, cells, cells, channels)).astype(np.float32)
        total += weight * np.asarray(tf.image.resize(coarse, (height, width)))
    contrast = rng.uniform(0.08, 0.25, (count, 1, 1, 1)).astype(np.float32)
    brightness = rng.uniform(0.3, 0.7, (count, 1, 1, channels)).astype(np.float32)
    fields = np.clip(brightness + contrast * total, 0.0, 1.0).astype(np.float32)
    fields[1::2] = rng.random((len(fields[1::2]), height, width, channels), np.float32)
    return fields


def each(samples: Floats) -> list[Floats]:
    """The samples one by one, each with a batch axis of 1."""
    return [samples[i : i + 1] for i in range(len(samples))]


def quantize(values: Floats, scale: float, zero_point: int) -> Int8s:
    """real → int8 as TFLite's QUANTIZE does it: round half away from zero, then saturate."""
    scaled = values.astype(np.float64) / scale
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
    codes: Int8s = np.clip(rounded + zero_point, -128, 127).astype(np.int8)
    return codes


def reference_interpreter(data: bytes) -> Any:
    """ai-edge-litert with its reference kernels and no delegate: the arithmetic of TensorFlow Lite Micro."""
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


def classify(data: bytes, samples: Floats) -> tuple[NDArray[np.int64], Int8s]:
    """Classes that the int8 model with one input and one output gives, and the quantized inputs with batch axis 1."""
    interpreter = reference_interpreter(data)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    inputs = quantize(samples, *source["quantization"]).reshape(len(samples), *source["shape"])
    classes = []
    for one in inputs:
        interpreter.set_tensor(source["index"], one)
        interpreter.invoke()
        classes.append(int(np.argmax(interpreter.get_tensor(target["index"]))))
    return np.asarray(classes, np.int64), inputs


def sha256(data: bytes) -> str:
    """The hash that models.toml states."""
    return hashlib.sha256(data).hexdigest()


def tool_versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of the packages that shaped a file."""
    return {name: version(name) for name in names}


def operators(data: bytes) -> Iterator[tuple[str, Any, Any]]:
    """(opcode, operator, subgraph) for each operator of a file, in order."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        yield OPCODE_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)], op, graph


def macs(data: bytes) -> int:
    """Multiply-accumulates of one inference, bias ignored.

    Elements of the weights × positions: the output's h·w for convolutions (a filter's own depth already carries the
    division by groups), the input's for transposed ones, the product of the leading axes for FULLY_CONNECTED.
    """
    total = 0
    for opcode, op, graph in operators(data):
        if opcode not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
            continue
        weights = prod(int(n) for n in graph.tensors[op.inputs[1]].shape)
        walked = [int(n) for n in graph.tensors[op.inputs[2] if opcode == "TRANSPOSE_CONV" else op.outputs[0]].shape]
        total += weights * (prod(walked[:-1]) if opcode == "FULLY_CONNECTED" else walked[1] * walked[2])
    return total


def ports(data: bytes) -> tuple[list[str], list[str]]:
    """Inputs and outputs as models.toml lists them, e.g. `int8[1, 49, 10, 1]`."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    types = {v: k.lower() for k, v in vars(schema.TensorType).items() if isinstance(v, int)}

    def describe(index: int) -> str:
        tensor = graph.tensors[index]
        return f"{types[tensor.type]}{[int(n) for n in tensor.shape]}"

    return [describe(i) for i in graph.inputs], [describe(i) for i in graph.outputs]


def keep_reshape(data: bytes) -> bytes:
    """Put back the RESHAPE between a pooling and the dense layer behind it.

    Current converters drop it, because FULLY_CONNECTED also flattens its input; the benchmark's own files have it.
    The first FULLY_CONNECTED whose input has rank 4 gets it.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    tensors = model.subgraphs[0].tensors
    position = next(
        i
        for i, (opcode, op, _) in enumerate(operators(data))
        if opcode == "FULLY_CONNECTED" and len(tensors[op.inputs[0]].shape) == 4
    )
    source = tensors[model.subgraphs[0].operators[position].inputs[0]]
    flat = [1, prod(int(n) for n in source.shape)]
    options = schema.ReshapeOptionsT()
    options.newShape = flat
    insert_before(model, position, "RESHAPE", add_int32(model, "flat_shape", flat), options, "flat", flat)
    return pack(model)


def keep_padding(data: bytes) -> bytes:
    """Put back the PAD before each depthwise convolution of stride 2, of one row below and one column to the right.

    Keras' MobileNets pad explicitly there. Current converters see that Padding SAME does the same for maps of even
    extent and drop the operator; files of older converters have it.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    # from the last to the first, so that positions stay what they are
    for position, (opcode, op, _) in reversed(list(enumerate(operators(data)))):
        if opcode != "DEPTHWISE_CONV_2D" or op.builtinOptions.strideH != 2:
            continue
        batch, height, width, channels = (int(n) for n in graph.tensors[op.inputs[0]].shape)
        graph.operators[position].builtinOptions.padding = schema.Padding.VALID
        borders = add_int32(model, f"borders_{position}", [[0, 0], [0, 1], [0, 1], [0, 0]])
        padded = [batch, height + 1, width + 1, channels]
        insert_before(model, position, "PAD", borders, schema.PadOptionsT(), f"padded_{position}", padded, version=2)
    return pack(model)


def insert_before(
    model: Any,
    position: int,
    opcode: str,
    constant: int,
    options: Any,
    name: str,
    shape: list[int],
    *,
    version: int = 1,
) -> None:
    """Put an operator that moves values before the one at `position`, on its first input.

    The new operator reads that input and the tensor `constant`; what it writes is called `name`, has the shape `shape`
    and the input's type and quantization.
    """
    graph = model.subgraphs[0]
    reader = graph.operators[position]
    source = graph.tensors[reader.inputs[0]]
    target = schema.TensorT()
    target.name, target.shape, target.type = name.encode(), shape, source.type
    target.quantization, target.hasRank = source.quantization, True
    graph.tensors.append(target)

    op = schema.OperatorT()
    op.opcodeIndex = opcode_index(model, opcode, version)
    op.inputs, op.outputs = [reader.inputs[0], constant], [len(graph.tensors) - 1]
    op.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    op.builtinOptions = options
    reader.inputs = [op.outputs[0], *reader.inputs[1:]]
    graph.operators.insert(position, op)


def opcode_index(model: Any, opcode: str, version: int = 1) -> int:
    """The index of a builtin opcode below 127 in a model's list of opcodes, added where it is missing."""
    wanted = getattr(schema.BuiltinOperator, opcode)
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == wanted:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = wanted
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_int32(model: Any, name: str, values: Sequence[int] | Sequence[Sequence[int]]) -> int:
    """Add a constant int32 tensor to a model's only subgraph; the new tensor's index."""
    array = np.asarray(values, "<i4")
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), list(array.shape), schema.TensorType.INT32
    tensor.buffer, tensor.hasRank = len(model.buffers) - 1, True
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def pack(model: Any) -> bytes:
    """A file of the schema's object tree, with the identifier that TFLite files start with."""
    builder = schema.flatbuffers.Builder(1 << 16)  # the module it was generated for
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
