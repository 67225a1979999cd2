"""RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import cast

import numpy as np

from tinydeploy.ir import DType, Model, Operator, ResizeAttrs
from tinydeploy.operators.base import (
    ConstArray,
    KernelCall,
    OperatorKind,
    Rows,
    Span,
    Work,
    one_by_one,
    refuse,
    rows_of,
)
from tinydeploy.operators.fixed_point import f32, round_half_away
from tinydeploy.operators.rules import (
    MOVES_BYTES,
    require_arity,
    require_computed,
    require_integers,
    require_output,
    require_shape,
)

_U16 = 65535
_UNIT = 1024  # parts of an element's width, in which TensorFlow Lite's integer kernel counts


class _Resize(OperatorKind):
    """What both share: the rules, and which input rows an output row needs."""

    def check(self, model: Model, op: Operator) -> None:
        if not isinstance(op.attrs, ResizeAttrs):
            raise refuse(model, op, "its options are missing")
        require_arity(model, op, 2)
        source, output = require_computed(model, op, 0, DType.INT8), require_output(model, op, DType.INT8)
        if len(source.shape) != 4:
            raise refuse(model, op, "must have rank 4 (N, H, W, C)", tensor=source)
        size = require_integers(model, op, 1, "size")
        if len(size) != 2:
            raise refuse(model, op, f"the size {list(size)[:16]} is not a height and a width")
        require_shape(model, op, output, (source.shape[0], *size, source.shape[3]))
        if max(*source.shape[1:3], *size) > _U16:
            raise refuse(model, op, f"heights and widths must not be above {_U16}")
        for axis, what in ((1, "rows"), (2, "columns")):
            extent = source.shape[axis]
            if any(end > extent for _, end in self._spans(op.attrs, extent, output.shape[axis])):
                raise refuse(
                    model,
                    op,
                    f"TensorFlow Lite Micro reads {what} behind its input here, so there is no reference",
                    hint="convert with half_pixel_centers or align_corners",
                )

    def rows(self, model: Model, op: Operator) -> Rows | None:
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        ranks = len(source.shape), len(output.shape)
        if not isinstance(op.attrs, ResizeAttrs) or ranks != (4, 4) or min(*source.shape, *output.shape) < 1:
            return None
        images, in_h = source.shape[:2]
        spans = self._spans(op.attrs, in_h, output.shape[1])
        reads = tuple((image * in_h + a, image * in_h + b) for image in range(images) for a, b in spans)
        return Rows({0: reads}, one_by_one(len(reads)))

    @staticmethod
    def _spans(a: ResizeAttrs, extent_in: int, extent_out: int) -> Sequence[Span]:
        """The rows or columns `[first, end)` that each one of the output needs."""
        raise NotImplementedError


class ResizeNearestNeighbor(_Resize):
    """RESIZE_NEAREST_NEIGHBOR."""

    opcode = "RESIZE_NEAREST_NEIGHBOR"

    def work(self, model: Model, op: Operator) -> Work:
        return Work(counted=MOVES_BYTES)

    @staticmethod
    def _spans(a: ResizeAttrs, extent_in: int, extent_out: int) -> Sequence[Span]:
        return [(n, n + 1) for n in nearest(a, extent_in, extent_out)]

    def emit(self, model: Model, op: Operator) -> KernelCall:
        a = cast(ResizeAttrs, op.attrs)
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        _, in_h, in_w, depth = source.shape
        _, out_h, out_w, _ = output.shape
        return KernelCall(
            "td_resize_nearest_neighbor",
            "resize_nearest_neighbor",
            {
                "rows": ConstArray("uint16_t", np.array(nearest(a, in_h, out_h), np.uint16), "table"),
                "columns": ConstArray("uint16_t", np.array(nearest(a, in_w, out_w), np.uint16), "table"),
                "in_h": in_h,
                "out_h": out_h,
                "out_w": out_w,
                "depth": depth,
            },
            (source.index,),
            output.index,
            rows=rows_of(output)[0],
        )


def nearest(a: ResizeAttrs, extent_in: int, extent_out: int) -> list[int]:
    """The input element nearest to each output element, in single precision as GetNearestNeighbor computes it."""
    if a.align_corners and extent_out > 1:
        scale = f32((extent_in - 1) / (extent_out - 1))
    else:
        scale = f32(extent_in / extent_out)
    offset = 0.5 if a.half_pixel_centers else 0.0
    places = [f32((at + offset) * scale) for at in range(extent_out)]
    return [min(round_half_away(p) if a.align_corners else floor(p), extent_in - 1) for p in places]


class ResizeBilinear(_Resize):
    """RESIZE_BILINEAR, in integers."""

    opcode = "RESIZE_BILINEAR"

    def work(self, model: Model, op: Operator) -> Work:
        return Work(ops=3 * model.output_of(op).elements, counted="three interpolations for each output element")

    def check(self, model: Model, op: Operator) -> None:
        if isinstance(op.attrs, ResizeAttrs) and op.attrs.align_corners and op.attrs.half_pixel_centers:
            raise refuse(model, op, "align_corners and half_pixel_centers exclude each other")
        super().check(model, op)

    @staticmethod
    def _spans(a: ResizeAttrs, extent_in: int, extent_out: int) -> Sequence[Span]:
        scale, offset = bilinear(a, extent_in, extent_out)
        places = [max(at * scale + offset, 0) for at in range(extent_out)]
        return [(p // _UNIT, max(min(-(-p // _UNIT), extent_in - 1), p // _UNIT) + 1) for p in places]

    def emit(self, model: Model, op: Operator) -> KernelCall:
        a = cast(ResizeAttrs, op.attrs)
        source, output = model.tensor(op.inputs[0]), model.output_of(op)
        _, in_h, in_w, depth = source.shape
        _, out_h, out_w, _ = output.shape
        scale_h, offset_h = bilinear(a, in_h, out_h)
        scale_w, offset_w = bilinear(a, in_w, out_w)
        return KernelCall(
            "td_resize_bilinear",
            "resize_bilinear",
            {
                "in_h": in_h,
                "in_w": in_w,
                "out_h": out_h,
                "out_w": out_w,
                "depth": depth,
                "scale_h": scale_h,
                "scale_w": scale_w,
                "offset_h": offset_h,
                "offset_w": offset_w,
            },
            (source.index,),
            output.index,
            rows=rows_of(output)[0],
        )


def bilinear(a: ResizeAttrs, extent_in: int, extent_out: int) -> tuple[int, int]:
    """(scale, offset) in 1024ths, as ResizeBilinearInteger of TensorFlow Lite rounds them."""
    if a.align_corners and extent_out > 1:
        extent_in, extent_out = extent_in - 1, extent_out - 1
    scale = (_UNIT * extent_in + extent_out // 2) // extent_out
    return scale, scale // 2 - _UNIT // 2 if a.half_pixel_centers else 0


KINDS: tuple[OperatorKind, ...] = (ResizeNearestNeighbor(), ResizeBilinear())
