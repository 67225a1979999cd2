"""Converts many sources in one process with TensorFlow, whose import takes longer than any conversion of the tests'."""

from __future__ import annotations

import importlib.util
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tinydeploy.convert.types import Converted, ConvertOptions
from tinydeploy.errors import TinydeployError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Task:
    """A source by its path below the folder of the tasks, and the options, whose data are paths below it, too."""

    source: str
    options: ConvertOptions


Outcome = Converted | TinydeployError


def convert_all(
    folder: Path, tasks: Mapping[str, Task], write: Callable[[Path], None] | None = None
) -> dict[str, Outcome]:
    """What becomes of each task, without a network. `write`, a function of a module, makes sources there before, with
    TensorFlow."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]'")
    needs_tensorflow()
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=pickle.dumps((dict(tasks), write)),
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4000:]
    outcomes: dict[str, Outcome] = pickle.loads(done.stdout)
    return outcomes


def converted(outcomes: Mapping[str, Outcome], name: str) -> Converted:
    """What came out of a task that must not fail."""
    outcome = outcomes[name]
    assert isinstance(outcome, Converted), f"{name}: {outcome}"
    return outcome


def refusal(outcomes: Mapping[str, Outcome], name: str) -> TinydeployError:
    """The error of a task that must fail."""
    outcome = outcomes[name]
    assert isinstance(outcome, TinydeployError), f"{name} was converted"
    return outcome


def needs_tensorflow() -> None:
    """Skip the test without TensorFlow, which is not imported here."""
    _needs(("tensorflow",), "pip install 'tinydeploy[export]'")


def needs_onnx() -> None:
    """Skip the test without the packages that convert ONNX."""
    from tinydeploy.convert.sources.onnx.files import INSTALL_HINT, PACKAGES

    _needs(PACKAGES, INSTALL_HINT)


def _needs(modules: Sequence[str], reason: str) -> None:
    if any(importlib.util.find_spec(module) is None for module in modules):
        pytest.skip(reason)


def _main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    socket.getaddrinfo = _no_network
    tasks, write = pickle.load(sys.stdin.buffer)
    if write is not None:
        write(Path())
    pickle.dump({name: _bare(_outcome(task)) for name, task in tasks.items()}, answers)
    answers.close()
    os._exit(0)


def _no_network(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a conversion has asked for the network")


def _outcome(task: Task) -> Outcome:
    from tinydeploy.convert.conversion import convert_here
    from tinydeploy.convert.sources.find import digest, find_source

    try:
        source = find_source(task.source)
        return convert_here(source, task.options, *digest(source))
    except TinydeployError as error:
        return error


def _bare(outcome: Outcome) -> Outcome:
    return type(outcome)(outcome.message, hint=outcome.hint) if isinstance(outcome, TinydeployError) else outcome


if __name__ == "__main__":
    from tests.support.conversions import _main as main  # so that pickles name the module, not `__main__`

    main()
