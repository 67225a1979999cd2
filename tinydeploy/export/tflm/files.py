"""`tflm_files`: a model, with its placement inside it, as the files that a TensorFlow Lite Micro firmware compiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from tinydeploy import __version__
from tinydeploy.boards import Board
from tinydeploy.codegen.extras import NO_EXTRAS, Extras
from tinydeploy.codegen.io import io_files
from tinydeploy.codegen.literals import c_float, c_lines
from tinydeploy.codegen.names import c_identifier, comment_text, require_identifier
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.support import PORT_CTYPES
from tinydeploy.errors import UnsupportedModelError
from tinydeploy.export.tflm.manifest import TFLM_COMMIT, manifest
from tinydeploy.export.tflm.operators import check_kernels, resolver_methods
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.plan.tflm import KernelSet, TflmArena
from tinydeploy.plan.tflm.arena import as_in_file

_KERNELS = {"reference": "TFLM's reference kernels", "cmsis-nn": "TFLM with CMSIS-NN's kernels"}


@dataclass(frozen=True)
class Export:
    """What is exported.

    `data` is the file that TFLM gets, `model` what was read from it, before any transformation. `arena`: predicted for
    it, for `kernels` on `board`, None for any Cortex-M with the DSP extension. `greedy`: what TFLM would take by its
    own planner, without the placement inside the file, where that is known. `original_sha256`: of the file without it.
    `tools` are names and versions of what the model was made with, `extras` what the helpers for inputs and outputs are
    told.
    """

    data: bytes
    model: Model
    arena: TflmArena
    kernels: KernelSet
    board: Board | None = None
    greedy: TflmArena | None = None
    original_sha256: str = ""
    tools: Mapping[str, str] | None = None
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True)
class _Port:
    index: int
    title: str
    ctype: str
    count: int
    bytes: int
    shape: tuple[int, ...]
    scale: str | None
    zero_point: int | None


def sources_of(name: str) -> tuple[str, ...]:
    """What a firmware compiles, of the files that `tflm_files` makes for a model of that name."""
    return (f"{name}_model.cc", f"{name}_tflm.cc")


def tflm_files(export: Export, name: str | None = None) -> Mapping[str, str | bytes]:
    """The files by relative path. `name` becomes the C prefix; without one it is made of the model's.

    Raises `UnsupportedModelError` for operators that TFLM has no kernel for or that the kernels refuse, or for an input
    or output of a type that the interface cannot have, and `UsageError` for a name that is no identifier or labels that
    are not the classes.
    """
    model = export.model
    prefix = require_identifier(name) if name is not None else c_identifier(model.name)
    methods = resolver_methods(model)
    check_kernels(model, export.kernels)
    context = {
        "version": __version__,
        "name": prefix,
        "NAME": prefix.upper(),
        "title": comment_text(model.name),
        "sha256": comment_text(model.sha256, 64),
        "model_bytes": len(export.data),
        "methods": methods,
        "operators": len(as_in_file(model).operators),
        "arena": export.arena,
        "unknown": [comment_text(words) for words in export.arena.unknown],
        "greedy": export.greedy,
        "kernels": _KERNELS[export.kernels],
        "core": comment_text(export.board.core.name) if export.board is not None else "a Cortex-M",
        "commit": TFLM_COMMIT[:7],
        "inputs": list(_ports(model, model.inputs)),
        "outputs": list(_ports(model, model.outputs)),
    }
    env = templates(__package__)
    names = {
        f"{prefix}_model.h": "model.h.j2",
        f"{prefix}_ops.h": "ops.h.j2",
        f"{prefix}_arena.h": "arena.h.j2",
        f"{prefix}_tflm.h": "tflm.h.j2",
        f"{prefix}_tflm.cc": "tflm.cc.j2",
        f"{prefix}_main.cc": "main.cc.j2",
        "CMakeLists.txt": "CMakeLists.txt.j2",
        "tflm.mk": "tflm.mk.j2",
        "README.md": "README.md.j2",
    }
    files: dict[str, str | bytes] = {path: env.get_template(source).render(context) for path, source in names.items()}
    array = env.get_template("model.cc.j2").render(context | {"initializer": c_lines(export.data)})
    files |= {f"{prefix}.tflite": export.data, f"{prefix}_model.cc": array, **io_files(model, prefix, export.extras)}
    return {**files, "manifest.json": manifest(export, prefix, methods, files)}


def _ports(model: Model, tensors: Iterable[int]) -> Iterable[_Port]:
    for number, index in enumerate(tensors):
        tensor: Tensor = model.tensor(index)
        if tensor.dtype not in PORT_CTYPES:
            where = f"{printable(model.path or model.name, 400)}: tensor {index}"
            raise UnsupportedModelError(f"{where}: a model input or output cannot be {tensor.dtype.label}")
        q = tensor.quantization if tensor.dtype is not DType.FLOAT32 else None
        yield _Port(
            index=number,
            title=comment_text(tensor.name),
            ctype=PORT_CTYPES[tensor.dtype],
            count=prod(tensor.shape),
            bytes=tensor.bytes,
            shape=tensor.shape,
            scale=c_float(q.scale) if q is not None else None,
            zero_point=q.zero_point if q is not None else None,
        )
