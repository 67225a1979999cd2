"""TRANSPOSE_CONV: gathered for each output, as one convolution for each pair of phases of the strides."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import DType, Model, Operator, TransposeConvAttrs
from tinydeploy.ir.shapes import window_output, window_padding
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    OperatorKind,
    Rows,
    Work,
    one_by_one,
    refuse,
    rows_of,
    zero_row,
)
from tinydeploy.operators.convolution import (
    array_of,
    blocks_of_four,
    check_bias,
    check_weights,
    folded_bias,
    require_input,
    scale_array,
    scales_of,
)
from tinydeploy.operators.fixed_point import conv_scales
from tinydeploy.operators.rules import (
    clamp_bounds,
    quantized,
    require_computed,
    require_integers,
    require_output,
)

_U16 = 65535
_MOST_STRIDE = 16  # there is a bias for each pair of phases


class TransposeConv(OperatorKind):
    """TRANSPOSE_CONV: inputs are (output shape, weights, input, bias)."""

    opcode = "TRANSPOSE_CONV"

    def work(self, model: Model, op: Operator) -> Work:
        weights, source = model.tensor(op.inputs[1]), model.tensor(op.inputs[2])
        n, h, w, _ = source.shape
        return Work(params=weights.elements, macs=weights.elements * h * w * n)

    @staticmethod
    def _padding(model: Model, op: Operator) -> tuple[int, int]:
        """(top, left): those of the convolution that leads from the output back to the input."""
        a = cast(TransposeConvAttrs, op.attrs)
        weights, output = model.tensor(op.inputs[1]), model.output_of(op)
        pads = []
        for axis, stride in ((1, a.stride_h), (2, a.stride_w)):
            extent = output.shape[axis]
            pads.append(window_padding(extent, -(-extent // stride), weights.shape[axis], stride, 1, a.padding)[0])
        return pads[0], pads[1]

    def rows(self, model: Model, op: Operator) -> Rows | None:
        if not isinstance(op.attrs, TransposeConvAttrs):
            return None
        images, in_h = model.tensor(op.inputs[2]).shape[:2]
        kernel, stride = model.tensor(op.inputs[1]).shape[1], op.attrs.stride_h
        top, _ = self._padding(model, op)
        reads = []
        for image in range(images):
            for y in range(model.output_of(op).shape[1]):
                last, phase = divmod(y + top, stride)
                first = last + 1 - len(range(phase, kernel, stride))
                first = min(max(first, 0), in_h)
                reads.append((image * in_h + first, image * in_h + max(min(last + 1, in_h), first)))
        return Rows({2: tuple(reads)}, one_by_one(len(reads)))

    def check(self, model: Model, op: Operator) -> None:
        a = op.attrs
        if not isinstance(a, TransposeConvAttrs):
            raise refuse(model, op, "its options are missing")
        if not 3 <= len(op.inputs) <= 4 or min(op.inputs) < 0 or len(op.outputs) != 1:
            raise refuse(model, op, f"has {len(op.inputs)} inputs and {len(op.outputs)} outputs, or one is missing")
        source, output = require_computed(model, op, 2, DType.INT8), require_output(model, op, DType.INT8)
        weights = require_input(model, op, 1, "weights")
        for tensor in (source, output, weights):
            if len(tensor.shape) != 4:
                raise refuse(model, op, "must have rank 4", tensor=tensor)
        if require_integers(model, op, 0, "output shape") != output.shape:
            raise refuse(model, op, "is not of the shape that the operator is given", tensor=output)
        channels, kernel_h, kernel_w, in_c = weights.shape
        if min(weights.shape) < 1 or in_c != source.shape[3] or channels != output.shape[3]:
            raise refuse(model, op, f"does not fit {source.shape[3]} and {output.shape[3]} channels", tensor=weights)
        if source.shape[0] != output.shape[0]:
            raise refuse(model, op, f"has a batch of {output.shape[0]}, its input of {source.shape[0]}", tensor=output)
        if max(a.stride_h, a.stride_w) > _MOST_STRIDE:
            raise refuse(model, op, f"strides above {_MOST_STRIDE} are not supported")
        for axis, stride in ((1, a.stride_h), (2, a.stride_w)):
            try:
                back = window_output(output.shape[axis], weights.shape[axis], stride, padding=a.padding)
            except ValueError as e:
                raise refuse(model, op, str(e)) from e
            if back != source.shape[axis]:
                why = f"a convolution of {list(output.shape)} does not give the input {list(source.shape)}"
                raise refuse(model, op, why, tensor=output)
        if max(kernel_h, kernel_w) > _U16:
            raise refuse(model, op, f"a window must not be above {_U16}", tensor=weights)
        _, wq = check_weights(model, op, channels, 0)
        check_bias(model, op, channels, position=3)
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        clamp_bounds(model, op, a.activation, oq)
        try:
            conv_scales(sq.scale, wq.scales, oq.scale)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e

    def emit(self, model: Model, op: Operator) -> KernelCall:
        a = cast(TransposeConvAttrs, op.attrs)
        source, output = model.tensor(op.inputs[2]), model.output_of(op)
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        wq = scales_of(model, op, model.tensor(op.inputs[1]))
        low, high = clamp_bounds(model, op, a.activation, oq)
        filters = cast("NDArray[np.int8]", array_of(model.tensor(op.inputs[1])))
        _, in_h, in_w, in_c = source.shape
        _, out_h, out_w, out_c = output.shape
        kernel_h, kernel_w = filters.shape[1:3]
        top, left = self._padding(model, op)
        parts = phases(filters, a.stride_h, a.stride_w)
        biases = [folded_bias(model, op, part, sq.zero_point, position=3).values for part in parts]
        layout = [blocks_of_four(part.reshape(out_c, -1), 2, in_c) for part in parts if part.size]
        return KernelCall(
            "td_transpose_conv",
            "transpose_conv",
            {
                "weights": ConstArray("int8_t", np.concatenate(layout), "weights"),
                "bias": ConstArray("int32_t", np.concatenate(biases), "bias"),
                "scale": scale_array(conv_scales(sq.scale, wq.scales, oq.scale)),
                "pad_row": zero_row(sq.zero_point, in_w * in_c),
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
                "pad_top": top,
                "pad_left": left,
                "scale_step": 2 if wq.per_channel else 0,
                "out_zero": oq.zero_point,
                "out_min": low,
                "out_max": high,
            },
            (source.index,),
            output.index,
            window_rows=-(-kernel_h // a.stride_h),
            rows=rows_of(output)[0],
        )


def phases(weights: NDArray[np.int8], stride_h: int, stride_w: int) -> list[NDArray[np.int8]]:
    """The weights (out_c, rows, columns, in_c) of each phase of y and of x, in the order of their inputs."""
    return [weights[:, y::stride_h, x::stride_w][:, ::-1, ::-1] for y in range(stride_h) for x in range(stride_w)]


KINDS: tuple[OperatorKind, ...] = (TransposeConv(),)
