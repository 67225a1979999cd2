"""What keywords return: a model's `Result`, from plan to run, and a `FirmwareRun` of an image of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.operators.base import printable
from tinydeploy.robot.failures import KeywordError, words
from tinydeploy.robot.figures import Figure, figures_of, figures_of_firmware, obstacle
from tinydeploy.robot.logs import Block, firmware_blocks, model_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tinydeploy.boards import Board
    from tinydeploy.elf import ElfFile
    from tinydeploy.emulate import RunResult
    from tinydeploy.errors import RunError
    from tinydeploy.pipeline import Built, Ran
    from tinydeploy.report.plans import Planned
    from tinydeploy.verify import Verification


class Address(int):
    """An address on the chip: a number that reads in hexadecimal, as the monitor of an emulator wants it."""

    def __str__(self) -> str:
        return f"{int(self):#010x}"


def _reading(name: str, about: str) -> property:
    """A figure as an attribute: `${result.arena_bytes}`. One that is not known, or only guessed, is a failure."""

    def read(self: _Figures) -> int | float:
        try:
            return self.figure(name).value
        except TinydeployError as error:
            raise KeywordError(words(error), error) from error

    return property(read, doc=about)


class _Figures:
    """What all results have."""

    def figure(self, name: str) -> Figure:
        """The figure of that name, more than a rule of thumb. Raises `UsageError` that says what finds it out, and
        `RunError` where it is not known because the run failed."""
        raise NotImplementedError

    instructions = _reading("instructions", "Of one inference; of firmware, of the whole run.")
    cycles = _reading("cycles", "Modelled, of the same.")
    latency_ms = _reading("latency", "Modelled milliseconds at the board's clock.")


_NEEDS_RUN = ("stack", "SRAM", "instructions", "cycles", "latency")


@dataclass(frozen=True)
class Result(_Figures):
    """A model on a board, as far as it came. `image` is what `Build Model` made; `fault`: why its run failed."""

    arena_bytes = _reading("arena", "Bytes that hold all tensors.")
    stack_bytes = _reading("stack", "Bytes of stack that the run used.")
    static_bytes = _reading("static", "Bytes of static data beside the arena.")
    sram_bytes = _reading("SRAM", "Arena, stack and static data.")
    weights_bytes = _reading("weights", "Bytes of constants in flash.")
    code_bytes = _reading("code", "Bytes of all else in flash.")
    flash_bytes = _reading("flash", "Weights and code.")

    planned: Planned
    image: Built | None = None
    ran: Ran | None = None
    fault: RunError | None = None
    verification: Verification | None = None

    @property
    def subject(self) -> str:
        """What a message says it is about."""
        return f"{self.model} on {self.board}"

    @property
    def model(self) -> str:
        """The model's name."""
        return printable(self.planned.model.name)

    @property
    def board(self) -> str:
        """The board's id."""
        return self.planned.board.id

    @property
    def fits(self) -> bool:
        """Whether the board's memories are large enough."""
        return self.planned.fit.fits

    def why_not(self) -> str:
        """By how much it does not fit, and what would have to be smaller, in words."""
        return f"{self.planned.fit.why_not()}; {obstacle(self.planned)}"

    def blocks(self) -> tuple[Block, ...]:
        """What it has, for the log."""
        return model_blocks(self.planned, self.ran, self.figures, self.fault)

    @property
    def elf(self) -> str:
        """The path of the image that `Build Model` made."""
        return str(self.built_image().image.elf)

    @property
    def folder(self) -> str:
        """The folder with the C library that `Build Model` wrote."""
        return str(self.built_image().image.elf.parent.parent)

    @property
    def arena_address(self) -> Address:
        """Where the arena begins on the chip."""
        return self.address_of(self.built_image().tree.arena_symbol)

    @property
    def done_address(self) -> Address:
        """The function that the image enters when the outputs are there."""
        return self.address_of(self.built_image().tree.done_symbol)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """All figures that are known, the guessed ones too, by name."""
        return figures_of(self.planned, self.image or (self.ran.built if self.ran else None), self.ran)

    def figure(self, name: str) -> Figure:
        """As `_Figures.figure` says."""
        if self.fault is not None and name in _NEEDS_RUN:
            raise self.fault
        found = self.figures.get(name)
        if found is None and self.ran is not None:
            raise UsageError(
                f"{name} of {self.subject} is not known: there is no timing model for its core",
                hint="Instructions Should Be At Most works on every core",
            )
        if found is None or found.kind in ("estimated", "unknown"):
            what = "not known" if found is None or found.kind == "unknown" else f"only estimated ({found.amount})"
            hint = "Run On Board finds it out" if name in _NEEDS_RUN else "Build Model finds it out, and Run On Board"
            raise UsageError(f"{name} of {self.subject} is {what}", hint=hint)
        return found

    def built_image(self) -> Built:
        """What `Build Model` made. Raises `UsageError` where there is nothing."""
        if self.image is None:
            raise UsageError(f"there is no image of {self.subject} to keep", hint="Build Model makes one")
        return self.image

    def address_of(self, symbol: str) -> Address:
        """A symbol's address, of a function without the Thumb bit. Raises `UsageError`."""
        from tinydeploy.elf import read_elf

        return Address(read_elf(self.built_image().image.elf).address_of(symbol))


@dataclass(frozen=True)
class FirmwareRun(_Figures):
    """A run of an image of the user's own, from reset to its end. `fault`: why it failed, or None."""

    path: Path
    image: ElfFile
    target: Board
    result: RunResult
    fault: RunError | None

    @property
    def subject(self) -> str:
        """What a message says it is about."""
        return f"{self.path.name} on {self.board}"

    @property
    def board(self) -> str:
        """The board's id."""
        return self.target.id

    @property
    def elf(self) -> str:
        """The image's path."""
        return str(self.path)

    @property
    def uart(self) -> str:
        """What the firmware printed."""
        return self.result.uart.decode("utf-8", "backslashreplace")

    @property
    def exit_code(self) -> int:
        """As the firmware gave it by semihosting."""
        return self.result.exit_code

    def blocks(self) -> tuple[Block, ...]:
        """What it has, for the log."""
        return firmware_blocks(self.subject, self.uart, self.figures, self.fault)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """All figures that are known, by name."""
        return figures_of_firmware(self.target, self.result)

    def figure(self, name: str) -> Figure:
        """As `_Figures.figure` says."""
        if self.fault is not None:
            raise self.fault
        found = self.figures.get(name)
        if found is None:
            raise UsageError(
                f"{name} of {self.subject} is not known",
                hint="of firmware of your own there are instructions, and cycles and latency where the core has a "
                "timing model",
            )
        return found

    def address_of(self, symbol: str) -> Address:
        """A symbol's address, of a function without the Thumb bit. Raises `UsageError`."""
        return Address(self.image.address_of(symbol))
