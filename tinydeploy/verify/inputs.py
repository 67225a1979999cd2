"""The inputs of a run: made from a seed, or read from the user's files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.verify.types import Array, Sample

_NPY_MAGIC = b"\x93NUMPY"
_MARGIN = 1 / 16  # of the range, by which float inputs go beyond what quantizes without saturation, on each side


def random_inputs(model: Model, seed: int, samples: int) -> tuple[Sample, ...]:
    """`samples` samples for the model, the same for the same seed everywhere.

    8- and 16-bit integers are uniform over their whole type. Floats are uniform over the range that the
    QUANTIZE that reads them maps to int8, and 1/16 of it beyond on each side, so that saturation is hit, too;
    every eighth element lies on the border between two quantized values, where rounding shows. Floats that no
    QUANTIZE reads are uniform over [−1, 1]. Only PCG64's raw stream is used, which NumPy promises not to
    change (NEP 19), unlike the distributions of `Generator`. Raises `UsageError` for other input types, and
    for samples or seed out of range.
    """
    if samples < 1:
        raise UsageError(f"at least one sample is needed, got {samples}")
    if seed < 0:
        raise UsageError(f"the seed must not be negative, got {seed}")
    stream = np.random.PCG64(seed)
    return tuple({index: _draw(model, model.tensor(index), stream) for index in model.inputs} for _ in range(samples))


def load_inputs(model: Model, specs: Sequence[str]) -> tuple[Sample, ...]:
    """Read one file for each model input and return the samples that they hold.

    specs: `file` (the next input in the model's order that is not named) or `name=file`. A `.npy` file must
    have the tensor's dtype and its shape, or one more leading axis for several samples; any other file is the
    tensor's little-endian bytes, once for each sample. Raises `UsageError` that says what was expected and
    what was found.
    """
    files = _assign(model, specs)
    loaded = {index: _read(model.tensor(index), files[index]) for index in model.inputs}
    counts = {index: len(arrays) for index, arrays in loaded.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{printable(model.tensor(i).name)}' {n}" for i, n in counts.items())
        raise UsageError(f"the inputs hold different numbers of samples: {told}")
    total = next(iter(counts.values()), 0)
    return tuple({index: arrays[number] for index, arrays in loaded.items()} for number in range(total))


def _draw(model: Model, tensor: Tensor, stream: np.random.PCG64) -> Array:
    match tensor.dtype:
        case DType.INT8 | DType.UINT8 | DType.INT16 | DType.UINT16:
            raw = _raw(stream, tensor.bytes)
            return (
                raw.view(np.dtype(tensor.dtype.label).newbyteorder("<"))
                .astype(tensor.dtype.label)
                .reshape(tensor.shape)
            )
        case DType.BOOL:
            return (_raw(stream, tensor.elements) & 1).astype(np.bool_).reshape(tensor.shape)
        case DType.FLOAT32:
            return _draw_floats(model, tensor, stream)
        case _:
            raise UsageError(
                f"no inputs can be made up for '{printable(tensor.name)}' of type {tensor.dtype.label}",
                hint="give the input as a file: --input FILE",
            )


def _draw_floats(model: Model, tensor: Tensor, stream: np.random.PCG64) -> Array:
    words = _raw(stream, 4 * tensor.elements).view("<u4")
    unit = words.astype(np.float64) / 2.0**32
    step = _quantization_of_reader(model, tensor)
    if step is None:
        values = 2.0 * unit - 1.0
    else:
        scale, zero_point, least, most = step
        levels = most - least
        place = least - _MARGIN * levels + unit * (1 + 2 * _MARGIN) * levels
        place[::8] = np.floor(place[::8]) + 0.5
        values = scale * (place - zero_point)
    return values.astype(np.float32).reshape(tensor.shape)


def _quantization_of_reader(model: Model, tensor: Tensor) -> tuple[float, int, int, int] | None:
    """Scale, zero point, least and most quantized value of the first QUANTIZE that reads the tensor."""
    for op in model.operators:
        if op.opcode == "QUANTIZE" and tensor.index in op.inputs:
            out = model.output_of(op)
            if out.quantization is not None and out.dtype in (DType.INT8, DType.UINT8, DType.INT16):
                limits = np.iinfo(out.dtype.label)
                return out.quantization.scale, out.quantization.zero_point, int(limits.min), int(limits.max)
    return None


def _raw(stream: np.random.PCG64, count: int) -> Array:
    words: Array = np.asarray(stream.random_raw((count + 7) // 8), dtype="<u8")
    return words.view(np.uint8)[:count]


def _assign(model: Model, specs: Sequence[str]) -> dict[int, Path]:
    names = {model.tensor(index).name: index for index in model.inputs}
    files: dict[int, Path] = {}
    unnamed: list[Path] = []
    for spec in specs:
        index, path = _parse(spec, names)
        if index is None:
            unnamed.append(path)
        elif index in files:
            raise UsageError(f"input '{printable(model.tensor(index).name)}' is given twice")
        else:
            files[index] = path
    free = [index for index in model.inputs if index not in files]
    if len(unnamed) != len(free):
        raise UsageError(
            f"the model has {len(model.inputs)} input(s), {len(specs)} given",
            hint="give --input once for each: " + ", ".join(_describe(model.tensor(i)) for i in model.inputs),
        )
    files.update(zip(free, unnamed, strict=True))
    return files


def _parse(spec: str, names: dict[str, int]) -> tuple[int | None, Path]:
    if Path(spec).exists() or "=" not in spec:
        return None, Path(spec)
    for position, character in enumerate(spec):  # names may hold '=' themselves
        if character == "=" and spec[:position] in names:
            return names[spec[:position]], Path(spec[position + 1 :])
    name = spec.partition("=")[0]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    known = ", ".join(f"'{printable(n)}'" for n in names)
    raise UsageError(
        f"the model has no input named '{printable(name)}'",
        hint=f"did you mean '{printable(near[0])}'?" if near else f"its inputs: {known}",
    )


def _read(tensor: Tensor, path: Path) -> list[Array]:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_NPY_MAGIC))
    except OSError as error:
        raise UsageError(f"cannot read the input {printable(str(path), 200)}: {error.strerror or error}") from error
    return _read_npy(tensor, path) if path.suffix == ".npy" or magic == _NPY_MAGIC else _read_raw(tensor, path)


def _read_npy(tensor: Tensor, path: Path) -> list[Array]:
    try:
        # Mapped and without pickles: a header that lies about its size or holds objects is refused, not
        # followed.
        mapped: Array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError, OverflowError, TypeError, SyntaxError) as error:
        raise UsageError(
            f"{printable(str(path), 200)} is not a sound .npy file: {printable(str(error), 200)}"
        ) from error
    if mapped.dtype.newbyteorder("=") != np.dtype(tensor.dtype.label):
        got = f"{mapped.dtype.newbyteorder('=')}{list(mapped.shape)}"
        raise _wrong(tensor, path, got, _quantize_hint(tensor) if mapped.dtype.kind == "f" else None)
    if mapped.shape == tensor.shape:
        stacked = mapped[np.newaxis]
    elif mapped.ndim == len(tensor.shape) + 1 and mapped.shape[1:] == tensor.shape and mapped.shape[0] > 0:
        stacked = mapped
    else:
        raise _wrong(tensor, path, f"{mapped.dtype.newbyteorder('=')}{list(mapped.shape)}")
    return [np.array(one, dtype=tensor.dtype.label, order="C") for one in stacked]


def _read_raw(tensor: Tensor, path: Path) -> list[Array]:
    size = path.stat().st_size
    if size == 0 or tensor.bytes == 0 or size % tensor.bytes:
        raise _wrong(tensor, path, f"{size:,} bytes")
    flat = np.fromfile(path, dtype=np.dtype(tensor.dtype.label).newbyteorder("<")).astype(tensor.dtype.label)
    shape = (size // tensor.bytes, *tensor.shape)
    if flat.size != prod(shape):  # the file changed meanwhile
        raise _wrong(tensor, path, f"{flat.nbytes:,} bytes")
    return list(flat.reshape(shape))


def _describe(tensor: Tensor) -> str:
    return f"'{printable(tensor.name)}' {tensor.dtype.label}{list(tensor.shape)}"


def _quantize_hint(tensor: Tensor) -> str | None:
    """How numbers become the input's, or None where that is not the question."""
    q = tensor.quantization
    if q is None or q.per_channel or tensor.dtype not in (DType.INT8, DType.UINT8):
        return None
    limits = np.iinfo(tensor.dtype.label)
    return (
        f"quantize it: np.clip(np.round(x / {q.scale!r}) + {q.zero_point}, {limits.min}, {limits.max})"
        f".astype(np.{tensor.dtype.label})"
    )


def _wrong(tensor: Tensor, path: Path, got: str, hint: str | None = None) -> UsageError:
    return UsageError(
        f"{printable(str(path), 200)}: expected {_describe(tensor)} ({tensor.bytes:,} bytes), got {got}",
        hint=hint or "several samples: one more leading axis (.npy), or one after the other (raw bytes)",
    )
