"""`NetworkBuilder`: a network in a few lines of Python, with shapes and without weights.

    net = NetworkBuilder("tiny")
    x = net.input((1, 28, 28, 1))
    x = net.conv2d(x, 8, 3, stride=2, padding=Padding.SAME, activation=Activation.RELU)
    x = net.linear(net.global_average_pool(x), 10)
    model = net.build(net.softmax(x))

Tensors are NHWC. Weights are constants without data, in TensorFlow Lite's layouts: convolution
[c_o, k_h, k_w, c_i / groups], depthwise [1, k_h, k_w, c_o], linear [c_o, c_i]. What decides a shape (axes,
paddings, …) has data. An impossible shape raises `UsageError`, naming network and layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from struct import pack

from tinydeploy.errors import UsageError
from tinydeploy.ir.attributes import (
    Activation,
    ActivationAttrs,
    Attributes,
    ConcatenationAttrs,
    Conv2DAttrs,
    DepthwiseConv2DAttrs,
    FullyConnectedAttrs,
    NoAttrs,
    Padding,
    Pool2DAttrs,
    ReducerAttrs,
    ReshapeAttrs,
    SoftmaxAttrs,
    TransposeConvAttrs,
)
from tinydeploy.ir.model import DType, Model, Operator, Tensor
from tinydeploy.ir.shapes import (
    broadcast_shape,
    concatenation_shape,
    normal_axis,
    transpose_conv_output,
    window_output,
)

Pair = int | tuple[int, int]
"""Rows and columns; one number stands for both."""

PaddingLike = Padding | int | tuple[int, int, int, int]
"""SAME or VALID, or elements of zeros: the same on all four sides, or (top, bottom, left, right)."""

_UNARY = {
    "relu": "RELU",
    "relu6": "RELU6",
    "logistic": "LOGISTIC",
    "tanh": "TANH",
    "hard_swish": "HARD_SWISH",
    "quantize": "QUANTIZE",
    "dequantize": "DEQUANTIZE",
}


class NetworkBuilder:
    """Collects tensors and operators in the order of the calls; `build` freezes them into a `Model`.

    Every method takes and returns tensors of this network. `dtype` is the type of inputs and weights; a bias
    is INT32 beside INT8 (INT64 beside INT16), else of the same type; an output has its first input's type.
    `name` names a layer's output and, with a suffix, its weights; without it the layer is numbered.
    """

    def __init__(self, name: str, *, dtype: DType = DType.INT8, description: str = "") -> None:
        self.name = name
        self.dtype = dtype
        self.description = description
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []
        self._inputs: list[int] = []

    # ------------------------------------------------------------------ tensors

    def input(self, shape: Sequence[int], *, name: str | None = None, dtype: DType | None = None) -> Tensor:
        """An input of the network."""
        label = name or f"input_{len(self._inputs)}"
        tensor = self._tensor(label, shape, dtype or self.dtype)
        self._inputs.append(tensor.index)
        return tensor

    def constant(
        self, shape: Sequence[int], *, name: str, dtype: DType | None = None, data: bytes | None = None
    ) -> Tensor:
        """A constant operand, with or without its little-endian bytes."""
        kind = dtype or self.dtype
        if data is not None and len(data) != prod(shape) * kind.bytes:
            raise self._error(name, f"{len(data)} bytes given for shape {tuple(shape)} of {kind.label}")
        return self._tensor(name, shape, kind, constant=True, data=data)

    # ------------------------------------------------------------------ layers with weights

    def conv2d(
        self,
        x: Tensor,
        filters: int,
        kernel: Pair,
        *,
        stride: Pair = 1,
        padding: PaddingLike = Padding.VALID,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        """CONV_2D: [n, h, w, c_i] → [n, h_o, w_o, filters]; `groups` divides both c_i and filters."""
        label = self._label("conv_2d", name)
        n, h, w, channels = self._nhwc(label, x)
        if groups < 1 or filters < 1 or channels % groups or filters % groups:
            raise self._error(label, f"{channels} → {filters} channels cannot be split into {groups} groups")
        attrs = Conv2DAttrs(*self._geometry(label, stride, dilation, padding), activation, _sides(padding))
        h_o, w_o = self._window(label, (h, w), kernel, attrs, _pair(dilation))
        weights = self._weights(label, (filters, *_pair(kernel), channels // groups))
        return self._append(
            "CONV_2D", label, (x, weights, *self._bias(label, filters, bias)), (n, h_o, w_o, filters), attrs
        )

    def depthwise_conv2d(
        self,
        x: Tensor,
        kernel: Pair,
        *,
        multiplier: int = 1,
        stride: Pair = 1,
        padding: PaddingLike = Padding.VALID,
        dilation: Pair = 1,
        bias: bool = True,
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        """DEPTHWISE_CONV_2D: [n, h, w, c] → [n, h_o, w_o, c · multiplier]."""
        label = self._label("depthwise_conv_2d", name)
        n, h, w, channels = self._nhwc(label, x)
        if multiplier < 1:
            raise self._error(label, f"the depth multiplier must be at least 1, not {multiplier}")
        attrs = DepthwiseConv2DAttrs(
            *self._geometry(label, stride, dilation, padding), activation, _sides(padding), multiplier
        )
        h_o, w_o = self._window(label, (h, w), kernel, attrs, _pair(dilation))
        filters = channels * multiplier
        weights = self._weights(label, (1, *_pair(kernel), filters))
        inputs = (x, weights, *self._bias(label, filters, bias))
        return self._append("DEPTHWISE_CONV_2D", label, inputs, (n, h_o, w_o, filters), attrs)

    def transpose_conv(
        self,
        x: Tensor,
        filters: int,
        kernel: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = Padding.VALID,
        bias: bool = True,
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        """TRANSPOSE_CONV: [n, h, w, c_i] → [n, h_o, w_o, filters], SAME or VALID as in Keras."""
        label = self._label("transpose_conv", name)
        n, h, w, channels = self._nhwc(label, x)
        if padding is Padding.EXPLICIT:
            raise self._error(label, "a transposed convolution is padded SAME or VALID")
        (k_h, k_w), (s_h, s_w) = _pair(kernel), _pair(stride)
        try:
            h_o = transpose_conv_output(h, k_h, s_h, padding=padding)
            w_o = transpose_conv_output(w, k_w, s_w, padding=padding)
        except ValueError as error:
            raise self._error(label, str(error)) from error
        shape = (n, h_o, w_o, filters)
        inputs = (
            self._integers(f"{label}/output_shape", shape),
            self._weights(label, (filters, k_h, k_w, channels)),
            x,
            *self._bias(label, filters, bias),
        )
        return self._append("TRANSPOSE_CONV", label, inputs, shape, TransposeConvAttrs(padding, s_h, s_w, activation))

    def linear(
        self,
        x: Tensor,
        features: int,
        *,
        bias: bool = True,
        activation: Activation = Activation.NONE,
        keep_axes: bool = False,
        name: str | None = None,
    ) -> Tensor:
        """FULLY_CONNECTED: [n, …] → [n, features], flattening all but the first axis.

        `keep_axes` instead applies it along the last axis: [n, …, c] → [n, …, features].
        """
        label = self._label("fully_connected", name)
        self._own(label, x)
        if not x.shape:
            raise self._error(label, "a scalar has no axis to apply a linear layer to")
        c_i = x.shape[-1] if keep_axes or len(x.shape) == 1 else prod(x.shape[1:])
        shape = (*x.shape[:-1], features) if keep_axes else (x.elements // c_i, features)
        inputs = (x, self._weights(label, (features, c_i)), *self._bias(label, features, bias))
        attrs = FullyConnectedAttrs(activation, keep_num_dims=keep_axes)
        return self._append("FULLY_CONNECTED", label, inputs, shape, attrs)

    # ------------------------------------------------------------------ pooling and reductions

    def max_pool(
        self,
        x: Tensor,
        window: Pair,
        *,
        stride: Pair | None = None,
        padding: PaddingLike = Padding.VALID,
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        """MAX_POOL_2D; the stride is the window's size unless given."""
        return self._pool("MAX_POOL_2D", x, window, stride, padding, activation, name)

    def avg_pool(
        self,
        x: Tensor,
        window: Pair,
        *,
        stride: Pair | None = None,
        padding: PaddingLike = Padding.VALID,
        activation: Activation = Activation.NONE,
        name: str | None = None,
    ) -> Tensor:
        """AVERAGE_POOL_2D; the stride is the window's size unless given."""
        return self._pool("AVERAGE_POOL_2D", x, window, stride, padding, activation, name)

    def mean(self, x: Tensor, axes: Sequence[int], *, keep_axes: bool = False, name: str | None = None) -> Tensor:
        """MEAN over `axes`; they stay with extent 1 under `keep_axes`."""
        label = self._label("mean", name)
        self._own(label, x)
        try:
            gone = {normal_axis(axis, len(x.shape)) for axis in axes}
        except ValueError as error:
            raise self._error(label, str(error)) from error
        shape = tuple(1 if i in gone else n for i, n in enumerate(x.shape) if keep_axes or i not in gone)
        inputs = (x, self._integers(f"{label}/axes", sorted(gone)))
        return self._append("MEAN", label, inputs, shape, ReducerAttrs(keep_dims=keep_axes))

    def global_average_pool(self, x: Tensor, *, keep_axes: bool = False, name: str | None = None) -> Tensor:
        """MEAN over rows and columns: [n, h, w, c] → [n, c]."""
        self._nhwc(self._label("mean", name), x)
        return self.mean(x, (1, 2), keep_axes=keep_axes, name=name)

    # ------------------------------------------------------------------ element-wise

    def add(self, a: Tensor, b: Tensor, *, activation: Activation = Activation.NONE, name: str | None = None) -> Tensor:
        """ADD, with broadcasting."""
        return self._binary("ADD", a, b, activation, name)

    def sub(self, a: Tensor, b: Tensor, *, activation: Activation = Activation.NONE, name: str | None = None) -> Tensor:
        """SUB, with broadcasting."""
        return self._binary("SUB", a, b, activation, name)

    def mul(self, a: Tensor, b: Tensor, *, activation: Activation = Activation.NONE, name: str | None = None) -> Tensor:
        """MUL, with broadcasting."""
        return self._binary("MUL", a, b, activation, name)

    def relu(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """RELU as an operator of its own; layers can also fuse one."""
        return self._unary("relu", x, name)

    def relu6(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """RELU6 as an operator of its own."""
        return self._unary("relu6", x, name)

    def logistic(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """LOGISTIC, the sigmoid."""
        return self._unary("logistic", x, name)

    def tanh(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """TANH."""
        return self._unary("tanh", x, name)

    def hard_swish(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """HARD_SWISH, x · relu6(x + 3) / 6."""
        return self._unary("hard_swish", x, name)

    def quantize(self, x: Tensor, dtype: DType = DType.INT8, *, name: str | None = None) -> Tensor:
        """QUANTIZE into `dtype`."""
        return self._unary("quantize", x, name, dtype)

    def dequantize(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """DEQUANTIZE into float32."""
        return self._unary("dequantize", x, name, DType.FLOAT32)

    def softmax(self, x: Tensor, *, beta: float = 1.0, name: str | None = None) -> Tensor:
        """SOFTMAX over the last axis."""
        label = self._label("softmax", name)
        return self._append("SOFTMAX", label, (x,), x.shape, SoftmaxAttrs(beta))

    # ------------------------------------------------------------------ moving data

    def concat(self, tensors: Sequence[Tensor], *, axis: int = -1, name: str | None = None) -> Tensor:
        """CONCATENATION along `axis`, the channels by default."""
        label = self._label("concatenation", name)
        try:
            shape = concatenation_shape([t.shape for t in tensors], axis)
        except ValueError as error:
            raise self._error(label, str(error)) from error
        return self._append("CONCATENATION", label, tuple(tensors), shape, ConcatenationAttrs(axis))

    def reshape(self, x: Tensor, shape: Sequence[int], *, name: str | None = None) -> Tensor:
        """RESHAPE; one extent may be −1 and takes what is left."""
        label = self._label("reshape", name)
        known = prod(n for n in shape if n != -1)
        wanted = tuple(x.elements // known if n == -1 and known > 0 else n for n in shape)
        if list(shape).count(-1) > 1 or any(n < 1 for n in wanted) or prod(wanted) != x.elements:
            raise self._error(label, f"{x.elements} elements of shape {x.shape} cannot take shape {tuple(shape)}")
        return self._append("RESHAPE", label, (x,), wanted, ReshapeAttrs(wanted))

    def flatten(self, x: Tensor, *, name: str | None = None) -> Tensor:
        """RESHAPE to [n, everything else]. `linear` does so by itself."""
        return self.reshape(x, (x.shape[0] if x.shape else 1, -1), name=name)

    def pad(self, x: Tensor, paddings: Sequence[tuple[int, int]], *, name: str | None = None) -> Tensor:
        """PAD with zeros: (before, after) for each axis."""
        label = self._label("pad", name)
        if len(paddings) != len(x.shape) or any(min(p) < 0 for p in paddings):
            raise self._error(label, f"{len(x.shape)} pairs of (before, after) are needed, not {tuple(paddings)}")
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, paddings, strict=True))
        table = self._integers(f"{label}/paddings", [n for pair in paddings for n in pair], (len(paddings), 2))
        return self._append("PAD", label, (x, table), shape, NoAttrs())

    def transpose(self, x: Tensor, axes: Sequence[int], *, name: str | None = None) -> Tensor:
        """TRANSPOSE: axis i of the output is axis `axes[i]` of the input."""
        label = self._label("transpose", name)
        if sorted(axes) != list(range(len(x.shape))):
            raise self._error(label, f"{tuple(axes)} is not an order of {len(x.shape)} axes")
        inputs = (x, self._integers(f"{label}/axes", axes))
        return self._append("TRANSPOSE", label, inputs, tuple(x.shape[axis] for axis in axes), NoAttrs())

    # ------------------------------------------------------------------ the end

    def build(self, outputs: Tensor | Sequence[Tensor]) -> Model:
        """The network that computes `outputs`, frozen. The builder may go on and build again."""
        wanted = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        if not wanted or not self._inputs:
            raise UsageError(f"network '{self.name}' needs at least one input and one output")
        for tensor in wanted:
            self._own("build", tensor)
        return Model(
            name=self.name,
            tensors=tuple(self._tensors),
            operators=tuple(self._operators),
            inputs=tuple(self._inputs),
            outputs=tuple(tensor.index for tensor in wanted),
            description=self.description,
        )

    # ------------------------------------------------------------------ inside

    def _tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: DType,
        *,
        constant: bool = False,
        data: bytes | None = None,
    ) -> Tensor:
        if any(extent < 1 for extent in shape):
            raise self._error(name, f"every extent must be at least 1: {tuple(shape)}")
        tensor = Tensor(len(self._tensors), name, tuple(shape), dtype, constant=constant, data=data)
        self._tensors.append(tensor)
        return tensor

    def _append(
        self,
        opcode: str,
        label: str,
        inputs: Sequence[Tensor],
        shape: Sequence[int],
        attrs: Attributes,
        dtype: DType | None = None,
    ) -> Tensor:
        for tensor in inputs:
            self._own(label, tensor)
        follows = next((tensor.dtype for tensor in inputs if not tensor.constant), self.dtype)
        output = self._tensor(label, shape, dtype or follows)
        indices = tuple(tensor.index for tensor in inputs)
        self._operators.append(Operator(len(self._operators), opcode, indices, (output.index,), attrs))
        return output

    def _label(self, opcode: str, name: str | None) -> str:
        return name if name is not None else f"{opcode}_{len(self._operators)}"

    def _error(self, label: str, why: str) -> UsageError:
        return UsageError(f"network '{self.name}', layer '{label}': {why}")

    def _own(self, label: str, tensor: Tensor) -> None:
        if tensor.index >= len(self._tensors) or self._tensors[tensor.index] is not tensor:
            raise self._error(label, f"tensor '{tensor.name}' belongs to another network")

    def _nhwc(self, label: str, x: Tensor) -> tuple[int, int, int, int]:
        self._own(label, x)
        if len(x.shape) != 4:
            raise self._error(label, f"needs an input of shape [n, h, w, c], not {x.shape}")
        return x.shape[0], x.shape[1], x.shape[2], x.shape[3]

    def _weights(self, label: str, shape: Sequence[int]) -> Tensor:
        return self._tensor(f"{label}/weights", shape, self.dtype, constant=True)

    def _bias(self, label: str, features: int, wanted: bool) -> tuple[Tensor, ...]:
        if not wanted:
            return ()
        dtype = {DType.INT8: DType.INT32, DType.INT16: DType.INT64}.get(self.dtype, self.dtype)
        return (self._tensor(f"{label}/bias", (features,), dtype, constant=True),)

    def _integers(self, name: str, values: Sequence[int], shape: Sequence[int] | None = None) -> Tensor:
        data = pack(f"<{len(values)}i", *values)
        return self._tensor(name, shape or (len(values),), DType.INT32, constant=True, data=data)

    def _geometry(
        self, label: str, stride: Pair, dilation: Pair, padding: PaddingLike
    ) -> tuple[Padding, int, int, int, int]:
        if padding is Padding.EXPLICIT:
            raise self._error(label, "explicit padding is given as a number or as (top, bottom, left, right)")
        rule = padding if isinstance(padding, Padding) else Padding.EXPLICIT
        return (rule, *_pair(stride), *_pair(dilation))

    def _window(
        self,
        label: str,
        extents: tuple[int, int],
        kernel: Pair,
        attrs: Conv2DAttrs | Pool2DAttrs,
        dilation: tuple[int, int],
    ) -> tuple[int, int]:
        top, bottom, left, right = attrs.explicit_padding
        k_h, k_w = _pair(kernel)
        try:
            h = window_output(extents[0], k_h, attrs.stride_h, dilation[0], attrs.padding, (top, bottom))
            w = window_output(extents[1], k_w, attrs.stride_w, dilation[1], attrs.padding, (left, right))
        except ValueError as error:
            raise self._error(label, str(error)) from error
        return h, w

    def _pool(
        self,
        opcode: str,
        x: Tensor,
        window: Pair,
        stride: Pair | None,
        padding: PaddingLike,
        activation: Activation,
        name: str | None,
    ) -> Tensor:
        label = self._label(opcode.lower(), name)
        n, h, w, channels = self._nhwc(label, x)
        rule, s_h, s_w, _, _ = self._geometry(label, window if stride is None else stride, 1, padding)
        attrs = Pool2DAttrs(rule, s_h, s_w, *_pair(window), activation, _sides(padding))
        h_o, w_o = self._window(label, (h, w), window, attrs, (1, 1))
        return self._append(opcode, label, (x,), (n, h_o, w_o, channels), attrs)

    def _binary(self, opcode: str, a: Tensor, b: Tensor, activation: Activation, name: str | None) -> Tensor:
        label = self._label(opcode.lower(), name)
        try:
            shape = broadcast_shape(a.shape, b.shape)
        except ValueError as error:
            raise self._error(label, str(error)) from error
        return self._append(opcode, label, (a, b), shape, ActivationAttrs(activation))

    def _unary(self, method: str, x: Tensor, name: str | None, dtype: DType | None = None) -> Tensor:
        return self._append(_UNARY[method], self._label(method, name), (x,), x.shape, NoAttrs(), dtype)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _sides(padding: PaddingLike) -> tuple[int, int, int, int]:
    if isinstance(padding, Padding):
        return 0, 0, 0, 0
    return (padding,) * 4 if isinstance(padding, int) else padding
