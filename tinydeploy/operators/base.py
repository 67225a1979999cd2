"""What an operator must say about itself: its rules, its cost, what the planner may do with it, and its C.

Each family is one module beside this one. `registry.py` collects them; nothing else lists operators.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Operator, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinydeploy.boards import Core


@dataclass(frozen=True)
class Work:
    """What one operator costs, in counts.

    `params` are weights without bias; `macs` multiply-accumulates (bias ignored); `ops` the arithmetic that is not
    a MAC (comparisons of a max pool, additions of an average pool, one for each element of an activation function, …).
    `counted` says in words how `ops` was counted.
    """

    params: int = 0
    macs: int = 0
    ops: int = 0
    counted: str = ""


@dataclass(frozen=True)
class Window:
    """Which input rows and columns an output row and column need: for receptive fields and for streaming.

    Output row y needs input rows `[y·stride_h − pad_top, y·stride_h − pad_top + kernel_h)`, every `dilation_h`-th of
    them; `kernel_*` are extents after dilation.
    """

    kernel_h: int
    kernel_w: int
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1


@dataclass(frozen=True)
class Memory:
    """What the planner may do with an operator's tensors.

    `scratch_bytes`: arena bytes needed during the step alone. `alias`: input position whose bytes *are* the output
    (reshape-like; no code runs when both lie at the same place). `in_place`: input positions that the output may
    lie exactly over, if that input is dead afterwards (element-wise operators). `parts`: nothing need run if the
    input at each position lies that many bytes into the output (a concatenation of whole blocks), `cuts`: if each
    output lies that many bytes into the input at position `cut_from` (a split into whole blocks).
    """

    scratch_bytes: int = 0
    alias: int | None = None
    in_place: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()
    cut_from: int = 0


Span = tuple[int, int]
"""Rows `[first, end)`."""


@dataclass(frozen=True)
class Rows:
    """How an operator goes row by row (rows as in `rows_of`), for streaming.

    Row step r of `len(writes)` reads the rows `reads[p][r]` of the input at position p and then writes the rows
    `writes[r]` of every output; an empty span is nothing. Neither end of a span ever goes back from one step to the
    next. Inputs that are not in `reads` are constants. Steps are usually output rows; an operator that adds rows up
    has one step for each input row, writes in the last one alone, and keeps `accumulator_bytes` from its first step
    to its last.
    `solid`: input positions whose rows the kernel reads across, so that they must lie one behind the other.
    `one_at_a_time`: a step calls several kernels, each of which goes through all the rows that it is given, so that
    row steps are in order only when they are called one by one.
    """

    reads: Mapping[int, tuple[Span, ...]]
    writes: tuple[Span, ...]
    accumulator_bytes: int = 0
    solid: frozenset[int] = frozenset()
    one_at_a_time: bool = False


@dataclass(frozen=True)
class ConstArray:
    """A constant table for the generated C: `values` becomes `static const <ctype> name[]`. Equal tables are merged.

    `role` is `weights`, `bias` or `table` and decides under which head the flash is reported.
    """

    ctype: str
    values: NDArray[np.generic]
    role: str

    @property
    def bytes(self) -> int:
        """Bytes in flash."""
        return int(self.values.nbytes)


@dataclass(frozen=True)
class FillRow(ConstArray):
    """A row of one repeated byte: what a window reads outside its input. All rows of one value share the longest."""


def zero_row(value: int, count: int) -> FillRow:
    """`count` bytes of the zero point `value`."""
    import numpy as np

    return FillRow("int8_t", np.full(count, value, np.int8), "table")


@dataclass(frozen=True)
class KernelCall:
    """How a step is emitted: `function(&table, arena, inputs…, output[, accumulators], first, end[, window])`.

    `first` and `end` are row steps: output rows, or input rows where the kernel adds them up in `accumulators`.
    `table` holds the fields of the C struct `function + "_t"`: integers, exact single-precision floats or arrays.
    `inputs` are tensor indices in call order. `window_rows` is the number of row pointers the kernel wants (0: none).
    `source` names the kernel's file in firmware/kernels/ without extension.
    """

    function: str
    source: str
    table: Mapping[str, int | float | ConstArray | None]
    inputs: tuple[int, ...]
    output: int
    window_rows: int = 0
    rows: int = 1
    accumulates: bool = False
    arrays: tuple[ConstArray, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = tuple(v for v in self.table.values() if isinstance(v, ConstArray))
        object.__setattr__(self, "arrays", found)


Emission = KernelCall | tuple[KernelCall, ...]
"""What a step calls: one kernel by rows, or several in order, which then all compute the whole output."""


class OperatorKind(ABC):
    """One opcode. Instances hold no state.

    `check` raises `UnsupportedModelError` when an int8 kernel cannot compute this operator exactly; it must leave
    nothing for `emit` to fail on. `work`, `window` and `memory` need shapes only, so they also serve networks without
    weights and models that are not int8.
    """

    opcode: ClassVar[str]
    runs: ClassVar[bool] = True  # False: costs only, `check` always refuses

    @abstractmethod
    def check(self, model: Model, op: Operator) -> None:
        """Raise `UnsupportedModelError` unless the kernel computes this operator bit-exactly."""

    @abstractmethod
    def work(self, model: Model, op: Operator) -> Work:
        """The operator's cost."""

    def memory(self, model: Model, op: Operator) -> Memory:
        """What the planner may do; by default nothing special."""
        return Memory()

    def window(self, model: Model, op: Operator) -> Window | None:
        """The window over the first input, or None when every output needs the whole input."""
        return None

    def rows(self, model: Model, op: Operator) -> Rows | None:
        """How the operator goes row by row, or None: one step needs the whole inputs and makes the whole outputs."""
        return None

    def emit_rows(self, model: Model, op: Operator) -> Emission:
        """As `emit`, for steps of some rows of `rows`: each call computes the rows that it is given."""
        return self.emit(model, op)

    def caveat(self, model: Model, op: Operator) -> str | None:
        """What the reference computes here that the model's author may not have meant, or None. Only after `check`."""
        return None

    def slow(self, model: Model, op: Operator, core: Core) -> str | None:
        """Why the kernel goes a slow way here: the general one, for shapes that its fast loops do not cover, or through
        library calls for what the core cannot do. None where it does not. Only after `check`."""
        return None

    @abstractmethod
    def emit(self, model: Model, op: Operator) -> Emission:
        """The kernel call, or calls, with their constant tables. Only after `check`, and only for models with data."""


