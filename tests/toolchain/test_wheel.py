"""The wheel holds all that the main job needs: boards, firmware and models, wherever it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_runs_the_main_job_elsewhere(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(site) in run("-c", "import tinydeploy; print(tinydeploy.__file__)")
    answer = json.loads(
        run("-m", "tinydeploy", "run", "digits", "--board", "stm32f746", "--no-verify", "--format", "json")
    )
    assert answer["run"]["instructions"] > 20_992  # at the least one for each MAC
    assert str(site) in answer["model"]["path"]
    assert "alexnet" in run("-m", "tinydeploy", "models")


def test_the_wheel_ships_data_and_no_rubbish(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "tinydeploy/_data/boards/stm32f746g_disco.toml",
        "tinydeploy/_data/firmware/kernels/conv_2d.c",
        "tinydeploy/_data/firmware/port/startup.c",
        "tinydeploy/_data/models/models.toml",
        "tinydeploy/_data/models/networks/alexnet.py",
        "tinydeploy/codegen/templates/model.h.j2",
        "tinydeploy/emulate/hook.c",
        "tinydeploy/py.typed",
    ):
        assert needed in names
    assert not [n for n in names if "__pycache__" in n or n.startswith("tests/")]
