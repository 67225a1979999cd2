"""What the cache of results promises: right or nothing, whoever writes, and whatever ends them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tinydeploy.batch import Case, LayerFigures, Outcome, ResultCache, key
from tinydeploy.batch.key import key_of
from tinydeploy.batch.material import Material, Shelf
from tinydeploy.files import prune
from tinydeploy.pipeline import PlanOptions

ROOT = Path(__file__).resolve().parents[2]
CASE = Case("digits", "stm32f746", depth="run")
KEY = "0123456789abcdef" * 4
OUTCOME = Outcome(
    CASE,
    "differs",
    "outputs differ: '\u2028\udc80\x00'",
    "a hint",
    {"arena_bytes": 12_345, "latency_ms": 0.1 + 0.2},
    {"arena_bytes": "computed", "latency_ms": "modelled"},
    (LayerFigures(0, "CONV_2D", "a", 1, 2, 3, 4, None, "slow"), LayerFigures(1, "ADD", "b", 5, 6, 7)),
    1,
    (("t", 3), ("u", 2)),
    "digits",
    "ab" * 32,
    False,
    "tflite-micro 1",
    {"toolchain": "gcc 1"},
    1.5,
    key=KEY,
)


def test_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    assert cache.find(KEY, CASE) is None
    cache.store(OUTCOME)
    assert cache.find(KEY, CASE) == replace(OUTCOME, cached=True)
    assert cache.find(KEY[::-1], CASE) is None


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ("ok", True),
        ("does-not-fit", True),
        ("differs", True),
        ("refused", True),
        ("failed", True),
        ("timed-out", False),
        ("crashed", False),
        ("missing-tool", False),
    ],
)
def test_only_facts_are_kept(tmp_path: Path, status: str, kept: bool) -> None:
    cache = ResultCache(tmp_path)
    cache.store(replace(OUTCOME, status=status))  # type: ignore[arg-type]
    assert (cache.find(KEY, CASE) is not None) == kept


def test_an_outcome_without_a_key_is_not_kept(tmp_path: Path) -> None:
    ResultCache(tmp_path).store(replace(OUTCOME, key=""))
    assert list(tmp_path.rglob("*")) == []


def test_what_a_time_limit_ended_is_no_fact(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.store(replace(OUTCOME, case=replace(CASE, options=PlanOptions(time_limit=1.0))))
    assert list(tmp_path.rglob("*")) == []


def test_a_damaged_entry_is_none_and_goes(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.store(OUTCOME)
    (path,) = tmp_path.rglob("*.json")
    whole = path.read_bytes()
    rng = random.Random(1)
    damaged = [whole[:length] for length in range(0, len(whole) - 1, 7)]
    damaged += [b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, whole.replace(b"12345", b"12346")]
    damaged += [whole.replace(b'"status"', b'"Status"'), json.dumps({"key": KEY, "sha256": "", "outcome": []}).encode()]
    for _ in range(200):
        at = rng.randrange(len(whole))
        other = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        damaged.append(other)
    for text in damaged:
        path.write_bytes(text)
        found = cache.find(KEY, CASE)
        # white space may change without anything being damaged
        assert found is None or (found == replace(OUTCOME, cached=True) and text not in damaged[:100])
        assert path.exists() == (found is not None)
        path.parent.mkdir(exist_ok=True)


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ResultCache(tmp_path / "file")
    cache.store(OUTCOME)
    assert cache.find(KEY, CASE) is None
    cache.prune()


# --- keys -------------------------------------------------------------------------------------------------------------


def of(case: Case, material: Material | None = None) -> str:
    return key_of(case, Shelf().material(case) if material is None else material)


def test_the_key_is_of_all_that_counts_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key, "_toolchain", lambda name: f"gcc 1 {name}")
    monkeypatch.setattr(key, "_references", lambda: "tflite-micro 1")
    monkeypatch.setattr(key, "_package", lambda name: f"{name} 1")
    given = tmp_path / "a.npy"
    given.write_bytes(b"1")
    case = replace(CASE, inputs=(f"x={given}",))
    material = Shelf().material(case)
    assert material.data is not None
    keys = [of(case)]
    assert of(case) == of(replace(case, timeout_seconds=1.0)) == keys[0]
    for change in (
        {"model": "kws"},
        {"board": "stm32l4r5"},
        {"options": PlanOptions(execution="whole")},
        {"options": PlanOptions(effort="quick")},
        {"depth": "build"},
        {"depth": "plan"},
        {"inputs": ()},
        {"samples": 2},
        {"seed": 1},
        {"verify": False},
        {"toolchain": "zig"},
        {"emulator": "qemu"},
        {"renode": "/somewhere"},
    ):
        keys.append(of(replace(case, **change)))  # type: ignore[arg-type]
    keys.append(of(case, replace(material, data=material.data + b"\0")))
    keys.append(of(case, replace(material, board=replace(material.board, clock_hz=1))))
    given.write_bytes(b"2")
    keys.append(of(case))
    monkeypatch.setattr(key, "identity", lambda: "0 (sources 1)")
    keys.append(of(case))
    monkeypatch.setattr(key, "_toolchain", lambda name: "gcc 2")
    keys.append(of(case))
    monkeypatch.setattr(key, "_references", lambda: "")
    keys.append(of(case))
    monkeypatch.setattr(key, "_package", lambda name: "unicorn 2")
    keys.append(of(case))
    assert len(set(keys)) == len(keys)


def test_a_plan_does_not_hang_on_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(CASE, depth="plan")
    before = of(case)
    for name in ("_toolchain", "_references"):
        monkeypatch.delattr(key, name)
    assert of(case) == before


# --- many processes ---------------------------------------------------------------------------------------------------

HAMMER = """
import os, random, sys, time
from dataclasses import replace
from pathlib import Path
from tests.batch.test_cache import CASE, expected, key_number
from tinydeploy.batch import ResultCache
from tinydeploy.files import prune

