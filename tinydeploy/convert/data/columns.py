"""`Column`: the samples that a user's data hold for one input, in the model's shape, read when wanted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from tinydeploy.convert.data.pixels import pixel_values
from tinydeploy.convert.types import Array, InputSpec, Pixels
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable


@dataclass(frozen=True)
class Column:
    """`read(indices)` gives those of `count` samples, [len(indices), *shape], in the model's dtype.

    `dtype` is that of the data; `notes` tell what was done to the data to make them fit.
    """

    count: int
    dtype: str
    read: Callable[[Sequence[int]], Array]
    notes: tuple[str, ...] = ()


def spread(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of the indices below `count`: all, or the middles of `most` equal parts."""
    if count <= most:
        return tuple(range(count))
    return tuple((2 * part + 1) * count // (2 * most) for part in range(most))


def array_column(array: Array, wanted: InputSpec, where: str, pixels: Pixels | None) -> Column:
    """A column over an array that may be mapped from a file: samples first, or one sample without that axis.

    A last axis of 1 may be missing, and a batch axis of 1 may stand behind the first. uint8 data for a float input
    become what `pixels` says, if it is given. Raises `UsageError` that names expected and found.
    """
    _check_dtype(array, where)
    stack, notes = _fitted(array, wanted, where)
    mapped = pixels is not None and array.dtype == np.uint8 and wanted.dtype.startswith("float")
    if mapped and pixels is not None:
        notes = (*notes, f"{where}: uint8 data became {pixels.low:g}..{pixels.high:g}, as --pixels says")

    def read(indices: Sequence[int]) -> Array:
        chosen = np.ascontiguousarray(stack[list(indices)])
        return from_pixels(chosen, wanted, pixels, where) if mapped and pixels else _cast(chosen, wanted, where)

    return Column(len(stack), "float32" if mapped else array.dtype.name, read, notes)


def joined(columns: Sequence[Column]) -> Column:
    """Several columns of one input, one behind the other."""
    ends = list(accumulate(column.count for column in columns))

    def read(indices: Sequence[int]) -> Array:
        parts = []
        for index in indices:
            at = bisect_right(ends, index)
            parts.append(columns[at].read([index - ends[at] + columns[at].count]))
        return np.concatenate(parts)

    notes = tuple(dict.fromkeys(note for column in columns for note in column.notes))
    return Column(ends[-1] if ends else 0, columns[0].dtype if columns else "float32", read, notes)


def from_pixels(values: Array, wanted: InputSpec, pixels: Pixels, where: str) -> Array:
    """uint8 pixels as the model's input, the same floats as the generated helpers have."""
    return _cast(pixel_values(pixels)[values], wanted, where)


def _check_dtype(array: Array, where: str) -> None:
    if array.dtype.kind in "biuf":
        return
    kinds = {"U": "strings", "S": "strings", "c": "complex numbers", "O": "Python objects", "V": "records"}
    found = kinds.get(array.dtype.kind, printable(str(array.dtype)))
    raise UsageError(f"{where} holds {found}, not numbers", hint="give an array of float32")


def _fitted(array: Array, wanted: InputSpec, where: str) -> tuple[Array, tuple[str, ...]]:
    """A view of the array as [samples, *wanted.shape], and what had to be told about it. The source's order of axes
    goes before the model's."""
    expected = wanted.shape
    if wanted.source_axes:
        extents = dict(zip(wanted.source_axes, wanted.shape, strict=True))
        expected = tuple(extents[axis] for axis in range(len(extents)))
        turned = _stacked(array, expected, where)
        if turned is not None:
            return np.transpose(turned[0], (0, *(axis + 1 for axis in wanted.source_axes))), turned[1]
    found = _stacked(array, wanted.shape, where)
    if found is not None:
        return found
    hint = None
    if len(expected) == 3 and array.shape[-3:] == (expected[2], expected[0], expected[1]):
        hint = "channels come last here: np.moveaxis(x, -3, -1)"
    elif array.ndim <= 1:
        hint = "are these labels, or one feature?"
    raise UsageError(
        f"{where}: input '{printable(wanted.name)}' expects [{', '.join(('samples', *map(str, expected)))}], "
        f"found {list(array.shape)} of {array.dtype.name}",
        hint=hint,
    )


def _stacked(array: Array, shape: tuple[int, ...], where: str) -> tuple[Array, tuple[str, ...]] | None:
    found = array.shape
    if found and found[1:] == shape:
        return array, ()
    if found == shape:
        return array[np.newaxis], ()
    if len(found) > 1 and found[1] == 1 and found[2:] == shape:
        return array[:, 0], ()
    if shape and shape[-1] == 1:
        note = f"{where}: a last axis of 1 was added to data of shape {list(found)}"
        if found and found[1:] == shape[:-1]:
            return array[..., np.newaxis], (note,)
        if found == shape[:-1]:
            return array[np.newaxis, ..., np.newaxis], (note,)
    return None


def _cast(values: Array, wanted: InputSpec, where: str) -> Array:
    dtype = np.dtype(wanted.dtype)
    if dtype.kind in "iub" and values.size and values.dtype.kind in "iuf":
        limits = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        whole = np.isfinite(values).all() and bool((values == np.trunc(values)).all())
        if not whole or values.min() < limits[0] or values.max() > limits[1]:
            raise UsageError(
                f"{where}: input '{printable(wanted.name)}' is {wanted.dtype}, and the data are not whole numbers of "
                f"{limits[0]}..{limits[1]}"
            )
    with np.errstate(over="ignore"):
        return values.astype(dtype)
