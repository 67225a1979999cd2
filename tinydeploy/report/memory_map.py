"""The arena over time for a terminal: letters for tensors, time from left to right, addresses from bottom to top."""

from __future__ import annotations

from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.plan.types import FEED
from tinydeploy.report.document import Picture, Run, number
from tinydeploy.report.occupancy import Holder, Occupancy, peak_label, spans
from tinydeploy.units import kib

USUAL_WIDTH = 100
_LEAST_WIDTH = 40
_MOST_WIDTH = 160
_ROWS = 14
_LABEL = 11  # characters of the addresses' column, with its rule
_LABELLED = 4  # every so many rows
_LEGEND_LINES = 3
_LEGEND_NAME = 24
_APART = "  "
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SCRATCH = "░"
_OTHER = "#"  # where there are more tensors than letters
_SPARSE = "·"
_LEAST_SHARE = 0.5  # of a cell that is in use, for a letter

Cell = tuple[Holder, float] | None
"""Who has most of a cell, and how much of the cell is in use in all."""


def memory_map(occupancy: Occupancy, width: int = USUAL_WIDTH) -> Picture:
    """The picture, at most `width` columns wide and about 24 lines high."""
    columns = max(_LEAST_WIDTH, min(width, _MOST_WIDTH)) - _LABEL
    plan, timeline = occupancy.plan, occupancy.timeline
    cells = _cells(occupancy, columns)
    letters = _letters(occupancy, cells)
    peak = min(columns - 1, int(timeline.at(plan.peak.step + 0.5) * columns))
    lines: list[tuple[Run, ...]] = [((" " * (_LABEL + peak) + "▼", 0),)]
    for row, line in enumerate(cells):
        lines.append(((_address(plan.arena_bytes, row), 0), *_runs(line, letters)))
    lines.append(((f"{0:>{_LABEL - 2}} └" + "─" * peak + "┴" + "─" * (columns - peak - 1), 0),))
    lines.append(((f"{'operator':>{_LABEL - 1}} " + _axis(occupancy, columns), 0),))
    lines += _legend(occupancy, letters, columns + _LABEL)
    title = f"The arena over time: {number(plan.arena_bytes)} B, {number(len(plan.problem.steps))} steps"
    note = f"▼ {peak_label(occupancy.model, plan)}; {_SPARSE} less than half in use"
    return Picture(title, tuple(lines), note)


def memory_map_data(occupancy: Occupancy) -> dict[str, Any]:
    """The JSON of the map: the program, who is alive when, and every piece of the arena."""
    plan = occupancy.plan
    return {
        "arena_bytes": plan.arena_bytes,
        "peak": {"step": plan.peak.step, "row": plan.peak.row, "live_bytes": plan.peak.live_bytes},
        "segments": [{"first": s.first, "end": s.end, "operators": list(s.operators)} for s in plan.segments],
        "steps": [
            {
                "operator": None if step.operator == FEED else step.operator,
                "feeds": step.feeds,
                "first_row": step.first_row,
                "end_row": step.end_row,
                "live_bytes": live,
            }
            for step, live in zip(plan.problem.steps, plan.live_bytes, strict=True)
        ],
        "buffers": [
            {"id": b.id, "tensors": list(b.tensors), "scratch_of": b.scratch_of, "first": b.first, "end": b.end}
            for b in plan.problem.buffers
        ],
        "pieces": [
            {"buffer": o.buffer, "offset": o.offset, "bytes": o.bytes, "first": o.first, "end": o.end}
            for o in plan.occupied
        ],
    }


def _cells(occupancy: Occupancy, columns: int) -> list[list[Cell]]:
    """The grid, the top row first."""
    areas: list[list[dict[int, float]]] = [[{} for _ in range(columns)] for _ in range(_ROWS)]
    arena = max(1, occupancy.plan.arena_bytes)
    at = occupancy.timeline.at
    for holder in occupancy.holders:
        for piece in holder.pieces:
            left, right = at(piece.first) * columns, at(piece.end) * columns
            low, high = piece.offset * _ROWS / arena, (piece.offset + piece.bytes) * _ROWS / arena
            for row in range(int(low), min(_ROWS, int(high) + 1)):
                tall = min(high, row + 1) - max(low, row)
                for column in range(int(left), min(columns, int(right) + 1)):
                    area = tall * (min(right, column + 1) - max(left, column))
                    if area > 0:
                        cell = areas[row][column]
                        cell[holder.buffer] = cell.get(holder.buffer, 0.0) + area
    return [[_most(occupancy, cell) for cell in row] for row in reversed(areas)]


