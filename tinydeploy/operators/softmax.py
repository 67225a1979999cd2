"""SOFTMAX over the last axis, int8 to int8."""

from __future__ import annotations

from math import isfinite
from typing import cast

import numpy as np

from tinydeploy.ir import DType, Model, Operator, SoftmaxAttrs
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    Memory,
    OperatorKind,
    Rows,
    Window,
    Work,
    refuse,
    rows_of,
    same_rows,
)
from tinydeploy.operators.fixed_functions import exp_on_negative_values, input_radius
from tinydeploy.operators.fixed_point import high_mul, quantize_multiplier, wrap32
from tinydeploy.operators.rules import (
    quantized,
    require_arity,
    require_computed,
    require_output,
    require_shape,
    row_axes,
)

_INTEGER_BITS = 5  # of a scaled difference
_MOST_DEPTH = 4095  # the sum of so many ones fits its 12 integer bits


def exp_table(input_scale: float, beta: float) -> list[int]:
    """exp(−d · scale · beta) · 2^31 for d = 0, 1, … up to where it counts as 0; at most 256 values.

    Raises ValueError where the reference interpreter stops: scale · beta · 2^26 must be above 1.
    """
    real = min(beta * input_scale * (1 << (31 - _INTEGER_BITS)), float((1 << 31) - 1))
    if not real > 1.0:
        raise ValueError(f"scale · beta is {beta * input_scale:g}, which is too small")
    multiplier, shift = quantize_multiplier_above_one(real)
    entries = min(input_radius(_INTEGER_BITS, shift) + 1, 256)
    return [exp_on_negative_values(high_mul(wrap32(-d << shift), multiplier), _INTEGER_BITS) for d in range(entries)]


def quantize_multiplier_above_one(real: float) -> tuple[int, int]:
    """As `quantize_multiplier`, for a factor in (1, 2^31), whose shift may be 31."""
    if real < 1 << 29:
        return quantize_multiplier(real)
    multiplier, shift = quantize_multiplier(real / 4)
    return multiplier, shift + 2


class Softmax(OperatorKind):
    """SOFTMAX."""

    opcode = "SOFTMAX"

    def work(self, model: Model, op: Operator) -> Work:
        elements = model.output_of(op).elements
        return Work(ops=5 * elements, counted="five for each element: maximum, difference, exponential, sum, scaling")

    def memory(self, model: Model, op: Operator) -> Memory:
        return Memory(in_place=(0,))

    def window(self, model: Model, op: Operator) -> Window | None:
        return Window(1, 1) if len(model.output_of(op).shape) == 4 else None

    def rows(self, model: Model, op: Operator) -> Rows | None:
        return same_rows(model, op)

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, SoftmaxAttrs):
            raise refuse(model, op, "its options are missing")
        require_arity(model, op, 1)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        if not source.shape or source.shape[-1] > _MOST_DEPTH:
            raise refuse(model, op, f"must have a last axis of at most {_MOST_DEPTH}", tensor=source)
        require_shape(model, op, output, source.shape)
        sq, oq = quantized(model, op, source), quantized(model, op, output)
        if (oq.scale, oq.zero_point) != (1 / 256, -128):
            raise refuse(model, op, "must have scale 1/256 and zero point -128", tensor=output)
        if not isfinite(op.attrs.beta):
            raise refuse(model, op, f"beta is {op.attrs.beta}")
        try:
            exp_table(sq.scale, op.attrs.beta)
        except (ValueError, OverflowError) as e:
            raise refuse(model, op, str(e)) from e

    def emit(self, model: Model, op: Operator) -> KernelCall:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        exps = exp_table(quantized(model, op, source).scale, cast(SoftmaxAttrs, op.attrs).beta)
        axes = row_axes(output.shape)
        return KernelCall(
            "td_softmax",
            "softmax",
            {
                "exps": ConstArray("int32_t", np.array(exps, np.int32), "table"),
                "entries": len(exps),
                "depth": axes.depth,
                "groups": axes.columns,
            },
            (source.index,),
            output.index,
            rows=rows_of(output)[0],
        )


KINDS: tuple[OperatorKind, ...] = (Softmax(),)
