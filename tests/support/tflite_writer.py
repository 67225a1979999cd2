"""Writes small .tflite files for tests, through the object API that ai-edge-litert generates from the schema.

`GraphBuilder` is the general tool; the functions below it make models of a single int8 operator, which
TensorFlow Lite Micro and ai-edge-litert can both run.

    g = GraphBuilder()
    x = g.tensor("x", (1, 4), "int8", scale=0.5, zero_point=-3)
    y = g.tensor("y", (1, 4), "int8", scale=1 / 256, zero_point=-128)
    g.op("SOFTMAX", [x], [y], beta=1.0)
    data = g.build(inputs=[x], outputs=[y])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray

FILE_IDENTIFIER = b"TFL3"
# the schema's force_align of Buffer.data; TensorFlow Lite Micro reads int32 biases in place
DATA_ALIGNMENT = 16

# the options table of each opcode, where it has one
OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "DIV": "DivOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "REDUCE_MAX": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SHAPE": "ShapeOptions",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE": "TransposeOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
}

# the schema's default value of these fields is 0, which no kernel takes
_ONES = ("strideH", "strideW", "dilationHFactor", "dilationWFactor", "filterHeight", "filterWidth", "depthMultiplier")


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that aligns every vector as the schema asks for the data of buffers."""

    def StartVector(self, elem_size: int, num_elems: int, alignment: int) -> Any:  # noqa: N802
        return super().StartVector(elem_size, num_elems, max(alignment, DATA_ALIGNMENT))


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda m: m.group(1).upper(), name)


def _option_value(field: str, value: Any) -> Any:
    if isinstance(value, str):
        enum = schema.Padding if field == "padding" else schema.ActivationFunctionType
        return getattr(enum, value)
    return value


