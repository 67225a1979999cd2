"""Random PADs and their readers, folded, against TensorFlow Lite Micro on the file as it is, bit by bit."""

from __future__ import annotations

import os

import numpy as np

from tests.support.host_kernels import random_inputs, tflm_outputs
from tests.support.host_models import HostModel, run_models_on_host
from tests.support.padded_networks import random_padded_network
from tinydeploy.ir import Conv2DAttrs, Padding
from tinydeploy.tflite import parse_model
from tinydeploy.transform import fold_pads

FIRST = int(os.environ.get("TINYDEPLOY_SEED", "0")) * 1_000_000
COUNT = 80
_PADS = ("PAD", "PADV2")


def test_folded_networks_give_what_tflm_gives() -> None:
    cases = []
    pads = folded = one_sided = 0
    for seed in range(FIRST, FIRST + COUNT):
        data = random_padded_network(np.random.default_rng(seed))
        model = parse_model(data)
        changed = fold_pads(model)
        assert (changed is model) == (len(changed.operators) == len(model.operators))
        pads += sum(op.opcode in _PADS for op in model.operators)
        folded += len(model.operators) - len(changed.operators)
        for op in changed.operators:
            if isinstance(op.attrs, Conv2DAttrs) and op.attrs.padding is Padding.EXPLICIT:
                top, bottom, left, right = op.attrs.explicit_padding
                one_sided += (top == 0) != (bottom == 0) or (left == 0) != (right == 0)
        rng = np.random.default_rng([seed, 1])
        samples = tuple(random_inputs(data, rng) for _ in range(2))
        cases.append(HostModel(data, samples, model=changed))
    wrong = []
    for number, (case, by_sample) in enumerate(zip(cases, run_models_on_host(cases), strict=True)):
        for sample, ours in zip(case.samples, by_sample, strict=True):
            for position, (a, b) in enumerate(zip(ours, tflm_outputs(case.data, sample), strict=True)):
                if a.tobytes() != np.ascontiguousarray(b).tobytes():
                    wrong.append(f"seed {FIRST + number}, output {position}")
    assert not wrong
    # both what folds and what does not was there, and padding on one side alone
    assert 0.4 * pads < folded < 0.95 * pads
    assert one_sided > COUNT / 4