folder, kills = Path(sys.argv[1]), int(sys.argv[2])

def hammer(rng):
    cache = ResultCache(folder)
    while True:
        number = rng.randrange(40)
        found = cache.find(key_number(number), CASE)
        if found is not None and found != replace(expected(number), cached=True):
            os.write(1, f"wrong: {number} {found}\\n".encode())
        if found is None or rng.random() < 0.3:
            cache.store(expected(number))
        if rng.random() < 0.02:
            prune(folder, 60_000, spared_seconds=0)
        if rng.random() < 0.02:
            try:
                (folder / key_number(number)[:2] / f"{key_number(number)[2:]}.json").write_bytes(b"{")
            except FileNotFoundError:
                pass
        os.write(1, b".")

def start(seed):
    pid = os.fork()
    if not pid:
        try:
            hammer(random.Random(seed))
        finally:
            os._exit(1)
    return pid

rng = random.Random(5)
running = [start(seed) for seed in range(4)]
for seed in range(4, 4 + kills):
    time.sleep(rng.uniform(0.01, 0.1))
    victim = running.pop(rng.randrange(4))
    os.kill(victim, 9)
    assert os.waitpid(victim, 0)[1] == 9, "ended by itself"
    running.append(start(seed))
for victim in running:
    os.kill(victim, 9)
"""


def key_number(number: int) -> str:
    return f"{number * 7919:064x}"[::-1]


def expected(number: int) -> Outcome:
    layers = tuple(LayerFigures(i, "ADD", f"layer {number}", number, i, number * i) for i in range(20))
    figures, kinds = {"arena_bytes": number}, {"arena_bytes": "computed"}
    return Outcome(CASE, "ok", "", None, figures, kinds, layers, key=key_number(number))


@pytest.mark.skipif(sys.platform == "win32", reason="fork cannot be installed on Windows")
def test_entries_are_whole_and_right_whoever_is_killed(tmp_path: Path) -> None:
    """Four processes find, store, damage and prune, and every now and then one of them is killed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HAMMER, str(tmp_path), "80"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout) == {"."}, done.stdout
    assert len(done.stdout) > 100
    cache = ResultCache(tmp_path)
    whole = 0
    for path in list(tmp_path.rglob("*.json")):
        if path.read_bytes() in (b"", b"{"):
            continue  # damaged on purpose
        number = next(n for n in range(40) if key_number(n) == path.parent.name + path.stem)
        assert cache.find(key_number(number), CASE) == replace(expected(number), cached=True)
        whole += 1
    assert whole > 5
    prune(tmp_path, 1 << 30, spared_seconds=0)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json"}  # nothing half written


# --- pruning ----------------------------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    now = time.time()
    for name, hours in (("new/a", 0.1), ("mid/b", 2), ("mid/c", 3), ("old/d", 4), ("old/e", 5)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (now - hours * 3600,) * 2)
    half = tmp_path / "new" / ".aside-x"
    half.write_bytes(b"")
    os.utime(half, (now - 7200,) * 2)

    def left() -> list[str]:
        return sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))

    prune(tmp_path, 4000)
    assert left() == ["mid", "mid/b", "mid/c", "new", "new/a", "old", "old/d"]
    prune(tmp_path, 2500)
    assert left() == ["mid", "mid/b", "new", "new/a"]
    prune(tmp_path, 0)
    assert left() == ["new", "new/a"]  # somebody may be about to read it
    prune(tmp_path / "none", 0)


def test_an_entry_that_is_found_counts_as_used(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.store(OUTCOME)
    (path,) = tmp_path.rglob("*.json")
    os.utime(path, (0, 0))
    cache.find(KEY, CASE)
    assert path.stat().st_mtime > time.time() - 60
