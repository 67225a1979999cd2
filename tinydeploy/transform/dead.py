"""Leaves out operators whose results nobody needs."""

from __future__ import annotations

from collections.abc import Collection

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.registry import kind_of
from tinydeploy.transform.graph import with_operators


def drop_dead(model: Model, keep: Collection[int] = ()) -> Model:
    """`model` without the operators from which no output, no state and no tensor of `keep` (indices) follows.

    Only operators that tinydeploy knows go: each of them is a function of its inputs and does nothing else. The model
    itself where there are none, or where no operator would be left.
    """
    needed = {*model.outputs, *keep}
    kept: list[Operator] = []
    for op in reversed(model.operators):
        if needed.intersection(op.outputs) or _may_do_more(model, op):
            needed.update(op.inputs)
            kept.append(op)
    if len(kept) in (0, len(model.operators)):
        return model
    return with_operators(model, kept[::-1])


def _may_do_more(model: Model, op: Operator) -> bool:
    """Whether the operator may change state."""
    touched = (model.tensor(index) for index in (*op.inputs, *op.outputs) if index >= 0)
    return kind_of(op.opcode) is None or any(tensor.variable for tensor in touched)
