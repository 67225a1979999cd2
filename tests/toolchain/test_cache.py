"""The object cache: what is compiled again, and what is not."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.support.firmware import BOTH
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.toolchain import Image, find_toolchain
from tinydeploy.toolchain import cache as cache_module
from tinydeploy.toolchain import driver as driver_module
from tinydeploy.toolchain.cache import ObjectCache, read_dependencies


class Project:
    """A source, a header of its own and one from an include folder, in a folder that can move."""

    def __init__(self, root: Path, toolchain: str, cache: Path) -> None:
        self.root, self.toolchain, self.cache = root, toolchain, cache
        (root / "include").mkdir(parents=True)
        self.source = self.write("main.c", '#include "own.h"\n#include "far.h"\nint main(void) { return OWN + FAR; }')
        self.write("own.h", "#define OWN 1")
        self.write("include/far.h", "#define FAR 2")

    def write(self, name: str, text: str) -> Path:
        (self.root / name).write_text(text, encoding="utf-8")
        return self.root / name

    def build(self, **options: object) -> Image:
        tools = find_toolchain(self.toolchain, self.cache)
        return tools.build(
            [self.source],
            [self.root / "include"],
            find_board("stm32f746"),
            self.root / "out",
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sources that a compiler was started for."""
    names: list[str] = []
    real = driver_module._run

    def spy(call: list[str]) -> object:
        names.extend(Path(argument).name for argument in call if argument.endswith(".c"))
        return real(call)

    monkeypatch.setattr(driver_module, "_run", spy)
    return names


@pytest.mark.parametrize("toolchain", BOTH)
def test_only_what_changed_is_compiled_again(toolchain: str, tmp_path: Path, compiled: list[str]) -> None:
    project = Project(tmp_path / "a", toolchain, tmp_path / "cache")

    def again(**options: object) -> list[str]:
        compiled.clear()
        project.build(**options)
        return sorted(compiled)

    everything = ["main.c", "startup.c", "string.c"]
    assert again() == everything
    assert again() == []
    project.write("own.h", "#define OWN 5")
    assert again() == ["main.c"]
    project.write("include/far.h", "#define FAR 7")
    assert again() == ["main.c"]
    project.write("own.h", "#define OWN 1")
    project.write("include/far.h", "#define FAR 2")
    assert again() == []  # as it was at first
    assert again(defines={"EXTRA": "1"}) == everything
    assert again(optimize="-Os") == everything
    project.write("main.c", "int main(void) { return 3; }")
    assert again() == ["main.c"]
    # a header that now shadows another one
    project.write("main.c", '#include "far.h"\nint main(void) { return FAR; }')
    assert again() == ["main.c"]
    project.write("far.h", "#define FAR 9")
    assert again() == ["main.c"]


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_tree_that_moves_keeps_its_objects(toolchain: str, tmp_path: Path, compiled: list[str]) -> None:
    first = Project(tmp_path / "here", toolchain, tmp_path / "cache").build()
    compiled.clear()
    second = Project(tmp_path / "there is room" / "in here", toolchain, tmp_path / "cache").build()
    assert compiled == []
    assert [s.data for s in read_elf(first.elf).segments] == [s.data for s in read_elf(second.elf).segments]


@pytest.mark.parametrize("toolchain", BOTH)
def test_broken_and_missing_caches_do_no_harm(toolchain: str, tmp_path: Path, compiled: list[str]) -> None:
    project = Project(tmp_path / "a", toolchain, tmp_path / "cache")
    expected = read_elf(project.build().elf).segments
    for file in (tmp_path / "cache").rglob("entries.json"):
        file.write_text('[[["x", "y"]], 3, {"a": ', encoding="utf-8")
    compiled.clear()
    assert read_elf(project.build().elf).segments == expected
    assert len(compiled) == 3
    for file in (tmp_path / "cache").rglob("*.o"):
        file.unlink()
    assert read_elf(project.build().elf).segments == expected
    project.cache = tmp_path / "a" / "main.c"  # a file, where no folder can be
    assert read_elf(project.build().elf).segments == expected


def test_concurrent_stores_of_one_object(tmp_path: Path) -> None:
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text("s")
    header.write_text("h")
    made = tmp_path / "made.o"
    made.write_bytes(b"object" * 50_000)
    wrong: list[object] = []

    def worker() -> None:
        for _ in range(20):
            cache = ObjectCache(tmp_path / "cache")
            key = cache.key(source, ["-O2"])
            kept = cache.store(key, made, source, [header], [])
            found = ObjectCache(tmp_path / "cache").find(key, source, [])
            if found != kept or found is None or found.read_bytes() != made.read_bytes():
                wrong.append(found)

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix not in (".o", ".json")] == []


def test_objects_that_are_used_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "KEPT_BYTES", 2500)
    made = tmp_path / "made.o"
    made.write_bytes(bytes(1000))
    cache = ObjectCache(tmp_path / "cache")
    keys = {}
    for position, name in enumerate(("used.c", "old.c", "older.c")):
        source = tmp_path / name
        source.write_text(name)
        keys[source] = cache.key(source, [])
        kept = cache.store(keys[source], made, source, [], [])
        for path in kept.parent.iterdir():
            os.utime(path, (1000 - position, 1000 - position))
    assert cache.find(keys[tmp_path / "used.c"], tmp_path / "used.c", []) is not None
    cache.prune()
    assert {s.name for s, key in keys.items() if cache.find(key, s, []) is not None} == {"used.c", "old.c"}


def test_dependency_files() -> None:
    text = "out/a.o: src/a.c src/my\\ own.h \\\n  /usr/inc/b\\#1.h \\\r\n cost$$.h\n\nsrc/my own.h:\n"
    assert read_dependencies(text) == ["src/a.c", "src/my own.h", "/usr/inc/b#1.h", "cost$.h"]
    assert read_dependencies("C:\\out\\a.o: C:\\src\\a.c C:\\src\\b.h\n") == ["C:\\src\\a.c", "C:\\src\\b.h"]
    assert read_dependencies("") == []
