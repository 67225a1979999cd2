"""The keywords in a session of a real Renode, run by `renode-test`."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.firmware import needs_any, needs_unicorn

pytest.importorskip("tflite_micro", reason="tflite-micro is not installed: pip install 'tinydeploy[verify]'")
pytestmark = [needs_unicorn, needs_any]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _renode_test() -> tuple[Path, Path]:
    """`renode` and the `renode-test` beside it."""
    given = os.environ.get("TINYDEPLOY_RENODE") or shutil.which("renode")
    renode = Path(given or "renode").absolute()
    runner = renode.parent / "renode-test"
    if not renode.is_file() or not runner.is_file():
        pytest.skip("Renode cannot be installed from a registry: put its renode and renode-test on PATH")
    return renode, runner


def test_a_session_of_renode(tmp_path: Path) -> None:
    renode, runner = _renode_test()
    # renode-test has a Robot Framework of its own, of another version than the one here: all else is lent to it
    lent = tmp_path / "lent"
    lent.mkdir()
    own = ("robot", "psutil", "yaml", "_yaml", "pyyaml", "telnetlib", "retryfailed")
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}:
        for entry in Path(folder).iterdir():
            if not entry.name.lower().startswith(own) and not (lent / entry.name).exists():
                (lent / entry.name).symlink_to(entry)
    done = subprocess.run(
        [str(runner), "-r", str(tmp_path / "out"), str(HERE / "beside_renode.robot")],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{renode.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{lent}",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("with status") == 2, done.stdout
