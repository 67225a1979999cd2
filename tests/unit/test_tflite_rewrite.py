"""Files with a placement for TensorFlow Lite Micro: nothing else changes, and other readers take them."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support import model_files, mutate
from tests.support.tflite_writer import GraphBuilder, unpack
from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.tflite import parse_model
from tinydeploy.tflite.rewrite import OFFLINE_PLAN, with_offline_plan

GENERATED = model_files.generated_models()
FUZZED = 1500


def offsets_for(data: bytes) -> list[int | None]:
    """Some offsets, not sound ones."""
    return [None if index % 3 == 0 else 16 * index for index in range(len(parse_model(data).tensors))]


def seen(data: bytes) -> Any:
    """All that a file holds, as the schema's own code reads it, without the placement."""
    model = unpack(data)
    kept = [entry for entry in model.metadata or [] if entry.name != OFFLINE_PLAN.encode()]
    names = {entry.name: bytes(buffer_of(model, entry.buffer)) for entry in kept}
    tensors = [[bytes(buffer_of(model, t.buffer)) for t in graph.tensors] for graph in model.subgraphs]
    model.metadata, model.buffers = None, None
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = 0
    return plain(model), names, tensors


def buffer_of(model: Any, index: int) -> bytes:
    data = model.buffers[index].data
    return b"" if data is None else bytes(np.asarray(data, np.uint8))


