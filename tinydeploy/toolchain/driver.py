"""What building is, whichever compiler does it: compile in parallel, link by the board's script, read the sizes."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tinydeploy.boards import Board
from tinydeploy.errors import BuildError, MissingToolError, TinydeployError
from tinydeploy.resources import firmware_dir
from tinydeploy.toolchain.cache import ObjectCache, read_dependencies
from tinydeploy.toolchain.linker import linker_script, overflow_error
from tinydeploy.toolchain.types import STACK_BYTES, ArenaPart, CxxLibrary, Image, image_of

# -ffp-contract: both compilers compute what the source says, without fused multiply-adds, so outputs are the same.
# -g: a debugger shows lines; it adds to the file and to nothing that is loaded.
COMMON_FLAGS = (
    "-std=c99",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    "-ffp-contract=off",
    "-g",
    "-fomit-frame-pointer",
    "-Wall",
    "-Wextra",
    "-Werror",
)
_C_FLAGS = ("-std=c99", "-ffreestanding")  # those above that C++ has others for
_CXX_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
_CXX_SUFFIX = ".cc"
_log = logging.getLogger(__name__)
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,-e,Reset_Handler")
_WORDS_KEPT = 4000


class Driver(ABC):
    """A `Toolchain` by way of a compiler that takes GCC's options."""

    name: str

    def __init__(self, command: Sequence[str], cache_dir: Path | None = None) -> None:
        """`command` starts the compiler; `cache_dir` replaces the user's cache folder."""
        self._command = list(command)
        self._cache_dir = cache_dir

    @property
    @abstractmethod
    def version(self) -> str:
        """The compiler's name and version, one line."""

    @abstractmethod
    def core_flags(self, board: Board) -> list[str]:
        """Core, FPU and calling convention."""

    def source_flags(self, source: Path) -> list[str]:
        """What one file needs on top."""
        return []

    def link_flags(self) -> list[str]:
        """How to link without a C library but with the compiler's own helpers (64-bit division, soft floats)."""
        return []

    def library_flags(self) -> list[str]:
        """How to link with a library in C++, behind its name; raises `MissingToolError` for a compiler that cannot."""
        raise MissingToolError(
            f"{self.version} has no C library for a part without an operating system, which C++ needs",
            hint="use --toolchain gcc: apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib",
        )

    def trouble(self, words: str) -> TinydeployError | None:
        """What keeps it from compiling anything at all, as far as its words are about that."""
        return None

    def map_flags(self, map_file: Path) -> list[str]:
        """How to have a map written; what is printed instead goes into the file."""
        return [f"-Wl,-Map={map_file}"]

    def build(
        self,
        sources: Sequence[Path],
        includes: Sequence[Path],
        board: Board,
        out_dir: Path,
        *,
        name: str = "image",
        defines: Mapping[str, str] | None = None,
        optimize: str = "-O2",
        stack_bytes: int = STACK_BYTES,
        arena: Sequence[ArenaPart] = (),
        library: CxxLibrary | None = None,
    ) -> Image:
        """See `Toolchain.build`."""
        script = out_dir / f"{name}.ld"
        elf, map_file = out_dir / f"{name}.elf", out_dir / f"{name}.map"
        out_dir.mkdir(parents=True, exist_ok=True)
        libraries = self.link_flags() if library is None else [str(library.archive), *self.library_flags()]
        text = linker_script(board, stack_bytes=stack_bytes, arena=arena, constructors=library is not None)
        script.write_text(text, encoding="utf-8")
        port = firmware_dir() / "port"
        all_sources = [*sources, *sorted(port.glob("*.c"))]
        all_sources += sorted(port.glob("library/*.c")) if library is not None else []
        flags = [*self.core_flags(board), optimize, *COMMON_FLAGS]
        flags += [f"-D{key}={value}" for key, value in sorted((defines or {}).items())]
        with tempfile.TemporaryDirectory(prefix="tinydeploy-obj-") as scratch:
            objects = self._compile_all(all_sources, includes, flags, library, Path(scratch))
            self._link([*map(str, objects), *libraries], board, script, elf, map_file)
        names = {str(made): f"{source.stem}.o" for made, source in zip(objects, all_sources, strict=True)}
        _name_in_map(map_file, {**names, str(elf): elf.name})
        return image_of(elf, map_file, self.version)

    # --- compiling ------------------------------------------------------------------------------------------------

    def _compile_all(
        self,
        sources: Sequence[Path],
        includes: Sequence[Path],
        flags: list[str],
        library: CxxLibrary | None,
        scratch: Path,
    ) -> list[Path]:
        cache = ObjectCache(self._cache_folder())
        system = firmware_dir() / "port" / "freestanding"
        fixed = [self.version, str(len(includes)), *flags]
        fixed += [header.read_text("utf-8") for header in sorted(system.glob("*.h"))]

        def one(numbered: tuple[int, Path]) -> Path:
            number, source = numbered
            own = [*self.source_flags(source), *_library_flags(source, library)]
            general = [flag for flag in flags if flag not in _C_FLAGS] if source.suffix == _CXX_SUFFIX else flags
            names, title = _debug_names(source, includes)
            key = cache.key(source, [*fixed, *own, title])
            found = cache.find(key, source, includes)
            if found is not None:
                return found
            made = scratch / f"{number}.o"
            dependencies = scratch / f"{number}.d"
            call = [*self._command, *general, *own, *names]
            call += [f"-I{folder}" for folder in includes]
            # a library's headers are not the system's: when one changes, the object is stale
            call += ["-MD"] if source.suffix == _CXX_SUFFIX else ["-isystem", str(system), "-MMD"]
            call += ["-MF", str(dependencies), "-c", str(source), "-o", str(made)]
            done = _run(call)
            if done.returncode != 0:
                words = f"{self.version} refuses {source.name}:\n{_words(done)}"
                raise self.trouble(done.stderr) or BuildError(words)
            try:
                headers = [Path(n).absolute() for n in read_dependencies(dependencies.read_text("utf-8"))]
            except OSError:
                return made  # without them there is no knowing when the object is stale
            others = [h for h in headers if h != source.absolute()]
            return cache.store(key, made, source, others, includes)

        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            objects = list(pool.map(one, enumerate(sources)))
        cache.prune()
        return objects

    def _cache_folder(self) -> Path:
        import platformdirs

        root = self._cache_dir or Path(platformdirs.user_cache_dir("tinydeploy", appauthor=False))
        return root / "objects"

    # --- linking --------------------------------------------------------------------------------------------------

    def _link(self, parts: Sequence[str], board: Board, script: Path, elf: Path, map_file: Path) -> None:
        call = [*self._command, *self.core_flags(board), *parts]
        call += ["-T", str(script), *LINK_FLAGS, *self.map_flags(map_file), "-o", str(elf)]
        done = _run(call)
        if done.returncode != 0:
            words = done.stdout + done.stderr
            known = overflow_error(board, words) or self.trouble(words)
            raise known or BuildError(f"{self.version} does not link the image:\n{_words(done)}")
        if not map_file.is_file():
            map_file.write_text(done.stdout, encoding="utf-8")


