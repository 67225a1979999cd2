"""From a model and its plan to C: constant tables, a straight list of steps, and an API that documents itself."""

from tinydeploy.codegen.generate import Program, check_supported, emit, generate
from tinydeploy.codegen.names import c_identifier, comment_text
from tinydeploy.codegen.tree import SourceTree

__all__ = [
    "Program",
    "SourceTree",
    "c_identifier",
    "check_supported",
    "comment_text",
    "emit",
    "generate",
]
