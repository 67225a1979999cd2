"""What is to be checked: each model on each board, with the options and the limits that the configuration gives it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinydeploy.batch import Case
from tinydeploy.boards import Board, find_board
from tinydeploy.catalog import model_path
from tinydeploy.config import LOCK_NAME, PLAN_KEYS, Config, Limits, ModelRules, Place, Rules
from tinydeploy.errors import BoardError, UsageError
from tinydeploy.gates.baseline import FORMAT_KEY
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

    Raises `UsageError` for a model or a board that does not exist, for two that are the same, for limits on a board
    that nothing is checked on, and for nothing to do.
    """
    folder = Path() if config is None else config.folder
    base = baseline_path(config, chosen).parent
    check = Rules() if config is None else config.check
    defaults = {} if config is None else config.defaults
    boards = _Boards(folder)
    found: dict[tuple[str, str], Target] = {}
    places: dict[tuple[str, str], Place] = {}
    for spec, file, entry in _models(config, chosen):
        rules = entry.rules
        settings = {**_CASE_DEFAULTS, **defaults, **check.settings, **rules.settings, **chosen.settings}
        named = boards.of(chosen, rules, check, defaults)
        if not chosen.boards:
            boards.expect(rules, {board.id for _, board in named})
        for spelled, board in named:
            limits = chosen.limits
            for level in (rules, check):  # what is said of a model goes over what is said of all
                limits = limits.over(boards.limits(level, board)).over(level.limits)
            case = _case(spec, spelled, settings, folder, limits)
            name = _utf8(_called(spec, file, base) + _label(case.options))
            key = (name, board.id)
            if key in found:
                raise UsageError(
                    f"{entry.place}: {printable(name)} on {board.id} is there already, see {places[key]}",
                    hint="one [[check.model]] each, or plan options that tell them apart",
                )
            found[key] = Target(*key, case, limits, "" if file is None else str(file))
            places[key] = entry.place
    if not found:
        raise UsageError(
            "there is nothing to check",
            hint="name a model and a board (tinydeploy check MODEL --board BOARD), or list them in tinydeploy.toml",
        )
    if not chosen.models and not chosen.boards:
        boards.expect(check, {board for _, board in found})
    return tuple(found.values())


def _models(config: Config | None, chosen: Chosen) -> Iterator[tuple[str, Path | None, ModelRules]]:
    """Each model, as the pipeline finds it, with its file and what the configuration says of it."""
    listed = [] if config is None else list(_listed(config))
    if not chosen.models:
        yield from listed
        return
    named = [(spec, _own_file(spec)) for spec in chosen.models]
    for spec, file in {_called(spec, file, Path()): (spec, file) for spec, file in named}.values():
        same = [each for each in listed if _same(each[1], file) and (file is not None or each[0] == spec)]
        yield from same or [(spec, file, ModelRules(spec, Rules()))]


def _listed(config: Config) -> Iterator[tuple[str, Path | None, ModelRules]]:
    """A pattern leaves out the files that have an entry of their own."""
    found = [(entry, tuple(_matches(config.folder, entry))) for entry in config.models]
    own = {file.resolve() for entry, files in found if not _PATTERN & set(entry.path) for _, file in files if file}
    for entry, files in found:
        for spec, file in files:
            if not (_PATTERN & set(entry.path) and file is not None and file.resolve() in own):
                yield spec, file, entry


def _matches(folder: Path, entry: ModelRules) -> Iterator[tuple[str, Path | None]]:
    if not _PATTERN & set(entry.path):
        inside = folder / entry.path
        spec = str(inside) if inside.exists() else entry.path
        try:
            yield spec, _own_file(spec)
        except UsageError as error:
            raise UsageError(f"{entry.place}: {error.message}", hint=error.hint) from None
        return
    try:
        files = sorted(file for file in folder.glob(entry.path) if file.is_file())
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"{entry.place}: the pattern cannot be used: {error}") from None
    if not files:
        raise UsageError(f"{entry.place}: no file matches {printable(entry.path)}")
    yield from ((str(file), file) for file in files)


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
            source = rules if "boards" in rules.settings else check
            names = source.settings.get("boards", default)
            if not names:
                raise UsageError("no board is named", hint="--board BOARD, or boards = […] in [check]")
            named = [(self._from_here(name), self._find(name, source.boards_place)) for name in names]
        found: dict[str, tuple[str, Board]] = {}
        for name, board in named:
            if found.setdefault(board.id, (name, board))[1] != board:
                other = printable(found[board.id][0])
                raise UsageError(
                    f"{printable(name)} and {other} are different boards with one `id`, {board.id}",
                    hint="a board file of your own has an `id` of its own",
                )
        return list(found.values())

    def limits(self, rules: Rules, board: Board) -> Limits:
        """What the rules say of one board alone."""
        return self._by_id(rules).get(board.id, ("", Limits()))[1]

    def expect(self, rules: Rules, checked: Collection[str]) -> None:
        """Raises `UsageError` for limits on a board that is not among those that something is checked on."""
        for board, (name, limits) in self._by_id(rules).items():
            if board not in checked:
                raise UsageError(
                    f"{limits.place}: these limits hold nothing: no model of them is checked on {printable(name)}",
                    hint="`boards` says what models are checked on",
                )

    def _by_id(self, rules: Rules) -> dict[str, tuple[str, Limits]]:
        """The limits of boards by their ids, with the name that each is called by."""
        found: dict[str, tuple[str, Limits]] = {}
        for name, limits in rules.by_board.items():
            board = self._find(name, limits.place).id
            if board in found:
                raise UsageError(
                    f"{limits.place}: {printable(name)} and {printable(found[board][0])} are the same board",
                    hint="limits of a board belong under one of its names",
                )
            found[board] = (name, limits)
        return found

    def _find(self, name: str, place: Place) -> Board:
        if name not in self._known:
            try:
                self._known[name] = find_board(self._from_here(name))
            except BoardError as error:
                raise BoardError(f"{place}: {error.message}", hint=error.hint) from None
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
        path = Path(os.path.relpath(file, base)).as_posix()
    except ValueError:  # on another drive
        path = file.as_posix()
    if path == FORMAT_KEY:
        path = f"./{path}"
    return path


def _utf8(name: str) -> str:
    """Bytes of a file's name that are not UTF-8 as escapes: the baseline and reports are."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
