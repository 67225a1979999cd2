"""`zig cc` from the ziglang wheel: clang, lld and compiler-rt in one package that pip installs."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import MissingToolError, TinydeployError, UsageError
from tinydeploy.toolchain.driver import Driver

_FPU = {"fpv4-sp-d16": "vfp4d16sp", "fpv5-sp-d16": "fp_armv8d16sp", "fpv5-d16": "fp_armv8d16"}


class Zig(Driver):
    """Zig's C compiler; raises `MissingToolError` when the wheel is not installed."""

    name = "zig"

    def __init__(self, cache_dir: Path | None = None) -> None:
        if find_spec("ziglang") is None:
            raise MissingToolError("the ziglang package is not installed", hint="pip install 'tinydeploy[run]'")
        super().__init__([sys.executable, "-m", "ziglang", "cc"], cache_dir)

    @property
    def version(self) -> str:
        """From the wheel's metadata: asking zig takes longer."""
        return f"zig cc {metadata.version('ziglang')}"

    def core_flags(self, board: Board) -> list[str]:
        """Zig's models come without an FPU, so it is named; without it floats are computed in software."""
        core = board.core.name.lower().replace("-", "_")
        if not board.core.hard_float:
            return ["-target", "thumb-freestanding-eabi", f"-mcpu={core}"]
        features = "+mve" if board.core.mve else ""
        return ["-target", "thumb-freestanding-eabihf", f"-mcpu={core}+{_FPU[board.core.fpu]}{features}"]

    def source_flags(self, source: Path) -> list[str]:
        """Zig traps on undefined behaviour and guards stacks by default; the other compiler does not."""
        return list(_PLAIN)

    def trouble(self, words: str) -> TinydeployError | None:
        """Zig builds its own libraries on first use, and keeps them in the user's cache folder, or does nothing."""
        told = re.search(r"^error: (unable to .*cache directory.*)", words, re.MULTILINE)
        if told is None:
            return None
        return UsageError(
            f"{self.version} has no folder to keep its libraries in: {told[1]}",
            hint="name one that can be written to in ZIG_GLOBAL_CACHE_DIR, or use --toolchain gcc",
        )

    def map_flags(self, map_file: Path) -> list[str]:
        """Zig passes no -Map on; what this prints is written to the file."""
        map_file.unlink(missing_ok=True)
        return ["-Wl,--print-map"]


_PLAIN = (
    "-fno-sanitize=undefined",
    "-fno-stack-protector",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
