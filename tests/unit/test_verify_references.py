"""The reference interpreters: hand-calculated answers, fresh state for each sample, layers, and refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.verify_models import add_then_relu, constant, delay_line, int8, model_and_bytes
from tinydeploy.errors import MissingToolError, UnsupportedModelError
from tinydeploy.ir import Model
from tinydeploy.verify import (
    LitertReference,
    Reference,
    Sample,
    TflmReference,
    find_references,
    reference_outputs,
)
from tinydeploy.verify.tflm import arena_estimate

pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]'")

BOTH = pytest.mark.parametrize("reference", [TflmReference(), LitertReference()], ids=["tflm", "litert"])


def ints(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.int8)


@BOTH
def test_outputs_by_tensor_index(reference: Reference) -> None:
    model, data = add_then_relu()
    samples = [
        {0: ints(1, 2, 3, 100), 1: ints(1, -5, 0, 100)},
        {0: ints(-128, 0, 7, 8), 1: ints(-128, 0, -7, -9)},
    ]
    answers = reference.run(model, data, samples)
    assert [list(a) for a in answers] == [[3], [3]]
    assert answers[0][3].tolist() == [[2, 0, 3, 127]]
    assert answers[1][3].tolist() == [[0, 0, 0, 0]]


@BOTH
def test_layers_hold_every_intermediate_tensor(reference: Reference) -> None:
    model, data = add_then_relu()
    (answer,) = reference.run(model, data, [{0: ints(1, 2, 3, 100), 1: ints(1, -5, 0, 100)}], layers=True)
    assert set(answer) == {2, 3}
    assert answer[2].tolist() == [[2, -3, 3, 127]]
    assert answer[3].tolist() == [[2, 0, 3, 127]]


@BOTH
@pytest.mark.parametrize("layers", [False, True])
def test_each_sample_starts_from_a_fresh_state(reference: Reference, layers: bool) -> None:
    model, data = delay_line()
    samples = [{0: np.array([[value]], dtype=np.float32)} for value in (3.0, 5.0, 7.0)]
    answers = reference.run(model, data, samples, layers=layers)
    assert [float(a[4][0, 0]) for a in answers] == [3.0, 5.0, 7.0]  # without a reset: 3, 8, 12


@pytest.mark.parametrize(
    ("reference", "opcode", "words"),
    [(TflmReference(), "GELU", "GELU"), (LitertReference(), "ADD", "failed to prepare")],
    ids=["tflm", "litert"],
)
def test_a_model_that_the_interpreter_refuses(
    reference: Reference, opcode: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """TFLM has no GELU; ADD cannot broadcast 1×4 and 1×3."""
    other = constant(int8(1, "b", (1, 3)), bytes(3))
    inputs = (0,) if opcode == "GELU" else (0, 1)
    model, data = model_and_bytes(
        [int8(0, "a", (1, 4)), other, int8(2, "c", (1, 4))], [(opcode, inputs, (2,), None)], (0,), (2,)
    )
    with pytest.raises(
        UnsupportedModelError, match=rf"^small: {reference.name} cannot run this model: .*{words}"
    ) as caught:
        reference.run(model, data, [{0: ints(1, 2, 3, 4)}])
    assert "\n" not in caught.value.message
    assert caught.value.hint is not None
    assert "--no-verify" in caught.value.hint
    assert capfd.readouterr().err == ""  # the interpreter's words are in the error, not beside it


def test_large_tensors_in_a_small_file_find_room() -> None:
    """TFLM's own guess of ten times the file's size would be far too small."""
    shape = (1, 256, 256, 8)
    model, data = model_and_bytes(
        [int8(0, "a", shape), int8(1, "b", shape), int8(2, "c", shape)],
        [("RELU", (0,), (1,), None), ("RELU", (1,), (2,), None)],
        (0,),
        (2,),
    )
    assert arena_estimate(model, data) > 100 * len(data)
    x = np.arange(-128, 128, dtype=np.int8).repeat(2048).reshape(shape)
    for layers in (False, True):
        (answer,) = TflmReference().run(model, data, [{0: x}], layers=layers)
        assert np.array_equal(answer[2], np.maximum(x, 0))


def test_an_output_that_nothing_reads_is_no_layer() -> None:
    """TFLM gives such a tensor no memory, and would crash when asked for it."""
    model, data = model_and_bytes(
        [int8(0, "a", (1, 4)), int8(1, "unused", (1, 4)), int8(2, "out", (1, 4))],
        [("RELU", (0,), (1,), None), ("RELU", (0,), (2,), None)],
        (0,),
        (2,),
    )
    (answer,) = TflmReference().run(model, data, [{0: ints(-1, 0, 1, 2)}], layers=True)
    assert set(answer) == {2}
    assert answer[2].tolist() == [[0, 0, 1, 2]]


class Fake:
    """A reference that answers as told."""

    version = "1"

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name = name
        self.error = error

    def run(self, model: Model, data: bytes, samples: Sequence[Sample], *, layers: bool = False) -> tuple[Sample, ...]:
        if self.error is not None:
            raise self.error
        return tuple({3: ints(0, 0, 0, 0)} for _ in samples)


def test_the_first_reference_decides_and_a_later_one_may_fail() -> None:
    model, data = add_then_relu()
    refusal = UnsupportedModelError("no")
    runs = reference_outputs(model, data, [{}], references=[Fake("a"), Fake("b", refusal), Fake("c")])
    assert [run.name for run in runs] == ["a", "c"]
    with pytest.raises(UnsupportedModelError):
        reference_outputs(model, data, [{}], references=[Fake("b", refusal), Fake("a")])


def test_tflm_is_believed_before_litert() -> None:
    assert [reference.name for reference in find_references()] == ["tflite-micro", "ai-edge-litert"]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        (("tflite_micro",), "ai-edge-litert"),
        (("ai_edge_litert",), "tflite-micro"),
        (("tflite_micro", "ai_edge_litert"), "MissingToolError"),
    ],
)
def test_a_missing_package_is_done_without(hidden: tuple[str, ...], expected: str) -> None:
    script = f"""
