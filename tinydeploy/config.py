"""The configuration file: `tinydeploy.toml`, or `[tool.tinydeploy]` of a `pyproject.toml`; the keys are the same.

What stands at the top are defaults of options of the command line, by the options' names; `[check]` is what
`tinydeploy check` does. Every key is known here and anything else is an error. `docs/gates.md` explains the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tinydeploy.errors import UsageError
from tinydeploy.toml_files import Key, dotted, line_of, nearest, parse, printable_path, read_text
from tinydeploy.units import parse_bytes, parse_count, parse_milliseconds

FILE_NAME = "tinydeploy.toml"
PYPROJECT = "pyproject.toml"
LOCK_NAME = "tinydeploy.lock"
_HINT = "docs/gates.md explains every key"

Unit = Literal["bytes", "count", "ms", "s", ""]

BUDGETS: Mapping[str, Unit] = {
    "arena": "bytes",
    "stack": "bytes",
    "sram": "bytes",
    "weights": "bytes",
    "code": "bytes",
    "flash": "bytes",
    "instructions": "count",
    "cycles": "count",
    "latency": "ms",
    "timeout": "s",
    "matches_reference": "",
    "no_slow_kernels": "",
}
"""All budgets by name, with the unit of their figures; "" for what must hold."""

GROWTHS: Mapping[str, Unit] = {name: unit for name, unit in BUDGETS.items() if unit not in ("s", "")}
"""What may be limited in its growth against the baseline."""


@dataclass(frozen=True)
class Place:
    """Where something was written: `file` as messages call it, "" for the command line; `line` where known."""

    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Budget:
    """A limit. `limit`: in the unit of `BUDGETS`; true or false for what must hold; None for any figure."""

    name: str
    limit: float | bool | None
    text: str
    place: Place = Place()


@dataclass(frozen=True)
class Growth:
    """How much a figure may grow: by `percent` of the baseline or by `amount` in the unit of `GROWTHS`; without both
    by anything."""

    name: str
    text: str
    percent: Decimal | None = None
    amount: float | None = None
    place: Place = Place()

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.percent is not None or self.amount is not None


@dataclass(frozen=True)
class Limits:
    """Budgets and growths by name. `place`: of a board's limits, where they begin."""

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    growths: Mapping[str, Growth] = field(default_factory=dict)
    place: Place = Place()

    def over(self, other: Limits) -> Limits:
        """These, and of the other's those that are not among these."""
        return Limits({**other.budgets, **self.budgets}, {**other.growths, **self.growths})


@dataclass(frozen=True)
class Rules:
    """`settings`: options by name, checked. `by_board`: limits by the board's name, which go over `limits`.
    `boards_place`: where `boards` is written."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    by_board: Mapping[str, Limits] = field(default_factory=dict)
    boards_place: Place = Place()


@dataclass(frozen=True)
class ModelRules:
    """One `[[check.model]]`. `path`: relative to the configuration's folder, or a shipped name; may be a pattern."""

    path: str
    rules: Rules
    place: Place = Place()


@dataclass(frozen=True)
class Config:
    """A configuration. `file` was read; `defaults` are for options of the command line, by name."""

    file: Path
    defaults: Mapping[str, Any] = field(default_factory=dict)
    check: Rules = Rules()
    models: tuple[ModelRules, ...] = ()
    baseline: Path | None = None

    @property
    def folder(self) -> Path:
        """What paths in the configuration are relative to."""
        return self.file.parent


# ------------------------------------------------------------------ values

Reader = Callable[[Any], Any]
"""Checks a value and returns it as the command line has it; raises `UsageError` that says what it must be."""


