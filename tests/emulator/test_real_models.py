"""The main job on real models and on the shipped ones: planned, built by both toolchains, run on emulated boards.

Every combination of a real model, a board and a toolchain runs 20 random samples, each from reset, and must equal
TensorFlow Lite Micro bit by bit; the reference runs once for each model. The shipped models run two samples on one
board for each kind of core. Real models are found by TINYDEPLOY_MODELS.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.support.firmware import BOTH, needs_any, needs_gcc, needs_unicorn
from tests.support.model_files import SKIP_REASON
from tinydeploy.boards import find_board
from tinydeploy.catalog import model_path
from tinydeploy.cli import main
from tinydeploy.emulate import UnicornEmulator
from tinydeploy.errors import GateError
from tinydeploy.ir import Model
from tinydeploy.pipeline import PlanOptions, Ran, build_image, plan_model, run_model
from tinydeploy.plan import Execution, make_plan
from tinydeploy.tflite import read_model
from tinydeploy.transform import original_inputs, original_outputs
from tinydeploy.verify import ReferenceRun, Sample, compare, reference_outputs
from tinydeploy.verify.inputs import random_inputs
from tinydeploy.verify.tflm import TflmReference

pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
pytestmark = [needs_unicorn, needs_any]

SAMPLES = 20
OPTIONS = PlanOptions(solver="builtin")

# Peak live bytes of whole tensors, 16-byte alignment, nothing in place: computed apart from this project.
LOWER_BOUNDS = {
    "vww_96_int8": 55_296,
    "kws_ref_model": 16_000,
    "pretrainedResnet_quant": 49_152,
    "ad01_int8": 768,
    "mcunet_vww": 161_472,
}

# Live bytes of rows alone at the fullest moment, without alignment and scratch, streamed from a stored input and from
# one that is fed by rows: computed apart from this project, which may come out lower where it folds pads away.
STREAMED = {
    "vww_96_int8": (28_032, 10_272),
    "kws_ref_model": (3_886, 3_536),
    "pretrainedResnet_quant": (10_688, 9_152),
    "ad01_int8": (768, 768),
    "mcunet_vww": (77_040, 19_008),
}
OVERLAP = {"vww_96_int8": 37_248, "kws_ref_model": 8_640, "pretrainedResnet_quant": 33_792, "mcunet_vww": 85_632}
# Tensors with rows that no operator reads, which cannot be looked at: what a slice and a 1×1 window of stride 2 skip.
SKIPPED_ROWS = {"everything": 3}

ABOVE = 1.05  # how far an arena may be above those

# Instructions of one Invoke of TensorFlow Lite Micro with CMSIS-NN on a Cortex-M4, counted by basic block as here, GCC
# 12.2: tflite-micro 90b983c2b3f1480642e040bbd2ddb37b998f3424, CMSIS-NN 4ab83cc3cc98fb85ed6dafb55e8ca02f1628dcae.
CMSIS_NN = {
    "vww_96_int8": 24_101_968,
    "kws_ref_model": 7_697_908,
    "pretrainedResnet_quant": 29_861_686,
    "ad01_int8": 582_970,
}


def real_path(name: str) -> Path:
    folder = os.environ.get("TINYDEPLOY_MODELS")
    if not folder:
        pytest.skip(SKIP_REASON)
    return Path(folder) / f"{name}.tflite"


@cache
def inputs_of(path: Path, samples: int) -> tuple[Sample, ...]:
    return random_inputs(read_model(path), 20, samples)


@cache
def expected_of(path: Path, samples: int, layers: bool = False) -> tuple[ReferenceRun, ...]:
    """What TFLM answers; the file is read apart from the code that reads it for the plan."""
    given = inputs_of(path, samples)
    return reference_outputs(read_model(path), path.read_bytes(), given, layers=layers, references=[TflmReference()])


def run_on(
    path: Path,
    board: str,
    toolchain: str,
    folder: Path,
    samples: int,
    *,
    layers: bool = False,
    options: PlanOptions = OPTIONS,
) -> tuple[Model, Ran]:
    """Plan, build, run, and compare with TFLM: what every test here does."""
    model = read_model(path)
    planned = plan_model(model, find_board(board), options)
    built = build_image(planned, folder, toolchain=toolchain)
    ran = run_model(built, UnicornEmulator(), inputs_of(path, samples), layers=layers)
    verdict = compare(model, ran.outputs, expected_of(path, samples, layers))
    assert verdict.bit_exact, verdict.first_difference
    assert verdict.inputs == samples
    if layers:
        computed = {t for op in planned.model.operators for t in op.outputs}
        assert verdict.tensors == len(computed) - SKIPPED_ROWS.get(model.name, 0)
    check_watermarks(ran)
    return model, ran


def check_watermarks(ran: Ran) -> None:
    """The arena is as large as planned, to the last buffer's alignment; the stack stays inside its reserve."""
    plan = ran.built.planned.plan
    assert plan.arena_bytes - plan.alignment < ran.watermark("arena") <= plan.arena_bytes
    assert 0 < ran.watermark("stack") < ran.built.image.stack_bytes
    assert ran.built.image.arena_bytes == max(plan.arena_bytes, plan.alignment)


