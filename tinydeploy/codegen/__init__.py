"""From a model and its plan to C: constant tables, the program of steps, and an API that documents itself.

`emit` (`program.py`) says what a library does, `generate` writes it, `board_example` puts a program around it that
prints on a board's UART.
"""

from tinydeploy.codegen.board_example import DONE_LINE, board_example
from tinydeploy.codegen.extras import Extras, Identity
from tinydeploy.codegen.generate import generate, pieces
from tinydeploy.codegen.names import c_identifier, comment_text
from tinydeploy.codegen.program import Program, emit, executed, marker_of
from tinydeploy.codegen.support import check_supported
from tinydeploy.codegen.tree import SourceTree

__all__ = [
    "DONE_LINE",
    "Extras",
    "Identity",
    "Program",
    "SourceTree",
    "board_example",
    "c_identifier",
    "check_supported",
    "comment_text",
    "emit",
    "executed",
    "generate",
    "marker_of",
    "pieces",
]
