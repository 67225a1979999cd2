"""The report of `place`: how small the arena is, how good that is, and where each rectangle lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.plan.placement import Placed
from tinydeploy.plan.shape import Rectangle
from tinydeploy.report.document import Block, Column, Document, Facts, Line, Provenance, Table, envelope, number, told
from tinydeploy.units import kib

KINDS = {"arena_bytes": "computed", "lower_bound_bytes": "computed", "rectangles": "computed"}


def placement_document(
    name: str, rectangles: Sequence[Rectangle], placed: Placed, capacity: int | None, provenance: Provenance
) -> Document:
    """The report on the file `name`. capacity: in bytes, None where the smallest arena was looked for."""
    proof = placed.proof
    fits = capacity is None or placed.arena_bytes <= capacity
    data: dict[str, Any] = {
        **envelope("place", provenance, KINDS),
        "problem": name,
        "capacity_bytes": capacity,
        "fits": fits,
        "arena_bytes": placed.arena_bytes,
        "lower_bound_bytes": proof.lower_bound_bytes,
        "optimal": proof.optimal,
        "method": proof.method,
        "rectangles": [
            {
                "id": r.id,
                "lower": r.lower,
                "upper": r.upper,
                "size": r.size,
                "alignment": r.alignment,
                "offset": offset,
            }
            for r, offset in zip(rectangles, placed.offsets, strict=True)
        ],
    }
    pairs = [
        ("rectangles", number(len(rectangles))),
        ("arena", f"{number(placed.arena_bytes)} B ({kib(placed.arena_bytes)})"),
        ("lower bound", f"{number(proof.lower_bound_bytes)} B"),
        ("optimal", f"{'yes' if proof.optimal else 'not proved'}: {proof.method}"),
    ]
    if capacity is not None:
        pairs.insert(1, ("capacity", f"{number(capacity)} B: {'fits' if fits else 'no placement'}"))
    columns = (Column("id"), *(Column(c, True) for c in ("lower", "upper", "size", "alignment", "offset", "end")))
    rows = tuple(
        (
            printable(r.id),
            *(number(v) for v in (r.lower, r.upper, r.size, r.alignment, offset, offset + r.size)),
        )
        for r, offset in zip(rectangles, placed.offsets, strict=True)
    )
    blocks: list[Block] = [
        Line(f"{printable(name)}: placement", "title"),
        Facts("", tuple(pairs)),
        Table("", columns, rows, note="lower is in, upper is not; offset and end in bytes"),
        told(provenance),
    ]
    return Document(tuple(blocks), data)
