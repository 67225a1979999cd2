"""A worker process: measures the cases that come in on standard input, one after the other, until there are no more.

Whoever started it may die at any moment: then its input ends, and it ends itself with all that it started.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from tinydeploy.batch.key import key_of
from tinydeploy.batch.material import Material
from tinydeploy.batch.measure import measure
from tinydeploy.batch.types import Case
from tinydeploy.processes import end_children

START = "import sys; sys.path[:] = sys.argv[2:]; from tinydeploy.batch.child import main; main()"
"""Starts it with `python -c`: arguments are its folder for temporary files, and where to import from."""

Asked = tuple[Case, Material]


def main() -> None:
    """Say that it begins, then answer each `Asked` with an `Outcome` that has its key; all of them pickles."""
    folder = Path(sys.argv[1])
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a library prints must not get among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is not this process that the user interrupts
    tempfile.tempdir = str(folder)
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))  # the compilers', too
    asked: SimpleQueue[Asked] = SimpleQueue()
    threading.Thread(target=_listen, args=(questions, asked, folder), daemon=True).start()
    _say(answers, "ready")
    while True:
        case, material = asked.get()
        _say(answers, replace(measure(case, material), key=key_of(case, material)))


def _say(answers: BinaryIO, value: object) -> None:
    pickle.dump(value, answers)
    answers.flush()


def _listen(questions: BinaryIO, asked: SimpleQueue[Asked], folder: Path) -> None:
    try:
        while True:
            asked.put(pickle.load(questions))
    except (EOFError, pickle.UnpicklingError, OSError):
        end_children()
        shutil.rmtree(folder, ignore_errors=True)
        if sys.platform != "win32":
            os.killpg(0, signal.SIGKILL)  # this process leads its group
        os._exit(0)
