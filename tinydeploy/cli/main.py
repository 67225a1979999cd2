"""The entry point: the group of commands, loaded when they are asked for, and the exit code of everything that ends."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from tinydeploy import __version__
from tinydeploy.cli import logs, signals
from tinydeploy.cli.configuration import with_config
from tinydeploy.errors import BuildError, MissingToolError, TinydeployError, UsageError

# In the order in which people meet them.
COMMANDS = (
    "plan",
    "cost",
    "build",
    "run",
    "export",
    "diff",
    "check",
    "sweep",
    "emulate",
    "place",
    "renode",
    "doctor",
    "boards",
    "ops",
    "models",
)

EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_SIGNAL = 128  # and its number
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

# Errors of the machine that the command runs on: the user's to mend, and no bug.
_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE})

_EPILOG = (
    "Exit codes: 0 ok, 1 does not fit or is over a budget, 2 wrong usage, 3 model not readable or not supported, "
    "4 a tool is missing, 5 the run failed on the board, 6 outputs differ from the reference, 70 a bug in tinydeploy."
)


class OutputClosedError(Exception):
    """Whoever read standard output has gone. Not an `OSError`, which click would end with code 1: "does not fit"."""


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, each with a click command called `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"tinydeploy.cli.{cmd_name}").command
        assert isinstance(found, click.Command)
        return logs.with_verbosity(found)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosedError from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a wrong name suggests the nearest."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"There is no command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="tinydeploy")
def cli() -> None:
    """Plan, build and run int8 TensorFlow Lite models on microcontrollers.

    \b
    Examples:
      tinydeploy plan kws.tflite --board stm32f746
      tinydeploy run kws.tflite --board stm32f746
    """


with_config(cli)
logs.with_verbosity(cli)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run the command line and return its exit code. What went wrong is on standard error, in one line and a hint."""
    # Started with a stream closed (`>&-`), Python has none: what would go there goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that lacks a character
    with logs.session(), signals.heeded() as came:
        code = _run(list(args))
    return EXIT_SIGNAL + came[0] if came and code == EXIT_INTERRUPTED else code


def _run(args: list[str]) -> int:
    try:
        result = cli.main(args=args, prog_name="tinydeploy", standalone_mode=False, obj=args)
        sys.stdout.flush()
    except click.ClickException as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except (OutputClosedError, BrokenPipeError):
        _drop_output()
        return EXIT_BROKEN_PIPE
    except TinydeployError as error:
        return _refused(error)
    except OSError as error:
        if error.errno not in _MACHINE:
            return _bug(error)
        _drop_output()
        where = error.filename if isinstance(error.filename, str) else "cannot write the output"
        return _refused(UsageError(f"{where}: {error.strerror}"))
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "tinydeploy":
            return _bug(error)
        message = f"a package that tinydeploy needs is damaged or missing: {error}"
        return _refused(MissingToolError(message, hint="`pip install --force-reinstall tinydeploy` installs all anew"))
    except Exception as error:
        return _bug(error)
    return result if isinstance(result, int) else 0


def _drop_output() -> None:
    """Whatever is still to be written goes nowhere: Python would complain once more when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: TinydeployError) -> int:
    if error.exit_code == EXIT_BUG:
        traceback.print_exc()
        logs.keep("this is a bug in tinydeploy", error)
    # The compiler's words keep their lines; everything else is one.
    lines = error.message.splitlines() if isinstance(error, BuildError) else [" ".join(error.message.splitlines())]
    _say("error: " + "\n".join(logs.clean(line) for line in lines))
    if error.hint:
        _say("hint: " + logs.clean(" ".join(error.hint.splitlines())))
    if error.exit_code == EXIT_BUG:
        _say(_report())
    return error.exit_code


def _usage(error: click.ClickException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and newer; its message is the help
        _say(error.format_message())
        return EXIT_USAGE
    _say("error: " + logs.clean(" ".join(error.format_message().split())))
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is not None:
        _say(f"hint: {ctx.command_path} --help")
    return EXIT_USAGE


def _bug(error: Exception) -> int:
    traceback.print_exc()
    logs.keep("this is a bug in tinydeploy", error)
    _say("error: this is a bug in tinydeploy")
    _say(_report())
    return EXIT_BUG


def _report() -> str:
    import platform

    return (
        "hint: please report it with the lines above, the command and, if you can, the model "
        f"(tinydeploy {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody can be told that standard error is closed or full
        print(text, file=sys.stderr, flush=True)
    logs.keep(text)


if __name__ == "__main__":
    main()
