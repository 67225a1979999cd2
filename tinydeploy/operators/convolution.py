"""CONV_2D, DEPTHWISE_CONV_2D, and what convolutions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import Conv2DAttrs, DepthwiseConv2DAttrs, DType, Model, Operator, Quantization, Tensor
from tinydeploy.ir.shapes import effective_extent, window_output, window_padding
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    OperatorKind,
    Rows,
    Window,
    Work,
    refuse,
    require_dtype,
    rows_of,
    window_rows,
    zero_row,
)
from tinydeploy.operators.fixed_point import activation_range, conv_scales

if TYPE_CHECKING:
    from tinydeploy.boards import Core

_U16 = 65535
_PATCH_BYTES = 64  # TD_CONV_PATCH_BYTES in td_conv_2d.h
_BLOCK_TAPS = 49  # TD_DEPTHWISE_TAPS in td_depthwise_conv_2d.h
_BASELINE_RUN = 8  # channels from which on tap by tap costs the same as anything else, on a core with few registers


def quantization_of(model: Model, op: Operator, tensor: Tensor) -> Quantization:
    """The tensor's per-tensor quantization, or an error that names the tensor."""
    q = tensor.quantization
    if q is None:
        raise refuse(model, op, "has no scale and zero point", tensor=tensor)
    if q.per_channel:
        raise refuse(model, op, "an activation with one scale for each channel is not supported", tensor=tensor)
    return q


def scales_of(model: Model, op: Operator, tensor: Tensor) -> Quantization:
    """The tensor's quantization, per tensor or per channel, or an error that names the tensor."""
    if tensor.quantization is None:
        raise refuse(model, op, "has no scale", tensor=tensor)
    return tensor.quantization


def require_input(model: Model, op: Operator, position: int, what: str) -> Tensor:
    """The input at `position`, or an error that says what is missing."""
    tensor = model.input_of(op, position)
    if tensor is None:
        raise refuse(model, op, f"its {what} is missing")
    return tensor


def check_weights(
    model: Model, op: Operator, channels: int, axis: int, *, position: int = 1
) -> tuple[Tensor, Quantization]:
    """int8 weights with data, symmetric, with one scale or `channels` scales along `axis`."""
    weights = require_input(model, op, position, "weights")
    require_dtype(model, op, weights, DType.INT8)
    if not weights.constant or weights.data is None:
        raise refuse(model, op, "weights must be constant", tensor=weights)
    q = scales_of(model, op, weights)
    if any(q.zero_points):
        raise refuse(model, op, "int8 weights must have zero point 0", tensor=weights)
    if len(q.scales) not in (1, channels) or (q.per_channel and q.axis != axis):
        raise refuse(
            model,
            op,
            f"has {len(q.scales)} scales along axis {q.axis}, not 1 or {channels} along {axis}",
            tensor=weights,
        )
    return weights, q


def check_bias(model: Model, op: Operator, channels: int, *, position: int = 2) -> None:
    """No bias, or int32 constants, one for each channel."""
    bias = model.input_of(op, position)
    if bias is None:
        return
    require_dtype(model, op, bias, DType.INT32)
    if not bias.constant or bias.data is None:
        raise refuse(model, op, "the bias must be constant", tensor=bias)
    if bias.elements != channels:
        raise refuse(model, op, f"has {bias.elements} values for {channels} channels", tensor=bias)


def array_of(tensor: Tensor) -> NDArray[np.generic]:
    """A constant tensor's values in its shape."""
    if tensor.data is None:
        raise ValueError(f"tensor {tensor.index} has no data")
    return np.frombuffer(tensor.data, dtype=np.dtype(tensor.dtype.label).newbyteorder("<")).reshape(tensor.shape)


def folded_bias(
    model: Model, op: Operator, weights: NDArray[np.int8], input_zero: int, *, position: int = 2
) -> ConstArray:
    """bias[c] − input_zero · Σ weights[c] modulo 2^32, for weights with the channel first."""
    bias = model.input_of(op, position)
    channels = weights.shape[0]
    start = array_of(bias).reshape(-1).astype(np.int64) if bias is not None else np.zeros(channels, np.int64)
    sums = weights.reshape(channels, -1).sum(axis=1, dtype=np.int64)
    return ConstArray("int32_t", (start - input_zero * sums).astype(np.uint64).astype(np.uint32).view(np.int32), "bias")


def scale_array(pairs: list[tuple[int, int]]) -> ConstArray:
    """(multiplier, shift) pairs as the kernels read them."""
    return ConstArray("int32_t", np.array(pairs, np.int32).reshape(-1), "bias")


