"""`doctor`: every tool is really tried, a missing one is no error unless required, a broken one is."""

from __future__ import annotations

import json
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
    assert (found["here"]["state"], found["here"]["version"]) == ("works", "1.2")


def test_a_renode_that_was_named_and_is_none_is_broken(tmp_path: Path) -> None:
    bench = tools._Bench(tmp_path, str(tmp_path / "renode"))
    with pytest.raises(UsageError, match="there is no Renode at"):
        bench._try_renode()


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
