"""`tinydeploy export` as it is typed: what goes together, what is written, the same bytes twice, and what is told."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tflite_writer import GraphBuilder
from tinydeploy.cli.export import FORMS
from tinydeploy.convert.types import Converted, Obstacle, Source
from tinydeploy.errors import UsageError
from tinydeploy.export import packages
from tinydeploy.pipeline.exporting import export
from tinydeploy.pipeline.exporting.folder import RECORD, write_export
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.tflite import parse_model

Run = Callable[..., "tuple[int, str, str]"]


def contents(folder: Path) -> dict[str, str]:
    """The files' hashes by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD
    }


def test_the_forms_are_those_of_the_packages() -> None:
    assert FORMS == packages.FORMS


def test_a_package_and_its_report(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        "export",
        "digits",
        "--board",
        "stm32f746",
        "--package",
        "arduino",
        "-o",
        tmp_path / "lib",
        "--format",
        "json",
        "-q",
    )
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["command"] == "export" and told["forms"] == ["arduino"] and told["fits"] is True
    assert {file["path"]: file["sha256"] for file in told["files"]} == contents(tmp_path / "lib")
    assert (tmp_path / "lib" / "library.properties").is_file() and not (tmp_path / "lib" / "library.json").exists()


def test_several_models_are_one_package(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "export", "digits", "kws", "--board", "stm32f746", "--package", "c", "-o", tmp_path, "--format", "json"
    )
    assert code == 0 and len(json.loads(out)["models"]) == 2
    assert {"digits.h", "kws.h"} <= {path.name for path in (tmp_path / "src").iterdir()}


def test_each_of_several_models_has_its_card(run: Run, tmp_path: Path) -> None:
    own = ("--pixels", "-", "--pixels", "0..1", "--name", "one", "--name", "two")
    code, *_ = run("export", "digits", "kws", "--board", "stm32f746", "--package", "c", *own, "-o", tmp_path)
    cards = [(tmp_path / f"MODEL_CARD_{name}.md").read_text("utf-8") for name in ("one", "two")]
    assert code == 0 and ["| pixels | 0 stands for 0, 255 for 1 |" in card for card in cards] == [False, True]
    arena = re.search(r"MODELS_ARENA_BYTES (\d+)", (tmp_path / "src" / "models_arena.h").read_text("utf-8"))
    assert arena is not None
    assert all(f"{int(arena[1]):,} B shared by one, two" in card for card in cards)
    assert "`MODEL_CARD_<model>.md`" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize("more", [("--board", "stm32f746", "--package", "all"), ("--runtime", "tflm", "--no-verify")])
def test_the_same_bytes_wherever_and_whenever(more: tuple[str, ...], tmp_path: Path) -> None:
    """Other folders, another order of hashes, another language and time zone: nothing of that is in the files."""
    found = []
    for number, seed in enumerate(("1", "77")):
        here = tmp_path / f"place{number}"
        here.mkdir()
        subprocess.run(
            [sys.executable, "-m", "tinydeploy", "export", "digits", *more, "-o", "out"],
            cwd=here,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
                "PYTHONHASHSEED": seed,
                "TZ": ("UTC", "Asia/Tokyo")[number],
                "LC_ALL": ("C", "C.UTF-8")[number],
            },
            check=True,
            capture_output=True,
        )
        found.append(contents(here / "out"))
    assert found[0] == found[1]
    for path in (tmp_path / "place0" / "out").rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()


def test_what_is_the_users_stays(tmp_path: Path) -> None:
    """An older export's files go, but neither those of others nor those that were changed."""
    (tmp_path / "notes.txt").write_text("mine")
    assert write_export({"src/a.c": "a", "src/b.c": "b", "b.h": "b"}, tmp_path) == ()
    (tmp_path / "b.h").write_text("changed")
    assert write_export({"a.h": b"a"}, tmp_path) == ("src/a.c", "src/b.c")
    assert sorted(contents(tmp_path)) == ["a.h", "b.h", "notes.txt"]
    for ill in ("notes.txt", "b.h"):
        with pytest.raises(UsageError, match=f"no export wrote, or that were changed since: {ill}"):
            write_export({"new.h": "new", ill: "ours"}, tmp_path)
        assert not (tmp_path / "new.h").exists()
    write_export({"notes.txt": "ours"}, tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "ours" and not (tmp_path / "a.h").exists()


def test_no_empty_folder_is_left(tmp_path: Path) -> None:
    write_export({"examples/app/main/a.c": "a", "examples/mine.c": "b"}, tmp_path)
    (tmp_path / "examples" / "notes.txt").write_text("mine")
    write_export({"a.h": "a"}, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["a.h", "examples", "notes.txt", RECORD])


def test_a_file_where_the_folder_would_be_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"cannot write to .*(Not a directory|File exists)"):
            write_export({"src/a.c": "a", "a.h": "a"}, folder)


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hostname", "sub/../../outside.txt"])
def test_a_record_does_not_lead_out_of_its_folder(path: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / RECORD).write_text(json.dumps({path: hashlib.sha256(b"mine").hexdigest()}))
    assert write_export({"a": "a"}, folder) == () and outside.read_text() == "mine"


