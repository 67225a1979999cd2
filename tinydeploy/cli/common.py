"""What commands share: the arguments MODEL and --board with their completion, --format, printing, and progress."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from tinydeploy.cli import logs

if TYPE_CHECKING:
    from tinydeploy.report.document import Document, Provenance

if TYPE_CHECKING:
    _StringType = click.ParamType[str]  # generic in click's annotations since 8.2, never when it runs
else:
    _StringType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])

_SLOW_SECONDS = 1.0
_log = logging.getLogger(__name__)


class ModelType(_StringType):
    """A path or the name of a shipped model; completes to both."""

    name = "model"

    def __init__(self, *, networks: bool = False) -> None:
        self.networks = networks

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Shipped names, then files."""
        from tinydeploy.catalog import entries

        names = [e.name for e in entries() if self.networks or e.path is not None]
        items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*items, CompletionItem(incomplete, type="file")]


class BoardType(_StringType):
    """A board's id, an alias, or a board file's path; completes to ids and aliases."""

    name = "board"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ids and aliases, with the board's name as help."""
        from tinydeploy.boards import all_boards

        found = [(name, board.name) for board in all_boards() for name in (board.id, *board.aliases)]
        return [CompletionItem(name, help=about) for name, about in sorted(found) if name.startswith(incomplete)]


def model_argument(function: F) -> F:
    """The argument MODEL: a .tflite file or a shipped model's name."""
    return click.argument("model", metavar="MODEL", type=ModelType())(function)


def models_argument(function: F) -> F:
    """The argument MODEL, once or more: models that share an arena."""
    return click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=ModelType())(function)


def board_option(function: F) -> F:
    """The option --board, which must be given."""
    return click.option(
        "--board",
        "board",
        metavar="BOARD",
        type=BoardType(),
        required=True,
        help="A board's name (see `boards`) or file.",
    )(function)


def plan_options(function: F) -> F:
    """The options that shape a plan. The command gets them together, as `planning`; see planning.py."""
    return _io_option(shape_options(function))


def shape_options(function: F) -> F:
    """The same but for --io."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        planning = {name: kwargs.pop(name) for name in PLANNING if name in kwargs}
        return function(*args, planning=planning, **kwargs)

    wrapped = cast(F, command)
    for option in _SHAPE_OPTIONS:
        wrapped = option(wrapped)
    return wrapped


PLANNING = (
    "execution",
    "feed_rows",
    "io",
    "keep",
    "in_place",
    "solver",
    "stack_bytes",
    "effort",
    "time_limit",
    "reserve",
    "regions",
)
_io_option = click.option(
    "--io",
    type=click.Choice(["model", "int8"]),
    default="model",
    show_default=True,
    help="int8: leave out the conversions at the ends, so that the application gives and gets int8.",
)
_SHAPE_OPTIONS = (
    click.option(
        "--regions",
        metavar="NAMES",
        default=None,
        help="The memories that the arena may use, such as dtcm,sram1. Default: all that can hold tensors.",
    ),
    click.option(
        "--reserve",
        metavar="REGION=BYTES",
        multiple=True,
        help="Memory that is kept for other things, such as dtcm=16K. Repeatable.",
    ),
    click.option(
        "--time-limit",
        type=click.FloatRange(0, min_open=True),
        default=None,
        metavar="SECONDS",
        help="End the searches of a plan after so long, with the best so far; it may differ from machine to machine.",
    ),
    click.option(
        "--effort",
        type=click.Choice(["quick", "normal", "thorough"]),
        default="normal",
        show_default=True,
        help="How long to search for a smaller arena; the same result on every machine.",
    ),
    click.option(
        "--stack-bytes",
        type=click.IntRange(0, 1 << 30),
        default=None,
        metavar="N",
        help="Bytes kept for the stack. Default: an estimate.",
    ),
    click.option(
        "--solver",
        type=click.Choice(["auto", "builtin", "cp-sat"]),
        default="auto",
        show_default=True,
        help="cp-sat: OR-Tools' exact solver, where the built-in search proves nothing. auto: if it is installed.",
    ),
    click.option("--no-in-place", "in_place", flag_value=False, default=True, help="No output over its input."),
    click.option(
        "--keep",
        metavar="TENSOR",
        multiple=True,
        help="An intermediate tensor, by name or number, that stays readable after the run. Repeatable.",
    ),
    click.option(
        "--feed-rows",
        is_flag=True,
        help="The application hands the inputs over row by row; they never lie in the arena as a whole.",
    ),
    click.option(
        "--execution",
        type=click.Choice(["streamed", "overlap", "whole"]),
        default="streamed",
        show_default=True,
        help="streamed: row by row through several layers; overlap: layer by layer, results over used-up rows; "
        "whole: layer by layer, whole tensors.",
    ),
)


def toolchain_option(function: F) -> F:
    """The option --toolchain."""
    return click.option(
        "--toolchain",
        type=click.Choice(["gcc", "zig"]),
        default=None,
        help="arm-none-eabi-gcc, or Zig's compiler from the ziglang wheel. Default: gcc if it is on PATH, else zig.",
    )(function)


def extras_options(function: F) -> F:
    """The options --labels and --pixels. The command gets them together, as `told`; see planning.py."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        told = {name: kwargs.pop(name) for name in ("labels", "pixels")}
        return function(*args, told=told, **kwargs)

    wrapped = cast(F, command)
    for option in _EXTRAS_OPTIONS:
        wrapped = option(wrapped)
    return wrapped


