"""From a model and its plan to C: constant tables, the program of steps, and an API that documents itself.

`emit` (`program.py`) says what a library does, `generate` writes it.
"""

from tinydeploy.codegen.generate import generate, pieces
from tinydeploy.codegen.names import c_identifier, comment_text
from tinydeploy.codegen.program import Program, emit, executed, marker_of
from tinydeploy.codegen.support import check_supported
from tinydeploy.codegen.tree import SourceTree

__all__ = [
    "Program",
    "SourceTree",
    "c_identifier",
    "check_supported",
    "comment_text",
    "emit",
    "executed",
    "generate",
    "marker_of",
    "pieces",
]
