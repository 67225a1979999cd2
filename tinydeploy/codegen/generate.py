"""`generate`: a model and its plan as a folder of C that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from tinydeploy import __version__
from tinydeploy.codegen.constants import ConstantPool
from tinydeploy.codegen.names import c_identifier, comment_text, require_identifier
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.operators.base import ConstArray, KernelCall, printable, refuse, rows_of
from tinydeploy.operators.registry import kind_of
from tinydeploy.plan.types import Plan
from tinydeploy.resources import firmware_dir

if TYPE_CHECKING:
    from jinja2 import Environment

RUNTIME_VERSION = 1  # TD_RUNTIME_VERSION in firmware/include/td_runtime.h; a test holds the two together

_CTYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.FLOAT32: "float",
    DType.BOOL: "uint8_t",
}


@dataclass(frozen=True)
class Port:
    """An input or output of the library, as the templates write it."""

    index: int
    title: str
    ctype: str
    count: int
    shape: tuple[int, ...]
    offset: int
    scale: str | None
    zero_point: int | None


@dataclass(frozen=True)
class Call:
    """One kernel call of a step: its constant table and the C expression. `tensors`: those that it names."""

    function: str
    tensors: tuple[int, ...]
    table: str
    fields: Mapping[str, str]
    statement: str


@dataclass(frozen=True)
class EmittedStep:
    """One step of `invoke`, as the templates write it."""

    number: int
    title: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Program:
    """All steps with their tables, before they become text. `window_rows`: the most row pointers one step wants."""

    name: str
    steps: tuple[EmittedStep, ...]
    pool: ConstantPool
    window_rows: int

    @property
    def kernels(self) -> frozenset[str]:
        """The names of the kernel functions that are called."""
        return frozenset(call.function for step in self.steps for call in step.calls)

    @property
    def fields(self) -> int:
        """How many fields all constant tables have together."""
        return sum(len(call.fields) for step in self.steps for call in step.calls)


# Operators that the converter writes only where Keras left the batch open: a dilated convolution, a dense layer over
# more than two axes.
_FROM_OPEN_BATCHES = frozenset({"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SHAPE", "REDUCE_PROD"})
_OPEN_BATCH_HINT = (
    "the converter writes this when the batch is open: build the Keras model with Input(batch_shape=(1, …)) and "
    "convert it again"
)


def check_supported(model: Model) -> None:
    """Raise `UnsupportedModelError` for the first operator or port that has no exact kernel."""
    for op in model.operators:
        kind = kind_of(op.opcode)
        if kind is None:
            hint = _OPEN_BATCH_HINT if op.opcode in _FROM_OPEN_BATCHES else "`tinydeploy ops` lists those that do"
            others = {o.opcode for o in model.operators if kind_of(o.opcode) is None} - {op.opcode}
            also = f", nor have {', '.join(sorted(others))}" if others else ""
            raise refuse(model, op, f"{op.opcode} has no kernel{also}", hint=hint)
        kind.check(model, op)
    for index in (*model.inputs, *model.outputs):
        tensor = model.tensor(index)
        if tensor.dtype not in _CTYPES:
            where = f"{printable(model.path or model.name, 400)}: tensor {index}"
            raise UnsupportedModelError(f"{where}: a model input or output cannot be {tensor.dtype.label}")


def emit(model: Model, plan: Plan, *, name: str | None = None) -> Program:
    """The library's steps and constants; `name` is the C prefix, made from the model's name without it.

    Raises UnsupportedModelError where an operator has no kernel, UsageError when `name` is not an identifier.
    """
    check_supported(model)
    prefix = require_identifier(name) if name is not None else c_identifier(model.name)
    pool = ConstantPool(f"{prefix}_k")
    steps, window_rows = _steps(model, plan, pool)
    return Program(prefix, tuple(steps), pool, window_rows)


def generate(model: Model, plan: Plan, program: Program) -> SourceTree:
    """The library's sources, from what `emit` made of the same model and plan."""
    prefix, pool, steps, window_rows = program.name, program.pool, program.steps, program.window_rows
    named = {t for step in steps for call in step.calls for t in call.tensors}
    context = {
        "version": __version__,
        "runtime_version": RUNTIME_VERSION,
        "name": prefix,
        "NAME": prefix.upper(),
        "title": comment_text(model.name),
        "sha256": comment_text(model.sha256, 64) or "none",
        "arena_bytes": max(plan.arena_bytes, plan.alignment),
        "alignment": plan.alignment,
        "inputs": [_port(model, plan, i, t) for i, t in enumerate(model.inputs)],
        "outputs": [_port(model, plan, i, t) for i, t in enumerate(model.outputs)],
        "tensors": [
            (t, p.offset, rows_of(model.tensor(t))[1], p.ring_rows)
            for t, p in sorted(plan.placements.items())
            if t in named  # an unused constant is a warning
        ],
        "variables": [
            (plan.placements[t.index].offset, t.bytes, t.quantization.zero_point if t.quantization else 0)
            for t in model.tensors
            if t.variable and t.index in plan.placements
        ],
        "constants": pool.constants,
        "steps": steps,
        "window_rows": window_rows,
        "constant_bytes": sum(pool.bytes_by_role().values()),
    }
    env = _templates()
    runtime = {f"runtime/{k}": v for k, v in runtime_files().items()}
    files = {
        f"{prefix}.h": env.get_template("model.h.j2").render(context),
        f"{prefix}.c": env.get_template("model.c.j2").render(context),
        f"{prefix}_data.h": env.get_template("data.h.j2").render(context),
        f"{prefix}_data.c": env.get_template("data.c.j2").render(context),
        "example/main.c": env.get_template("main.c.j2").render(context),
        "README.md": env.get_template("README.md.j2").render(context),
        **runtime,
    }
    return SourceTree(
        name=prefix,
        files=files,
        sources=(f"{prefix}.c", f"{prefix}_data.c", *(f for f in runtime if f.endswith(".c"))),
        example=("example/main.c",),
        constant_bytes=pool.bytes_by_role(),
        constant_prefix=f"{prefix}_k",
        arena_symbol=f"{prefix}_arena",
        done_symbol=f"{prefix}_done",
    )


