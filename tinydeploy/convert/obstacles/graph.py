"""What of a float .tflite file will not run as int8 on a microcontroller, by the names of the layers it came from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from tinydeploy.convert.obstacles.as_int8 import QUANTIZING, refusals
from tinydeploy.convert.obstacles.outline import Outline, OutlineOperator, OutlineTensor, outline
from tinydeploy.convert.obstacles.refusals import layer_of
from tinydeploy.convert.obstacles.remedies import FIRMWARE, FIXED_SHAPE, LOOP, TFLM_TOO, Runtime, remedy_of
from tinydeploy.convert.types import Obstacle
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.operators.registry import kind_of
from tinydeploy.tflite import parse_model
from tinydeploy.tflite.schema import CALLS_SUBGRAPHS

_TYPES = frozenset({"FLOAT32", "INT32", "BOOL", "INT8", "UINT8", "INT16"})
_TFLM_TOO = "or export with --runtime tflm: TensorFlow Lite Micro computes it"
_RESOURCES = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE", "HASHTABLE_FIND"})


def graph_obstacles(
    data: bytes, *, layers: Collection[str] = (), runtime: Runtime | None = None
) -> tuple[Obstacle, ...]:
    """What stands in the way of a float .tflite file, in the order of its layers, one obstacle for each layer and kind.

    layers: the names of the model's layers (`layer_names`), by which tensors' names are understood; without them a
    layer is called by its path in the file. runtime: that which is to run it; None: what either runs is no obstacle.
    Raises `ModelError` for a file that is none, and `MalformedError` for one that is damaged.
    """
    graph = outline(data)
    found = _Found(layers)
    for tensor in graph.inputs:
        if tensor.open:
            found.add(tensor.name, f"takes inputs of any size ({_shown(tensor)})", FIXED_SHAPE)
        if tensor.dtype not in _TYPES:
            found.add(tensor.name, f"takes {tensor.dtype.lower()}", f"{FIRMWARE}, and start it with numbers")
    _judge_operators(graph, _parsed(data), found, runtime)
    return found.obstacles(runtime)


@dataclass
class _Found:
    """Obstacles by layer; operators that tinydeploy has no kernel for are gathered until all of a layer are known."""

    layers: Collection[str]
    told: dict[tuple[str, str], str] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, what: str, remedy: str) -> None:
        self.told.setdefault((layer_in(name, self.layers), what), remedy)

    def lacks(self, name: str, opcode: str) -> None:
        layer = layer_in(name, self.layers)
        opcodes = self.missing.setdefault(layer, [])
        if opcode not in opcodes:
            opcodes.append(opcode)
        self.told.setdefault((layer, ""), "")  # its place in the order

    def obstacles(self, runtime: Runtime | None) -> tuple[Obstacle, ...]:
        made = []
        for (layer, what), remedy in self.told.items():
            told = Obstacle(layer, what, remedy) if what else _lacking(layer, self.missing[layer], runtime)
            if told is not None:
                made.append(told)
        return tuple(made)


def _lacking(layer: str, opcodes: list[str], runtime: Runtime | None) -> Obstacle | None:
    """The obstacle of operators that tinydeploy has no kernel for; the remedy is for all of them, whoever runs some."""
    theirs = TFLM_TOO.issuperset(opcodes)
    if theirs and runtime != "tinydeploy":
        return None
    lacked = [opcode for opcode in opcodes if opcode not in TFLM_TOO] if runtime == "tflm" else opcodes
    whose = f"which {'has' if len(lacked) == 1 else 'have'} no int8 kernel"
    remedy = remedy_of(opcodes)
    if theirs:
        whose, remedy = f"{whose} in tinydeploy's runtime", f"{remedy}; {_TFLM_TOO}"
    return Obstacle(layer, f"needs {_listed(lacked)}, {whose}", remedy)


def _judge_operators(graph: Outline, model: Model | None, found: _Found, runtime: Runtime | None) -> None:
    reasons = {}
    if model is not None and runtime != "tflm":
        reasons = {op.outputs[0]: why for op, why in refusals(model) if op.outputs}
    names = {} if model is None else {model.tensors[index].name: why for index, why in reasons.items()}
    kept = None if model is None else {model.output_of(op).name for op in model.operators if op.outputs}
    shapes_open = any(tensor.open for tensor in graph.inputs)
    for op in graph.operators:
        if not op.outputs:
            continue  # CALL_ONCE: the state that it sets is read by others
        name = op.outputs[0].name
        if kept is not None and name not in kept:
            continue  # it computes a shape, which is known
        if op.custom:
            what = op.custom.removeprefix("Flex")
            found.add(name, f"needs TensorFlow's {what}, which TensorFlow Lite does not have", FIRMWARE)
        elif op.opcode in CALLS_SUBGRAPHS:
            found.add(name, f"loops or branches ({op.opcode})", LOOP)
        elif op.opcode in _RESOURCES:
            found.add(name, f"keeps state or a table ({op.opcode})", FIRMWARE)
        elif op.opcode not in QUANTIZING and kind_of(op.opcode) is None:
            if kept is not None or not _is_shape(op):
                found.lacks(name, op.opcode)
        elif any(tensor.open for tensor in op.outputs) and not shapes_open:
            found.add(name, f"makes a result whose size depends on its values ({op.opcode})", FIRMWARE)
        elif name in names:
            found.add(name, f"has a {op.opcode} that the kernel does not compute: it {names[name]}", FIRMWARE)


def _is_shape(op: OutlineOperator) -> bool:
    return all(tensor.dtype == "INT32" and len(tensor.shape) < 2 for tensor in op.outputs)


def _parsed(data: bytes) -> Model | None:
    """None for what the reader refuses: then operators that only compute shapes are told apart by their results."""
    try:
        return parse_model(data)
    except UnsupportedModelError:
        return None


def layer_in(name: str, layers: Collection[str]) -> str:
    """The layer that a tensor's name speaks of: `net_1/encoder_1/dense_1/MatMul;…` is `encoder/dense`.

    Keras and TensorFlow append numbers to the names of layers that are called several times.
    """
    for path in name.split(";"):
        known = [layer for part in path.split("/") if (layer := _known(part, layers))]
        if known:
            return "/".join(known)
    if re.match(r"(Stateful)?PartitionedCall|output_\d+$", name):
        return "the output"  # whoever computes it: a function has no name for it
    parts = layer_of(name.split(";")[0]).split("/")
    if "/" in name and name.split("/")[0].endswith("_1"):
        parts = [part.removesuffix("_1") for part in parts]  # as in every name of a model that was traced once more
    return "/".join(parts)


def _known(part: str, layers: Collection[str]) -> str:
    return next((layer for layer in (part, re.sub(r"_\d+$", "", part)) if layer in layers), "")


def _listed(words: Iterable[str]) -> str:
    *some, last = words
    return f"{', '.join(some)} and {last}" if some else last


def _shown(tensor: OutlineTensor) -> str:
    return "×".join("?" if extent < 0 else str(extent) for extent in tensor.shape)