def plain(value: Any) -> Any:
    """An object tree as lists and dictionaries, to be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {"": type(value).__name__} | {name: plain(item) for name, item in vars(value).items()}
    return value


@pytest.mark.parametrize("name", GENERATED)
def test_nothing_else_changes(name: str) -> None:
    data = GENERATED[name]
    offsets = offsets_for(data)
    written = with_offline_plan(data, offsets)
    before, after = seen(data), seen(written)
    assert after == before
    table = parse_model(written).metadata[OFFLINE_PLAN]
    assert struct.unpack(f"<{len(table) // 4}i", table) == (
        *(1, 1, len(offsets)),
        *(-1 if offset is None else offset for offset in offsets),
    )
    # the old bytes are all there, and every alignment up to 16 with them
    assert written.endswith(data)
    assert (len(written) - len(data)) % 16 == 0
    assert written.index(table) % 16 == 0
    assert with_offline_plan(data, offsets) == written
    assert with_offline_plan(written, offsets) == written


def test_other_readers_take_it() -> None:
    """LiteRT checks every offset of a file with the official verifier before it loads it."""
    from ai_edge_litert.interpreter import Interpreter

    for data in (GENERATED[name] for name in sorted(GENERATED)):
        order = list(range(parse_model(data).folded + len(parse_model(data).operators)))
        written = with_offline_plan(data, offsets_for(data), order[:1] + order[:0:-1])
        try:
            Interpreter(model_content=data)
        except (ValueError, RuntimeError):
            continue  # an operator that LiteRT has no kernel for
        Interpreter(model_content=written)


def branches() -> GraphBuilder:
    g = GraphBuilder(description="two branches")
    x = g.tensor("x", (1, 8), scale=0.5)
    a, b, y = (g.tensor(name, (1, 8), scale=0.5) for name in "aby")
    g.op("RELU", [x], [a])
    g.op("RELU6", [x], [b])
    g.op("ADD", [a, b], [y])
    g.metadata("first", b"kept")
    g.metadata(OFFLINE_PLAN, bytes(28))
    g.metadata("last", b"kept, too")
    g.graph.inputs, g.graph.outputs = np.array([x], np.int32), np.array([y], np.int32)
    return g


def test_operators_in_another_order_and_a_placement_in_place_of_another() -> None:
    data = branches().pack()
    assert [op.opcode for op in parse_model(data).operators] == ["RELU", "RELU6", "ADD"]
    written = with_offline_plan(data, [0, 16, 32, None], [1, 0, 2])
    model = parse_model(written)
    assert [(op.opcode, op.inputs, op.outputs) for op in model.operators] == [
        ("RELU6", (0,), (2,)),
        ("RELU", (0,), (1,)),
        ("ADD", (1, 2), (3,)),
    ]
    metadata = unpack(written).metadata
    assert [entry.name for entry in metadata] == [b"first", b"last", OFFLINE_PLAN.encode()]
    assert model.metadata["first"] == b"kept"
    assert model.metadata["last"] == b"kept, too"
    assert struct.unpack("<7i", model.metadata[OFFLINE_PLAN]) == (1, 1, 4, 0, 16, 32, -1)
    # back again
    restored = with_offline_plan(written, [0, 16, 32, None], [1, 0, 2])
    assert seen(restored) == seen(data)
    # what the graph says of itself goes along
    g = branches()
    g.graph.name, g.graph.debugMetadataIndex = "graph", 7
    graph = unpack(with_offline_plan(g.pack(), [None] * 4, [1, 0, 2])).subgraphs[0]
    assert (graph.name, graph.debugMetadataIndex) == (b"graph", 7)


def test_what_would_get_lost_is_refused() -> None:
    g = branches()
    g.model.subgraphs.append(deepcopy(g.graph))
    with pytest.raises(UnsupportedModelError, match="has 2 graphs"):
        with_offline_plan(g.pack(), [None] * 4)
    g = branches()
    g.model.buffers[1].offset, g.model.buffers[1].size = 400, 16
    with pytest.raises(UnsupportedModelError, match="behind the FlatBuffer"):
        with_offline_plan(g.pack(), [None] * 4)
    g = branches()
    g.graph.operators[0].largeCustomOptionsOffset = 400
    with pytest.raises(UnsupportedModelError, match="behind the FlatBuffer"):
        with_offline_plan(g.pack(), [None] * 4)
    # a root table with one field more than the schema: its index grows by one entry, at the front of a new file
    data = branches().pack()
    root = struct.unpack_from("<I", data)[0]
    index = root - struct.unpack_from("<i", data, root)[0]
    entries = data[index + 4 : index + struct.unpack_from("<H", data, index)[0]]
    fields = len(entries) // 2
    larger = struct.pack("<HH", 4 + 22, 4) + entries + struct.pack("<H", 0) * (10 - fields) + struct.pack("<H", 8)
    spoilt = bytearray(data) + bytes(-len(data) % 4)
    struct.pack_into("<H", larger_at := bytearray(larger), 2, struct.unpack_from("<H", data, index + 2)[0])
    at = len(spoilt)
    spoilt += larger_at
    struct.pack_into("<i", spoilt, root, root - at)
    with pytest.raises(UnsupportedModelError, match="newer schema"):
        with_offline_plan(bytes(spoilt), [None] * 4)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x08\0\0\0TFL3", b"PK\3\4" + bytes(64)])
def test_no_model(data: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        with_offline_plan(data, [], name="that.tflite")
    assert caught.value.message.startswith("that.tflite: ")


def test_damaged_files_end_in_an_error_or_in_a_file_like_them() -> None:
    rng = random.Random(17)
    victims = [mutate.Victim(name, data) for name, data in sorted(GENERATED.items())]
    written = 0
    for _ in range(FUZZED):
        data = mutate.mutate(rng.choice(victims), rng.choice(victims), rng)
        try:
            model = parse_model(data)
        except ModelError:
            with suppress(ModelError, ValueError):  # not as many offsets as tensors; or what is damaged is kept
                with_offline_plan(data, [None])
            continue
        try:
            copy = with_offline_plan(data, [None] * len(model.tensors))
        except ModelError:
            continue
        written += 1
        read = parse_model(copy)
        assert read.tensors == model.tensors
        assert read.operators == model.operators
        assert (read.inputs, read.outputs, read.description) == (model.inputs, model.outputs, model.description)
    assert written > FUZZED // 10
