"""Placement problems as CSV, in the format of google/minimalloc: `id,lower,upper,size`, a line for each rectangle.

Optional columns: `alignment`; `gaps`, separated by spaces, each `lower-upper` or `lower-upper@low:high` (see `Gap`);
`hint`, which is ignored. Ranges are half-open; under the older names `start` or `begin` and `end`, which minimalloc
reads too, the end is the last time that belongs to the range, in gaps also. The answer has a column `offset` more.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable
from tinydeploy.plan.shape import Gap, Rectangle

LIMIT = 1 << 48  # of a size, an alignment or a time: nothing that is computed from them leaves 64 bits
MAX_MEETINGS = 4_000_000  # pairs that live at one time: what a problem may need of memory and time

_NAMES = {"begin": "lower", "start": "lower", "end": "upper", "buffer": "id", "buffer_id": "id"}
_NEEDED = ("id", "lower", "upper", "size")
_KNOWN = (*_NEEDED, "alignment", "gaps", "hint")
_HINT = f"the first line names the columns: {','.join(_NEEDED)}, and where needed alignment, gaps"
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_GAP = re.compile(r"([0-9]{1,15})-([0-9]{1,15})(?:@([0-9]{1,15}):([0-9]{1,15}))?", re.ASCII)


def read_csv(text: str, name: str) -> tuple[Rectangle, ...]:
    """The rectangles of a problem. `name` is the file's, for messages.

    Raises `UsageError`: one line with the number of the line in the file.
    """
    found: dict[str, Rectangle] = {}
    header: list[str] = []
    for line, fields in _lines(text, name):
        if not header:
            header = [_NAMES.get(field.strip(), field.strip()) for field in fields]
            _check_header(header, f"{name}:{line}")
            last_included = "end" in (field.strip() for field in fields)
            continue
        where = f"{name}:{line}"
        if len(fields) != len(header):
            raise UsageError(f"{where}: {len(fields)} fields, but the first line names {len(header)} columns")
        rectangle = _rectangle(dict(zip(header, (f.strip() for f in fields), strict=True)), last_included, where)
        if rectangle.id in found:
            raise UsageError(f"{where}: the id '{printable(rectangle.id)}' is there already")
        found[rectangle.id] = rectangle
    if not header:
        raise UsageError(f"{name}: the file is empty", hint=_HINT)
    _check_size(list(found.values()), name)
    return tuple(found.values())


def write_csv(rectangles: Sequence[Rectangle], offsets: Sequence[int]) -> str:
    """The problem with its answer, as minimalloc writes it: a column that says nothing is left out."""
    aligned = any(r.alignment != 1 for r in rectangles)
    gaps = any(r.gaps for r in rectangles)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_NEEDED, *["alignment"] * aligned, *["gaps"] * gaps, "offset"])
    for r, offset in zip(rectangles, offsets, strict=True):
        told = " ".join(f"{g.lower}-{g.upper}" + (f"@{g.window[0]}:{g.window[1]}" if g.window else "") for g in r.gaps)
        writer.writerow([r.id, r.lower, r.upper, r.size, *[r.alignment] * aligned, *[told] * gaps, offset])
    return out.getvalue()


def _lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"{name}:{reader.line_num}: is not CSV: {error}") from None
        if fields:
            yield reader.line_num, fields


def _check_header(header: list[str], where: str) -> None:
    for column in header:
        if column == "offset":
            raise UsageError(
                f"{where}: there is a column 'offset', but fixed positions are not supported",
                hint="to place the rectangles anew, leave the column out",
            )
        if column not in _KNOWN:
            raise UsageError(f"{where}: unknown column '{printable(column)}'", hint=_HINT)
        if header.count(column) > 1:
            raise UsageError(f"{where}: there are two columns for '{column}'", hint=_HINT)
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        raise UsageError(f"{where}: there is no column '{missing[0]}'", hint=_HINT)


def _rectangle(fields: dict[str, str], last_included: bool, where: str) -> Rectangle:
    named = fields["id"]
    if not named or not named.isprintable():
        raise UsageError(f"{where}: the id '{printable(named)}' is empty or has control characters")
    numbers = {c: _number(fields[c], c, where) for c in ("lower", "upper", "size", "alignment") if c in fields}
    gaps = []
    for told in fields.get("gaps", "").split():
        match = _GAP.fullmatch(told)
        if match is None:
            raise UsageError(
                f"{where}: gap '{printable(told)}' is malformed", hint="lower-upper, or lower-upper@low:high"
            )
        lower, upper, low, high = (None if group is None else int(group) for group in match.groups())
        assert lower is not None and upper is not None
        gaps.append(Gap(lower, upper + last_included, None if low is None or high is None else (low, high)))
    try:
        return Rectangle(
            named,
            numbers["lower"],
            numbers["upper"] + last_included,
            numbers["size"],
            numbers.get("alignment", 1),
            tuple(sorted(gaps, key=lambda gap: gap.lower)),
        )
    except ValueError as error:
        raise UsageError(f"{where}: rectangle '{printable(named)}': {error}") from None


def _number(told: str, column: str, where: str) -> int:
    if not _NUMBER.fullmatch(told) or int(told) > LIMIT:
        raise UsageError(f"{where}: {column} '{printable(told, 40)}' is not a whole number from 0 to 2^48")
    return int(told)


def _check_size(rectangles: Sequence[Rectangle], name: str) -> None:
    """Raise `UsageError` when too many live at one time."""
    moments = sorted([(r.lower, 1) for r in rectangles] + [(r.upper, -1) for r in rectangles])
    alive = meetings = 0
    for _, change in moments:
        alive += change
        meetings += alive if change > 0 else 0
    if meetings > MAX_MEETINGS:
        raise UsageError(f"{name}: {meetings:,} pairs of rectangles live at one time; {MAX_MEETINGS:,} is the limit")
