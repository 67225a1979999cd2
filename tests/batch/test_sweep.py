"""`tinydeploy sweep` on this machine: its table, its journal, and what becomes of both when it is killed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_networks import write_networks
from tinydeploy import pipeline
from tinydeploy.batch import candidates, tables
from tinydeploy.batch.candidates import find_candidates
from tinydeploy.batch.rows import COLUMNS
from tinydeploy.boards import find_board
from tinydeploy.cli import main
from tinydeploy.errors import UsageError
from tinydeploy.resources import models_dir

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(name="run")
def _run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: exit code, standard output, standard error without progress."""

    def run(*args: object) -> tuple[int, str, str]:
        code = main.run(["sweep", *map(str, args)])
        captured = capfd.readouterr()
        return (
            code,
            captured.out,
            "".join(line for line in captured.err.splitlines(keepends=True) if not line.endswith("…\n")),
        )

    return run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_time(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name != "work_seconds"} for row in table]


def test_a_row_for_each_model_board_and_option(run: Run, tmp_path: Path) -> None:
    networks = write_networks(tmp_path / "nets", 3)
    out = tmp_path / "t.csv"
    vary = ("--vary", "execution=whole,streamed", "--vary", "in-place=yes,no")
    code, text, err = run(
        tmp_path / "nets", "vww", "--boards", "stm32f746,stm32f103", *vary, "-o", out, "--format", "json"
    )
    assert (code, err) == (0, "")
    table = read(out)
    assert list(table[0]) == [column.name for column in COLUMNS]
    models = [*map(str, networks), "vww"]
    boards, executions, places = ("stm32f746", "stm32f103"), ("whole", "streamed"), ("true", "false")
    assert [(r["model"], r["board"], r["execution"], r["in_place"]) for r in table] == [
        (m, b, e, p) for m in models for b in boards for e in executions for p in places
    ]
    by = {(r["model"], r["board"], r["execution"], r["in_place"]): r for r in table}
    # whole tensors of vww with nothing in place: its lower bound, 55,296 bytes, which the F103's 20 KiB do not hold
    large, small = by["vww", "stm32f746", "whole", "false"], by["vww", "stm32f103", "whole", "false"]
    assert (large["arena_bytes"], large["status"], large["fits"]) == ("55296", "ok", "true")
    assert (small["arena_bytes"], small["status"], small["fits"]) == ("55296", "does-not-fit", "false")
    assert "SRAM" in small["message"]
    assert json.loads(large["kinds"])["arena_bytes"] == "computed"
    assert json.loads(large["kinds"])["stack_bytes"] == "estimated"
    for path in networks:
        options = pipeline.PlanOptions(execution="streamed")
        planned = pipeline.plan_model(pipeline.load(str(path)), find_board("stm32f103"), options)
        row = by[str(path), "stm32f103", "streamed", "true"]
        assert int(row["arena_bytes"]) == planned.plan.arena_bytes
        assert int(row["macs"]) == planned.costs.totals.macs
        assert row["model_sha256"] == planned.model.sha256
    data = json.loads(text)
    assert data["rows"] == 4 * 2 * 4
    assert [(b["board"], b["rows"], b["fit"] + b["too_large"]) for b in data["boards"]] == [(b, 16, 16) for b in boards]
    least = min((r for r in table if r["board"] == "stm32f103" and r["fits"] == "true"), key=lambda r: int(r["macs"]))
    assert data["boards"][1]["fewest_macs"]["macs"] == int(least["macs"])