class GraphBuilder:
    """Collects tensors and operators by index and packs them into the bytes of a .tflite file.

    What is written is not checked, so that wrong models can be made too; `model` is the object tree, to be
    changed at will before `pack`.
    """

    def __init__(self, *, description: str = "tinydeploy test", name: str = "main") -> None:
        self.model = schema.ModelT(version=3, description=description)
        self.graph = schema.SubGraphT(name=name, tensors=[], operators=[], inputs=[], outputs=[])
        self.model.subgraphs = [self.graph]
        self.model.operatorCodes = []
        # buffer 0 is empty by convention: tensors without data point at it
        self.model.buffers = [schema.BufferT()]
        self.model.metadata = []

    def buffer(self, data: bytes | NDArray[Any]) -> int:
        """A new buffer with these bytes; its index."""
        raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(raw, dtype=np.uint8)))
        return len(self.model.buffers) - 1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        data: ArrayLike | None = None,
        buffer: int | None = None,
        variable: bool = False,
        shape_signature: Sequence[int] | None = None,
    ) -> int:
        """A new tensor; its index.

        `scale` is one number (per tensor) or one for each slice along `axis`; a single `zero_point` then serves
        all. `data` makes it a constant (cast to `dtype`); `buffer` names a buffer that exists, to share it.
        """
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, dtype=np.float32))
            zero_points = np.broadcast_to(np.asarray(zero_point, dtype=np.int64), scales.shape).copy()
            quantization = schema.QuantizationParametersT(scale=scales, zeroPoint=zero_points, quantizedDimension=axis)
        if data is not None:
            buffer = self.buffer(np.asarray(data).astype(np.dtype(dtype).newbyteorder("<")))
        self.graph.tensors.append(
            schema.TensorT(
                shape=np.asarray(shape, dtype=np.int32),
                shapeSignature=None if shape_signature is None else np.asarray(shape_signature, dtype=np.int32),
                type=getattr(schema.TensorType, dtype.upper()),
                buffer=buffer or 0,
                name=name,
                quantization=quantization,
                isVariable=variable,
                hasRank=True,
            )
        )
        return len(self.graph.tensors) - 1

    def opcode(self, name: str | int, *, version: int = 1, custom: str | None = None) -> int:
        """The index of an operator code, made when new. `name` is a name of the schema or a number."""
        code = name if isinstance(name, int) else getattr(schema.BuiltinOperator, name)
        wanted = (code, version, custom)
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.version, known.customCode) == wanted:
                return index
        self.model.operatorCodes.append(
            schema.OperatorCodeT(
                # older readers look at the signed byte; larger codes put the schema's placeholder there
                deprecatedBuiltinCode=min(code, 127),
                builtinCode=code,
                version=version,
                customCode=custom,
            )
        )
        return len(self.model.operatorCodes) - 1

    def op(
        self,
        name: str | int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        *,
        version: int = 1,
        custom: str | None = None,
        **fields: Any,
    ) -> int:
        """A new operator; its index.

        `options` names the options table (by default the opcode's own in `OPTIONS`). `fields` are the table's
        fields in the schema's spelling, snake or camel case; `padding="SAME"` and `activation="RELU6"` are the
        enumerations' names. An input of −1 is left out.
        """
        if options is None and isinstance(name, str):
            options = OPTIONS.get(name)
        operator = schema.OperatorT(
            opcodeIndex=self.opcode(name, version=version, custom=custom),
            inputs=np.asarray(inputs, dtype=np.int32),
            outputs=np.asarray(outputs, dtype=np.int32),
        )
        if options is None:
            if fields:
                raise ValueError(f"{name} has no options table, but was given {sorted(fields)}")
        else:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = self._options(options, fields)
        self.graph.operators.append(operator)
        return len(self.graph.operators) - 1

    @staticmethod
    def _options(options: str, fields: Mapping[str, Any]) -> Any:
        table = getattr(schema, options + "T")()
        for field in _ONES:
            if hasattr(table, field):
                setattr(table, field, 1)
        for key, value in fields.items():
            field = "fusedActivationFunction" if key == "activation" else _camel(key)
            if not hasattr(table, field):
                raise ValueError(f"{options} has no field {field}")
            setattr(table, field, _option_value(field, value))
        return table

    def metadata(self, name: str, data: bytes) -> None:
        """A named blob beside the graph."""
        self.model.metadata.append(schema.MetadataT(name=name, buffer=self.buffer(data)))

    def build(self, inputs: Sequence[int] | None = None, outputs: Sequence[int] | None = None) -> bytes:
        """The file's bytes, with the graph's inputs and outputs by tensor index when they are given here."""
        if inputs is not None:
            self.graph.inputs = np.asarray(inputs, dtype=np.int32)
        if outputs is not None:
            self.graph.outputs = np.asarray(outputs, dtype=np.int32)
        return self.pack()

    def pack(self) -> bytes:
        """The bytes of the object tree as it stands."""
        return pack(self.model)


def pack(model: Any) -> bytes:
    """The bytes of a `schema.ModelT`."""
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def unpack(data: bytes) -> Any:
    """The `schema.ModelT` of a file's bytes: the second witness for the reader."""
    return schema.ModelT.InitFromPackedBuf(bytearray(data))


# --- single int8 operators ------------------------------------------------------------------------------------

Quant = tuple[float, int]
IN: Quant = (0.0471, -7)
OUT: Quant = (0.0615, 11)


