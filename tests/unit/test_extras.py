"""--labels and --pixels: the file and the range as they are read, refused, and given to the libraries of `build`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.firmware import needs_any
from tinydeploy.catalog import load
from tinydeploy.codegen.labels import MOST_BYTES, load_labels
from tinydeploy.codegen.literals import c_string
from tinydeploy.codegen.shared import library_names
from tinydeploy.convert.data.pixels import parse_pixels, pixel_values
from tinydeploy.convert.types import Pixels
from tinydeploy.errors import UsageError

Run = Callable[..., "tuple[int, str, str]"]


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (b"yes\nno\n", ("yes", "no")),
        (b"yes\r\n no \r\n\r\n", ("yes", "no")),
        (b"\xef\xbb\xbfyes\nno", ("yes", "no")),
        ("größe\n名前\n\u2028x".encode(), ("größe", "名前", "\u2028x")),  # no line ends but the usual ones
        (b"a" * MOST_BYTES, ("a" * MOST_BYTES,)),
    ],
)
def test_a_label_on_each_line(tmp_path: Path, data: bytes, labels: tuple[str, ...]) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    assert load_labels(tmp_path / "labels.txt") == labels


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has no labels"),
        (b"\n \n", "has no labels"),
        (b"yes\n\nno\n", "line 2 is empty"),
        (b"yes\nn\xe9\n", "line 2 is not UTF-8"),
        (b"yes\nn\0o\n", "line 2 has a control character"),
        (b"\x1b[31myes\n", "line 1 has a control character"),
        ("yes\nno\x85".encode(), "line 2 has a control character"),
        (b"yes\n" + b"a" * (MOST_BYTES + 1), "line 2 is longer than 200 bytes"),
        ("ü".encode() * 101, "line 1 is longer than 200 bytes"),
        (b"a\n" * (1 << 19) + b"a", "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_labels(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(UsageError, match=said):
        load_labels(tmp_path / "labels.txt")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt", Path("a\0b")):
        with pytest.raises(UsageError, match="cannot read the labels"):
            load_labels(path)


def test_string_literals() -> None:
    """By C99, 6.4.4.4 and 5.2.1.1: octal escapes end after three digits, `??/` would be a backslash."""
    assert c_string('a"\\??/\n\x7f1é') == r'"a\"\\\?\?/\012\1771\303\251"'


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        *(("0..1", 0, 1), ("-1..1", -1, 1), ("0..255", 0, 255), ("1..0", 1, 0), (" -.5 .. +.5 ", -0.5, 0.5)),
        *(("0.0..1.0", 0, 1), ("0...5", 0, 0.5), ("-1e-3..1E2", -0.001, 100)),
    ],
)
def test_ranges_of_pixels(text: str, low: float, high: float) -> None:
    assert parse_pixels(text) == Pixels(low, high)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1..1", "0.0..-0", "..", "0..", "0:1", "nan..1", "0..inf", "0..1e300", "1,5..2", "0..1..2", "٠..١"],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(UsageError, match="does not say what pixels become"):
        parse_pixels(text)


def test_pixels_reach_both_ends_and_lie_evenly_between() -> None:
    values = pixel_values(Pixels(-2.1, 2.64))
    assert (values[0], values[255]) == (pytest.approx(-2.1, abs=1e-7), pytest.approx(2.64, abs=1e-7))
    assert pixel_values(Pixels(0, 255)).tolist() == list(range(256))
    assert pixel_values(Pixels(0, 1))[51] == pytest.approx(0.2, abs=1e-8)
    assert pixel_values(Pixels(-1, 1))[[0, 255]].tolist() == [-1, 1]


@needs_any
def test_build_gives_them_to_the_library(run: Run, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("".join(f"word {n}\n" for n in range(12)))
    board = ("--board", "stm32f746", "--execution", "whole")
    to = tmp_path / "one"
    code, out, err = run(
        *("build", "kws", *board, "-o", str(to), "--labels", str(words), "--pixels", "-1..1", "--format", "json")
    )
    assert code == 0, err
    options = json.loads(out)["provenance"]["options"]
    assert (options["labels"], options["pixels"]) == ([str(words)], ["-1..1"])
    assert '"word 11",' in (to / "kws_io.c").read_text()
    assert "kws_input_0_row_from_u8" in (to / "kws_io.h").read_text()
    assert '.board = "stm32f746g_disco",' in (to / "kws_info.c").read_text()
    to = tmp_path / "two"
    code, _, err = run(
        *("build", "vww", "kws", *board, "-o", str(to), "--labels", "-", "--labels", str(words)),
        *("--pixels", "0..1", "--pixels", "-"),
    )
    assert code == 0, err
    has = {name: (to / f"{name}_io.h").read_text() for name in ("kws", "vww")}
    assert [("_label(" in text, "_from_u8" in text) for text in has.values()] == [(True, False), (False, True)]


def test_labels_and_ranges_for_other_models_are_refused(run: Run, tmp_path: Path) -> None:
    two = tmp_path / "two.txt"
    two.write_text("no\nyes\n")
    to = ("--board", "stm32f746", "-o", str(tmp_path / "out"))
    for args, said in (
        (["kws", *to, "--labels", str(two)], "2 labels for"),
        (["kws", *to, "--labels", str(two)], "output 0 has 12 classes"),
        (["kws", *to, "--labels", str(tmp_path / "none")], "No such file"),
        (["kws", *to, "--pixels", "0-1"], "'0-1' does not say"),
        (["kws", "vww", *to, "--pixels", "0..1"], "--pixels is given 1 times for 2 models"),
        (["kws", *to, "--labels", str(two), "--labels", str(two)], "--labels is given 2 times for 1 model"),
    ):
        code, out, err = run("build", *args)
        assert (code, out) == (2, ""), err
        assert said in err
    assert not (tmp_path / "out").exists()


def test_libraries_whose_files_would_clash_get_other_names() -> None:
    """`kws_io.h` is a file of `kws`."""
    model = load("kws")
    models = [model, replace(model, name="kws_io"), replace(model, name="kws_info")]
    names = library_names(models)
    assert names == ("kws", "kws_io_2", "kws_info_2")
    with pytest.raises(UsageError, match="'kws_io' clashes"):
        library_names(models[:2], ("kws", "kws_io"))