# --- real models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("board", ["stm32f746", "stm32l4r5", "stm32u575"])
@pytest.mark.parametrize("name", LOWER_BOUNDS)
def test_real_models_are_bit_exact(name: str, board: str, toolchain: str, tmp_path: Path) -> None:
    _, ran = run_on(real_path(name), board, toolchain, tmp_path, SAMPLES)
    assert ran.built.planned.plan.arena_bytes <= ABOVE * STREAMED[name][0]
    if board == "stm32l4r5" and toolchain == "gcc" and name in CMSIS_NN:
        assert ran.instructions < CMSIS_NN[name]


@needs_gcc
@pytest.mark.parametrize("name", STREAMED)
def test_real_models_in_every_execution(name: str, tmp_path: Path) -> None:
    """Whole, overlapped, and fed by rows: exact, as small as can be, and of hardly more instructions than whole."""
    path, options = real_path(name), replace(OPTIONS, execution="whole")
    _, whole = run_on(path, "stm32l4r5", "gcc", tmp_path / "whole", 2, options=options)
    most = {"overlap": OVERLAP.get(name, 768), "streamed": STREAMED[name][1]}
    for execution, fed in (("overlap", False), ("streamed", True)):
        options = replace(OPTIONS, execution=execution, feed_rows=fed)  # type: ignore[arg-type]
        _, ran = run_on(path, "stm32l4r5", "gcc", tmp_path / execution, 2, options=options)
        assert ran.built.planned.plan.arena_bytes <= ABOVE * most[execution]
        assert ran.instructions <= 1.01 * whole.instructions


@needs_gcc
@pytest.mark.parametrize(("fed", "most"), [(False, 26 * 1024), (True, 19_008)])
def test_mcunet_with_int8_ends(fed: bool, most: int, tmp_path: Path) -> None:
    options = replace(OPTIONS, io="int8", feed_rows=fed)
    path = real_path("mcunet_vww")
    planned = plan_model(read_model(path), find_board("stm32l4r5"), options)
    assert planned.plan.arena_bytes <= most
    given = random_inputs(planned.model, 20, 2)
    ran = run_model(build_image(planned, tmp_path, toolchain="gcc"), UnicornEmulator(), given)
    original = planned.prepared.original
    asked = [original_inputs(original, planned.model, sample) for sample in given]
    answers = reference_outputs(original, path.read_bytes(), asked, layers=False, references=[TflmReference()])
    ours = [original_outputs(original, planned.model, sample) for sample in ran.outputs]
    assert compare(original, ours, answers).bit_exact
    check_watermarks(ran)


@pytest.mark.parametrize("name", LOWER_BOUNDS)
def test_real_models_are_at_the_lower_bound_of_whole_tensors(name: str) -> None:
    plan = make_plan(read_model(real_path(name)), in_place=False, solver="builtin")
    assert plan.arena_bytes == plan.proof.lower_bound_bytes == plan.peak.live_bytes == LOWER_BOUNDS[name]
    assert plan.proof.optimal


