"""From a model and its plan to C: constant tables, a straight list of steps, and an API that documents itself."""

from tinydeploy.codegen.generate import generate
from tinydeploy.codegen.names import c_identifier, comment_text
from tinydeploy.codegen.tree import SourceTree

__all__ = ["SourceTree", "c_identifier", "comment_text", "generate"]
