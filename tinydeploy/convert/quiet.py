"""Converting in a process that others print in: what the converter's C++ writes to standard error is left out."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

_NOISE = re.compile(
    rb"[IWE]\d{4} .*\b(?:devices|single_machine|tf_tfl_flatbuffer_helpers|flatbuffer_export|calibrator)\.cc"
    rb"|fully_quantize: \d+, inference_type: "
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate"
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within, warnings and the converter's own lines go nowhere. What else was written to standard error, by other
    threads, is written there afterwards."""
    absl = logging.getLogger("absl")
    level = absl.level
    with warnings.catch_warnings(), _standard_error_later():
        warnings.simplefilter("ignore")
        absl.setLevel(logging.ERROR)
        try:
            yield
        finally:
            absl.setLevel(level)


@contextlib.contextmanager
def _standard_error_later() -> Iterator[None]:
    try:
        sys.stderr.flush()
        true = os.dup(2)
    except (OSError, AttributeError, ValueError):  # there is none
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            with contextlib.suppress(OSError, AttributeError, ValueError):
                sys.stderr.flush()
            os.dup2(true, 2)
            os.close(true)
            kept.seek(0)
            for line in kept:
                if not _NOISE.match(line):
                    os.write(2, line)
