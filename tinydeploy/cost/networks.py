"""The networks described in Python under models/networks/: by name, found in the folder's listing."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location

from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.resources import models_dir


def network_names() -> tuple[str, ...]:
    """The networks' names, sorted: one for each module, each with a function `build() -> Model`."""
    return tuple(sorted(p.stem for p in (models_dir() / "networks").glob("*.py") if not p.stem.startswith("_")))


def network(name: str) -> Model:
    """The network called `name`. Raises `UsageError` for a name that is not in the listing.

    Only a listed name is ever run, so a path that a user typed is never executed.
    """
    names = network_names()
    if name not in names:
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
        raise UsageError(f"no network is called '{name}'", hint=hint)
    spec = spec_from_file_location(f"tinydeploy_networks.{name}", models_dir() / "networks" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"models/networks/{name}.py cannot be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.build()
    if not isinstance(model, Model):
        raise RuntimeError(f"models/networks/{name}.py: build() returned {type(model).__name__}, not a Model")
    return model
