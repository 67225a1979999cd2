"""What a user's `module:function` gives as data: one array, arrays for all inputs, or samples one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinydeploy.convert.functions import call_function, guarded
from tinydeploy.convert.types import Array, InputSpec
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

MOST_DRAWN = 10_000
"""Samples that are taken from what gives them one after the other, which may never end."""

MOST_DRAWN_BYTES = 1 << 30


@dataclass(frozen=True)
class Drawn:
    """For each input by name the arrays that came, and the labels, samples first, where there were any."""

    inputs: Mapping[str, Sequence[Array]]
    labels: Array | None
    notes: tuple[str, ...] = ()


def draw(spec: str, wanted: Sequence[InputSpec], labels: Sequence[str]) -> Drawn:
    """Call the function and take what it gives.

    An array is samples of the only input. A tuple is an array for each input, and labels after them; a dict has
    arrays by the inputs' names, and labels by one of the names in `labels`. All else is gone through, and each element
    is an array, a tuple, a list of arrays or a dict in the same way, of one sample or of several. Raises `UsageError`.
    """
    given = call_function(spec)
    where = printable(spec, 200)
    if isinstance(given, Mapping | tuple) or _is_array(given):
        arrays, label = _parts(given, wanted, labels, where)
        return Drawn({name: [array] for name, array in arrays.items()}, label)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise UsageError(
            f"{where} gave {type(given).__name__}, not data",
            hint="return or yield arrays, tuples or dicts of arrays, or return a tf.data.Dataset",
        )
    return _one_by_one(spec, given, wanted, labels, where)


def _one_by_one(
    spec: str, given: Iterable[Any], wanted: Sequence[InputSpec], labels: Sequence[str], where: str
) -> Drawn:
    inputs: dict[str, list[Array]] = {each.name: [] for each in wanted}
    found: list[Array] = []
    rank = len(wanted[0].shape)
    count = size = 0
    notes: tuple[str, ...] = ()
    elements = iter(given)
    while True:
        element = guarded(spec, lambda: next(elements, None))
        if element is None:
            break
        arrays, label = _parts(element, wanted, labels, where)
        for name, array in arrays.items():
            inputs[name].append(array)
            size += array.nbytes
        first = arrays[wanted[0].name]
        samples = len(first) if first.ndim > rank else 1
        if label is not None:
            found.append(label if label.ndim and len(label) == samples else label[np.newaxis])
        count += samples
        if count >= MOST_DRAWN or size >= MOST_DRAWN_BYTES:
            notes = (f"{where}: no more was taken after {count:,} samples",)
            break
    return Drawn(inputs, _concatenated(found, where) if found else None, notes)


def _parts(
    given: Any, wanted: Sequence[InputSpec], labels: Sequence[str], where: str
) -> tuple[dict[str, Array], Array | None]:
    """The arrays of all inputs by name, and the labels."""
    if isinstance(given, Mapping):
        missing = [each.name for each in wanted if each.name not in given]
        if missing:
            has = ", ".join(f"'{printable(str(key))}'" for key in list(given)[:8]) or "nothing"
            raise UsageError(f"{where} gave a dict with {has}, and not '{printable(missing[0])}', an input's name")
        label = next((given[name] for name in labels if name in given), None)
        arrays = {each.name: _array(given[each.name], where) for each in wanted}
        return arrays, None if label is None else _array(label, where)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], tuple | list | Mapping):
        return _parts(given[0], wanted, (), where)[0], _array(given[1], where)
    if isinstance(given, tuple) or (isinstance(given, list) and all(_is_array(each) for each in given)):
        if len(given) not in (len(wanted), len(wanted) + 1):
            raise UsageError(
                f"{where} gave {len(given)} arrays at once, and the model has {len(wanted)} input(s)",
                hint="give an array for each input, in their order, and labels after them if there are any",
            )
        arrays = {each.name: _array(one, where) for each, one in zip(wanted, given, strict=False)}
        return arrays, _array(given[-1], where) if len(given) > len(wanted) else None
    if len(wanted) > 1:
        raise UsageError(
            f"{where} gave one array, and the model has {len(wanted)} inputs",
            hint="give a tuple of arrays in the inputs' order, or a dict by their names",
        )
    return {wanted[0].name: _array(given, where)}, None


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or callable(getattr(value, "numpy", None))


def _array(value: Any, where: str) -> Array:
    try:
        return np.asarray(value.numpy() if callable(getattr(value, "numpy", None)) else value)
    except (ValueError, TypeError, RuntimeError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"{where} gave what is no array of numbers: {printable(words, 200)}") from error


def _concatenated(labels: Sequence[Array], where: str) -> Array:
    try:
        return np.concatenate(labels)
    except ValueError as error:
        raise UsageError(f"{where} gave labels of different shapes") from error
