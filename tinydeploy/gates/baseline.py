"""`tinydeploy.lock`: what each model took on each board when that was last accepted.

TOML, written by `tinydeploy check --update` alone: a table for each model and board, sorted, a line for each figure
and each layer, integers only and no dates, so that `git diff` shows what changed and nothing else.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy import __version__
from tinydeploy.batch import Outcome
from tinydeploy.errors import UsageError
from tinydeploy.files import write_file
from tinydeploy.operators.base import printable
from tinydeploy.toml_files import line_of, parse, printable_path, read_text

FORMAT = 1
FORMAT_KEY = "format"
"""A key of the file's own, which no model may be called by."""

_HINT = "it is written by `tinydeploy check --update`; take one side of a conflict whole and update again"
_HEAD = "# The baseline of `tinydeploy check`, which writes it with --update. Bytes, counts, microseconds.\n"

FIGURES: Mapping[str, tuple[str, int]] = {
    "arena": ("arena_bytes", 1),
    "stack": ("stack_bytes", 1),
    "sram": ("sram_bytes", 1),
    "weights": ("weights_bytes", 1),
    "code": ("code_bytes", 1),
    "flash": ("flash_bytes", 1),
    "instructions": ("instructions", 1),
    "cycles": ("cycles", 1),
    "latency_us": ("latency_ms", 1000),
}
"""What an entry holds, in order: the figure of an `Outcome`, and how many of the entry's units are one of its."""

GUESSES = frozenset({"estimated", "unknown"})
"""Kinds of figures that are neither kept nor held against a limit."""

_DIGEST_CHARACTERS = 16
_MOST = 1 << 62
_MOST_CHARACTERS = 200
_GIT_SECONDS = 5.0
_LAYER = re.compile(r"([A-Z0-9_]{1,64}) (\d{1,19})")
_SHA = re.compile(r"[0-9a-f]{0,64}")
_TEXTS = ("model_sha256", "tinydeploy", "toolchain")

Key = tuple[str, str]
"""(model, board), as `Target` has them."""


@dataclass(frozen=True)
class Entry:
    """What one model took on one board. `figures`: by the names of `FIGURES`, those that were known. `layers`: opcode
    and instructions of each layer that ran, in order. `toolchain`: what built it, "" where nothing was built."""

    model_sha256: str
    tinydeploy: str
    toolchain: str = ""
    figures: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[tuple[str, int], ...] = ()

    @property
    def outcome_figures(self) -> dict[str, int | float]:
        """The figures by the names and in the units of an `Outcome`."""
        return {
            figure: self.figures[name] if scale == 1 else self.figures[name] / scale
            for name, (figure, scale) in FIGURES.items()
            if name in self.figures
        }


def entry_of(outcome: Outcome) -> Entry:
    """What the baseline keeps of an outcome; guesses are left out."""
    known = {
        name: round(outcome.figures[figure] * scale)
        for name, (figure, scale) in FIGURES.items()
        if figure in outcome.figures and outcome.kinds.get(figure) not in GUESSES
    }
    return Entry(
        model_sha256=outcome.model_sha256[:_DIGEST_CHARACTERS],
        tinydeploy=__version__,
        toolchain=printable(outcome.tools.get("toolchain", ""), _MOST_CHARACTERS),
        figures=known,
        layers=tuple((layer.opcode, layer.instructions) for layer in outcome.layers if layer.instructions),
    )


def read_baseline(path: Path) -> dict[Key, Entry]:
    """All entries; none where there is no file. Raises `UsageError` for one that is damaged or of another format."""
    if not path.exists():
        return {}
    text, shown = read_text(path, hint=_HINT), printable_path(path)
    document = parse(text, shown, hint=_HINT)
    found = document.pop(FORMAT_KEY, None)
    if found != FORMAT:
        older = "it is not one of `tinydeploy check`" if found is None else f"it is of format {str(found)[:20]}"
        raise UsageError(f"{shown}: {older}, this tinydeploy knows format {FORMAT}", hint=_HINT)
    entries: dict[Key, Entry] = {}
    for model, boards in document.items():
        for board, table in (boards if isinstance(boards, dict) else {"": None}).items():
            try:
                entries[model, board] = _entry(table)
            except ValueError as error:
                line = line_of(text, (model, board))
                where = shown if line is None else f"{shown}:{line}"
                raise UsageError(f"{where}: [{printable(model)}.{printable(board)}]: {error}", hint=_HINT) from None
    return entries


