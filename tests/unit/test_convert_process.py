"""The process that converts: what is told when it crashes or lacks TensorFlow, and that it goes when it is stopped."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tinydeploy.convert import process
from tinydeploy.convert.sources.find import find_source
from tinydeploy.convert.types import ConvertOptions
from tinydeploy.errors import MissingToolError, UnsupportedModelError

SOURCE = "nets:small"
LAST_WORDS = "LLVM ERROR: out of patience"
IMPORTS = "import os, sys, time;"


def starting(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Stands in for the worker's own start."""
    monkeypatch.setattr(process, "START", IMPORTS + code)


def converted() -> object:
    return process.convert(find_source(SOURCE), ConvertOptions())


@pytest.mark.skipif(sys.platform == "win32", reason="signals that cannot be installed on Windows")
@pytest.mark.parametrize(
    "code, message, hint",
    [
        (
            "sys.stderr.write('LLVM ERROR: out of patience\\n'); sys.stderr.flush(); os.abort()",
            "SIGABRT",
            "module:function",
        ),
        ("os.kill(os.getpid(), 9)", "SIGKILL", "memory"),
        ("os._exit(7)", "code 7", "module:function"),
        ("os.close(0); os._exit(8)", "code 8", "module:function"),
    ],
)
def test_a_crash_is_told_as_the_models(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str, message: str, hint: str
) -> None:
    starting(monkeypatch, code)
    with caplog.at_level(logging.DEBUG, process.__name__), pytest.raises(UnsupportedModelError) as caught:
        converted()
    assert f"{SOURCE}: TensorFlow crashed on this model ({message})" in caught.value.message
    assert hint in (caught.value.hint or "")
    if LAST_WORDS in code:
        assert caught.value.message.endswith(LAST_WORDS)
        assert LAST_WORDS in caplog.text


def test_without_tensorflow_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ModuleNotFoundError('no', name='tensorflow')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        converted()
    assert caught.value.exit_code == 4
    assert "needs TensorFlow, which is not installed" in caught.value.message
    assert caught.value.hint == "pip install 'tinydeploy[export]'"


def test_a_broken_tensorflow_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libstdc++.so.6: too old')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingToolError, match=r"cannot be imported: libstdc\+\+.so.6: too old"):
        converted()


@pytest.mark.skipif(sys.platform == "win32", reason="processes that cannot be installed on Windows")
def test_an_interrupt_ends_all_that_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="pip install 'tinydeploy[run]'")
    told = tmp_path / "pids"
    below = f"import os, time; open({str(told)!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(60)"
    starting(monkeypatch, f"import subprocess; subprocess.Popen([sys.executable, '-c', {below!r}]); exec({below!r})")

    main = threading.get_ident()

    def interrupt() -> None:
        while not told.exists() or len(told.read_text().split()) < 2:
            time.sleep(0.02)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        converted()
    thread.join()
    for pid in map(int, told.read_text().split()):
        try:
            assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue


@pytest.mark.skipif(sys.platform == "win32", reason="processes that cannot be installed on Windows")
def test_who_asks_may_die_and_the_worker_goes_too(tmp_path: Path) -> None:
    """The worker's stream of questions ends; it must not go on converting for nobody."""
    import pickle
    import subprocess

    from tinydeploy.convert.worker import START, Request

    (tmp_path / "tensorflow.py").write_text("import time; time.sleep(60)\n")
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", START, str(tmp_path), str(tmp_path), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    with child.stdin, child.stdout:
        pickle.dump(Request(find_source(SOURCE), ConvertOptions(), "", 0), child.stdin)
        child.stdin.close()
        assert child.wait(timeout=30) == 1
