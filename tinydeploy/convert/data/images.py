"""A folder of images as samples: decoded by Pillow, resized to the input, grey or RGB, mapped as `--pixels` says."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.convert.data.columns import Column, from_pixels
from tinydeploy.convert.types import Array, InputSpec, Pixels
from tinydeploy.errors import MissingToolError, UsageError
from tinydeploy.operators.base import printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The decoders that may be asked: others of Pillow's run programs, or are seldom looked at."""

MAX_PIXELS = 64_000_000
"""Larger images are refused before they are decoded."""

_MODES = {1: "L", 3: "RGB"}
_EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


def find_images(folder: Path) -> tuple[Path, ...]:
    """The images in a folder and the folders below it, by name; hidden files are others' notes about them."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    return tuple(sorted((path for path in found if path.is_file()), key=lambda p: p.relative_to(folder).as_posix()))


def image_column(folder: Path, paths: Sequence[Path], wanted: InputSpec, pixels: Pixels | None) -> Column:
    """The images as a column, decoded when wanted. Raises `UsageError`, and `MissingToolError` without Pillow."""
    where = printable(str(folder), 200)
    if pixels is None:
        raise UsageError(
            f"{where} holds images: what pixels of 0 and 255 become for the model must be given",
            hint="--pixels 0..1, --pixels -1..1 or --pixels 0..255, as in training",
        )
    height, width, channels = _extents(wanted, where)
    pillow = _pillow()

    def read(indices: Sequence[int]) -> Array:
        decoded = [_decode(pillow, paths[index], (width, height), _MODES[channels]) for index in indices]
        return from_pixels(np.stack(decoded).reshape(len(decoded), *wanted.shape), wanted, pixels, where)

    note = f"{where}: images are resized to {width}×{height} by Pillow's BILINEAR, whatever their aspect ratio"
    resized = any(size != (width, height) for size in _sizes(pillow, paths))
    return Column(len(paths), "float32", read, (note,) if resized else ())


def _extents(wanted: InputSpec, where: str) -> tuple[int, int, int]:
    shape = (*wanted.shape, 1) if len(wanted.shape) == 2 else wanted.shape
    if len(shape) != 3 or shape[2] not in _MODES:
        raise UsageError(
            f"{where} holds images, and input '{printable(wanted.name)}' of shape {list(wanted.shape)} is none",
            hint="an image is [height, width], [height, width, 1] or [height, width, 3]",
        )
    return shape[0], shape[1], shape[2]


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingToolError(
            "images are read by the package pillow, which is not installed", hint="pip install 'tinydeploy[export]'"
        ) from error
    return Image


def _sizes(pillow: Any, paths: Sequence[Path]) -> Iterator[tuple[int, int]]:
    for path in paths:
        with _opened(pillow, path) as image:
            yield image.size


def _decode(pillow: Any, path: Path, size: tuple[int, int], mode: str) -> Array:
    with _opened(pillow, path) as image:
        if image.mode not in _EIGHT_BITS:
            raise UsageError(f"{printable(str(path), 200)} has pixels of more than 8 bits ({printable(image.mode)})")
        try:
            plain = image.convert(mode)
            return np.asarray(plain if plain.size == size else plain.resize(size, pillow.Resampling.BILINEAR))
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
            raise _unreadable(path, error) from error


def _opened(pillow: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own limit on pixels, which is above ours
            image = pillow.open(path, formats=FORMATS)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, pillow.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise UsageError(
            f"{printable(str(path), 200)} says {width}×{height} pixels; more than {MAX_PIXELS:,} are refused"
        )
    return image


def _unreadable(path: Path, error: Exception) -> UsageError:
    # Pillow's words may hold the whole path, and an object's address
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged, or something else"
    return UsageError(
        f"{printable(str(path), 200)} cannot be read as an image: {printable(why)}", hint="mend it, or take it away"
    )
