"""Random whole int8 networks: branches that part and join, several inputs and outputs, all operators, odd sizes.

`random_network` grows a graph from its inputs, one operator after the other on tensors that exist already. Every
tensor carries an estimate of its root mean square, from which the next output's scale is chosen, so that values
neither saturate nor die on the way: else a wrong kernel would not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import ClassVar

import numpy as np

from tests.support.random_models import pick
from tests.support.tflite_writer import GraphBuilder
from tinydeploy.operators.registry import kinds

Rng = np.random.Generator
UNIFORM_RMS = 73.9  # of int8 values drawn evenly
_KNOWN = frozenset(kind.opcode for kind in kinds() if kind.runs)
_FUNCTIONS = tuple(
    name for name in ("LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE") if name in _KNOWN
)


@dataclass(frozen=True)
class Value:
    """A tensor of the graph that can be read: its quantization, and an estimate of its real root mean square."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero: int
    rms: float
    dtype: str = "int8"

    @property
    def quant(self) -> tuple[float, int]:
        """Scale and zero point."""
        return self.scale, self.zero


@dataclass(frozen=True)
class Weights:
    """Convolution weights that another operator may share: it needs the same shape and kind."""

    opcode: str
    shape: tuple[int, ...]
    index: int
    scales: np.ndarray[tuple[int], np.dtype[np.float32]]


