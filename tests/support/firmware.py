"""Small firmware for tests: C and assembly snippets built for a board, and run."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tinydeploy.boards import Board, find_board
from tinydeploy.emulate import Job, RunResult, UnicornEmulator
from tinydeploy.toolchain import Image, find_toolchain

needs_unicorn = pytest.mark.skipif(
    find_spec("unicorn") is None, reason="unicorn is not installed: pip install 'tinydeploy[run]'"
)
needs_gcc = pytest.mark.skipif(
    which("arm-none-eabi-gcc") is None,
    reason="arm-none-eabi-gcc is not on PATH: apt install gcc-arm-none-eabi",
)
needs_zig = pytest.mark.skipif(
    find_spec("ziglang") is None, reason="ziglang is not installed: pip install 'tinydeploy[run]'"
)
BOTH = [pytest.param("gcc", marks=needs_gcc), pytest.param("zig", marks=needs_zig)]
needs_any = pytest.mark.skipif(
    which("arm-none-eabi-gcc") is None and find_spec("ziglang") is None,
    reason="no compiler for Cortex-M: pip install 'tinydeploy[run]'",
)


@functools.cache
def _scratch() -> Path:
    keeper = tempfile.TemporaryDirectory(prefix="tinydeploy-tests-")
    _keepers.append(keeper)
    return Path(keeper.name)


_keepers: list[tempfile.TemporaryDirectory[str]] = []


def function(name: str, *lines: str) -> str:
    """An assembly function as C source, the same for both assemblers."""
    code = "".join(f'"{line}\\n"\n' for line in lines)
    return (
        f'__asm__(".syntax unified\\n.thumb\\n.section .text.{name},\\"ax\\",%progbits\\n.balign 16\\n"\n'
        f'".global {name}\\n.type {name}, %function\\n.thumb_func\\n{name}:\\n"\n{code}'
        f'".ltorg\\n.size {name}, . - {name}\\n.text\\n");\n'
    )


@functools.cache
def build(source: str, board: str, toolchain: str | None = None, **options: Any) -> Image:
    """Build one C source for a board; the same source is built once."""
    title = hashlib.sha256(f"{source}{board}{toolchain}{options}".encode()).hexdigest()[:16]
    folder = _scratch() / title
    folder.mkdir(exist_ok=True)
    (folder / "main.c").write_text(source, encoding="utf-8")
    tools = find_toolchain(toolchain, _scratch() / "cache")
    return tools.build([folder / "main.c"], [], find_board(board), folder / "out", **options)


def run(source: str, board: str = "stm32f746", toolchain: str | None = None, **job: Any) -> RunResult:
    """Build and run it; the stack is watched unless the job says otherwise."""
    image = build(source, board, toolchain)
    job.setdefault("stack_limit", image.stack_limit)
    return run_image(image, find_board(board), **job)


def run_image(image: Image, board: Board, **job: Any) -> RunResult:
    """Run what was built."""
    return UnicornEmulator().run(board, Job(image.elf, **job))


def variant(board: Board, **core: Any) -> Board:
    """A board with another core."""
    return dataclasses.replace(board, core=dataclasses.replace(board.core, **core))
