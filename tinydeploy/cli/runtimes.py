"""The options of `run` that choose a runtime, and what it does for TensorFlow Lite Micro beside ours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from tinydeploy.emulate import Emulator
    from tinydeploy.ir import Model
    from tinydeploy.pipeline.tflm.running import TflmRan
    from tinydeploy.plan.tflm import KernelSet
    from tinydeploy.report.plans import Planned
    from tinydeploy.toolchain import CxxLibrary
    from tinydeploy.verify import ReferenceRun, Sample, Verification

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--kernels",
        type=click.Choice(["reference", "cmsis-nn"]),
        default=None,
        help="With --runtime tflm: the kernels that the library has. Default: reference.",
    ),
    click.option(
        "--tflm-include",
        "tflm_includes",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        multiple=True,
        metavar="DIR",
        help="With --runtime tflm: a folder of headers, TFLM's or one that they need. Repeatable.",
    ),
    click.option(
        "--tflm-lib",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        default=None,
        metavar="FILE",
        help="With --runtime tflm: the library that you built for the board's core.",
    ),
    click.option(
        "--runtime",
        type=click.Choice(["tinydeploy", "tflm"]),
        default="tinydeploy",
        show_default=True,
        help="tflm: run on TensorFlow Lite Micro, too, and put its figures beside ours.",
    ),
)


@dataclass(frozen=True)
class TflmChoice:
    """What a user gives of TensorFlow Lite Micro."""

    archive: Path | None
    includes: tuple[Path, ...]
    kernels: KernelSet

    def library(self) -> CxxLibrary:
        """The library, looked at. Raises `MissingToolError` and `UsageError`."""
        from tinydeploy.pipeline.tflm.library import tflm_library

        return tflm_library(self.archive, self.includes)


def runtime_options(function: F) -> F:
    """The options that choose a runtime. The command gets them together, as `tflm`, which is None for ours."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.pop("runtime") == "tflm"
        given = {name: kwargs.pop(name) for name in ("tflm_lib", "tflm_includes", "kernels")}
        for option, name in (("--tflm-lib", "tflm_lib"), ("--tflm-include", "tflm_includes"), ("--kernels", "kernels")):
            if given[name] and not wanted:
                raise click.UsageError(f"{option} is for --runtime tflm.")
        choice = TflmChoice(given["tflm_lib"], given["tflm_includes"], given["kernels"] or "reference")
        return function(*args, tflm=choice if wanted else None, **kwargs)

    wrapped = cast(F, command)
    for option in _OPTIONS:
        wrapped = option(wrapped)
    return wrapped


@dataclass(frozen=True)
class Beside:
    """What TFLM did, and how its outputs compare with the reference's; `same_without_placement`: whether it gives the
    same outputs for the file as it was, asked where they are not the reference's. None where that does not fit."""

    ran: TflmRan
    verification: Verification | None
    same_without_placement: bool | None


def run_on_tflm(
    tflm: TflmChoice,
    read: Model,
    data: bytes,
    fitted: Planned,
    emulator: Emulator,
    samples: Sequence[Sample],
    folder: Path,
    *,
    runs: Sequence[ReferenceRun],
    toolchain: str | None,
    stack_bytes: int | None,
) -> Beside:
    """The file `data`, `read`, on TFLM: on the board that `fitted` is for, on `samples` of the file's own inputs, to
    which `runs` are the references' answers."""
    from tinydeploy.errors import DoesNotLinkError
    from tinydeploy.pipeline.tflm.placing import plan_for_tflm, without_placement
    from tinydeploy.pipeline.tflm.running import build_tflm, run_tflm
    from tinydeploy.verify import ReferenceRun, compare

    library, board = tflm.library(), fitted.board
    options: dict[str, Any] = {"memory": fitted.memory, "toolchain": toolchain, "stack_bytes": stack_bytes}
    offline = plan_for_tflm(data, read, kernels=tflm.kernels, core=board.core)
    ran = run_tflm(build_tflm(offline, library, board, folder, **options), emulator, samples)
    verification = compare(read, ran.outputs, runs) if runs else None
    if verification is None or verification.bit_exact:
        return Beside(ran, verification, None)
    bare = without_placement(data, offline, board.core)
    try:
        before = run_tflm(build_tflm(bare, library, board, folder / "before", **options), emulator, samples)
    except DoesNotLinkError:
        return Beside(ran, verification, None)
    told = ReferenceRun("the library with the file as it was", "", before.outputs)
    return Beside(ran, verification, compare(read, ran.outputs, [told]).bit_exact)


def raise_on_tflm_difference(read: Model, beside: Beside) -> None:
    """Raise `MismatchError` for outputs that differ from the reference's, unless it is the library's kernels that do
    so: then the same comes out without our placement."""
    from tinydeploy import verify
    from tinydeploy.errors import MismatchError

    if beside.verification is None or beside.same_without_placement:
        return
    try:
        verify.raise_on_difference(read, beside.verification)
    except MismatchError as error:
        hint = "whether the same comes out without the placement is not known: that does not fit the board"
        if beside.same_without_placement is False:
            hint = "without the placement in the file others come out: this is a bug in tinydeploy, please report it"
        raise MismatchError(f"TensorFlow Lite Micro with the library: {error.message}", hint=hint) from error
