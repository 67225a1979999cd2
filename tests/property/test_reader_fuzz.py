"""Fuzzing the reader: whatever the bytes are, a sound `Model` or a `ModelError` of one line comes out.

The seeded tests walk over every shipped, generated and (with TINYDEPLOY_MODELS) real file; hypothesis searches
small files and graphs. The cases are the same on every run.
"""

from __future__ import annotations

import math
import random
import signal
import struct
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the reference interpreters")

from tests.support import model_files, mutate
from tests.support import tflite_writer as writer
from tinydeploy.boards import find_board
from tinydeploy.cost import cost_table
from tinydeploy.errors import ModelError, TinydeployError
from tinydeploy.ir import Model
from tinydeploy.pipeline import PlanOptions, generate_library, plan_model
from tinydeploy.tflite import parse_model

SMALL_CASES = 250  # for each of about thirty generated files of some KiB
LARGE_CASES = 150  # for each shipped or real file
HANG_SECONDS = 20  # a case takes milliseconds; this only tells a hang from a slow machine

GENERATED = model_files.generated_models()
FILES = {**model_files.shipped_models(), **model_files.real_models()}


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail instead of hanging (where the system has timers)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError("the reader hangs")

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def survive(data: bytes) -> Model | ModelError:
    """Read `data`; anything but a sound model or a decent error fails the test."""
    with no_hang():
        try:
            model = parse_model(data, name="fuzz", path="fuzz.tflite")
        except ModelError as error:
            check_error(error)
            return error
    check_model(model, data)
    return model


def check_error(error: ModelError) -> None:
    """What every error of the reader must be."""
    assert error.exit_code == 3
    assert error.message.startswith("fuzz.tflite: ")
    assert error.message.isprintable(), error.message
    assert len(error.message) < 600


def check_model(model: Model, data: bytes) -> None:
    """What the later stages rely on, said again without the reader's code."""
    ready = set(model.inputs)
    for index, tensor in enumerate(model.tensors):
        assert tensor.index == index
        assert len(tensor.shape) <= 8
        size = math.prod(tensor.shape) * np.dtype(tensor.dtype.label).itemsize
        assert size < 2**31
        if tensor.constant:
            assert tensor.data is not None
            assert len(tensor.data) == size <= len(data)
            assert index not in model.inputs
            assert not tensor.variable
            ready.add(index)
        else:
            assert tensor.data is None
            assert all(extent > 0 for extent in tensor.shape)
        if tensor.variable:
            ready.add(index)
        if tensor.quantization is not None:
            scales, zero_points = tensor.quantization.scales, tensor.quantization.zero_points
            assert len(scales) == len(zero_points) >= 1
            assert all(math.isfinite(s) and s > 0 for s in scales)
            if len(scales) > 1:
                assert tensor.shape[tensor.quantization.axis] == len(scales)
            if tensor.dtype.label in ("int8", "uint8", "int16"):
                limits = np.iinfo(tensor.dtype.label)
                assert all(limits.min <= z <= limits.max for z in zero_points)
    written: set[int] = set()
    for index, op in enumerate(model.operators):
        assert op.index == index
        assert op.opcode.isidentifier()
        assert all(i in ready for i in op.inputs if i != -1)
        for output in op.outputs:
            assert output not in written
            assert not model.tensors[output].constant
            assert output not in model.inputs
            written.add(output)
            ready.add(output)
    assert model.inputs
    assert model.outputs
    assert all(i in ready for i in model.outputs)


def _walk(name: str, data: bytes, others: Sequence[bytes], cases: int) -> None:
    victim = mutate.Victim(name, data)
    rng = random.Random(f"reader {name}")
    donors = [mutate.Victim("donor", d) for d in others]
    models = 0
    for _ in range(cases):
        models += isinstance(survive(mutate.mutate(victim, rng.choice(donors), rng)), Model)
    # if everything were refused, or nothing, the edits would not reach what they are to test
    assert 0 < models < cases


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_spoiled_small_files(name: str) -> None:
    _walk(name, GENERATED[name], [GENERATED["mixed_network"], GENERATED["add"]], SMALL_CASES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_spoiled_real_files(name: str) -> None:
    data = FILES[name].read_bytes()
    _walk(name, data, [data, GENERATED["mixed_network"]], LARGE_CASES)


def test_every_word_of_a_file_takes_every_extreme_value() -> None:
    data = GENERATED["reshape"]
    refused = 0
    for position in range(0, len(data) - 3, 4):
        for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)):
            spoiled = bytearray(data)
            struct.pack_into("<I", spoiled, position, value)
            refused += isinstance(survive(bytes(spoiled)), ModelError)
    assert refused > 500


