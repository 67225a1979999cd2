"""Placement problems as CSV: any file is read or refused in one line, and what is written reads the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.errors import UsageError
from tinydeploy.plan.instances import read_csv, write_csv
from tinydeploy.plan.placement import place
from tinydeploy.plan.shape import Gap, Rectangle

fields = st.sampled_from(
    ["0", "1", "7", "-1", "1e3", "９", "", " 4 ", "1-2", "1-3@0:2", "x", '"', "\x00", "99999999999999999999"]
)
headers = st.sampled_from(["id,lower,upper,size", "id,start,end,size,gaps", "buffer,lower,upper,size,alignment,gaps"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """Nearly right files."""
    rows = draw(st.lists(st.lists(fields, min_size=3, max_size=6).map(",".join), max_size=4))
    return draw(st.sampled_from(["\n", "\r\n", "\r"])).join([draw(headers), *rows])


@st.composite
def problems(draw: st.DrawFn) -> list[Rectangle]:
    """Any rectangles, with gaps of both kinds."""
    found = []
    ids = draw(
        st.lists(st.text("ab,\"' =|é", min_size=1, max_size=4).map(str.strip).filter(bool), unique=True, max_size=6)
    )
    for name in ids:
        size = draw(st.integers(0, 50))
        cuts = sorted(draw(st.sets(st.integers(0, 20), min_size=2, max_size=6)))
        gaps = []
        for lower, upper in zip(cuts[1:-1:2], cuts[2:-1:2], strict=False):
            low, high = sorted(draw(st.tuples(st.integers(0, size), st.integers(0, size))))
            gaps.append(Gap(lower, upper, draw(st.sampled_from([None, (0, high), (low, high)]))))
        alignment = draw(st.sampled_from([1, 1, 3, 8]))
        found.append(Rectangle(name, cuts[0], cuts[-1], size, alignment, tuple(gaps)))
    return found


@given(st.text(max_size=60) | files())
def test_whatever_a_file_holds_is_read_or_refused_in_one_line(text: str) -> None:
    refused = ""
    try:
        read_csv(text, "problem.csv")
    except UsageError as error:
        refused = error.message
    assert not refused or (refused.startswith("problem.csv:") and refused.isprintable())


@given(problems())
def test_what_is_placed_is_disjoint_and_what_is_written_reads_the_same(rectangles: list[Rectangle]) -> None:
    placed = place(rectangles, visits=20_000)
    for moment in range(21):
        used: set[int] = set()
        for r, offset in zip(rectangles, placed.offsets, strict=True):
            gap = next((g for g in r.gaps if g.lower <= moment < g.upper), None)
            low, high = (0, r.size) if gap is None else gap.window or (0, 0)
            if r.lower <= moment < r.upper:
                mine = set(range(offset + low, offset + high))
                assert not used & mine
                used |= mine
    header, *lines = write_csv(rectangles, placed.offsets).splitlines()
    assert header.endswith(",offset")
    assert [int(line.rpartition(",")[2]) for line in lines] == list(placed.offsets)
    without = "\n".join(line.rpartition(",")[0] for line in (header, *lines))
    assert read_csv(without, "problem.csv") == tuple(rectangles)