def _name_in_map(map_file: Path, names: Mapping[str, str]) -> None:
    """Objects by their sources: where they lay is no news, and differs from build to build."""
    text = map_file.read_text(encoding="utf-8", errors="surrogateescape")
    for path, name in names.items():
        text = text.replace(path, name)
    map_file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _library_flags(source: Path, library: CxxLibrary | None) -> list[str]:
    """What a file wants beside a library: the start-up code, to call constructors; C++, its headers."""
    if library is None:
        return []
    if source.suffix != _CXX_SUFFIX:
        return ["-DTD_CONSTRUCTORS"]
    headers = (part for folder in library.includes for part in ("-isystem", str(folder)))
    return [*_CXX_FLAGS, *(f"-D{definition}" for definition in library.defines), *headers]


def _debug_names(source: Path, includes: Sequence[Path]) -> tuple[list[str], str]:
    """How to have files called in debug information, and what `source` is called then.

    By their names inside the tree, wherever that lies: an object is the same in every folder, so that it can be kept.
    """
    roots = {Path.cwd(): ".", firmware_dir(): "firmware", (includes[0] if includes else source.parent): "."}
    flags = [f"-ffile-prefix-map={folder}={name}" for folder, name in roots.items()]
    inside = [source.relative_to(folder).as_posix() for folder in roots if source.is_relative_to(folder)]
    return flags, min(inside, key=len, default=source.name)


def _run(call: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(call, capture_output=True, text=True, errors="replace", check=False)
    _log.debug("exit code %d: %s", done.returncode, shlex.join(call))
    return done


def _words(done: subprocess.CompletedProcess[str]) -> str:
    words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").strip()
    return words if len(words) <= _WORDS_KEPT else words[:_WORDS_KEPT] + " …"