def _same_or_valid(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """The output's extent, by TensorFlow's definition of the two paddings."""
    if padding == "SAME":
        return -(-size // stride)
    return -(-(size - (kernel - 1) * dilation) // stride)


def weights_int8(rng: np.random.Generator, shape: Sequence[int]) -> NDArray[np.int8]:
    """Symmetric int8 weights, −128 left out as the quantization specification says."""
    return rng.integers(-127, 128, size=tuple(shape), dtype=np.int8)


def conv_2d(
    shape: Sequence[int] = (1, 8, 8, 3),
    channels: int = 4,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    activation: str = "NONE",
    *,
    quant_in: Quant = IN,
    quant_out: Quant = OUT,
    per_channel: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """One CONV_2D on an NHWC input, OHWI weights. Without a bias TFLM runs it and ai-edge-litert refuses."""
    return _convolution(
        "CONV_2D", shape, (channels, *kernel, shape[3]), 0, stride, dilation, padding, activation,
        quant_in, quant_out, per_channel, bias, seed, {},
    )  # fmt: skip


def depthwise_conv_2d(
    shape: Sequence[int] = (1, 8, 8, 4),
    multiplier: int = 1,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    activation: str = "NONE",
    *,
    quant_in: Quant = IN,
    quant_out: Quant = OUT,
    per_channel: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """One DEPTHWISE_CONV_2D on an NHWC input, 1HWC weights with c_out = c_in · multiplier."""
    return _convolution(
        "DEPTHWISE_CONV_2D", shape, (1, *kernel, shape[3] * multiplier), 3, stride, dilation, padding, activation,
        quant_in, quant_out, per_channel, bias, seed, {"depth_multiplier": multiplier},
    )  # fmt: skip


def _convolution(
    opcode: str,
    shape: Sequence[int],
    weight_shape: tuple[int, ...],
    axis: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
    activation: str,
    quant_in: Quant,
    quant_out: Quant,
    per_channel: bool,
    bias: bool,
    seed: int,
    more: Mapping[str, int],
) -> bytes:
    rng = np.random.default_rng(seed)
    channels = weight_shape[axis]
    scales = rng.uniform(0.002, 0.02, size=channels if per_channel else 1).astype(np.float32)
    g = GraphBuilder()
    x = g.tensor("input", shape, scale=quant_in[0], zero_point=quant_in[1])
    w = g.tensor("weights", weight_shape, scale=scales, axis=axis, data=weights_int8(rng, weight_shape))
    inputs = [x, w]
    if bias:
        b_scales = np.float32(quant_in[0]) * scales
        values = rng.integers(-2000, 2000, size=channels)
        inputs.append(g.tensor("bias", (channels,), "int32", scale=b_scales, data=values))
    height = _same_or_valid(shape[1], weight_shape[1], stride[0], dilation[0], padding)
    width = _same_or_valid(shape[2], weight_shape[2], stride[1], dilation[1], padding)
    y = g.tensor("output", (shape[0], height, width, channels), scale=quant_out[0], zero_point=quant_out[1])
    g.op(
        opcode, inputs, [y], version=3, padding=padding, activation=activation,
        stride_h=stride[0], stride_w=stride[1], dilation_h_factor=dilation[0], dilation_w_factor=dilation[1], **more,
    )  # fmt: skip
    return g.build([x], [y])


def fully_connected(
    shape: Sequence[int] = (1, 16),
    units: int = 8,
    activation: str = "NONE",
    *,
    quant_in: Quant = IN,
    quant_out: Quant = OUT,
    per_channel: bool = False,
    bias: bool = True,
    keep_num_dims: bool = False,
    seed: int = 0,
) -> bytes:
    """One FULLY_CONNECTED; the leading axes are the batch."""
    rng = np.random.default_rng(seed)
    depth = shape[-1]
    scales = rng.uniform(0.002, 0.02, size=units if per_channel else 1).astype(np.float32)
    g = GraphBuilder()
    x = g.tensor("input", shape, scale=quant_in[0], zero_point=quant_in[1])
    w = g.tensor("weights", (units, depth), scale=scales, data=weights_int8(rng, (units, depth)))
    inputs = [x, w]
    if bias:
        b_scales = np.float32(quant_in[0]) * scales
        inputs.append(g.tensor("bias", (units,), "int32", scale=b_scales, data=rng.integers(-2000, 2000, size=units)))
    out = (*shape[:-1], units) if keep_num_dims else (int(np.prod(shape[:-1])), units)
    y = g.tensor("output", out, scale=quant_out[0], zero_point=quant_out[1])
    g.op("FULLY_CONNECTED", inputs, [y], version=4, activation=activation, keep_num_dims=keep_num_dims)
    return g.build([x], [y])


def binary(
    opcode: str,
    shape: Sequence[int] = (1, 4, 4, 3),
    other: Sequence[int] | None = None,
    activation: str = "NONE",
    *,
    quants: tuple[Quant, Quant, Quant] = (IN, (0.031, 5), OUT),
    constant: bool = False,
    seed: int = 0,
) -> bytes:
    """ADD, SUB or MUL of two inputs with broadcasting; `constant` makes the second one weights."""
    second = tuple(shape if other is None else other)
    g = GraphBuilder()
    x = g.tensor("left", shape, scale=quants[0][0], zero_point=quants[0][1])
    data = weights_int8(np.random.default_rng(seed), second) if constant else None
    z = g.tensor("right", second, scale=quants[1][0], zero_point=quants[1][1], data=data)
    out = np.broadcast_shapes(tuple(shape), second)
    y = g.tensor("output", out, scale=quants[2][0], zero_point=quants[2][1])
    g.op(opcode, [x, z], [y], version=2, activation=activation)
    return g.build([x] if constant else [x, z], [y])


def pool_2d(
    opcode: str,
    shape: Sequence[int] = (1, 8, 8, 4),
    kernel: tuple[int, int] = (2, 2),
    stride: tuple[int, int] = (2, 2),
    padding: str = "VALID",
    activation: str = "NONE",
    *,
    quant: Quant = IN,
) -> bytes:
    """AVERAGE_POOL_2D or MAX_POOL_2D; input and output share their scale."""
    height = _same_or_valid(shape[1], kernel[0], stride[0], 1, padding)
    width = _same_or_valid(shape[2], kernel[1], stride[1], 1, padding)
    return unary(
        opcode, shape, (shape[0], height, width, shape[3]), quant_in=quant, quant_out=quant, version=2,
        padding=padding, activation=activation, filter_height=kernel[0], filter_width=kernel[1],
        stride_h=stride[0], stride_w=stride[1],
    )  # fmt: skip


def unary(
    opcode: str,
    shape: Sequence[int],
    out_shape: Sequence[int] | None = None,
    *,
    quant_in: Quant | None = IN,
    quant_out: Quant | None = OUT,
    dtype_in: str = "int8",
    dtype_out: str = "int8",
    constants: Sequence[ArrayLike] = (),
    version: int = 1,
    **fields: Any,
) -> bytes:
    """One operator with one input, one output and int32 constants (axes, paddings, a permutation) behind the input."""
    g = GraphBuilder()
    x = _plain(g, "input", shape, dtype_in, quant_in)
    extra = []
    for position, values in enumerate(constants):
        array = np.asarray(values, dtype=np.int32)
        extra.append(g.tensor(f"constant_{position}", array.shape, "int32", data=array))
    y = _plain(g, "output", shape if out_shape is None else out_shape, dtype_out, quant_out)
    g.op(opcode, [x, *extra], [y], version=version, **fields)
    return g.build([x], [y])


def _plain(g: GraphBuilder, name: str, shape: Sequence[int], dtype: str, quant: Quant | None) -> int:
    if quant is None:
        return g.tensor(name, shape, dtype)
    return g.tensor(name, shape, dtype, scale=quant[0], zero_point=quant[1])


def mean(
    shape: Sequence[int] = (1, 5, 4, 3), axes: Sequence[int] = (1, 2), keep_dims: bool = False,
    *, quant_in: Quant = IN, quant_out: Quant = OUT, opcode: str = "MEAN",
) -> bytes:  # fmt: skip
    """One MEAN or another reduction over constant axes."""
    normal = {a % len(shape) for a in axes}
    out = [1 if i in normal else n for i, n in enumerate(shape) if keep_dims or i not in normal]
    return unary(
        opcode, shape, out, quant_in=quant_in, quant_out=quant_out, constants=[list(axes)], version=2,
        keep_dims=keep_dims,
    )  # fmt: skip


def pad(
    shape: Sequence[int] = (1, 4, 4, 3), paddings: Sequence[tuple[int, int]] = ((0, 0), (1, 2), (0, 1), (0, 0)),
    *, quant: Quant = IN,
) -> bytes:  # fmt: skip
    """One PAD; the border holds the zero point."""
    out = [n + a + b for n, (a, b) in zip(shape, paddings, strict=True)]
    return unary("PAD", shape, out, quant_in=quant, quant_out=quant, constants=[list(paddings)])


def reshape(shape: Sequence[int] = (1, 4, 4, 3), out_shape: Sequence[int] = (1, 48), *, quant: Quant = IN) -> bytes:
    """One RESHAPE, its shape as a constant input and as an option, as the converter writes it."""
    return unary(
        "RESHAPE", shape, out_shape, quant_in=quant, quant_out=quant, constants=[list(out_shape)],
        new_shape=np.asarray(out_shape, dtype=np.int32),
    )  # fmt: skip


def squeeze(shape: Sequence[int] = (1, 1, 4, 3), axes: Sequence[int] = (1,), *, quant: Quant = IN) -> bytes:
    """One SQUEEZE; without axes, all axes of size 1."""
    normal = {a % len(shape) for a in axes} or {i for i, n in enumerate(shape) if n == 1}
    out = [n for i, n in enumerate(shape) if i not in normal]
    dims = np.asarray(axes, dtype=np.int32)
    return unary("SQUEEZE", shape, out, quant_in=quant, quant_out=quant, squeeze_dims=dims)


def expand_dims(shape: Sequence[int] = (4, 3), axis: int = 0, *, quant: Quant = IN) -> bytes:
    """One EXPAND_DIMS."""
    out = list(shape)
    out.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
    return unary("EXPAND_DIMS", shape, out, quant_in=quant, quant_out=quant, constants=[[axis]])


def softmax(shape: Sequence[int] = (1, 10), beta: float = 1.0, *, quant_in: Quant = (0.12, 3)) -> bytes:
    """One SOFTMAX over the last axis, with the fixed output scale of the specification."""
    return unary("SOFTMAX", shape, quant_in=quant_in, quant_out=(1 / 256, -128), version=2, beta=beta)


def logistic(shape: Sequence[int] = (1, 10), *, quant_in: Quant = IN) -> bytes:
    """One LOGISTIC, with the fixed output scale of the specification."""
    return unary("LOGISTIC", shape, quant_in=quant_in, quant_out=(1 / 256, -128), version=2)


def tanh(shape: Sequence[int] = (1, 10), *, quant_in: Quant = IN) -> bytes:
    """One TANH, with the fixed output scale of the specification."""
    return unary("TANH", shape, quant_in=quant_in, quant_out=(1 / 128, 0), version=2)


def relu(
    shape: Sequence[int] = (1, 10), opcode: str = "RELU", *, quant_in: Quant = IN, quant_out: Quant = OUT
) -> bytes:
    """One RELU or RELU6 that stands alone."""
    return unary(opcode, shape, quant_in=quant_in, quant_out=quant_out, version=2)


def relu6(shape: Sequence[int] = (1, 10), *, quant_in: Quant = IN, quant_out: Quant = IN) -> bytes:
    """One RELU6 that stands alone. TFLM's kernel only clamps, so by default both scales are the same.

    With two different scales ai-edge-litert requantizes and TFLM does not.
    """
    return relu(shape, "RELU6", quant_in=quant_in, quant_out=quant_out)


def quantize(
    shape: Sequence[int] = (1, 10), *, dtype_in: str = "float32", quant_in: Quant | None = None,
    dtype_out: str = "int8", quant_out: Quant = OUT,
) -> bytes:  # fmt: skip
    """One QUANTIZE from float, or a requantization when the input is of an integer type with `quant_in`."""
    return unary(
        "QUANTIZE", shape, dtype_in=dtype_in, quant_in=quant_in, dtype_out=dtype_out, quant_out=quant_out, version=2
    )


def dequantize(shape: Sequence[int] = (1, 10), *, quant_in: Quant = IN) -> bytes:
    """One DEQUANTIZE to float."""
    return unary("DEQUANTIZE", shape, quant_in=quant_in, dtype_out="float32", quant_out=None, version=2)


def concatenation(
    shapes: Sequence[Sequence[int]] = ((1, 4, 4, 2), (1, 4, 4, 3)), axis: int = -1, *, quant: Quant = IN
) -> bytes:
    """One CONCATENATION; all tensors share one scale."""
    g = GraphBuilder()
    parts = [g.tensor(f"part_{i}", s, scale=quant[0], zero_point=quant[1]) for i, s in enumerate(shapes)]
    out = list(shapes[0])
    out[axis] = sum(s[axis] for s in shapes)
    y = g.tensor("output", out, scale=quant[0], zero_point=quant[1])
    g.op("CONCATENATION", parts, [y], version=2, axis=axis)
    return g.build(parts, [y])


def transpose(shape: Sequence[int] = (1, 4, 5, 3), order: Sequence[int] = (0, 3, 1, 2), *, quant: Quant = IN) -> bytes:
    """One TRANSPOSE by a constant permutation."""
    out = [shape[i] for i in order]
    return unary("TRANSPOSE", shape, out, quant_in=quant, quant_out=quant, constants=[list(order)], version=2)


def transpose_conv(
    shape: Sequence[int] = (1, 5, 4, 6),
    channels: int = 3,
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (2, 2),
    padding: str = "SAME",
    activation: str = "NONE",
    *,
    extent: tuple[int, int] | None = None,
    quant_in: Quant = IN,
    quant_out: Quant = OUT,
    per_channel: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> bytes:
    """One TRANSPOSE_CONV on an NHWC input, OHWI weights; `extent` is the output's, by default Keras's choice."""
    rng = np.random.default_rng(seed)
    if extent is None:
        more = [max(k - s, 0) if padding == "VALID" else 0 for k, s in zip(kernel, stride, strict=True)]
        extent = shape[1] * stride[0] + more[0], shape[2] * stride[1] + more[1]
    out = (shape[0], *extent, channels)
    weight_shape = (channels, *kernel, shape[3])
    scales = rng.uniform(0.002, 0.02, size=channels if per_channel else 1).astype(np.float32)
    g = GraphBuilder()
    x = g.tensor("input", shape, scale=quant_in[0], zero_point=quant_in[1])
    w = g.tensor("weights", weight_shape, scale=scales, data=weights_int8(rng, weight_shape))
    inputs = [g.tensor("output_shape", (4,), "int32", data=out), w, x]
    if bias:
        b_scales = np.float32(quant_in[0]) * scales
        values = rng.integers(-2000, 2000, size=channels)
        inputs.append(g.tensor("bias", (channels,), "int32", scale=b_scales, data=values))
    y = g.tensor("output", out, scale=quant_out[0], zero_point=quant_out[1])
    g.op(
        "TRANSPOSE_CONV", inputs, [y], version=4, padding=padding, activation=activation,
        stride_h=stride[0], stride_w=stride[1],
    )  # fmt: skip
    return g.build([x], [y])


def resize(
    opcode: str = "RESIZE_BILINEAR",
    shape: Sequence[int] = (1, 4, 5, 3),
    size: tuple[int, int] = (8, 10),
    *,
    align_corners: bool = False,
    half_pixel_centers: bool = False,
    quant: Quant = IN,
) -> bytes:
    """One RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR; input and output share their scale."""
    return unary(
        opcode, shape, (shape[0], *size, shape[3]), quant_in=quant, quant_out=quant, constants=[list(size)], version=3,
        align_corners=align_corners, half_pixel_centers=half_pixel_centers,
    )  # fmt: skip


def slice_of(
    shape: Sequence[int] = (1, 4, 5, 3), begin: Sequence[int] = (0, 1, 2, 0), size: Sequence[int] = (1, 2, -1, 2),
    *, quant: Quant = IN,
) -> bytes:  # fmt: skip
    """One SLICE; a size of −1 takes what is left."""
    out = [n - b if s == -1 else s for n, b, s in zip(shape, begin, size, strict=True)]
    return unary("SLICE", shape, out, quant_in=quant, quant_out=quant, constants=[list(begin), list(size)])


def strided_slice(
    shape: Sequence[int] = (1, 4, 5, 3), begin: Sequence[int] = (0, 3, 0, 1), end: Sequence[int] = (1, -9, 5, 2),
    strides: Sequence[int] = (1, -1, 2, 1), out_shape: Sequence[int] = (1, 4, 3, 1), *, quant: Quant = IN, **masks: int,
) -> bytes:  # fmt: skip
    """One STRIDED_SLICE; the output's shape is given, not computed."""
    return unary(
        "STRIDED_SLICE", shape, out_shape, quant_in=quant, quant_out=quant,
        constants=[list(begin), list(end), list(strides)], version=2, **masks,
    )  # fmt: skip


def parts(
    opcode: str, shape: Sequence[int], out_shapes: Sequence[Sequence[int]], *, axis: int, quant: Quant = IN,
) -> bytes:  # fmt: skip
    """One SPLIT, SPLIT_V or UNPACK along `axis`."""
    g = GraphBuilder()
    x = g.tensor("input", shape, scale=quant[0], zero_point=quant[1])
    out = [g.tensor(f"part_{i}", s, scale=quant[0], zero_point=quant[1]) for i, s in enumerate(out_shapes)]
    if opcode == "UNPACK":
        g.op(opcode, [x], out, version=2, axis=axis, num=len(out))
        return g.build([x], out)
    at = g.tensor("axis", (), "int32", data=axis)
    inputs = [at, x]
    if opcode == "SPLIT_V":
        inputs = [x, g.tensor("sizes", (len(out),), "int32", data=[s[axis] for s in out_shapes]), at]
    g.op(opcode, inputs, out, version=2, num_splits=len(out))
    return g.build([x], out)


def extreme(
    opcode: str, shape: Sequence[int] = (1, 4, 4, 3), other: Sequence[int] | None = None, *, quant: Quant = IN
) -> bytes:
    """One MAXIMUM or MINIMUM; all tensors share one scale."""
    second = tuple(shape if other is None else other)
    g = GraphBuilder()
    inputs = [
        g.tensor(name, s, scale=quant[0], zero_point=quant[1]) for name, s in (("left", shape), ("right", second))
    ]
    y = g.tensor("output", np.broadcast_shapes(tuple(shape), second), scale=quant[0], zero_point=quant[1])
    g.op(opcode, inputs, [y])
    return g.build(inputs, [y])


def single_operator_models() -> dict[str, bytes]:
    """One small model for each operator that tinydeploy has a kernel for, by a readable name."""
    return {
        "conv_2d": conv_2d(),
        "conv_2d_strided_valid": conv_2d(stride=(2, 1), padding="VALID", activation="RELU6"),
        "conv_2d_dilated": conv_2d(dilation=(2, 2), activation="RELU"),
        "conv_2d_per_tensor": conv_2d(per_channel=False),
        "depthwise_conv_2d": depthwise_conv_2d(),
        "depthwise_conv_2d_multiplier": depthwise_conv_2d(multiplier=2, stride=(2, 2)),
        "fully_connected": fully_connected(),
        "fully_connected_no_bias": fully_connected(bias=False, activation="RELU"),
        "add": binary("ADD"),
        "add_broadcast_constant": binary("ADD", other=(1, 1, 1, 3), constant=True),
        "sub": binary("SUB"),
        "mul": binary("MUL", activation="RELU6"),
        "average_pool_2d": pool_2d("AVERAGE_POOL_2D"),
        "max_pool_2d": pool_2d("MAX_POOL_2D", kernel=(3, 3), padding="SAME"),
        "mean": mean(),
        "mean_keep_dims": mean(keep_dims=True),
        "pad": pad(),
        "reshape": reshape(),
        "squeeze": squeeze(),
        "expand_dims": expand_dims(),
        "softmax": softmax(),
        "logistic": logistic(),
        "tanh": tanh(),
        "relu": relu(),
        "relu6": relu6(),
        "quantize": quantize(),
        "requantize": quantize(dtype_in="int8", quant_in=IN),
        "dequantize": dequantize(),
        "concatenation": concatenation(),
        "transpose": transpose(),
        "transpose_conv": transpose_conv(),
        "transpose_conv_valid": transpose_conv(kernel=(4, 2), stride=(3, 1), padding="VALID", activation="RELU"),
        "resize_bilinear": resize(half_pixel_centers=True),
        "resize_bilinear_align_corners": resize(size=(3, 9), align_corners=True),
        "resize_nearest_neighbor": resize("RESIZE_NEAREST_NEIGHBOR"),
        "slice": slice_of(),
        "strided_slice": strided_slice(),
        "split": parts("SPLIT", (1, 4, 5, 6), [(1, 4, 5, 2)] * 3, axis=3),
        "split_v": parts("SPLIT_V", (1, 4, 5, 6), [(1, 1, 5, 6), (1, 3, 5, 6)], axis=1),
        "unpack": parts("UNPACK", (2, 3, 4), [(2, 4)] * 3, axis=1),
        "maximum": extreme("MAXIMUM"),
        "minimum": extreme("MINIMUM", other=(3,)),
    }
