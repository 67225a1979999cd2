"""The table of a segment's turns: read back by the rules that td_runtime.h states, it is the program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.codegen.turns import MOST_ROWS, MOST_STAGES, Turn, encode
from tinydeploy.plan.types import ROW_ALIGNMENT
from tinydeploy.resources import firmware_dir


def read(table: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(stage, rows) of each turn. Repeats are kept apart from the table, as td_next_turn keeps its count."""
    at = 0
    repeated = 0
    while table[at]:
        stage, rows = table[at] >> 6, table[at] & 63
        if rows:
            yield stage, rows
            at += 1
        elif repeated < table[at + 1]:
            assert all(entry & 63 for entry in table[at - stage : at])  # repeats do not nest
            repeated += 1
            at -= stage
        else:
            repeated = 0
            at += 2
            assert table[at] == 0 or table[at] & 63  # nor are they side by side
    assert at == len(table) - 1


turns = st.builds(Turn, st.integers(0, 3), st.integers(1, 2))


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(turns, min_size=1, max_size=6), st.integers(1, 9)), max_size=8))
def test_what_is_encoded_is_read_back(parts: list[tuple[list[Turn], int]]) -> None:
    program = [turn for body, times in parts for turn in body * times]
    table = encode(program)
    assert list(read(table)) == program
    assert len(table) <= len(program) + 1
    assert all(0 <= entry <= 0xFFFF for entry in table)


def test_a_repeat_by_hand() -> None:
    """Two rows in, one row out, a hundred times, behind a start of its own."""
    program = [Turn(0, 5), *[Turn(0, 1), Turn(0, 1), Turn(1, 1)] * 100]
    assert encode(program) == (5, 1, 1, 64 + 1, 3 << 6, 99, 0)


def test_the_largest_turn_has_room_and_larger_ones_do_not() -> None:
    largest = Turn(MOST_STAGES - 1, MOST_ROWS)
    assert list(read(encode([largest]))) == [largest]
    for turn in (Turn(MOST_STAGES, 1), Turn(0, MOST_ROWS + 1), Turn(0, 0)):
        with pytest.raises(ValueError, match="room"):
            encode([turn])


def test_python_and_c_cut_an_entry_alike() -> None:
    text = (firmware_dir() / "include" / "td_runtime.h").read_text("utf-8")
    bits = re.search(r"^#define TD_TURN_BITS (\d+)$", text, re.M)
    unit = re.search(r"^#define TD_ROW_UNIT (\d+)u$", text, re.M)
    assert bits is not None and unit is not None
    assert 2 ** int(bits[1]) - 1 == MOST_ROWS

    assert int(unit[1]) == ROW_ALIGNMENT
