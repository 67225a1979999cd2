"""Checks for GitHub Actions: workflow commands, read back as the runner reads them, and job summaries."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.check_reports import (
    EMPTY,
    EVIL,
    EXCEEDED,
    HOSTILE,
    KEPT,
    PASSED,
    PROVENANCE,
    REPORT,
    TIMED_OUT,
    TOO_LARGE,
)
from tests.support.check_reports import budget as budget_of
from tinydeploy.report import github, table
from tinydeploy.report.checks import check_document
from tinydeploy.report.document import Column, Document, Line, Table
from tinydeploy.report.verdicts import CaseVerdict, CheckReport

Command = tuple[str, dict[str, str], str]


def commands(text: str) -> list[Command]:
    """What a runner makes of a log: command, properties, data. A line is a command where it starts with `::`; data is
    unescaped from `%25`, `%0D`, `%0A`, properties from `%3A` and `%2C`, too."""
    found = []
    for line in text.split("\n"):
        match = re.fullmatch(r"\s*::([a-z-]+)(?: ([^:]*(?:[^:]|:(?!:))*?))?::(.*)", line)
        if match is None:
            assert "##[" not in line  # the older form of commands counts anywhere in a line
            continue
        properties = dict(part.split("=", 1) for part in (match[2] or "").split(","))
        found.append((match[1], {k: unescaped(v) for k, v in properties.items()}, unescaped(match[3])))
    return found


def unescaped(text: str) -> str:
    """Of commands' escapes."""
    codes = {"%25": "%", "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}
    return re.sub("|".join(codes), lambda match: codes[match[0]], text)


def test_each_finding_is_an_error_at_its_place() -> None:
    told = commands(github.render(replace(REPORT, cases=(KEPT, EXCEEDED, TOO_LARGE, TIMED_OUT))))
    assert [(level, *(p.get(key) for key in ("file", "line", "title"))) for level, p, _ in told] == [
        ("error", "fw/tinydeploy.toml", "7", "arena: models/vww.tflite on demo_board"),
        ("error", "models/vww.tflite", None, "arena-growth: models/vww.tflite on demo_board"),
        ("error", "models/vww.tflite", None, "cycles: models/vww.tflite on demo_board"),
        ("error", "big.tflite", None, "completes: big.tflite on small_board"),
        ("error", "big.tflite", None, "arena: big.tflite on small_board"),
        ("error", "fw/tinydeploy.toml", None, "completes: slow on demo_board"),
        ("notice", None, None, "tinydeploy check"),
    ]
    assert told[0][2] == (
        "arena 70.0 KiB, budget 64.0 KiB: 6.0 KiB over\nlayer 3 CONV_2D\nbudget: fw/tinydeploy.toml:7"
    )
    assert told[3][2] == "it does not fit: SRAM is too small by 3.0 KiB\na larger board"
    assert told[-1][2] == "one note"


def test_a_command_letter_by_letter() -> None:
    case = replace(TIMED_OUT, model="a,b:c%", message="100%\nof it: over, far", model_file="x,y:z.tflite")
    assert github.render(CheckReport((case,), 5)) == (
        "::error file=x%2Cy%3Az.tflite,title=completes%3A a%2Cb%3Ac%25 on demo_board::100%25%0Aof it: over, far\n"
        "tinydeploy check: cases 1, budgets 1, findings 1\n"
    )


def test_what_is_kept_is_only_counted() -> None:
    assert github.render(PASSED) == "tinydeploy check: cases 1, budgets 2, findings 0\n"
    assert github.render(EMPTY) == "tinydeploy check: cases 0, budgets 0, findings 0\n"


def test_names_give_no_commands() -> None:
    told = commands(github.render(CheckReport((EVIL,), 3)))
    assert [level for level, _, _ in told] == ["error"]
    assert set(told[0][1]) == {"file", "title"}
    assert HOSTILE.split("\r\n")[1].split("\x00")[0] in told[0][2]


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_name_holds_it_is_one_command(name: str, message: str) -> None:
    case = CaseVerdict(name, "b", "crashed", (), 70, message=message, model_file=name)
    told = commands(github.render(CheckReport((case,), 70)))
    assert [(level, set(properties)) for level, properties, _ in told] == [("error", {"file", "title"})]
    if name.isprintable() and message.isprintable():
        assert told[0][1]["title"] == f"completes: {name} on b"
        assert told[0][2] == message


def test_no_more_annotations_than_are_shown() -> None:
    def errors(count: int) -> list[Command]:
        many = tuple(replace(TIMED_OUT, model=f"m{number}") for number in range(count))
        return commands(github.render(CheckReport(many, 5)))

    assert len(errors(10)) == 10
    assert errors(10)[-1][1]["title"] == "completes: m9 on demo_board"
    assert len(errors(11)) == 10
    assert errors(11)[-1][2] == "and 2 more: see the job summary and the reports"
    assert errors(500)[-1][2].startswith("and 491 more")


def test_a_budget_of_the_command_line_is_shown_where_it_could_stand() -> None:
    case = replace(KEPT, verdicts=(budget_of("arena", result="exceeded", message="over"),), exit_code=1)
    assert commands(github.render(CheckReport((case,), 1)))[0][1]["file"] == "tinydeploy.toml"


def test_names_steer_neither_a_summary_nor_a_terminal() -> None:
    document = check_document(REPORT, PROVENANCE)
    for text in (github.summary(document), table.render(document)):
        assert "\\x1b" in text
        assert all(c.isprintable() or c == "\n" for c in text)
    assert "<b>" not in github.summary(document)


def test_a_summary_is_cut_at_a_line_below_the_limit() -> None:
    rows = tuple((f"{number:07}", "é" * 90) for number in range(8000))
    long = Document((Line("Check", "title"), Table("All", (Column("a"), Column("b")), rows)), {})
    text = github.summary(long)
    assert 1_048_576 - 250 < len(text.encode()) <= 1_048_576
    assert text.endswith("The rest is left out: GitHub takes no longer summaries. The reports have it all.*\n")
    assert all(line.endswith(" |") for line in text.splitlines() if line.startswith("| 0"))
    short = Document((Line(HOSTILE, "title"),), {})
    assert github.summary(short).count("\n") == 1
    assert "left out" not in github.summary(short)