def _must(what: str) -> UsageError:
    return UsageError(f"must be {what}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 1000:
        raise _must("a string of one line")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _must("a list of strings")
    return tuple(_text(each) for each in value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _must("true or false")
    return value


def _choice(*allowed: str) -> Reader:
    def read(value: Any) -> str:
        if value not in allowed:
            raise _must(" or ".join(f'"{each}"' for each in allowed))
        return str(value)

    return read


def _whole(least: int) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= _MOST:
            raise _must(f"a whole number from {least} to {_MOST}")
        return value

    return read


def _size(value: Any) -> int:
    return int(_amount("bytes", value))


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise _must("a number of seconds above 0")
    return float(value)


PLAN_KEYS: Mapping[str, Reader] = {
    "execution": _choice("streamed", "overlap", "whole"),
    "feed_rows": _flag,
    "io": _choice("model", "int8"),
    "keep": _texts,
    "in_place": _flag,
    "solver": _choice("auto", "builtin", "cp-sat"),
    "effort": _choice("quick", "normal", "thorough"),
    "time_limit": _seconds,
    "stack_bytes": _size,
    "reserve": _texts,
    "regions": _text,
}
_TOOL_KEYS: Mapping[str, Reader] = {"toolchain": _choice("gcc", "zig"), "emulator": _choice("unicorn", "renode")}
_CASE_KEYS: Mapping[str, Reader] = {
    **PLAN_KEYS,
    **_TOOL_KEYS,
    "boards": _texts,
    "depth": _choice("plan", "build", "run"),
    "samples": _whole(1),
    "seed": _whole(0),
    "verify": _flag,
}
_MODEL_KEYS: Mapping[str, Reader] = {**_CASE_KEYS, "inputs": _texts}
_DEFAULT_KEYS: Mapping[str, Reader] = {
    **PLAN_KEYS,
    **_TOOL_KEYS,
    "board": _text,
    "renode": _text,
    "jobs": _whole(1),
}
DEFAULTS: Collection[str] = _DEFAULT_KEYS.keys()
"""Options of the command line that a configuration may give a default."""

_LIMIT_TABLES = ("budget", "growth", "board")
_AMOUNTS: Mapping[Unit, str] = {
    "bytes": 'a size, such as 65536 or "64 KiB"',
    "count": 'a whole number, such as 8000000 or "8M"',
    "ms": 'a time, such as "30 ms"',
}
_MOST = (1 << 31) - 1


def parse_budget(name: str, value: Any, place: Place = Place()) -> Budget:
    """A budget as it is written: a size, a count, `"30 ms"`, seconds, true or false; "any" for no limit.

    Raises `UsageError` for an unknown name or a value that does not suit it.
    """
    if name not in BUDGETS:
        raise UsageError(f"there is no budget `{name[:60]}`", hint=nearest(name, BUDGETS))
    unit = BUDGETS[name]
    if unit == "":
        holds = value == "true" if value in ("true", "false") else _flag(value)  # the command line has texts alone
        return Budget(name, holds, str(value).lower(), place)
    if value == "any":
        return Budget(name, None, "any", place)
    return Budget(name, _amount(unit, value), str(value), place)


def parse_growth(name: str, value: Any, place: Place = Place()) -> Growth:
    """A growth as it is written: `"2%"` of the baseline, or an amount as for budgets; "any" for no limit.

    Raises as `parse_budget` does.
    """
    if name not in GROWTHS:
        raise UsageError(f"there is no growth of `{name[:60]}`", hint=nearest(name, GROWTHS))
    if value == "any":
        return Growth(name, "any", place=place)
    share = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*%\s*", value) if isinstance(value, str) else None
    if share is not None:
        return Growth(name, value.strip(), percent=Decimal(share[1]), place=place)
    try:
        return Growth(name, str(value), amount=_amount(GROWTHS[name], value), place=place)
    except UsageError as error:
        raise UsageError(error.message, hint=f'{error.hint or "an amount"}; or a share, "2%"') from None


def _amount(unit: Unit, value: Any) -> float:
    if unit == "s":
        return _seconds(float(value) if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) else value)
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, int) and value >> 64 > 0):
        raise _must(_AMOUNTS[unit])
    if unit == "bytes":
        return parse_bytes(value)
    if unit == "count":
        return parse_count(value)
    return 0.0 if str(value).strip() == "0" else parse_milliseconds(str(value))


# ------------------------------------------------------------------ files


def find_config(start: Path) -> Config | None:
    """The configuration of the folder `start` or of the nearest folder above it that has one; None without.

    A `tinydeploy.toml` goes before a `pyproject.toml`. Nothing is looked for above a folder with a `.git`: that is
    where a project ends. Raises `UsageError` as `load_config` does.
    """
    here = start.resolve()
    for level in range(len(here.parents) + 1):
        folder = start.joinpath(*[".."] * level)  # as seen from `start`, which is how people see it
        own, shared = folder / FILE_NAME, folder / PYPROJECT
        if own.is_file():
            return load_config(own)
        if shared.is_file() and _has_ours(shared):
            return load_config(shared)
        if (folder / ".git").exists():
            return None
    return None


def _has_ours(path: Path) -> bool:
    """Whether a `pyproject.toml` is a configuration, or one that is damaged."""
    text = read_text(path)
    if "tinydeploy" not in text:
        return False
    try:
        return isinstance(_ours(parse(text, "")), dict)
    except UsageError:
        return "tool.tinydeploy" in text


