"""What is in a package: files by form, nothing lost or left out, nothing of a model's in a manifest unescaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.model_files import ROOT
from tests.support.packages import package, planned, spread
from tinydeploy.boards import find_board
from tinydeploy.catalog import load
from tinydeploy.codegen.generate import runtime_files
from tinydeploy.errors import UsageError
from tinydeploy.export.packages import FORMS, Form, package_files, package_of
from tinydeploy.pipeline import PlanOptions
from tinydeploy.pipeline.shared import generate_together, plan_together
from tinydeploy.report.plans import Planned

COMMON = {"LICENSE", "README.md", "examples/plain-c/main.c"}
BY_FORM: dict[Form, set[str]] = {
    "c": {"CMakeLists.txt", "Makefile"},
    "platformio": {"library.json"},
    "arduino": {"library.properties", "examples/digits/digits.ino"},
    "zephyr": {
        "zephyr/module.yml",
        "zephyr/Kconfig",
        "zephyr/CMakeLists.txt",
        "examples/zephyr-app/CMakeLists.txt",
        "examples/zephyr-app/prj.conf",
    },
    "esp-idf": {
        "CMakeLists.txt",
        "idf_component.yml",
        "examples/esp-idf/CMakeLists.txt",
        "examples/esp-idf/main/CMakeLists.txt",
    },
    "cmsis-pack": {"tinydeploy.digits.pdsc"},
}
LISTS = ("CMakeLists.txt", "Makefile", "zephyr/CMakeLists.txt", "tinydeploy.digits.pdsc")
HOSTILE = "a\"b'c$(rm -rf x)%s*/ //\n#{{7*7}}]]>&lt;<b>${X}`y`\\é\x1b[31m"
SYSTEM_HEADERS = {"stddef.h", "stdint.h", "string.h", "arm_acle.h"}


def beside_sources(files: Sequence[str]) -> set[str]:
    """The paths that are not C below src/."""
    return {path for path in files if not path.startswith("src/")}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_adds_its_files_and_no_others(form: Form) -> None:
    _, files = package(forms=[form])
    assert beside_sources([*files]) == COMMON | BY_FORM[form]


def test_all_forms_are_the_sum() -> None:
    _, files = package()
    assert beside_sources([*files]) == COMMON.union(*BY_FORM.values())
    assert list(files) == sorted(files)


def test_the_order_and_number_of_forms_change_nothing() -> None:
    assert package(forms=["zephyr", "c", "c"]) == package(forms=["c", "zephyr"])
    assert package(forms=["c"])[1]["Makefile"] == package()[1]["Makefile"]


@pytest.mark.parametrize("path", LISTS)
def test_every_source_is_listed_once_where_sources_are_listed(path: str) -> None:
    _, files = package()
    sources = {p.removeprefix("src/") for p in files if p.startswith("src/") and p.endswith(".c")}
    text = files[path].partition("\n  return()\n")[2] if path == "CMakeLists.txt" else files[path]  # plain CMake's
    listed = re.findall(r"(?:src|\$\{sources\})/(\w+\.c)\b", text)
    assert sorted(listed) == sorted(sources)
    assert len(sources) == len([p for p in runtime_files() if p.endswith(".c")]) + 4  # steps, data, io, info


def test_the_component_of_esp_idf_lists_the_same_sources() -> None:
    _, files = package()
    component, _, plain = files["CMakeLists.txt"].partition("\n  return()\n")
    assert re.findall(r"src/\w+\.c", component) == re.findall(r"src/\w+\.c", plain)


def test_every_include_is_beside_its_source_or_the_compilers() -> None:
    _, files = package()
    for path, text in files.items():
        if path.startswith("src/"):
            quoted = re.findall(r'^\s*#include "(.+)"', text, re.MULTILINE)
            assert all(f"src/{name}" in files for name in quoted), path
            assert SYSTEM_HEADERS.issuperset(re.findall(r"^\s*#include <(.+)>", text, re.MULTILINE)), path


@pytest.mark.parametrize("name", ["add", "mean", "softmax", "c", "zephyr", "runtime", "test", "all"])
def test_a_model_may_be_called_what_a_kernel_or_a_folder_is_called(name: str) -> None:
    _, files = package(name=name)
    own = {f"src/{name}{end}" for end in (".c", ".h", "_data.c", "_data.h", "_io.c", "_io.h", "_info.c", "_info.h")}
    runtime = {f"src/{p if p.startswith('td_') else f'td_{p}'}" for p in runtime_files()}
    assert {p for p in files if p.startswith("src/")} == own | runtime
    assert f'#include "{name}_data.h"' in files[f"src/{name}.c"]
    folders = {p.rsplit("/", 1)[0] for p in files if p.startswith("examples/") and p.endswith((".ino", ".c"))}
    assert folders == {f"examples/{name}", "examples/plain-c"}  # a sketch's folder has no other program in it


def test_a_hostile_title_is_inert_everywhere() -> None:
    of = planned()
    model = replace(of.model, name=HOSTILE, path=HOSTILE, sha256='0"$(x)')
    _, plain = package(name="net")
    _, files = package(Planned(replace(of.prepared, model=model), of.board, of.costs, of.plan, of.fit), name="net")
    assert files.keys() == plain.keys()
    for path, text in files.items():
        assert text.isascii() or not plain[path].isascii(), path
        assert "\x1b" not in text, path
        for sign in "\"'$`<>&#%\\{}[]*":
            assert text.count(sign) == plain[path].count(sign) or path.startswith("src/"), (path, sign)
        assert text.count("\n") == plain[path].count("\n"), path


def test_another_model_or_plan_has_another_version_and_the_same_has_the_same() -> None:
    whole = planned(options=PlanOptions(execution="whole"))
    whole = planned(options=PlanOptions(execution="whole"))
    texts = [package(of)[1]["idf_component.yml"] for of in (planned(), whole, planned())]
    versions = [re.findall(r'version: "1\.0\.0\+src\.([0-9a-f]{12})"', text) for text in texts]
    assert versions[0] == versions[2] != versions[1]


@pytest.mark.parametrize("version", ["", "1", "1.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", "1.0.0 $(x)", "v1.0.0", "1.٢.0"])
def test_a_version_is_three_numbers(version: str) -> None:
    with pytest.raises(UsageError, match="is no version of a package") as caught:
        package(version=version)
    assert "\n" not in caught.value.message


def test_the_version_is_everywhere() -> None:
    _, files = package(version="2.13.4")
    for path in ("CMakeLists.txt", "library.json", "library.properties", "idf_component.yml", "tinydeploy.digits.pdsc"):
        assert "2.13.4" in files[path]
        assert "1.0.0" not in files[path]


def test_an_arena_in_several_memories_is_for_plain_c_alone() -> None:
    with pytest.raises(UsageError, match=r"which platformio, zephyr cannot promise") as caught:
        package(spread(), ["c", "zephyr", "platformio"])
    assert "--package c" in (caught.value.hint or "")
    _, files = package(spread(), ["c"])
    assert "(uintptr_t)VWW_ARENA_ADDRESS" in files["examples/plain-c/main.c"]
    assert "static uint8_t arena" not in files["examples/plain-c/main.c"]
    assert "your linker script must keep" in files["README.md"]


def test_several_models_are_one_package() -> None:
    board = find_board("stm32f746")
    together = plan_together([load("digits"), load("kws")], board, PlanOptions())
    bundle = generate_together(together)
    made = package_of(bundle, [(m.model, m.plan) for m in together.members], board)
    files = package_files(bundle, made, FORMS)
    assert made.name == "models"
    assert {"src/models_arena.h", "src/digits.c", "src/kws.c", "examples/models/models.ino"} <= files.keys()
    assert "includes=models_arena.h\n" in files["library.properties"]
    main = files["examples/plain-c/main.c"]
    assert main.index("digits_invoke(arena)") < main.index("kws_invoke(arena)")
    assert "static uint8_t arena[MODELS_ARENA_BYTES]" in main


def test_the_licence_is_the_runtimes_and_no_claim_on_the_weights() -> None:
    _, files = package()
    mit = (ROOT / "LICENSE").read_text("utf-8").partition("\n\n")[2]
    assert files["LICENSE"].endswith(mit)
    assert "tinydeploy does not know" in files["LICENSE"]
