"""Numbers on their way into C."""

from __future__ import annotations

from collections.abc import Iterable

_LINE = 116


def c_integer(value: int) -> str:
    """An integer constant of type int; INT32_MIN has no literal of its own."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(value)


def c_float(value: float) -> str:
    """A single-precision literal that reads back exactly: nine significant digits are enough."""
    text = f"{value:.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def c_string(text: str) -> str:
    """A string literal of the text as UTF-8, all in printable ASCII. Other bytes are three octal digits, which end by
    themselves before whatever follows, and question marks are escaped, so that two of them begin no trigraph."""
    plain = {byte: chr(byte) for byte in range(32, 127)} | {byte: f"\\{chr(byte)}" for byte in b'"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'


def c_lines(values: Iterable[int]) -> str:
    """The elements of an array's initializer, in lines."""
    return c_words(map(str, values))


def c_words(items: Iterable[str]) -> str:
    """The same for elements that are C already."""
    lines: list[str] = []
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > _LINE:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line])
