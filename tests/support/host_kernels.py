"""Runs operators on this computer: the firmware's kernels, compiled with sanitizers, called as an image calls them.

A batch of cases becomes one C program that reads the inputs from standard input and writes the outputs to standard
output. What an operator emits is turned into C by the few lines here, not by the code generator, so that the two can
be tested apart. Every tensor lies between poisoned bytes: an access outside of it ends the run with a report.

    outputs = run_operator_on_host(model_bytes, [x])
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import ConstArray, KernelCall, OperatorKind, Span, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.resources import firmware_dir
from tinydeploy.tflite import parse_model

Array = NDArray[Any]

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
_keepers: list[tempfile.TemporaryDirectory[str]] = []
_GAP = 64
_GARBAGE = 0x5A

WHOLE, ROWS, RINGS, TURNS, IN_PLACE = "whole", "rows", "rings", "turns", "in place"
"""One call; one call for each row, the last row first; rings of as few rows as a row step needs; whole tensors by
several row steps in each call; over an input."""
_TURN = 3


@dataclass(frozen=True)
class HostCase:
    """One run of a model of one operator. `place` is the input position that an output in place lies over."""

    data: bytes
    inputs: tuple[Array, ...]
    mode: str = WHOLE
    place: int = 0


def host_compiler() -> str:
    """gcc or clang, or a skip."""
    for name in ("gcc", "clang", "cc"):
        if found := shutil.which(name):
            return found
    pytest.skip("no C compiler on this computer: install gcc or clang")


def run_operator_on_host(data: bytes, inputs: Sequence[Array], mode: str = WHOLE, place: int = 0) -> list[Array]:
    """The outputs of a model of one operator."""
    return run_on_host([HostCase(data, tuple(inputs), mode, place)])[0]


def run_on_host(cases: Sequence[HostCase]) -> list[list[Array]]:
    """The outputs of each case. Fails with the sanitizers' report where there is one.

    All cases run twice, with the plain inner loops and with those for cores with the DSP extension (its instructions
    in C), and must give the same bytes.
    """
    programs = [_Program(i, case) for i, case in enumerate(cases)]
    text = "\n".join([_PRELUDE, *(p.source() for p in programs), "int main(void)", "{"])
    text += "".join(f"\n    case_{i}();" for i in range(len(cases))) + "\n    return 0;\n}\n"
    given = b"".join(p.given for p in programs)
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "cases.c"), Path(folder, "cases")
        source.write_text(text)
        includes = [f"-I{firmware_dir() / d}" for d in ("include", "kernels")]
        options = [*WARNINGS, *SANITIZERS, "-O0", "-Wno-unused-function"]
        compiled = Path(folder, "cases.o")
        _compile([host_compiler(), *options, *includes, "-c", str(source), "-o", str(compiled)])
        answers = []
        for dsp in (0, 1):
            _compile([host_compiler(), *SANITIZERS, str(compiled), *kernel_objects(dsp), "-o", str(binary)])
            done = subprocess.run([str(binary)], input=given, capture_output=True, check=False)
            if done.returncode:
                report = done.stderr.decode(errors="replace")[:6000]
                pytest.fail(f"the kernels (TD_DSP={dsp}) ended with code {done.returncode}:\n{report}")
            answers.append(done.stdout)
    written, with_dsp = answers
    assert with_dsp == written
    results = []
    for program in programs:
        outputs = []
        for tensor in (program.model.tensor(i) for i in program.op.outputs):
            raw, written = written[: tensor.bytes], written[tensor.bytes :]
            outputs.append(np.frombuffer(raw, tensor.dtype.label).reshape(tensor.shape))
        results.append(outputs)
    assert not written
    return results


def _compile(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command[:3])} … failed:\n{done.stderr[:6000]}")


@cache
def kernel_objects(dsp: int) -> tuple[str, ...]:
    """The kernels, compiled once for a test run."""
    keeper = tempfile.TemporaryDirectory(prefix="tinydeploy-kernels-")
    _keepers.append(keeper)  # until the tests end
    folder = Path(keeper.name)
    objects = []
    for source in sorted((firmware_dir() / "kernels").glob("*.c")):
        target = folder / f"{source.stem}.o"
        options = [*WARNINGS, *SANITIZERS, "-O1", f"-DTD_DSP={dsp}", f"-I{firmware_dir() / 'include'}"]
        _compile([host_compiler(), *options, "-c", str(source), "-o", str(target)])
        objects.append(str(target))
    return tuple(objects)


def single_operator(data: bytes) -> tuple[Model, Operator, OperatorKind]:
    """The model of a file with one operator, which has been checked."""
    model = parse_model(data)
    (op,) = model.operators
    kind = kind_of(op.opcode)
    assert kind is not None, op.opcode
    kind.check(model, op)
    return model, op, kind


_PRELUDE = """\
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "td_kernels.h"