def test_what_does_not_fit_writes_no_package(run: Run, tmp_path: Path) -> None:
    code, out, err = run("export", "vww", "--board", "nucleo_c031c6", "--package", "c", "-o", tmp_path / "lib")
    assert (code, out) == (1, "") and "does not fit nucleo_c031c6" in err
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize(
    "args, words",
    [
        (("kws",), "kws is int8 already: what is to be made of it?"),
        (("kws", "--package", "c"), "a package is planned for a board"),
        (("kws", "--package", "c", "--runtime", "tflm", "--board", "stm32f746"), "--package is for tinydeploy's own"),
        (("kws", "digits", "--runtime", "tflm"), "2 models at once are for --package"),
        (("kws", "--package", "c", "--board", "stm32f746", "--calibration", "x.npz"), "kws is int8 already, and"),
        (("kws", "--package", "c", "--board", "stm32f746", "--io", "float"), "already, and --io float is for a float"),
        (("kws", "--package", "c", "--board", "stm32f746", "--per-tensor"), "already, and --per-tensor is for a"),
        (("kws", "--runtime", "tflm", "--activations", "int16"), "already, and --activations int16 is for a float"),
        (("kws", "--package", "c", "--board", "stm32f746", "--on-board"), "--on-board needs --board, and --evaluate"),
        (("kws", "--package", "c", "--board", "stm32f746", "--name", "a", "--name", "b"), "2 names for 1 models"),
        (("kws", "--package", "c", "--board", "stm32f746", "--package-version", "one"), "is no version of a package"),
        (("nothing.keras",), "nothing.keras"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], words: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run("export", *args, "-o", tmp_path / "out")
    assert (code, out) == (2, "") and words in err
    assert not (tmp_path / "out").exists()


def test_tensorflow_lite_micro_gets_a_smaller_arena(run: Run, tmp_path: Path) -> None:
    """The figures of the report are those of the manifest, and of the constant that a firmware compiles."""
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    code, out, err = run("export", "vww", "--runtime", "tflm", "-o", tmp_path, "--format", "json", "-q")
    assert (code, err) == (0, "")
    told = json.loads(out)["tflm"]
    arenas = told["arenas"]["cmsis-nn"]
    assert arenas["planned"]["nonpersistent_bytes"] == told["lower_bound_bytes"] == 55_296
    assert arenas["greedy"]["nonpersistent_bytes"] == 73_728
    assert told["checked"]["nonpersistent_bytes"] == 55_296 and told["checked"]["greedy_nonpersistent_bytes"] == 73_728
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["arena"]["bytes"] == arenas["planned"]["arena_bytes"]
    assert str(manifest["arena"]["bytes"]) in (tmp_path / "vww_arena.h").read_text()


@pytest.mark.parametrize(
    ("board", "code", "words"),
    [  # 82,288 bytes of arena and 309,432 of model: 320 KiB and 1 MiB; 20 KiB and 128 KiB
        ("stm32f746", 0, "the arena takes 25.1% of 320.0 KiB"),
        ("nucleo_f103rb", 1, "the arena takes 82,288 B, and SRAM has 20,480; the model takes 309,432 B"),
    ],
)
def test_what_tensorflow_lite_micro_takes_of_a_board(
    board: str, code: int, words: str, run: Run, tmp_path: Path
) -> None:
    args = ("export", "vww", "--runtime", "tflm", "--no-verify", "-o", tmp_path, "--board", board, "-q")
    found, out, err = run(*args)
    assert (found, words in " ".join(out.split()), words in err) == (code, True, code == 1)
    told = json.loads(run(*args, "--format", "json", "--force")[1])["tflm"]["board"]
    assert (told["model_bytes"], bool(told["why_not"])) == ((tmp_path / "vww.tflite").stat().st_size, code == 1)


@pytest.mark.parametrize("more, written", [((), ["MODEL_CARD.md", "net.tflite"]), (("--package", "c"), [])])
def test_what_only_the_other_runtime_computes_is_told_by_its_layer(
    more: tuple[str, ...], written: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The int8 file is written all the same where it was all that was asked for."""
    g = GraphBuilder()
    x, y = (g.tensor(name, (1, 4), scale=0.5) for name in "xy")
    g.op("PRELU", [x, g.tensor("slopes", (4,), scale=0.1, data=[1, 2, 3, 4])], [y])
    data = g.build([x], [y])
    source = Source("keras", "net.keras", "net", tmp_path / "net.keras")
    bend = Obstacle("bend", "needs PRELU", "use LeakyReLU")
    made = Converted(data, None, source, "ab" * 32, 1, 16, None, "", 0, obstacles=(bend,))
    int8 = Int8Model(parse_model(data, name="net", path="net.tflite"), data, source, made)
    monkeypatch.setattr(sys.modules[export.__module__], "make_int8", lambda *_, **__: int8)
    code, out, err = run("export", "net.keras", "--board", "stm32f746", *more, "-o", tmp_path / "out")
    told = "net.keras will not run on stm32f746g_disco: layer 'bend' needs PRELU"
    assert (code, told in err, "hint: use LeakyReLU" in err, told in out) == (3, True, True, bool(written))
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == written
