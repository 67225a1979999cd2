"""All transforms of a model, in the order in which they help each other, and what they did in words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tinydeploy.ir import DType, Model, Operator
from tinydeploy.operators.base import printable
from tinydeploy.transform.dead import drop_dead
from tinydeploy.transform.ends import int8_io
from tinydeploy.transform.graph import writers_of
from tinydeploy.transform.pads import fold_pads

Io = Literal["model", "int8"]


@dataclass(frozen=True)
class Prepared:
    """A model as it is planned, and as it was read, which is what reference interpreters run.

    Tensors have the same indices in both, operators do not: an operator is found again by what it computes. `notes`
    say, a line each, what was changed, and which ends could not be made int8.
    """

    model: Model
    original: Model
    notes: tuple[str, ...]


def prepare(model: Model, *, io: Io = "model", keep: Collection[int] = ()) -> Prepared:
    """The transforms that leave every result as it is, bit by bit; with `io="int8"` also `int8_io`.

    `keep`: tensors, by index, that must still be computed. Without anything to do the result holds `model` itself.
    """
    alive = drop_dead(model, keep)
    ended = int8_io(alive, keep) if io == "int8" else alive
    folded = fold_pads(ended, keep)
    notes = _listed("left out, since nobody needs the result", _gone(model, alive))
    if io == "int8":
        notes += _ends("input", model, model.inputs, ended.inputs)
        notes += _ends("output", model, model.outputs, ended.outputs)
    notes += _listed("done by the convolutions that read it", _gone(ended, folded))
    return Prepared(folded, model, notes)


def _gone(before: Model, after: Model) -> list[Operator]:
    """The operators whose results are computed in `before` alone."""
    computed = writers_of(after)
    return [op for op in before.operators if op.outputs and op.outputs[0] not in computed]


def _listed(what: str, operators: list[Operator]) -> tuple[str, ...]:
    """One note about all of them, without their numbers: those of the plan are others."""
    if not operators:
        return ()
    counts = {op.opcode: 0 for op in operators}
    for op in operators:
        counts[op.opcode] += 1
    return (f"{', '.join(f'{n} × {printable(opcode)}' for opcode, n in counts.items())} {what}",)


def _ends(kind: str, original: Model, outside: tuple[int, ...], inside: tuple[int, ...]) -> tuple[str, ...]:
    """A note for each input, or output, that is not int8 in the file."""
    notes = []
    for there, here in zip(outside, inside, strict=True):
        tensor = original.tensor(there)
        name, dtype = printable(tensor.name), tensor.dtype.label
        if there != here:
            notes.append(f"{kind} '{name}' is int8, without the conversion from or to {dtype}")
        elif tensor.dtype is not DType.INT8:
            notes.append(f"{kind} '{name}' stays {dtype}: no conversion between it and int8 can be left out")
    if not notes:
        notes.append(f"{kind}s are int8 in the file already")
    return tuple(dict.fromkeys(notes))
