"""Makes the shipped models: `python models/make/make_models.py [name…]` writes them and their entries in models.toml.

Without names all are made. `--check` writes nothing and says which files would change. Needs the extras
`export` and `verify`: `pip install '.[export,verify]'`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert import Made

MODELS = Path(__file__).resolve().parent.parent
CATALOG = MODELS / "models.toml"

# name → (module beside this file, function): the order of models.toml
RECIPES = {
    "digits": ("digits", "make_digits"),
    "kws": ("twins", "make_kws"),
    "vww": ("twins", "make_vww"),
    "resnet8": ("twins", "make_resnet8"),
    "ad": ("twins", "make_ad"),
    "mobilenet_v2_035": ("mobilenet", "make_mobilenet_v2_035"),
    "everything": ("everything", "make_everything"),
    "branches": ("branches", "make_branches"),
    "unet": ("unet", "make_unet"),
}

HEADER = """\
# The shipped models: what each is, how it was made, and what is known of it.
# Written by models/make/make_models.py; change the text there, not here.
"""


def literal(value: str | int | float | list[str] | dict[str, str]) -> str:
    """One TOML value. Strings here hold no control characters, so escaping quotes and backslashes is enough."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {literal(item)}" for key, item in value.items()) + " }"
    return repr(value)


def entry(name: str, made: Made) -> dict[str, Any]:
    """What models.toml says of a model."""
    import convert

    inputs, outputs = convert.ports(made.data)
    found: dict[str, Any] = {
        "file": f"{name}.tflite",
        "sha256": convert.sha256(made.data),
        "bytes": len(made.data),
        "title": made.title,
        "description": made.description,
        "inputs": inputs,
        "outputs": outputs,
        "macs": convert.macs(made.data),
        "weights": made.weights,
        "seed": made.seed,
        "script": f"models/make/{RECIPES[name][0]}.py",
        "command": f"python models/make/make_models.py {name}",
        "tools": convert.tool_versions(made.tools),
        "licence": "MIT",
    }
    if made.companions:
        found["companions"] = [file for file, _ in made.companions]
    if made.accuracy is not None:
        found["accuracy"] = {
            "kind": "measured",
            "dataset": made.accuracy.dataset,
            "samples": made.accuracy.samples,
            "float_correct": made.accuracy.float_correct,
            "int8_correct": made.accuracy.int8_correct,
            "float": round(made.accuracy.float_correct / made.accuracy.samples, 4),
            "int8": round(made.accuracy.int8_correct / made.accuracy.samples, 4),
            "how": made.accuracy.measured,
        }
    return found


def render(entries: dict[str, dict[str, Any]]) -> str:
    """models.toml as text, one `[name]` table a model and `[name.accuracy]` below it where there is one."""
    parts = [HEADER]
    for name in RECIPES:
        if name not in entries:
            continue
        fields = entries[name]
        lines = [f"{key} = {literal(value)}" for key, value in fields.items() if key != "accuracy"]
        parts.append(f"[{name}]\n" + "\n".join(lines) + "\n")
        if "accuracy" in fields:
            lines = [f"{key} = {literal(value)}" for key, value in fields["accuracy"].items()]
            parts.append(f"[{name}.accuracy]\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Make the named models; 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description="Make the shipped models.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(RECIPES)}; default: all")
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - RECIPES.keys()):
        parser.error(f"no such model: {', '.join(unknown)}")

    entries: dict[str, dict[str, Any]] = tomllib.loads(CATALOG.read_text("utf-8")) if CATALOG.exists() else {}
    changed = 0
    for name in options.names or RECIPES:
        module, function = RECIPES[name]
        made: Made = getattr(importlib.import_module(module), function)()
        for file, data in ((f"{name}.tflite", made.data), *made.companions):
            path = MODELS / file
            same = path.exists() and path.read_bytes() == data
            changed += not same
            print(f"{file}: {len(data)} bytes, {'as before' if same else 'changed'}", flush=True)
            if not options.check:
                path.write_bytes(data)
        entries[name] = entry(name, made)
    if not options.check:
        CATALOG.write_text(render(entries), "utf-8")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
