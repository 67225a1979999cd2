"""Finding and reading board files: by id, by alias (often the short name of the MCU), or by a path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.boards.board import Board
from tinydeploy.boards.schema import SCHEMA_HINT, one_line, read_board, read_names
from tinydeploy.errors import BoardError
from tinydeploy.resources import boards_dir
from tinydeploy.toml_files import parse, read_text

_FILE_HINT = "`tinydeploy boards` lists all that come with it; docs/boards.md describes a file of your own"
_LIST_HINT = "`tinydeploy boards` lists all; the path of your own .toml file works too"


@dataclass(frozen=True)
class _Entry:
    """One shipped file, by the names it answers to."""

    path: Path
    id: str
    mcu: str
    aliases: tuple[str, ...]


def _read_text(path: Path) -> str:
    return read_text(path, hint=_FILE_HINT, error=BoardError)


def _parse(text: str, shown: str) -> Mapping[str, object]:
    return parse(text, shown, hint=SCHEMA_HINT, error=BoardError)


def load_board(path: Path | str) -> Board:
    """The board that the file at `path` describes.

    Raises `BoardError` when it cannot be read, is not TOML, or breaks the schema: one line with file and key.
    """
    file = Path(path)
    shown = one_line(str(path))
    return read_board(_parse(_read_text(file), shown), shown)


def _shipped() -> list[Path]:
    folder = boards_dir()
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == ".toml")
    except OSError:
        raise BoardError(
            f"{one_line(str(folder))}: the folder of board files is missing",
            hint="install tinydeploy again, or give the path of your own .toml file",
        ) from None


def _entry(path: Path) -> _Entry:
    """Its names alone. A file's head, up to its first table, is a TOML document of its own and ten times quicker
    to parse than the whole."""
    shown = one_line(str(path))
    head = re.split(r"^\[", _read_text(path), maxsplit=1, flags=re.MULTILINE)[0]
    board_id, mcu, aliases = read_names(_parse(head, shown), shown)
    return _Entry(path, board_id, mcu, aliases)


def _check_distinct(entries: list[_Entry]) -> dict[str, _Entry]:
    """By every name; two boards that share one are a `BoardError`, as is a file not called like its board."""
    by_name: dict[str, _Entry] = {}
    for entry in entries:
        if entry.path.stem != entry.id:
            raise BoardError(f"{entry.path.name}: id: the file of {entry.id} must be called {entry.id}.toml")
        for name in (entry.id, *entry.aliases):
            other = by_name.setdefault(name, entry)
            if other is not entry:
                raise BoardError(
                    f"{entry.path.name}: aliases: `{name}` belongs to {other.path.name} already",
                    hint="a name means one board; take it out of one of the two files",
                )
    return by_name


def all_boards() -> tuple[Board, ...]:
    """Every shipped board, sorted by id. Raises `BoardError` when a file is broken or two boards share a name."""
    boards = [(path, load_board(path)) for path in _shipped()]
    _check_distinct([_Entry(path, b.id, b.mcu, b.aliases) for path, b in boards])
    return tuple(sorted((b for _, b in boards), key=lambda b: b.id))


def _normal(name: str) -> str:
    """How people write a name on a box, as an id: `NUCLEO-L4R5ZI` is `nucleo_l4r5zi`."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _unknown(name: str, entries: list[_Entry]) -> BoardError:
    import difflib  # only needed for this message

    names: dict[str, str] = {}
    for entry in entries:
        for key in (_normal(entry.mcu), *entry.aliases, entry.id):
            names.setdefault(key, entry.id)
    wanted = _normal(name)[:64]
    # An order code (stm32l4r5zit6) begins with a name that is known; a family (stm32f4) is the beginning of some.
    near = sorted((n for n in names if len(n) > 3 and wanted.startswith(n)), key=len, reverse=True)
    near += difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=0.6)
    if len(wanted) > 3:
        near += sorted(n for n in names if n.startswith(wanted))
    told: dict[str, str] = {}
    for key in near:
        told.setdefault(names[key], key)
    shown = [key if key == board else f"{key} ({board})" for board, key in list(told.items())[:3]]
    hint = f"did you mean {' or '.join(shown)}? {_LIST_HINT}" if shown else _LIST_HINT
    return BoardError(f"there is no board called `{one_line(name, 60)}`", hint=hint)


def find_board(name_or_path: str) -> Board:
    """The board of that id or alias (case, hyphens and spaces do not matter), or the one in the file at that path.

    What holds a slash or ends in `.toml` is a path. Raises `BoardError`: for an unknown name it suggests the nearest.
    """
    if "/" in name_or_path or "\\" in name_or_path or name_or_path.lower().endswith(".toml"):
        return load_board(name_or_path)
    wanted = _normal(name_or_path)
    if re.fullmatch(r"[a-z0-9_]{1,64}", wanted, re.ASCII):
        file = boards_dir() / f"{wanted}.toml"
        if file.is_file():
            return load_board(file)
    entries = [_entry(path) for path in _shipped()]
    entry = _check_distinct(entries).get(wanted)
    if entry is None:
        raise _unknown(name_or_path, entries)
    return load_board(entry.path)
