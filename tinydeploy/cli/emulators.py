"""What `run` and `emulate` share for choosing an emulator: --emulator, --renode and --repl."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.emulate import GdbServer
    from tinydeploy.pipeline.emulators import Chosen, EmulatorChoice

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS = (
    click.option(
        "--repl",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        metavar="FILE",
        help="With Renode: a platform of your own instead of the board's.",
    ),
    click.option(
        "--renode",
        envvar="TINYDEPLOY_RENODE",
        default=None,
        metavar="PATH",
        help="Renode's folder or launcher. Default: PATH.",
    ),
    click.option(
        "--emulator",
        type=click.Choice(["unicorn", "renode"]),
        default="unicorn",
        show_default=True,
        help="unicorn: the embedded one; renode: Renode 1.15 or later, which you install.",
    ),
)


def emulator_options(function: F) -> F:
    """The options that choose an emulator. The command gets them together, as `choice`."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        from tinydeploy.pipeline.emulators import EmulatorChoice

        choice = EmulatorChoice(kwargs.pop("emulator"), kwargs.pop("renode"), kwargs.pop("repl"))
        return function(*args, choice=choice, **kwargs)

    wrapped = cast(F, command)
    for option in _OPTIONS:
        wrapped = option(wrapped)
    return wrapped


def emulator_names(function: F) -> F:
    """Only --emulator and --renode, for commands that run many cases: the command gets them as they are."""
    for option in _OPTIONS[1:]:
        function = option(function)
    return function


def make_emulator(
    choice: EmulatorChoice,
    board: Board,
    *,
    on_output: Callable[[bytes], None] | None = None,
    debugger: GdbServer | None = None,
    trace: bool = False,
) -> Chosen:
    """The emulator that was chosen, after it has been asked whether it can have the board.

    Says on standard error what a platform of the user's has too much. Raises `MissingToolError` when it is not
    installed, `UsageError` for what it cannot do.
    """
    from tinydeploy.errors import UsageError
    from tinydeploy.pipeline.emulators import choose_emulator

    for given, option in ((debugger is not None, "--gdb"), (trace, "--trace")):
        if given and choice.name == "renode":
            raise UsageError(
                f"{option} is for the embedded emulator",
                hint="`tinydeploy renode export` makes a project for Renode, which has its own debugger and profiler",
            )
    chosen = choose_emulator(choice, board, on_output=on_output, debugger=debugger)
    if chosen.warning is not None:
        click.echo(f"warning: {chosen.warning}", err=True)
    return chosen
