"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tinydeploy.cli import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: exit code, standard output, standard error."""

    def in_process(*args: str) -> tuple[int, str, str]:
        code = main.run(args)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return in_process
