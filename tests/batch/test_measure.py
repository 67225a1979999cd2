"""What one case comes to, and which status each way of going wrong has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinydeploy import pipeline
from tinydeploy.batch import Case, Outcome, measure
from tinydeploy.boards import find_board
from tinydeploy.errors import (
    BuildError,
    DoesNotLinkError,
    MismatchError,
    MissingToolError,
    RunError,
    TinydeployError,
    UnsupportedModelError,
    UsageError,
)
from tinydeploy.resources import models_dir

WHOLE = pipeline.PlanOptions(execution="whole", in_place=False)


def test_a_plan() -> None:
    outcome = measure(Case("vww", "stm32f746", WHOLE))
    planned = pipeline.plan_model(pipeline.load("vww"), find_board("stm32f746"), WHOLE)
    assert (outcome.status, outcome.message) == ("ok", "")
    # vww's whole tensors, nothing in place: 55,296 bytes are alive at once
    assert outcome.figures["arena_bytes"] == outcome.figures["arena_bound_bytes"] == 55_296
    assert sum(size for _, size in outcome.peak) == 55_296
    assert [layer.macs for layer in outcome.layers] == [layer.macs for layer in planned.costs.layers]
    assert outcome.figures["macs"] == sum(layer.macs for layer in outcome.layers)
    assert outcome.layers[outcome.peak_operator or 0].live_bytes == 55_296
    assert outcome.model_sha256 == hashlib.sha256((models_dir() / "vww.tflite").read_bytes()).hexdigest()
    assert "code_bytes" in outcome.figures and "instructions" not in outcome.figures
    assert set(outcome.figures) == set(outcome.kinds)


def test_what_does_not_fit_has_its_figures_all_the_same() -> None:
    for depth in ("plan", "run"):
        outcome = measure(Case("vww", "stm32f103", WHOLE, depth=depth))  # type: ignore[arg-type]
        assert outcome.status == "does-not-fit"
        assert "SRAM" in outcome.message
        assert outcome.figures["arena_bytes"] == 55_296
        assert outcome.peak and outcome.layers


def test_a_network_has_no_weights_to_run() -> None:
    network = next(e.name for e in _networks())
    assert measure(Case(network, "stm32f746")).figures["macs"] > 0
    built = measure(Case(network, "stm32f746", depth="build"))
    assert built.status == "refused"
    assert "has no weights" in built.message
    assert "code_bytes" not in built.figures


def _networks() -> Iterator[Any]:
    from tinydeploy.catalog import entries

    return (entry for entry in entries() if entry.path is None)


def test_a_run_is_counted_and_compared() -> None:
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
    pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
    outcome = measure(Case("digits", "stm32f746", depth="run", samples=2, seed=3))
    figures = outcome.figures
    assert outcome.status == "ok"
    assert outcome.bit_exact is True
    assert outcome.against.startswith("tflite-micro")
    assert sum(layer.instructions or 0 for layer in outcome.layers) <= figures["instructions"]
    assert figures["sram_bytes"] == figures["arena_bytes"] + figures["stack_bytes"] + figures["static_bytes"]
    assert figures["flash_bytes"] == figures["weights_bytes"] + figures["code_bytes"]
    assert figures["latency_ms"] == pytest.approx(figures["cycles"] / 216e6 * 1e3)
    kinds = {"arena_bytes": "computed", "stack_bytes": "emulated", "sram_bytes": "emulated", "cycles": "modelled"}
    assert kinds.items() <= outcome.kinds.items()
    assert set(outcome.tools) >= {"toolchain", "emulator", "tflite-micro"}


@pytest.mark.parametrize(
    ("stage", "error", "status"),
    [
        ("build_image", DoesNotLinkError("12 bytes too large"), "does-not-fit"),
        ("build_image", MissingToolError("no compiler", hint="install one"), "missing-tool"),
        ("build_image", BuildError("refused"), "crashed"),
        ("build_image", ZeroDivisionError("oh"), "crashed"),
        ("plan_model", UnsupportedModelError("a float model"), "refused"),
        ("plan_model", UsageError("no such tensor"), "refused"),
        ("run_model", RunError("a fault", kind="hard-fault"), "failed"),
        ("run_model", RunError("no end", kind="time-out"), "timed-out"),
        ("run_model", MismatchError("differs"), "differs"),
    ],
)
def test_statuses(monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception, status: str) -> None:
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")

    def fails(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, stage, fails)
    outcome = measure(Case("digits", "stm32f746", depth="run"))
    assert outcome.status == status
    if isinstance(error, TinydeployError):
        assert (outcome.message, outcome.hint) == (error.message, error.hint)
    else:
        assert outcome.message == "ZeroDivisionError: oh"
    assert ("arena_bytes" in outcome.figures) == (stage != "plan_model")
    assert ("instructions" in outcome.figures) is False


def test_without_a_reference_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("unicorn", reason="pip install 'tinydeploy[run]'")
    import tinydeploy.verify as verify

    def none(*_args: object) -> None:
        raise MissingToolError("neither is installed", hint="install one")

    monkeypatch.setattr(verify, "reference_outputs", none)
    outcome = measure(Case("digits", "stm32f746", depth="run"))
    assert (outcome.status, outcome.bit_exact) == ("ok", None)
    assert (outcome.message, outcome.hint) == ("not verified: neither is installed", "pip install 'tinydeploy[verify]'")
    silent = measure(Case("digits", "stm32f746", depth="run", verify=False))
    assert (silent.status, silent.bit_exact, silent.message) == ("ok", None, "")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"\0" * 100)
    outcomes: list[Outcome] = [measure(Case(str(path), "stm32f746")), measure(Case("none", "stm32f746"))]
    assert [outcome.status for outcome in outcomes] == ["refused", "refused"]
    assert str(path) in outcomes[0].message
