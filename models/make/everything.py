"""A small network that uses every operator of the runtime, in many of its shapes: for regression tests.

It is written in TensorFlow operations, not Keras layers, because some forms (grouped and dilated convolutions in one
graph, transposes, means over chosen axes) are plainer so.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import convert
import numpy as np
import tensorflow as tf
from convert import Made
from tensorflow.lite.python import schema_py_generated as schema

SEED = 105
CALIBRATION_SAMPLES = 64
FLOAT_PORTS = ("vector", "gauge")


class Weights:
    """Random constants from a seed, scaled by their fan-in, so that activations keep their spread."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def filters(self, *shape: int, fan_in: int | None = None, gain: float = 2.0) -> Any:
        """A kernel whose last axis is the outputs; the variance of a weight is gain / fan-in."""
        fan = fan_in or int(np.prod(shape[:-1]))
        return tf.constant(self._rng.normal(0.0, np.sqrt(gain / fan), shape), tf.float32)

    def values(self, *shape: int, low: float = -0.5, high: float = 0.5) -> Any:
        """Values in a range: biases and other constants."""
        return tf.constant(self._rng.uniform(low, high, shape), tf.float32)


def everything(image: Any, vector: Any) -> dict[str, Any]:
    """image (1, 9, 7, 3), vector (1, 10) → named outputs. Every line says what it is there for."""
    w = Weights(SEED)
    nn, raw = tf.nn, tf.raw_ops

    def conv(x: Any, kernel: Any, strides: tuple[int, int], padding: str, dilation: tuple[int, int] = (1, 1)) -> Any:
        y = raw.Conv2D(input=x, filter=kernel, strides=[1, *strides, 1], padding=padding, dilations=[1, *dilation, 1])
        return nn.bias_add(y, w.values(kernel.shape[-1]))

    def depthwise(x: Any, kernel: Any, strides: int, padding: str, dilation: tuple[int, int] = (1, 1)) -> Any:
        y = raw.DepthwiseConv2dNative(
            input=x,
            filter=kernel,
            strides=[1, strides, strides, 1],
            padding=padding,
            dilations=[1, *dilation, 1],
        )
        return nn.bias_add(y, w.values(kernel.shape[2] * kernel.shape[3]))

    # Convolutions: stride 2 with uneven borders, depth multiplier 2, groups, dilation, unequal strides, even kernel.
    a = nn.relu6(conv(image, w.filters(3, 3, 3, 8), (2, 2), "SAME"))  # 5×4×8
    b = nn.leaky_relu(depthwise(a, w.filters(3, 3, 8, 2, fan_in=9), 1, "SAME"), 0.2)  # 5×4×16
    c = conv(b, w.filters(3, 3, 4, 12), (1, 1), "SAME")  # 4 groups, 5×4×12
    d = conv(a, w.filters(3, 3, 8, 12), (1, 1), "SAME", (2, 2))
    # 5×5×3, no activation, values beyond 6 for the RELU6 below
    wide = depthwise(image, w.filters(5, 3, 3, 1, fan_in=15, gain=150.0), 1, "VALID")
    spread = depthwise(image, w.filters(3, 3, 3, 3, fan_in=9), 1, "SAME", (2, 1))  # 9×7×9
    tall = nn.relu(conv(spread, w.filters(2, 4, 9, 5), (3, 1), "VALID"))  # 3×4×5

    # Element-wise, same shape: fused RELU and RELU6, none; both inputs from operators with scales of their own.
    e = nn.relu(c + d)
    f = c - d
    g = e * nn.sigmoid(f)
    h = nn.tanh(f)
    clipped = nn.relu6(e * d)

    # Concatenation along channels, of inputs that need other scales first (QUANTIZE int8 → int8).
    i = tf.concat([g, h, e], axis=3)  # 5×4×36
    # Pools: windows and strides that differ by axis, windows that stick out over the border.
    j = nn.max_pool2d(i, (2, 3), (2, 1), "SAME")  # 3×4×36
    k = nn.avg_pool2d(i, (3, 2), (2, 1), "SAME")
    m = nn.relu6(j - k)
    n = conv(m, w.filters(2, 2, 36, 8), (1, 1), "VALID")  # 2×3×8
    # Padding with a value that is not zero (PADV2), then x · relu6(x + 3) / 6, which becomes HARD_SWISH.
    framed = tf.pad(tall - 1.5, [[0, 0], [1, 0], [0, 2], [0, 0]], constant_values=0.75)  # 4×6×5
    bent = framed * nn.relu6(framed + 3.0) * (1.0 / 6.0)
    o = nn.avg_pool2d(bent, (2, 2), (2, 3), "VALID")  # 2×2×5

    # Padding at uneven borders, then of channels; the operators behind them cannot take it over.
    p = nn.max_pool2d(tf.pad(n, [[0, 0], [1, 0], [2, 1], [0, 0]]), (3, 2), (1, 2), "VALID")  # 1×3×8
    q = tf.pad(wide, [[0, 0], [0, 0], [1, 1], [1, 2]])  # 5×7×6

    # Transposes of rank 4 and 3, RELU and RELU6 that stand alone behind them.
    r = nn.relu(tf.transpose(n, [0, 3, 1, 2]))  # 8×2×3
    s = nn.relu6(tf.transpose(q, [0, 2, 1, 3]))  # 7×5×6
    t = tf.transpose(tf.reshape(wide, [5, 5, 3]), [2, 0, 1])  # 3×5×5

    # Means over odd axes, kept and dropped, and a maximum.
    rows = tf.reduce_mean(e, axis=1)  # 1×4×12
    channels = tf.reduce_mean(s, axis=3)  # 1×7×5
    corner = tf.reduce_mean(q, axis=[1, 3], keepdims=True)  # 1×1×7×1
    smooth = nn.avg_pool2d(tf.expand_dims(channels, 3), (3, 3), (2, 2), "VALID")  # 1×3×2×1
    peaks = tf.reduce_max(g, axis=[1, 2], keepdims=True)  # 1×1×1×12
    squeezed = tf.reduce_mean(e, axis=[1, 2], keepdims=True)  # 1×1×1×12

    # Squeeze and excite: dense on rank 2, broadcast MUL of 1×1×C over H×W.
    gate = nn.sigmoid(tf.matmul(tf.squeeze(squeezed, [1, 2]), w.filters(12, 12)) + w.values(12))
    u = e * tf.expand_dims(tf.expand_dims(gate, 1), 1)
    # Broadcast ADD and SUB: a row against a column, a constant for each channel, a scalar.
    v = u + w.values(12)
    x = tf.reduce_mean(v, axis=2, keepdims=True) - tf.reduce_mean(v, axis=1, keepdims=True)  # 5×4×12
    y = 1.0 - nn.sigmoid(corner)

    # Dense layers: without bias and with RELU6, on several rows at once, on a rank-4 input.
    hidden = nn.relu6(tf.matmul(vector, w.filters(10, 16)))
    steps = tf.reshape(tf.matmul(tf.reshape(r, [8, 6]), w.filters(6, 4)) + w.values(4), [1, 32])
    flat = tf.concat(
        [
            hidden,
            steps,
            tf.reshape(p, [1, 24]),
            tf.reshape(o, [1, 20]),
            tf.reshape(rows - tf.squeeze(peaks, [1]), [1, 48]),
            tf.squeeze(y, [1, 3]),
            tf.reshape(tf.squeeze(smooth, [3]), [1, 6]),
        ],
        axis=1,
    )
    logits = tf.matmul(flat, w.filters(153, 6)) + w.values(6)
    pixels = tf.reshape(nn.avg_pool2d(u + x, (5, 4), (1, 1), "VALID"), [1, 12])

    # Parts of a map: equal and unequal splits of channels, a box, every other row, rows one by one; larger and smaller.
    left, right = tf.split(f, 2, axis=3)  # 5×4×6 each
    some, rest = tf.split(d, [6, 4, 2], axis=3)[:2]  # 5×4×6, 5×4×4
    between = tf.minimum(tf.maximum(left, right), some + w.values(6))
    rows_of_rest = tf.unstack(tf.slice(rest, [0, 1, 0, 1], [1, 3, 4, 3]), axis=1)  # three of 1×4×3
    odd = f[:, 1::2, :, :5]  # 2×4×5
    # Up: a transposed convolution with a window wider than its stride, nearest elements, a plane through four.
    tall_again = nn.bias_add(
        nn.conv2d_transpose(odd, w.filters(3, 2, 4, 5, fan_in=10), [1, 5, 5, 4], [1, 2, 1, 1], "VALID"), w.values(4)
    )  # 5×5×4
    wider = tf.compat.v1.image.resize_nearest_neighbor(between, (7, 9), half_pixel_centers=True)  # 7×9×6
    smoother = tf.compat.v1.image.resize_bilinear(tall_again, (7, 9), align_corners=True)  # 7×9×4

    return {
        "parts": tf.concat([rows_of_rest[0], rows_of_rest[2] - rows_of_rest[1]], axis=1),  # 1×8×3
        "enlarged": tf.concat([wider, smoother], axis=3),  # 7×9×10
        "classes": nn.softmax(logits),
        "attention": nn.softmax(tf.transpose(clipped, [0, 3, 1, 2]), axis=-1),  # rank 4
        "map": channels,
        "planes": t,
        "gauge": nn.tanh(tf.matmul(tf.concat([pixels, hidden], axis=1), w.filters(28, 3)) + w.values(3)),
    }


