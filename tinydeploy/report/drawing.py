"""The arena over time as a drawing: one SVG, or an HTML page around it, that need nothing else to be shown.

Everything is measured here; the templates only write it down. They escape whatever they are given, and `_visible`
makes control characters visible, so that no name from a model acts or breaks the XML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tinydeploy.operators.base import printable
from tinydeploy.plan.types import FEED
from tinydeploy.report.document import Block, Facts, Picture, Provenance, number, percent
from tinydeploy.report.occupancy import Holder, Occupancy, operator_label, peak_label, spans
from tinydeploy.units import kib

if TYPE_CHECKING:
    from jinja2 import Environment

# Paul Tol's "light" scheme: told apart with any colour vision, all of it light enough for black text.
FILLS = ("#dddddd", "#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#bbcc33", "#99ddff", "#ee8866", "#aaaa00")

# All lengths are in the SVG's units, which are pixels at its natural size.
_WIDTH, _LEFT, _RIGHT = 1200, 84, 16
_HEAD = 66  # title and facts
_STRIP = 18  # operators' numbers and segments' names; the peak's words
_TURNS = (50, 150, 7)  # of the panel of operators: least and most height, and that of an operator
_ARENA, _LIVE, _GAP = 420, 110, 26
_CHARACTER, _BOLD = 6.3, 7.2  # usual widths at 11 pixels
_LEAST_NAME = 9  # characters of a name that are worth showing
_LEGEND_ROW, _LEGEND_COLUMNS, _LEGEND_MOST = 18, 3, 9
_QUANTUM = 0.1
_FINE = 1.5  # boxes narrower than this are drawn together with their neighbours in time
_EDGED = 2.5  # the least width of boxes that get edges
_MOST_BOXES = 15_000  # about 400 KB; above, boxes are measured more coarsely
_MOST_TICKS = 8


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.x

    @property
    def height(self) -> float:
        return self.bottom - self.y

    @property
    def path(self) -> str:
        width, height = _n(self.width), _n(self.height)
        return f"M{_n(self.x)} {_n(self.y)}h{width}v{height}h-{width}z"


@dataclass(frozen=True)
class _Label:
    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class _Shape:
    """Something that can be pointed at: boxes of one colour, and what they are, line by line."""

    colour: int
    boxes: list[_Box]
    about: tuple[str, ...]

    @property
    def path(self) -> str:
        return "".join(box.path for box in self.boxes)

    @property
    def fine(self) -> bool:
        """Whether edges around the boxes would hide most of them."""
        widths = sorted(min(box.width, box.height) for box in self.boxes)
        return widths[len(widths) // 2] < _EDGED


def svg(occupancy: Occupancy) -> str:
    """The drawing as an SVG file. Well-formed XML, the same bytes each time, no script, nothing from outside."""
    return _templates().get_template("memory_map.svg.j2").render(alone=True, **_Drawing(occupancy).values())


def page(occupancy: Occupancy, blocks: Iterable[Block], provenance: Provenance) -> str:
    """The drawing in an HTML page, with a report's blocks, every buffer, and the provenance as tables."""
    facts = [("tinydeploy", provenance.tinydeploy)]
    if occupancy.model.sha256:
        facts.append(("model sha256", occupancy.model.sha256))
    facts += [(name, version) for name, version in provenance.tools.items()]
    facts += [(name, str(value)) for name, value in provenance.options.items()]
    shown = [*(b for b in blocks if not isinstance(b, Picture)), Facts("Provenance", tuple(facts))]
    template = _templates().get_template("page.html.j2")
    named = [(type(block).__name__, block) for block in shown]
    return template.render(alone=False, blocks=named, holders=occupancy.holders, **_Drawing(occupancy).values())


