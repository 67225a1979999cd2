"""What is to be checked: each model on each board, with the options and the limits that the configuration gives it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinydeploy.batch import Case
from tinydeploy.boards import Board, find_board
from tinydeploy.catalog import model_path
from tinydeploy.config import LOCK_NAME, PLAN_KEYS, Config, Limits, ModelRules, Rules
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.pipeline import PlanOptions

_CASE_DEFAULTS: Mapping[str, Any] = {"depth": "run"}
_CASE_KEYS = (
    "depth",
    "samples",
    "seed",
    "verify",
    "toolchain",
    "emulator",
    "renode",
)  # settings that are fields of a case
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class Chosen:
    """What the command line says. Models and boards limit the check to themselves; the rest goes over everything that
    a configuration says. `settings`: options by name, only those that were given."""

    models: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    baseline: Path | None = None


@dataclass(frozen=True)
class Target:
    """One case, and what it is held to. `model` and `board`: as the baseline calls them; `model_file`: the path as
    seen from the working directory, "" for a shipped model."""

    model: str
    board: str
    case: Case
    limits: Limits
    model_file: str


def baseline_path(config: Config | None, chosen: Chosen) -> Path:
    """Where the baseline is or would be: as the command line says, else the configuration, else beside that."""
    if chosen.baseline is not None:
        return chosen.baseline
    if config is None:
        return Path(LOCK_NAME)
    return config.baseline or config.folder / LOCK_NAME


def resolve(config: Config | None, chosen: Chosen) -> tuple[Target, ...]:
    """All targets, in the configuration's order.

    Raises `UsageError` for a model or a board that does not exist, for two that are the same, and for nothing to do.
    """
    folder = Path() if config is None else config.folder
    base = baseline_path(config, chosen).parent
    check = Rules() if config is None else config.check
    defaults = {} if config is None else config.defaults
    boards = _Boards(folder)
    found: dict[tuple[str, str], Target] = {}
    for spec, file, rules in _models(config, chosen):
        settings = {**_CASE_DEFAULTS, **defaults, **check.settings, **rules.settings, **chosen.settings}
        for spelled, board in boards.of(chosen, rules, check, defaults):
            limits = chosen.limits
            for level in (rules, check):  # what is said of a model goes over what is said of all
                limits = limits.over(boards.limits(level, board)).over(level.limits)
            case = _case(spec, spelled, settings, folder, limits)
            name = _called(spec, file, base) + _label(case.options)
            if (name, board.id) in found and config is not None and not chosen.models:
                raise UsageError(
                    f"{config.file}: {name} on {board.id} is there twice",
                    hint="one [[check.model]] each, or plan options that tell them apart",
                )
            found[name, board.id] = Target(name, board.id, case, limits, "" if file is None else str(file))
    if not found:
        raise UsageError(
            "there is nothing to check",
            hint="name a model and a board (tinydeploy check MODEL --board BOARD), or list them in tinydeploy.toml",
        )
    return tuple(found.values())


def _models(config: Config | None, chosen: Chosen) -> Iterator[tuple[str, Path | None, Rules]]:
    """Each model, as the pipeline finds it, with its file and what the configuration says of it."""
    listed = [] if config is None else list(_listed(config))
    if not chosen.models:
        yield from listed
        return
    for spec in chosen.models:
        file = _own_file(spec)
        same = [each for each in listed if _same(each[1], file) and (file is not None or each[0] == spec)]
        yield from same or [(spec, file, Rules())]


def _listed(config: Config) -> Iterator[tuple[str, Path | None, Rules]]:
    """A pattern leaves out the files that have an entry of their own."""
    found = [(entry, tuple(_matches(config.folder, entry))) for entry in config.models]
    own = {file.resolve() for entry, files in found if not _PATTERN & set(entry.path) for _, file in files if file}
    for entry, files in found:
        for spec, file in files:
            if not (_PATTERN & set(entry.path) and file is not None and file.resolve() in own):
                yield spec, file, entry.rules


def _matches(folder: Path, entry: ModelRules) -> Iterator[tuple[str, Path | None]]:
    if not _PATTERN & set(entry.path):
        inside = folder / entry.path
        spec = str(inside) if inside.exists() else entry.path
        try:
            yield spec, _own_file(spec)
        except UsageError as error:
            raise UsageError(f"{_where(entry)}: {error.message}", hint=error.hint) from None
        return
    try:
        files = sorted(file for file in folder.glob(entry.path) if file.is_file())
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"{_where(entry)}: the pattern cannot be used: {error}") from None
    if not files:
        raise UsageError(f"{_where(entry)}: no file matches {printable(entry.path)}")
    yield from ((str(file), file) for file in files)


def _where(entry: ModelRules) -> str:
    return f"{entry.place.file}:{entry.place.line}" if entry.place.line is not None else entry.place.file


def _own_file(spec: str) -> Path | None:
    """The file that `spec` names, None for what is shipped. Raises `UsageError` for a name that nothing has."""
    path = model_path(spec)
    return path if path is not None and str(path) == str(Path(spec)) else None


def _same(one: Path | None, other: Path | None) -> bool:
    return one is other if one is None or other is None else one.resolve() == other.resolve()


class _Boards:
    """Boards by all their names; a name that is a path is relative to the configuration's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Board] = {}

    def of(
        self, chosen: Chosen, rules: Rules, check: Rules, defaults: Mapping[str, Any]
    ) -> Sequence[tuple[str, Board]]:
        """What one model is checked on, each board once, with a name that finds it from the working directory."""
        if chosen.boards:
            named = [(name, find_board(name)) for name in chosen.boards]
        else:
            default = (defaults["board"],) if "board" in defaults else ()
            names = rules.settings.get("boards", check.settings.get("boards", default))
            if not names:
                raise UsageError("no board is named", hint="--board BOARD, or boards = […] in [check]")
            named = [(self._from_here(name), self._find(name)) for name in names]
        return list({board.id: (name, board) for name, board in named}.values())

    def limits(self, rules: Rules, board: Board) -> Limits:
        """What the rules say of one board alone."""
        found = Limits()
        for name, limits in rules.by_board.items():
            if self._find(name).id == board.id:
                found = limits.over(found)
        return found

    def _find(self, name: str) -> Board:
        if name not in self._known:
            self._known[name] = find_board(self._from_here(name))
        return self._known[name]

    def _from_here(self, name: str) -> str:
        return str(self._folder / name) if "/" in name or name.lower().endswith(".toml") else name


