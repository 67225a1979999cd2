"""Sizes, counts and times as people type them."""

from __future__ import annotations

import pytest

from tinydeploy.errors import UsageError
from tinydeploy.units import parse_bytes, parse_count, parse_milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (8192, 8192),
        ("8192", 8192),
        ("8_192", 8192),
        ("8,192", 8192),
        ("8K", 8192),
        ("8k", 8192),
        (" 8 KiB ", 8192),
        ("8kib", 8192),
        ("8192 B", 8192),
        ("0", 0),
        ("1.5 MiB", 1_572_864),
        ("2M", 2_097_152),
        ("1GiB", 1_073_741_824),
        ("1,572,864", 1_572_864),
    ],
)
def test_sizes(text: str | int, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8M", 8_000_000),
        ("8,000,000", 8_000_000),
        ("8_000_000", 8_000_000),
        (8_000_000, 8_000_000),
        ("7.49 M", 7_490_000),
        ("264k", 264_000),
        ("1.2G", 1_200_000_000),
        ("0.001k", 1),
    ],
)
def test_counts(text: str | int, expected: int) -> None:
    assert parse_count(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("30 ms", 30.0), ("30ms", 30.0), ("1.5 s", 1500.0), ("800 us", 0.8), ("800 µs", 0.8)]
)
def test_times(text: str, expected: float) -> None:
    assert parse_milliseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "K",
        "-1",
        "8 KB",
        "8 kb",
        "8,19",
        "8,1920",
        "8__192",
        "_8",
        "0x10",
        "1e3",
        "8 Kib B",
        "\u0661",
        "1.3K",
        "nan",
    ],
)
def test_what_is_no_size(text: str) -> None:
    _refuses_a_size(text)


@pytest.mark.parametrize(
    "text", ["8\nK8", "9" * 33, "9" * 5000, "1048577 GiB", True, 1.5, None, -1], ids=lambda text: str(text)[:20]
)
def test_what_a_slip_or_a_configuration_may_say(text: str) -> None:
    _refuses_a_size(text)


def _refuses_a_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size") as caught:
        parse_bytes(text)
    assert "8 KiB" in (caught.value.hint or "")
    assert "\n" not in caught.value.message and len(caught.value.message) < 120


@pytest.mark.parametrize("text", ["8 KiB", "8 B", "1.5", "8,00", "M", "-8M"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UsageError, match="is not a count"):
        parse_count(text)


@pytest.mark.parametrize("text", ["30", "ms", "30 m", "-1 ms", "30 ms 5 us"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_milliseconds(text)
