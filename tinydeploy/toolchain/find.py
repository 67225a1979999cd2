"""Chooses a toolchain by the name that users type."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from tinydeploy.errors import MissingToolError, UsageError
from tinydeploy.toolchain.gcc import COMMAND, Gcc
from tinydeploy.toolchain.types import Toolchain
from tinydeploy.toolchain.zig import Zig

TOOLCHAINS: Mapping[str, Callable[[Path | None], Toolchain]] = {"gcc": Gcc, "zig": Zig}


def find_toolchain(name: str | None = None, cache_dir: Path | None = None) -> Toolchain:
    """The toolchain `gcc` or `zig`; None takes arm-none-eabi-gcc if it is on PATH, else zig.

    `cache_dir` replaces the user's cache folder for objects. Raises `MissingToolError` (with how to get it) and
    `UsageError` for another name.
    """
    if name is not None:
        if name not in TOOLCHAINS:
            raise UsageError(f"there is no toolchain '{name}'", hint="there are " + " and ".join(TOOLCHAINS))
        return TOOLCHAINS[name](cache_dir)
    if shutil.which(COMMAND) is not None:
        return Gcc(cache_dir)
    if find_spec("ziglang") is not None:
        return Zig(cache_dir)
    raise MissingToolError(
        f"no compiler for Cortex-M: neither {COMMAND} nor the ziglang package",
        hint="pip install 'tinydeploy[run]', or apt install gcc-arm-none-eabi",
    )