def int8_ports(data: bytes, keep_float: tuple[str, ...]) -> bytes:
    """Take the QUANTIZE or DEQUANTIZE off every input and output whose name is not in `keep_float`.

    The converter makes either all ports int8 or all float; this network has both kinds.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    graph.inputs, graph.outputs = list(graph.inputs), list(graph.outputs)
    for maps, indices, opcode in (
        (signature.inputs, graph.inputs, "QUANTIZE"),
        (signature.outputs, graph.outputs, "DEQUANTIZE"),
    ):
        for port in maps:
            if port.name.decode() in keep_float:
                continue
            for op in graph.operators:
                code = model.operatorCodes[op.opcodeIndex]
                if convert.OPCODE_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)] != opcode:
                    continue
                outer, inner = (op.inputs, op.outputs) if opcode == "QUANTIZE" else (op.outputs, op.inputs)
                if outer[0] == port.tensorIndex:
                    graph.operators.remove(op)
                    indices[indices.index(outer[0])] = inner[0]
                    port.tensorIndex = inner[0]
                    break
    return convert.pack(model)


def clamp_in_place_of_rescaling(data: bytes) -> bytes:
    """Give the output of each RELU6 that stands alone, and of what only moves its values, its input's quantization.

    The converter lets RELU6 rescale, which TensorFlow Lite computes and TensorFlow Lite Micro does not: it clamps the
    codes and leaves them, so that whatever reads them afterwards misreads them.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    changed: set[int] = set()
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        opcode = convert.OPCODE_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        moves = opcode in ("TRANSPOSE", "RESHAPE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D")
        if opcode == "RELU6" or (moves and int(op.inputs[0]) in changed):
            graph.tensors[op.outputs[0]].quantization = graph.tensors[op.inputs[0]].quantization
            changed.add(int(op.outputs[0]))
    return convert.pack(model)


