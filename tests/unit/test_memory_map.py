"""The arena over time: pictures calculated by hand, drawings held against the plan, and names that act nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import pytest

from tests.support.plan_nets import Net
from tests.support.reports import HOSTILE, PROVENANCE
from tinydeploy.catalog import load
from tinydeploy.cli import main
from tinydeploy.ir import Model
from tinydeploy.plan import Buffer, Peak, Placement, Plan, Problem, Step, make_plan
from tinydeploy.plan.types import Execution, Occupied, Proof, Segment
from tinydeploy.report import drawing, markdown, table
from tinydeploy.report.document import Document, Facts, Line
from tinydeploy.report.memory_map import memory_map, memory_map_data
from tinydeploy.report.occupancy import COLOURS, Piece, occupancy_of, timeline_of

SVG = "{http://www.w3.org/2000/svg}"


def two_steps(name: str = "t1") -> tuple[Model, Plan]:
    """Two operators, 1,400 bytes: the input below in both steps, a result of the first and the second above it in the
    second, where the result takes the upper half of the arena."""
    net = Net()
    x = net.input(1, 7, 100, 1)
    y = net.op("RELU", [x], 1, 1, 1, 1)
    z = net.op("ADD", [x, y], 1, 7, 100, 1)
    model = net.model(z)
    model = replace(model, tensors=(model.tensors[0], replace(model.tensors[1], name=name), model.tensors[2]))
    buffers = (Buffer(0, 700, 0, 2, (x,), alignment=4), Buffer(1, 700, 1, 2, (z,), alignment=4))
    plan = Plan(
        problem=Problem((Step(0, 0, 1), Step(1, 0, 7)), buffers, {x: (0, 2), z: (1, 2)}),
        offsets=(0, 700),
        placements={x: Placement(x, 0, 0, 0, 2, 7), z: Placement(z, 1, 700, 1, 2, 7)},
        arena_bytes=1400,
        alignment=4,
        proof=Proof(1400, True, "by hand"),
        peak=Peak(1, 1400, (0, 1)),
        live_bytes=(700, 1400),
        scratch_offsets={},
        occupied=(Occupied(0, 0, 700, 0, 2), Occupied(1, 700, 700, 1, 2)),
    )
    return model, plan


def hostile() -> tuple[Model, Plan]:
    """Every name in it tries something."""
    model, plan = two_steps()
    names = ("<script>alert(1)</script>", "\"'&]]>-->", HOSTILE + "\x00\ud800\ufffe```\x1b]0;x\x07")
    tensors = tuple(replace(t, name=name) for t, name in zip(model.tensors, names, strict=True))
    operators = tuple(replace(op, opcode="<b onload='x'>\x01") for op in model.operators)
    return replace(model, name="&lt;\"'<i>\x02", tensors=tensors, operators=operators), plan


@pytest.fixture(scope="module", name="planned")
def _planned() -> Callable[[str, Execution, bool], tuple[Model, Plan]]:
    made: dict[tuple[str, str, bool], tuple[Model, Plan]] = {}

    def plan(name: str, execution: Execution, fed: bool) -> tuple[Model, Plan]:
        key = (name, execution, fed)
        if key not in made:
            model = load(name)
            made[key] = model, make_plan(model, execution=execution, fed=model.inputs if fed else ())
        return made[key]

    return plan


Planned = Callable[[str, Execution, bool], tuple[Model, Plan]]
CASES: list[tuple[str, Execution, bool]] = [
    ("kws", "whole", False),
    ("kws", "overlap", False),
    ("vww", "streamed", True),
    ("resnet8", "streamed", False),
]


# -- time


def test_a_segment_is_as_wide_as_its_operators_and_the_logarithm_of_their_turns() -> None:
    _, plan = two_steps()
    steps = (Step(0, 0, 1), *(Step(1 + i % 2, i // 2, i // 2 + 1) for i in range(8)), Step(3, 0, 1))
    plan = replace(plan, problem=replace(plan.problem, steps=steps), segments=(Segment(1, 9, (1, 2)),))
    found = timeline_of(plan)
    # 8 steps of 2 operators: 2 · (1 + log2(8 / 2)) = 6, between two steps of 1
    assert [(b.first, b.end) for b in found.bands] == [(0, 1), (1, 9), (9, 10)]
    assert found.edges[1] == pytest.approx(1 / 8)
    assert found.edges[2] == pytest.approx((1 + 6 / 8) / 8)
    assert found.edges[9] == pytest.approx(7 / 8)
    assert (found.edges[0], found.edges[10]) == (0, pytest.approx(1))
    assert found.at(9.5) == pytest.approx(7.5 / 8)


def test_bytes_that_change_hands_within_a_step_do_so_in_its_middle() -> None:
    model, plan = two_steps()
    pieces = (Occupied(0, 0, 100, 0, 2), Occupied(0, 100, 100, 0, 2), Occupied(1, 150, 500, 1, 2))
    lower, upper = occupancy_of(model, replace(plan, occupied=pieces)).holders
    assert lower.pieces == (Piece(0, 100, 0, 2), Piece(100, 100, 0, 1.5))  # of which the second loses bytes
    assert upper.pieces == (Piece(150, 500, 1.5, 2),)
    # neighbours do not touch
    pieces = (Occupied(0, 0, 150, 0, 2), Occupied(0, 650, 10, 0, 2), Occupied(1, 150, 500, 1, 2))
    assert [p.end for p in occupancy_of(model, replace(plan, occupied=pieces)).holders[0].pieces] == [2, 2]


def test_buffers_of_one_time_have_different_colours_and_scratch_its_own() -> None:
    model, plan = two_steps()
    chain = tuple(Buffer(i, 16, i, i + COLOURS - 1, (0,)) for i in range(20))
    scratch = Buffer(20, 16, 0, 20, (), 0)
    pieces = tuple(Occupied(b.id, 16 * b.id, 16, b.first, b.end) for b in (*chain, scratch))
    problem = Problem(tuple(Step(0, i, i + 1) for i in range(30)), (*chain, scratch), plan.problem.tensor_ranges)
    several = replace(plan, problem=problem, occupied=pieces, offsets=tuple(range(21)))
    colours = {h.buffer: h.colour for h in occupancy_of(model, several).holders}
    assert colours[20] == 0
    for i in range(20 - COLOURS):
        assert len({colours[i + j] for j in range(COLOURS)} | {0}) == COLOURS + 1


# -- terminal


def test_the_picture_by_hand() -> None:
    picture = memory_map(occupancy_of(*two_steps()), 101)
    lines = ["".join(text for text, _ in line) for line in picture.lines]
    # 101 columns less 11 for addresses are 90, 45 for each step; 14 rows of 100 bytes
    assert lines[0] == " " * (11 + 67) + "▼"  # the middle of the second step
    assert lines[1] == "  1.4 KiB ┤" + " " * 45 + "B" * 45
    assert lines[2] == "          │" + " " * 45 + "B" * 45
    assert lines[5] == "   1000 B ┤" + " " * 45 + "B" * 45
    assert lines[7] == lines[2]
    assert lines[8] == "          │" + "A" * 90
    assert lines[14] == lines[8]
    assert lines[15] == "        0 └" + "─" * 67 + "┴" + "─" * 22
    assert lines[16].split() == ["operator", "0", "1"]
    assert lines[16].index("1") == 11 + 45
    assert lines[17].strip() == "A t0 700 B  B t2 700 B"
    assert "peak 1,400 B at step 1: operator 1 ADD" in picture.note
    assert {colour for text, colour in picture.lines[8] if "A" in text} == {
        colour for text, colour in picture.lines[17] if text == "A"
    }


def test_a_cell_that_is_less_than_half_in_use_gets_no_letter() -> None:
    model, plan = two_steps()
    small = (Occupied(0, 0, 749, 0, 2), Occupied(1, 1300, 49, 0, 2))
    picture = memory_map(occupancy_of(model, replace(plan, occupied=small)), 101)
    lines = ["".join(text for text, _ in line) for line in picture.lines]
    assert lines[1][11:] == lines[7][11:] == "·" * 90  # 49 of the row's 100 bytes
    assert set(lines[2][11:]) == {" "}
    assert set(lines[8][11:]) == {"A"}


@pytest.mark.parametrize("width", [1, 40, 80, 100, 500])
@pytest.mark.parametrize("case", CASES)
def test_the_picture_fits(planned: Planned, case: tuple[str, Execution, bool], width: int) -> None:
    model, plan = planned(*case)
    picture = memory_map(occupancy_of(model, plan), width)
    lines = ["".join(text for text, _ in line) for line in picture.lines]
    assert len(lines) <= 22
    assert max(map(len, lines)) <= max(40, min(width, 160))
    if plan.segments and width >= 100:
        assert "╶─" in lines[16] and "streamed" in lines[16]
        assert lines[16].count("╶") == lines[16].count("╴") == len(plan.segments)


def test_colour_only_where_there_is_a_terminal() -> None:
    document = Document((memory_map(occupancy_of(*two_steps()), 101),), {})
    plain = table.render(document)
    coloured = table.render(document, width=101, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[30;46m" in coloured  # black on cyan
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


def test_no_name_acts_in_a_picture() -> None:
    document = Document((memory_map(occupancy_of(*hostile()), 101),), {})
    text = table.render(document)
    assert all(c.isprintable() or c == "\n" for c in text)
    written = markdown.render(document)
    lines = written.splitlines()
    fences = [number for number, line in enumerate(lines) if set(line) == {"`"}]
    assert len(fences) == 2
    assert len(lines[fences[0]]) == len(lines[fences[1]])
    inside = lines[fences[0] + 1 : fences[1]]
    assert all(len(run) < len(lines[fences[0]]) for line in inside for run in re.findall("`+", line))
    assert "<b onload" not in "\n".join([*lines[: fences[0]], *lines[fences[1] :]])


def test_markdown_keeps_the_places() -> None:
    lines = markdown.render(Document((memory_map(occupancy_of(*two_steps()), 101),), {})).splitlines()
    assert "  1.4 KiB ┤" + " " * 45 + "B" * 45 in lines


# -- drawing


def parsed(text: str) -> ElementTree.Element:
    """The SVG's root. Refuses what a well-behaved file does not need: document types, entities, instructions."""

    def refuse(*_: object) -> None:
        raise AssertionError("a document type, an entity or an instruction")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.ProcessingInstructionHandler = parser.ExternalEntityRefHandler = refuse
    parser.Parse(text.encode("utf-8"), True)
    return ElementTree.fromstring(text.encode("utf-8"))


