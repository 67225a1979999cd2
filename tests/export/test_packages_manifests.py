"""Manifests against the rules of those who read them, with those readers' own parsers where they are small.

The rules are facts from PlatformIO's manifest schema, Arduino's library specification (as arduino-lint checks it),
Zephyr's module schema, the IDF component manager's manifest model and Open-CMSIS-Pack's PACK.xsd.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.packages import package, planned, written
from tinydeploy.export.packages import Package

NAMES = ["digits", "arduino_net", "m", "a_name_of_exactly_31_characters"]
SEMVER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"


@pytest.fixture(name="made", params=NAMES)
def _made(request: pytest.FixtureRequest) -> tuple[Package, Mapping[str, str]]:
    return package(name=request.param)


def properties(text: str) -> dict[str, str]:
    """Of `library.properties`: every line is key=value."""
    pairs = [line.split("=", 1) for line in text.splitlines()]
    assert len({key for key, _ in pairs}) == len(pairs)
    return {key: value for key, value in pairs}  # noqa: C416


def test_platformio(made: tuple[Package, Mapping[str, str]]) -> None:
    identity, files = made
    found: dict[str, Any] = json.loads(files["library.json"])
    assert found["name"] == identity.name and re.fullmatch(r"[^:;/,@<>]{1,100}", found["name"])
    assert re.fullmatch(SEMVER, found["version"]) and len(found["version"]) <= 50
    assert 1 <= len(found["description"]) <= 1000
    assert all(1 <= len(author["name"]) <= 100 for author in found["authors"])
    assert all(re.fullmatch(r"[a-z\d\-_+. ]{1,50}", keyword) for keyword in found["keywords"])
    assert found["frameworks"] == found["platforms"] == "*"
    assert all(f"{found['build']['includeDir']}/{header}" in files for header in found["headers"])
    for example in found["examples"]:
        assert re.fullmatch(r"[a-zA-Z\d\-_/. ]{1,255}", example["name"])
        assert all(f"{example['base']}/{file}" in files for file in example["files"])
    assert not found.keys() - {
        *("name", "version", "description", "keywords", "authors", "frameworks", "platforms", "headers", "build"),
        "examples",
    }


def test_arduino_properties(made: tuple[Package, Mapping[str, str]]) -> None:
    identity, files = made
    found = properties(files["library.properties"])
    needed = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert found.keys() == needed | {"includes", "dot_a_linkage"}
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9 _.\-]{0,62}", found["name"])
    assert not found["name"].lower().startswith("arduino")
    assert re.fullmatch(SEMVER, found["version"])
    assert found["author"].strip() and found["sentence"].strip()
    assert "arduino" not in found["maintainer"].lower()
    assert found["sentence"] not in found["paragraph"]
    assert found["category"] == "Data Processing"
    assert urlsplit(found["url"]).scheme == "https" and urlsplit(found["url"]).netloc
    architectures = found["architectures"].split(",")
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in architectures)
    assert "avr" not in architectures  # its int has 16 bits
    assert f"src/{found['includes']}" in files and found["dot_a_linkage"] == "true"
    assert f"examples/{identity.name}/{identity.name}.ino" in files


def test_arduino_finds_nothing_that_it_refuses(made: tuple[Package, Mapping[str, str]]) -> None:
    identity, files = made
    folders = {path.split("/")[0] for path in files if "/" in path}
    assert not folders & {"utility", "Src", "SRC", "extra", "example", "Examples"}
    assert not [path for path in files if path.endswith((".exe", ".pde", ".development"))]
    sketches = [path for path in files if path.endswith(".ino")]
    assert sketches == [f"examples/{identity.name}/{identity.name}.ino"]
    assert re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.\-]{0,62}", identity.name)


def test_zephyr_module(made: tuple[Package, Mapping[str, str]]) -> None:
    identity, files = made
    found = yaml.safe_load(files["zephyr/module.yml"])
    assert found == {"name": identity.name, "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}}
    assert {"zephyr/CMakeLists.txt", found["build"]["kconfig"]} <= files.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kconfig_gives_the_option_that_the_library_and_the_application_ask_for(
    made: tuple[Package, Mapping[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kconfiglib = pytest.importorskip("kconfiglib", reason="pip install 'tinydeploy[test]' for kconfiglib")
    identity, files = made
    written(tmp_path, files)
    monkeypatch.setenv("srctree", str(tmp_path))
    top = 'config MAIN_STACK_SIZE\n\tint\n\tdefault 1024\n\tprompt "stack"\nsource "zephyr/Kconfig"\n'
    (tmp_path / "Kconfig").write_text(top, "utf-8")
    parsed = kconfiglib.Kconfig("Kconfig", warn_to_stderr=False)
    option = parsed.syms[f"TINYDEPLOY_{identity.name.upper()}"]
    assert option.str_value == "n"
    parsed.load_config(str(tmp_path / "examples/zephyr-app/prj.conf"))
    assert parsed.warnings == []
    assert option.str_value == "y"
    assert f"if(CONFIG_{option.name})" in files["zephyr/CMakeLists.txt"]


def test_esp_idf_manifest(made: tuple[Package, Mapping[str, str]]) -> None:
    _, files = made
    found = yaml.safe_load(files["idf_component.yml"])
    assert found.keys() == {"version", "description"}
    assert re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(~\d+)?(-[0-9a-zA-Z.-]+)?(\+[0-9a-zA-Z.-]+)?", found["version"])
    assert isinstance(found["description"], str)


def test_cmsis_pack(made: tuple[Package, Mapping[str, str]]) -> None:
    identity, files = made
    (path,) = [path for path in files if path.endswith(".pdsc")]
    root = ET.fromstring(files[path].encode())
    assert root.tag == "package" and re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?", root.attrib["schemaVersion"])
    children = [child.tag for child in root]
    assert len(set(children)) == len(children)
    assert {"name", "vendor", "description", "url", "releases"} <= set(children)  # all that must be there
    assert set(children) <= {
        *("name", "vendor", "description", "url", "license", "releases", "keywords", "conditions", "components")
    }
    vendor, name = root.findtext("vendor"), root.findtext("name")
    assert path == f"{vendor}.{name}.pdsc" and name == identity.name
    assert re.fullmatch(r"[\-_A-Za-z0-9]+", vendor or "") and re.fullmatch(r"[\-_A-Za-z0-9]+", name or "")
    assert root.findtext("license") in files
    releases = [each.attrib["version"] for each in root.iter("release")]
    assert releases and all(re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version) for version in releases)
    conditions = {each.attrib["id"]: each for each in root.iter("condition")}
    offered = set()
    for component in root.iter("component"):
        key = tuple(component.attrib[part] for part in ("Cvendor", "Cclass", "Cgroup", "Csub"))
        for part in key[:3]:
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+()'/\-\s.]+", part) and 2 <= len(part) <= 32
        assert re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_+():/\- .]*)?", key[3]) and len(key[3]) <= 32
        assert re.fullmatch(r"(0|[1-9]\d*)\.([0-9]+)(\.([0-9]+))?", component.attrib["Cversion"])
        assert component.attrib.get("condition", "Runtime") in conditions
        assert component.findtext("description")
        for file in component.iter("file"):
            assert file.attrib["name"] in files
            assert file.attrib["category"] in {"doc", "header", "source"}
        offered.add((*key, f"{component.attrib['Cversion']}:{component.attrib['Cversion']}"))
    (required,) = conditions["Runtime"].iter("require")
    assert tuple(required.attrib[p] for p in ("Cvendor", "Cclass", "Cgroup", "Csub", "Cversion")) in offered
    assert len(conditions) == 1 and len(offered) == 2


def test_labels_are_in_the_examples_where_there_are_labels() -> None:
    _, files = package(planned(), labels=[f"digit {d}" for d in range(10)])
    _, without = package(planned())
    call = "digits_output_0_label(digits_output_0_argmax(digits_output_0(arena)))"
    for path in ("examples/plain-c/main.c", "examples/digits/digits.ino"):
        assert call in files[path]
        assert "_label(" not in without[path] and "digits_output_0_argmax(" in without[path]
