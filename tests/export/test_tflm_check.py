"""Placements on TensorFlow Lite Micro itself, on this computer: the same outputs, in the arena that was predicted."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("tflite_micro", reason="pip install 'tinydeploy[verify]'")
pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the schema's object API")

from tests.support import model_files
from tests.support.random_networks import random_network
from tests.support.stateful import stateful_network
from tests.support.tflite_writer import GraphBuilder
from tests.support.tflm_networks import NETWORKS
from tinydeploy.errors import MismatchError, MissingToolError
from tinydeploy.pipeline.tflm.placing import PlannedForTflm, check_on_host, plan_for_tflm
from tinydeploy.plan.tflm import KernelSet
from tinydeploy.tflite import parse_model
from tinydeploy.tflite.rewrite import with_offline_plan
from tinydeploy.verify import random_inputs

# the non-persistent part with TFLM's own placement, and with ours
REAL = {
    "ad01_int8": (768, 768),
    "kws_ref_model": (16_000, 16_000),
    "pretrainedResnet_quant": (49_152, 49_152),
    "vww_96_int8": (73_728, 55_296),
    "mcunet_vww": (161_472, 161_472),
}


def planned(data: bytes, kernels: KernelSet = "reference") -> PlannedForTflm:
    return plan_for_tflm(data, parse_model(data), kernels=kernels)


@pytest.mark.parametrize("name", REAL)
def test_real_models(name: str) -> None:
    path = model_files.real_models().get(f"{name}.tflite")
    if path is None:
        pytest.skip(model_files.SKIP_REASON)
    data = path.read_bytes()
    ours = planned(data)
    check = check_on_host(data, ours, random_inputs(ours.original, 0, 2))
    assert (check.original_nonpersistent_bytes, check.nonpersistent_bytes) == REAL[name]
    assert check.exact
    assert check.samples == 2


@pytest.mark.parametrize("name", ["branches", "everything", "unet", "vww"])
def test_shipped_models(name: str) -> None:
    """With CMSIS-NN in mind; this computer has the reference kernels, and the file is right with both."""
    data = model_files.shipped_models()[f"{name}.tflite"].read_bytes()
    ours = planned(data, "cmsis-nn")
    check = check_on_host(data, ours, random_inputs(ours.original, 0, 2))
    assert check.exact
    assert check.nonpersistent_bytes < check.original_nonpersistent_bytes


def test_small_networks() -> None:
    """Folded operators, which TFLM runs, scratch, and state that lives on from run to run."""
    for data in (NETWORKS["shape arithmetic"](), NETWORKS["MIRROR_PAD"](), stateful_network()):
        ours = planned(data)
        assert check_on_host(data, ours, random_inputs(ours.original, 0, 3)).exact
    assert any(offset is not None for offset in planned(NETWORKS["shape arithmetic"]()).plan.offsets)


def test_random_networks() -> None:
    smaller = moved = 0
    for seed in range(8):
        data = random_network(np.random.default_rng(seed), 40 if seed % 4 == 0 else None).data
        ours = planned(data)
        check = check_on_host(data, ours, random_inputs(ours.original, seed, 2))
        assert check.exact, seed
        smaller += check.nonpersistent_bytes < check.original_nonpersistent_bytes
        moved += ours.plan.reordered
        again = planned(ours.data)
        assert again.data == ours.data, seed
    assert smaller >= 3
    assert moved >= 1


def chain(extents: Sequence[int]) -> bytes:
    g = GraphBuilder()
    tensors = [g.tensor(f"t{number}", (1, extent), scale=0.5) for number, extent in enumerate(extents)]
    for before, after in pairwise(tensors):
        g.op("RELU", [before], [after])
    return g.build(inputs=[tensors[0]], outputs=[tensors[-1]])


def test_a_wrong_placement_is_found_out() -> None:
    """A sum of what an operator between them has written over."""
    g = GraphBuilder()
    x, a, b, y = (g.tensor(name, (1, 64), scale=0.5, zero_point=3) for name in "xaby")
    g.op("RELU", [x], [a])
    g.op("RELU6", [a], [b])
    g.op("ADD", [a, b], [y])
    data = g.build(inputs=[x], outputs=[y])
    ours = planned(data)
    spoilt = with_offline_plan(data, [64, 0, 0, 128])
    wrong = replace(ours, data=spoilt, model=parse_model(spoilt))
    with pytest.raises(MismatchError, match="outputs differ from the file without the placement on tflite-micro"):
        check_on_host(data, wrong, random_inputs(ours.original, 0, 2))


def test_a_wrong_prediction_is_found_out() -> None:
    data = chain((64, 64, 64))
    ours = planned(data)
    table = struct.pack("<6i", 1, 1, 3, 0, 64, 640)
    told = replace(ours.model, metadata={"OfflineMemoryAllocation": table})
    with pytest.raises(MismatchError, match="takes 128 bytes for activations, 704 were predicted"):
        check_on_host(data, replace(ours, model=told), random_inputs(ours.original, 0, 1))


def test_without_tflite_micro(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", absent)
    data = chain((64, 64))
    ours = planned(data)
    with pytest.raises(MissingToolError) as caught:
        check_on_host(data, ours, random_inputs(ours.original, 0, 1))
    assert caught.value.hint is not None
    assert "tinydeploy[verify]" in caught.value.hint
