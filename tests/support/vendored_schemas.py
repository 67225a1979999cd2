"""JSON schemas of CI systems' files, which the package check-jsonschema carries."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest


def errors(name: str, instance: Any) -> list[str]:
    """What in a file's content is against the schema `name`, such as `gitlab-ci`."""
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    pytest.importorskip("check_jsonschema", reason="pip install check-jsonschema, for the schemas in it")
    folder = resources.files("check_jsonschema").joinpath("builtin_schemas/vendor")
    schema = json.loads(folder.joinpath(f"{name}.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]
