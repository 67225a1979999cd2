"""Processes that end: Renode without a window, and never longer than the one who started it.

Renode's monitor reads commands from standard input, and ends when that does. So it gets a pipe that nothing is written
to: it waits there as long as this process is alive, and no longer. Otherwise it is killed, with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tinydeploy.errors import MissingToolError
from tinydeploy.processes import APART, end_tree

CONFIG = "renode.config"
_LINES_KEPT = 200
_LONGEST_LINE = 2000
_KILL_SECONDS = 5.0
_READ_SECONDS = 1.0
# What the monitor says when a command fails; the lines behind it say why.
_COMPLAINTS = (
    "There was an error executing command",
    "Could not tokenize here:",
    "Errors during compilation or loading",
    "No such command or device",
    "Could not find file",
    "Bad parameters for command",
)


class Headless:
    """Renode, running a script in a folder of its own; leaving the context ends it whatever it does.

    All files that it writes (its configuration, history, temporary files) go into the folder.
    """

    def __init__(self, renode: Path, folder: Path, script: str) -> None:
        self._command = [str(renode), "--disable-gui", "--console", "--plain"]
        self._command += ["--config", str(folder / CONFIG), "-e", f"include @{script}"]
        self._folder = folder
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._complaint: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Headless:
        own = self._folder / "own"
        own.mkdir()
        # Log lines come as they are said, and once for each time.
        config = "[general]\nuse-synchronous-logging = True\ncollapse-repeated-log-entries = False\n"
        (self._folder / CONFIG).write_text(config, encoding="utf-8")
        places = dict.fromkeys(("TMPDIR", "TMP", "TEMP", "XDG_CONFIG_HOME"), str(own))
        self._process = start(self._command, self._folder, places, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_tree(self._process)
        self._reader.join(_KILL_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # a pipe that nobody reads any more
                    stream.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            try:
                raw = stream.readline(_LONGEST_LINE)
            except (OSError, ValueError):  # closed while it was read
                return
            if not raw:
                return
            line = raw.decode("utf-8", "replace").strip()
            if not line:
                continue
            with self._lock:
                self._lines.append(line)
                if self._complaint or any(said in line for said in _COMPLAINTS):
                    self._complaint.append(line)
                    del self._complaint[_LINES_KEPT:]

    def wait(self, seconds: float) -> int | None:
        """Wait that long at most for Renode to end; its exit code, or None."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(_READ_SECONDS)  # what it said last may still be on its way
        return code

    @property
    def complaint(self) -> tuple[str, ...]:
        """What the monitor said of a command that failed, so far; empty when none did."""
        with self._lock:
            return tuple(self._complaint)

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines that it said."""
        with self._lock:
            return tuple(self._lines)


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, stdin: int, stdout: Any
) -> subprocess.Popen[bytes]:
    """Start a process `APART`, with more environment.

    Raises `MissingToolError` when it cannot be run.
    """
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            **APART,
        )
    except OSError as error:
        raise MissingToolError(f"{command[0]} cannot be run: {error.strerror or error}") from error


def output_of(command: Sequence[str], seconds: float) -> str | None:
    """What a command prints, at most 64 KiB of it; None when it cannot be run or does not end in time."""
    with tempfile.TemporaryFile() as printed:
        try:
            process = start(command, Path.cwd(), {}, stdin=subprocess.DEVNULL, stdout=printed)
        except MissingToolError:
            return None
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end_tree(process)
        printed.seek(0)
        return printed.read(1 << 16).decode("utf-8", "replace")
