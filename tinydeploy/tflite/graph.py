"""What a sound graph is: every tensor is written once, before it is read, and nothing writes what is given."""

from __future__ import annotations

from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.ir import Model, Operator, Tensor
from tinydeploy.operators.base import printable

DAMAGED_HINT = "the file is damaged or was written by a faulty tool: copy or convert it again"


def tensor_label(index: int, name: str) -> str:
    """A tensor, for people."""
    return f"tensor {index} '{printable(name)}'"


def place(path: str, *parts: str) -> str:
    """Where an error is: the file, and as much of operator and tensor as is known."""
    shown = printable(path, limit=400)
    return f"{shown}: {', '.join(parts)}" if parts else shown


def _error(model: Model, op: Operator | None, tensor: Tensor, why: str) -> ModelError:
    parts = [tensor_label(tensor.index, tensor.name)]
    if op is not None:
        parts.insert(0, str(op))
    return ModelError(f"{place(model.path or model.name, *parts)}: {why}", hint=DAMAGED_HINT)


def _unsupported(model: Model, tensor: Tensor, why: str) -> UnsupportedModelError:
    label = tensor_label(tensor.index, tensor.name)
    return UnsupportedModelError(f"{place(model.path or model.name, label)}: {why}")


def check_graph(model: Model) -> None:
    """Raise `ModelError` unless the operators can be executed in the file's order.

    Tensor indices are in range already. What is given before the first operator runs: the graph's inputs,
    constants, and variables (state that outlives a call).
    """
    _check_interface(model)
    writer = _writers(model)
    given = {t.index for t in model.tensors if t.constant or t.variable} | set(model.inputs)
    ready = set(given)
    for op in model.operators:
        for index in op.inputs:
            if index >= 0 and index not in ready:
                raise _not_ready(model, op, model.tensors[index], writer)
        ready.update(op.outputs)
    for index in model.outputs:
        if index not in ready:
            raise _error(model, None, model.tensors[index], "is an output of the graph, but no operator computes it")


def _check_interface(model: Model) -> None:
    """The graph's inputs and outputs, and that there is something to run between them."""
    name = place(model.path or model.name)
    if not model.operators:
        raise UnsupportedModelError(f"{name}: the graph has no operators")
    if not model.inputs:
        raise UnsupportedModelError(f"{name}: the graph has no inputs")
    if not model.outputs:
        raise UnsupportedModelError(f"{name}: the graph has no outputs")
    seen: set[int] = set()
    for index in model.inputs:
        tensor = model.tensors[index]
        if index in seen:
            raise _error(model, None, tensor, "is listed twice among the graph's inputs")
        seen.add(index)
        if tensor.constant:
            raise _unsupported(model, tensor, "is an input of the graph, but the file holds its value")
        if tensor.variable:
            raise _unsupported(model, tensor, "is an input of the graph and a variable at once")
    for index in model.outputs:
        tensor = model.tensors[index]
        if tensor.constant:
            raise _unsupported(model, tensor, "is an output of the graph, but a constant")


def _writers(model: Model) -> dict[int, Operator]:
    """Which operator writes each tensor. Raises for a second writer, and for writing what is given."""
    writer: dict[int, Operator] = {}
    inputs = set(model.inputs)
    for op in model.operators:
        for index in op.outputs:
            tensor = model.tensors[index]
            what = None
            if tensor.constant:
                what = "writes to a constant"
            elif index in inputs:
                what = "writes to an input of the graph"
            elif index in writer:
                what = f"writes what {writer[index]} has written"
            if what is not None:
                raise _error(model, op, tensor, what)
            writer[index] = op
    return writer


def _not_ready(model: Model, op: Operator, tensor: Tensor, writer: dict[int, Operator]) -> ModelError:
    """The error for an input that nothing has computed when the operator runs."""
    later = writer.get(tensor.index)
    if later is None:
        return _error(
            model, op, tensor, "is read, but no operator computes it, it is no input of the graph and has no data"
        )
    if _has_cycle(model, writer):
        return _error(model, op, tensor, f"is computed by {later} from its own result: the graph has a cycle")
    return _error(model, op, tensor, f"is read before {later} computes it: the operators are out of order")


def _has_cycle(model: Model, writer: dict[int, Operator]) -> bool:
    """Whether the operators cannot be sorted at all (Kahn's algorithm)."""
    waits = [0] * len(model.operators)
    readers: dict[int, list[int]] = {}
    for op in model.operators:
        for index in op.inputs:
            if index in writer:
                waits[op.index] += 1
                readers.setdefault(writer[index].index, []).append(op.index)
    free = [i for i, count in enumerate(waits) if count == 0]
    done = 0
    while free:
        done += 1
        for reader in readers.get(free.pop(), ()):
            waits[reader] -= 1
            if waits[reader] == 0:
                free.append(reader)
    return done < len(model.operators)
