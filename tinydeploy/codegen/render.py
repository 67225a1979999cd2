"""The templates of all generated files."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def templates() -> Environment:
    """The templates of all generated files."""
    import jinja2  # here: planning does not need it

    return jinja2.Environment(
        loader=jinja2.PackageLoader("tinydeploy.codegen", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML: everything from a model went through names.py
    )
