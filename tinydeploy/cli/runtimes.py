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
    from tinydeploy.pipeline.tflm_running import TflmRan
    from tinydeploy.plan.tflm import KernelSet
    from tinydeploy.report.plans import Planned
    from tinydeploy.toolchain import CxxLibrary
    from tinydeploy.verify import Sample, Verification

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
        from tinydeploy.pipeline.tflm_library import tflm_library

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


def run_on_tflm(
    tflm: TflmChoice,
    read: Model,
    data: bytes,
    fitted: Planned,
    emulator: Emulator,
    samples: Sequence[Sample],
    folder: Path,
    *,
    toolchain: str | None,
    stack_bytes: int | None,
) -> TflmRan:
    """The file `data`, `read`, on TFLM: on the board that `fitted` is for, on `samples` of the file's own inputs."""
    from tinydeploy.pipeline.tflm import plan_for_tflm
    from tinydeploy.pipeline.tflm_running import build_tflm, run_tflm

    library, board = tflm.library(), fitted.board
    offline = plan_for_tflm(data, read, kernels=tflm.kernels, core=board.core)
    built = build_tflm(
        offline, library, board, folder, memory=fitted.memory, toolchain=toolchain, stack_bytes=stack_bytes
    )
    return run_tflm(built, emulator, samples)


def raise_on_tflm_difference(read: Model, verification: Verification) -> None:
    """Raise `MismatchError` unless TFLM's outputs are bit-exact: it is not our kernels that differ then."""
    from tinydeploy import verify
    from tinydeploy.errors import MismatchError

    try:
        verify.raise_on_difference(read, verification)
    except MismatchError as error:
        raise MismatchError(
            f"TensorFlow Lite Micro with the library: {error.message}",
            hint="its kernels are not bit-exact with the reference's; the report has both runtimes' verdicts",
        ) from error
