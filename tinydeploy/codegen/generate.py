"""`generate`: a model and its plan as a folder of C that stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod

from tinydeploy import __version__
from tinydeploy.codegen.extras import NO_EXTRAS, Extras
from tinydeploy.codegen.info import info_files
from tinydeploy.codegen.io import ends_of, io_files
from tinydeploy.codegen.literals import c_float, c_lines
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.program import Program
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.support import PORT_CTYPES
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.operators.base import rows_of
from tinydeploy.plan.types import Plan
from tinydeploy.resources import firmware_dir

RUNTIME_VERSION = 2  # TD_RUNTIME_VERSION in firmware/include/td_runtime.h; a test holds the two together


@dataclass(frozen=True)
class Port:
    """An input, an output or a kept tensor of the library, as the templates write it.

    `fed`: an input that has no place for all of its rows, because the application hands them over one by one.
    """

    index: int
    title: str
    ctype: str
    count: int
    shape: tuple[int, ...]
    rows: int
    row_bytes: int
    offset: int
    scale: str | None
    zero_point: int | None
    fed: bool


@dataclass(frozen=True)
class Piece:
    """A share of an arena that is spread over several memories, as the templates write it: `offset` bytes behind the
    pointer to the arena."""

    name: str
    region: str
    address: str
    bytes: int
    offset: int

    @property
    def section(self) -> str:
        """Where the example has it."""
        return f".arena_{self.name}"


def pieces(plan: Plan) -> tuple[Piece, ...]:
    """By rising address; empty for an arena that lies in one piece."""
    if len(plan.shares) < 2:
        return ()
    return tuple(
        Piece(s.region.lower().replace("+", "_"), s.region, f"{s.address:#x}", s.bytes, plan.distance(s.offset))
        for s in sorted(plan.shares, key=lambda s: s.address)
    )


def generate(model: Model, plan: Plan, program: Program, extras: Extras = NO_EXTRAS) -> SourceTree:
    """The library's sources, from what `emit` made of the same model and plan.

    Raises UsageError for labels that are not as many as any output has classes.
    """
    prefix, pool = program.name, program.pool
    ends = ends_of(model, extras)
    arena_symbol = "_".join([prefix, "arena", *(piece.name for piece in pieces(plan)[:1])])
    context = {
        "version": __version__,
        "runtime_version": RUNTIME_VERSION,
        "name": prefix,
        "NAME": prefix.upper(),
        "title": comment_text(model.name),
        "sha256": comment_text(model.sha256, 64) or "none",
        "arena_bytes": max(plan.arena_bytes, plan.alignment),
        "pieces": pieces(plan),
        "arena_symbol": arena_symbol,
        "alignment": plan.alignment,
        "inputs": _ports(model, plan, model.inputs),
        "outputs": _ports(model, plan, model.outputs),
        "kept": _ports(model, plan, plan.kept),
        "feeds": bool(plan.fed),
        "given": ends.inputs,
        "got": ends.outputs,
        "program": program,
        "row_tables": [(name, c_lines(table)) for name, table in program.row_tables.items()],
        "loops": [(loop, c_lines(loop.table)) for loop in program.loops],
        "variables": [
            (plan.distance(place.offset), t.bytes, t.quantization.zero_point if t.quantization else 0)
            for t in model.tensors
            if t.variable and (place := plan.placements.get(t.index)) is not None
        ],
        "markers": len(model.operators) + (len(model.inputs) if plan.fed else 0),
        "constants": pool.constants,
        "constant_bytes": sum(pool.bytes_by_role().values()),
    }
    helpers = {
        **io_files(model, prefix, extras),
        **info_files(model, plan, program, extras.identity, runtime_version=RUNTIME_VERSION),
    }
    env = templates()
    runtime = {f"runtime/{k}": v for k, v in runtime_files().items()}
    files = {
        f"{prefix}.h": env.get_template("model.h.j2").render(context),
        f"{prefix}.c": env.get_template("model.c.j2").render(context),
        f"{prefix}_data.h": env.get_template("data.h.j2").render(context),
        f"{prefix}_data.c": env.get_template("data.c.j2").render(context),
        "example/main.c": env.get_template("main.c.j2").render(context),
        "README.md": env.get_template("README.md.j2").render(context),
        **helpers,
        **runtime,
    }
    return SourceTree(
        name=prefix,
        files=files,
        sources=(
            f"{prefix}.c",
            f"{prefix}_data.c",
            f"{prefix}_io.c",
            f"{prefix}_info.c",
            *(f for f in runtime if f.endswith(".c")),
        ),
        example=("example/main.c",),
        constant_bytes=pool.bytes_by_role(),
        constant_prefix=f"{prefix}_k",
        arena_symbol=arena_symbol,
        done_symbol=f"{prefix}_done",
        feed_symbol=f"{prefix}_feed_row" if plan.fed else None,
    )


def _ports(model: Model, plan: Plan, tensors: Iterable[int]) -> list[Port]:
    return [_port(model.tensor(t), plan, index) for index, t in enumerate(tensors)]


def _port(tensor: Tensor, plan: Plan, index: int) -> Port:
    q = tensor.quantization
    quantized = q is not None and tensor.dtype is not DType.FLOAT32
    rows, row_bytes = rows_of(tensor)
    place = plan.placements[tensor.index]
    fed = tensor.index in plan.fed
    if not fed and (place.row_offsets or place.ring_rows != rows):
        raise PlanInvalidError(f"tensor {tensor.index} is not whole, but the application is to find it in one piece")
    return Port(
        index=index,
        title=comment_text(tensor.name),
        ctype=PORT_CTYPES[tensor.dtype],
        count=prod(tensor.shape),
        shape=tensor.shape,
        rows=rows,
        row_bytes=row_bytes,
        offset=plan.distance(place.offset),
        scale=c_float(q.scale) if q is not None and quantized else None,
        zero_point=q.zero_point if q is not None and quantized else None,
        fed=fed,
    )


@cache
def runtime_files() -> Mapping[str, str]:
    """The hand-written runtime, whole: the same for every model of a version, so an image with several needs one."""
    folders = (firmware_dir() / "include", firmware_dir() / "kernels")
    found = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix in (".c", ".h")]
    return {p.name: p.read_text("utf-8") for p in found}
