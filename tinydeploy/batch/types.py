"""`Case`, one model on one board, and `Outcome`, what it came to: plain values that survive pickle and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tinydeploy.pipeline import PlanOptions

Depth = Literal["plan", "build", "run"]
"""How far to go: plan alone (no compiler), build an image too, or run it as well."""

Status = Literal["ok", "does-not-fit", "refused", "failed", "differs", "timed-out", "missing-tool", "crashed"]
"""`refused`: the model or the usage is wrong (codes 2 and 3); `failed`: it faulted on the board; `crashed`: a bug, or
the worker process died."""


@dataclass(frozen=True)
class Case:
    """One model on one board.

    `model` and `board` are what a user types (a path or a shipped name; an id, an alias or a board file). `inputs`: as
    `--input`; without them `samples` made-up ones from `seed`. `timeout_seconds`: of the host, for all of the case.
    `emulator`: `unicorn`, or `renode`, which is then the one that `renode` names (as `--renode`), or on PATH.
    """

    model: str
    board: str
    options: PlanOptions = field(default_factory=PlanOptions)
    depth: Depth = "plan"
    inputs: tuple[str, ...] = ()
    samples: int = 1
    seed: int = 0
    verify: bool = True
    toolchain: str | None = None
    emulator: str = "unicorn"
    timeout_seconds: float | None = None
    renode: str | None = None


@dataclass(frozen=True)
class LayerFigures:
    """One operator. `live_bytes`: alive while it runs; `instructions` and `cycles` None where nothing ran or where
    cycles have no model. `slow`: why its kernel is a slow one on this core, or None."""

    index: int
    opcode: str
    name: str
    macs: int
    live_bytes: int
    weights_bytes: int
    instructions: int | None = None
    cycles: int | None = None
    slow: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a case came to.

    `figures`: by name, in bytes, counts, Hz or milliseconds: `arena_bytes`, `arena_bound_bytes`, `stack_bytes`,
    `static_bytes`, `sram_bytes` (their sum), `weights_bytes`, `code_bytes`, `flash_bytes`, `macs`, `instructions`,
    `cycles`, `latency_ms`; absent where the case did not come so far. `kinds`: of what kind each figure is.
    `peak`: what is alive at the peak, (name, bytes), largest first. `message` and `hint`: what went wrong, for people.
    `model_sha256` and `model_name` identify the model's bytes. `bit_exact`: None where nothing was compared;
    `against`: with what. `seconds`: host time that the work took; `cached`: it was not done anew. `key`: the hash of
    all that this depends on; empty where nothing was measured, or in this process. `exit_code`: of the error that ended
    the work; 0 without one, and where more than an error did.
    """

    case: Case
    status: Status
    message: str = ""
    hint: str | None = None
    figures: Mapping[str, int | float] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[LayerFigures, ...] = ()
    peak_operator: int | None = None
    peak: tuple[tuple[str, int], ...] = ()
    model_name: str = ""
    model_sha256: str = ""
    bit_exact: bool | None = None
    against: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cached: bool = False
    key: str = ""
    exit_code: int = 0
