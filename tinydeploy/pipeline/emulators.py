"""Chooses an emulator by the name that users type, ready for a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.boards import Board
from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator, GdbServer
    from tinydeploy.report.plans import Planned


@dataclass(frozen=True)
class EmulatorChoice:
    """What a user asks for: the emulator's name (`unicorn` or `renode`), where Renode is (as for `find_renode`), and a
    platform of the user's for it."""

    name: str = "unicorn"
    renode: str | None = None
    repl: Path | None = None


@dataclass(frozen=True)
class Chosen:
    """An emulator, its name with its version, and the board as it can have it: what an image must be built for.

    `warning`: in words, how that differs from the board.
    """

    emulator: Emulator
    version: str
    board: Board
    warning: str | None = None

    def fitted(self, planned: Planned) -> Planned:
        """A plan for the board, with the core as the emulator can have it."""
        if self.board.core == planned.board.core:
            return planned
        core = self.board.core
        return replace(planned, board=replace(planned.board, core=core), left=replace(planned.memory, core=core))


def choose_emulator(
    choice: EmulatorChoice,
    board: Board,
    *,
    on_output: Callable[[bytes], None] | None = None,
    debugger: GdbServer | None = None,
) -> Chosen:
    """The emulator, asked whether it can have the board. `on_output`: is given what a firmware prints, as it prints.

    Raises `MissingToolError` when it is not installed, `UsageError` for what it cannot do.
    """
    if choice.name == "unicorn":
        from importlib import metadata

        from tinydeploy.emulate import UnicornEmulator

        if choice.repl is not None:
            raise UsageError("a platform of your own (repl) is for Renode", hint="choose the emulator renode with it")
        unicorn = UnicornEmulator(on_output=on_output, debugger=debugger)
        unicorn.check(board)
        return Chosen(unicorn, f"{unicorn.name} {metadata.version('unicorn')}", board)
    if choice.name != "renode":
        raise UsageError(f"there is no emulator '{choice.name}'", hint="there are unicorn and renode")
    from tinydeploy.emulate.renode.install import find_renode
    from tinydeploy.emulate.renode.machine import RenodeEmulator
    from tinydeploy.emulate.renode.platform import without_helium

    found = find_renode(choice.renode)
    renode = RenodeEmulator(found, on_output=on_output, repl=choice.repl)
    renode.check(board)
    fit_for_renode = without_helium(board)
    told = [renode.excess(board)]
    if fit_for_renode != board:
        told.append(f"built without Helium, of which Renode's {board.core.name} lacks instructions")
    version = f"{renode.name} {found.version} ({found.kind})"
    return Chosen(renode, version, fit_for_renode, "; ".join(words for words in told if words) or None)
