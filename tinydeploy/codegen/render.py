"""`templates`: what generated files are rendered from."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def templates(package: str = "tinydeploy.codegen") -> Environment:
    """The templates in the folder `templates` of a package: of C, CMake and the like, so nothing is escaped for HTML.

    What comes from a model has gone through names.py and literals.py before.
    """
    import jinja2  # here: planning does not need it

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
