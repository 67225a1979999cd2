"""The placement of TensorFlow Lite Micro: the rules of its `GreedyMemoryPlanner`, ties and leftovers included.

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A buffer to place. It lives in the scopes `first … last`, both included; `fixed` is an offset given offline."""

    bytes: int
    first: int
    last: int
    fixed: int | None = None


def place(requests: Sequence[Request]) -> tuple[int, ...]:
    """The offset of each buffer, in bytes.

    Offline placed buffers come first, in their order; then the others by falling size, of equal ones the last
    requested first. Each goes into the lowest gap that is left between the buffers that live at the same time.
    """
    fixed = [i for i, request in enumerate(requests) if request.fixed is not None]
    online = [i for i in reversed(range(len(requests))) if requests[i].fixed is None]
    online.sort(key=lambda i: -requests[i].bytes)  # stable, as TFLM's sort is
    offsets = [0] * len(requests)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last: by offset, of equal ones the older first
    for index in fixed + online:
        request = requests[index]
        offset = _lowest_gap(request, placed) if request.fixed is None else request.fixed
        offsets[index] = offset
        at = bisect_right(placed, offset, key=_offset)
        placed.insert(at, (offset, offset + request.bytes, request.first, request.last))
    return tuple(offsets)


def height(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """The first byte above all buffers."""
    return max((offset + request.bytes for offset, request in zip(offsets, requests, strict=True)), default=0)


def _lowest_gap(request: Request, placed: Sequence[tuple[int, int, int, int]]) -> int:
    candidate = 0
    for offset, end, first, last in placed:
        if first > request.last or request.first > last:
            continue
        if offset - candidate >= request.bytes:
            break
        candidate = max(candidate, end)
    return candidate


def _offset(entry: tuple[int, int, int, int]) -> int:
    return entry[0]
