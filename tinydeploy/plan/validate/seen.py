"""What the replay of a plan saw: which bytes were alive when, and which steps touched which tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

NEVER = -1


@dataclass
class Value:
    """What is written for one tensor. Stamps number its bytes from `stamp` on.

    `unit` bytes live and die together: a row, or all of it. `born`, `last`: the tick at which each unit is written
    first, and that at which it is read last. `spanned`: the last at which it lies between what is read.
    """

    tensor: int
    stamp: int
    unit: int
    born: list[int]
    last: list[int]
    spanned: list[int]

    def bear(self, first: int, end: int, tick: int) -> None:
        """The bytes `[first, end)` are written at `tick`."""
        for i in self._units(first, end):
            if self.born[i] == NEVER:
                self.born[i] = tick
            self.last[i] = tick

    def use(self, first: int, end: int, tick: int) -> None:
        """The bytes `[first, end)` are read at `tick`."""
        for i in self._units(first, end):
            self.last[i] = tick

    def span(self, first: int, end: int, tick: int) -> None:
        """The bytes `[first, end)` lie between what is read at `tick`."""
        for i in self._units(first, end):
            self.spanned[i] = tick

    def given_up(self) -> list[int]:
        """The tick at which each unit is given up where that is done in order, and not under a window."""
        return list(accumulate(map(max, self.last, self.spanned), max))

    def _units(self, first: int, end: int) -> range:
        return range(first // self.unit, (end - 1) // self.unit + 1 if first < end else 0)


@dataclass(frozen=True)
class Working:
    """An operator's scratch or accumulators: `bytes` in use during ticks `[first, end)` of step `step`."""

    operator: int
    step: int
    first: int
    end: int
    bytes: int


@dataclass(frozen=True)
class Overlap:
    """At `tick`, a result may lie over what it is made from: `bytes` of it over those of the values' units that are
    not needed afterwards, `(value, first byte, end byte)`. `shared`: bytes that do lie over each other, aligned."""

    tick: int
    bytes: int
    inputs: tuple[tuple[Value, int, int], ...]
    shared: int


@dataclass
class Seen:
    """What the replay saw.

    A tick is the unit of its time: a row step, or a whole step. `ticks`: of each step, half-open; in a plan that goes
    by rows an elided step has none. `exact`: no operator goes by rows, every step is a tick, every value lives as a
    whole.
    `row_bytes`: of each tensor. `written`: of each tensor the first step that does so and the last; `read`: the last.
    `steps_of`: each operator's steps, and under −1 − t those that feed input t.
    """

    exact: bool
    row_bytes: dict[int, int] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    ticks: list[tuple[int, int]] = field(default_factory=list)
    written: dict[int, tuple[int, int]] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    steps_of: dict[int, list[int]] = field(default_factory=dict)
    working: list[Working] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