def refuse(
    model: Model, op: Operator, why: str, *, tensor: Tensor | None = None, hint: str | None = None
) -> UnsupportedModelError:
    """The error that names file, operator and tensor; for `raise refuse(…)`."""
    where = f"{printable(model.path or model.name, 400)}: {op}"
    if tensor is not None:
        where += f", tensor {tensor.index} '{printable(tensor.name)}'"
    return UnsupportedModelError(f"{where}: {why}", hint=hint)


def printable(text: str, limit: int = 80) -> str:
    """A name from a model file, made fit for one line of a terminal: control characters escaped, shortened."""
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


CONVERT_HINT = (
    "convert with full integer quantization: converter.optimizations = [tf.lite.Optimize.DEFAULT], a "
    "representative_dataset, and supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)

_INT16_HINT = (
    "models with int16 activations run with TensorFlow Lite Micro: tinydeploy export --runtime tflm; the kernels here "
    "are for int8 activations"
)

# what a model is made of that was converted otherwise: float, dynamic range, float16, and int8 × int16
_OTHER_CONVERSIONS = {DType.FLOAT32: CONVERT_HINT, DType.FLOAT16: CONVERT_HINT, DType.INT16: _INT16_HINT}


def rows_of(tensor: Tensor) -> tuple[int, int]:
    """How the runtime sees a tensor as rows: (number of rows, bytes per row).

    Tensors of rank 4 are N·H rows of W·C elements; others are rows along all axes but the last.
    """
    if not tensor.shape:
        return 1, tensor.dtype.bytes
    if len(tensor.shape) == 4:
        rows = tensor.shape[0] * tensor.shape[1]
    else:
        rows = 1
        for extent in tensor.shape[:-1]:
            rows *= extent
    return rows, tensor.bytes // rows if rows else 0


def window_rows(model: Model, op: Operator, window: Window) -> Rows:
    """The rows of an operator whose window slides over its first input, both of rank 4."""
    images, in_h, _, _ = model.tensor(op.inputs[0]).shape
    out_h = model.output_of(op).shape[1]
    spans = _window_spans(window, in_h, out_h)
    reads = tuple((image * in_h + first, image * in_h + end) for image in range(images) for first, end in spans)
    return Rows({0: reads}, one_by_one(images * out_h))


def _window_spans(window: Window, in_h: int, out_h: int) -> list[Span]:
    """For each output row, the input rows from the first to the last that it reads, or that others make it span.

    A dilated window may step over all rows, or read a row above those of the window before it.
    """
    firsts, ends = [in_h] * out_h, [0] * out_h
    for y in range(out_h):
        top = y * window.stride_h - window.pad_top
        met = [at for at in range(top, top + window.kernel_h, window.dilation_h) if 0 <= at < in_h]
        if met:
            firsts[y], ends[y] = met[0], met[-1] + 1
    ends = list(accumulate(ends, max))
    firsts = list(accumulate(reversed(firsts), min))[::-1]
    return [(min(first, end), end) for first, end in zip(firsts, ends, strict=True)]


def same_rows(model: Model, op: Operator) -> Rows | None:
    """The rows of an operator that makes row r from row r of its first input; None where they are cut otherwise."""
    count = rows_of(model.output_of(op))[0]
    if rows_of(model.tensor(op.inputs[0]))[0] != count:
        return None
    return Rows({0: one_by_one(count)}, one_by_one(count))


def one_by_one(count: int) -> tuple[Span, ...]:
    """`count` rows, one after the other."""
    return tuple((r, r + 1) for r in range(count))


def require_dtype(model: Model, op: Operator, tensor: Tensor, *allowed: DType) -> None:
    """Raise unless the tensor has one of the types; what another conversion makes gets the conversion hint."""
    if tensor.dtype not in allowed:
        wanted = " or ".join(t.label for t in allowed)
        hint = _OTHER_CONVERSIONS.get(tensor.dtype)
        raise refuse(model, op, f"is {tensor.dtype.label}, {wanted} is needed", tensor=tensor, hint=hint)