def _entry(table: Any) -> Entry:
    """Raises ValueError that says what is wrong."""
    if not isinstance(table, dict):
        raise ValueError("is no table of figures")
    for key in table:
        if key not in (*_TEXTS, *FIGURES, "layers"):
            raise ValueError(f"{printable(key)}: unknown key")
    texts = {key: table.get(key, "") for key in _TEXTS}
    if not all(
        isinstance(text, str) and text.isprintable() and len(text) <= _MOST_CHARACTERS for text in texts.values()
    ):
        raise ValueError(f"{', '.join(_TEXTS)} must be strings")
    if not _SHA.fullmatch(texts["model_sha256"]):
        raise ValueError("model_sha256: is no hash")
    figures = {key: table[key] for key in FIGURES if key in table}
    for key, value in figures.items():
        if type(value) is not int or not 0 <= value < _MOST:
            raise ValueError(f"{key}: must be a whole number that is not negative")
    layers = table.get("layers", [])
    lines = [each if isinstance(each, str) else "" for each in layers] if isinstance(layers, list) else [""]
    matches = [_LAYER.fullmatch(line) for line in lines]
    if None in matches:
        raise ValueError('layers: must be a list such as ["CONV_2D 123456"]')
    return Entry(**texts, figures=figures, layers=tuple((m[1], int(m[2])) for m in matches if m is not None))


def write_baseline(path: Path, entries: Mapping[Key, Entry]) -> None:
    """Write all entries, so that a reader finds the old file or the new one. Nothing is written where nothing changes.

    Raises `UsageError` where the file cannot be written.
    """
    target = path.resolve()
    data = render(entries).encode()
    try:
        if target.exists() and target.read_bytes() == data:
            return
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        write_file(target, data)
        target.chmod(mode)
    except OSError as error:
        raise UsageError(f"cannot write to {printable_path(path)}: {error.strerror or error}") from error


def render(entries: Mapping[Key, Entry]) -> str:
    """The text of the file."""
    parts = [f"{_HEAD}{FORMAT_KEY} = {FORMAT}\n"]
    for (model, board), entry in sorted(entries.items()):
        lines = [f"[{_quoted(model)}.{_quoted(board)}]"]
        for name in _TEXTS:
            if getattr(entry, name):
                lines.append(f"{name} = {_string(getattr(entry, name))}")
        lines += [f"{name} = {entry.figures[name]}" for name in FIGURES if name in entry.figures]
        if entry.layers:
            lines += ["layers = [", *(f'  "{opcode} {count}",' for opcode, count in entry.layers), "]"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _quoted(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    """A basic string of TOML, of one line that reads as it is written."""
    told = ""
    for c in text:
        if c in '"\\':
            told += f"\\{c}"
        elif c.isprintable():
            told += c
        else:
            told += f"\\U{ord(c):08x}"
    return f'"{told}"'


def since(path: Path) -> str:
    """Which baseline that is, in words: the file, and the commit that it is from where Git knows."""
    shown = printable_path(path)
    said = _git(path, "log", "-1", "--format=%h%x00%cs%x00%s", "--", path.name)
    parts = said.strip().split("\0")
    if len(parts) != 3:
        return shown
    told = f"{shown} of commit {parts[0]}, {parts[1]} ({printable(parts[2], 60)})"
    changed = _git(path, "status", "--porcelain", "--", path.name).strip()
    return f"{told}, changed since" if changed else told


def _git(path: Path, *arguments: str) -> str:
    """What Git says of the file's folder; "" where there is no Git, no repository, or no answer in time."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(path.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
