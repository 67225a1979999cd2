"""A segment's program as the numbers that `td_next_turn` of td_runtime.h goes through, with repeats folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROW_BITS = 6  # TD_TURN_BITS
MOST_ROWS = (1 << _ROW_BITS) - 1
MOST_STAGES = 1 << (16 - _ROW_BITS)
_MOST_REPEATED = MOST_STAGES - 1
_MOST_TIMES = 0xFFFF


class Turn(NamedTuple):
    """The next `rows` rows of a stage."""

    stage: int
    rows: int


class _Fold(NamedTuple):
    """`body` turns, `times` times, before the turn at `end`."""

    body: int
    times: int
    end: int


def encode(turns: Sequence[Turn]) -> tuple[int, ...]:
    """The shortest table for `turns` in which repeats do not nest, with its end mark. Deterministic.

    Raises ValueError for more stages or rows than an entry has room for.
    """
    for turn in turns:
        if not (0 <= turn.stage < MOST_STAGES and 0 < turn.rows <= MOST_ROWS):
            raise ValueError(f"no entry has room for {turn}")
    codes = np.array([turn.stage << _ROW_BITS | turn.rows for turn in turns], np.int64)
    folds = _folds(codes)
    # from the back: the least entries that the turns from here to the end need, and how they begin
    entries = [0] * (len(codes) + 1)
    chosen: list[_Fold | None] = [None] * len(codes)
    for at in reversed(range(len(codes))):
        entries[at] = 1 + entries[at + 1]
        for fold in folds.get(at, ()):
            needed = fold.body + 2 + entries[fold.end]
            if needed < entries[at]:
                entries[at], chosen[at] = needed, fold
    table: list[int] = []
    at = 0
    while at < len(codes):
        taken = chosen[at]
        if taken is None:
            table.append(int(codes[at]))
            at += 1
        else:
            table += codes[at : at + taken.body].tolist()
            table += [taken.body << _ROW_BITS, taken.times - 1]
            at = taken.end
    return (*table, 0)


def _folds(codes: NDArray[np.int64]) -> dict[int, list[_Fold]]:
    """By first turn, what is repeated from there as often as it goes, for every length of a body that pays."""
    found: dict[int, list[_Fold]] = {}
    count = len(codes)
    for body in range(1, min(count // 2, _MOST_REPEATED) + 1):
        differs = np.flatnonzero(codes[body:] != codes[:-body])
        # the turns from `at` on are what they were `body` turns later, for `same[at]` turns
        following = np.searchsorted(differs, np.arange(count - body))
        same = np.append(differs, count - body)[following] - np.arange(count - body)
        for at in np.flatnonzero(same >= body).tolist():
            times = min(int(same[at]) // body, _MOST_TIMES) + 1
            if body * (times - 1) > 2:
                found.setdefault(at, []).append(_Fold(body, times, at + body * times))
    return found
