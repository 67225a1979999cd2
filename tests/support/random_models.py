"""Random models of one int8 operator: shapes, scales, zero points, activations and axes that a model may have.

Every function takes a generator and returns the bytes of a file. Scales keep the reference interpreter running;
what makes it refuse or stop is tested by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from tests.support import tflite_writer as writer
from tests.support.tflite_writer import GraphBuilder, Quant

Rng = np.random.Generator
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def quant(rng: Rng, low: float = 1e-3, high: float = 0.5) -> Quant:
    """A log-uniform scale, or a power of two, which makes exact halves; the zero point is often at an end of int8."""
    scale = float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))
    if rng.random() < 0.25:
        scale = float(2.0 ** round(np.log2(scale)))
    zero_point = int(rng.choice([-128, 127])) if rng.random() < 1 / 3 else int(rng.integers(-128, 128))
    return scale, zero_point


def shape_of(rng: Rng, rank: int, most: int = 400) -> tuple[int, ...]:
    """A shape of at most `most` elements."""
    while True:
        shape = tuple(int(v) for v in rng.integers(1, 8, size=rank))
        if prod(shape) <= most:
            return shape


def pick(rng: Rng, values: Sequence[str]) -> str:
    """One of the values."""
    return str(values[int(rng.integers(len(values)))])


def conv_2d(rng: Rng) -> bytes:
    """CONV_2D with groups, dilation, strides, with and without bias, per tensor and per channel."""
    return _convolution(rng, depthwise=False)


def depthwise_conv_2d(rng: Rng) -> bytes:
    """DEPTHWISE_CONV_2D with any multiplier."""
    return _convolution(rng, depthwise=True)


def _convolution(rng: Rng, depthwise: bool) -> bytes:
    kernel = [int(v) for v in rng.integers(1, 5, size=2)]
    dilation = [1, 1] if rng.random() < 0.6 else [int(v) for v in rng.integers(1, 4, size=2)]
    stride = [int(v) for v in rng.integers(1, 4, size=2)]
    padding = pick(rng, ("SAME", "VALID"))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = span if padding == "VALID" else [1, 1]
    size = [int(rng.integers(n, n + 8)) for n in least]
    batch = int(rng.integers(1, 3))
    if depthwise:
        in_c, multiplier = int(rng.integers(1, 10)), int(rng.choice([1, 1, 2, 3]))
        channels = in_c * multiplier
        weight_shape, axis = (1, *kernel, channels), 3
        more = {"depth_multiplier": multiplier}
        opcode = "DEPTHWISE_CONV_2D"
    else:
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        group_in, group_out = int(rng.integers(1, 7)), int(rng.integers(1, 6))
        in_c, channels = groups * group_in, groups * group_out
        weight_shape, axis = (channels, *kernel, group_in), 0
        more = {}
        opcode = "CONV_2D"
    per_channel = rng.random() < 0.7
    sums = prod(kernel) * (1 if depthwise else weight_shape[3])
    input_quant = quant(rng)
    scales = np.exp(rng.uniform(np.log(1e-4), np.log(0.05), size=channels if per_channel else 1)).astype(np.float32)
    spread = input_quant[0] * float(scales.max()) * 64 * 64 * np.sqrt(sums) / 100
    output_quant = (float(np.float32(spread * np.exp(rng.uniform(-2, 2)))), quant(rng)[1])
    g = GraphBuilder()
    x = g.tensor("x", (batch, *size, in_c), scale=input_quant[0], zero_point=input_quant[1])
    lowest = -128 if rng.random() < 0.2 else -127
    values = rng.integers(lowest, 128, size=weight_shape)
    inputs = [x, g.tensor("w", weight_shape, scale=scales, axis=axis, data=values)]
    if rng.random() < 0.8:
        bias = rng.integers(-30000, 30000, size=channels)
        inputs.append(g.tensor("b", (channels,), "int32", scale=np.float32(input_quant[0]) * scales, data=bias))
    extent = [-(-n // s) if padding == "SAME" else (n - k) // s + 1 for n, k, s in zip(size, span, stride, strict=True)]
    y = g.tensor("y", (batch, *extent, channels), scale=output_quant[0], zero_point=output_quant[1])
    g.op(
        opcode, inputs, [y], version=3, padding=padding, activation=pick(rng, ACTIVATIONS), stride_h=stride[0],
        stride_w=stride[1], dilation_h_factor=dilation[0], dilation_w_factor=dilation[1], **more,
    )  # fmt: skip
    return g.build([x], [y])


def fully_connected(rng: Rng) -> bytes:
    """FULLY_CONNECTED on inputs of rank 1 to 4, with and without bias."""
    rank = int(rng.integers(1, 5))
    keep = bool(rng.random() < 0.5)
    shape = shape_of(rng, rank)
    depth = shape[-1]
    if not keep and rank > 1 and rng.random() < 0.4:  # the flattened input as one vector
        depth = prod(shape[1:])
    units = int(rng.integers(1, 10))
    per_channel = rng.random() < 0.5
    input_quant = quant(rng)
    scales = np.exp(rng.uniform(np.log(1e-4), np.log(0.05), size=units if per_channel else 1)).astype(np.float32)
    spread = input_quant[0] * float(scales.max()) * 64 * 64 * np.sqrt(depth) / 100
    output_quant = (float(np.float32(spread * np.exp(rng.uniform(-2, 2)))), quant(rng)[1])
    g = GraphBuilder()
    x = g.tensor("x", shape, scale=input_quant[0], zero_point=input_quant[1])
    w = g.tensor("w", (units, depth), scale=scales, data=writer.weights_int8(rng, (units, depth)))
    inputs = [x, w]
    if rng.random() < 0.8:
        bias = rng.integers(-30000, 30000, size=units)
        inputs.append(g.tensor("b", (units,), "int32", scale=np.float32(input_quant[0]) * scales, data=bias))
    out = (*shape[:-1], units) if keep else (prod(shape) // depth, units)
    y = g.tensor("y", out, scale=output_quant[0], zero_point=output_quant[1])
    activation = pick(rng, ACTIVATIONS)
    g.op("FULLY_CONNECTED", inputs, [y], version=4, activation=activation, keep_num_dims=keep)
    return g.build([x], [y])


def _pairwise(rng: Rng, opcode: str) -> bytes:
    compares = opcode in ("MAXIMUM", "MINIMUM")
    rank = int(rng.integers(0, 7))
    out = shape_of(rng, rank)
    shapes = [out, out]
    if rng.random() < 0.7:
        shapes = [tuple(1 if rng.random() < 0.3 else n for n in out) for _ in range(2)]
        drop = int(rng.integers(0, rank + 1)) if rng.random() < 0.5 else 0
        which = int(rng.integers(2))
        shapes[which] = shapes[which][drop:]
        out = np.broadcast_shapes(*shapes)
    first, second = quant(rng), quant(rng)
    if rng.random() < 0.2:
        second = (first[0], second[1])
    if opcode == "MUL":
        output = (float(np.float32(first[0] * second[0] * 100 * np.exp(rng.uniform(-2, 2)))), quant(rng)[1])
    else:
        output = (float(np.float32(max(first[0], second[0]) * np.exp(rng.uniform(-2, 2)))), quant(rng)[1])
        if rng.random() < 0.3:
            output = (max(first[0], second[0]) * float(rng.choice([1.0, 2.0])), output[1])
    if compares:
        second = output = first
    g = GraphBuilder()
    constant = int(rng.integers(2)) if rng.random() < 0.3 else -1
    tensors = []
    for i, (shape, q) in enumerate(zip(shapes, (first, second), strict=True)):
        data = rng.integers(-128, 128, size=shape) if i == constant else None
        tensors.append(g.tensor(f"x{i}", shape, scale=q[0], zero_point=q[1], data=data))
    y = g.tensor("y", out, scale=output[0], zero_point=output[1])
    if constant < 0 and shapes[0] == shapes[1] and rng.random() < 0.2:
        tensors[1] = tensors[0]  # the same tensor twice
    fields = {} if compares else {"activation": pick(rng, ACTIVATIONS)}
    g.op(opcode, tensors, [y], version=2, **fields)
    return g.build(list(dict.fromkeys(t for i, t in enumerate(tensors) if i != constant)), [y])


def add(rng: Rng) -> bytes:
    """ADD with broadcasting, constants, the same tensor twice."""
    return _pairwise(rng, "ADD")


def sub(rng: Rng) -> bytes:
    """SUB, as ADD."""
    return _pairwise(rng, "SUB")


def mul(rng: Rng) -> bytes:
    """MUL, as ADD."""
    return _pairwise(rng, "MUL")


def maximum(rng: Rng) -> bytes:
    """MAXIMUM, as ADD."""
    return _pairwise(rng, "MAXIMUM")


def minimum(rng: Rng) -> bytes:
    """MINIMUM, as ADD."""
    return _pairwise(rng, "MINIMUM")


def _pool(rng: Rng, opcode: str) -> bytes:
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    padding = pick(rng, ("SAME", "VALID"))
    least = kernel if padding == "VALID" else (1, 1)
    size = [int(rng.integers(n, n + 7)) for n in least]
    shape = (int(rng.integers(1, 3)), *size, int(rng.integers(1, 11)))
    stride = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    return writer.pool_2d(opcode, shape, kernel, stride, padding, pick(rng, ACTIVATIONS), quant=quant(rng))


def average_pool_2d(rng: Rng) -> bytes:
    """AVERAGE_POOL_2D, SAME and VALID."""
    return _pool(rng, "AVERAGE_POOL_2D")


def max_pool_2d(rng: Rng) -> bytes:
    """MAX_POOL_2D, SAME and VALID."""
    return _pool(rng, "MAX_POOL_2D")


def _axes(rng: Rng) -> tuple[tuple[int, ...], list[int]]:
    """A shape and any of its axes, some named twice or from the end; of five axes, neighbours."""
    rank = int(rng.integers(1, 6))
    shape = shape_of(rng, rank)
    if rank == 5:
        at = int(rng.integers(1, 4))
        return shape, [at, at + 1][: int(rng.integers(1, 3))]
    axes = [int(a) - (rank if rng.random() < 0.3 else 0) for a in range(rank) if rng.random() < 0.5]
    axes = axes or [int(rng.integers(rank))]
    if rng.random() < 0.2:
        axes.append(axes[0])
    return shape, axes


def mean(rng: Rng) -> bytes:
    """MEAN over any axes."""
    shape, axes = _axes(rng)
    first = quant(rng)
    output = (float(np.float32(first[0] * np.exp(rng.uniform(-3, 1.5)))), quant(rng)[1])
    return writer.mean(shape, axes, bool(rng.random() < 0.5), quant_in=first, quant_out=output)


def reduce_max(rng: Rng) -> bytes:
    """REDUCE_MAX over any axes."""
    shape, axes = _axes(rng)
    first = quant(rng)
    return writer.mean(shape, axes, bool(rng.random() < 0.5), quant_in=first, quant_out=first, opcode="REDUCE_MAX")


def accumulating(rng: Rng, opcode: str) -> bytes:
    """A reduction to one row over several rows of input; most can add them up as they come."""
    height, width, channels = int(rng.integers(2, 12)), int(rng.integers(1, 9)), int(rng.integers(1, 23))
    first = quant(rng)
    if opcode in ("MEAN", "REDUCE_MAX"):
        forms = (
            ((1, height, width, channels), (1, 2), False),
            ((1, height, width, channels), (-3, -2), True),
            ((1, height, width, channels), (1,), True),
            ((height, 1, width, channels), (0, 2), False),
            ((1, height, channels), (1,), False),
            ((height, channels), (0,), True),
            ((1, height, width, channels), (1, 2, 3), False),
        )
        shape, axes, keep = forms[int(rng.integers(len(forms)))]
        other = (float(np.float32(first[0] * np.exp(rng.uniform(-3, 1.5)))), quant(rng)[1])
        output = other if opcode == "MEAN" else first
        return writer.mean(shape, axes, keep, quant_in=first, quant_out=output, opcode=opcode)
    if rng.random() < 0.5:
        kernel = (int(rng.integers(2, height + 1)), int(rng.integers(1, width + 1)))
        stride = (int(rng.integers(height - kernel[0] + 1, height + 2)), int(rng.integers(1, 4)))
        padding = "VALID"
    else:
        kernel = (int(rng.integers(2, height + 4)), int(rng.integers(1, width + 3)))
        stride = (int(rng.integers(height, height + 3)), int(rng.integers(1, 4)))
        padding = "SAME"
    return writer.pool_2d(
        opcode, (1, height, width, channels), kernel, stride, padding, pick(rng, ACTIVATIONS), quant=first
    )


def pad(rng: Rng) -> bytes:
    """PAD of any axes."""
    shape = shape_of(rng, int(rng.integers(1, 6)), 120)
    paddings = [tuple(int(v) for v in rng.integers(0, 4, size=2)) if rng.random() < 0.6 else (0, 0) for _ in shape]
    return writer.pad(shape, paddings, quant=quant(rng))


def padv2(rng: Rng) -> bytes:
    """PADV2 with a value of its own."""
    shape = shape_of(rng, int(rng.integers(1, 6)), 120)
    paddings = [tuple(int(v) for v in rng.integers(0, 3, size=2)) for _ in shape]
    q = quant(rng)
    g = GraphBuilder()
    x = g.tensor("x", shape, scale=q[0], zero_point=q[1])
    p = g.tensor("p", (len(shape), 2), "int32", data=paddings)
    value_shape = () if rng.random() < 0.5 else (1,)
    value = np.full(value_shape, rng.integers(-128, 128))
    v = g.tensor("v", value_shape, scale=q[0], zero_point=q[1], data=value)
    out = [n + a + b for n, (a, b) in zip(shape, paddings, strict=True)]
    y = g.tensor("y", out, scale=q[0], zero_point=q[1])
    g.op("PADV2", [x, p, v], [y], version=2, options="PadV2Options")
    return g.build([x], [y])


def reshape(rng: Rng) -> bytes:
    """RESHAPE between any two shapes of one size."""
    factors = [int(v) for v in rng.choice([1, 2, 3, 5], size=5)]
    cuts = []
    for _ in range(2):
        at = sorted(int(v) for v in rng.integers(0, 6, size=int(rng.integers(0, 5))))
        cuts.append([prod(factors[a:b]) for a, b in zip([0, *at], [*at, 5], strict=True)])
    return writer.reshape(cuts[0], cuts[1], quant=quant(rng))


def squeeze(rng: Rng) -> bytes:
    """SQUEEZE of some or all axes of size 1."""
    shape = tuple(1 if rng.random() < 0.5 else n for n in shape_of(rng, int(rng.integers(2, 6))))
    ones = [i for i, n in enumerate(shape) if n == 1 and rng.random() < 0.6]
    return writer.squeeze(shape, [i - (len(shape) if rng.random() < 0.3 else 0) for i in ones], quant=quant(rng))


def expand_dims(rng: Rng) -> bytes:
    """EXPAND_DIMS at any place."""
    rank = int(rng.integers(1, 5))
    return writer.expand_dims(shape_of(rng, rank), int(rng.integers(-rank - 1, rank + 1)), quant=quant(rng))


def concatenation(rng: Rng) -> bytes:
    """CONCATENATION of up to four tensors, some constant, one perhaps twice."""
    rank = int(rng.integers(1, 6))
    base = list(shape_of(rng, rank, 120))
    axis = int(rng.integers(rank))
    q = quant(rng)
    g = GraphBuilder()
    parts, given = [], []
    total = 0
    for i in range(int(rng.integers(1, 5))):
        shape = [*base]
        shape[axis] = int(rng.integers(1, 5))
        constant = i > 0 and rng.random() < 0.25
        data = rng.integers(-128, 128, size=shape) if constant else None
        tensor = g.tensor(f"x{i}", shape, scale=q[0], zero_point=q[1], data=data)
        times = 2 if rng.random() < 0.15 else 1
        parts += [tensor] * times
        total += times * shape[axis]
        if not constant:
            given.append(tensor)
    base[axis] = total
    y = g.tensor("y", base, scale=q[0], zero_point=q[1])
    g.op("CONCATENATION", parts, [y], version=2, axis=axis - (rank if rng.random() < 0.3 else 0))
    return g.build(given, [y])


def transpose(rng: Rng) -> bytes:
    """TRANSPOSE by any permutation of up to five axes."""
    rank = int(rng.integers(1, 6))
    return writer.transpose(shape_of(rng, rank), [int(v) for v in rng.permutation(rank)], quant=quant(rng))


def transpose_conv(rng: Rng) -> bytes:
    """TRANSPOSE_CONV with strides below, at and above the kernel, to any of the extents that lead back to the input."""
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    stride = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    shape = (int(rng.integers(1, 3)), *(int(v) for v in rng.integers(1, 7, size=2)), int(rng.integers(1, 10)))
    padding = pick(rng, ("SAME", "VALID"))
    least = [(n - 1) * s + (k if padding == "VALID" else 1) for n, k, s in zip(shape[1:3], kernel, stride, strict=True)]
    extent = (least[0] + int(rng.integers(stride[0])), least[1] + int(rng.integers(stride[1])))
    first = quant(rng)
    spread = first[0] * 0.01 * 64 * 64 * np.sqrt(prod(kernel) * shape[3]) / 100
    output = (float(np.float32(spread * np.exp(rng.uniform(-2, 2)))), quant(rng)[1])
    return writer.transpose_conv(
        shape, int(rng.integers(1, 8)), kernel, stride, padding, pick(rng, ACTIVATIONS),
        extent=extent, quant_in=first, quant_out=output, per_channel=bool(rng.random() < 0.7),
        bias=bool(rng.random() < 0.7), seed=int(rng.integers(1 << 30)),
    )  # fmt: skip


def _resize(rng: Rng, opcode: str) -> bytes:
    """Any two sizes; corners, centres or neither, and where the reference allows it both."""
    shape = (int(rng.integers(1, 3)), *(int(v) for v in rng.integers(1, 9, size=2)), int(rng.integers(1, 8)))
    align, half = ((False, False), (True, False), (False, True), (True, True))[
        int(rng.integers(4 if opcode == "RESIZE_NEAREST_NEIGHBOR" else 3))
    ]
    size = (int(rng.integers(1, 20)), int(rng.integers(1, 20)))
    if rng.random() < 0.3:
        factor = int(rng.integers(2, 4))
        size = (shape[1] * factor, shape[2] * factor)
    return writer.resize(opcode, shape, size, align_corners=align, half_pixel_centers=half, quant=quant(rng))


def resize_nearest_neighbor(rng: Rng) -> bytes:
    """RESIZE_NEAREST_NEIGHBOR, to larger and smaller."""
    return _resize(rng, "RESIZE_NEAREST_NEIGHBOR")


def resize_bilinear(rng: Rng) -> bytes:
    """RESIZE_BILINEAR, to larger and smaller."""
    return _resize(rng, "RESIZE_BILINEAR")


def slice_of(rng: Rng) -> bytes:
    """SLICE of up to five axes, some sizes -1."""
    shape = shape_of(rng, int(rng.integers(1, 6)))
    begin = [int(rng.integers(0, n)) for n in shape]
    size = [-1 if rng.random() < 0.2 else int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    return writer.slice_of(shape, begin, size, quant=quant(rng))


def strided_slice(rng: Rng) -> bytes:
    """STRIDED_SLICE forwards and backwards, with ends outside, masks and dropped axes; NumPy says the shape."""
    while True:
        shape = shape_of(rng, int(rng.integers(1, 5)))
        index: list[slice | int] = []
        begin, end, step = [], [], []
        masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
        for axis, n in enumerate(shape):
            first, last = int(rng.integers(-n, n)), int(rng.integers(-n - 2, n + 3))
            by = int(rng.choice([1, 1, 1, 2, 3, -1, -2]))
            open_first, open_last = rng.random() < 0.4, rng.random() < 0.4
            dropped = rng.random() < 0.2
            if dropped:
                by, open_first = 1, False
                index.append(first)
            else:
                index.append(slice(None if open_first else first, None if open_last else last, by))
            for name, is_set in (("begin", open_first), ("end", open_last), ("shrink_axis", dropped)):
                masks[f"{name}_mask"] |= int(is_set) << axis
            begin.append(first)
            end.append(last)
            step.append(by)
        out = np.empty(shape, np.int8)[tuple(index)].shape
        if prod(out):
            return writer.strided_slice(shape, begin, end, step, out, quant=quant(rng), **masks)


def _cut(rng: Rng, opcode: str) -> bytes:
    """Along any axis, which is then as long as the parts are together."""
    shape = list(shape_of(rng, int(rng.integers(1, 6)), 120))
    axis = int(rng.integers(len(shape)))
    count = int(rng.integers(1, 5))
    extents = [int(rng.integers(1, 4))] * count if opcode == "SPLIT" else [int(v) for v in rng.integers(1, 4, count)]
    out = [(*shape[:axis], n, *shape[axis + 1 :]) for n in extents]
    shape[axis] = sum(extents)
    negative = len(shape) if rng.random() < 0.3 else 0
    return writer.parts(opcode, shape, out, axis=axis - negative, quant=quant(rng))


def split(rng: Rng) -> bytes:
    """SPLIT."""
    return _cut(rng, "SPLIT")


def split_v(rng: Rng) -> bytes:
    """SPLIT_V."""
    return _cut(rng, "SPLIT_V")


def unpack(rng: Rng) -> bytes:
    """UNPACK of any axis."""
    shape = shape_of(rng, int(rng.integers(1, 6)), 120)
    axis = int(rng.integers(len(shape)))
    out = [shape[:axis] + shape[axis + 1 :]] * shape[axis]
    return writer.parts("UNPACK", shape, out, axis=axis - (len(shape) if rng.random() < 0.3 else 0), quant=quant(rng))


def softmax(rng: Rng) -> bytes:
    """SOFTMAX of any rank."""
    shape = shape_of(rng, int(rng.integers(1, 5)))
    if rng.random() < 0.2:
        shape = (1, int(rng.integers(100, 500)))
    beta = float(np.float32(rng.choice([1.0, 1.0, 0.3, 2.5])))
    return writer.softmax(shape, beta, quant_in=quant(rng, 1e-4, 4.0))


def _all_values(rng: Rng) -> tuple[int, ...]:
    return (1, 16, 20) if rng.random() < 0.5 else shape_of(rng, int(rng.integers(0, 6)))


def logistic(rng: Rng) -> bytes:
    """LOGISTIC."""
    return writer.logistic(_all_values(rng), quant_in=quant(rng, 1e-5, 16.0))


def tanh(rng: Rng) -> bytes:
    """TANH."""
    return writer.tanh(_all_values(rng), quant_in=quant(rng, 1e-5, 16.0))


def relu(rng: Rng) -> bytes:
    """RELU with any two scales, also such that their quotient would be 3/2 in single precision."""
    first, second = quant(rng), quant(rng)
    if rng.random() < 0.4:
        first = (float(np.float32(1.5 * np.float32(second[0]))), first[1])
    return writer.relu(_all_values(rng), quant_in=first, quant_out=second)


def relu6(rng: Rng) -> bytes:
    """RELU6 with any two scales: TensorFlow Lite Micro looks at the input's alone."""
    return writer.relu6(_all_values(rng), quant_in=quant(rng), quant_out=quant(rng))


