"""The layout of a `.repl` file: indentation made into braces and comments taken out, before it is parsed.

Renode reads such files in two passes, and so does this. A line that is indented deeper than the one before opens a
block, by four spaces a level; inside braces that the file itself writes, indentation means nothing and entries end
with semicolons. A string between three quotes may go over several lines. Lines keep their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tinydeploy.errors import UsageError

SPACES = 4
_LONG_QUOTE = re.compile(r"(?<!\\)(?:\\\\)*(''')")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_LONG_STRING = re.compile(r"'''.*?'''", re.DOTALL)


class ReplError(UsageError):
    """A platform description that is not well formed; the message has its file and line."""


def braced(source: str, name: str) -> str:
    """`source` with every block in braces and every entry ended by a semicolon; as many lines as before.

    Raises `ReplError`, which calls the file `name`.
    """
    lines = list(_without_comments(_whole_lines(source.replace("\r", "").split("\n"), name), name))
    filled = [i for i, (_, text) in enumerate(lines) if text.strip()]
    out = [text for _, text in lines]
    if not filled:
        return "\n".join(out)
    if _level(*lines[filled[0]], name):
        raise ReplError(f"{name}:{lines[filled[0]][0]}: the first entry is indented")
    level = depth = 0
    for i, following in zip(filled, [*filled[1:], None], strict=True):
        depth += _braces(out[i])
        if depth > 0:
            continue
        after = _level(*lines[following], name) if following is not None else 0
        if after > level:
            out[i] += "{" * (after - level)
        else:
            out[i] += "}" * (level - after) + (";" if following is not None else "")
        level = after
    return "\n".join(out)


def _whole_lines(lines: Sequence[str], name: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; those of one long string together."""
    open_line, parts = 0, list[str]()
    for number, line in enumerate(lines, 1):
        quotes = len(_LONG_QUOTE.findall(line))
        if parts:
            parts.append(line)
            if quotes:
                yield open_line, "\n".join(parts)
                parts = []
        elif quotes in (0, 2):
            yield number, line
        elif quotes == 1:
            open_line, parts = number, [line]
        else:
            raise ReplError(f"{name}:{number}: a string between ''' cannot begin on the line where another ends")
    if parts:
        raise ReplError(f"{name}:{open_line}: the string that begins with ''' never ends")


def _without_comments(lines: Iterator[tuple[int, str]], name: str) -> Iterator[tuple[int, str]]:
    inside = 0  # the line where a comment began that has not ended
    for number, line in lines:
        text = line
        if inside:
            end = text.find("*/")
            if end < 0:
                yield number, ""
                continue
            text = " " * (end + 2) + text[end + 2 :]
            inside = 0
        at = 0
        while (found := _next(text, at)) is not None:
            start, kind = found
            if kind == "//":
                text = text[:start]
                break
            if kind == "/*":
                end = text.find("*/", start + 2)
                if end < 0:
                    text, inside = text[:start], number
                    break
                text = text[:start] + " " * (end + 2 - start) + text[end + 2 :]
                at = end + 2
                continue
            string = (_LONG_STRING if kind == "'''" else _STRING).match(text, start)
            if string is None:
                raise ReplError(f"{name}:{number}: a string has no end")
            at = string.end()
        yield number, text
    if inside:
        raise ReplError(f"{name}:{inside}: a comment has no end")


def _next(text: str, at: int) -> tuple[int, str] | None:
    """The next thing that comments or strings begin with; `//` counts at the start of a line or behind a space."""
    for found in re.finditer(r"\"|'''|/\*|//", text[at:]):
        start, kind = at + found.start(), found.group()
        if kind != "//" or start == 0 or text[start - 1] == " ":
            return start, kind
    return None


def _level(number: int, line: str, name: str) -> int:
    spaces = len(line) - len(line.lstrip(" "))
    if spaces % SPACES:
        raise ReplError(f"{name}:{number}: indented by {spaces} spaces, which is no multiple of {SPACES}")
    return spaces // SPACES


def _braces(line: str) -> int:
    """How many more braces a line opens than it closes. As in Renode, those in a long string count."""
    text = _STRING.sub("", line)
    return text.count("{") - text.count("}")
