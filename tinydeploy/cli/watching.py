"""What `run` and `emulate` share for watching a run: --trace and --gdb."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tinydeploy.emulate import GdbServer
    from tinydeploy.report.document import Provenance
    from tinydeploy.report.trace import Timeline

F = TypeVar("F", bound=Callable[..., Any])


def trace_option(function: F) -> F:
    """The option --trace."""
    return click.option(
        "--trace",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        metavar="FILE",
        help="Write a profile by layer and function: .speedscope.json for speedscope, any other .json for Perfetto.",
    )(function)


def gdb_option(function: F) -> F:
    """The option --gdb."""
    return click.option(
        "--gdb",
        type=click.IntRange(0, 65535),
        default=None,
        metavar="PORT",
        help="Wait for GDB on this port of 127.0.0.1 before the first instruction; 0: any free port.",
    )(function)


@contextmanager
def open_server(port: int | None) -> Iterator[GdbServer | None]:
    """A server on the port, if one is asked for; open before the work, so that a port that is taken costs none."""
    if port is None:
        yield None
        return
    from tinydeploy.emulate import GdbServer

    server = GdbServer(port)
    try:
        yield server
    finally:
        server.close()


def announce(server: GdbServer, elf: Path, *sources: Path) -> None:
    """How to come in, on standard error; `sources`: the folders from which the sources have their names."""
    folders = "".join(f"-d {shlex.quote(str(folder))} " for folder in sources)
    click.echo(
        f"waiting for a debugger: gdb-multiarch {folders}{shlex.quote(str(elf))} "
        f"-ex 'target remote 127.0.0.1:{server.port}'",
        err=True,
    )


def check_trace(path: Path | None) -> None:
    """Refuse before the work what cannot be written after it."""
    from tinydeploy.errors import UsageError

    if path is None:
        return
    if path.suffix != ".json":
        raise UsageError(
            f"--trace {path}: the file must end in .json",
            hint="out.speedscope.json opens in speedscope, out.json in Perfetto (ui.perfetto.dev) and Chrome's tracing",
        )
    if not path.parent.is_dir():
        raise UsageError(f"--trace {path}: there is no folder {path.parent}")


def trace_facts(provenance: Provenance, **sha256: str) -> dict[str, Any]:
    """What a trace tells of itself: where it comes from, and the hash of what ran, by what it is."""
    return {
        "tinydeploy": provenance.tinydeploy,
        "options": dict(provenance.options),
        "tools": dict(provenance.tools),
        "sha256": sha256,
    }


def save_trace(path: Path, timeline: Timeline) -> None:
    """Write the file, and say on standard error what it does not show."""
    from tinydeploy.report.trace import write_trace

    write_trace(path, timeline)
    if not timeline.about["complete"]:
        click.echo(f"{path} shows the start of the run only: it has more calls than a trace has room for", err=True)
