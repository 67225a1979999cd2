""".npy and .npz files of the user's, not believed: no pickles, and no array is read before its size is known."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinydeploy.convert.types import Array
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.units import kib

MAX_ARRAY_BYTES = 2 << 30
"""An array inside a .npz that says it is larger is refused: it would have to be unpacked in memory."""

_UNSOUND = (
    OSError,
    ValueError,
    EOFError,
    OverflowError,
    TypeError,
    SyntaxError,
    MemoryError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def read_npy(path: Path) -> Array:
    """The array of a .npy file, mapped, so that a header that lies about its size is refused. Raises `UsageError`."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except _UNSOUND as error:
        raise _unsound(path, error) from error


def npz_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays in a .npz file, in its order. Raises `UsageError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(dict.fromkeys(n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")))
    except _UNSOUND as error:
        raise _unsound(path, error) from error


def read_npz(path: Path, names: Sequence[str]) -> Mapping[str, Array]:
    """Those arrays of a .npz file. Raises `UsageError`, also for one that unpacks to more than `MAX_ARRAY_BYTES`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _member(path, archive, name) for name in names}
    except _UNSOUND as error:
        raise _unsound(path, error) from error


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    info = archive.getinfo(f"{name}.npy")
    where = f"{printable(str(path), 200)}: '{printable(name)}'"
    with archive.open(info) as file:
        shape, dtype = _header(file)
    if dtype.hasobject:
        raise UsageError(f"{where} holds Python objects, not numbers", hint="give an array of float32")
    size = prod(shape) * dtype.itemsize
    if max(size, info.file_size) > MAX_ARRAY_BYTES:
        raise UsageError(
            f"{where} says that it unpacks to {kib(max(size, info.file_size))}; more than {kib(MAX_ARRAY_BYTES)} is "
            "refused",
            hint="some hundred samples are enough to calibrate; a .npy file is read in parts",
        )
    if size > info.file_size:
        raise UsageError(f"{where} is damaged: it says {size:,} bytes and has {info.file_size:,}")
    with archive.open(info) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is for records")
    shape, _, dtype = readers[version](file)
    if any(extent < 0 for extent in shape):
        raise ValueError(f"a shape of {shape}")
    return shape, dtype


def _unsound(path: Path, error: BaseException) -> UsageError:
    if isinstance(error, UsageError):
        return error
    words = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return UsageError(f"{printable(str(path), 200)} is not a sound {path.suffix} file: {printable(words, 200)}")
