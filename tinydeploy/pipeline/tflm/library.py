"""The TensorFlow Lite Micro that a user built: what is asked for, looked at before it is linked, and what a linker's
words about it mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tinydeploy.boards import Board
from tinydeploy.errors import BuildError, MissingToolError, TinydeployError, UsageError
from tinydeploy.export.tflm.manifest import TFLM_COMMIT
from tinydeploy.operators.base import printable

if TYPE_CHECKING:
    from tinydeploy.toolchain import CxxLibrary

_HEADER = Path("tensorflow/lite/micro/micro_interpreter.h")
# Without it TFLM's structures have other fields; its own Makefile always sets it.
_DEFINES = ("TF_LITE_STATIC_MEMORY",)
_MAGIC, _THIN = b"!<arch>\n", b"!<thin>\n"
_MEMBER_BYTES = 60  # an archive member's header
_EM_ARM = 40
_MACHINES = {3: "x86", 62: "x86-64", 183: "64-bit Arm", 243: "RISC-V", 94: "Xtensa"}
_SHOWN = 4


def tflm_library(archive: Path | None, includes: Sequence[Path]) -> CxxLibrary:
    """The library as a toolchain links it, after a look at whether it can be one.

    Raises `MissingToolError` when it is not given, `UsageError` when it is no library for Arm, or the folders are not
    TFLM's.
    """
    from tinydeploy.toolchain import CxxLibrary

    if archive is None or not includes:
        raise MissingToolError(
            "--runtime tflm needs a TensorFlow Lite Micro for the board's core, which you build",
            hint="give --tflm-lib libtensorflow-microlite.a, and --tflm-include once for each folder of headers: "
            "tflite-micro's, and those of FlatBuffers, gemmlowp and ruy that it was built with",
        )
    _check_archive(archive)
    if not any((folder / _HEADER).is_file() for folder in includes):
        raise UsageError(
            f"--tflm-include: no {_HEADER.as_posix()} in {', '.join(printable(str(f), 200) for f in includes)}",
            hint="give the folder that has TFLM's folder tensorflow/ in it",
        )
    # from where the compiler runs, names of folders mean the same, but not in its cache of objects
    return CxxLibrary(archive.absolute(), tuple(folder.absolute() for folder in includes), _DEFINES)


def _check_archive(path: Path) -> None:
    """Raise `UsageError` for what is no archive of objects for 32-bit Arm."""
    shown = printable(str(path), 400)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
            if magic not in (_MAGIC, _THIN):
                hint = "give the .a that TFLM's build made"
                raise UsageError(f"--tflm-lib: {shown} is no archive of objects", hint=hint)
            machine = _machine_of(file) if magic == _MAGIC else None
    except OSError as problem:
        raise UsageError(f"--tflm-lib: {shown} cannot be read: {problem.strerror or problem}") from problem
    except ValueError:
        raise UsageError(f"--tflm-lib: {shown} is a damaged archive", hint="build it again") from None
    if machine not in (None, _EM_ARM):
        raise UsageError(
            f"--tflm-lib: {shown} is built for {_MACHINES.get(machine, f'machine {machine}')}, not for Cortex-M",
            hint="build TFLM for the board's core; TFLM calls this target cortex_m_generic",
        )


def _machine_of(archive: BinaryIO) -> int | None:
    """The ELF machine of the first object, from behind the archive's magic on; None without any."""
    while len(header := archive.read(_MEMBER_BYTES)) == _MEMBER_BYTES:
        size = int(header[48:58])
        begin = archive.read(min(size, 20))
        if begin[:4] == b"\x7fELF":
            return int.from_bytes(begin[18:20], "little" if begin[5] == 1 else "big")
        archive.seek(size - len(begin) + size % 2, 1)
    return None


def build_hint(board: Board) -> str:
    """The options with which a library for the board is compiled."""
    core = board.core
    floats = "soft" if not core.hard_float else "hard" if core.mve else f"hard -mfpu={core.fpu}"
    return f"build the library with -mcpu={core.name} -mthumb -mfloat-abi={floats}"


def explain(refused: BuildError, board: Board) -> TinydeployError:
    """What a compiler's or linker's words mean for somebody who gave a library; the refusal itself if nothing is known.

    Missing functions, another calling convention for floats, headers that are missing or of another TFLM.
    """
    words = refused.message
    names = list(dict.fromkeys(re.findall(r"undefined reference to [`'](.+?)'$", words, re.MULTILINE)))
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(printable(name, 120) for name in names[:_SHOWN])
        return UsageError(
            f"--tflm-lib: the library lacks {shown}{more}",
            hint="build it with these kernels, from the version whose headers --tflm-include has",
        )
    if re.search(r"uses VFP register arguments|conflicting CPU architectures|incompatible with", words):
        return UsageError(
            f"--tflm-lib: the library is not built as {board.id} needs it: its floats are passed in another way, or it "
            "is for another core",
            hint=build_hint(board),
        )
    absent = re.search(r"fatal error: (\S+): No such file or directory", words)
    if absent is not None:
        return UsageError(
            f"--tflm-include: none of the folders has {printable(absent[1])}",
            hint="give one more --tflm-include: the folder in which that name leads to the file",
        )
    other = re.search(r"(\S+):(\d+):\d+: error: (.+)", words)
    if other is not None:
        return UsageError(
            f"--tflm-include: TFLM's headers are not as expected ({Path(other[1]).name}: {printable(other[3], 200)})",
            hint=f"this works with tflite-micro {TFLM_COMMIT[:7]}; give the headers that the library was built with",
        )
    return refused
