"""Plain C with CMake and Make, and a component of ESP-IDF: both are the same CMakeLists.txt at the top."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.export.packages.layout import Layout


def cmake_lists(layout: Layout, *, plain: bool, esp_idf: bool) -> Mapping[str, str]:
    """The CMakeLists.txt that serves one of them or both."""
    return {"CMakeLists.txt": layout.render("CMakeLists.txt.j2", plain=plain, esp_idf=esp_idf)}


def c_files(layout: Layout) -> Mapping[str, str]:
    """What plain C has beside CMakeLists.txt."""
    return {"Makefile": layout.render("Makefile.j2")}


def esp_idf_files(layout: Layout) -> Mapping[str, str]:
    """What a component has beside CMakeLists.txt: its manifest, and a project that uses it."""
    return {
        "idf_component.yml": layout.render("idf_component.yml.j2"),
        "examples/esp-idf/CMakeLists.txt": layout.render("esp_idf_project.txt.j2"),
        "examples/esp-idf/main/CMakeLists.txt": layout.render("esp_idf_main.txt.j2"),
    }
