"""arm-none-eabi-gcc: Arm's or a distribution's, newlib needed only with a library of the user's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import MissingToolError, TinydeployError
from tinydeploy.toolchain.driver import Driver

COMMAND = "arm-none-eabi-gcc"

_LONG_SOURCE_BYTES = 65536  # kernels are shorter; generated steps and weights may be longer


class Gcc(Driver):
    """GCC for Cortex-M; raises `MissingToolError` when it is not on PATH."""

    name = "gcc"

    def __init__(self, cache_dir: Path | None = None, command: Sequence[str] | None = None) -> None:
        found = shutil.which(COMMAND)
        if command is None and found is None:
            raise MissingToolError(
                f"{COMMAND} is not on PATH",
                hint="apt install gcc-arm-none-eabi (or brew install arm-none-eabi-gcc), or --toolchain zig with "
                "pip install 'tinydeploy[run]'",
            )
        super().__init__(command or [str(found)], cache_dir)

    @cached_property
    def _version(self) -> str:
        done = subprocess.run([*self._command, "--version"], capture_output=True, text=True, check=False)
        return (done.stdout.splitlines() or [COMMAND])[0].strip()

    @property
    def version(self) -> str:
        """The first line of `--version`."""
        return self._version

    def core_flags(self, board: Board) -> list[str]:
        """`-mcpu` and the float calling convention; the FPU is named, for M7 comes with two."""
        core = board.core.name.lower()
        if core == "cortex-m55" and not board.core.mve:
            core += "+nomve"
        flags = [f"-mcpu={core}", "-mthumb"]
        if board.core.hard_float:
            # M55's follows from -mcpu; the others have the FPU named
            return [*flags, "-mfloat-abi=hard", "-mfpu=" + ("auto" if board.core.mve else board.core.fpu)]
        return [*flags, "-mfloat-abi=soft"]

    def source_flags(self, source: Path) -> list[str]:
        """memcpy must not be compiled into a call of memcpy; points-to analysis takes the square of a straight list of
        calls (80 s for 1,500 steps) and finds nothing in it."""
        if source.name == "string.c":
            return ["-fno-tree-loop-distribute-patterns"]
        return ["-fno-tree-pta"] if source.is_file() and source.stat().st_size > _LONG_SOURCE_BYTES else []

    def link_flags(self) -> list[str]:
        """libgcc only."""
        return ["-nostdlib", "-lgcc"]

    def library_flags(self) -> list[str]:
        """Newlib's small variants, and stubs for what an operating system would do."""
        specs = ["-specs=nano.specs", "-specs=nosys.specs", "-nostartfiles"]
        return [*specs, "-lstdc++", "-lm", "-Wl,--no-warn-rwx-segments"]

    def trouble(self, words: str) -> TinydeployError | None:
        """Distributions have newlib and C++'s library apart from the compiler."""
        lacking = re.search(r"cannot read spec file '(nano|nosys)\.specs'|cannot find -l(stdc\+\+|c|m)\w*\b", words)
        no_compiler = "cc1plus" in words
        no_headers = re.search(r"fatal error: (new|cstdint|cstring|stdio\.h|string\.h): No such file", words)
        if not (lacking or no_compiler or no_headers):
            return None
        return MissingToolError(
            f"{self.version} comes without C++ or its libraries for Cortex-M",
            hint="apt install libstdc++-arm-none-eabi-newlib, or use Arm's own release of the toolchain",
        )
