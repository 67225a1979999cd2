"""Measures how much flash each kernel takes on each core and writes `firmware/code_size.toml`, for `plan`'s estimates.

Run it after a change to the kernels: `python -m tinydeploy.toolchain.measure` (needs arm-none-eabi-gcc).
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tinydeploy.boards import Board, find_board
from tinydeploy.resources import firmware_dir
from tinydeploy.toolchain.find import find_toolchain
from tinydeploy.toolchain.types import Toolchain

# One board for each core that has a compiler option of its own.
BOARDS = ("stm32g0b1", "stm32f103", "stm32l4r5", "stm32f746", "stm32u575")
CALL_BYTES = 24  # a step of the generated code: loading six addresses and a branch
SEGMENT_BYTES = 120  # the loop that goes through a segment's program
STAGE_BYTES = 10  # more for a call in it: its rows, and its place in a jump table

_HEADER = """\
# Bytes of flash that each kernel takes, by core, with what it pulls in of the compiler's helpers; `startup` is an image
# that does nothing, `call` a step's call, `segment` the loop in which operators take turns, `stage` what each of these
# takes more than a call. Measured from images that {toolchain} built with -O2.
# Written by `python -m tinydeploy.toolchain.measure`.
"""


def kernels() -> list[str]:
    """The names of all kernel functions: those that the headers declare with a table of their own."""
    headers = sorted((firmware_dir() / "include").glob("td_*.h"))
    return [
        name
        for header in headers
        for name in re.findall(r"^void (td_\w+)\(const \1_t ", header.read_text("utf-8"), re.M)
    ]


def measure() -> str:
    """The text of `code_size.toml`. Raises `MissingToolError` without arm-none-eabi-gcc."""
    toolchain = find_toolchain("gcc")
    lines = [_HEADER.format(toolchain=toolchain.version)]
    with tempfile.TemporaryDirectory() as scratch:
        for board in map(find_board, BOARDS):
            base = _image_bytes(toolchain, board, Path(scratch), None)
            lines += [f"[cores.{board.core.name}]", f"startup = {base}", f"call = {CALL_BYTES}"]
            lines += [f"segment = {SEGMENT_BYTES}", f"stage = {STAGE_BYTES}"]
            for kernel in kernels():
                lines.append(f"{kernel} = {_image_bytes(toolchain, board, Path(scratch), kernel) - base}")
            lines.append("")
    return "\n".join(lines)


def _image_bytes(toolchain: Toolchain, board: Board, folder: Path, kernel: str | None) -> int:
    """Flash of an image that holds one kernel, or none."""
    use = f"keep = (const void *)(uintptr_t)&{kernel};" if kernel else "keep = 0;"
    main = folder / f"use_{kernel}.c"
    main.write_text(
        f'#include "td_kernels.h"\nconst void *volatile keep;\nint main(void)\n{{\n    {use}\n    return 0;\n}}\n'
    )
    sources = [main, *sorted((firmware_dir() / "kernels").glob("*.c"))]
    return toolchain.build(sources, [firmware_dir() / "include"], board, folder / "out").flash_bytes


if __name__ == "__main__":
    text = measure()
    (firmware_dir() / "code_size.toml").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
