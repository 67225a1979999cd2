"""`bundle`: several libraries in one folder, with one runtime, in one arena."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy import __version__
from tinydeploy.codegen.extras import NO_EXTRAS, Extras
from tinydeploy.codegen.generate import generate, runtime_files
from tinydeploy.codegen.names import c_identifier, comment_text, require_identifier
from tinydeploy.codegen.program import Program
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import UsageError
from tinydeploy.files import write_files
from tinydeploy.ir import Model
from tinydeploy.plan.types import SharedArena, Tenant

NAME = "models"  # of what belongs to all libraries together
_OWN_FILES = frozenset({NAME, f"{NAME}_arena"})


@dataclass(frozen=True)
class Bundle:
    """Files by relative path (POSIX slashes), and what of it belongs to which library.

    `sources` are what a firmware project compiles, `example` what the example adds to it, `arena_symbol` is where the
    example keeps the arena, `done_symbol` the function that it enters at its end.
    """

    libraries: tuple[SourceTree, ...]
    files: Mapping[str, str]
    sources: tuple[str, ...]
    example: tuple[str, ...]
    arena_symbol: str = f"{NAME}_arena"
    done_symbol: str = f"{NAME}_done"

    def write(self, folder: Path) -> None:
        """Write all files below `folder`; raises UsageError when it cannot."""
        write_files(self.files, folder)

    @staticmethod
    def is_constant(library: SourceTree, symbol: str) -> bool:
        """Whether a symbol is one of a library's constants. One library's name may be the beginning of another's."""
        return re.fullmatch(rf"{library.constant_prefix}\d+", symbol) is not None


@dataclass(frozen=True)
class _Member:
    """A library as the templates write it."""

    name: str
    arena_bytes: int
    working_bytes: int
    state_first: int
    state_end: int
    survives: tuple[str, ...]
    feeds: bool


def library_names(models: Sequence[Model], given: Sequence[str] = ()) -> tuple[str, ...]:
    """The C prefix of each library: as given, or from the models' names, with a number where they would clash.

    Raises UsageError for names that are no identifiers, that clash, or that are not one for each model.
    """
    if given and len(given) != len(models):
        raise UsageError(f"{len(given)} names for {len(models)} models", hint="--name once for each model, in order")
    names: list[str] = []
    taken = set(_OWN_FILES)
    for position, model in enumerate(models):
        name = require_identifier(given[position]) if given else c_identifier(model.name)
        if given and not taken.isdisjoint(_files_of(name)):
            raise UsageError(f"'{name}' clashes with another name", hint="--name must be different for each model")
        base, number = name, 1
        while not taken.isdisjoint(_files_of(name)):
            number += 1
            name = c_identifier(f"{base[: 30 - len(str(number))]}_{number}")
        names.append(name)
        taken |= _files_of(name)
    return tuple(names)


def _files_of(name: str) -> frozenset[str]:
    """Without endings."""
    return frozenset({name, f"{name}_data", f"{name}_io", f"{name}_info"})


def bundle(arena: SharedArena, programs: Sequence[Program], extras: Sequence[Extras] = ()) -> Bundle:
    """The libraries' sources, from what `emit` made of each tenant's model and plan, in their order; `extras` are one
    for each of them, or none at all. Raises what `generate` raises."""
    members = list(zip(arena.tenants, programs, strict=True))
    told = extras or [NO_EXTRAS] * len(members)
    libraries = tuple(
        generate(tenant.model, tenant.plan, program, each)
        for (tenant, program), each in zip(members, told, strict=True)
    )
    context = {
        "version": __version__,
        "name": NAME,
        "NAME": NAME.upper(),
        "arena_bytes": max(arena.arena_bytes, arena.alignment),
        "shared_bytes": arena.shared_bytes,
        "alignment": arena.alignment,
        "members": [_member(tenant, program.name) for tenant, program in members],
    }
    files = {path: text for library in libraries for path, text in library.files.items()}
    files |= {
        f"{NAME}_arena.h": templates().get_template("arena.h.j2").render(context),
        "example/main.c": templates().get_template("main_shared.c.j2").render(context),
        "README.md": templates().get_template("README_shared.md.j2").render(context),
    }
    runtime = tuple(f"runtime/{path}" for path in runtime_files() if path.endswith(".c"))
    own = (source for library in libraries for source in library.sources if source not in runtime)
    return Bundle(libraries, files, (*own, *runtime), ("example/main.c",))


def _member(tenant: Tenant, name: str) -> _Member:
    return _Member(
        name,
        max(tenant.plan.arena_bytes, tenant.plan.alignment),
        tenant.working_bytes,
        tenant.state_first,
        tenant.state_end,
        tuple(comment_text(tenant.model.tensor(t).name) for t in tenant.survives),
        bool(tenant.plan.fed),
    )
