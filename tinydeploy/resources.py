"""Where the project's data lies: boards/, firmware/ and models/.

In a checkout (and an editable install) they stand at the top of the repository; in a wheel they are inside the
package, under `_data/`. Everything asks here, so nothing else knows the difference.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def boards_dir() -> Path:
    """The folder of board files, one TOML a board."""
    return _folder("boards")


def firmware_dir() -> Path:
    """The folder of the hand-written C runtime."""
    return _folder("firmware")


def models_dir() -> Path:
    """The folder of networks and shipped `.tflite` files."""
    return _folder("models")
