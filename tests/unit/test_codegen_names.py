"""Names and texts on their way into C."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.codegen.literals import c_float, c_integer
from tinydeploy.codegen.names import c_identifier, comment_text, require_identifier
from tinydeploy.errors import UsageError
from tinydeploy.operators.fixed_point import f32


@pytest.mark.parametrize(
    "text, expected",
    [
        ("KWS ref-model.v2", "kws_ref_model_v2"),
        ("vww_96_int8", "vww_96_int8"),
        ("96x96", "m_96x96"),
        ("int", "m_int"),
        ("main", "m_main"),
        ("td_conv_2d", "m_td_conv_2d"),
        ("Aux", "m_aux"),  # no file of Windows
        ("com1", "m_com1"),
        ("Wire", "m_wire"),  # a header of Arduino's core
        ("мoдель", "o"),
        ("", "model"),
        ("***", "model"),
        ("a" * 99, "a" * 31),
    ],
)
def test_identifiers(text: str, expected: str) -> None:
    assert c_identifier(text) == expected


@given(st.text(max_size=80))
def test_any_text_becomes_an_identifier_that_is_its_own_identifier(text: str) -> None:
    name = c_identifier(text)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name)
    assert require_identifier(name) == name


@pytest.mark.parametrize("name", ["a b", "A", "1a", "int", "", "x" * 32, "a*/b", "a\nb"])
def test_a_name_that_cannot_be_used_is_refused_with_one_that_can(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_identifier(name)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message or name == "a\nb"


@given(st.text(max_size=200))
def test_a_comment_cannot_be_left_or_continued(text: str) -> None:
    clean = comment_text(text)
    assert "*" not in clean
    assert "\\" not in clean
    assert "\n" not in clean
    assert "?" not in clean  # no trigraphs
    assert "//" not in clean
    assert clean.isascii()
    assert len(clean) <= 60


def test_the_least_integer_is_not_a_long() -> None:
    assert c_integer(-(2**31)) == "(-2147483647 - 1)"
    assert c_integer(-5) == "-5"


@given(st.floats(width=32, min_value=2.0**-126, max_value=2.0**126, allow_nan=False))
def test_float_literals_read_back_exactly(value: float) -> None:
    text = c_float(value)
    assert text.endswith("f")
    assert f32(float(text[:-1])) == value
    assert re.fullmatch(r"[0-9.e+-]+f", text)
    assert "." in text or "e" in text
