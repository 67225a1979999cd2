"""Receptive fields: how much of the network's input one element of a tensor sees.

Along each axis, through a window of k elements (after dilation) and stride s:
r_out = r_in + (k − 1) · j_in and j_out = j_in · s, from r = j = 1 at the input; where branches meet, the largest.
(Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019,
10.23915/distill.00021.)
The figure counts padding as if it were input, as is usual, so it may exceed the input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from tinydeploy.ir import Model
from tinydeploy.operators.base import Window


@dataclass(frozen=True)
class ReceptiveField:
    """Rows and columns of the network's input that one element sees, and the step (`jump`) between neighbours.

    `whole`: it sees all of the input, whose extents are then given, and jumps mean nothing (0). A jump below 1 is
    what a transposed convolution at the input makes.
    """

    rows: int
    columns: int
    jump_rows: float
    jump_columns: float
    whole: bool = False


def whole_input(model: Model) -> ReceptiveField:
    """All of the network's largest input; one without rows and columns counts as one row."""
    extents = [(0, 0)]
    for index in model.inputs:
        shape = model.tensors[index].shape
        extents.append((shape[1], shape[2]) if len(shape) == 4 else (1, model.tensors[index].elements))
    rows, columns = max(extents, key=lambda extent: extent[0] * extent[1])
    return ReceptiveField(rows, columns, 0, 0, whole=True)


def start(model: Model) -> dict[int, ReceptiveField]:
    """The fields of the network's inputs, by tensor index: each element sees itself."""
    return {index: ReceptiveField(1, 1, 1, 1) for index in model.inputs}


def merge(fields: Iterable[ReceptiveField], otherwise: ReceptiveField) -> ReceptiveField:
    """The field where branches meet: the largest along each axis; `otherwise` where no branch depends on the input."""
    known = list(fields)
    if not known:
        return otherwise
    return ReceptiveField(
        max(f.rows for f in known),
        max(f.columns for f in known),
        max(f.jump_rows for f in known),
        max(f.jump_columns for f in known),
        any(f.whole for f in known),
    )


def through(field: ReceptiveField, window: Window) -> ReceptiveField:
    """The field behind a window."""
    if field.whole:
        return field
    return ReceptiveField(
        ceil(field.rows + (window.kernel_h - 1) * field.jump_rows),
        ceil(field.columns + (window.kernel_w - 1) * field.jump_columns),
        field.jump_rows * window.stride_h,
        field.jump_columns * window.stride_w,
    )


def through_transposed(field: ReceptiveField, kernel: tuple[int, int], stride: tuple[int, int]) -> ReceptiveField:
    """The field behind a transposed convolution: an output element meets at most ceil(k / s) inputs."""
    if field.whole:
        return field
    return ReceptiveField(
        ceil(field.rows + (ceil(kernel[0] / stride[0]) - 1) * field.jump_rows),
        ceil(field.columns + (ceil(kernel[1] / stride[1]) - 1) * field.jump_columns),
        field.jump_rows / stride[0],
        field.jump_columns / stride[1],
    )
