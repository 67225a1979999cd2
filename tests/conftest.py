"""What all tests share: hypothesis profiles, the command line in this process, and what CI may skip: nothing that could
have been installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

with contextlib.suppress(ImportError):  # before any test loads TensorFlow, behind which OR-Tools crashes
    from ortools.sat.python import cp_model  # noqa: F401

settings.register_profile(
    "default",
    deadline=None,  # machines are noisy: a timing never decides a test
    derandomize=True,  # the same cases on every run; raise --hypothesis-seed by hand to look further
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("default")

_skipped: list[str] = []


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: exit code, standard output, standard error."""
    from tinydeploy.cli import main

    def in_process(*args: object) -> tuple[int, str, str]:
        code = main.run([str(arg) for arg in args])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return in_process


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a skip is a failure, unless its reason says that nothing could be installed for it."""
    if os.environ.get("CI", "").lower() not in ("1", "true") or hasattr(session.config, "workerinput"):
        return
    wrong = [s for s in _skipped if "cannot be installed" not in s]
    if wrong and exitstatus == pytest.ExitCode.OK:
        print("\nskipped in CI, where everything can be installed:\n  " + "\n  ".join(wrong))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
