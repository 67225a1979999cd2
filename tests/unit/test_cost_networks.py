"""The networks described in Python, against the figures that their authors and others published."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tinydeploy.cost import CostTable, cost_table, network, network_names
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.resources import models_dir


def test_alexnet_layer_by_layer() -> None:
    table = cost_table(network("alexnet"))
    weighted = [layer for layer in table.layers if layer.params]
    assert [layer.params for layer in weighted] == [
        34_848,
        307_200,
        884_736,
        663_552,
        442_368,
        37_748_736,
        16_777_216,
        4_096_000,
    ]
    assert [layer.macs for layer in weighted] == [
        105_415_200,
        223_948_800,
        149_520_384,
        112_140_288,
        74_760_192,
        37_748_736,
        16_777_216,
        4_096_000,
    ]
    totals = table.totals
    assert totals.params == 60_954_656
    assert table.model_bytes(32) == 243_818_624
    assert table.model_bytes(8) == 60_954_656
    assert totals.macs == 724_406_816
    assert totals.flop == 1_448_813_632
    assert totals.activations == 932_264
    assert totals.peak_activations == 440_928 == 150_528 + 290_400
    assert totals.peak_layer == 0
    assert totals.uncounted == ()


def with_batch_norm(table: CostTable, linear_bias: int) -> int:
    """Parameters as frameworks count them: two for each channel of a batch normalization, and the linear bias."""
    folded = table.totals.bias_bytes // 4 - linear_bias
    return table.totals.params + 2 * folded + linear_bias


def test_vgg16() -> None:
    table = cost_table(network("vgg16"))
    # torchvision, VGG16_Weights: 138,357,544 parameters (biases included), 15.47 GFLOPS (multiply-adds)
    assert table.totals.params + table.totals.bias_bytes // 4 == 138_357_544
    assert table.totals.macs / 1e9 == pytest.approx(15.47, abs=0.005)


def test_resnet50() -> None:
    table = cost_table(network("resnet50"))
    # torchvision, ResNet50_Weights: 25,557,032 parameters, 4.09 GFLOPS (multiply-adds)
    assert with_batch_norm(table, 1000) == 25_557_032
    assert table.totals.macs / 1e9 == pytest.approx(4.09, abs=0.005)
    adds = [layer for layer in table.layers if layer.opcode == "ADD"]
    assert [layer.output_shape for layer in adds] == (
        [(1, 56, 56, 256)] * 3 + [(1, 28, 28, 512)] * 4 + [(1, 14, 14, 1024)] * 6 + [(1, 7, 7, 2048)] * 3
    )


def test_mobilenet_v2() -> None:
    table = cost_table(network("mobilenet_v2"))
    # torchvision, MobileNet_V2_Weights: 3,504,872 parameters, 0.30 GFLOPS; Sandler et al., table 4: 300 M
    assert with_batch_norm(table, 1000) == 3_504_872
    assert table.totals.macs / 1e6 == pytest.approx(300, abs=1)


def _build(name: str) -> Callable[..., Model]:
    spec = spec_from_file_location(name, models_dir() / "networks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    build: Callable[..., Model] = module.build
    return build


@pytest.mark.parametrize(
    ("width", "resolution", "macs", "params"),
    # tensorflow.org, tf.keras.applications.mobilenet_v2: millions of MACs and parameters
    [(1.4, 224, 582, 6.06), (1.0, 96, 56, 3.47), (0.75, 224, 209, 2.61), (0.35, 224, 59, 1.66)],
)
def test_mobilenet_v2_at_other_sizes(width: float, resolution: int, macs: float, params: float) -> None:
    table = cost_table(_build("mobilenet_v2")(width, resolution))
    assert table.totals.macs / 1e6 == pytest.approx(macs, abs=0.7)
    assert table.totals.params / 1e6 == pytest.approx(params, rel=0.005)


def test_mcunet() -> None:
    table = cost_table(network("mcunet"))
    # mit-han-lab/mcunet, README, mcunet-in2: 67.3 M MACs, 0.73 M parameters, 160 × 160
    assert table.totals.macs / 1e6 == pytest.approx(67.3, abs=0.05)
    assert with_batch_norm(table, 1000) / 1e6 == pytest.approx(0.73, abs=0.005)
    assert table.layers[0].output_shape == (1, 80, 80, 16)
    assert [layer.output_shape for layer in table.layers if layer.opcode == "CONV_2D"][-1] == (1, 5, 5, 160)


def test_every_network_of_the_folder_builds_and_is_fully_counted() -> None:
    assert {"alexnet", "vgg16", "resnet50", "mobilenet_v2", "mcunet"} <= set(network_names())
    for name in network_names():
        table = cost_table(network(name))
        assert table.model == name
        assert table.totals.uncounted == (), name


def test_only_listed_names_are_run() -> None:
    with pytest.raises(UsageError, match="no network is called 'alexnett'") as caught:
        network("alexnett")
    assert caught.value.hint == "did you mean 'alexnet'?"
    for path in ("../networks/alexnet", "alexnet.py", str(models_dir() / "networks" / "alexnet"), ""):
        with pytest.raises(UsageError):
            network(path)