import sys
from importlib import metadata
real = metadata.version
def version(name):
    if name.replace("-", "_") in {hidden!r}:
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
from tinydeploy.verify import find_references
try:
    print(*[r.name for r in find_references()])
except Exception as error:
    print(type(error).__name__)
    assert "pip install 'tinydeploy[verify]'" in error.hint
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == expected


def test_a_package_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tflite_micro", "ai_edge_litert"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model, data = add_then_relu()
    references: tuple[Reference, ...] = (TflmReference(), LitertReference())
    for reference in references:
        with pytest.raises(MissingToolError) as caught:
            reference.run(model, data, [{0: ints(0, 0, 0, 0), 1: ints(0, 0, 0, 0)}])
        assert caught.value.hint == "pip install 'tinydeploy[verify]'"


def test_a_crash_of_the_interpreter_is_told_in_one_line() -> None:
    """TFLM dereferences the bias of SVDF even where there is none (its TODO 1751)."""
    model, data = delay_line(bias=False)
    with pytest.raises(UnsupportedModelError, match=r"small: tflite-micro crashed on this model \(SIGSEGV\)"):
        TflmReference().run(model, data, [{0: np.zeros((1, 1), dtype=np.float32)}])


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "mcunet_vww"])
def test_real_models_layer_by_layer(name: str) -> None:
    """Keeping every tensor must not change the outputs; TFLM and LiteRT agree but for FULLY_CONNECTED's rounding."""
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip("the real models cannot be installed: set TINYDEPLOY_MODELS to their folder")
    from tinydeploy.tflite import read_model
    from tinydeploy.verify import random_inputs

    path = Path(folder) / f"{name}.tflite"
    model, data = read_model(path), path.read_bytes()
    samples = random_inputs(model, seed=1, samples=2)
    tflm, litert = reference_outputs(model, data, samples, layers=True)
    plain = TflmReference().run(model, data, samples)
    for kept, alone in zip(tflm.samples, plain, strict=True):
        assert len(kept) >= len(model.operators)
        for index in model.outputs:
            assert np.array_equal(kept[index], alone[index])
    if name != "ad01_int8":
        for one, other in zip(tflm.samples, litert.samples, strict=True):
            assert all(np.array_equal(one[index], other[index]) for index in one)


def test_a_damaged_package_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tflite_micro.py").write_text("raise OSError('bad shared object')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model, data = add_then_relu()
    words = "the worker for tflite-micro ended with code 1: OSError: bad shared object"
    with pytest.raises(RuntimeError, match=f"^{words}$"):
        TflmReference().run(model, data, [{0: ints(1, 2, 3, 4), 1: ints(1, 2, 3, 4)}])