class Grower:
    """A graph that grows. Each `op_*` method adds an operator, or nothing where no tensor fits it."""

    most_elements: ClassVar[int] = 3000  # of one tensor that is computed
    most_weights: ClassVar[int] = 200_000  # of one convolution: all channels of a long row squared would be millions

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.g = GraphBuilder()
        self.values: list[Value] = []
        self.inputs: list[int] = []
        self.read: set[int] = set()
        self.weights: list[Weights] = []
        self.opcodes: list[str] = []

    # --- small choices --------------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def number(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def some(self, fits: Callable[[Value], bool] = lambda v: True) -> Value | None:
        """A value that fits, a recent one more often than an old one."""
        found = [v for v in self.values if v.dtype == "int8" and fits(v)]
        if not found:
            return None
        back = min(int(self.rng.exponential(1.5)), len(found) - 1)
        return found[len(found) - 1 - back]

    def image(self) -> Value | None:
        return self.some(lambda v: len(v.shape) == 4)

    def zero_point(self) -> int:
        return int(self.rng.choice([-128, 127])) if self.chance(0.1) else self.number(-50, 50)

    def fresh_quant(self, rms: float, *, positive: bool = False) -> tuple[float, int]:
        """A scale such that 1.5 to 3.5 times the root mean square fill the range."""
        most = rms * self.rng.uniform(1.5, 3.5)
        if positive:
            scale, zero = most / 255, -128
        else:
            scale, zero = most / 127, self.zero_point()
        if self.chance(0.15):
            scale = 2.0 ** round(np.log2(scale))
        return float(np.float32(max(scale, 1e-7))), zero

    # --- making things --------------------------------------------------------------------------------------------

    def constant(self, name: str, values: Sequence[object] | np.ndarray, dtype: str = "int32") -> int:
        array = np.asarray(values, dtype=dtype)
        return self.g.tensor(name, array.shape, dtype, data=array)

    def tensor(self, shape: Sequence[int], quant: tuple[float, int], rms: float, dtype: str = "int8") -> Value:
        name = f"t{len(self.g.graph.tensors)}"
        if dtype == "float32":
            index = self.g.tensor(name, shape, dtype)
        else:
            index = self.g.tensor(name, shape, dtype, scale=quant[0], zero_point=quant[1])
        return Value(index, tuple(shape), quant[0], quant[1], rms, dtype)

    def add(self, opcode: str, inputs: Sequence[int], *outputs: Value, **fields: object) -> Value:
        fields.setdefault("version", 2)
        self.g.op(opcode, inputs, [v.index for v in outputs], **fields)  # type: ignore[arg-type]
        self.read.update(i for i in inputs if i >= 0)
        self.values += outputs
        self.opcodes.append(opcode)
        return outputs[0]

    def requantized(self, value: Value, quant: tuple[float, int]) -> Value:
        """The value with another scale, through QUANTIZE."""
        if value.quant == quant:
            return value
        return self.add("QUANTIZE", [value.index], self.tensor(value.shape, quant, value.rms))

    def activation(self, rms: float) -> tuple[str, float]:
        """A fused activation that leaves something alive, and what it does to the root mean square."""
        choices = ["NONE", "NONE", "RELU"]
        if 0.5 < rms < 30:
            choices.append("RELU6")
        if 0.2 < rms < 5:
            choices.append("RELU_N1_TO_1")
        chosen = pick(self.rng, choices)
        after = {"NONE": rms, "RELU": rms * 0.7, "RELU6": min(rms * 0.7, 5.0), "RELU_N1_TO_1": min(rms, 0.9)}
        return chosen, after[chosen]

    def new_input(self) -> None:
        rank4 = not self.values or self.chance(0.5)
        if rank4:
            batch = self.number(1, 2) if self.chance(0.25) else 1
            shape = (batch, self.number(1, 14), self.number(1, 12), self.number(1, 9))
        else:
            shape = tuple(self.number(1, 9) for _ in range(self.number(1, 5)))
        scale = float(np.float32(np.exp(self.rng.uniform(np.log(0.004), np.log(0.1)))))
        zero = self.zero_point()
        kind = pick(self.rng, ("int8", "int8", "int8", "float32", "uint8"))
        value = self.tensor(shape, (scale, zero + 128 if kind == "uint8" else zero), scale * UNIFORM_RMS, kind)
        self.inputs.append(value.index)
        self.values.append(value)
        if kind != "int8":
            self.add("QUANTIZE", [value.index], self.tensor(shape, (scale, zero), value.rms))

    # --- operators ------------------------------------------------------------------------------------------------

    def op_convolution(self, value: Value | None = None, *, like: bool = False) -> Value | None:
        """CONV_2D or DEPTHWISE_CONV_2D; `like` keeps the shape, for a residual."""
        source = value or self.image()
        if source is None:
            return None
        n, h, w, in_c = source.shape
        depthwise = self.chance(0.4)
        square = self.number(1, 4)
        kernel = [square, square] if self.chance(0.6) else [self.number(1, 7), self.number(1, 7)]
        stride = [1, 1] if like or self.chance(0.6) else [self.number(1, 3), self.number(1, 3)]
        dilation = [1, 1] if self.chance(0.75) else [self.number(1, 3), self.number(1, 3)]
        padding = "SAME" if like or self.chance(0.6) else "VALID"
        span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding == "VALID" and (span[0] > h or span[1] > w):
            kernel, span, dilation = [1, 1], [1, 1], [1, 1]
        extent = [-(-i // s) if padding == "SAME" else (i - k) // s + 1
                  for i, k, s in zip((h, w), span, stride, strict=True)]  # fmt: skip
        groups = 1
        if depthwise:
            multiplier = 1 if like else int(self.rng.choice([1, 1, 1, 2, 3, 5]))
            out_c, axis = in_c * multiplier, 3
            shape: tuple[int, ...] = (1, *kernel, out_c)
            sums = prod(kernel)
        else:
            parts = [d for d in range(2, in_c + 1) if in_c % d == 0]
            if parts and self.chance(0.2):
                groups = parts[self.number(0, len(parts) - 1)]
            out_c = in_c if like else groups * self.number(1, max(1, 20 // groups))
            axis = 0
            shape = (out_c, *kernel, in_c // groups)
            sums = prod(shape[1:])
        if n * prod(extent) * out_c > self.most_elements or prod(shape) > self.most_weights:
            return None
        opcode = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        known = [k for k in self.weights if (k.opcode, k.shape) == (opcode, shape)]
        if known and self.chance(0.5):
            index, scales = known[0].index, known[0].scales
        else:
            index, scales = self._weights(opcode, shape, axis, out_c)
        rms = source.rms * float(np.sqrt(np.mean(scales.astype(np.float64) ** 2))) * UNIFORM_RMS * sqrt(sums)
        inputs = [source.index, index]
        if self.chance(0.85):
            inputs.append(self._bias(source, scales, out_c, rms))
        activation, after = self.activation(rms)
        more = {"depth_multiplier": out_c // in_c} if depthwise else {}
        quant = self.fresh_quant(after, positive=activation in ("RELU", "RELU6") and self.chance(0.8))
        output = self.tensor((n, *extent, out_c), quant, after)
        return self.add(
            opcode, inputs, output, version=3, padding=padding, activation=activation, stride_h=stride[0],
            stride_w=stride[1], dilation_h_factor=dilation[0], dilation_w_factor=dilation[1], **more,
        )  # fmt: skip

    def op_transpose_conv(self) -> Value | None:
        """TRANSPOSE_CONV to any extent that leads back to the input."""
        source = self.image()
        if source is None:
            return None
        n, h, w, in_c = source.shape
        kernel, stride = [self.number(1, 4), self.number(1, 4)], [self.number(1, 3), self.number(1, 3)]
        padding = pick(self.rng, ("SAME", "VALID"))
        extent = [(i - 1) * s + (k if padding == "VALID" else 1) + self.number(0, s - 1)
                  for i, k, s in zip((h, w), kernel, stride, strict=True)]  # fmt: skip
        out_c = self.number(1, 8)
        shape = (n, *extent, out_c)
        if prod(shape) > self.most_elements:
            return None
        index, scales = self._weights("TRANSPOSE_CONV", (out_c, *kernel, in_c), 0, out_c)
        sums = prod(max(k / s, 1) for k, s in zip(kernel, stride, strict=True)) * in_c
        rms = source.rms * float(np.sqrt(np.mean(scales.astype(np.float64) ** 2))) * UNIFORM_RMS * sqrt(sums)
        inputs = [self.constant(f"s{len(self.g.graph.tensors)}", shape), index, source.index]
        if self.chance(0.8):
            inputs.append(self._bias(source, scales, out_c, rms))
        activation, after = self.activation(rms)
        return self.add(
            "TRANSPOSE_CONV", inputs, self.tensor(shape, self.fresh_quant(after), after), version=4, padding=padding,
            activation=activation, stride_h=stride[0], stride_w=stride[1],
        )  # fmt: skip

    def op_resize(self) -> Value | None:
        """Twice as large, or of any size."""
        source = self.image()
        if source is None:
            return None
        n, h, w, c = source.shape
        twice = self.chance(0.6)
        size = (2 * h, 2 * w) if twice else (self.number(1, 16), self.number(1, 16))
        if n * prod(size) * c > self.most_elements:
            return None
        opcode = pick(self.rng, ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"))
        # without either, TensorFlow Lite Micro may read behind the input
        how = pick(self.rng, ("align_corners", "half_pixel_centers", *(("",) if twice else ())))
        fields = {how: True} if how else {}
        inputs = [source.index, self.constant(f"s{len(self.g.graph.tensors)}", size)]
        return self.add(opcode, inputs, self.tensor((n, *size, c), source.quant, source.rms), version=3, **fields)

    def _weights(
        self, opcode: str, shape: tuple[int, ...], axis: int, channels: int
    ) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.float32]]]:
        count = channels if self.chance(0.75) else 1
        middle = np.exp(self.rng.uniform(np.log(5e-4), np.log(0.02)))
        scales = (middle * np.exp(self.rng.uniform(-0.7, 0.7, size=count))).astype(np.float32)
        values = self.rng.integers(-127, 128, size=shape)
        if self.chance(0.1):
            values[self.rng.random(shape) < 0.5] = 0
        index = self.g.tensor(f"w{len(self.g.graph.tensors)}", shape, scale=scales, axis=axis, data=values)
        self.weights.append(Weights(opcode, shape, index, scales))
        return index, scales

    def _bias(self, source: Value, scales: np.ndarray, count: int, rms: float) -> int:
        steps = np.broadcast_to(np.float32(source.scale) * scales, (count,)).astype(np.float64)
        values = np.clip(np.round(self.rng.normal(0, 0.5, count) * rms / steps), -(2**30), 2**30)
        scale = np.float32(source.scale) * scales
        return self.g.tensor(f"b{len(self.g.graph.tensors)}", (count,), "int32", scale=scale, data=values)

    def op_fully_connected(self) -> Value | None:
        source = self.some(lambda v: 1 <= len(v.shape) <= 4 and prod(v.shape) <= 600)
        if source is None:
            return None
        keep = self.chance(0.4)
        depth = source.shape[-1]
        if not keep and len(source.shape) > 1 and self.chance(0.6):
            depth = prod(source.shape[1:])
        units = self.number(1, 20)
        index, scales = self._weights("FULLY_CONNECTED", (units, depth), 0, units)
        rms = source.rms * float(np.sqrt(np.mean(scales.astype(np.float64) ** 2))) * UNIFORM_RMS * sqrt(depth)
        inputs = [source.index, index]
        if self.chance(0.85):
            inputs.append(self._bias(source, scales, units, rms))
        activation, after = self.activation(rms)
        shape = (*source.shape[:-1], units) if keep else (prod(source.shape) // depth, units)
        output = self.tensor(shape, self.fresh_quant(after), after)
        return self.add("FULLY_CONNECTED", inputs, output, version=4, activation=activation, keep_num_dims=keep)

    def op_pairwise(self, first: Value | None = None, second: Value | None = None) -> Value | None:
        """ADD, SUB or MUL: of two tensors, with a constant, with itself, with broadcasting."""
        a = first or self.some(lambda v: len(v.shape) <= 5)
        if a is None:
            return None
        opcode = pick(self.rng, ("ADD", "ADD", "SUB", "MUL"))
        b = second
        if b is None and self.chance(0.75):
            b = self.some(lambda v: v != a and _broadcasts(v.shape, a.shape))
            if b is None and self.chance(0.15):
                b = a
        if b is None:
            shape = [1 if self.chance(0.4) else n for n in a.shape]
            if self.chance(0.3):
                shape = shape[self.number(0, len(shape)) :]
            scale = float(np.float32(a.scale * np.exp(self.rng.uniform(-1, 1))))
            data = self.rng.integers(-128, 128, size=shape)
            zero = self.zero_point()
            index = self.g.tensor(f"c{len(self.g.graph.tensors)}", shape, scale=scale, zero_point=zero, data=data)
            b = Value(index, tuple(shape), scale, zero, scale * UNIFORM_RMS)
        out = np.broadcast_shapes(a.shape, b.shape)
        if prod(out) > self.most_elements:
            return None
        rms = a.rms * b.rms if opcode == "MUL" else sqrt(a.rms**2 + b.rms**2)
        activation, after = self.activation(rms)
        pair = [a.index, b.index] if self.chance(0.6) else [b.index, a.index]
        output = self.tensor(out, self.fresh_quant(after), after)
        return self.add(opcode, pair, output, activation=activation)

    def op_extreme(self) -> Value | None:
        """MAXIMUM or MINIMUM of two tensors of one scale."""
        a = self.some(lambda v: len(v.shape) <= 5)
        b = a and self.some(lambda v: v != a and _broadcasts(v.shape, a.shape))
        if a is None or b is None or prod(np.broadcast_shapes(a.shape, b.shape)) > self.most_elements:
            return None
        b = self.requantized(b, a.quant)
        output = self.tensor(np.broadcast_shapes(a.shape, b.shape), a.quant, max(a.rms, b.rms))
        return self.add(pick(self.rng, ("MAXIMUM", "MINIMUM")), [a.index, b.index], output)

    def op_residual(self) -> Value | None:
        """x → convolution(s) that keep the shape → added to x."""
        source = self.image()
        if source is None:
            return None
        branch: Value | None = source
        for _ in range(self.number(1, 2)):
            branch = self.op_convolution(branch, like=True)
            if branch is None:
                return None
        return self.op_pairwise(source, branch)

    def op_gate(self) -> Value | None:
        """Squeeze and excite: x · logistic(1×1 convolution(mean of x))."""
        source = self.image()
        if source is None or source.shape[1] * source.shape[2] < 2:
            return None
        squeezed = self.op_mean(source, (1, 2), keep=True)
        assert squeezed is not None
        gate = self.op_logistic(squeezed)
        assert gate is not None
        rms = source.rms * 0.6
        output = self.tensor(source.shape, self.fresh_quant(rms), rms)
        return self.add("MUL", [source.index, gate.index], output, activation="NONE")

    def op_pool(self, value: Value | None = None) -> Value | None:
        source = value or self.image()
        if source is None:
            return None
        n, h, w, c = source.shape
        kernel, stride = (self.number(1, 5), self.number(1, 5)), (self.number(1, 3), self.number(1, 3))
        padding = pick(self.rng, ("SAME", "VALID"))
        if padding == "VALID":
            kernel = (min(kernel[0], h), min(kernel[1], w))
            if self.chance(0.25):
                kernel = (h, w)
        extent = [-(-i // s) if padding == "SAME" else (i - k) // s + 1
                  for i, k, s in zip((h, w), kernel, stride, strict=True)]  # fmt: skip
        opcode = pick(self.rng, ("AVERAGE_POOL_2D", "MAX_POOL_2D"))
        activation = pick(self.rng, ("NONE", "NONE", "RELU"))
        rms = source.rms if opcode == "MAX_POOL_2D" else source.rms / prod(kernel) ** 0.25
        return self.add(
            opcode, [source.index], self.tensor((n, *extent, c), source.quant, rms), padding=padding,
            activation=activation, filter_height=kernel[0], filter_width=kernel[1], stride_h=stride[0],
            stride_w=stride[1],
        )  # fmt: skip

    def op_mean(
        self, value: Value | None = None, over: Sequence[int] | None = None, keep: bool | None = None
    ) -> Value | None:
        source = value or self.some(lambda v: 1 <= len(v.shape) <= 4)
        if source is None:
            return None
        rank = len(source.shape)
        axes = list(over or [a for a in range(rank) if self.chance(0.5)]) or [self.number(0, rank - 1)]
        keep = self.chance(0.5) if keep is None else keep
        shape = [1 if i in axes else n for i, n in enumerate(source.shape) if keep or i not in axes]
        count = prod(source.shape[a] for a in axes)
        most = "REDUCE_MAX" in _KNOWN and value is None and self.chance(0.3)
        rms = source.rms if most else source.rms / count**0.3
        named = [a - rank if self.chance(0.2) else a for a in axes]
        inputs = [source.index, self.constant(f"a{len(self.g.graph.tensors)}", named)]
        output = self.tensor(shape, source.quant if most else self.fresh_quant(rms), rms)
        return self.add("REDUCE_MAX" if most else "MEAN", inputs, output, keep_dims=keep)

    def op_pad(self) -> Value | None:
        source = self.some(lambda v: 1 <= len(v.shape) <= 5)
        if source is None:
            return None
        paddings = [(self.number(0, 2), self.number(0, 3)) if self.chance(0.5) else (0, 0) for _ in source.shape]
        shape = [n + a + b for n, (a, b) in zip(source.shape, paddings, strict=True)]
        if prod(shape) > self.most_elements:
            return None
        inputs = [source.index, self.constant(f"p{len(self.g.graph.tensors)}", paddings)]
        output = self.tensor(shape, source.quant, source.rms)
        if self.chance(0.3):
            value = self.g.tensor(
                f"v{len(self.g.graph.tensors)}", (1,), scale=source.scale, zero_point=source.zero,
                data=[self.number(-128, 127)],
            )  # fmt: skip
            return self.add("PADV2", [*inputs, value], output)
        return self.add("PAD", inputs, output)

    def op_reshape(self) -> Value | None:
        """RESHAPE, SQUEEZE or EXPAND_DIMS: the same bytes under another shape."""
        source = self.some()
        if source is None:
            return None
        ones = [i for i, n in enumerate(source.shape) if n == 1]
        kind = pick(self.rng, ("RESHAPE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"))
        if kind == "SQUEEZE" and ones:
            gone = [i for i in ones if self.chance(0.6)]
            shape = [n for i, n in enumerate(source.shape) if i not in (gone or ones)]
            output = self.tensor(shape, source.quant, source.rms)
            return self.add("SQUEEZE", [source.index], output, version=1, squeeze_dims=np.asarray(gone, np.int32))
        if kind == "EXPAND_DIMS" and len(source.shape) <= 4:
            axis = self.number(-len(source.shape) - 1, len(source.shape))
            shape = list(source.shape)
            shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
            output = self.tensor(shape, source.quant, source.rms)
            index = self.constant(f"x{len(self.g.graph.tensors)}", [axis])
            return self.add("EXPAND_DIMS", [source.index, index], output, version=1)
        shape = self._split(prod(source.shape))
        output = self.tensor(shape, source.quant, source.rms)
        index = self.constant(f"s{len(self.g.graph.tensors)}", shape)
        return self.add("RESHAPE", [source.index, index], output, version=1, new_shape=np.asarray(shape, np.int32))

    def _split(self, count: int) -> list[int]:
        """A shape of `count` elements, of rank 4 more often than not."""
        rank = 4 if self.chance(0.6) else self.number(1, 5)
        shape = [1] * rank
        factor = 2
        while count > 1:
            while count % factor:
                factor += 1
            shape[self.number(0 if rank != 4 or self.chance(0.1) else 1, rank - 1)] *= factor
            count //= factor
        return shape

    def op_concatenation(self) -> Value | None:
        first = self.some(lambda v: 1 <= len(v.shape) <= 5)
        if first is None:
            return None
        rank = len(first.shape)
        axis = self.number(0, rank - 1)
        rest = [*first.shape[:axis], *first.shape[axis + 1 :]]
        fits = [v for v in self.values if v.dtype == "int8" and len(v.shape) == rank
                and [*v.shape[:axis], *v.shape[axis + 1 :]] == rest]  # fmt: skip
        parts = [first, *(fits[self.number(0, len(fits) - 1)] for _ in range(self.number(1, 3)))]
        if self.chance(0.5):
            self.rng.shuffle(parts)  # type: ignore[arg-type]
        parts = [self.requantized(v, first.quant) for v in parts]
        indices = [v.index for v in parts]
        sizes = [v.shape[axis] for v in parts]
        if self.chance(0.15):
            size = self.number(1, 3)
            data = self.rng.integers(-128, 128, size=[*rest[:axis], size, *rest[axis:]])
            index = self.g.tensor(
                f"k{len(self.g.graph.tensors)}", data.shape, scale=first.scale, zero_point=first.zero, data=data
            )
            indices.append(index)
            sizes.append(size)
        shape = [*rest[:axis], sum(sizes), *rest[axis:]]
        if prod(shape) > self.most_elements:
            return None
        rms = max(v.rms for v in parts)
        named = axis - rank if self.chance(0.4) else axis
        return self.add("CONCATENATION", indices, self.tensor(shape, first.quant, rms), axis=named)

    def op_transpose(self) -> Value | None:
        source = self.some(lambda v: 1 <= len(v.shape) <= 5)
        if source is None:
            return None
        order = [int(i) for i in self.rng.permutation(len(source.shape))]
        output = self.tensor([source.shape[i] for i in order], source.quant, source.rms)
        return self.add("TRANSPOSE", [source.index, self.constant(f"o{len(self.g.graph.tensors)}", order)], output)

    def op_parts(self) -> Value | None:
        """SPLIT or SPLIT_V along any axis, UNPACK of a short one; later operators may join the parts again."""
        source = self.some(lambda v: 1 <= len(v.shape) <= 5 and max(v.shape) > 1)
        if source is None:
            return None
        shape = source.shape
        axis = [i for i, n in enumerate(shape) if n > 1][-1 if self.chance(0.6) else 0]
        extent = shape[axis]
        opcode = pick(self.rng, ("SPLIT", "SPLIT_V", "SPLIT_V", *(("UNPACK",) * 2 if extent <= 4 else ())))
        cut = self.number(1, extent - 1)
        sizes = [cut, extent - cut]
        if opcode == "SPLIT":
            count = next(n for n in (2, 3, 5, 7, extent) if extent % n == 0)
            sizes = [extent // count] * count
        if opcode == "UNPACK":
            shapes: list[tuple[int, ...]] = [shape[:axis] + shape[axis + 1 :]] * extent
            parts = [self.tensor(s, source.quant, source.rms) for s in shapes]
            return self.add(opcode, [source.index], *parts, axis=axis, num=extent)
        parts = [self.tensor((*shape[:axis], n, *shape[axis + 1 :]), source.quant, source.rms) for n in sizes]
        number = len(self.g.graph.tensors)
        inputs = [self.g.tensor(f"a{number}", (), "int32", data=axis), source.index]
        if opcode == "SPLIT_V":
            inputs = [source.index, self.constant(f"n{number}", sizes), inputs[0]]
        return self.add(opcode, inputs, *parts, num_splits=len(parts))

    def op_slice(self) -> Value | None:
        """SLICE, or STRIDED_SLICE with steps and perhaps an axis dropped."""
        source = self.some(lambda v: 1 <= len(v.shape) <= 4 and max(v.shape) > 1)
        if source is None:
            return None
        number = len(self.g.graph.tensors)
        begin = [self.number(0, n - 1) if self.chance(0.4) else 0 for n in source.shape]
        size = [self.number(1, n - b) if self.chance(0.4) else n - b for n, b in zip(source.shape, begin, strict=True)]
        if self.chance(0.4):
            output = self.tensor(size, source.quant, source.rms)
            inputs = [source.index, self.constant(f"b{number}", begin), self.constant(f"n{number}", size)]
            return self.add("SLICE", inputs, output)
        end = [b + n for b, n in zip(begin, size, strict=True)]
        step = [self.number(2, 3) if self.chance(0.25) else 1 for _ in size]
        dropped = self.number(0, len(size) - 1) if self.chance(0.3) else -1
        if dropped >= 0:
            step[dropped] = 1
        shape = [-(-n // s) for i, (n, s) in enumerate(zip(size, step, strict=True)) if i != dropped]
        inputs = [self.constant(f"{name}{number}", v) for name, v in (("b", begin), ("e", end), ("s", step))]
        output = self.tensor(shape, source.quant, source.rms)
        mask = 1 << dropped if dropped >= 0 else 0
        return self.add("STRIDED_SLICE", [source.index, *inputs], output, shrink_axis_mask=mask)

    def op_logistic(self, value: Value | None = None) -> Value | None:
        source = value or self.some()
        if source is None:
            return None
        return self.add("LOGISTIC", [source.index], self.tensor(source.shape, (1 / 256, -128), 0.6))

    def op_function(self) -> Value | None:
        source = self.some()
        if source is None:
            return None
        kind = pick(self.rng, _FUNCTIONS)
        if kind == "LOGISTIC":
            return self.op_logistic(source)
        if kind == "TANH":
            output = self.tensor(source.shape, (1 / 128, 0), min(source.rms, 0.9))
        elif kind == "LEAKY_RELU":
            output = self.tensor(source.shape, self.fresh_quant(source.rms * 0.8), source.rms * 0.8)
            return self.add(kind, [source.index], output, alpha=float(self.rng.choice([0.01, 0.1, 0.3])))
        elif kind in ("RELU", "RELU6"):
            # TensorFlow Lite Micro's RELU6 only clamps
            rms = source.rms * 0.7
            quant, rms = (source.quant, min(rms, 6.0)) if kind == "RELU6" else (self.fresh_quant(rms), rms)
            output = self.tensor(source.shape, quant, rms)
        else:
            output = self.tensor(source.shape, self.fresh_quant(source.rms * 0.8), source.rms * 0.8)
        return self.add(kind, [source.index], output)

    def op_softmax(self) -> Value | None:
        source = self.some(lambda v: 1 <= len(v.shape) <= 4 and 2 <= v.shape[-1] <= 300)
        if source is None:
            return None
        output = self.tensor(source.shape, (1 / 256, -128), 1 / sqrt(source.shape[-1]))
        return self.add("SOFTMAX", [source.index], output, beta=float(self.rng.choice([1.0, 1.0, 0.5])))

    def grow(self) -> None:
        """One more operator, or a block of them."""
        kinds: list[tuple[Callable[[], Value | None], int]] = [
            (self.op_convolution, 10), (self.op_residual, 5), (self.op_gate, 2), (self.op_pairwise, 7),
            (self.op_pool, 4), (self.op_fully_connected, 3), (self.op_mean, 2), (self.op_pad, 3),
            (self.op_reshape, 5), (self.op_concatenation, 5), (self.op_transpose, 2), (self.op_function, 4),
            (self.op_softmax, 1), (self.op_transpose_conv, 2), (self.op_resize, 2), (self.op_extreme, 2),
            (self.op_parts, 3), (self.op_slice, 2),
        ]  # fmt: skip
        weights = np.array([w for _, w in kinds], float)
        kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))][0]()

    # --- the end --------------------------------------------------------------------------------------------------

    def outputs(self) -> list[int]:
        """All that nothing reads, joined or turned to float here and there, and some that are read too."""
        computed = [v for v in self.values if v.index not in self.inputs]
        ends = [v for v in computed if v.index not in self.read]
        chosen: list[int] = []
        for value in ends:
            if self.chance(0.15):
                output = self.tensor(value.shape, (1.0, 0), value.rms, "float32")
                self.add("DEQUANTIZE", [value.index], output)
                chosen.append(output.index)
                if self.chance(0.7):
                    continue
            chosen.append(value.index)
        if self.chance(0.2):
            chosen.append(computed[self.number(0, len(computed) - 1)].index)
        if self.chance(0.05) and len(chosen) > 2:
            chosen.pop(self.number(0, len(chosen) - 1))  # computed for nobody
        chosen = list(dict.fromkeys(chosen))
        if self.chance(0.3):
            self.rng.shuffle(chosen)
        return chosen


def _broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    try:
        np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Network:
    """The bytes of a file, and what is in it."""

    data: bytes
    opcodes: tuple[str, ...]


def random_network(rng: Rng, operators: int | None = None) -> Network:
    """A network of about `operators` operators (2 to 16 by default)."""
    grower = Grower(rng)
    wanted = grower.number(2, 16) if operators is None else operators
    grower.new_input()
    while len(grower.opcodes) < wanted:
        if len(grower.inputs) < 3 and grower.chance(0.06):
            grower.new_input()
        grower.grow()
    outputs = grower.outputs()
    return Network(grower.g.build(grower.inputs, outputs), tuple(grower.opcodes))