def _steps(model: Model, plan: Plan, pool: ConstantPool) -> tuple[list[EmittedStep], int]:
    """The steps in the plan's order, and the most row pointers that one of them wants."""
    emitted: list[EmittedStep] = []
    window_rows = 0
    for number, step in enumerate(plan.problem.steps):
        op = model.operators[step.operator]
        title = comment_text(f"{op.opcode} {model.layer_name(op)}")
        calls: list[Call] = []
        kind = kind_of(op.opcode)
        if kind is not None and not step.elided:
            emission = kind.emit(model, op)
            parts = emission if isinstance(emission, tuple) else (emission,)
            for i, part in enumerate(parts):
                suffix = f"_{i}" if len(parts) > 1 else ""
                rows = (step.first_row, step.end_row) if len(parts) == 1 else (0, part.rows)
                calls.append(_call(part, f"op_{number}{suffix}", rows, pool))
                window_rows = max(window_rows, part.window_rows)
        emitted.append(EmittedStep(number, title, tuple(calls)))
    return emitted, window_rows


def _call(call: KernelCall, table: str, rows: tuple[int, int], pool: ConstantPool) -> Call:
    fields = {key: _field(value, pool) for key, value in call.table.items()}
    tensors = (*call.inputs, call.output)
    arguments = [f"&{table}", "a", *(f"&t_{t}" for t in tensors), str(rows[0]), str(rows[1])]
    if call.window_rows:
        arguments.append("window")
    return Call(call.function, tensors, table, fields, f"{call.function}({', '.join(arguments)});")


def _field(value: int | float | ConstArray | None, pool: ConstantPool) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, ConstArray):
        return pool.add(value)
    if isinstance(value, float):
        return f"{value.hex()}f"  # exact: the value is a single-precision float
    return c_integer(int(value))


def c_integer(value: int) -> str:
    """An integer constant of type int; INT32_MIN has no literal of its own."""
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(value)


def c_float(value: float) -> str:
    """A single-precision literal that reads back exactly: nine significant digits are enough."""
    text = f"{value:.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _port(model: Model, plan: Plan, index: int, tensor_index: int) -> Port:
    tensor: Tensor = model.tensor(tensor_index)
    q = tensor.quantization
    quantized = q is not None and tensor.dtype is not DType.FLOAT32
    return Port(
        index=index,
        title=comment_text(tensor.name),
        ctype=_CTYPES[tensor.dtype],
        count=prod(tensor.shape),
        shape=tensor.shape,
        offset=plan.placements[tensor_index].offset,
        scale=c_float(q.scale) if q is not None and quantized else None,
        zero_point=q.zero_point if q is not None and quantized else None,
    )


@cache
def runtime_files() -> Mapping[str, str]:
    """The hand-written runtime, whole: the same for every model of a version, so an image with several needs one."""
    folders = (firmware_dir() / "include", firmware_dir() / "kernels")
    found = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in (".c", ".h")]
    return {p.name: p.read_text("utf-8") for p in found}


@cache
def _templates() -> Environment:
    import jinja2  # here: planning does not need it

    return jinja2.Environment(
        loader=jinja2.PackageLoader("tinydeploy.codegen", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML: everything from a model went through names.py
    )
