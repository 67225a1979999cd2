"""Builds, loads and mirrors `hook.c`, which counts instructions inside Unicorn's own loop.

A callback in Python for each basic block costs about forty times what the block does; one in C is not visible. So a
host compiler makes a shared library of one file, once: it is kept in the user's cache folder under the hash of its
source and of the host.

What is counted: the instructions of executed basic blocks, those included that an IT block skips. A block that ends
early (a fault, a stop) counts up to the instruction that ended it, without it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinydeploy.emulate.timing import COST_NAMES
from tinydeploy.errors import MissingToolError

_VERSION = 6
_SOURCE = Path(__file__).with_name("hook.c")
_HEADER = Path(__file__).with_name("timing.h")

RUNNING, COUNT_LIMIT, HEARTBEAT, STACK_OVERFLOW, TRAP, UNDEFINED, SELF_LOOP, FPU_OFF, OUT_OF_MEMORY = range(9)
DENY_DOUBLE, DENY_FPU, DENY_DSP = 1, 2, 4
CALL, RETURN, JUMP, MARK = range(4)
NOT_HALTED, STEPPED, BREAKPOINT, WATCHPOINT, INTERRUPTED = range(5)
MAX_POINTS = 256
NO_STEP = 0xFFFFFFFF
"""Written to the marker port, it ends the current step and starts none."""

HEARTBEAT_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)
READ_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
WRITE_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
STEP_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_uint32)


class HookRegion(ctypes.Structure):
    """`td_region`: a memory that code may run from, and its bytes in this process."""

    _fields_ = (
        ("base", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
        ("host", ctypes.c_void_p),
        ("writable", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
    )


class HookBlock(ctypes.Structure):
    """`td_block`: one decoded basic block."""

    _fields_ = (
        ("address", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("function", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("stack_low", ctypes.c_int32),
        ("special", ctypes.c_uint32),
        ("rewritable", ctypes.c_uint32),
        ("next", ctypes.c_uint32),
        ("cycles", ctypes.c_uint32),
        ("taken_more", ctypes.c_uint32),
        ("entry_more", ctypes.c_uint32),
        ("predictor", ctypes.c_uint32),
        ("code", ctypes.c_uint32),
    )


class HookStep(ctypes.Structure):
    """`td_step`: instructions and cycles between two markers."""

    _fields_ = (
        ("id", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("count", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
    )


class HookTrace(ctypes.Structure):
    """`td_trace`: calls, returns and markers as they come."""

    _fields_ = (
        ("events", ctypes.c_void_p),
        ("frames", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("room_limit", "room", "total")),
        *((name, ctypes.c_uint32) for name in ("frame_room", "depth", "full", "unused")),
    )


class HookDebug(ctypes.Structure):
    """`td_debug`: what a debugger asks for, and why the run halted."""

    _fields_ = (
        ("breakpoints", ctypes.c_uint32 * MAX_POINTS),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "breakpoint_total",
                "stepping",
                "interrupted",
                "watch_hit",
                "moving",
                "halted",
                "pc",
                "inside",
            )
        ),
    )


class HookState(ctypes.Structure):
    """`td_state`, field by field as in hook.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("engine", "reg_read", "stop", "heartbeat", "python_read", "python_write", "step_ended")
        ),
        ("function_starts", ctypes.POINTER(ctypes.c_uint32)),
        ("function_traps", ctypes.POINTER(ctypes.c_uint8)),
        ("function_counts", ctypes.POINTER(ctypes.c_uint64)),
        ("regions", ctypes.POINTER(HookRegion)),
        ("blocks", ctypes.POINTER(HookBlock)),
        ("table", ctypes.c_void_p),
        ("steps", ctypes.POINTER(HookStep)),
        ("costs", ctypes.POINTER(ctypes.c_uint32)),
        ("trace", ctypes.POINTER(HookTrace)),
        ("debug", ctypes.POINTER(HookDebug)),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "instructions",
                "cycles",
                "max_instructions",
                "beat_every",
                "next_beat",
                "step_start",
                "step_start_cycles",
                "cycle_base",
            )
        ),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "function_total",
                "region_total",
                "block_total",
                "block_room",
                "table_bits",
                "step_total",
                "step_room",
                "step_current",
                "reason",
                "reason_pc",
                "reason_address",
                "current",
                "accesses_after",
                "stack_limit",
                "stack_lowest",
                "stack_dirty",
                "deny",
                "fpu_enabled",
                "marker_address",
                "has_cycle_counter",
                "cycle_enabled",
                "cycle_frozen",
                "steps_dropped",
                "unused",
            )
        ),
    )


