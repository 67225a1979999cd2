"""What `run` and `emulate` share for choosing an emulator: --emulator, --renode and --repl."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from tinydeploy.cli.common import emulator_version

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.emulate import Emulator, GdbServer

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class EmulatorChoice:
    """What the user asks for: the emulator's name, Renode's place, a platform of the user's."""

    name: str
    renode: str | None
    repl: Path | None


@dataclass(frozen=True)
class Chosen:
    """An emulator, ready for a board, and its name with its version."""

    emulator: Emulator
    version: str


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

    if choice.name == "unicorn":
        from tinydeploy.emulate import UnicornEmulator

        if choice.repl is not None:
            raise UsageError("--repl is a platform for Renode", hint="--emulator renode takes it")
        unicorn = UnicornEmulator(on_output=on_output, debugger=debugger)
        unicorn.check(board)
        return Chosen(unicorn, emulator_version(unicorn.name))
    from tinydeploy.emulate.renode.install import find_renode
    from tinydeploy.emulate.renode.machine import RenodeEmulator

    for given, option in ((debugger is not None, "--gdb"), (trace, "--trace")):
        if given:
            raise UsageError(
                f"{option} is for the embedded emulator",
                hint="`tinydeploy renode export` makes a project for Renode, which has its own debugger and profiler",
            )
    found = find_renode(choice.renode)
    renode = RenodeEmulator(found, on_output=on_output, repl=choice.repl)
    renode.check(board)
    excess = renode.excess(board)
    if excess is not None:
        click.echo(f"warning: {excess}", err=True)
    return Chosen(renode, f"renode {found.version} ({found.kind})")
