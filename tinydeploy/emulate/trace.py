"""What a traced run recorded: read, and put together as slices of time that lie inside one another.

A slice is a function from its call to its return, or a layer from its marker to the next. A layer's slice lies inside
the function that wrote the marker, and around what is called from there; where a function ends in the middle of a layer
the layer's slice ends with it and another one begins behind, and where a marker is written deeper the functions on the
way are cut in two. So at every moment the open layer is the step that is counted, and the innermost function the one
that runs: exclusive counts of slices add up to `RunResult.instructions_by_function`, layers' to `_by_step`.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tinydeploy.emulate.hook import CALL, JUMP, MARK, NO_STEP, HookState, HookTrace
from tinydeploy.emulate.types import Trace

MOST_EVENTS = 1 << 21
"""Events for which a trace has room: 48 MiB here, and about as many megabytes of JSON as a viewer can take."""

_EVENT = struct.Struct("<QQII")


def recorded(trace: HookTrace, functions: Sequence[str], state: HookState) -> Trace:
    """The trace of a run that has ended. A full one ends where its last event is."""
    record = ctypes.string_at(trace.events, trace.total * _EVENT.size) if trace.total else b""
    end = (int(state.instructions), int(state.cycles))
    if trace.full and record:
        end = _EVENT.unpack_from(record, len(record) - _EVENT.size)[:2]
    return Trace(tuple(functions), record, *end, complete=not trace.full)


class Edge(NamedTuple):
    """A slice begins or ends. `layer`: `number` is a marker's, not a function's index; `turn` counts that marker's
    occurrences from 0. `instructions`, `cycles`: since the start of the run."""

    begins: bool
    layer: bool
    number: int
    turn: int
    instructions: int
    cycles: int


class _Slice(NamedTuple):
    layer: bool
    number: int
    turn: int


def edges(trace: Trace) -> Iterator[Edge]:
    """Begins and ends in order, each end that of the innermost open slice. Slices of no instructions are left out."""
    begun: list[Edge] = []  # held back until something happens in them
    for edge in _edges(trace):
        if begun and begun[-1].instructions == edge.instructions and not edge.begins:
            begun.pop()
            continue
        if begun and begun[-1].instructions != edge.instructions:
            yield from begun
            begun.clear()
        if edge.begins:
            begun.append(edge)
        else:
            yield edge


def _edges(trace: Trace) -> Iterator[Edge]:
    stack: list[_Slice] = []
    turns: dict[int, int] = {}
    for instructions, cycles, kind, what in _EVENT.iter_unpack(trace.record):
        now = (instructions, cycles)
        if kind == CALL:
            yield from _begin(stack, [_Slice(False, what, 0)], now)
        elif kind == MARK:
            open_layer = next((i for i, s in enumerate(stack) if s.layer), len(stack))
            around = [s for s in stack[open_layer:] if not s.layer]
            yield from _end(stack, len(stack) - open_layer, now)
            if what == NO_STEP:
                yield from _begin(stack, around, now)
            else:
                turn = turns[what] = turns.get(what, -1) + 1
                yield from _begin(stack, [*around, _Slice(True, what, turn)], now)
        else:
            layer = [stack[-1]] if stack[-1].layer else []
            yield from _end(stack, 1 + len(layer), now)
            follows = [_Slice(False, what, 0)] if kind == JUMP else []
            yield from _begin(stack, [*follows, *layer], now)
    yield from _end(stack, len(stack), (trace.instructions, trace.cycles))


def _begin(stack: list[_Slice], slices: Iterable[_Slice], now: tuple[int, int]) -> Iterator[Edge]:
    for s in slices:
        stack.append(s)
        yield Edge(True, *s, *now)


def _end(stack: list[_Slice], number: int, now: tuple[int, int]) -> Iterator[Edge]:
    for _ in range(number):
        yield Edge(False, *stack.pop(), *now)