static void give(void *to, size_t count)
{
    if (fread(to, 1, count, stdin) != count) {
        exit(99);
    }
}

static void take(const void *from, size_t count)
{
    if (fwrite(from, 1, count, stdout) != count) {
        exit(98);
    }
}
"""


class _Program:
    """One case as a C function."""

    def __init__(self, number: int, case: HostCase) -> None:
        self.number, self.case = number, case
        self.model, self.op, self.kind = single_operator(case.data)
        model, op = self.model, self.op
        by_rows = case.mode in (RINGS, TURNS)
        emitted = (self.kind.emit_rows if by_rows else self.kind.emit)(model, op)
        self.calls: tuple[KernelCall, ...] = emitted if isinstance(emitted, tuple) else (emitted,)
        assert len(model.inputs) == len(case.inputs)
        for index, array in zip(model.inputs, case.inputs, strict=True):
            tensor = model.tensor(index)
            assert array.shape == tensor.shape and array.dtype == np.dtype(tensor.dtype.label)
        self.given = b"".join(np.ascontiguousarray(a).tobytes() for a in case.inputs)
        self.spans: dict[int, list[Span]] = {}  # by tensor: the rows of each step, where it is kept in a ring
        rows = self.kind.rows(model, op) if by_rows else None
        assert rows is not None or not by_rows, "this operator does not go row by row"
        self.steps = len(rows.writes) if rows else 0
        self.sums_bytes = rows.accumulator_bytes if rows else 0
        if rows is not None and case.mode == RINGS:
            for position, spans in rows.reads.items():
                if position not in rows.solid:
                    before = self.spans.get(op.inputs[position], spans)
                    both = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(before, spans, strict=True)]
                    self.spans[op.inputs[position]] = both
            self.spans |= {index: list(rows.writes) for index in op.outputs}
        self.rings = {i: max(1, *(end - first for first, end in spans)) for i, spans in self.spans.items()}
        self.offsets: dict[int, int] = {}
        at = _GAP
        for index in dict.fromkeys((*model.inputs, *op.outputs)):
            if case.mode == IN_PLACE and index in op.outputs:
                self.offsets[index] = self.offsets[op.inputs[case.place]]
                continue
            self.offsets[index] = at
            at += -(-self._kept(index) // 16) * 16 + _GAP
        self.sums = at
        if self.sums_bytes:
            at += -(-self.sums_bytes // 16) * 16 + _GAP
        self.arena = at

    def _rows(self, index: int) -> tuple[int, int]:
        return rows_of(self.model.tensor(index))

    def _kept(self, index: int) -> int:
        rows, row_bytes = self._rows(index)
        return self.rings.get(index, rows) * row_bytes

    def source(self) -> str:
        """The function with its constants."""
        n = self.number
        text: list[str] = []
        for index, offset in self.offsets.items():
            rows, row_bytes = self._rows(index)
            text.append(
                f"static const td_tensor_t t{n}_{index} = {{ .offset = {offset}, .row_bytes = {row_bytes}, "
                f".ring_rows = {self.rings.get(index, rows)} }};"
            )
        if self.sums_bytes:
            place = f".offset = {self.sums}, .row_bytes = {self.sums_bytes}, .ring_rows = 1"
            text.append(f"static const td_tensor_t sums_{n} = {{ {place} }};")
        for k, call in enumerate(self.calls):
            fields = []
            for name, value in call.table.items():
                if isinstance(value, ConstArray):
                    array = f"k{n}_{k}_{name}"
                    items = ", ".join(c_integer(int(v)) for v in value.values.reshape(-1).tolist())
                    text.append(f"static const {value.ctype} {array}[] = {{ {items} }};")
                    fields.append(f".{name} = {array}")
                elif value is None:
                    fields.append(f".{name} = NULL")
                elif isinstance(value, float):
                    fields.append(f".{name} = {value.hex()}f")
                else:
                    fields.append(f".{name} = {c_integer(value)}")
            text.append(f"static const {call.function}_t o{n}_{k} = {{ {', '.join(fields)} }};")
            arguments = [f"&o{n}_{k}", "arena", *(f"&t{n}_{t}" for t in (*call.inputs, call.output))]
            arguments += [f"&sums_{n}"] * call.accumulates + ["first", "end"]
            text.append(f"static void rows_{n}_{k}(uint8_t *arena, int32_t first, int32_t end)\n{{")
            if call.window_rows:
                text.append(f"    const int8_t **window = malloc({call.window_rows} * sizeof *window);")
                arguments.append("window")
            text.append(f"    {call.function}({', '.join(arguments)});")
            if call.window_rows:
                text.append("    free(window);")
            text.append("}")
        for index, spans in self.spans.items():
            text.append(
                f"static const int32_t s{n}_{index}[][2] = {{ {', '.join(f'{{{a}, {b}}}' for a, b in spans)} }};"
            )
        return "\n".join(text + self._main())

    def _main(self) -> list[str]:
        n, model, op = self.number, self.model, self.op
        text = [f"static void case_{n}(void)", "{", f"    uint8_t *arena = malloc({self.arena});"]
        text.append(f"    memset(arena, {_GARBAGE}, {self.arena});")
        text += [f"    uint8_t *full_{i} = malloc({model.tensor(i).bytes});" for i in self.rings]
        for index in model.inputs:
            to = f"full_{index}" if index in self.rings else f"arena + {self.offsets[index]}"
            text.append(f"    give({to}, {model.tensor(index).bytes});")
        spans = sorted({(self.offsets[i], self._kept(i)) for i in self.offsets} | {(self.sums, self.sums_bytes)})
        at = 0
        for offset, size in spans:
            text.append(f"    ASAN_POISON_MEMORY_REGION(arena + {at}, {offset - at});")
            at = offset + size
        text.append(f"    ASAN_POISON_MEMORY_REGION(arena + {at}, {self.arena - at});")
        if self.case.mode == RINGS:
            text += self._stream()
        elif self.case.mode == TURNS:
            text.append(f"    for (int32_t s = 0; s < {self.steps}; s += {_TURN}) {{")
            end = f"s + {_TURN} < {self.steps} ? s + {_TURN} : {self.steps}"
            text += [f"        rows_{n}_{k}(arena, s, {end});" for k in range(len(self.calls))]
            text.append("    }")
        else:
            for k, call in enumerate(self.calls):
                if self.case.mode == ROWS:
                    text.append(
                        f"    for (int32_t y = {call.rows - 1}; y >= 0; --y) {{ rows_{n}_{k}(arena, y, y + 1); }}"
                    )
                else:
                    text.append(f"    rows_{n}_{k}(arena, 0, {call.rows});")
        for index in op.outputs:
            place = f"full_{index}" if index in self.rings else f"arena + {self.offsets[index]}"
            text.append(f"    take({place}, {model.tensor(index).bytes});")
        text += [f"    ASAN_UNPOISON_MEMORY_REGION(arena, {self.arena});"]
        text += [f"    free(full_{i});" for i in self.rings]
        text += ["    free(arena);", "}"]
        return text

    def _stream(self) -> list[str]:
        """Step by step: the input rows that it reads are put into their rings, all others are overwritten."""
        n, outputs = self.number, self.op.outputs
        text = [f"    for (int32_t s = 0; s < {self.steps}; ++s) {{"]
        for index, kept in self.rings.items():
            if index not in outputs:
                text.append(f"        memset(arena + {self.offsets[index]}, {_GARBAGE}, {self._kept(index)});")
                text.append(self._move(index, kept, "memcpy(ring, full, width)"))
        text += [f"        rows_{n}_{k}(arena, s, s + 1);" for k in range(len(self.calls))]
        text += [self._move(index, self.rings[index], "memcpy(full, ring, width)") for index in outputs]
        return [*text, "    }"]

    def _move(self, index: int, kept: int, statement: str) -> str:
        """The statement for each row of the step, between its place in the ring and that in the whole tensor."""
        spans, width = f"s{self.number}_{index}[s]", self._rows(index)[1]
        return (
            f"        for (int32_t r = {spans}[0]; r < {spans}[1]; ++r) {{\n"
            f"            const size_t width = {width};\n"
            f"            uint8_t *ring = arena + {self.offsets[index]} + r % {kept} * {width};\n"
            f"            uint8_t *full = full_{index} + r * {width};\n"
            f"            {statement};\n"
            "        }"
        )


def c_integer(value: int) -> str:
    """An integer constant; the least int32 has no literal of its own."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(value)


