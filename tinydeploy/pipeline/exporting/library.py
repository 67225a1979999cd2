"""The C library of one model or of several as a package, told where its models come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tinydeploy.codegen import Extras, Identity, SourceTree
from tinydeploy.codegen.shared import Bundle
from tinydeploy.convert.types import Source
from tinydeploy.pipeline.building import generate_library
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.pipeline.shared import generate_together
from tinydeploy.report.plans import Planned
from tinydeploy.report.shared import PlannedTogether

if TYPE_CHECKING:
    from tinydeploy.export.packages import Form


def identified(extras: Extras, int8: Int8Model) -> Extras:
    """With where the model comes from: the name and hash of the float model that it was made of."""
    if int8.converted is None:
        return extras
    made = Identity(source=shown_source(int8.source), source_sha256=int8.converted.source_sha256)
    return replace(extras, identity=made)


def shown_source(source: Source) -> str:
    """What a file may say of a source: its name without its folders, which are nobody's business."""
    return source.path.name if source.path is not None else source.text


def package_library(
    planned: Planned | PlannedTogether,
    forms: Sequence[Form],
    extras: Sequence[Extras],
    *,
    name: str | None = None,
    version: str | None = None,
) -> tuple[SourceTree | Bundle, Mapping[str, str]]:
    """The library of one model or of several, and the files of its package. `extras`: one for each model.

    `name` is the C prefix of a single model; several were named when they were planned. Raises what `generate_library`,
    `package_of` and `package_files` raise.
    """
    from tinydeploy.export.packages import package_files, package_of

    library: SourceTree | Bundle
    if isinstance(planned, PlannedTogether):
        library = generate_together(planned, extras)
        members = [(each.model, each.plan) for each in planned.members]
    else:
        library = generate_library(planned, name, extras[0])
        members = [(planned.model, planned.plan)]
    package = package_of(library, members, planned.board, **({} if version is None else {"version": version}))
    return library, package_files(library, package, forms)
