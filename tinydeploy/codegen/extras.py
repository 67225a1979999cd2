"""`Extras`: what a library is told beside its model and plan: labels, what a pixel is, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinydeploy.convert.types import Pixels


@dataclass(frozen=True)
class Identity:
    """Where a library comes from, as its constants tell it; each is empty where it is not known.

    `board`: the board's id. `source`, `source_sha256`: the float model's name and its file's hash. `quantization`: in
    words; what the model's tensors tell, where it is empty.
    """

    board: str = ""
    source: str = ""
    source_sha256: str = ""
    quantization: str = ""


@dataclass(frozen=True)
class Extras:
    """`labels`: the classes' names in order, for each output that is a row of as many scores. `pixels`: gives every
    input functions that take 8-bit pixels."""

    labels: tuple[str, ...] = ()
    pixels: Pixels | None = None
    identity: Identity = Identity()


NO_EXTRAS = Extras()
