"""Which tensors of a model can be looked at, layer by layer."""

from __future__ import annotations

from tinydeploy.ir import Model, Operator


def observable(model: Model) -> tuple[int, ...]:
    """Indices of the tensors that an operator computes and something reads, in the operators' order.

    An output that nothing reads has no memory in some interpreters.
    """
    read = {index for op in model.operators for index in op.inputs} | set(model.outputs)
    return tuple(dict.fromkeys(index for op in model.operators for index in op.outputs if index in read))


def producers(model: Model) -> dict[int, Operator]:
    """The operator that computes each tensor."""
    return {index: op for op in model.operators for index in op.outputs}
