"""What `check` and `sweep` show while they work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinydeploy.cli import logs

if TYPE_CHECKING:
    from tinydeploy.batch import Progress

    Show = Callable[[Progress], None]

_LINE_SECONDS = 15.0
_NAMES_SHOWN = 3


@contextmanager
def watching() -> Iterator[Show]:
    """Yields what `run_cases` is to call as `on_progress`: a bar on a terminal, else a line now and then, nothing with
    -q."""
    if logs.quiet():
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _Lines().show


@contextmanager
def _bar() -> Iterator[Show]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.BarColumn(bar_width=24),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.description}", markup=False),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def show(progress: Progress) -> None:
            bar.update(task, total=progress.total, completed=progress.done, description=_doing(progress))

        yield show


class _Lines:
    """For logs: the first line comes after a while, so that short work is silent."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS or progress.done == progress.total:
            return
        self._last = now
        left = (now - self._began) * (progress.total - progress.done) / max(1, progress.done)
        about = f", about {left:.0f} s left" if progress.done else ""
        print(f"{progress.done} of {progress.total} done{about}: {_doing(progress)} …", file=sys.stderr, flush=True)


def _doing(progress: Progress) -> str:
    names = [logs.clean(f"{case.model} on {case.board}") for case in progress.running[:_NAMES_SHOWN]]
    more = len(progress.running) - len(names)
    failed = [f"{progress.failed} not ok"] if progress.failed else []
    return ", ".join([*failed, *names, *([f"{more} more"] if more else [])])