class _Drawing:
    """Where everything is."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.occupancy = occupancy
        self.plan, self.model, self.timeline = occupancy.plan, occupancy.model, occupancy.timeline
        self.operators = tuple(dict.fromkeys(step.operator for step in self.plan.problem.steps))
        least, most, each = _TURNS
        self.strip = _HEAD + _STRIP
        self.turns = _Box(_LEFT, self.strip, _WIDTH - _RIGHT, self.strip + min(most, max(least, self._count * each)))
        top = self.turns.bottom + _STRIP
        self.arena = _Box(_LEFT, top, _WIDTH - _RIGHT, top + _ARENA)
        top = self.arena.bottom + _GAP
        self.live = _Box(_LEFT, top, _WIDTH - _RIGHT, top + _LIVE)
        self.legend = self.live.bottom + 2 * _GAP

    @property
    def _count(self) -> int:
        return max(1, len(self.operators))

    def values(self) -> dict[str, Any]:
        """What the template wants."""
        plan, arena = self.plan, max(1, self.plan.arena_bytes)
        boxes = self._boxes()
        peak = self._x(plan.peak.step + 0.5)
        bound = plan.proof.lower_bound_bytes
        return {
            "width": _WIDTH,
            "height": self._bottom(),
            "name": self.model.path or self.model.name,
            "facts": self._facts(),
            "fills": FILLS,
            "turns_panel": self.turns,
            "arena_panel": self.arena,
            "live_panel": self.live,
            "strip": self.strip - 5,
            "segments": self._segments(),
            "numbers": self._numbers(),
            "steps": self._step_numbers(),
            "turns": self._turns(),
            "ticks": [(_n(self._y(value)), _n(self._live_y(value)), kib(value)) for value in _ticks(arena)],
            "shapes": [_Shape(h.colour, boxes[h.buffer], h.about) for h in self.occupancy.holders],
            "labels": [found for h in self.occupancy.holders if (found := _label(h, boxes[h.buffer])) is not None],
            "live_path": self._live_path(),
            "bound_y": _n(self._y(bound)),
            "bound_live_y": _n(self._live_y(bound)),
            "peak_x": _n(peak),
            "peak_live_y": _n(self._live_y(plan.peak.live_bytes)),
            "bound_name": self._bound_name(peak),
            "peak": _Label(peak, self.arena.y - 5, peak_label(self.model, plan), _anchor(peak)),
            "legend_y": self.legend,
            "legend": self._legend(),
        }

    def _bottom(self) -> int:
        entries = min(_LEGEND_MOST + 1, len(self.occupancy.alive_at_peak))
        return int(self.legend + _LEGEND_ROW * (2 + -(-entries // _LEGEND_COLUMNS)))

    # -- scales

    def _x(self, time: float) -> float:
        return _LEFT + self.timeline.at(time) * self.arena.width

    def _y(self, address: float) -> float:
        return self.arena.bottom - address / max(1, self.plan.arena_bytes) * self.arena.height

    def _live_y(self, size: float) -> float:
        return self.live.bottom - size / max(1, self.plan.arena_bytes) * self.live.height

    # -- words

    def _facts(self) -> str:
        plan, bound = self.plan, self.plan.proof.lower_bound_bytes
        over = plan.arena_bytes - bound
        parts = [
            {"whole": "whole tensors", "overlap": "overlapped", "streamed": "streamed by rows"}[plan.execution],
            f"arena {number(plan.arena_bytes)} B",
            f"{percent(over, bound)} above the lower bound {number(bound)} B" if over else "equal to its lower bound",
            f"{number(len(plan.problem.steps))} steps of {len(self.model.operators)} operators",
        ]
        if plan.fed:
            parts.append("inputs handed over by rows")
        return " · ".join(parts)

    def _bound_name(self, peak: float) -> _Label:
        """Where the peak's line does not cross it."""
        text, y = f"lower bound {number(self.plan.proof.lower_bound_bytes)} B", self.live.y - 6
        if peak > _WIDTH / 2:
            return _Label(self.live.x, y, text, "start")
        return _Label(self.live.right, y, text, "end")

    def _segments(self) -> list[dict[str, Any]]:
        found = []
        for segment in self.plan.segments:
            box = _Box(self._x(segment.first), self.turns.y, self._x(segment.end), self.live.bottom)
            operators = f"operators {spans(segment.operators)}"
            about = f"streamed: {operators}, steps {segment.first}–{segment.end - 1}"
            label = _fitting(box.width, about, f"streamed: {operators}", "streamed")
            found.append({"box": box, "path": box.path, "about": about, "label": label})
        return found

    def _numbers(self) -> list[_Label]:
        """Operators' numbers over the steps that are not in segments, as far as there is room."""
        found = []
        free = 0.0
        for band in self.timeline.bands:
            operator = self.plan.problem.steps[band.first].operator
            middle, half = self._x(band.first + 0.5), len(str(operator)) * _CHARACTER / 2 + 2
            if band.segment is not None:
                free = self._x(band.end)
            elif operator != FEED and middle - half >= free:
                found.append(_Label(middle, self.strip - 5, str(operator)))
                free = middle + half
        return found

    def _step_numbers(self) -> list[_Label]:
        found = []
        free = 0.0
        for band in self.timeline.bands:
            x, half = self._x(band.first), len(str(band.first)) * _CHARACTER / 2 + 6
            if x - half >= free:
                found.append(_Label(x, self.live.bottom + 15, str(band.first)))
                free = x + half
        return found

    def _legend(self) -> list[dict[str, Any]]:
        """Who is alive at the peak, the largest first."""
        column = (_WIDTH - _LEFT - _RIGHT) / _LEGEND_COLUMNS
        alive = self.occupancy.alive_at_peak
        entries = [
            (h.colour, f"{number(size)} B  {printable(h.name, 34)}{rows and f', {rows}'}", h.about)
            for h, size, rows in alive[:_LEGEND_MOST]
        ]
        if len(alive) > _LEGEND_MOST:
            left = alive[_LEGEND_MOST:]
            entries.append((-1, f"{number(sum(size for _, size, _ in left))} B  {len(left)} more", ()))
        return [
            {
                "x": _n(_LEFT + position % _LEGEND_COLUMNS * column),
                "y": _n(self.legend + _LEGEND_ROW * (1 + position // _LEGEND_COLUMNS)),
                "colour": colour,
                "text": text,
                "about": about,
            }
            for position, (colour, text, about) in enumerate(entries)
        ]

    # -- shapes

    def _boxes(self) -> dict[int, list[_Box]]:
        """Each holder's boxes, measured finely enough to be seen and coarsely enough for a small file."""
        coarse = 1
        while True:
            found = {h.buffer: self._measured(h, coarse) for h in self.occupancy.holders}
            if sum(map(len, found.values())) <= _MOST_BOXES or coarse > self.arena.width:
                return found
            coarse *= 2

    def _measured(self, holder: Holder, coarse: int) -> list[_Box]:
        unit = _QUANTUM * coarse
        boxes = []
        for piece in holder.pieces:
            x, right = _snap(self._x(piece.first), unit), _snap(self._x(piece.end), unit)
            y, bottom = _snap(self._y(piece.offset + piece.bytes), unit), _snap(self._y(piece.offset), unit)
            boxes.append(_Box(x, y, max(right, x + unit), max(bottom, y + unit)))
        return _side_by_side(_stacked(boxes), _FINE * coarse)

    def _turns(self) -> list[_Shape]:
        """When each operator runs, in the colour of what it computes."""
        plan, model = self.plan, self.model
        colours = {t: h.colour for h in self.occupancy.holders for t in plan.problem.buffers[h.buffer].tensors}
        height = self.turns.height / self._count
        steps: dict[int, list[int]] = {}
        for position, step in enumerate(plan.problem.steps):
            steps.setdefault(step.operator, []).append(position)
        found = []
        for line, operator in enumerate(self.operators):
            y = self.turns.y + line * height
            boxes = [_Box(self._x(s), y, self._x(s + 1), y + height) for s in steps[operator]]
            first, last = steps[operator][0], steps[operator][-1]
            made = (plan.problem.steps[first].feeds,) if operator == FEED else model.operators[operator].outputs
            colour = next((colours[t] for t in made if t in colours), 0)
            turns = f"{number(len(boxes))} turns, steps {first}–{last}" if len(boxes) > 1 else f"step {first}"
            about = (operator_label(model, plan, first), turns)
            found.append(_Shape(colour, _side_by_side(boxes, _FINE), about))
        return found

    def _live_path(self) -> str:
        """The bytes alive as an area: of all steps that share a column of pixels the most."""
        columns = int(self.live.width)
        most: dict[int, int] = {}
        for step, size in enumerate(self.plan.live_bytes):
            first, end = (int(self.timeline.at(edge) * columns) for edge in (step, step + 1))
            for column in range(first, max(first + 1, min(end, columns))):
                most[column] = max(most.get(column, 0), size)
        path = f"M{_n(self.live.x)} {_n(self.live.bottom)}"
        before = None
        for column, size in sorted(most.items()):
            if size != before:
                path += f"H{_n(self.live.x + column)}V{_n(self._live_y(size))}"
                before = size
        return path + f"H{_n(self.live.right)}V{_n(self.live.bottom)}z"


def _stacked(boxes: list[_Box]) -> list[_Box]:
    """Boxes of the same time that touch as one."""
    found: list[_Box] = []
    for box in sorted(boxes, key=lambda b: (b.x, b.right, b.y)):
        last = found[-1] if found else None
        if last is not None and (last.x, last.right) == (box.x, box.right) and box.y <= last.bottom:
            found[-1] = _Box(box.x, last.y, box.right, max(last.bottom, box.bottom))
        else:
            found.append(box)
    return found


def _side_by_side(boxes: list[_Box], fine: float) -> list[_Box]:
    """Boxes of the same addresses that touch as one, where one of them is too narrow to be seen alone."""
    found: list[_Box] = []
    for box in sorted(boxes, key=lambda b: (b.y, b.bottom, b.x)):
        last = found[-1] if found else None
        if (
            last is not None
            and (last.y, last.bottom) == (box.y, box.bottom)
            and box.x <= last.right + _QUANTUM
            and (box.width < fine or last.width < fine)
        ):
            found[-1] = _Box(last.x, box.y, max(last.right, box.right), box.bottom)
        else:
            found.append(box)
    return found


def _label(holder: Holder, boxes: list[_Box]) -> _Label | None:
    """The holder's name in the middle of what it fills, if there is room for enough of it."""
    around = _Box(
        min(b.x for b in boxes), min(b.y for b in boxes), max(b.right for b in boxes), max(b.bottom for b in boxes)
    )
    filled = sum(b.width * b.height for b in boxes)
    room = around if filled > 0.8 * around.width * around.height else max(boxes, key=lambda b: b.width * b.height)
    most = int((room.width - 6) / _CHARACTER)
    if room.height < 12 or most < min(_LEAST_NAME, len(holder.name)):
        return None
    return _Label((room.x + room.right) / 2, (room.y + room.bottom) / 2 + 4, printable(holder.name, most))


def _fitting(width: float, *texts: str) -> str:
    """The first text that fits, in bold."""
    return next((text for text in texts if len(text) * _BOLD <= width - 4), "")


def _anchor(x: float) -> str:
    """Where a text at `x` is held, so that it stays within the drawing."""
    return "start" if x < _WIDTH / 3 else "end" if x > _WIDTH * 2 / 3 else "middle"


def _ticks(most: int) -> list[int]:
    """Addresses to be labelled: multiples of a power of two bytes, and the arena's end."""
    apart = 16
    while most // apart > _MOST_TICKS:
        apart *= 2
    return [*range(0, most - apart // 3, apart), most]


def _snap(value: float, unit: float) -> float:
    return round(value / unit) * unit


def _n(value: float) -> str:
    """A length as short as it can be written."""
    return f"{round(value, 1):g}" if abs(value) < 1e5 else str(round(value))


def _visible(value: Any) -> Any:
    """Applied to everything that a template writes, unless a template has made it: control characters are shown
    instead of being there."""
    made = hasattr(value, "__html__")
    return printable(value, limit=1 << 20) if isinstance(value, str) and not made else value


@cache
def _templates() -> Environment:
    import jinja2  # here: planning does not need it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinydeploy.report", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
        finalize=_visible,
    )
    environment.filters["n"] = _n
    return environment