@pytest.mark.parametrize("name", ["conv_2d", "mixed_network"])
def test_every_truncation(name: str) -> None:
    data = GENERATED[name]
    assert all(isinstance(survive(data[:n]), ModelError) for n in range(0, len(data) - 16, 3))


@settings(max_examples=400)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert isinstance(survive(data), ModelError)
    assert isinstance(survive(data[:4] + b"TFL3" + data[4:]), ModelError)


@settings(max_examples=400)
@given(
    name=st.sampled_from(["conv_2d", "mixed_network", "concatenation", "mean"]),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(mutate.KINDS), st.integers(0, 2**32)),
        min_size=1,
        max_size=5,
    ),
)
def test_edits_that_hypothesis_chooses(name: str, edits: list[tuple[float, str, int]]) -> None:
    data = bytearray(GENERATED[name])
    for where, kind, seed in edits:
        if len(data) >= 8:
            mutate.edit(data, kind, int(where * len(data)), GENERATED["add"], random.Random(seed))
    survive(bytes(data))


INDEX = st.integers(-1, 7)


@settings(max_examples=400)
@given(
    operators=st.lists(
        st.tuples(st.lists(INDEX, min_size=1, max_size=3), st.lists(INDEX, min_size=1, max_size=2)),
        min_size=1,
        max_size=5,
    ),
    inputs=st.lists(st.integers(0, 7), min_size=1, max_size=2),
    outputs=st.lists(st.integers(0, 7), min_size=1, max_size=2),
)
def test_graphs_are_taken_exactly_when_they_can_be_executed(
    operators: list[tuple[list[int], list[int]]], inputs: list[int], outputs: list[int]
) -> None:
    """Seven tensors, of which number 6 is a constant; the oracle simulates the graph."""
    g = writer.GraphBuilder()
    for i in range(6):
        g.tensor(f"t{i}", (1, 4), scale=0.1)
    g.tensor("constant", (1, 4), scale=0.1, data=np.ones((1, 4)))
    for reads, writes in operators:
        g.op("ADD", reads, writes)

    def executable() -> bool:
        if 7 in inputs + outputs or 6 in inputs + outputs or len(set(inputs)) < len(inputs):
            return False
        known = {6, *inputs}
        for reads, writes in operators:
            if any(i == 7 or (i >= 0 and i not in known) for i in reads):
                return False
            for i in writes:
                # what is given, or was written before, is not written (again); −1 and 7 do not exist
                if i in (-1, 7) or i in known:
                    return False
                known.add(i)
        return all(i in known for i in outputs)

    assert isinstance(survive(g.build(inputs, outputs)), Model) == executable()


def test_what_the_reader_lets_through_does_not_break_the_later_stages() -> None:
    """Costs, plan and generated C of spoiled files that are still models: a result, or an error that is the user's."""
    board = find_board("stm32f746")
    rng = random.Random("later stages")
    victims = [mutate.Victim(name, data) for name, data in sorted(GENERATED.items())]
    planned = 0
    refusals = []
    for _ in range(3000):
        victim = rng.choice(victims)
        model = survive(mutate.mutate(victim, rng.choice(victims), rng))
        if isinstance(model, ModelError):
            continue
        with no_hang():
            try:
                cost_table(model)
                generate_library(plan_model(model, board, PlanOptions()))
                planned += 1
            except TinydeployError as error:
                refusals.append(error)
    assert planned > 100
    assert refusals
    assert {error.exit_code for error in refusals} <= {1, 3}
    assert all(error.message.isprintable() for error in refusals)


# --- bounded memory ---------------------------------------------------------------------------------------------


