"""Random networks for row by row execution: maps of many odd rows, blocks whose branches take turns, and dense ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from tests.support.random_models import Rng, pick
from tests.support.random_networks import UNIFORM_RMS, Grower, Value

_SIZES = ((37, 23), (23, 11), (31, 5), (17, 17), (29, 1), (12, 13), (40, 7))


@dataclass(frozen=True)
class RowNetwork:
    """The bytes of a file; the same network with one more output, `kept`; and what is in it."""

    data: bytes
    with_kept: bytes
    kept: int
    opcodes: tuple[str, ...]


class _RowGrower(Grower):
    """As `Grower`, on larger maps and mostly on the newest tensor, so that long segments can be streamed."""

    most_elements = 9000

    def some(self, fits: Callable[[Value], bool] = lambda v: True) -> Value | None:
        found = [v for v in self.values if v.dtype == "int8" and fits(v)]
        return found[-1] if found and self.chance(0.7) else super().some(fits)

    def start(self) -> None:
        """One input: a map of up to 37×23, now and then two images of it, or a table of vectors."""
        if self.chance(0.12):
            rank = self.number(2, 3)
            shape: tuple[int, ...] = tuple(self.number(3, 24) for _ in range(rank))
        else:
            rows, columns = _SIZES[self.number(0, len(_SIZES) - 1)]
            shape = (2 if self.chance(0.15) else 1, rows, columns, self.number(1, 4))
        scale = float(np.float32(self.rng.uniform(0.01, 0.05)))
        kind = pick(self.rng, ("int8", "int8", "float32", "uint8"))
        zero = self.number(-30, 30)
        value = self.tensor(shape, (scale, zero + 128 if kind == "uint8" else zero), scale * UNIFORM_RMS, kind)
        self.inputs.append(value.index)
        self.values.append(value)
        if kind != "int8":
            self.add("QUANTIZE", [value.index], self.tensor(shape, (scale, zero), value.rms))

    def op_branches(self) -> Value | None:
        """Branches of different depths from one tensor, joined on channels, on rows, or by addition."""
        source = self.image()
        if source is None:
            return None
        ends = []
        for depth in self.rng.permutation(4)[: self.number(2, 3)]:
            value: Value | None = source
            for _ in range(int(depth)):
                value = value and self.op_convolution(value, like=True)
            ends.append(value)
        parts = [v for v in ends if v is not None]
        if len(parts) < 2:
            return None
        if self.chance(0.4):
            return self.op_pairwise(parts[0], parts[1])
        axis = 3 if self.chance(0.7) else 1
        shape = list(source.shape)
        shape[axis] *= len(parts)
        if prod(shape) > self.most_elements:
            return None
        parts = [self.requantized(v, source.quant) for v in parts]
        output = self.tensor(shape, source.quant, max(v.rms for v in parts))
        return self.add("CONCATENATION", [v.index for v in parts], output, axis=axis)

    def op_readers(self) -> Value | None:
        """One tensor read by operators with windows and strides of their own; some of the results stay outputs."""
        source = self.image()
        made = None
        for _ in range(self.number(2, 3) if source else 0):
            made = self.op_pool(source) if self.chance(0.3) else self.op_convolution(source)
        return made

    def op_row_of_means(self) -> Value | None:
        """What is added to every row: means over rows, or a gate of one value for each channel."""
        source = self.image()
        if source is None:
            return None
        mean = self.op_mean(source, (1,), keep=True)
        return mean and self.op_pairwise(source, mean)

    def op_pad(self) -> Value | None:
        """PAD of rows and columns, which convolutions take over."""
        source = self.image()
        if source is None:
            return None
        sides = [(self.number(0, 2), self.number(0, 2)) for _ in range(2)]
        n, h, w, c = source.shape
        shape = (n, h + sum(sides[0]), w + sum(sides[1]), c)
        if prod(shape) > self.most_elements:
            return None
        padded = self.add(
            "PAD",
            [source.index, self.constant(f"p{len(self.g.graph.tensors)}", [(0, 0), *sides, (0, 0)])],
            self.tensor(shape, source.quant, source.rms),
        )
        return self.op_convolution(padded)

    def end(self) -> None:
        """A global pooling, mean or maximum, and perhaps a dense layer and a SOFTMAX behind it."""
        source = self.values[-1]
        if len(source.shape) != 4 or source.dtype != "int8":
            return
        kind = pick(self.rng, ("AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "MEAN", "REDUCE_MAX"))
        output = self.tensor((source.shape[0], 1, 1, source.shape[3]), source.quant, source.rms)
        if kind.endswith("POOL_2D"):
            value = self.add(
                kind, [source.index], output, padding="VALID", activation="NONE", filter_height=source.shape[1],
                filter_width=source.shape[2], stride_h=1, stride_w=1,
            )  # fmt: skip
        else:
            axes = self.constant(f"a{len(self.g.graph.tensors)}", (1, 2))
            value = self.add(kind, [source.index, axes], output, keep_dims=True)
        dense = self.op_fully_connected() if self.chance(0.7) else None
        value = dense or value
        if value.shape[-1] > 1 and self.chance(0.5):
            self.add("SOFTMAX", [value.index], self.tensor(value.shape, (1 / 256, -128), 0.3), beta=1.0)

    def grow(self) -> None:
        kinds: list[tuple[Callable[[], Value | None], int]] = [
            (self.op_convolution, 14), (self.op_residual, 5), (self.op_branches, 5), (self.op_readers, 3),
            (self.op_pool, 4), (self.op_gate, 2), (self.op_row_of_means, 1), (self.op_pairwise, 4), (self.op_pad, 3),
            (self.op_function, 4), (self.op_resize, 2), (self.op_transpose_conv, 2), (self.op_parts, 2),
            (self.op_concatenation, 2), (self.op_extreme, 1), (self.op_slice, 1), (self.op_reshape, 1),
            (self.op_softmax, 1), (self.op_fully_connected, 1), (self.op_transpose, 1),
        ]  # fmt: skip
        weights = np.array([w for _, w in kinds], float)
        kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))][0]()


def _grown(rng: Rng) -> _RowGrower:
    grower = _RowGrower(rng)
    grower.start()
    wanted = grower.number(3, 11)
    while len(grower.opcodes) < wanted:
        grower.grow()
    if grower.chance(0.6):
        grower.end()
    return grower


def random_row_network(rng: Rng) -> RowNetwork:
    """A network of 3 to 11 operators and its end, no tensor of more than 120 rows: plans are made by row."""
    grower = _grown(rng)
    while any(prod(v.shape[: 2 if len(v.shape) == 4 else -1]) > 120 for v in grower.values):
        grower = _grown(rng)
    outputs = grower.outputs()
    others = [v.index for v in grower.values if v.index not in outputs and v.index not in grower.inputs]
    kept = others[grower.number(0, len(others) - 1)] if others else outputs[0]
    data = grower.g.build(grower.inputs, outputs)
    with_kept = grower.g.build(grower.inputs, list(dict.fromkeys([*outputs, kept])))
    return RowNetwork(data, with_kept, kept, tuple(grower.opcodes))
