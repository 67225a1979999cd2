"""What TensorFlow's converter says when it refuses a network, in words that name the user's layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinydeploy.convert.types import Obstacle
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.base import printable

_HINT = (
    "end the model before it and compute it in the firmware, or write it with other layers; `tinydeploy ops` lists "
    "what can run"
)
_MOST_SHOWN = 8
_LISTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


@contextmanager
def refused_by_converter(function: Any | None = None) -> Iterator[None]:
    """Within, what TensorFlow's converter and quantizer raise becomes an `UnsupportedModelError`.

    `function`: the traced function, in which the layers are looked for.
    """
    try:
        yield
    except Exception as error:  # it raises ConverterError, ValueError and RuntimeError, of pybind11
        said = str(error)
        missing = sorted({name.strip() for found in _LISTED.findall(said) for name in found.split(",")})
        if not missing:
            raise UnsupportedModelError(f"TensorFlow Lite's converter refuses the model: {_gist(said)}") from error
        parts = [f"'{name}'{_where(function, name)}" for name in missing]
        what = "this operation" if len(parts) == 1 else "these operations"
        raise UnsupportedModelError(f"TensorFlow Lite does not have {what}: {', '.join(parts)}", hint=_HINT) from error


def refuse(shown: str, obstacles: Sequence[Obstacle]) -> None:
    """Raise `UnsupportedModelError` that tells all obstacles, if there are any."""
    if obstacles:
        raise refusal(shown, obstacles, "on a microcontroller")


def refusal(shown: str, obstacles: Sequence[Obstacle], where: str) -> UnsupportedModelError:
    """All obstacles in one message. `where`: it will not run."""
    told = [f"layer '{printable(each.layer)}' {printable(each.what, 300)}" for each in obstacles[:_MOST_SHOWN]]
    more = len(obstacles) - len(told)
    return UnsupportedModelError(
        f"{shown} will not run {where}: {'; '.join(told)}{f'; and {more} more' if more else ''}",
        hint="; ".join(dict.fromkeys(each.remedy for each in obstacles[:_MOST_SHOWN])),
    )


def layer_of(node: str) -> str:
    """The layer's part of a graph node's name, of the first of several: `model/head/dense/MatMul;…` is `head/dense`."""
    parts = node.partition(";")[0].split("/")
    return "/".join(parts[1:-1] if len(parts) > 2 else parts[:1])


def _where(function: Any | None, operation: str) -> str:
    if function is None:
        return ""
    layers = dict.fromkeys(layer_of(node.name) for node in function.graph.get_operations() if node.type == operation)
    if not layers:
        return ""
    shown = ", ".join(f"'{printable(layer)}'" for layer in list(layers)[:4])
    return f" (layer {shown}{' and others' if len(layers) > 4 else ''})"


def _gist(said: str) -> str:
    """The line that says what is wrong: MLIR's first error, else the first line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["without a word"]
    first = next((line.partition("error: ")[2] for line in lines if "error: " in line), lines[0])
    return printable(first, 300)
