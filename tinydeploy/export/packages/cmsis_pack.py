"""The description of a CMSIS pack (`.pdsc`), after Open-CMSIS-Pack's schema 1.7."""

from __future__ import annotations

from collections.abc import Mapping

from tinydeploy.codegen.generate import RUNTIME_VERSION
from tinydeploy.export.packages.layout import Layout

VENDOR = "tinydeploy"


def cmsis_pack_files(layout: Layout) -> Mapping[str, str]:
    """The description: one component with the model, one with the kernels, which several packs may offer."""
    text = layout.render("pack.pdsc.j2", vendor=VENDOR, runtime_version=f"{RUNTIME_VERSION}.0.0")
    return {f"{VENDOR}.{layout.package.name}.pdsc": text}