def tflm_outputs(data: bytes, inputs: Sequence[Array]) -> list[Array]:
    """What TensorFlow Lite Micro answers, in this process: only for models that `check` lets through."""
    runtime = pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'").runtime
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=4 << 20)
    for position, array in enumerate(inputs):
        interpreter.set_input(array, position)
    interpreter.invoke()
    model = parse_model(data)
    return [interpreter.get_output(i) for i in range(len(model.outputs))]


def random_inputs(data: bytes, rng: np.random.Generator) -> tuple[Array, ...]:
    """Random values for every input of a model: all of an integer type's range, floats a little around int8's."""
    model = parse_model(data)
    found: list[Array] = []
    for tensor in (model.tensor(i) for i in model.inputs):
        kind = np.dtype(tensor.dtype.label)
        if kind == np.float32:
            found.append(rng.normal(0.0, 30.0, tensor.shape).astype(np.float32))
        else:
            limits = np.iinfo(kind)
            values = rng.integers(limits.min, limits.max + 1, size=tensor.shape).astype(kind)
            # extreme values more often than chance gives them
            extreme = rng.random(tensor.shape) < 0.1
            found.append(np.where(extreme, rng.choice([limits.min, limits.max], tensor.shape), values).astype(kind))
    return tuple(found)


def assert_agrees(cases: Sequence[HostCase]) -> None:
    """Every case gives on this computer what TensorFlow Lite Micro gives, bit by bit."""
    for case, found in zip(cases, run_on_host(cases), strict=True):
        expected = tflm_outputs(case.data, case.inputs)
        for ours, theirs in zip(found, expected, strict=True):
            if ours.tobytes() != np.ascontiguousarray(theirs).reshape(ours.shape).tobytes():
                theirs = theirs.reshape(ours.shape)
                wrong = np.argwhere(ours != theirs)
                at = tuple(int(v) for v in wrong[0]) if len(wrong) else ()
                model = parse_model(case.data)
                pytest.fail(
                    f"{model.operators[0]} ({case.mode}): {len(wrong)} of {ours.size} differ, first at {at}: "
                    f"{ours[at]!r}, expected {theirs[at]!r}\n{model.operators[0].attrs}\n"
                    + "\n".join(str(t) for t in model.tensors)
                )