class HookPort(ctypes.Structure):
    """`td_port`: a region of registers, for `uc_mmio_map`."""

    _fields_ = (("state", ctypes.POINTER(HookState)), ("base", ctypes.c_uint32), ("unused", ctypes.c_uint32))


def load_hook(cache_dir: Path | None = None) -> Any:
    """The loaded library (`ctypes.CDLL`), compiled first when the cache does not have it.

    `cache_dir` replaces the user's cache folder. Raises `MissingToolError` without a host compiler.
    """
    return _load(_library(cache_dir))


@cache
def _load(path: Path) -> Any:
    library = ctypes.CDLL(str(path))
    state = ctypes.POINTER(HookState)
    library.td_begin.argtypes = (state,)
    library.td_begin.restype = None
    library.td_end.argtypes = (state, ctypes.c_uint32)
    library.td_end.restype = None
    library.td_free.argtypes = (state,)
    library.td_free.restype = None
    library.td_rest_of_block.argtypes = (state, ctypes.c_uint32)
    library.td_rest_of_block.restype = ctypes.c_uint32
    library.td_version.restype = ctypes.c_uint32
    library.td_state_bytes.restype = ctypes.c_uint32
    library.td_cost_names.restype = ctypes.c_char_p
    names = tuple(library.td_cost_names().decode().split())
    mirrored = sum(ctypes.sizeof(mirror) for mirror in (HookState, HookTrace, HookDebug))
    if (library.td_version(), library.td_state_bytes(), names) != (_VERSION, mirrored, COST_NAMES):
        raise AssertionError("hook.c and its mirror in hook.py differ")
    return library


@cache
def _library(cache_dir: Path | None) -> Path:
    source = _SOURCE.read_bytes() + _HEADER.read_bytes()
    host = f"{sys.platform}-{platform.machine()}-{struct.calcsize('P')}"
    digest = hashlib.sha256(source + host.encode()).hexdigest()[:20]
    suffix = ".dll" if sys.platform in ("win32", "cygwin") else ".so"
    folder = _writable(cache_dir)
    target = folder / f"hook-{digest}{suffix}"
    if not target.is_file():
        _compile(target)
    return target


def _writable(cache_dir: Path | None) -> Path:
    import platformdirs

    folder = (cache_dir or Path(platformdirs.user_cache_dir("tinydeploy", appauthor=False))) / "hook"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="tinydeploy-hook-"))


def _compile(target: Path) -> None:
    compiler = _host_compiler()
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        flags = ["-O2", "-shared", "-std=c99", "-fno-sanitize=undefined"]
        if target.suffix != ".dll":
            flags.append("-fPIC")
        done = subprocess.run(
            [*compiler, *flags, "-o", str(made), str(_SOURCE)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0 or not made.is_file():
            words = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise MissingToolError(
                f"the host compiler {compiler[0]} cannot build the emulator's counter: {words[0]}",
                hint="pip install 'tinydeploy[run]' brings one (ziglang)",
            )
        try:
            made.replace(target)  # in one go: another process may be at the same point
        except PermissionError:  # Windows, when that process has it loaded already
            if not target.is_file():
                raise


def _host_compiler() -> list[str]:
    found = shutil.which("cc")
    if found is not None:
        return [found]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise MissingToolError(
        "the emulator needs a C compiler on this machine once, to build its instruction counter",
        hint="pip install 'tinydeploy[run]' brings one (ziglang), or put cc on PATH",
    )
