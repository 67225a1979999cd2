"""How much is told on standard error, and the log file: `-q`, `-v` and `--log-file`, which every command takes.

Layers below log by the standard library's `logging`, each under its module's name: stages and results as INFO, calls of
other programs as DEBUG. Standard output is the report's alone.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tinydeploy import __version__

_ROOT = logging.getLogger("tinydeploy")
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}  # anything above: DEBUG
_LOUDNESS = "tinydeploy.loudness"  # in click's `meta`, which a command shares with its group
_OPTIONS = ("verbose", "quiet", "log_file")


def with_verbosity(command: click.Command) -> click.Command:
    """The command with `-q`, `-v` and `--log-file`, and so the commands of a group."""
    if not any(parameter.name in _OPTIONS for parameter in command.params):
        command.params += _options()
    if isinstance(command, click.Group):
        for name in command.commands:
            with_verbosity(command.commands[name])
    return command


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-v", "--verbose"], count=True, expose_value=False, callback=_louder, help="Tell each stage; -vv more."
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_quieter, help="No progress, only errors."
        ),
        click.Option(
            ["--log-file"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_to_file,
            help="Append all that -vv tells to a file.",
        ),
    ]


def _louder(ctx: click.Context, _parameter: click.Parameter, times: int) -> None:
    if times:
        _set(ctx, max(0, ctx.meta.get(_LOUDNESS, 0)) + times)


def _quieter(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        _set(ctx, -1)


def _set(ctx: click.Context, loudness: int) -> None:
    ctx.meta[_LOUDNESS] = loudness
    handler = _handler(_Told)
    if handler is None:
        handler = _Told()
        handler.setFormatter(_Plain("%(message)s"))
        _ROOT.addHandler(handler)
    handler.setLevel(_LEVELS.get(loudness, logging.DEBUG))
    _ROOT.setLevel(min(handler.level for handler in _ours()))


def _to_file(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        handler = _File(path, mode="a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        from tinydeploy.errors import UsageError

        raise UsageError(f"cannot write to {path}: {error.strerror or error}") from error
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.DEBUG)
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG)
    keep(f"tinydeploy {__version__}: {shlex.join(ctx.find_root().obj or ())}")


class _Told(logging.Handler):
    """Standard error as it is now: tests and `>&-` replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


class _File(logging.FileHandler):
    """The log file. Where the disk is full it lacks lines: the work goes on, and ends as it would without."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Said once, in a line and without a traceback."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            with contextlib.suppress(OSError, ValueError):
                print(clean(f"cannot write to {self.baseFilename}: {error.strerror}"), file=sys.stderr, flush=True)

    _told = False

    def close(self) -> None:
        """Without what a full disk does not take."""
        with contextlib.suppress(OSError):
            super().close()


class _Plain(logging.Formatter):
    """One line a record, without control characters: names from a model file must not steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record).replace("\n", "\n    "), keep="\n")


def clean(text: str, keep: str = "") -> str:
    """Without control characters but tabs and those in `keep`."""
    return "".join(
        c if c.isprintable() or c == "\t" or c in keep else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _handler(kind: type[logging.Handler]) -> logging.Handler | None:
    return next((handler for handler in _ours() if isinstance(handler, kind)), None)


def _ours() -> list[logging.Handler]:
    """Without those that a test runner hangs in."""
    return [handler for handler in _ROOT.handlers if isinstance(handler, (_Told, _File))]


def quiet() -> bool:
    """Whether the running command was told -q."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.meta.get(_LOUDNESS, 0) < 0


@contextlib.contextmanager
def session() -> Iterator[None]:
    """One run of the command line: handlers that its options add are gone after it."""
    _ROOT.propagate = False
    _ROOT.setLevel(logging.WARNING)
    started = time.monotonic()
    try:
        yield
    finally:
        keep(f"ended after {time.monotonic() - started:.2f} s")
        for handler in _ours():
            _ROOT.removeHandler(handler)
            handler.close()


def keep(text: str, error: BaseException | None = None) -> None:
    """Put a line into the log file, if there is one: what standard error is told anyway; `error` with its traceback."""
    file = _handler(_File)
    if file is not None:
        about = None if error is None else (type(error), error, error.__traceback__)
        level = logging.INFO if error is None else logging.ERROR
        file.handle(logging.LogRecord("tinydeploy", level, __file__, 0, "%s", (text,), about))
