"""Running a reference interpreter in a process of its own, and turning what became of it into a value or an error."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.verify.types import Array, Sample
from tinydeploy.verify.worker import MISSING, REFUSED

_log = logging.getLogger(__name__)
INSTALL_HINT = "pip install 'tinydeploy[verify]'"

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Request:
    """What the worker is asked: tensors by index, `layers` those to read beside the outputs, the arena for TFLM, and
    whether to tell what of that is used."""

    reference: str
    samples: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    layers: tuple[int, ...]
    arena_bytes: int = 0
    most_arena_bytes: int = 2 << 30
    tell_arena: bool = False


def ask(package: str, model: Model, data: bytes, samples: Sequence[Sample], request: Request) -> tuple[Sample, ...]:
    """Send the request and the samples; return for each sample the tensors asked for. Raises as `ask_and_listen`."""
    return ask_and_listen(package, model, data, samples, request)[0]


def ask_and_listen(
    package: str, model: Model, data: bytes, samples: Sequence[Sample], request: Request
) -> tuple[tuple[Sample, ...], str]:
    """Send the request and the samples; return for each sample the tensors asked for, and what the interpreter said.

    Raises `MissingToolError` when `package` is not installed, `UnsupportedModelError` when the interpreter
    refuses the model, or crashes on it.
    """
    done = subprocess.run(
        # -P: the folder of the script, which has modules named as the standard library's, stays off the path
        [sys.executable, "-P", str(_WORKER), json.dumps(asdict(request))],
        input=_pack(data, samples, request.inputs),
        capture_output=True,
        check=False,
    )
    _log.debug("%s on %d sample(s): exit code %d", package, len(samples), done.returncode)
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode == 0:
        return _unpack(done.stdout, request), said
    if done.returncode == MISSING:
        raise missing(package)
    words = "; ".join(line.strip() for line in said.splitlines() if line.strip())
    if done.returncode == REFUSED:
        why = f"cannot run this model: {printable(words, 400)}"
    elif done.returncode < 0:
        why = f"crashed on this model ({_signal_name(-done.returncode)})"
    else:
        _log.debug("%s", said)
        ends = [line for line in said.splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
        raise RuntimeError(f"the worker for {package} ended with code {done.returncode}: {'; '.join(ends)[-2000:]}")
    raise UnsupportedModelError(
        f"{printable(model.path or model.name)}: {package} {why}",
        hint="--no-verify does without the comparison",
    )


def installed_version(package: str) -> str:
    """The version of an installed package. Raises `MissingToolError`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise missing(package) from error


def missing(package: str) -> MissingToolError:
    """The error for a package that is not installed."""
    return MissingToolError(f"verification needs the package {package}, which is not installed", hint=INSTALL_HINT)


def _pack(data: bytes, samples: Sequence[Sample], inputs: Sequence[int]) -> bytes:
    arrays: dict[str, Array] = {"model": np.frombuffer(data, dtype=np.uint8)}
    for number, sample in enumerate(samples):
        for index in inputs:
            arrays[f"{number}/{index}"] = sample[index]
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def _unpack(answer: bytes, request: Request) -> tuple[Sample, ...]:
    wanted = tuple(dict.fromkeys((*request.layers, *request.outputs)))
    with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
        return tuple({index: arrays[f"{number}/{index}"] for index in wanted} for number in range(request.samples))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