class _Convolution(OperatorKind):
    """What CONV_2D and DEPTHWISE_CONV_2D share: the window, its rules, and most of the table."""

    channel_axis: ClassVar[int]  # of the weights
    uses_inner_columns: ClassVar[bool]  # whether the kernel asks which columns have all taps inside

    def _attrs(self, op: Operator) -> Conv2DAttrs:
        return cast(Conv2DAttrs, op.attrs)

    def window(self, model: Model, op: Operator) -> Window | None:
        a = self._attrs(op)
        source, weights = model.tensor(op.inputs[0]), model.tensor(op.inputs[1])
        top, left = self._padding(a, source, weights, model.output_of(op))
        return Window(
            effective_extent(weights.shape[1], a.dilation_h),
            effective_extent(weights.shape[2], a.dilation_w),
            a.stride_h,
            a.stride_w,
            top,
            left,
            a.dilation_h,
        )

    def rows(self, model: Model, op: Operator) -> Rows | None:
        window = self.window(model, op)
        return None if window is None else window_rows(model, op, window)

    @staticmethod
    def _padding(a: Conv2DAttrs, source: Tensor, weights: Tensor, output: Tensor) -> tuple[int, int]:
        """(top, left)."""
        explicit = a.explicit_padding
        top, _ = window_padding(
            source.shape[1],
            output.shape[1],
            weights.shape[1],
            a.stride_h,
            a.dilation_h,
            a.padding,
            explicit[:2],
        )
        left, _ = window_padding(
            source.shape[2],
            output.shape[2],
            weights.shape[2],
            a.stride_w,
            a.dilation_w,
            a.padding,
            explicit[2:],
        )
        return top, left

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, Conv2DAttrs):
            raise refuse(model, op, "its options are missing")
        a = op.attrs
        source, output = require_input(model, op, 0, "input"), model.output_of(op)
        for tensor in (source, output):
            require_dtype(model, op, tensor, DType.INT8)
        if len(source.shape) != 4 or len(output.shape) != 4:
            raise refuse(model, op, "input and output must have rank 4 (N, H, W, C)")
        weights = require_input(model, op, 1, "weights")
        if len(weights.shape) != 4:
            raise refuse(model, op, "must have rank 4", tensor=weights)
        channels = weights.shape[self.channel_axis]
        weights, wq = check_weights(model, op, channels, self.channel_axis)
        check_bias(model, op, channels)
        if source.constant:
            raise refuse(model, op, "a constant input is not supported", tensor=source)
        self._check_channels(model, op, source, weights, a)
        if min(a.stride_h, a.stride_w, a.dilation_h, a.dilation_w) < 1:
            raise refuse(model, op, "strides and dilations must be at least 1")
        if max(a.stride_h, a.stride_w, a.dilation_h, a.dilation_w, *weights.shape[1:3]) > _U16:
            raise refuse(model, op, f"kernel, stride and dilation must not be above {_U16}")
        explicit = a.explicit_padding
        try:
            h = window_output(source.shape[1], weights.shape[1], a.stride_h, a.dilation_h, a.padding, explicit[:2])
            w = window_output(source.shape[2], weights.shape[2], a.stride_w, a.dilation_w, a.padding, explicit[2:])
        except ValueError as e:
            raise refuse(model, op, str(e)) from e
        expected = (source.shape[0], h, w, channels)
        if output.shape != expected:
            raise refuse(
                model,
                op,
                f"has shape {list(output.shape)}, the operator computes {list(expected)}",
                tensor=output,
            )
        if max(self._padding(a, source, weights, output)) > _U16:
            raise refuse(model, op, f"paddings must not be above {_U16}")
        sq, oq = quantization_of(model, op, source), quantization_of(model, op, output)
        try:
            activation_range(a.activation, oq)
            conv_scales(sq.scale, wq.scales, oq.scale)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e

    def _check_channels(self, model: Model, op: Operator, source: Tensor, weights: Tensor, a: Conv2DAttrs) -> None:
        raise NotImplementedError

    def _inner_columns(self, model: Model, op: Operator) -> tuple[int, int]:
        """The columns [first, end) of the output whose taps are all inside the input; empty where there are none."""
        a = self._attrs(op)
        source, filters, output = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output_of(op)
        _, left = self._padding(a, source, filters, output)
        out_w = output.shape[2]
        last = (source.shape[2] - effective_extent(filters.shape[2], a.dilation_w) + left) // a.stride_w
        begin = min(-(-left // a.stride_w), out_w)
        return begin, max(min(last + 1, out_w), begin)

    def _call(
        self,
        model: Model,
        op: Operator,
        weights: NDArray[np.int8],
        layout: NDArray[np.int8],
        extra: dict[str, int],
    ) -> KernelCall:
        """The call; `weights` with the channel first for the bias, `layout` as the kernel reads them."""
        a = self._attrs(op)
        source, filters, output = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output_of(op)
        sq, oq = quantization_of(model, op, source), quantization_of(model, op, output)
        wq = scales_of(model, op, filters)
        _, in_h, in_w, in_c = source.shape
        _, out_h, out_w, out_c = output.shape
        kernel_h, kernel_w = filters.shape[1:3]
        top, left = self._padding(a, source, filters, output)
        inner_begin, inner_end = self._inner_columns(model, op)
        bottom = (out_h - 1) * a.stride_h - top + effective_extent(kernel_h, a.dilation_h)
        padded = top > 0 or bottom > in_h or inner_begin > 0 or inner_end < out_w
        low, high = activation_range(a.activation, oq)
        name = f"td_{self.opcode.lower()}"
        table: dict[str, int | float | ConstArray | None] = {
            "weights": ConstArray("int8_t", layout, "weights"),
            "bias": folded_bias(model, op, weights, sq.zero_point),
            "scale": scale_array(conv_scales(sq.scale, wq.scales, oq.scale)),
            "pad_row": zero_row(sq.zero_point, in_w * in_c) if padded else None,
            "in_h": in_h,
            "in_w": in_w,
            "in_c": in_c,
            "out_h": out_h,
            "out_w": out_w,
            "out_c": out_c,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": a.stride_h,
            "stride_w": a.stride_w,
            "dilation_h": a.dilation_h,
            "dilation_w": a.dilation_w,
            "pad_top": top,
            "pad_left": left,
            **({"inner_begin": inner_begin, "inner_end": inner_end} if self.uses_inner_columns else {}),
            **extra,
            "scale_step": 2 if wq.per_channel else 0,
            "out_zero": oq.zero_point,
            "out_min": low,
            "out_max": high,
        }
        rows, _ = rows_of(output)
        return KernelCall(
            name, self.opcode.lower(), table, (source.index,), output.index, window_rows=kernel_h, rows=rows
        )


class Conv2D(_Convolution):
    """CONV_2D; groups follow from the weights' input channels, as in TensorFlow Lite."""

    opcode = "CONV_2D"
    channel_axis = 0
    uses_inner_columns = True

    def work(self, model: Model, op: Operator) -> Work:
        weights, output = model.tensor(op.inputs[1]), model.output_of(op)
        n, h, w, _ = output.shape
        return Work(params=weights.elements, macs=weights.elements * h * w * n)

    def _check_channels(self, model: Model, op: Operator, source: Tensor, weights: Tensor, a: Conv2DAttrs) -> None:
        in_c, group_in, out_c = source.shape[3], weights.shape[3], weights.shape[0]
        if in_c % group_in or out_c % (in_c // group_in):
            raise refuse(
                model,
                op,
                f"{in_c} input and {out_c} output channels do not make groups of {group_in}",
                tensor=weights,
            )
        if in_c // group_in > _U16:
            raise refuse(model, op, f"more than {_U16} groups", tensor=weights)

    def emit(self, model: Model, op: Operator) -> KernelCall:
        filters = cast("NDArray[np.int8]", array_of(model.tensor(op.inputs[1])))
        groups = model.tensor(op.inputs[0]).shape[3] // filters.shape[3]
        return self._call(model, op, filters, conv_layout(filters, groups), {"groups": groups})

    def slow(self, model: Model, op: Operator, core: Core) -> str | None:
        _, kernel_h, kernel_w, group_in = model.tensor(op.inputs[1]).shape
        if _by_patches(kernel_h * kernel_w, group_in, model.tensor(op.inputs[0]).shape[3]):
            return None
        if not core.mainline and group_in >= _BASELINE_RUN:
            return None
        begin, end = self._inner_columns(model, op)
        if group_in != model.tensor(op.inputs[0]).shape[3]:
            why = "its channels are in groups"
        elif self._attrs(op).dilation_w > 1:
            why = "its columns are dilated"
        elif kernel_w > 1 and group_in % 4:
            why = f"{group_in} input channels are no multiple of 4 and its window is larger than {_PATCH_BYTES} bytes"
        elif begin == end:
            why = "its window reaches over the input's border in every column"
        else:
            return None
        return f"tap by tap: {why}"


def _by_patches(taps: int, group_in: int, in_c: int) -> bool:
    """Whether td_conv_2d gathers the patches under its windows."""
    return taps > 1 and group_in == in_c and taps * in_c <= _PATCH_BYTES


def conv_layout(weights: NDArray[np.int8], groups: int) -> NDArray[np.int8]:
    """Weights (out_c, kernel_h, kernel_w, in_c / groups) as td_conv_2d.h wants them."""
    out_c, kernel_h, kernel_w, group_in = weights.shape
    taps = kernel_h * kernel_w
    window = taps * group_in
    run = window if _by_patches(taps, group_in, group_in * groups) else group_in
    return np.concatenate([blocks_of_four(g, 2, run) for g in weights.reshape(groups, out_c // groups, window)])


class DepthwiseConv2D(_Convolution):
    """DEPTHWISE_CONV_2D with any depth multiplier."""

    opcode = "DEPTHWISE_CONV_2D"
    channel_axis = 3
    uses_inner_columns = False

    def work(self, model: Model, op: Operator) -> Work:
        weights, output = model.tensor(op.inputs[1]), model.output_of(op)
        n, h, w, _ = output.shape
        return Work(params=weights.elements, macs=weights.elements * h * w * n)

    def _check_channels(self, model: Model, op: Operator, source: Tensor, weights: Tensor, a: Conv2DAttrs) -> None:
        in_c, out_c = source.shape[3], weights.shape[3]
        if weights.shape[0] != 1 or out_c % in_c:
            raise refuse(model, op, f"weights {list(weights.shape)} do not fit {in_c} input channels", tensor=weights)
        if isinstance(a, DepthwiseConv2DAttrs) and a.depth_multiplier not in (0, out_c // in_c):
            raise refuse(model, op, f"depth multiplier {a.depth_multiplier} does not match its weights", tensor=weights)
        if out_c // in_c > _U16:
            raise refuse(model, op, f"a depth multiplier above {_U16}", tensor=weights)

    def emit(self, model: Model, op: Operator) -> KernelCall:
        filters = cast("NDArray[np.int8]", array_of(model.tensor(op.inputs[1])))
        multiplier = filters.shape[3] // model.tensor(op.inputs[0]).shape[3]
        by_channel = filters.reshape(-1, filters.shape[3]).T
        blocks = _by_blocks(multiplier, by_channel.shape[1])
        layout = interleave(by_channel, 4 if blocks else 1)
        return self._call(model, op, by_channel, layout, {"multiplier": multiplier, "blocks": int(blocks)})

    def slow(self, model: Model, op: Operator, core: Core) -> str | None:
        _, kernel_h, kernel_w, channels = model.tensor(op.inputs[1]).shape
        multiplier = channels // model.tensor(op.inputs[0]).shape[3]
        if _by_blocks(multiplier, kernel_h * kernel_w):
            return None
        why = f"its depth multiplier is {multiplier}" if multiplier > 1 else f"more than {_BLOCK_TAPS} taps"
        return f"channel by channel and tap by tap: {why}"


def _by_blocks(multiplier: int, taps: int) -> bool:
    """Whether td_depthwise_conv_2d computes four channels at a time."""
    return multiplier == 1 and taps <= _BLOCK_TAPS


def blocks_of_four(rows: NDArray[np.int8], together: int, run: int) -> NDArray[np.int8]:
    """Rows of weights, `together` at a time, in runs of `run`: blocks of four values of each row in turn, then what is
    left over of the run value by value; rows that make no whole group follow as they are.
    """
    whole = len(rows) // together * together
    grouped = rows[:whole].reshape(-1, together, rows.shape[1] // run, run).transpose(0, 2, 1, 3)
    fours = run // 4 * 4
    head = grouped[..., :fours].reshape(*grouped.shape[:3], fours // 4, 4).transpose(0, 1, 3, 2, 4)
    tail = grouped[..., fours:].transpose(0, 1, 3, 2)
    parts = [part.reshape(*grouped.shape[:2], -1) for part in (head, tail) if part.size]
    groups = np.concatenate(parts, axis=2).reshape(-1) if parts else rows[:0].reshape(-1)
    return np.concatenate([groups, rows[whole:].reshape(-1)])


def interleave(rows: NDArray[np.int8], together: int) -> NDArray[np.int8]:
    """Rows in groups of `together`, each group's values side by side; the rest row by row."""
    whole = len(rows) // together * together
    groups = rows[:whole].reshape(-1, together, rows.shape[1]).transpose(0, 2, 1).reshape(-1)
    return np.concatenate([groups, rows[whole:].reshape(-1)])


KINDS: tuple[OperatorKind, ...] = (Conv2D(), DepthwiseConv2D())