def _case(spec: str, board: str, settings: Mapping[str, Any], folder: Path, limits: Limits) -> Case:
    reference, timeout = limits.budgets.get("matches_reference"), limits.budgets.get("timeout")
    options = PlanOptions(**{name: settings[name] for name in PLAN_KEYS if name in settings})
    case = Case(model=spec, board=board, options=options)
    given = {name: settings[name] for name in _CASE_KEYS if name in settings}
    if reference is not None and reference.limit:
        given["verify"] = True
    return replace(
        case,
        inputs=tuple(_input(each, folder) for each in settings.get("inputs", ())),
        timeout_seconds=None if timeout is None or timeout.limit is None else float(timeout.limit),
        **given,
    )


def _input(given: str, folder: Path) -> str:
    """`[NAME=]FILE` with the file as seen from the working directory."""
    name, separator, file = given.rpartition("=")
    return f"{name}{separator}{folder / file}"


def _called(spec: str, file: Path | None, base: Path) -> str:
    """What the baseline calls a model: its shipped name, or its path as seen from the baseline."""
    if file is None:
        return spec
    try:
        return Path(os.path.relpath(file, base)).as_posix()
    except ValueError:  # on another drive
        return file.as_posix()


def _label(options: PlanOptions) -> str:
    """Options that are not the usual ones, as one would type them."""
    told = ""
    for each in fields(options):
        value, usual = getattr(options, each.name), each.default
        if value == usual:
            continue
        flag = f" --{each.name.replace('_', '-')}"
        if isinstance(value, bool):
            told += flag if value else f" --no{flag[2:]}"
        elif isinstance(value, tuple):
            told += "".join(f"{flag} {item}" for item in value)
        else:
            told += f"{flag} {value}"
    return told
