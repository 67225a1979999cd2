"""Converting a model in a process of its own, and turning what became of that into a value or an error."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tinydeploy.convert.sources.find import digest
from tinydeploy.convert.types import Converted, ConvertOptions, Source
from tinydeploy.convert.worker import START, Answer, Request
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.base import printable
from tinydeploy.processes import APART, end_tree

_log = logging.getLogger(__name__)

_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # its sums depend on the processor
}
"""What makes TensorFlow compute the same on every run, and say no more than it must."""

_MEMORY_HINT = "a system ends processes so when its memory is at an end: --calibration-samples takes fewer"
_CRASH_HINT = "-vv shows all that TensorFlow said; module:function can return the model without the part it fails on"
_NOISE = ("I0000", "W0000", "WARNING", "INFO", "DEBUG", "***", "@", "PC:", "To enable", "I tensorflow")


def convert(source: Source, options: ConvertOptions) -> Converted:
    """The source as an int8 model, with what it lost on the way.

    The current folder and PYTHONPATH are where the source's and the data's functions are looked for. Raises
    `UsageError`, `ModelError` and `UnsupportedModelError` for sources and data that cannot be used, or that TensorFlow
    crashes on, `MissingToolError` without TensorFlow.
    """
    request = Request(source, options, *digest(source))
    with tempfile.TemporaryDirectory(prefix="tinydeploy-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(folder), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, **_ENVIRONMENT},
                **APART,
            )
        try:
            answer = _asked(process, request)
        finally:
            end_tree(process)
        words = (folder / "said").read_text("utf-8", "replace")
    for line in words.splitlines():
        _log.debug("%s", printable(line, 2000))
    if answer is None:
        raise _crashed(source, process.returncode, words)
    if answer.bug:
        raise RuntimeError(f"the conversion failed: {answer.bug}")
    if answer.refused is not None:
        raise answer.refused
    assert answer.converted is not None
    return answer.converted


def _asked(process: subprocess.Popen[bytes], request: Request) -> Answer | None:
    """What the child answers; None when it ended before that, which it then has."""
    assert process.stdin is not None and process.stdout is not None
    with process.stdout:
        try:
            with contextlib.suppress(OSError):  # it has ended
                pickle.dump(request, process.stdin)
                process.stdin.flush()
            packed = process.stdout.read()
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
    try:
        answer: Answer = pickle.loads(packed)
        return answer
    except (EOFError, pickle.UnpicklingError):
        process.wait()
        return None


def _crashed(source: Source, code: int, words: str) -> UnsupportedModelError:
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.strip().startswith(_NOISE)]
    told = f": {printable(lines[-1], 300)}" if lines else ""
    how = f"code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    hint = _MEMORY_HINT if -code == getattr(signal, "SIGKILL", None) else _CRASH_HINT
    return UnsupportedModelError(
        f"{printable(source.text, 400)}: TensorFlow crashed on this model ({how}){told}", hint=hint
    )
