"""A Zephyr module: `zephyr/module.yml`, an option in Kconfig, a library in CMake, and an application that uses it."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.export.packages.layout import Layout


def zephyr_files(layout: Layout) -> Mapping[str, str]:
    """The module and its sample."""
    name = layout.package.name
    return {
        "zephyr/module.yml": layout.render("module.yml.j2"),
        "zephyr/Kconfig": layout.render("Kconfig.j2"),
        "zephyr/CMakeLists.txt": layout.render("zephyr_library.txt.j2"),
        "examples/zephyr-app/CMakeLists.txt": layout.render("zephyr_application.txt.j2"),
        "examples/zephyr-app/prj.conf": f"CONFIG_TINYDEPLOY_{name.upper()}=y\nCONFIG_MAIN_STACK_SIZE=4096\n",
    }
