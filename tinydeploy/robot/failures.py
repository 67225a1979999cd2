"""How a keyword fails: in one line, with what to do about it in the words of a suite."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import ParamSpec, TypeVar

from tinydeploy.errors import TinydeployError
from tinydeploy.pipeline import PlanOptions

P = ParamSpec("P")
R = TypeVar("R")

_ACRONYMS = ("sram", "uart")
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_ARGUMENTS = frozenset({field.name for field in fields(PlanOptions)} | {"board", "layers", "toolchain"})


class KeywordError(AssertionError):
    """A check that is not met, or a keyword that could not do its work. `error`: what it was raised for, if so."""

    ROBOT_SUPPRESS_NAME = True

    def __init__(self, message: str, error: TinydeployError | None = None) -> None:
        # Robot Framework takes what begins with *HTML* for HTML, and a message may begin with a model's name.
        super().__init__(f" {message}" if message.lstrip().upper().startswith("*HTML*") else message)
        self.error = error


def keyword(function: Callable[P, R]) -> Callable[P, R]:
    """A keyword: errors of tinydeploy become failures, and its name in a suite is the function's, in words.

    What else is raised is a bug, and shows its name.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TinydeployError as error:
            raise KeywordError(words(error), error) from error

    if not function.__name__.startswith("_"):
        words_of_name = (w.upper() if w in _ACRONYMS else w.capitalize() for w in function.__name__.split("_"))
        vars(wrapped)["robot_name"] = " ".join(words_of_name)  # as Robot Framework's own decorator does
    return wrapped


def words(error: TinydeployError) -> str:
    """An error with its hint, and keywords' arguments in place of the command line's options."""
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    return _OPTION.sub(_argument, text)


def _argument(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    return f"{name}=" if name in _ARGUMENTS else option[0]