def _ours(document: Mapping[str, Any]) -> Any:
    """The table of ours in a `pyproject.toml`, None without one."""
    tool = document.get("tool")
    return tool.get("tinydeploy") if isinstance(tool, dict) else None


def load_config(path: Path) -> Config:
    """The configuration in a file; all of a `pyproject.toml` but its `[tool.tinydeploy]` is left alone.

    Raises `UsageError`, which names the file, the key's path and, where it is found, the line.
    """
    text = read_text(path, hint=_HINT)
    shown = printable_path(path)
    document = parse(text, shown, hint=_HINT)
    at: tuple[Key, ...] = ()
    if path.name == PYPROJECT:
        found = _ours(document)
        document = {} if found is None else found
        at = ("tool", "tinydeploy")
    return _Reading(path, shown, text).config(document, at)


class _Reading:
    """One file on its way to a `Config`."""

    def __init__(self, path: Path, shown: str, text: str) -> None:
        self._path = path
        self._shown = shown
        self._text = text

    def config(self, document: Any, at: tuple[Key, ...]) -> Config:
        top = self._table(document, at, (*_DEFAULT_KEYS, "check"))
        defaults = self._settings(top, at, _DEFAULT_KEYS)
        if "renode" in defaults and Path(defaults["renode"]).name != defaults["renode"]:
            defaults["renode"] = str(self._path.parent / defaults["renode"])
        at = (*at, "check")
        check = self._table(top.get("check", {}), at, (*_CASE_KEYS, "baseline", "model", *_LIMIT_TABLES))
        entries = check.get("model", [])
        if not isinstance(entries, list):
            raise self._error((*at, "model"), "must be written as [[check.model]]")
        own = self._settings(check, at, {"baseline": _text})
        return Config(
            file=self._path,
            defaults=defaults,
            check=self._rules(check, at, _CASE_KEYS),
            models=tuple(self._model(entry, (*at, "model", number)) for number, entry in enumerate(entries)),
            baseline=self._path.parent / own["baseline"] if own else None,
        )

    def _model(self, entry: Any, at: tuple[Key, ...]) -> ModelRules:
        table = self._table(entry, at, ("path", *_MODEL_KEYS, *_LIMIT_TABLES))
        if "path" not in table:
            raise self._error(at, "has no `path`")
        path = self._settings(table, at, {"path": _text})["path"]
        return ModelRules(path, self._rules(table, at, _MODEL_KEYS), self._place(at))

    def _rules(self, table: Mapping[str, Any], at: tuple[Key, ...], keys: Mapping[str, Reader]) -> Rules:
        settings = self._settings(table, at, keys)
        boards = self._table(table.get("board", {}), (*at, "board"), None)
        by_board = {}
        for name, limits in boards.items():
            place = (*at, "board", name)
            by_board[name] = self._limits(self._table(limits, place, ("budget", "growth")), place)
        return Rules(settings, self._limits(table, at), by_board, self._place((*at, "boards")))

    def _limits(self, table: Mapping[str, Any], at: tuple[Key, ...]) -> Limits:
        budgets, growths = {}, {}
        for name, value in self._table(table.get("budget", {}), (*at, "budget"), BUDGETS).items():
            here = (*at, "budget", name)
            budgets[name] = self._read(here, partial(parse_budget, name, place=self._place(here)), value)
        for name, value in self._table(table.get("growth", {}), (*at, "growth"), GROWTHS).items():
            here = (*at, "growth", name)
            growths[name] = self._read(here, partial(parse_growth, name, place=self._place(here)), value)
        return Limits(budgets, growths, self._place(at))

    def _settings(self, table: Mapping[str, Any], at: tuple[Key, ...], keys: Mapping[str, Reader]) -> dict[str, Any]:
        return {name: self._read((*at, name), read, table[name]) for name, read in keys.items() if name in table}

    def _read(self, at: tuple[Key, ...], read: Reader, value: Any) -> Any:
        try:
            return read(value)
        except UsageError as error:
            raise self._error(at, error.message, hint=error.hint) from None

    def _table(self, value: Any, at: tuple[Key, ...], known: Collection[str] | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(at, "must be a table")
        for key in value:
            if known is not None and key not in known:
                raise self._error((*at, key), "unknown key", hint=nearest(key, list(known)))
        return value

    def _place(self, at: tuple[Key, ...]) -> Place:
        return Place(self._shown, line_of(self._text, at))

    def _error(self, at: tuple[Key, ...], problem: str, *, hint: str | None = None) -> UsageError:
        return UsageError(f"{self._place(at)}: {dotted(at)}: {problem}", hint=hint or _HINT)