_EXTRAS_OPTIONS = (
    click.option(
        "--pixels",
        multiple=True,
        metavar="LOW..HIGH",
        help="What pixels of 0 and 255 become for the model, such as 0..1 or -1..1: the library gets functions that "
        "take them. With several models once for each, - for none.",
    ),
    click.option(
        "--labels",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="The names of the model's classes, one a line: the library can tell them. With several models once for "
        "each, - for none.",
    ),
)


def format_option(function: F) -> F:
    """The option --format."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["table", "json", "md"]),
        default="table",
        show_default=True,
        help="A table for people, JSON for machines, or Markdown.",
    )(function)


def emit(document: Document, format_: str) -> None:
    """Print the document on standard output."""
    out = sys.stdout
    terminal = out.isatty()
    colour = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if terminal else None
    out.write(rendered(document, format_, width=width, colour=colour))
    out.flush()


def rendered(document: Document, format_: str, *, width: int | None = None, colour: bool = False) -> str:
    """The document as text; width and colour are for tables on a terminal."""
    if format_ == "json":
        from tinydeploy.report import json

        return json.render(document)
    if format_ == "md":
        from tinydeploy.report import markdown

        return markdown.render(document)
    from tinydeploy.report import table

    return table.render(document, width=width, colour=colour)


def provenance(options: Mapping[str, Any], tools: Mapping[str, str] | None = None) -> Provenance:
    """Where the report comes from: this version, the options given, the tools used."""
    from tinydeploy import __version__
    from tinydeploy.report.document import Provenance

    return Provenance(__version__, dict(options), dict(tools or {}))


@contextmanager
def progress() -> Iterator[Callable[[str | None], None]]:
    """Yields a function that is told each stage; a stage that takes longer than a second is shown on standard error,
    unless -q. None: nothing more is to be shown."""
    shown = _Progress(hidden=logs.quiet())
    try:
        yield shown.stage
    finally:
        shown.stop()


class _Progress:
    def __init__(self, *, hidden: bool) -> None:
        self._hidden = hidden
        self._stage, self._began = "", 0.0
        self._timer: threading.Timer | None = None
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._written = False

    def stage(self, name: str | None) -> None:
        self.stop()
        if name is None:
            return
        self._stage, self._began = name, time.monotonic()
        if self._hidden:
            return
        self._timer = threading.Timer(_SLOW_SECONDS, self._show, (name,))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._stage:
            _log.info("%s took %.2f s", self._stage, time.monotonic() - self._began)
            self._stage = ""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            if self._written and self._terminal:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
            self._written = False

    def _show(self, name: str) -> None:
        with self._lock:
            sys.stderr.write(f"{name} …" if self._terminal else f"{name} …\n")
            sys.stderr.flush()
            self._written = True
