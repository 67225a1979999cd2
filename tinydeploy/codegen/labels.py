"""`load_labels`: the names of a model's classes, from a file with one on each line."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

MOST_BYTES = 200  # of one label as UTF-8
_MOST_FILE_BYTES = 1 << 20


def load_labels(path: Path) -> tuple[str, ...]:
    """The lines of a UTF-8 file, without the spaces around them; empty lines at its end do not count.

    Raises UsageError for a file that cannot be read, is not UTF-8 or larger than 1 MiB, and for a line that is empty,
    longer than `MOST_BYTES`, or has a control character.
    """
    name = printable(str(path), 300)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as e:
        why = (e.strerror if isinstance(e, OSError) else None) or str(e)
        raise UsageError(f"cannot read the labels in {name}: {why}") from e
    if len(data) > _MOST_FILE_BYTES:
        raise UsageError(f"{name} is larger than 1 MiB: no file of labels", hint="one label a line, as text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise UsageError(f"{name}: line {line} is not UTF-8", hint="save the labels as UTF-8, one a line") from e
    labels = [line.strip(" \t\r") for line in text.split("\n")]
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        raise UsageError(f"{name} has no labels", hint="one label a line, in the order of the model's classes")
    for number, label in enumerate(labels, 1):
        trouble = _trouble(label)
        if trouble is not None:
            raise UsageError(f"{name}: line {number} {trouble}", hint="one label a line, as text")
    return tuple(labels)


def _trouble(label: str) -> str | None:
    if not label:
        return "is empty"
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in label):
        return "has a control character"
    if len(label.encode()) > MOST_BYTES:
        return f"is longer than {MOST_BYTES} bytes"
    return None
