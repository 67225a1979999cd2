"""A process of its own that converts one model: whatever TensorFlow writes, leaks or crashes on ends there."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass
from typing import BinaryIO

from tinydeploy.convert.loss.interpreters import INSTALL_HINT
from tinydeploy.convert.types import Converted, ConvertOptions, Source
from tinydeploy.errors import MissingToolError, TinydeployError, UsageError
from tinydeploy.operators.base import printable

START = "import sys; sys.path[:] = sys.argv[2:]; from tinydeploy.convert.worker import main; main()"
"""Starts it with `python -P -c`: arguments are its folder for temporary files, and where to import from."""


@dataclass(frozen=True)
class Request:
    """What is to be converted. `sha256` and `bytes` are the source's."""

    source: Source
    options: ConvertOptions
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Answer:
    """One of these: what came out, the error that the user is to see, or the traceback of a bug."""

    converted: Converted | None = None
    refused: TinydeployError | None = None
    bug: str = ""


def main() -> None:
    """Read a `Request`, answer an `Answer`; both of them pickles."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a library prints must not get among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is not this process that the user interrupts
    tempfile.tempdir = sys.argv[1]
    request: Request = pickle.load(questions)
    threading.Thread(target=_end_with, args=(questions,), daemon=True).start()
    with answers:
        pickle.dump(_answer(request), answers)
    os._exit(0)  # TensorFlow's threads may hang or crash while Python ends


def _end_with(questions: BinaryIO) -> None:
    """Whoever asks keeps the stream open until it has the answer: when it ends, nobody waits for one."""
    questions.read()
    os._exit(1)


def _answer(request: Request) -> Answer:
    try:
        _settle()
        from tinydeploy.convert.conversion import convert_here

        return Answer(convert_here(request.source, request.options, request.sha256, request.bytes))
    except TinydeployError as error:
        return Answer(refused=type(error)(error.message, hint=error.hint))
    except MemoryError:
        return Answer(refused=UsageError("the conversion ran out of memory", hint="--calibration-samples takes fewer"))
    except Exception:
        return Answer(bug=traceback.format_exc())


def _settle() -> None:
    """Import TensorFlow so that it computes the same on every run. Raises `MissingToolError` without it."""
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        what = "which is not installed" if error.name == "tensorflow" else f"which lacks {printable(str(error.name))}"
        raise MissingToolError(f"converting a model needs TensorFlow, {what}", hint=INSTALL_HINT) from error
    except ImportError as error:
        raise MissingToolError(
            f"TensorFlow cannot be imported: {printable(str(error), 300)}", hint=INSTALL_HINT
        ) from error
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(0)
