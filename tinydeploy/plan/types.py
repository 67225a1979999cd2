"""The planner's values: `Problem` in, `Plan` out. Bytes are integers, live ranges are half-open in steps.

A plan is a program of steps. A step runs some rows of an operator: all of them when operators run one after the
other, a few at a time where operators are streamed row by row. A tensor is whole, or a ring of its last rows, or each
of its rows has a place of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinydeploy.ir import Model
from tinydeploy.units import align_up

Execution = Literal["whole", "overlap", "streamed"]
"""whole: operators one after the other, each with its whole inputs and outputs; overlap: one after the other, but an
output may use the space of input rows that are finished with; streamed: several operators row by row, too."""

ALIGNMENT = 16  # of every buffer in an arena, in bytes: what TensorFlow Lite Micro uses, too
ROW_ALIGNMENT = 4  # of a row that has a place of its own, and of everything where rows are counted: a word
FEED = -1  # in place of an operator in a step that asks the application for rows of an input


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
    """One line of the program: the row steps `[first_row, end_row)` of an operator.

    Row steps are rows of its output, or what `operators.base.Rows` says where the operator is among `Plan.by_rows`.
    An operator's steps are in order and together all of its rows. `elided`: nothing runs, because the output is the
    input's bytes. `operator` is FEED where the application hands over these rows of the model input `feeds`.
    """

    operator: int
    first_row: int
    end_row: int
    elided: bool = False
    feeds: int | None = None


@dataclass(frozen=True)
class Problem:
    """What must be placed: the program's steps, and the buffers with their live ranges.

    `tensor_ranges` gives each tensor's own live range, which can be shorter than its buffer's.
    """

    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    tensor_ranges: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Share:
    """Bytes `[offset, offset + bytes)` of an arena, which lie in one piece of memory from `address` on.

    `region` is the board's name for it, several joined by `+` where the piece goes through neighbours.
    """

    region: str
    address: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies: `region` of the board ("" until a board is chosen), `offset` bytes into the arena.

    Row r lies at `offset + (r mod ring_rows) · bytes per row`; `ring_rows` is equal to the tensor's rows when it is
    whole. With `row_offsets` row r lies at `row_offsets[r]` instead, and `offset` is the least of them.
    """

    tensor: int
    buffer: int
    offset: int
    first: int
    end: int
    ring_rows: int
    region: str = ""
    row_offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Segment:
    """Steps `[first, end)` of the program, in which operators take turns row by row."""

    first: int
    end: int
    operators: tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """How good an arena is. `optimal` only where proved; `method` says how, in words.

    `lower_bound_bytes`: what is alive at the fullest moment of the plan's program. `floor_bytes`: what no program of
    row steps can do without, in whatever order; 0 where that was not asked. `exhaustive`: an exact search finished and
    found nothing smaller, so the arena is optimal above its lower bound. `complete`: the search for the program looked
    at all it meant to, and was not ended by its limit.
    """

    lower_bound_bytes: int
    optimal: bool
    method: str
    exhaustive: bool = False
    floor_bytes: int = 0
    complete: bool = True


@dataclass(frozen=True)
class RowsAlive:
    """Rows `[first, end)` of a buffer, with the bytes that they take; of a buffer without rows, its scratch."""

    buffer: int
    first: int
    end: int
    bytes: int


@dataclass(frozen=True)
class Peak:
    """Who is to blame: the step at which the most bytes are alive, and the buffers alive then, largest first.

    `row` is the step's row at which that is so, `rows` are the rows alive then; both only where rows are planned.
    """

    step: int
    live_bytes: int
    buffers: tuple[int, ...]
    row: int = 0
    rows: tuple[RowsAlive, ...] = ()


@dataclass(frozen=True)
class Occupied:
    """For a picture: `bytes` at `offset` of the arena that a buffer uses in steps `[first, end)`.

    A row that is given up early, or one slot of a ring, is a piece of its own; rows that come and go together are one.
    """

    buffer: int
    offset: int
    bytes: int
    first: int
    end: int


@dataclass(frozen=True)
class Plan:
    """The program, each buffer's offset (`offsets[buffer id]`), each tensor's place, and the proof.

    `scratch_offsets`: by operator, its scratch, or its accumulators where it adds rows up. `by_rows`: the operators
    whose steps are those of `operators.base.Rows`; all others run in one step. `segments`: where operators are
    streamed, in order. `fed`: the inputs that are handed over row by row. `kept`: tensors that stay readable to the
    end although the model does not return them. `shares`: where the arena is on a board, by rising offset; several
    where it is spread over memories with holes between them. Empty until a board is chosen, or where it does not fit.
    """

    problem: Problem
    offsets: tuple[int, ...]
    placements: dict[int, Placement]
    arena_bytes: int
    alignment: int
    proof: Proof
    peak: Peak
    live_bytes: tuple[int, ...]
    scratch_offsets: dict[int, int]
    execution: Execution = "whole"
    by_rows: frozenset[int] = frozenset()
    segments: tuple[Segment, ...] = ()
    fed: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    occupied: tuple[Occupied, ...] = ()
    shares: tuple[Share, ...] = ()

    @property
    def base(self) -> Share:
        """The share at the lowest address, where the pointer to the arena points. Only with shares."""
        return min(self.shares, key=lambda share: share.address)

    def distance(self, offset: int) -> int:
        """From the pointer to the arena to the byte at `offset`: more than `offset` behind holes."""
        if len(self.shares) < 2:
            return offset
        share = max((s for s in self.shares if s.offset <= offset), key=lambda s: s.offset)
        return share.address - self.base.address + offset - share.offset


@dataclass(frozen=True)
class Tenant:
    """One of several models in one arena, of which never two run at once.

    It works in `[0, working_bytes)`, which is everybody's, and in `[state_first, state_end)`, which is its own: there
    lie the tensors (indices) that `survives` names, which other models leave as they are.
    """

    model: Model
    plan: Plan
    working_bytes: int
    state_first: int
    state_end: int
    survives: tuple[int, ...]

    @property
    def state_bytes(self) -> int:
        """Bytes that are this model's alone."""
        return self.state_end - self.state_first


@dataclass(frozen=True)
class SharedArena:
    """An arena of several models: `[0, shared_bytes)` is everybody's, behind it lies the state of each."""

    tenants: tuple[Tenant, ...]
    shared_bytes: int
    arena_bytes: int
    alignment: int


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
