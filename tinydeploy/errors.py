"""The errors that a user can meet, as one tree: each class has its exit code.

A message says what is wrong in the user's words (file, operator, tensor); `hint` says what to do about it.
Everything that is not a `TinydeployError` is a bug, and the command line ends it with exit code 70.
"""

from __future__ import annotations


class TinydeployError(Exception):
    """The root. `message` is one line; `hint`, when given, says what to do."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class GateError(TinydeployError):
    """It does not fit, or a budget is exceeded."""

    exit_code = 1


class UsageError(TinydeployError):
    """Wrong usage or configuration: an unknown board, an input of the wrong shape, a malformed file of the user's."""

    exit_code = 2


class BoardError(UsageError):
    """A board is not known, or its file breaks the schema."""


class ModelError(TinydeployError):
    """The model cannot be read."""

    exit_code = 3


class UnsupportedModelError(ModelError):
    """The model is sound but uses something that tinydeploy does not do."""


class MissingToolError(TinydeployError):
    """A tool or an optional package is missing; the hint says how to install it."""

    exit_code = 4


class BuildError(TinydeployError):
    """The compiler or the linker refused what was generated: the toolchain's own words are in the message."""

    exit_code = 70


class DoesNotLinkError(GateError):
    """The image is larger than the board's memories: the linker says by how much."""


class RunError(TinydeployError):
    """The run failed on the board. `kind`, when known, is that of the emulator's `Fault`, such as `time-out`."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str | None = None, kind: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class MismatchError(TinydeployError):
    """Outputs differ from the reference."""

    exit_code = 6


class PlanInvalidError(TinydeployError):
    """The validator refused a plan: a bug in the planner, told with the tensors it would have corrupted."""

    exit_code = 70
