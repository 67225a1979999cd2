"""`Package`: what a package says of itself, and what its examples need to know of the models in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.boards import Board
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.shared import NAME as SHARED_NAME
from tinydeploy.codegen.shared import Bundle
from tinydeploy.codegen.support import PORT_CTYPES
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.plan.types import Plan

FIRST_VERSION = "1.0.0"
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True)
class PackagedOutput:
    """An output as examples print it: whether it is of floats, and what helpers the library has for it."""

    floats: bool
    scores: bool
    labels: bool


@dataclass(frozen=True)
class PackagedModel:
    """One model of a package. `name`: its C prefix. `title`, `sha256`: as they may stand in a comment.

    `fed`: by input, whether the application hands it over row by row.
    """

    name: str
    title: str
    sha256: str
    fed: tuple[bool, ...]
    outputs: tuple[PackagedOutput, ...]


@dataclass(frozen=True)
class Package:
    """A package's name (a C identifier), its version (three numbers), its models and the board they are planned for.

    `pinned`: the arena lies at addresses of that board's chip, so that no other chip and no linker script but the
    application's own can give it its place.
    """

    name: str
    version: str
    models: tuple[PackagedModel, ...]
    board: str
    pinned: bool


def package_of(
    library: SourceTree | Bundle,
    members: Sequence[tuple[Model, Plan]],
    board: Board,
    *,
    version: str = FIRST_VERSION,
) -> Package:
    """What the package of `library` says of itself; `members` are its models with their plans, in its order.

    Raises `UsageError` for a version that is not three numbers.
    """
    if _VERSION.fullmatch(version) is None:
        raise UsageError(f"'{comment_text(version)}' is no version of a package", hint="three numbers, as in 1.0.0")
    libraries = library.libraries if isinstance(library, Bundle) else (library,)
    models = tuple(_packaged(tree, *member) for tree, member in zip(libraries, members, strict=True))
    return Package(
        name=SHARED_NAME if isinstance(library, Bundle) else library.name,
        version=version,
        models=models,
        board=comment_text(board.name),
        pinned=any(len(plan.shares) > 1 for _, plan in members),
    )


def _packaged(tree: SourceTree, model: Model, plan: Plan) -> PackagedModel:
    helpers = tree.files[f"{tree.name}_io.h"]
    outputs = (
        PackagedOutput(
            floats=PORT_CTYPES[model.tensor(tensor).dtype] == "float",
            scores=f"{tree.name}_output_{index}_argmax(" in helpers,
            labels=f"{tree.name}_output_{index}_label(" in helpers,
        )
        for index, tensor in enumerate(model.outputs)
    )
    return PackagedModel(
        name=tree.name,
        title=comment_text(model.name),
        sha256=comment_text(model.sha256, 64) or "none",
        fed=tuple(tensor in plan.fed for tensor in model.inputs),
        outputs=tuple(outputs),
    )
