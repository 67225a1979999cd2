"""`doctor`: every tool is really tried, a missing one is no error unless required, a broken one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinydeploy.errors import MissingToolError, RunError, UsageError
from tinydeploy.pipeline import tools

Run = Callable[..., "tuple[int, str, str]"]


def _missing() -> tuple[str, str]:
    raise MissingToolError("it is not there", hint="get it")


def _faulty() -> tuple[str, str]:
    raise RunError("it fell over", hint="no idea")


def _damaged() -> tuple[str, str]:
    raise ImportError("libfoo.so: no such file")


def _choose(monkeypatch: pytest.MonkeyPatch, **attempts: Callable[[], tuple[str, str]]) -> None:
    trials = tuple(tools._Trial(name, "anything", f"apt install {name}", a) for name, a in attempts.items())
    monkeypatch.setattr(tools._Bench, "trials", lambda self: trials)


def test_a_missing_tool_is_told_with_its_remedy_and_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _choose(monkeypatch, here=lambda: ("1.2", "did it"), gone=_missing)
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    assert "gone: apt install gone" in out
    assert "here: apt install" not in out
    assert "did it" in out


def test_a_required_one_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _choose(monkeypatch, here=lambda: ("1.2", "did it"), gone=_missing)
    code, _, err = run("doctor", "--require", "here", "--require", "gone")
    assert code == 4
    assert "gone (missing: it is not there)" in err
    assert "hint: apt install gone" in err
    assert run("doctor", "--require", "here")[0] == 0
    code, _, err = run("doctor", "--require", "nothing")
    assert code == 2
    assert "there are here, gone" in err


@pytest.mark.parametrize(("attempt", "words"), [(_faulty, "it fell over"), (_damaged, "ImportError: libfoo.so")])
def test_one_that_is_there_and_does_not_work_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], tuple[str, str]], words: str
) -> None:
    _choose(monkeypatch, bad=attempt, here=lambda: ("1.2", "did it"))
    code, out, err = run("doctor", "--format", "json")
    assert code == 4
    assert words in err
    found = {tool["name"]: tool for tool in json.loads(out)["tools"]}
    assert found["bad"]["state"] == "broken"
    assert words in found["bad"]["tried"]
    assert found["bad"]["remedy"] == ("no idea" if attempt is _faulty else "apt install bad")
    assert (found["here"]["state"], found["here"]["version"]) == ("works", "1.2")


def test_a_renode_that_was_named_and_is_none_is_broken(tmp_path: Path) -> None:
    bench = tools._Bench(tmp_path, str(tmp_path / "renode"))
    with pytest.raises(UsageError, match="there is no Renode at"):
        bench._try_renode()


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts cannot be installed as programs on Windows")
def test_another_program_called_renode_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "renode"
    program.write_text("#!/bin/sh\necho something else\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UsageError, match="is not Renode: asked for its version it says 'something else'"):
        tools._Bench(tmp_path, None)._try_renode()


def test_a_damaged_package_is_no_bug_of_ours(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('libblas.so: no such file')")
    done = subprocess.run(
        [sys.executable, "-m", "tinydeploy", "doctor"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "a package that tinydeploy needs is damaged or missing: libblas.so: no such file\n" in done.stderr
    assert "bug" not in done.stderr


def test_what_a_tool_says_keeps_to_its_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def talks() -> tuple[str, str]:
        raise RunError("first\n\x1b[31msecond")

    _choose(monkeypatch, bad=talks)
    code, out, _ = run("doctor")
    assert code == 4
    assert "first \\x1b[31msecond" in out


def test_every_tool_is_tried_for_real(run: Run) -> None:
    code, out, err = run("doctor", "-q", "--format", "json")
    found = {tool["name"]: tool for tool in json.loads(out)["tools"]}
    assert code == 0, err
    assert tuple(found) == tools.names()
    assert "instructions" in found["unicorn"]["tried"]
    for name in ("tflite-micro", "ai-edge-litert"):
        if found[name]["state"] == "works":
            assert "the same bits as the emulated board" in found[name]["tried"]
    assert all(tool["version"] for tool in found.values() if tool["state"] == "works")
