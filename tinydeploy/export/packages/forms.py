"""`package_files`: a generated library as the files of a package, in one form or in several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from tinydeploy.codegen.shared import Bundle
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import UsageError
from tinydeploy.export.packages import arduino, cmake, cmsis_pack, platformio, zephyr
from tinydeploy.export.packages.layout import Layout, layout
from tinydeploy.export.packages.package import Package

Form: TypeAlias = Literal["c", "platformio", "arduino", "zephyr", "esp-idf", "cmsis-pack"]
FORMS: tuple[Form, ...] = get_args(Form)

_WRITERS: Mapping[Form, Callable[[Layout], Mapping[str, str]]] = {
    "c": cmake.c_files,
    "platformio": platformio.platformio_files,
    "arduino": arduino.arduino_files,
    "zephyr": zephyr.zephyr_files,
    "esp-idf": cmake.esp_idf_files,
    "cmsis-pack": cmsis_pack.cmsis_pack_files,
}


def package_files(library: SourceTree | Bundle, package: Package, forms: Sequence[Form]) -> Mapping[str, str]:
    """The files of a package that is all of `forms`, by path in its folder, sorted.

    Raises `UsageError` where the arena is spread over memories of one chip and a form's build system, not the
    application, says where memory is.
    """
    chosen = tuple(form for form in FORMS if form in forms)
    if package.pinned and set(chosen) != {"c"}:
        others = ", ".join(form for form in chosen if form != "c")
        raise UsageError(
            f"the arena is spread over several memories of {package.board}, which {others} cannot promise to keep free",
            hint="plan it in one memory, or take --package c and give the arena its places in your linker script",
        )
    made = layout(library, package)
    files = {
        **made.files,
        "LICENSE": made.render("LICENSE.j2"),
        "README.md": made.render("README.md.j2", forms=chosen),
        "examples/plain-c/main.c": made.render("main.c.j2"),
    }
    for form in chosen:
        files |= _WRITERS[form](made)
    if {"c", "esp-idf"} & set(chosen):
        files |= cmake.cmake_lists(made, plain="c" in chosen, esp_idf="esp-idf" in chosen)
    return dict(sorted(files.items()))
