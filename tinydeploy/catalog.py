"""What a user may name instead of a file: the models that ship with tinydeploy, and the networks without weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.resources import models_dir

if TYPE_CHECKING:
    from tinydeploy.ir import Model
    from tinydeploy.ir.catalog import ShippedModel


@dataclass(frozen=True)
class ModelEntry:
    """A model or network that is shipped. `path` is its .tflite file and `facts` what models.toml says of it; both are
    None for a network, which has no weights."""

    name: str
    about: str
    path: Path | None = None
    facts: ShippedModel | None = None


def load(spec: str) -> Model:
    """The model that `spec` names: a path that exists, else a shipped model, else a shipped network.

    Raises `UsageError` for an unknown name, with the nearest one, and what `read_model` raises for a file.
    """
    path = model_path(spec)
    if path is not None:
        from tinydeploy.tflite import read_model

        return read_model(path)
    from tinydeploy.cost.networks import network

    return network(spec)


def model_path(spec: str) -> Path | None:
    """The .tflite file that `spec` names: itself, where it exists, or a shipped model's; None for a network.

    Raises `UsageError` as `load` does.
    """
    if _exists(spec):
        return Path(spec)
    for listed in (_models(), entries()):  # networks are looked at only where no model is meant
        known = {entry.name: entry for entry in listed}
        if spec in known:
            return known[spec].path
    from difflib import get_close_matches

    shown = printable(spec, 200)
    near = get_close_matches(Path(spec).stem if spec.endswith(".tflite") else spec, known, n=1)
    hint = f"did you mean the shipped {_kind(known[near[0]])} '{near[0]}'?" if near else "`tinydeploy models` lists all"
    if spec.endswith(".tflite") or "/" in spec or "\\" in spec:
        raise UsageError(f"{shown}: no such file", hint=hint)
    raise UsageError(f"there is no file and no shipped model called '{shown}'", hint=hint)


def shipped_path(spec: str) -> Path | None:
    """The .tflite file of the shipped model that `spec` names; None where it names a file, or no shipped model."""
    return None if _exists(spec) else next((entry.path for entry in _models() if entry.name == spec), None)


def _exists(spec: str) -> bool:
    try:
        return spec != "" and Path(spec).exists()  # the path of nothing is the current folder
    except (OSError, ValueError):  # far too long, or a NUL inside
        return False


@cache
def _models() -> tuple[ModelEntry, ...]:
    from tinydeploy.ir.catalog import shipped_models

    shipped = sorted(shipped_models(), key=lambda model: model.name)
    return tuple(ModelEntry(m.name, _first_sentence(m), m.path, m) for m in shipped if m.path.is_file())


@cache
def entries() -> tuple[ModelEntry, ...]:
    """Models first, then networks, each sorted by name."""
    models = _models()
    taken = {entry.name for entry in models}
    modules = sorted(p for p in (models_dir() / "networks").glob("*.py") if not p.stem.startswith("_"))
    return (*models, *(ModelEntry(p.stem, _about_network(p)) for p in modules if p.stem not in taken))


def _kind(entry: ModelEntry) -> str:
    return "network" if entry.path is None else "model"


def _first_sentence(model: ShippedModel) -> str:
    sentence = model.description.partition(". ")[0].rstrip(".")
    return f"{model.title}: {sentence}"


def _about_network(path: Path) -> str:
    """The first line of the module's docstring; the module is not run for it."""
    import ast

    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
