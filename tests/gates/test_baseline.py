"""`tinydeploy.lock`: what is written is read again, a change shows as the lines that changed, and damage is told."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gate_cases import outcome
from tinydeploy.errors import UsageError
from tinydeploy.gates.baseline import Entry, entry_of, read_baseline, render, since, write_baseline

ENTRY = entry_of(outcome())
TWO = {("kws --io int8", "stm32f746g_disco"): ENTRY, ("a/net.tflite", "nrf52dk"): replace(ENTRY, layers=())}

WRITTEN = """\
# The baseline of `tinydeploy check`, which writes it with --update. Bytes, counts, microseconds.
format = 1

["a/net.tflite".nrf52dk]
model_sha256 = "abababababababab"
tinydeploy = "0.1.0"
toolchain = "gcc 12"
arena = 6000
stack = 500
sram = 6600
weights = 2000
code = 9000
flash = 11000
instructions = 100000
cycles = 150000
latency_us = 694

["kws --io int8".stm32f746g_disco]
model_sha256 = "abababababababab"
tinydeploy = "0.1.0"
toolchain = "gcc 12"
arena = 6000
stack = 500
sram = 6600
weights = 2000
code = 9000
flash = 11000
instructions = 100000
cycles = 150000
latency_us = 694
layers = [
  "CONV_2D 60000",
  "MAX_POOL_2D 9990",
  "FULLY_CONNECTED 30000",
]
"""


def test_the_file() -> None:
    assert render({key: replace(entry, tinydeploy="0.1.0") for key, entry in TWO.items()}) == WRITTEN


def test_guesses_are_not_kept() -> None:
    kept = entry_of(outcome(kinds_changed={"stack_bytes": "estimated", "sram_bytes": "estimated"}))
    assert not {"stack", "sram"} & set(kept.figures)
    assert kept.figures["arena"] == 6000


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tinydeploy.lock"
    assert read_baseline(path) == {}
    write_baseline(path, TWO)
    assert read_baseline(path) == TWO
    assert ENTRY.outcome_figures["latency_ms"] == 0.694
    assert [p.name for p in tmp_path.iterdir()] == ["tinydeploy.lock"]  # nothing is left beside it
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "tinydeploy.lock"
    write_baseline(path, TWO)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    write_baseline(path, dict(reversed(TWO.items())))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


def test_a_change_shows_as_the_lines_that_changed() -> None:
    layers = (("CONV_2D", 60_000), ("MAX_POOL_2D", 9_990), ("ADD", 77), ("FULLY_CONNECTED", 31_000))
    grown = replace(ENTRY, figures={**ENTRY.figures, "arena": 6016, "instructions": 101_077}, layers=layers)
    before = render(TWO).splitlines()
    after = render({**TWO, ("kws --io int8", "stm32f746g_disco"): grown}).splitlines()
    assert set(before) - set(after) == {'  "FULLY_CONNECTED 30000",'}  # the other case keeps its 6000 and 100000
    assert set(after) - set(before) == {
        "arena = 6016",
        "instructions = 101077",
        '  "ADD 77",',
        '  "FULLY_CONNECTED 31000",',
    }
    assert len(after) - len(before) == 1


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda text: text != "format")


@given(st.dictionaries(st.tuples(names, names), st.just(ENTRY), max_size=4))
def test_any_name_is_read_again(entries: dict[tuple[str, str], Entry]) -> None:
    document = tomllib.loads(render(entries))
    del document["format"]
    assert {(model, board) for model, boards in document.items() for board in boards} == set(entries)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "it is not one of `tinydeploy check`"),
        ("format = 2", "it is of format 2, this tinydeploy knows format 1"),
        ("format = 1\n<<<<<<< HEAD\n[a.b]\n=======\n>>>>>>> other\n", ":2: holds the marks of a merge conflict"),
        ("format = 1\n[a.b]\narena = -1", ":2: [a.b]: arena: must be a whole number"),
        ("format = 1\n[a.b]\narena = 1.5", ":2: [a.b]: arena: must be a whole number"),
        ("format = 1\n[a.b]\narena = true", ":2: [a.b]: arena: must be a whole number"),
        ("format = 1\n[a.b]\nareña = 1", "is not valid TOML"),
        ("format = 1\n[a.b]\nsize = 1", ":2: [a.b]: size: unknown key"),
        ("format = 1\n[a.b]\nlayers = ['CONV_2D']", ":2: [a.b]: layers: must be a list"),
        ("format = 1\n[a.b]\nlayers = 'CONV_2D 1'", ":2: [a.b]: layers: must be a list"),
        ("format = 1\n[a.b]\nlayers = 1", ":2: [a.b]: layers: must be a list"),
        ("format = 1\n[a.b]\nmodel_sha256 = '../x'", ":2: [a.b]: model_sha256: is no hash"),
        ("format = 1\n[a.b]\ntoolchain = 3", "must be strings"),
        ('format = 1\n[a.b]\ntoolchain = "\\u001b"', "must be strings"),
        ("format = 1\na = 3", ":2: [a.]: is no table of figures"),
        ("format = 1\na.b = 3", ":2: [a.b]: is no table of figures"),
        (f"format = 1\n[a.b]\narena = {'9' * 5000}", "is not valid TOML"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tinydeploy.lock"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_baseline(path)
    assert caught.value.message.startswith(str(path))
    assert words in caught.value.message
    assert "--update" in (caught.value.hint or "")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: apt install git")
def test_since_which_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        told = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run([*told, *arguments], check=True, capture_output=True)

    path = tmp_path / "base.lock"
    write_baseline(path, TWO)
    assert since(path) == str(path)  # no repository
    git("init", "-q")
    assert since(path) == str(path)  # not committed
    git("add", "base.lock")
    git("commit", "-q", "-m", "A first baseline")
    assert since(path).startswith(f"{path} of commit ")
    assert since(path).endswith("(A first baseline)")
    write_baseline(path, {})
    assert since(path).endswith("(A first baseline), changed since")


def test_since_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert since(tmp_path / "base.lock") == str(tmp_path / "base.lock")
