"""FULLY_CONNECTED."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from tinydeploy.ir import DType, FullyConnectedAttrs, Model, Operator, Tensor
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    OperatorKind,
    Rows,
    Work,
    one_by_one,
    refuse,
    require_dtype,
    rows_of,
)
from tinydeploy.operators.convolution import (
    array_of,
    blocks_of_four,
    check_bias,
    check_weights,
    folded_bias,
    quantization_of,
    require_input,
    scale_array,
    scales_of,
)
from tinydeploy.operators.fixed_point import activation_range, conv_scales


class FullyConnected(OperatorKind):
    """FULLY_CONNECTED: weights (outputs, inputs); the input is taken as batches of `inputs` values."""

    opcode = "FULLY_CONNECTED"

    def work(self, model: Model, op: Operator) -> Work:
        weights, output = model.tensor(op.inputs[1]), model.output_of(op)
        batches = output.elements // max(1, weights.shape[-2])
        return Work(params=weights.elements, macs=weights.elements * batches)

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, FullyConnectedAttrs):
            raise refuse(model, op, "its options are missing")
        if op.attrs.shuffled_weights:
            raise refuse(model, op, "shuffled weights are not supported")
        source, output = require_input(model, op, 0, "input"), model.output_of(op)
        for tensor in (source, output):
            require_dtype(model, op, tensor, DType.INT8)
        if source.constant:
            raise refuse(model, op, "a constant input is not supported", tensor=source)
        weights = require_input(model, op, 1, "weights")
        if len(weights.shape) != 2:
            raise refuse(model, op, "must have rank 2", tensor=weights)
        out_n, in_n = weights.shape
        weights, wq = check_weights(model, op, out_n, 0)
        check_bias(model, op, out_n)
        if source.elements % in_n or not output.shape or output.shape[-1] != out_n:
            raise refuse(
                model,
                op,
                f"weights {list(weights.shape)} do not fit input {list(source.shape)} and output {list(output.shape)}",
            )
        if output.elements != source.elements // in_n * out_n:
            raise refuse(
                model,
                op,
                f"output {list(output.shape)} does not hold {source.elements // in_n} batches of {out_n}",
            )
        sq, oq = quantization_of(model, op, source), quantization_of(model, op, output)
        try:
            activation_range(op.attrs.activation, oq)
            conv_scales(sq.scale, wq.scales, oq.scale)
        except ValueError as e:
            raise refuse(model, op, str(e)) from e

    @staticmethod
    def _in_rows(source: Tensor, output: Tensor, in_n: int, out_n: int) -> int:
        """How many rows of the input make one row of the output; 0 where no whole number does."""
        read = rows_of(output)[1] // out_n * in_n
        _, in_row_bytes = rows_of(source)
        return read // in_row_bytes if read % in_row_bytes == 0 else 0

    def rows(self, model: Model, op: Operator) -> Rows | None:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        out_n, in_n = model.tensor(op.inputs[1]).shape
        n = self._in_rows(source, output, in_n, out_n)
        if not n:
            return None
        count = rows_of(output)[0]
        reads = tuple((r * n, r * n + n) for r in range(count))
        return Rows({0: reads}, one_by_one(count), solid=frozenset({0} if n > 1 else ()))

    def emit(self, model: Model, op: Operator) -> KernelCall:
        attrs = cast(FullyConnectedAttrs, op.attrs)
        source, weights, output = model.tensor(op.inputs[0]), model.tensor(op.inputs[1]), model.output_of(op)
        sq, oq = quantization_of(model, op, source), quantization_of(model, op, output)
        wq = scales_of(model, op, weights)
        values = cast("NDArray[np.int8]", array_of(weights))
        out_n, in_n = weights.shape
        rows, row_bytes = rows_of(output)
        batches = row_bytes // out_n
        in_rows = self._in_rows(source, output, in_n, out_n)
        low, high = activation_range(attrs.activation, oq)
        table: dict[str, int | float | ConstArray | None] = {
            "weights": ConstArray("int8_t", blocks_of_four(values, 4, in_n), "weights"),
            "bias": folded_bias(model, op, values, sq.zero_point),
            "scale": scale_array(conv_scales(sq.scale, wq.scales, oq.scale)),
            "in_n": in_n,
            "out_n": out_n,
            "batches": batches,
            "in_rows": in_rows,
            "scale_step": 2 if wq.per_channel else 0,
            "out_zero": oq.zero_point,
            "out_min": low,
            "out_max": high,
        }
        return KernelCall("td_fully_connected", "fully_connected", table, (source.index,), output.index, rows=rows)


KINDS: tuple[OperatorKind, ...] = (FullyConnected(),)
