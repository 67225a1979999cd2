"""What a model card is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tinydeploy.boards import Board
from tinydeploy.convert.types import Converted, Pixels
from tinydeploy.ir import Model

Runtime = Literal["tinydeploy", "tflm"]


class Kinded(Protocol):
    """A number with its kind: computed, estimated, given, emulated, modelled, measured, or unknown."""

    @property
    def value(self) -> int | float:
        """The number."""

    @property
    def kind(self) -> str:
        """Its kind, one word."""


@dataclass(frozen=True)
class CardFacts:
    """What is known of an exported model.

    `name`: what the export is called. `model`: as it is exported, with its inputs and outputs; `sha256`, `file_bytes`:
    of the int8 file. `converted`: how the file came about, None where it was int8 already. `board`: the one that it is
    planned for, if any. `figures`: by name, bytes in those that end in `_bytes`. `plan`: what was chosen for the plan,
    in words. `labels`: the classes in order. `pixels`: what pixels become. `command`: what makes all of it again, word
    by word. `tools`: names and versions beside those of `converted`. `remarks`: what else a user must know, a sentence
    each.
    """

    name: str
    model: Model
    sha256: str
    file_bytes: int
    runtime: Runtime
    converted: Converted | None = None
    board: Board | None = None
    figures: Mapping[str, Kinded] = field(default_factory=dict)
    plan: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    pixels: Pixels | None = None
    command: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