def boxes(path: str) -> list[tuple[float, float, float, float]]:
    """The rectangles of a path: left, top, right, bottom."""
    found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-([\d.]+)z", path)
    assert "".join(f"M{x} {y}h{w}v{h}h-{w}z" for x, y, w, h, _ in found) == path
    return [(float(x), float(y), float(x) + float(w), float(y) + float(h)) for x, y, w, h, _ in found]


@pytest.mark.parametrize("case", CASES)
def test_the_drawing_says_what_the_plan_says(planned: Planned, case: tuple[str, Execution, bool]) -> None:
    """At many points the drawing has one of the buffers that the plan has there, and none where there is none."""
    model, plan = planned(*case)
    root = parsed(drawing.svg(occupancy_of(model, plan)))
    shapes = []
    for element in root.iter(f"{SVG}path"):
        title = element.find(f"{SVG}title")
        if title is not None and "B of the arena at once" in (title.text or ""):
            shapes.append((title.text or "", boxes(element.get("d", ""))))
    assert len(shapes) == sum(b.scratch_of is None for b in plan.problem.buffers)
    left, right, top, bottom = 84, 1184, 0.0, 0.0
    frames = [boxes(e.get("d", ""))[0] for e in root.iter(f"{SVG}path") if e.get("class") == "frame"]
    (_, top, _, bottom) = frames[1]
    edges = timeline_of(plan).edges
    tall = (bottom - top) / plan.arena_bytes
    seen = 0
    for step in range(0, len(plan.problem.steps), max(1, len(plan.problem.steps) // 40)):
        x = left + (edges[step] + (edges[step + 1] - edges[step]) * 0.3) * (right - left)
        occupied = [o for o in plan.occupied if o.first <= step < o.end]
        for address in range(2, plan.arena_bytes, max(4, plan.arena_bytes // 200)):
            y = bottom - address * tall
            near = 0.3 / tall  # bytes that a tenth of a pixel, rounded, can be away from
            here = {o.buffer for o in occupied if o.offset <= address < o.offset + o.bytes}
            close = {o.buffer for o in occupied if o.offset - near <= address < o.offset + o.bytes + near}
            shown = {title for title, found in shapes if any(a <= x <= c and b <= y <= d for a, b, c, d in found)}
            for title in shown:
                numbers = {int(n) for n in re.findall(r"^tensor (\d+),", title, re.M)}
                assert any(numbers == set(plan.problem.buffers[b].tensors) for b in close), (step, address, title)
            if here == close and len(here) == 1 and plan.problem.buffers[min(here)].scratch_of is None:
                born = all(o.first < step for o in occupied if o.buffer in here and o.offset <= address)
                assert shown or not born, (step, address)
                seen += len(shown)
    assert seen > 100


@pytest.mark.parametrize("case", CASES)
def test_the_drawing_has_the_peak_the_bound_and_the_segments(
    planned: Planned, case: tuple[str, Execution, bool]
) -> None:
    model, plan = planned(*case)
    root = parsed(drawing.svg(occupancy_of(model, plan)))
    texts = [e.text or "" for e in root.iter(f"{SVG}text")]
    assert any(t.startswith(f"peak {plan.peak.live_bytes:,} B at step {plan.peak.step}: ") for t in texts)
    assert f"lower bound {plan.proof.lower_bound_bytes:,} B" in texts
    assert sum(e.get("class") == "segment" for e in root.iter(f"{SVG}path")) == len(plan.segments)
    edges = timeline_of(plan).edges
    x = 84 + (edges[plan.peak.step] + edges[plan.peak.step + 1]) / 2 * 1100
    line = next(e for e in root.iter(f"{SVG}path") if e.get("class") == "peak").get("d", "")
    assert float(line[1:].split()[0]) == pytest.approx(x, abs=0.06)
    legend = texts[texts.index("Alive at the peak") + 1 :]
    total = sum(int(t.split(" B")[0].replace(",", "")) for t in legend)
    assert total == plan.peak.live_bytes


def test_hovering_tells_all_of_a_tensor(planned: Planned) -> None:
    model, plan = planned("vww", "streamed", True)
    titles = [e.text or "" for e in parsed(drawing.svg(occupancy_of(model, plan))).iter(f"{SVG}title")]
    (image,) = {t for t in titles if t.startswith(model.tensor(model.inputs[0]).name)}
    # 96×96×3 bytes come in rows of 288
    for words in ("input, handed over row by row", "int8 1×96×96×3, 27,648 B: 96 rows of 288 B", "offset", "steps 0–"):
        assert words in image
    assert any(t.startswith("operator 2 CONV_2D\n48 turns, steps ") for t in titles)


def test_the_drawing_is_the_same_each_time(planned: Planned) -> None:
    model, plan = planned("resnet8", "streamed", False)
    assert drawing.svg(occupancy_of(model, plan)) == drawing.svg(occupancy_of(model, plan))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_no_name_acts_in_a_drawing() -> None:
    model, plan = hostile()
    text = drawing.svg(occupancy_of(model, plan))
    root = parsed(text)
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in {
            "svg", "style", "title", "defs", "pattern", "rect", "path", "text", "g", "circle",
        }  # fmt: skip
        assert not any(name.startswith("on") or "href" in name for name in element.attrib)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\ufffe]", text)
    assert "alert(1)" in text and "\\x1b" in text  # shown, and harmless


def test_no_name_acts_in_a_page() -> None:
    model, plan = hostile()
    name = "<img src=x onerror=y>\x1b"
    blocks = (Line(name, "title"), Facts(name, ((name, name),)))
    text = drawing.page(occupancy_of(model, plan), blocks, replace(PROVENANCE, options={name: name}))
    text.encode("utf-8")
    tags = _Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    found = {tag for tag, _ in tags.seen}
    assert not found & {"script", "img", "b", "i", "link", "iframe"}
    assert not any(key.startswith("on") or key in ("src", "href") for _, attrs in tags.seen for key in attrs)
    assert text.count("&lt;img src=x onerror=y&gt;") == 6
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)


def test_a_page_has_the_report_and_the_provenance(planned: Planned) -> None:
    model, plan = planned("kws", "whole", False)
    blocks = (Line("fits", "good"), memory_map(occupancy_of(model, plan)), Facts("", (("arena", "16,000 B"),)))
    text = drawing.page(occupancy_of(model, plan), blocks, PROVENANCE)
    for words in ('<p class="good">fits</p>', "16,000 B", "9.9.9", model.sha256, "<svg ", "solver"):
        assert words in text
    assert "┤" not in text  # the picture of characters is not for a page that has the drawing
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_nothing_comes_from_outside(planned: Planned) -> None:
    text = drawing.svg(occupancy_of(*planned("vww", "streamed", True)))
    assert re.findall(r"url\(([^)]*)\)", text) == ["#td-map-hatch"]
    assert "@import" not in text and "<script" not in text and "href" not in text
    assert re.findall(r"https?://[^\s\"]*", text) == ["http://www.w3.org/2000/svg"]


def test_large_networks_are_small_files() -> None:
    """500 operators, each with 100 rows that come one by one and go one by one: 50,000 pieces."""
    operators, rows, each = 500, 100, 10
    net = Net()
    x = net.input(1, rows, each, 1)
    for _ in range(operators):
        x = net.op("CONV_2D", [x], 1, rows, each, 1)
    model = net.model(x)
    steps = tuple(Step(op, row, row + 1) for op in range(operators) for row in range(rows))
    tensors = range(operators + 1)
    lives = {t: (max(0, rows * (t - 1)), min(len(steps), rows * (t + 1))) for t in tensors}
    offsets = tuple((t % 3) * rows * each for t in tensors)
    _, plan = two_steps()
    plan = replace(
        plan,
        problem=Problem(steps, tuple(Buffer(t, rows * each, *lives[t], (t,)) for t in tensors), lives),
        offsets=offsets,
        placements={t: Placement(t, t, offsets[t], *lives[t], rows) for t in tensors},
        arena_bytes=3 * rows * each,
        peak=Peak(rows, 2 * rows * each, (1, 2)),
        live_bytes=(2 * rows * each,) * len(steps),
        segments=(Segment(0, len(steps), tuple(range(operators))),),
        occupied=tuple(
            Occupied(
                t,
                offsets[t] + each * row,
                each,
                max(0, rows * (t - 1) + row),
                min(len(steps), rows * t + row + 1),
            )
            for t in tensors
            for row in range(rows)
        ),
    )
    text = drawing.svg(occupancy_of(model, plan))
    parsed(text)
    assert len(text.encode("utf-8")) < 1_000_000


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read(planned: Planned) -> None:
    """WCAG 2 AA asks for 4.5 : 1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for fill in drawing.FILLS:
        assert contrast("#000000", fill) >= 4.5
    style = next(parsed(drawing.svg(occupancy_of(*planned("kws", "whole", False)))).iter(f"{SVG}style")).text or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for part in (light, dark):
        colours = {
            selector.strip().removeprefix(".td-map "): colour
            for selectors, colour in re.findall(r"^([^{]*) \{ fill: (#[0-9a-f]{6})", part, re.M)
            for selector in selectors.split(",")
        }
        for name in ("text", ".quiet", ".axis", ".segment-name", ".peak-name"):
            assert contrast(colours[name], colours[".paper"]) >= 4.5, name


# -- the command


def test_data_has_every_piece(planned: Planned) -> None:
    model, plan = planned("vww", "streamed", True)
    data = memory_map_data(occupancy_of(model, plan))
    # at every step the pieces of JSON make what is alive, or more where bytes change hands within it
    for number, step in enumerate(data["steps"]):
        if plan.problem.steps[number].elided:
            continue
        assert sum(p["bytes"] for p in data["pieces"] if p["first"] <= number < p["end"]) >= step["live_bytes"]
    assert max(step["live_bytes"] for step in data["steps"]) == data["peak"]["live_bytes"]
    assert data["steps"][0]["operator"] is None and data["steps"][0]["feeds"] == model.inputs[0]
    assert max(p["offset"] + p["bytes"] for p in data["pieces"]) == plan.arena_bytes
    page = (Path(__file__).resolve().parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page))
    assert set(data) <= words
    assert {key for name in ("segments", "steps", "buffers", "pieces") for key in data[name][0]} <= words


def _run(*args: str) -> int:
    return main.run(["plan", "kws", "--board", "stm32f746", *args])


def test_map_and_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn, page = tmp_path / "map.svg", tmp_path / "map.HTML"
    assert _run("--map", "--draw", str(drawn)) == 0
    out = capsys.readouterr().out
    assert "┤" in out and "▼ peak" in out
    parsed(drawn.read_text(encoding="utf-8"))
    assert _run("--draw", str(page), "--format", "json") == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert "memory_map" not in data
    text = page.read_text(encoding="utf-8")
    assert "<!doctype html>" in text and data["model"]["sha256"] in text and "stm32f746" in text
    assert _run("--map", "--format", "json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kinds"]["memory_map"] == "computed"
    assert data["memory_map"]["arena_bytes"] == data["sram"]["arena_bytes"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("map.png", "must end in .svg or .html"), ("svg", "must end"), ("nowhere/map.svg", "there is no folder")],
)
def test_a_wrong_file_is_2_before_the_work(
    path: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["plan", "no-such-model", "--board", "stm32f746", "--draw", str(tmp_path / path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err and captured.err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert _run("--draw", str(tmp_path / "map.svg")) == 2
    assert "Permission denied" in capsys.readouterr().err