def _most(occupancy: Occupancy, areas: dict[int, float]) -> Cell:
    if not areas:
        return None
    return occupancy.by_buffer[max(areas, key=lambda b: (areas[b], -b))], sum(areas.values())


def _letters(occupancy: Occupancy, cells: list[list[Cell]]) -> dict[int, str]:
    """A letter for each tensor that is seen, in order of time; scratch and what has no letter any more get signs."""
    seen = {cell[0].buffer for row in cells for cell in row if cell is not None and cell[1] >= _LEAST_SHARE}
    free = iter(_LETTERS)
    return {h.buffer: _SCRATCH if h.colour == 0 else next(free, _OTHER) for h in occupancy.holders if h.buffer in seen}


def _runs(line: list[Cell], letters: dict[int, str]) -> list[Run]:
    """Cells as text in as few runs of one colour as there are."""
    found: list[Run] = []
    for cell in line:
        sign, colour = " ", 0
        if cell is not None:
            full = cell[1] >= _LEAST_SHARE
            sign, colour = (letters[cell[0].buffer], cell[0].colour) if full else (_SPARSE, 0)
        if found and found[-1][1] == colour:
            found[-1] = (found[-1][0] + sign, colour)
        else:
            found.append((sign, colour))
    return found


def _address(arena: int, row: int) -> str:
    """The left margin of a row: the address at its upper edge."""
    if row % _LABELLED:
        return " " * (_LABEL - 1) + "│"
    return f"{kib(arena * (_ROWS - row) // _ROWS):>{_LABEL - 2}} ┤"


def _axis(occupancy: Occupancy, columns: int) -> str:
    """Operators' numbers where they begin, as far as there is room; streamed segments as brackets."""
    steps, timeline = occupancy.plan.problem.steps, occupancy.timeline
    text = ""
    for band in timeline.bands:
        left, right = (int(timeline.at(edge) * columns) for edge in (band.first, band.end))
        if band.segment is not None:
            text = text.ljust(left)
            text += _bracket(f"streamed {spans(band.segment.operators)}", right - len(text))
        elif steps[band.first].operator != FEED and (len(text) < left or not left or text.endswith("╴")):
            label = str(steps[band.first].operator)
            if left + len(label) <= columns:
                text = text.ljust(left) + label
    return text


def _bracket(label: str, width: int) -> str:
    if width < 2:
        return "╴" * max(0, width)
    inner = label if len(label) <= width - 2 else ""
    return "╶" + inner.center(width - 2, "─") + "╴"


def _legend(occupancy: Occupancy, letters: dict[int, str], width: int) -> list[tuple[Run, ...]]:
    """Who the letters are, with the most bytes that each has at once, in as many lines as there are for it."""
    shown = [h for h in occupancy.holders if letters.get(h.buffer, _OTHER) not in (_OTHER, _SCRATCH)]
    entries = [
        (letters[h.buffer], h.colour, f" {printable(h.name, _LEGEND_NAME)} {number(_most_bytes(occupancy, h))} B")
        for h in shown
    ]
    if _SCRATCH in letters.values():
        entries.append((_SCRATCH, 0, " scratch"))
    lines: list[list[Run]] = []
    room = 0
    for position, (sign, colour, text) in enumerate(entries):
        size = len(_APART) + len(sign + text)
        if size <= room:
            lines[-1] += [(_APART, 0), (sign, colour), (text, 0)]
            room -= size
        elif len(lines) < _LEGEND_LINES:
            lines.append([(sign, colour), (text, 0)])
            room = width - len(sign + text)
        else:
            lines.append([(f"… and {len(entries) - position} more", 0)])
            break
    return [tuple(line) for line in lines]


def _most_bytes(occupancy: Occupancy, holder: Holder) -> int:
    return max(size for _, _, size in occupancy.plan.problem.buffers[holder.buffer].pieces)
