"""`info_files`: NAME_info.h and NAME_info.c, what a library knows of itself as constants that firmware can print."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy import __version__
from tinydeploy.codegen.extras import Identity
from tinydeploy.codegen.literals import c_string
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.program import Program
from tinydeploy.codegen.render import templates
from tinydeploy.cost import cost_table
from tinydeploy.cost.roles import Role, constant_roles
from tinydeploy.ir import Model
from tinydeploy.plan.types import Plan

_MOST_COUNTED = 0xFFFFFFFF  # in 32 bits
_MOST_TEXT = 120


def info_files(
    model: Model, plan: Plan, program: Program, identity: Identity, *, runtime_version: int
) -> Mapping[str, str]:
    """The two files by name."""
    name = program.name
    texts = {
        "name": ("The C prefix of this library.", name),
        "model": ("The model's name.", model.name),
        "model_sha256": ("SHA-256 of the .tflite file.", model.sha256),
        "source": ("The model that it was converted from.", identity.source),
        "source_sha256": ("SHA-256 of that file.", identity.source_sha256),
        "quantization": ("Types of activations and weights.", identity.quantization or quantization_of(model)),
        "board": ("The board that it was planned for.", identity.board),
        "tinydeploy": ("The version of tinydeploy that generated it.", __version__),
    }
    numbers = {
        "runtime_version": ("TD_RUNTIME_VERSION of the runtime that it needs.", runtime_version),
        "arena_bytes": ("SRAM for all activations.", max(plan.arena_bytes, plan.alignment)),
        "lower_bound_bytes": ("No arena for the same order of steps is smaller.", plan.proof.lower_bound_bytes),
        "floor_bytes": ("No arena for any order of row steps is smaller; 0: not computed.", plan.proof.floor_bytes),
        "constant_bytes": ("Flash for weights, biases, scales and tables.", sum(program.pool.bytes_by_role().values())),
        "macs": ("Multiply-accumulates of one invoke.", cost_table(model).totals.macs),
    }
    context = {
        "version": __version__,
        "name": name,
        "NAME": name.upper(),
        "title": comment_text(model.name),
        "texts": [(key, about, c_string(comment_text(text, _MOST_TEXT))) for key, (about, text) in texts.items()],
        "numbers": [(key, about, min(count, _MOST_COUNTED)) for key, (about, count) in numbers.items()],
    }
    return {f"{name}_info{end}": templates().get_template(f"info{end}.j2").render(context) for end in (".h", ".c")}


def quantization_of(model: Model) -> str:
    """The types of a model's activations and weights in words: `int8 activations, int8 weights per channel`."""
    weights = [
        tensor
        for op in model.operators
        for tensor, role in constant_roles(model, op, learned=False)
        if role is Role.WEIGHTS
    ]
    activations = {model.tensor(t).dtype.label for op in model.operators for t in op.outputs}
    parts = [f"{' and '.join(sorted(activations))} activations"]
    for dtype in sorted({tensor.dtype.label for tensor in weights}):
        by_channel = any(t.quantization and t.quantization.per_channel for t in weights if t.dtype.label == dtype)
        parts.append(f"{dtype} weights{' per channel' if by_channel else ''}")
    return ", ".join(parts)