def test_parquet_has_types_kinds_and_provenance(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'tinydeploy[sweep]'")
    args = ("digits", "--boards", "stm32f746", "--boards", "rp2040", "--stack-bytes", "2000")
    assert run(*args, "-o", tmp_path / "t.parquet")[0] == 0
    assert run(*args, "-o", tmp_path / "t.csv")[0] == 0
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == [column.name for column in COLUMNS]
    types = {"text": "string", "integer": "int64", "number": "double", "truth": "bool"}
    assert [str(field.type) for field in table.schema] == [types[column.type] for column in COLUMNS]
    assert table.schema.field("stack_bytes").metadata[b"kind"] == b"given"
    assert table.schema.field("arena_bytes").metadata[b"kind"] == b"computed"
    assert table.schema.field("instructions").metadata[b"kind"] == b""
    assert json.loads(table.schema.metadata[b"tinydeploy"])["options"]["stack_bytes"] == 2000
    for exact, told in zip(table.to_pylist(), read(tmp_path / "t.csv"), strict=True):
        assert {name: str(tables._csv_cell(cell)) for name, cell in exact.items()} == told


def test_run_and_verify(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    code, _, err = run("digits", "--boards", "stm32f746", "--depth", "run", "-o", tmp_path / "t.csv")
    assert (code, err) == (0, "")
    (row,) = read(tmp_path / "t.csv")
    assert (row["status"], row["bit_exact"], row["reference"].split()[0]) == ("ok", "true", "tflite-micro")
    assert int(row["instructions"]) > int(row["macs"]) > 0
    # 216 MHz
    assert float(row["latency_ms"]) == pytest.approx(int(row["cycles"]) / 216_000)
    kinds = json.loads(row["kinds"])
    assert (kinds["instructions"], kinds["cycles"], kinds["stack_bytes"]) == ("emulated", "modelled", "emulated")
    assert "unicorn" in json.loads(row["tools"])["emulator"]


def test_names_of_strangers_are_data(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    digits = models_dir() / "digits.tflite"
    for name in ("=1+1", "+1", "-1", "@SUM(A1)", "a\nb", 'q"uote,', "\t=1"):
        shutil.copy(digits, tmp_path / "nets" / f"{name}.tflite")
    os.chdir(tmp_path / "nets")
    try:
        assert run(".", "--boards", "rp2040", "-o", tmp_path / "t.csv")[0] == 0
    finally:
        os.chdir(ROOT)
    table = read(tmp_path / "t.csv")
    assert len(table) == 7
    for row in table:
        for name, cell in row.items():
            column = next(c for c in COLUMNS if c.name == name)
            assert column.type != "text" or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), (name, cell)
    assert {row["model"] for row in table} >= {"'=1+1.tflite", "'+1.tflite", "'-1.tflite", "'@SUM(A1).tflite"}
    assert tables._csv_cell(-1) == -1  # numbers keep their sign


def test_an_ill_case_has_a_row_and_the_exit_code_tells(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    code, _, err = run("digits", tmp_path / "bad.tflite", "--boards", "rp2040", "-o", tmp_path / "t.csv")
    assert (code, err) == (0, "")
    assert [row["status"] for row in read(tmp_path / "t.csv")] == ["ok", "refused"]
    code, out, err = run(
        "digits", "--boards", "rp2040", "--vary", "effort=quick", "--timeout", "0.0001", "-o", tmp_path / "u.csv"
    )
    assert code == 5
    assert [row["status"] for row in read(tmp_path / "u.csv")] == ["timed-out"]
    assert "1 of 1 cases have no answer; the first is digits on rp2040, which timed-out" in err
    assert "timed-out: no end after 0.0001 s" in out
    # it is tried again, and now there is time
    assert run("digits", "--boards", "rp2040", "--vary", "effort=quick", "-o", tmp_path / "u.csv")[0] == 0
    assert [row["status"] for row in read(tmp_path / "u.csv")] == ["ok"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("none.tflite", "--boards", "rp2040", "-o", "t.csv"), "no such file"),
        (("digits", "--boards", "rp2040,nope", "-o", "t.csv"), "no board called `nope`"),
        (("digits", "--boards", "rp2040", "-o", "t.xlsx"), "must end in .parquet or .csv"),
        (("digits", "--boards", "rp2040", "-o", "none/t.csv"), "there is no folder none"),
        (("digits", "--boards", "rp2040", "-o", "t.csv", "--vary", "keep=a"), "--vary keep=a"),
        (("digits", "--boards", "rp2040", "-o", "t.csv", "--vary", "execution=fast"), "'fast' is not one of"),
        (("digits", "--boards", "rp2040", "-o", "t.csv", "--dask", "x:1", "--jobs", "2"), "--jobs is for this machine"),
        (("@list.txt", "--boards", "rp2040", "-o", "t.csv"), "the list cannot be read"),
        (("*.none", "--boards", "rp2040", "-o", "t.csv"), "no file matches"),
        (("", "--boards", "rp2040", "-o", "t.csv"), "a model's name is empty"),
        (("digits", "--boards", ",", "-o", "t.csv"), "--boards names none"),
        (("digits", "--boards", "rp2040", "-o", "/proc/t.csv"), "cannot write /proc/t.csv"),
        (("digits", "--boards", "rp2040", "-o", "t.csv", "--reserve", "SRAM:1"), "is not REGION=BYTES"),
        (("digits", "--boards", "rp2040", "-o", "t.csv", "--vary", "io=int8", "--vary", "io=model"), "varied already"),
    ],
)
def test_mistakes_cost_no_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == []


def test_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.tflite", "b/c/1.tflite", "b/note.txt", "a.tflite", "[x].tflite"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "list.txt").write_text("# those of spring\n\nb\n  digits\n*.tflite\n")
    assert find_candidates(["b", "a.tflite"]) == (str(Path("b/2.tflite")), str(Path("b/c/1.tflite")), "a.tflite")
    assert find_candidates(["**/*.tflite"])[-1] == str(Path("b/c/1.tflite"))
    assert find_candidates(["[x].tflite"]) == ("[x].tflite",)
    listed = find_candidates(["@list.txt", "kws"])
    assert listed == (str(Path("b/2.tflite")), str(Path("b/c/1.tflite")), "digits", "[x].tflite", "a.tflite", "kws")
    # the same file by another path, by a link, or by what Windows writes into a list
    (tmp_path / "link.tflite").symlink_to("a.tflite")
    (tmp_path / "other.txt").write_bytes(b"\xef\xbb\xbfa.tflite\r\n./a.tflite\r\nlink.tflite\r\n")
    assert find_candidates(["@other.txt", "b/../a.tflite"]) == ("a.tflite",)
    (tmp_path / "wrong.txt").write_text("# of autumn\nb\nnone.tflite\n")
    with pytest.raises(UsageError, match=r"wrong\.txt:3: none\.tflite: no such file"):
        find_candidates(["@wrong.txt"])
    monkeypatch.setattr(candidates, "_MOST_BYTES", 8)
    with pytest.raises(UsageError, match="is larger than"):
        find_candidates(["@list.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no \.tflite file below"):
        find_candidates(["empty"])


def test_the_pages_name_every_column_and_key(run: Run, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sweep.md").read_text(encoding="utf-8")
    assert [column.name for column in COLUMNS if f"`{column.name}`" not in page] == []
    words = set(re.findall(r"[a-z_]+", (ROOT / "docs" / "json.md").read_text(encoding="utf-8")))
    data = json.loads(run("digits", "--boards", "rp2040", "-o", tmp_path / "t.csv", "--format", "json")[1])
    board = data["boards"][0]
    assert {*data, *board, *board["smallest_arena"]} - words == set()


# --- the journal ------------------------------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = write_networks(tmp_path / "nets", 6)
    out = tmp_path / "t.csv"
    args = (tmp_path / "nets", "--boards", "rp2040", "-o", out, "--format", "json")

    def known(*more: str) -> int:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # the journal alone
        code, text, _ = run(*args, *more)
        assert code == 0
        found = json.loads(text)["known"]
        assert isinstance(found, int)
        return found

    assert known() == 0
    first = read(out)
    assert known() == 6
    assert read(out) == first
    networks[2].write_bytes(networks[3].read_bytes())  # another model under its name
    assert known() == 5
    again = read(out)
    assert again[2]["model_sha256"] == again[3]["model_sha256"] == first[3]["model_sha256"]
    assert [again[i] for i in (0, 1, 3, 4, 5)] == [first[i] for i in (0, 1, 3, 4, 5)]
    assert known("--execution", "whole") == 0
    assert known("--vary", "execution=whole,streamed") == 12
    assert known("--fresh") == 0
    # cut anywhere, as by a loss of power: whole lines count
    journal = tmp_path / "t.csv.journal"
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 7
    for length, count in ((len(whole) - 1, 5), (len(lines[0]) + 5, 0), (len(b"".join(lines[:4])), 3), (0, 0)):
        journal.write_bytes(whole[:length])
        assert known() == count
        assert without_time(read(out)) == without_time(again)
        assert len(journal.read_bytes().splitlines()) == 7
    damaged = [*lines[:2], b'{"key": "' + b"\xff" * 20 + b"\n", b"null\n", *lines[4:]]
    journal.write_bytes(b"".join(damaged))
    assert known() == 4
    # a digit of a figure: the line can be read, but is not what was written; the case is done and written again
    arena = re.search(rb'"arena_bytes": (\d+)', journal.read_bytes())
    assert arena is not None
    journal.write_bytes(journal.read_bytes().replace(arena[0], b'"arena_bytes": 1', 1))
    assert known() == 5
    assert without_time(read(out)) == without_time(again)
    assert known() == 6
    journal.write_bytes(b"something else\n")
    code, _, err = run(*args)
    assert code == 2
    assert "is no journal of a sweep" in err
    assert journal.read_bytes() == b"something else\n"


def test_the_cache_knows_what_another_sweep_did(run: Run, tmp_path: Path) -> None:
    args = ("digits", "--boards", "rp2040", "--format", "json")
    assert json.loads(run(*args, "-o", tmp_path / "a.csv")[1])["known"] == 0
    assert json.loads(run(*args, "-o", tmp_path / "b.csv")[1])["known"] == 1
    assert read(tmp_path / "a.csv") == read(tmp_path / "b.csv")


def start(tmp_path: Path, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tinydeploy", "sweep", *map(str, args)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX cannot be installed")
def test_a_sweep_that_is_killed_goes_on_where_it_was(run: Run, tmp_path: Path) -> None:
    """Killed twice and interrupted once; in the end the table is that of a sweep that nobody disturbed."""
    (tmp_path / "temporary").mkdir()
    write_networks(tmp_path / "nets", 60)
    out, journal = tmp_path / "t.csv", tmp_path / "t.csv.journal"
    args = (tmp_path / "nets", "--boards", "rp2040,stm32f746", "--execution", "whole", "-o", out)
    for number, until in ((signal.SIGKILL, 20), (signal.SIGKILL, 40), (signal.SIGINT, 60)):
        program = start(tmp_path, *args)
        wait_for(lambda least=until: lines_of(journal) > least)  # type: ignore[misc]
        program.send_signal(number)
        _, err = program.communicate(timeout=60)
        assert program.returncode == (-9 if number == signal.SIGKILL else 130)
        assert not out.exists()
    assert f"of 120 are done; the same command goes on from {journal}\n" in err
    assert err.endswith("interrupted\n")
    before = lines_of(journal) - 1
    assert 60 <= before < 120
    code, text, _ = run(*args, "--format", "json")
    assert code == 0
    assert json.loads(text)["known"] >= before
    assert run(*args[:-1], tmp_path / "other.csv", "--fresh")[0] == 0
    assert without_time(read(out)) == without_time(read(tmp_path / "other.csv"))


def test_two_sweeps_do_not_write_one_journal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    write_networks(tmp_path / "nets", 60)
    args = (tmp_path / "nets", "--boards", "rp2040", "-o", tmp_path / "t.csv")
    program = start(tmp_path, *args)
    try:
        wait_for(lambda: lines_of(tmp_path / "t.csv.journal") > 1)
        code, _, err = run(*args)
        assert code == 2
        assert "another sweep is writing" in err
    finally:
        _, err = program.communicate(timeout=60)
    assert program.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["t.csv", "t.csv.journal"]
