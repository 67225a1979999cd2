"""docs/operators.md is what `tinydeploy ops` says. `python -m tests.golden.test_operator_page` writes it anew."""

from __future__ import annotations

import sys
from pathlib import Path

from tinydeploy.operators.registry import kinds
from tinydeploy.report import markdown
from tinydeploy.report.document import Table
from tinydeploy.report.listings import operators_document

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"

_HEAD = """\
# Operators

What `tinydeploy ops` lists, from the code. Those that run are bit-exact with TensorFlow Lite Micro's int8 reference
kernels; a model with any other operator is refused by name, though `cost` still counts its tensors.

"""


def page() -> str:
    """The page, from the registry."""
    from tinydeploy.cli.common import provenance

    document = operators_document(kinds(), provenance({}))
    tables = tuple(block for block in document.blocks if isinstance(block, Table))
    return _HEAD + markdown.render(type(document)(tables, {})).strip() + "\n"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page()


def test_the_page_names_every_operator() -> None:
    text = PAGE.read_text("utf-8").replace("\\_", "_")
    assert [kind.opcode for kind in kinds() if f"| {kind.opcode} |" not in text] == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(str(PAGE) + "\n")