def name_reshapes(data: bytes) -> bytes:
    """Turn each RESHAPE that only drops axes of 1 into SQUEEZE, and each that only adds one into EXPAND_DIMS.

    The converter writes both as RESHAPE wherever shapes are fixed; files from elsewhere have them.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    codes = {opcode: convert.opcode_index(model, opcode) for opcode in ("SQUEEZE", "EXPAND_DIMS")}

    for opcode, op, (before, after) in [
        (opcode, op, [[int(n) for n in graph.tensors[t].shape] for t in (op.inputs[0], op.outputs[0])])
        for (opcode, _, _), op in zip(convert.operators(data), graph.operators, strict=True)
    ]:
        if opcode != "RESHAPE" or [n for n in before if n != 1] != [n for n in after if n != 1]:
            continue
        for axis in (axis for axis in range(len(after)) if after[:axis] + after[axis + 1 :] == before):
            op.opcodeIndex = codes["EXPAND_DIMS"]
            op.builtinOptionsType = schema.BuiltinOptions.ExpandDimsOptions
            op.builtinOptions = schema.ExpandDimsOptionsT()
            op.inputs = [op.inputs[0], convert.add_int32(model, f"expand_axis_{axis}", [axis])]
            break
        if len(after) < len(before):
            # The first axes of 1 that can go, counted so that what is left is `after`.
            ones = [axis for axis, extent in enumerate(before) if extent == 1]
            dropped = next(
                list(some)
                for some in combinations(ones, len(before) - len(after))
                if [n for axis, n in enumerate(before) if axis not in some] == after
            )
            op.opcodeIndex = codes["SQUEEZE"]
            op.builtinOptionsType = schema.BuiltinOptions.SqueezeOptions
            op.builtinOptions = schema.SqueezeOptionsT()
            op.builtinOptions.squeezeDims = dropped
            op.inputs = [op.inputs[0]]
    return convert.pack(model)


def make_everything() -> Made:
    """Convert with a float `vector` and `gauge`, everything else int8; dense layers quantized per channel."""
    convert.start(SEED)
    rng = np.random.default_rng(SEED)
    images = convert.random_fields(rng, CALIBRATION_SAMPLES, 9, 7, 3) * np.float32(2) - np.float32(1)
    vectors = rng.uniform(-3, 3, (CALIBRATION_SAMPLES, 10)).astype(np.float32)
    function = tf.function(
        everything,
        input_signature=[
            tf.TensorSpec((1, 9, 7, 3), tf.float32, name="image"),
            tf.TensorSpec((1, 10), tf.float32, name="vector"),
        ],
    )
    # Without an owner for the function the file would have no signature, and its ports no names.
    owner = tf.Module()
    owner.function = function
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], owner)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        {"image": images[i : i + 1], "vector": vectors[i : i + 1]} for i in range(CALIBRATION_SAMPLES)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return Made(
        data=name_reshapes(clamp_in_place_of_rescaling(int8_ports(bytes(converter.convert()), FLOAT_PORTS))),
        title="Every operator",
        description=(
            "A small network for regression tests that uses every operator of the runtime, many in several forms: "
            "grouped, dilated and strided convolutions, a depth multiplier, broadcasts, uneven padding, splits, "
            "transposes, means over chosen axes, several inputs and outputs, one of each in float32."
        ),
        weights=f"random (normal by fan-in, seed {SEED}): not trained",
        seed=SEED,
        tools=("tensorflow-cpu", "numpy"),
    )
