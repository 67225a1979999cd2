"""A platform description that was tampered with is read, or refused with its file and line: never anything else."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.boards import find_board
from tinydeploy.emulate.renode.peripherals import check
from tinydeploy.emulate.renode.platform import make_platform
from tinydeploy.emulate.renode.repl import memories, parse
from tinydeploy.emulate.renode.repl_layout import ReplError

SOUND = make_platform(find_board("stm32f4_disco")).repl
PIECES = st.one_of(
    st.sampled_from("{}[]<>@:;,.|#-'\"\\/* \n"),
    st.sampled_from(["'''", "/*", "//", "->", "    ", "new ", "none", "init:", "0x"]),
    st.text(max_size=3),
)


@given(st.lists(st.tuples(st.integers(0, len(SOUND)), st.integers(0, 40), PIECES), min_size=1, max_size=4))
def test_tampered(changes: list[tuple[int, int, str]]) -> None:
    text = SOUND
    for at, cut, piece in changes:
        text = text[:at] + piece + text[at + cut :]
    _read(text)


@given(st.text(alphabet=st.sampled_from("ab1:@ \n{};'\"/*<>,+-[]>0x"), max_size=60))
def test_anything(text: str) -> None:
    _read(text)


def _read(text: str) -> None:
    entries, refused = (), ""
    try:
        entries = parse(text, "own.repl").entries
    except ReplError as error:
        refused = error.message
    assert re.match(r"own\.repl:\d+: |$", refused), refused
    assert all(isinstance(problem, str) for problem in check(entries))
    memories(entries)
