"""The main job on real models and on the shipped ones: planned, built by both toolchains, run on emulated boards.

Every combination of a real model, a board and a toolchain runs 20 random samples, each from reset, and must equal
TensorFlow Lite Micro bit by bit; the reference runs once for each model. The shipped models run two samples on one
board for each kind of core. Real models are found by TINYDEPLOY_MODELS.
"""

from __future__ import annotations

import os
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
from tinydeploy.tflite import read_model
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
    path: Path, board: str, toolchain: str, folder: Path, samples: int, *, layers: bool = False
) -> tuple[Model, Ran]:
    """Plan, build, run, and compare with TFLM: what every test here does."""
    model = read_model(path)
    planned = plan_model(model, find_board(board), OPTIONS)
    built = build_image(planned, folder, toolchain=toolchain)
    ran = run_model(built, UnicornEmulator(), inputs_of(path, samples), layers=layers)
    verdict = compare(model, ran.outputs, expected_of(path, samples, layers))
    assert verdict.bit_exact, verdict.first_difference
    assert verdict.inputs == samples
    if layers:
        computed = {t for op in model.operators for t in op.outputs}
        assert verdict.tensors == len(computed)
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
    proof = ran.built.planned.plan.proof
    assert proof.optimal
    assert ran.built.planned.plan.arena_bytes == proof.lower_bound_bytes <= LOWER_BOUNDS[name]
    if board == "stm32l4r5" and toolchain == "gcc" and name in CMSIS_NN:
        assert ran.instructions < CMSIS_NN[name]


@pytest.mark.parametrize("name", LOWER_BOUNDS)
def test_real_models_are_at_the_lower_bound_of_whole_tensors(name: str) -> None:
    plan = plan_model(
        read_model(real_path(name)), find_board("stm32f746"), PlanOptions(in_place=False, solver="builtin")
    ).plan
    assert plan.arena_bytes == plan.proof.lower_bound_bytes == plan.peak.live_bytes == LOWER_BOUNDS[name]
    assert plan.proof.optimal


@pytest.mark.parametrize("toolchain", BOTH)
def test_kws_fits_the_blue_pill(toolchain: str, tmp_path: Path) -> None:
    """20 KiB of SRAM, 128 KiB of flash, a Cortex-M3: 16,000 bytes of arena leave room for the stack."""
    _, ran = run_on(real_path("kws_ref_model"), "stm32f103", toolchain, tmp_path, SAMPLES)
    image = ran.built.image
    assert ran.built.planned.plan.arena_bytes <= 16_000
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
    """161,472 bytes of arena on a chip with 128 KiB of SRAM: refused before anything is compiled."""
    path = real_path("mcunet_vww")
    planned = plan_model(read_model(path), find_board("stm32f446"), OPTIONS)
    with pytest.raises(GateError) as caught:
        build_image(planned, tmp_path)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())
    stack = next(part.bytes for part in planned.fit.sram_parts if part.name == "stack")
    over = planned.plan.arena_bytes + stack - 128 * 1024
    assert f"SRAM is {over:,} bytes too small" in str(caught.value)
    assert main.run(["run", str(path), "--board", "stm32f446"]) == 1
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
def test_mobilenet_v2_is_bit_exact(tmp_path: Path) -> None:
    """Whole tensors of more than a MiB: on the one board with the memory for them."""
    path = model_path("mobilenet_v2_035")
    assert path is not None
    run_on(path, "stm32u5a5", "gcc", tmp_path, 1)


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
