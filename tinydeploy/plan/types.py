"""The planner's values: `Problem` in, `Plan` out. Bytes are integers, live ranges are half-open in steps.

A plan is a program of steps. Today each step computes all rows of an operator; `Step.first_row`/`end_row` and
`Placement.ring_rows` are where a step of some rows and a tensor kept as a ring of its last rows go.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.units import align_up

ALIGNMENT = 16  # of every buffer in an arena, in bytes: what TensorFlow Lite Micro uses, too


@dataclass(frozen=True)
class Buffer:
    """Something that needs `bytes` of an arena during steps `[first, end)`.

    Several tensors share one buffer when they are the same bytes (a reshape) or are computed in place.
    `tensors` are tensor indices; empty for an operator's scratch, whose operator is then `scratch_of`.
    `persistent`: a variable tensor, alive from before the first invoke to after the last.
    `profile`: the bytes in use over time, as `(first, end, bytes)` from the buffer's start, where they are not `bytes`
    all along: a smaller result written over a larger input leaves the rest of the buffer to others. Empty otherwise.
    """

    id: int
    bytes: int
    first: int
    end: int
    tensors: tuple[int, ...] = ()
    scratch_of: int | None = None
    persistent: bool = False
    alignment: int = ALIGNMENT
    profile: tuple[tuple[int, int, int], ...] = ()

    @property
    def aligned_bytes(self) -> int:
        """Size rounded up to the alignment."""
        return align_up(self.bytes, self.alignment)

    @property
    def pieces(self) -> tuple[tuple[int, int, int], ...]:
        """The live range as `(first, end, aligned bytes)`, in order; one piece unless there is a profile."""
        parts = self.profile or ((self.first, self.end, self.bytes),)
        return tuple((first, end, align_up(size, self.alignment)) for first, end, size in parts)


@dataclass(frozen=True)
class Step:
    """One line of the program: compute rows `[first_row, end_row)` of an operator's output.

    `elided`: nothing runs, because the output is the input's bytes.
    """

    operator: int
    first_row: int
    end_row: int
    elided: bool = False


@dataclass(frozen=True)
class Problem:
    """What must be placed: the program's steps, and the buffers with their live ranges.

    `tensor_ranges` gives each tensor's own live range, which can be shorter than its buffer's.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    tensor_ranges: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies: `region` of the board ("" until a board is chosen), `offset` bytes into that arena.

    `ring_rows`: how many rows are kept; equal to the tensor's rows when it is whole.
    """

    tensor: int
    buffer: int
    offset: int
    first: int
    end: int
    ring_rows: int
    region: str = ""


@dataclass(frozen=True)
class Proof:
    """How good an arena is. `optimal` only where proved; `method` says how, in words.

    `exhaustive`: an exact search finished and found nothing smaller, so the arena is optimal above its lower bound.
    """

    lower_bound_bytes: int
    optimal: bool
    method: str
    exhaustive: bool = False


@dataclass(frozen=True)
class Peak:
    """Who is to blame: the step at which the most bytes are alive, and the buffers alive then, largest first."""

    step: int
    live_bytes: int
    buffers: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The program, each buffer's offset (`offsets[buffer id]`), each tensor's place, and the proof."""

    problem: Problem
    offsets: tuple[int, ...]
    placements: dict[int, Placement]
    arena_bytes: int
    alignment: int
    proof: Proof
    peak: Peak
    live_bytes: tuple[int, ...]
    scratch_offsets: dict[int, int]


@dataclass(frozen=True)
class Shrink:
    """What would have to shrink for a model to fit: at `step`, the tensors alive then (largest first) together with
    the step's scratch, by at least `over_bytes`."""

    step: int
    over_bytes: int
    tensors: tuple[int, ...]
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Memory:
    """One line of the fit: what is used of what there is, and of which kind the figure is."""

    name: str
    used_bytes: int
    capacity_bytes: int
    kind: str

    @property
    def over_bytes(self) -> int:
        """By how much it does not fit; 0 when it does."""
        return max(0, self.used_bytes - self.capacity_bytes)
