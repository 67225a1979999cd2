"""Renders a document as JSON: its data alone, one object, keys in a fixed order, ASCII only."""

from __future__ import annotations

import json

from tinydeploy.report.document import Document


def render(document: Document) -> str:
    """The JSON text, with a final newline. Raises `ValueError` for NaN and infinities, which JSON does not have."""
    return json.dumps(document.data, indent=2, allow_nan=False) + "\n"
