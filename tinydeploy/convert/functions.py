"""Calling what a user named as `module:function`: with the current folder on the path, and errors told in one line."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.operators.base import printable

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_function(spec: str) -> bool:
    """Whether `spec` reads `module:function` and no such file is there."""
    return _FUNCTION.fullmatch(spec) is not None and not Path(spec).exists()


def call_function(spec: str) -> Any:
    """What the function gives when it is called without arguments. Raises `UsageError` for whatever goes wrong there.

    The module is looked for in the current folder first, and may import what lies beside it then and later.
    """
    module_name, _, name = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    module = guarded(spec, lambda: _module(spec, module_name, name))
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"the module {printable(module_name)} has no function {printable(name)}")
    return guarded(spec, function)


def guarded(spec: str, step: Callable[[], Any]) -> Any:
    """`step()`, which runs the user's code. Raises `UsageError` in place of what the code raises."""
    try:
        return step()
    except TinydeployError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(spec, error) from error


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Within, the user's code sees no arguments of a command line, and what it prints is no part of a report;
    afterwards the current folder is what it was."""
    here, arguments = Path.cwd(), sys.argv
    sys.argv = arguments[:1]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.argv = arguments
        os.chdir(here)


def _module(spec: str, module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        hint = "it is looked for in the current folder and among the installed packages"
        if module.endswith(".py"):
            hint = f"a function is named by its module: {printable(module.removesuffix('.py'))}:{name}"
        raise UsageError(f"there is no module {printable(module)}, which {printable(spec)} names", hint=hint) from error


def _failed(spec: str, error: Exception | SystemExit) -> UsageError:
    words = " ".join(str(error).split())
    told = f"{printable(spec)} failed with {type(error).__name__}: {printable(words, 300)}"
    return UsageError(told, hint=_place(error))


def _place(error: BaseException) -> str | None:
    """The last line of the user's own code on the way to the error: what is installed is not theirs."""
    frames = traceback.extract_tb(error.__traceback__)
    stdlib = Path(sysconfig.get_path("stdlib"))
    own = [
        frame
        for frame in frames
        if frame.line
        and not {"site-packages", "tinydeploy"} & set(Path(frame.filename).parts)
        and not Path(frame.filename).is_relative_to(stdlib)
    ]
    return f"{own[-1].filename}:{own[-1].lineno}: {printable(own[-1].line or '', 120)}" if own else None