def _table(*fields: bytes | None) -> tuple[bytes, bytes]:
    """A vtable and a table with these inline fields of four bytes; an offset to the vtable right before it."""
    offsets, inline = [], b""
    for field in fields:
        offsets.append(0 if field is None else 4 + len(inline))
        inline += field or b""
    vtable = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), 4 + len(inline), *offsets)
    vtable += bytes(-len(vtable) % 4)
    return vtable, struct.pack("<i", len(vtable)) + inline


def bomb(tables: int, entries: int) -> bytes:
    """A file whose `tables` operators are all one table, with one list of `entries` inputs: tiny, and a lot to read.

    Written by hand, front to back, as no builder would: 0 root offset, "TFL3", Model, SubGraph, vectors, Operator.
    """
    # layout: header, vectors and tables behind one another; each offset is relative to where it stands
    out = bytearray(b"\0\0\0\0TFL3")

    def put(vtable: bytes, table: bytes) -> int:
        out.extend(vtable)
        out.extend(table)
        return len(out) - len(table)

    def point(at: int, target: int) -> None:
        struct.pack_into("<I", out, at, target - at)

    model = put(*_table(struct.pack("<I", 3), bytes(4), bytes(4)))  # version, operator_codes, subgraphs
    struct.pack_into("<I", out, 0, model)
    graphs = len(out)
    out.extend(struct.pack("<II", 1, 0))
    point(model + 12, graphs)
    graph = put(*_table(bytes(4), None, None, bytes(4)))  # tensors, operators
    point(graphs + 4, graph)
    codes = len(out)
    out.extend(struct.pack("<II", 1, 0))
    point(model + 8, codes)
    code = put(*_table(bytes(4)))  # deprecated_builtin_code 0: ADD
    point(codes + 4, code)
    tensors = len(out)
    out.extend(struct.pack("<I", 1) + bytes(4))
    point(graph + 4, tensors)
    tensor = put(*_table())
    point(tensors + 4, tensor)
    operators = len(out)
    out.extend(struct.pack("<I", tables) + bytes(4 * tables))
    point(graph + 8, operators)
    operator = put(*_table(bytes(4), bytes(4)))  # opcode_index, inputs
    for i in range(tables):
        point(operators + 4 + 4 * i, operator)
    inputs = len(out)
    out.extend(struct.pack("<I", entries) + bytes(4 * entries))
    point(operator + 8, inputs)
    return bytes(out)


def test_a_bomb_of_one_operator_is_well_formed() -> None:
    """The next test's file is refused for its size: with one operator it gets as far as the graph's checks."""
    with pytest.raises(ModelError, match="the graph has no inputs"):
        parse_model(bomb(1, 3))


def test_tables_that_share_their_parts_do_not_blow_up() -> None:
    data = bomb(10_000, 10_000)  # 80 KB that would be 100 million numbers
    tracemalloc.start()
    try:
        error = survive(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, ModelError)
    assert "overlap" in error.message
    assert peak < 20_000_000


def test_memory_stays_in_proportion_to_the_file() -> None:
    rng = random.Random("memory")
    victims = [mutate.Victim(n, GENERATED[n]) for n in ("conv_2d", "mixed_network")]
    for _ in range(300):
        victim = rng.choice(victims)
        data = mutate.mutate(victim, victims[1], rng)
        tracemalloc.start()
        try:
            survive(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1_000_000 + 20 * len(data)


def test_large_files_are_fuzzed_under_a_limit_of_the_system() -> None:
    """In a process of its own with 400 MB of address space and no more than two minutes of processor time."""
    resource = pytest.importorskip("resource", reason="limits of processes cannot be installed on this system")
    assert resource is not None
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
import random, struct, sys
from tinydeploy.errors import ModelError
from tinydeploy.tflite import parse_model
data = sys.stdin.buffer.read()
rng = random.Random("limit")
refused = 0
for _ in range(300):
    spoiled = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.choice((rng.randrange(0, 4096), len(data) - rng.randrange(4, 4096))) & ~3
        struct.pack_into("<I", spoiled, at, rng.choice({mutate.EXTREMES!r}))
    try:
        parse_model(bytes(spoiled))
    except ModelError:
        refused += 1
print(refused)
"""
    data = model_files.shipped_models()["vww.tflite"].read_bytes()
    done = run([sys.executable, "-c", code], input=data, cwd=model_files.ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 100
