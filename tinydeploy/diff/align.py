"""Which layer of one model is which of another: by name where names are kept, else by what it is and its place."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.diff.snapshot import Layer

_MOST_PAIRS = 1_000_000  # of layers that are compared with one another; it bounds how far from each other they may be
_SAME_CONSTANTS = 8.0
_SAME_NAME = 2.5  # less than shape and parameters together: frameworks number their layers anew when one comes between
_SAME_SHAPE = 2.0
_SAME_PARAMS = 1.0


def align(before: Sequence[Layer], after: Sequence[Layer]) -> list[tuple[Layer | None, Layer | None]]:
    """Pairs in order; None stands for a layer that the other side does not have.

    Only layers of one opcode are paired, and pairs do not cross. Of all such ways it is the one whose pairs have most
    in common: the constants' values, the name, the output's shape, the parameters. Where there are thousands of layers,
    those of a pair are at about the same place of both models.
    """
    first = 0
    while first < min(len(before), len(after)) and _same(before[first], after[first]):
        first += 1
    last = 0
    while last < min(len(before), len(after)) - first and _same(before[-1 - last], after[-1 - last]):
        last += 1
    head = list(zip(before[:first], after[:first], strict=True))
    tail = list(zip(before[len(before) - last :], after[len(after) - last :], strict=True))
    return [*head, *_between(before[first : len(before) - last], after[first : len(after) - last]), *tail]


def _same(a: Layer, b: Layer) -> bool:
    return a.name == b.name and a.opcode == b.opcode and all(_alike(a, b, key) for key in ("output_shape", "constants"))


def _alike(a: Layer, b: Layer, figure: str) -> bool:
    return a.figures.get(figure) == b.figures.get(figure)


def _between(before: Sequence[Layer], after: Sequence[Layer]) -> list[tuple[Layer | None, Layer | None]]:
    reach = _MOST_PAIRS // (2 * max(len(before), 1)) + 1
    middles = [i * len(after) // max(len(before), 1) for i in range(len(before))]
    lows = [max(0, middle - reach) for middle in middles]
    # best[i][j - lows[i]]: the most that the layers from i and j on can have in common
    best: list[list[float]] = [[] for _ in before]

    def most(i: int, j: int) -> float:
        return best[i][max(j - lows[i], 0)] if i < len(before) and j - lows[i] < len(best[i]) else 0.0

    for i in reversed(range(len(before))):
        row = [0.0] * (min(len(after), middles[i] + reach) - lows[i])
        best[i] = row
        right = 0.0
        for at in reversed(range(len(row))):
            j = lows[i] + at
            worth = _worth(before[i], after[j])
            right = max(right, most(i + 1, j), worth + most(i + 1, j + 1) if worth else 0.0)
            row[at] = right
    pairs: list[tuple[Layer | None, Layer | None]] = []
    i = j = 0
    while most(i, j):
        worth = _worth(before[i], after[j])
        if worth and most(i, j) == worth + most(i + 1, j + 1):
            pairs.append((before[i], after[j]))
            i, j = i + 1, j + 1
        elif most(i, j) == most(i + 1, j):
            pairs.append((before[i], None))
            i += 1
        else:
            pairs.append((None, after[j]))
            j += 1
    return [*pairs, *((layer, None) for layer in before[i:]), *((None, layer) for layer in after[j:])]


def _worth(a: Layer, b: Layer) -> float:
    """What two layers have in common; 0 for layers of different opcodes."""
    if a.opcode != b.opcode:
        return 0.0
    held = a.figures.get("constants")
    worth = 1.0 + _SAME_CONSTANTS * (held is not None and held == b.figures.get("constants"))
    worth += _SAME_NAME * (a.name == b.name) + _SAME_SHAPE * _alike(a, b, "output_shape")
    return worth + _SAME_PARAMS * _alike(a, b, "params")
