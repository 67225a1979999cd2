"""Calibration data: loaded, chosen evenly, and refused where ranges made from them could not be right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

import numpy as np

from tinydeploy.convert.data.columns import Column, spread
from tinydeploy.convert.data.find import find_data
from tinydeploy.convert.types import Array, Calibration, InputSpec, Pixels
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

ENOUGH_SAMPLES = 50
"""Below that, a warning: the converter's own guide asks for 100 to 500 samples."""

OUTLIER_FACTOR = 10.0
"""A largest magnitude that many times the 99.9th percentile of magnitudes is told: it makes the scale alone."""

_NAMES = ("x", "x_train", "inputs")
_SENSIBLE = "100 to 500 samples as the device will see them are sensible"


def load_calibration(
    spec: str,
    wanted: Sequence[InputSpec],
    *,
    most: int,
    pixels: Pixels | None = None,
    scaled: Collection[str] = (),
) -> Calibration:
    """At most `most` samples of what `spec` names, evenly spread over it. `scaled`: the inputs that the model itself
    scales, of which no scaled values are expected.

    spec: a .npz file (arrays by the inputs' names, or arr_0, arr_1, …; for one input also `x`, `x_train`, `inputs`, or
    the only array), a .npy file, a folder of .npy files or of images, or `module:function` (see `drawn.draw`).
    Raises `UsageError` for data that cannot be right, and `MissingToolError` for images without Pillow.
    """
    if most < 2:
        raise UsageError(f"{most} calibration sample(s) are too few", hint=_SENSIBLE)
    data = find_data(spec, wanted, names=_NAMES, pixels=pixels)
    where = f"calibration {printable(spec, 200)}"
    if data.count < 2:
        holds = "no samples" if data.count == 0 else "one sample"
        raise UsageError(f"{where} holds {holds}, from which no ranges can be had", hint=_SENSIBLE)
    chosen = spread(data.count, most)
    stacks = {each.name: data.columns[each.name].read(chosen) for each in wanted}
    for each in wanted:
        _refuse(where, each, stacks[each.name], chosen)
    if all(_same(stack) for stack in stacks.values()):
        raise UsageError(f"{where}: all {len(chosen)} samples are the same", hint=_SENSIBLE)
    warnings = list(data.warnings)
    if len(chosen) < ENOUGH_SAMPLES:
        warnings.append(f"{where}: {len(chosen)} samples are few; {_SENSIBLE}")
    warnings += _repeated(where, stacks)
    for each in wanted:
        if each.name not in scaled:
            warnings += _unscaled(where, each, stacks[each.name], data.columns[each.name])
        warnings += _suspicious(where, each, stacks[each.name])
    return Calibration(
        samples=tuple({name: stack[i : i + 1] for name, stack in stacks.items()} for i in range(len(chosen))),
        spec=spec,
        sha256=digest(stacks),
        available=data.count,
        warnings=tuple(warnings),
        notes=data.notes,
    )


def digest(arrays: Mapping[str, Array]) -> str:
    """SHA-256 of arrays in order: of each its name, type and shape, and its elements' bytes, little-endian."""
    state = sha256()
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        state.update(f"{len(name.encode())} {name} {plain.dtype.str} {list(plain.shape)} ".encode())
        state.update(plain.tobytes())
    return state.hexdigest()


def refuse_not_finite(where: str, wanted: InputSpec, stack: Array, chosen: Sequence[int]) -> None:
    """Raise `UsageError` that names the first sample with NaN or infinity."""
    if stack.dtype.kind != "f":
        return
    bad = ~np.isfinite(stack).reshape(len(stack), -1).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        what = "NaN" if np.isnan(stack[first]).any() else "infinity"
        raise UsageError(
            f"{where}: input '{printable(wanted.name)}': sample {chosen[first]} holds {what} "
            f"({np.count_nonzero(bad)} of {len(stack)} samples do)",
            hint="leave these samples out, or mend what makes them",
        )


def _refuse(where: str, wanted: InputSpec, stack: Array, chosen: Sequence[int]) -> None:
    refuse_not_finite(where, wanted, stack, chosen)
    if stack.dtype.kind == "f" and stack.size and stack.min() == stack.max():
        raise UsageError(
            f"{where}: every value of input '{printable(wanted.name)}' is {stack.flat[0]:g}",
            hint="ranges can only be had from data that vary as the device's will",
        )


def _same(stack: Array) -> bool:
    return bool((stack == stack[:1]).all())


def _repeated(where: str, stacks: Mapping[str, Array]) -> list[str]:
    count = len(next(iter(stacks.values())))
    seen = {digest({name: stack[i] for name, stack in stacks.items()}) for i in range(count)}
    return [f"{where}: {count - len(seen)} of {count} samples are repetitions"] if len(seen) < count else []


def _unscaled(where: str, wanted: InputSpec, stack: Array, column: Column) -> list[str]:
    name = f"{where}: input '{printable(wanted.name)}'"
    low, high = float(stack.min()), float(stack.max())
    if not wanted.dtype.startswith("float"):
        return []
    if not column.dtype.startswith("float"):
        return [f"{name} is float, and the data are {column.dtype} of {low:g}..{high:g}: are they scaled?"]
    if low >= 0 and 128 <= high <= 255:
        return [f"{name}: values up to {high:g}, and the model does not begin with scaling them"]
    return []


def _suspicious(where: str, wanted: InputSpec, stack: Array) -> list[str]:
    """What need not be wrong, and often is."""
    name = f"{where}: input '{printable(wanted.name)}'"
    found = []
    if wanted.dtype.startswith("float"):
        magnitudes = np.abs(stack)
        usual = float(np.quantile(magnitudes, 0.999))
        if usual and magnitudes.max() > OUTLIER_FACTOR * usual:
            found.append(
                f"{name}: the largest magnitude, {magnitudes.max():g}, is {magnitudes.max() / usual:.0f} times the "
                f"99.9th percentile, {usual:g}: a few values make the scale"
            )
    if stack.ndim > 1 and stack.shape[-1] > 1:
        flat = stack.reshape(-1, stack.shape[-1])
        still = np.flatnonzero((flat == flat[:1]).all(axis=0))
        if len(still):
            places = ", ".join(str(i) for i in still[:5]) + (", …" if len(still) > 5 else "")
            what = "features" if stack.ndim == 2 else "channels"
            found.append(f"{name}: {len(still)} of {stack.shape[-1]} {what} never change: {places}")
    if _same(stack):
        found.append(f"{name} is the same in all samples")
    return found
