"""Arguments of keywords as people type them: sizes, counts and times, as types that Robot Framework converts to.

The classes' docstrings are what the keywords' documentation says of the types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

from tinydeploy.emulate.types import FaultKind
from tinydeploy.errors import UsageError
from tinydeploy.pipeline.options import Effort
from tinydeploy.plan import Execution
from tinydeploy.plan.planner import Solver
from tinydeploy.transform import Io
from tinydeploy.units import parse_bytes, parse_count, parse_milliseconds

__all__ = [
    "CONVERTERS",
    "Count",
    "Effort",
    "EmulatorName",
    "Execution",
    "FailureKind",
    "Io",
    "Latency",
    "OnFault",
    "Size",
    "Solver",
    "ToolchainName",
    "one_of",
]

T = TypeVar("T")

EmulatorName = Literal["unicorn", "renode"]
FailureKind = Literal[FaultKind, "exit-code"]
OnFault = Literal["fail", "keep"]
ToolchainName = Literal["gcc", "zig"]


class Size(int):
    """Bytes: ``8192``, ``8_192``, ``8,192``, ``8K``, ``8 KiB`` or ``1.5 MiB``.

    ``K`` and ``KiB`` are 1024 bytes, ``M`` and ``MiB`` 1024 KiB. ``KB`` is refused: it is 1000 bytes to some.
    """


class Count(int):
    """A number of instructions or cycles: ``8000000``, ``8,000,000``, ``8M`` or ``7.5M``; ``k``, ``M`` and ``G`` are
    powers of 1000. Hexadecimal, as Renode answers, is read too: ``0x7A1200``."""


class Latency(float):
    """A time with its unit: ``30 ms``, ``1.5 s`` or ``800 us``."""


def _size(text: str | int) -> Size:
    return _told(lambda: Size(parse_bytes(text)))


def _count(text: str | int) -> Count:
    said = text.strip() if isinstance(text, str) else ""
    if said[:2].lower() == "0x" and len(said) <= 18 and said[2:].isalnum():
        try:
            return Count(int(said, 16))
        except ValueError:
            pass  # the parser below refuses it in its own words
    return _told(lambda: Count(parse_count(text)))


def _latency(text: str | int | float) -> Latency:
    return _told(lambda: Latency(parse_milliseconds(str(text))))


def _told(convert: Callable[[], T]) -> T:
    """Robot Framework shows the words of a `ValueError`, and those only."""
    try:
        return convert()
    except UsageError as error:
        raise ValueError(f"{error.message} ({error.hint})") from error


CONVERTERS: dict[type, Callable[..., Any]] = {Size: _size, Count: _count, Latency: _latency}


def one_of(choices: object, value: T, name: str) -> T:
    """`value`, if it is one of a `Literal`'s: Robot Framework checks that itself only since version 7.

    Raises `UsageError`.
    """
    if value not in get_args(choices):
        known = ", ".join(map(str, get_args(choices)))
        raise UsageError(f"{name}={str(value)[:40]!a} is none of its choices", hint=f"there are {known}")
    return value
