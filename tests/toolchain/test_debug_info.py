"""Debug information: there, with names that hold in every folder, and nothing of it in what is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.firmware import BOTH, needs_gcc
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.pipeline import PlanOptions, build_image, load, plan_model
from tinydeploy.report.plans import Planned
from tinydeploy.toolchain import driver


def planned() -> Planned:
    return plan_model(load("digits"), find_board("stm32f746"), PlanOptions())


def source_names(elf: Path) -> set[str]:
    """The files that lines come from, by pyelftools."""
    from elftools.elf.elffile import ELFFile

    found = set()
    with elf.open("rb") as stream:
        dwarf = ELFFile(stream).get_dwarf_info()
        for unit in dwarf.iter_CUs():
            found.add(unit.get_top_DIE().attributes["DW_AT_name"].value.decode())
    return found


@pytest.mark.parametrize("toolchain", BOTH)
def test_names_are_those_inside_the_tree(tmp_path: Path, toolchain: str) -> None:
    built = build_image(planned(), tmp_path / "one", toolchain=toolchain)
    names = source_names(built.image.elf)
    assert {"./digits.c", "./runtime/fully_connected.c", "./example/main.c", "firmware/port/startup.c"} <= names
    assert str(tmp_path).encode() not in built.image.elf.read_bytes()
    again = build_image(planned(), tmp_path / "two", toolchain=toolchain)
    assert again.image.elf.read_bytes() == built.image.elf.read_bytes()


@needs_gcc
def test_a_map_calls_objects_by_their_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same wherever the image and the kept objects lie."""
    maps = []
    for folder in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder / "cache"))
        built = build_image(planned(), tmp_path / folder, toolchain="gcc")
        maps.append(built.image.map.read_text("utf-8"))
    assert maps[0] == maps[1] and str(tmp_path) not in maps[0]
    assert "fully_connected.o" in maps[0]


@pytest.mark.parametrize("toolchain", BOTH)
def test_what_is_loaded_is_the_same_without_it(tmp_path: Path, toolchain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = build_image(planned(), tmp_path / "with", toolchain=toolchain).image
    flags = tuple("-g0" if flag == "-g" else flag for flag in driver.COMMON_FLAGS)
    monkeypatch.setattr(driver, "COMMON_FLAGS", flags)
    without = build_image(planned(), tmp_path / "without", toolchain=toolchain).image
    assert with_it.elf.stat().st_size > without.elf.stat().st_size
    assert read_elf(with_it.elf).segments == read_elf(without.elf).segments
    assert (with_it.sections, with_it.flash_bytes) == (without.sections, without.flash_bytes)
