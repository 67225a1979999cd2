"""What the transforms share: who reads and writes a tensor, and a model with other operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinydeploy.ir import Model, Operator


def readers_of(model: Model) -> dict[int, list[int]]:
    """The indices of the operators that read each tensor; one that reads it at two positions is there twice."""
    found: dict[int, list[int]] = {}
    for op in model.operators:
        for index in op.inputs:
            found.setdefault(index, []).append(op.index)
    return found


def writers_of(model: Model) -> dict[int, Operator]:
    """The operator that computes each tensor."""
    return {index: op for op in model.operators for index in op.outputs}


def with_operators(model: Model, operators: Sequence[Operator]) -> Model:
    """`model` with these operators, numbered anew. Tensors stay as they are: also those that nothing computes now."""
    return replace(model, operators=tuple(replace(op, index=number) for number, op in enumerate(operators)))
