"""`tinydeploy place`: exit codes, messages with line numbers, the CSV that comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy.cli import main
from tinydeploy.plan.instances import MAX_MEETINGS

Run = Callable[..., "tuple[int, str, str]"]

# The example of minimalloc's README: 12 bytes are alive at every time.
EXAMPLE = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\nb4,9,21,4\nb5,0,21,4\n"


@pytest.fixture(name="run")
def _run(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `place` on a file with this text: exit code, standard output, standard error."""

    def run(text: str | bytes, *args: str) -> tuple[int, str, str]:
        path = tmp_path / "problem.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        code = main.run(["place", str(path), *args])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("solver", ["builtin", "cp-sat"])
def test_a_problem_is_placed_and_written_in_minimallocs_format(run: Run, tmp_path: Path, solver: str) -> None:
    if solver == "cp-sat":
        pytest.importorskip("ortools", reason="pip install 'tinydeploy[solver]'")
    placed = tmp_path / "placed.csv"
    code, out, err = run(EXAMPLE, "--capacity", "12", "--solver", solver, "-o", str(placed), "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["fits"] is True
    assert report["arena_bytes"] == report["lower_bound_bytes"] == 12
    lines = placed.read_text().splitlines()
    assert lines[0] == "id,lower,upper,size,offset"
    at = {line.split(",")[0]: int(line.split(",")[4]) for line in lines[1:]}
    assert {r["id"]: r["offset"] for r in report["rectangles"]} == at
    assert sorted((at["b1"], at["b3"], at["b5"])) == sorted((at["b2"], at["b3"], at["b5"])) == [0, 4, 8]
    assert sorted((at["b4"], at["b5"]))[1] - min(at["b4"], at["b5"]) >= 4


@pytest.mark.parametrize("format_", ["table", "md"])
def test_the_report_for_people_names_the_arena(run: Run, format_: str) -> None:
    code, out, _ = run(EXAMPLE, "--format", format_)
    assert code == 0
    assert "meets the lower bound" in out
    assert "b5" in out


def test_what_is_impossible_is_told_from_what_was_not_found(run: Run, tmp_path: Path) -> None:
    placed = tmp_path / "placed.csv"
    code, _, err = run(EXAMPLE, "--capacity", "11", "-o", str(placed))
    assert code == 1
    assert "no placement within 11 bytes exists (proved: at least 12 are needed)" in err
    assert not placed.exists()
    # 6 bytes alive at most; the search has to finish to know that alignment makes it 7
    aligned = "id,lower,upper,size,alignment\na,0,2,3,4\nb,1,3,3,4\n"
    code, out, err = run(aligned, "--capacity", "6", "--format", "json")
    assert code == 1
    assert "proved" in err
    assert json.loads(out)["fits"] is False
    code, _, err = run(aligned, "--capacity", "6", "--time-limit", "1e-9")
    assert code == 1
    assert "nor proved impossible; the best has 7" in err
    assert "hint: " in err


def test_older_names_of_columns_count_the_end_in(run: Run) -> None:
    # a lives through time 3, when b begins: 4 + 4 bytes; half-open they would not meet
    code, out, _ = run("buffer_id,start,end,size\na,0,3,4\nb,3,9,4\n", "--format", "json")
    assert code == 0
    assert json.loads(out)["arena_bytes"] == 8


def test_a_file_as_spreadsheets_write_it_is_read(run: Run) -> None:
    code, out, _ = run('\ufeffid,lower,upper,size\r\n"a,b",0,3,4\r\n\r\n', "--format", "json")
    assert code == 0
    assert json.loads(out)["rectangles"][0]["id"] == "a,b"


def test_no_rectangles_need_nothing(run: Run) -> None:
    code, out, _ = run("id,lower,upper,size\n", "--format", "json")
    assert code == 0
    assert json.loads(out)["arena_bytes"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "problem.csv: the file is empty"),
        (b"id,lower,upper,size\n\xff,1,2,3\n", "is not text in UTF-8"),
        ("id,lower,size\na,0,1\n", ":1: there is no column 'upper'"),
        ("id,lower,upper,size,colour\n", ":1: unknown column 'colour'"),
        ("id,lower,upper,size,size\n", ":1: there are two columns for 'size'"),
        ("id,lower,upper,size,offset\n", ":1: there is a column 'offset'"),
        ("id,lower,upper,size\na,0,1,4\n\nb,0,1\n", ":4: 3 fields"),
        ("id,lower,upper,size\na,0,1,4\na,0,1,4\n", ":3: the id 'a' is there already"),
        ("id,lower,upper,size\na,0,1,-4\n", ":2: size '-4' is not"),
        ("id,lower,upper,size\na,0,1,1e9\n", ":2: size '1e9' is not"),
        ("id,lower,upper,size\na,0,1,٤\n", ":2: size '٤' is not"),
        ("id,lower,upper,size\na,0,1," + "9" * 5000 + "\n", ":2: size '999"),
        ("id,lower,upper,size\na,0,1,999999999999999\n", ":2: size"),
        ("id,lower,upper,size\na,3,3,4\n", ":2: rectangle 'a': its life [3, 3) is empty"),
        ("id,lower,upper,size\n\x1b[31m,0,1,4\n", ":2: the id '\\x1b[31m'"),
        ("id,lower,upper,size,alignment\na,0,1,4,0\n", ":2: rectangle 'a': a size is at least 0"),
        ("id,lower,upper,size,gaps\na,0,9,4,2\n", ":2: gap '2' is malformed"),
        ("id,lower,upper,size,gaps\na,0,9,4,2-5 4-6\n", ":2: rectangle 'a': gap 4-6"),
        ("id,lower,upper,size,gaps\na,0,9,4,2-5@0:5\n", ":2: rectangle 'a': window 0:5"),
        ('id,lower,upper,size\n"a,0,1,4\n', ":2: is not CSV"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(run: Run, text: str | bytes, words: str) -> None:
    code, out, err = run(text)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])


def test_a_problem_too_large_is_refused_before_any_work(run: Run) -> None:
    count = int((2 * MAX_MEETINGS) ** 0.5) + 2
    code, _, err = run("id,lower,upper,size\n" + "".join(f"{i},0,1,1\n" for i in range(count)))
    assert code == 2
    assert "pairs of rectangles live at one time" in err


def test_a_missing_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.run(["place", str(tmp_path / "none.csv")]) == 2
    assert "cannot be read: No such file" in capfd.readouterr().err
