"""Which layer of one model is which of another: by name where names are kept, else by what it is and its place."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.diff.snapshot import Layer

_MOST_PAIRS = 4_000_000  # beyond these, what lies between equal layers counts as gone and new
_SAME_NAME = 4.0
_SAME_SHAPE = 2.0
_SAME_PARAMS = 1.0


def align(before: Sequence[Layer], after: Sequence[Layer]) -> list[tuple[Layer | None, Layer | None]]:
    """Pairs in order; None stands for a layer that the other side does not have.

    Only layers of one opcode are paired, and pairs do not cross. Of all such ways it is the one whose pairs have most
    in common: the name, the output's shape, the parameters.
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
    return (a.opcode, a.name, a.figures.get("output_shape")) == (b.opcode, b.name, b.figures.get("output_shape"))


def _between(before: Sequence[Layer], after: Sequence[Layer]) -> list[tuple[Layer | None, Layer | None]]:
    if len(before) * len(after) > _MOST_PAIRS:
        return [*((layer, None) for layer in before), *((None, layer) for layer in after)]
    # best[i][j]: the most that the layers from i and j on can have in common
    best = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i in reversed(range(len(before))):
        for j in reversed(range(len(after))):
            alone = max(best[i + 1][j], best[i][j + 1])
            worth = _worth(before[i], after[j])
            best[i][j] = max(alone, worth + best[i + 1][j + 1]) if worth else alone
    pairs: list[tuple[Layer | None, Layer | None]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        worth = _worth(before[i], after[j])
        if worth and best[i][j] == worth + best[i + 1][j + 1]:
            pairs.append((before[i], after[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
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
    worth = 1.0 + _SAME_NAME * (a.name == b.name)
    worth += _SAME_SHAPE * (a.figures.get("output_shape") == b.figures.get("output_shape"))
    return worth + _SAME_PARAMS * (a.figures.get("params") == b.figures.get("params"))