def leaky_relu(rng: Rng) -> bytes:
    """LEAKY_RELU with any slope from 0 to above 1, also such that a factor would be 3/2 in single precision."""
    first, second = quant(rng), quant(rng)
    if rng.random() < 0.3:
        first = (float(np.float32(1.5 * np.float32(second[0]))), first[1])
    alpha = (0.0, 0.01, 0.1, 0.3, 1.0, float(rng.uniform(0, 3)))[int(rng.integers(6))]
    return writer.unary("LEAKY_RELU", _all_values(rng), quant_in=first, quant_out=second, alpha=alpha)


def hard_swish(rng: Rng) -> bytes:
    """HARD_SWISH."""
    first = quant(rng, 1e-2, 0.5)
    output = (float(np.float32(first[0] * np.exp(rng.uniform(-1.5, 1)))), quant(rng)[1])
    return writer.unary("HARD_SWISH", _all_values(rng), quant_in=first, quant_out=output)


def quantize(rng: Rng) -> bytes:
    """QUANTIZE from float."""
    return writer.quantize(_all_values(rng), quant_out=quant(rng))


def requantize(rng: Rng) -> bytes:
    """QUANTIZE between 8-bit types."""
    types = pick(rng, ("int8 int8", "int8 uint8", "uint8 int8")).split()
    quants = []
    for name in types:
        scale, zero_point = quant(rng)
        quants.append((scale, zero_point + (128 if name == "uint8" else 0)))
    if rng.random() < 0.3:
        quants[1] = (quants[0][0], quants[1][1])
    return writer.quantize(
        _all_values(rng), dtype_in=types[0], quant_in=quants[0], dtype_out=types[1], quant_out=quants[1]
    )


