"""`Layout`: the files that all forms of a package share, with all C sources side by side in `src/`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinydeploy import __version__
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.shared import Bundle
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.export.packages.package import Package

if TYPE_CHECKING:
    pass

_RUNTIME = "runtime/"
_EXAMPLE = "example/"
_HASH_DIGITS = 12
_TITLES_LIMIT = 120


@dataclass(frozen=True)
class Layout:
    """Names of files without `src/`: `sources` are the models' own, `runtime` those that are the same in every package
    of one version of tinydeploy, `headers` what an application includes, the first of them is enough.

    `files`: by path in the package. `content` and `runtime_content` are hashes of all sources, and of the runtime's.
    """

    package: Package
    sources: tuple[str, ...]
    runtime: tuple[str, ...]
    headers: tuple[str, ...]
    files: Mapping[str, str]
    content: str
    runtime_content: str

    @property
    def full_version(self) -> str:
        """The version with what it is of as build metadata, as semver has it: other sources, another text."""
        return f"{self.package.version}+src.{self.content}"

    @property
    def sentence(self) -> str:
        """What the package is, in a line that needs no escaping anywhere."""
        titles = comment_text(", ".join(model.title for model in self.package.models), _TITLES_LIMIT)
        what = "Neural networks" if len(self.package.models) > 1 else "Neural network"
        return f"{what} {titles} as a C library for 32-bit microcontrollers - no interpreter, no heap"

    def render(self, template: str, **more: Any) -> str:
        """A template of this folder."""
        context = {"p": self.package, "layout": self, "version": __version__, **more}
        return templates(__package__).get_template(template).render(context)


def layout(library: SourceTree | Bundle, package: Package) -> Layout:
    """Move a library's files to where every form finds them; its own README and example are left out."""
    own = {
        path: text
        for path, text in library.files.items()
        if path.endswith((".c", ".h")) and not path.startswith((_EXAMPLE, _RUNTIME))
    }
    runtime = {
        _runtime_name(path.removeprefix(_RUNTIME)): text
        for path, text in library.files.items()
        if path.startswith(_RUNTIME)
    }
    sources = own | runtime
    first = f"{package.name}_arena.h" if isinstance(library, Bundle) else f"{package.name}.h"
    private = {f"{model.name}_data.h" for model in package.models}
    public = sorted(name for name in own if name.endswith(".h") and name != first and name not in private)
    return Layout(
        package=package,
        sources=tuple(sorted(name for name in own if name.endswith(".c"))),
        runtime=tuple(sorted(name for name in runtime if name.endswith(".c"))),
        headers=(first, *public),
        files={f"src/{name}": text for name, text in sources.items()},
        content=_hash(sources),
        runtime_content=_hash(runtime),
    )


def _runtime_name(name: str) -> str:
    """With a beginning that no model's files have: a model may well be called `add`."""
    return name if name.startswith("td_") else f"td_{name}"


def _hash(files: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\n{len(text)}\n{text}".encode())
    return digest.hexdigest()[:_HASH_DIGITS]