@pytest.mark.parametrize("toolchain", BOTH)
def test_kws_fits_the_blue_pill(toolchain: str, tmp_path: Path) -> None:
    """20 KiB of SRAM, 128 KiB of flash, a Cortex-M3."""
    _, ran = run_on(real_path("kws_ref_model"), "stm32f103", toolchain, tmp_path, SAMPLES)
    image = ran.built.image
    assert image.arena_bytes + image.stack_bytes + image.data_bytes + image.bss_bytes <= 20 * 1024
    assert image.flash_bytes <= 128 * 1024


def test_ad_does_not_fit_the_blue_pill(capfd: pytest.CaptureFixture[str]) -> None:
    """264,192 weights, 1,672 biases of 4 bytes and 10 scales of 8 are more than 128 KiB of flash."""
    path = real_path("ad01_int8")
    assert main.run(["run", str(path), "--board", "stm32f103"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    planned = plan_model(read_model(path), find_board("stm32f103"), OPTIONS)
    weights, code = planned.fit.flash_parts
    assert (weights.name, weights.bytes) == ("weights", 264_192 + 4 * 1672 + 8 * 10)
    over = weights.bytes + code.bytes - 128 * 1024
    assert f"flash is {over:,} bytes too small" in said.err
    assert planned.fit.sram.over_bytes == 0


def test_mcunet_does_not_fit_a_small_board(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """76,800 bytes of floats as input on a chip with 20 KiB of SRAM: refused before anything is compiled."""
    path = real_path("mcunet_vww")
    planned = plan_model(read_model(path), find_board("stm32f103"), OPTIONS)
    with pytest.raises(GateError) as caught:
        build_image(planned, tmp_path)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())
    stack = next(part.bytes for part in planned.fit.sram_parts if part.name == "stack")
    over = planned.plan.arena_bytes + stack - planned.board.ram.bytes
    assert f"SRAM is {over:,} bytes too small" in str(caught.value)
    assert main.run(["run", str(path), "--board", "stm32f103"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert f"{over:,} bytes too small" in said.err


# --- shipped models ---------------------------------------------------------------------------------------------------

CORES = {"M0+": "stm32g0b1", "M3": "stm32l152", "M4": "stm32l4r5", "M7": "stm32f746", "M33": "stm32u575"}


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["digits", "kws", "vww", "resnet8", "ad"])
def test_shipped_models_are_bit_exact(name: str, core: str, toolchain: str, tmp_path: Path) -> None:
    path = model_path(name)
    assert path is not None
    run_on(path, CORES[core], toolchain, tmp_path, 2)


@needs_gcc
@pytest.mark.parametrize(
    ("board", "execution", "fed"), [("stm32u5a5", "whole", False), ("nucleo_f303re", "streamed", True)]
)
def test_mobilenet_v2_is_bit_exact(board: str, execution: Execution, fed: bool, tmp_path: Path) -> None:
    """Whole tensors on the one board with the memory for them; fed by rows in under 64 KiB of SRAM in all."""
    path = model_path("mobilenet_v2_035")
    assert path is not None
    options = replace(OPTIONS, execution=execution, feed_rows=fed)
    _, ran = run_on(path, board, "gcc", tmp_path, 1, options=options)
    if fed:
        assert ran.watermark("arena") + ran.built.image.stack_bytes + ran.built.image.static_bytes < 64 * 1024


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["everything", "branches", "unet"])
def test_regression_networks_are_bit_exact_layer_by_layer(name: str, core: str, toolchain: str, tmp_path: Path) -> None:
    path = model_path(name)
    assert path is not None
    run_on(path, CORES[core], toolchain, tmp_path, 4, layers=True)


@needs_gcc
@pytest.mark.parametrize(("twin", "real"), [("kws", "kws_ref_model"), ("vww", "vww_96_int8"),
                                            ("resnet8", "pretrainedResnet_quant"), ("ad", "ad01_int8")])  # fmt: skip
def test_fewer_instructions_than_cmsis_nn(twin: str, real: str, tmp_path: Path) -> None:
    """A guard against regressions: the twins have the real models' layers, so the same counts hold."""
    path = model_path(twin)
    assert path is not None
    _, ran = run_on(path, CORES["M4"], "gcc", tmp_path, 2)
    assert ran.instructions < CMSIS_NN[real]
