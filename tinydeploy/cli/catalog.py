"""What ships with tinydeploy: models with weights, from models.toml, and networks without."""

from __future__ import annotations

import ast
import tomllib
from functools import cache

from tinydeploy.cost.networks import network_names
from tinydeploy.report.listings import ModelEntry
from tinydeploy.resources import models_dir


@cache
def entries() -> tuple[ModelEntry, ...]:
    """Models first, then networks, each sorted by name."""
    listed = models_dir() / "models.toml"
    described = tomllib.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else {}
    models = [
        ModelEntry(name, "model", _first_sentence(facts), (models_dir() / str(facts["file"])).stat().st_size)
        for name, facts in sorted(described.items())
        if (models_dir() / str(facts["file"])).is_file()
    ]
    taken = {entry.name for entry in models}
    networks = [ModelEntry(name, "network", _about_network(name)) for name in network_names() if name not in taken]
    return (*models, *networks)


def _first_sentence(facts: dict[str, object]) -> str:
    sentence = str(facts.get("description", "")).partition(". ")[0].rstrip(".")
    return f"{facts.get('title', '')}: {sentence}"


def _about_network(name: str) -> str:
    """The first line of the module's docstring; the module is not run for it."""
    tree = ast.parse((models_dir() / "networks" / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]