def dequantize(rng: Rng) -> bytes:
    """DEQUANTIZE of int8 and uint8."""
    name = pick(rng, ("int8", "uint8"))
    scale, zero_point = quant(rng, 1e-9, 1e6)
    shape = _all_values(rng)
    return writer.unary(
        "DEQUANTIZE", shape, quant_in=(scale, zero_point + (128 if name == "uint8" else 0)), dtype_in=name,
        dtype_out="float32", quant_out=None, version=2,
    )  # fmt: skip


def far_scales(rng: Rng, opcode: str) -> bytes:
    """An operator whose scales are anywhere from 1e-11 to 1e11: most of what comes out is saturated or wrapped."""

    def wild() -> Quant:
        return float(np.float32(np.exp(rng.uniform(-25, 25)))), int(rng.choice([-128, -1, 0, 3, 127]))

    if opcode in ("ADD", "SUB", "MUL"):
        return writer.binary(opcode, (40,), activation=pick(rng, ACTIVATIONS), quants=(wild(), wild(), wild()))
    if opcode == "MEAN":
        return writer.mean((1, int(rng.integers(1, 40)), 8), (1,), quant_in=wild(), quant_out=wild())
    if opcode == "SOFTMAX":
        return writer.softmax((4, 50), quant_in=wild())
    if opcode == "CONV_2D":
        return writer.conv_2d((1, 4, 4, 3), 4, activation=pick(rng, ACTIVATIONS), quant_in=wild(), quant_out=wild())
    output = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(opcode) or wild()
    return writer.unary(opcode, (256,), quant_in=wild(), quant_out=output)


MAKERS: dict[str, Callable[[Rng], bytes]] = {
    f.__name__: f
    for f in (
        conv_2d, depthwise_conv_2d, transpose_conv, fully_connected, add, sub, mul, maximum, minimum, average_pool_2d,
        max_pool_2d, mean, reduce_max, pad, padv2, reshape, squeeze, expand_dims, concatenation, transpose, slice_of,
        strided_slice, split, split_v, unpack, resize_nearest_neighbor, resize_bilinear, softmax, logistic, tanh, relu,
        relu6, leaky_relu, hard_swish, quantize, requantize, dequantize,
    )
}  # fmt: skip
