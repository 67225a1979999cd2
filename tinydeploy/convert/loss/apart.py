"""What each operator of the int8 model loses by itself: it and its float twin run on the same inputs, without the rest.

For that a model is taken apart: every operator reads tensors of its own, which are given, instead of what the operator
before it has computed. Inputs are the float model's values as the int8 tensor holds them, so that what is off in the
output is this operator's weights, its arithmetic and the rounding of its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from tinydeploy.convert.data.feeding import real_values, tensor_values
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.loss.matching import ONLY_TYPE, Matches
from tinydeploy.convert.types import Array
from tinydeploy.ir import Model, Operator

Place = tuple[int, int]
"""An operator's index, and the index of a tensor that it reads."""


@dataclass(frozen=True)
class _Apart:
    """A .tflite file; `given` are the input tensors that stand for what operators read; `computed` as in the model."""

    data: bytes
    given: Mapping[Place, int]
    computed: tuple[int, ...]

    def run(self, samples: Sequence[Mapping[Place, Array]]) -> Iterator[dict[int, Array]]:
        """The operators' outputs in each sample."""
        fed = [{self.given[place]: array for place, array in sample.items()} for sample in samples]
        return litert(self.data, fed, self.computed)


def outputs_apart(
    float_data: bytes,
    float_model: Model,
    int8_data: bytes,
    int8_model: Model,
    matches: Matches,
    truths: Sequence[Mapping[int, Array]],
) -> Iterator[tuple[dict[int, Array], dict[int, Array]]]:
    """For each sample, by the int8 model's tensors, what operators should compute and what they do compute.

    truths: for each sample the float model's values, by the int8 model's tensors. Operators without a twin are left
    out, and all of them where one keeps a state.
    """
    if any(tensor.variable for model in (float_model, int8_model) for tensor in model.tensors):
        return
    pairs = _pairs(int8_model, matches)
    ours = _take_apart(int8_data, int8_model, [op for op, _ in pairs])
    theirs = _take_apart(float_data, float_model, [twin for _, twin in pairs if twin is not None])
    held = [_held(int8_model, pairs, truth) for truth in truths]
    found = ours.run(held)
    exact = theirs.run([_as_floats(int8_model, float_model, pairs, sample) for sample in held])
    for sample, values, floats in zip(held, found, exact, strict=True):
        wanted: dict[int, Array] = {}
        for op, twin in pairs:
            if twin is None:
                source = op.inputs[0]
                wanted[op.outputs[0]] = real_values(int8_model.tensor(source), sample[op.index, source])
            else:
                wanted.update({mine: floats[their] for mine, their in zip(op.outputs, twin.outputs, strict=True)})
        yield wanted, values


def _pairs(model: Model, matches: Matches) -> list[tuple[Operator, Operator | None]]:
    """The operators whose inputs are known, each with its float twin; one that only quantizes has none."""
    found: list[tuple[Operator, Operator | None]] = []
    taken: set[int] = set()
    for op in model.operators:
        inputs = [tensor.index for tensor in model.activation_inputs(op)]
        twin = matches.operators.get(op.index)
        if not inputs or not all(index in matches.tensors for index in inputs):
            continue
        if op.opcode in ONLY_TYPE:
            found.append((op, None))
        elif twin is not None and twin.index not in taken:
            taken.add(twin.index)
            found.append((op, twin))
    return found


def _held(
    model: Model, pairs: Sequence[tuple[Operator, Operator | None]], truth: Mapping[int, Array]
) -> dict[Place, Array]:
    return {
        (op.index, tensor.index): tensor_values(tensor, truth[tensor.index])
        for op, _ in pairs
        for tensor in model.activation_inputs(op)
    }


def _as_floats(
    int8_model: Model,
    float_model: Model,
    pairs: Sequence[tuple[Operator, Operator | None]],
    held: Mapping[Place, Array],
) -> dict[Place, Array]:
    found = {}
    for op, twin in pairs:
        if twin is None:
            continue
        both = zip(int8_model.activation_inputs(op), float_model.activation_inputs(twin), strict=True)
        for mine, their in both:
            values = held[op.index, mine.index]
            found[twin.index, their.index] = real_values(mine, values) if their.dtype.label == "float32" else values
    return found


def _take_apart(data: bytes, model: Model, operators: Sequence[Operator]) -> _Apart:
    """The model with these operators alone, and those that compute shapes for them."""
    from ai_edge_litert.tools import flatbuffer_utils

    file = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph: Any = file.subgraphs[0]
    given: dict[Place, int] = {}
    by_outputs = {tuple(int(index) for index in op.outputs): op for op in graph.operators}
    for op in operators:
        for tensor in model.activation_inputs(op):
            given[op.index, tensor.index] = len(graph.tensors)
            graph.tensors.append(copy(graph.tensors[tensor.index]))
        entry = by_outputs[op.outputs]
        entry.inputs = [given.get((op.index, int(index)), int(index)) for index in entry.inputs]
    computed = tuple(index for op in operators for index in op.outputs)
    kept = {op.outputs for op in (*operators, *model.folded_operators)}
    graph.operators = [op for outputs, op in by_outputs.items() if outputs in kept]
    graph.inputs, graph.outputs = list(given.values()), list(computed)
    file.signatureDefs = []
    return _Apart(bytes(flatbuffer_utils.convert_object_to_bytearray(file)), given, computed)
