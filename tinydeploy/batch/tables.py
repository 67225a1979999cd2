"""A sweep's table as a file: CSV, or Parquet with the columns' meanings and kinds in its metadata.

Names come from strangers' models. In CSV, which people open in spreadsheets, a text that would begin a formula gets an
apostrophe before it; in Parquet text is exact.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydeploy.batch.rows import COLUMNS, Cell, Column, Row, kinds_of
from tinydeploy.errors import MissingToolError, UsageError
from tinydeploy.files import replaced

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def check_writable(path: Path) -> None:
    """Before the work, so that a mistake costs none of it. Raises `UsageError` for a file that cannot be written, and
    `MissingToolError` without what writes it."""
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"cannot write {path}: it must end in {' or '.join(_WRITERS)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError(f"cannot write {path}: {what}")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_table(path: Path, rows: Sequence[Row], provenance: Mapping[str, Any]) -> None:
    """Write the rows, all of them or none. `provenance`: where they come from, as far as no column says it.

    Raises `OSError`.
    """
    with replaced(path) as aside:
        _WRITERS[path.suffix.lower()](aside, rows, provenance)


def _write_csv(path: Path, rows: Sequence[Row], _provenance: Mapping[str, Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in COLUMNS)
        writer.writerows([_csv_cell(row[column.name]) for column in COLUMNS] for row in rows)


def _csv_cell(cell: Cell) -> str | int | float:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case str():
            return f"'{cell}" if cell.startswith(_FORMULA) else cell
        case _:
            return cell


def _write_parquet(path: Path, rows: Sequence[Row], provenance: Mapping[str, Any]) -> None:
    pyarrow = _pyarrow()
    from pyarrow import parquet

    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "truth": pyarrow.bool_(),
    }
    kinds = kinds_of(rows)

    def field(column: Column) -> Any:
        about = {"about": column.about}
        if column.figure:
            about["kind"] = " or ".join(kinds.get(column.name, ()))
        return pyarrow.field(column.name, types[column.type], metadata=about)

    schema = pyarrow.schema(
        [field(column) for column in COLUMNS], metadata={"tinydeploy": json.dumps(provenance, sort_keys=True)}
    )
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as missing:
        raise MissingToolError(
            "Parquet needs pyarrow, which is not installed",
            hint="pip install 'tinydeploy[sweep]', or write a .csv, which needs nothing",
        ) from missing
    return pyarrow


_WRITERS: Mapping[str, Callable[[Path, Sequence[Row], Mapping[str, Any]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
