"""What quantization costs, operator by operator: the int8 model beside the float model on the same samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinydeploy.convert.data.columns import spread
from tinydeploy.convert.data.feeding import feed, real_values
from tinydeploy.convert.loss.apart import outputs_apart
from tinydeploy.convert.loss.interpreters import litert
from tinydeploy.convert.loss.matching import match
from tinydeploy.convert.loss.noise import Noise
from tinydeploy.convert.loss.ranges import Codes, Cut, range_warnings, refuse_vanishing, watched
from tinydeploy.convert.types import Array, LayerLoss
from tinydeploy.ir import Model
from tinydeploy.tflite import parse_model

MOST_SAMPLES = 32
"""Samples that the loss is told over, evenly spread over those of the calibration: reference kernels are slow."""


@dataclass(frozen=True)
class Examined:
    """The losses of all operators, without a float model none; what is suspicious about ranges, a line each."""

    losses: tuple[LayerLoss, ...]
    warnings: tuple[str, ...]


def examine(float_data: bytes | None, int8_data: bytes, samples: Sequence[Mapping[str, Array]]) -> Examined:
    """Run both models over at most `MOST_SAMPLES` of the calibration's samples and compare every operator's output.

    samples: for each input by name [1, *shape], as in `Calibration`. Raises `ModelError` for a file that cannot be
    read, `UnsupportedModelError` for one that LiteRT does not run, and `MissingToolError` without LiteRT.
    """
    chosen = [samples[index] for index in spread(len(samples), MOST_SAMPLES)]
    stacks = {name: np.concatenate([sample[name] for sample in chosen]) for name in chosen[0]}
    model = parse_model(int8_data)
    refuse_vanishing(model)
    tensors = _alive(model)
    codes = {index: Codes() for index in watched(model) if index in tensors}
    beside = None if float_data is None else _Beside(float_data, int8_data, model, stacks)
    for number, values in enumerate(litert(int8_data, feed(model, stacks), tensors, inner=True)):
        for index, code in codes.items():
            code.add(values[index])
        if beside is not None:
            beside.add(number, values)
    if beside is None:
        return Examined((), range_warnings(model, codes, {}))
    return Examined(beside.losses(), range_warnings(model, codes, beside.cuts(codes)))


class _Beside:
    """The float model's values by the int8 model's tensor indices, where they are known, and what is off from them."""

    def __init__(self, float_data: bytes, int8_data: bytes, model: Model, stacks: Mapping[str, Array]) -> None:
        float_model = parse_model(float_data)
        matches = match(float_model, model)
        runs = litert(float_data, feed(float_model, stacks), sorted(set(matches.tensors.values())), inner=True)
        self._model = model
        self._truths = tuple({mine: run[their] for mine, their in matches.tensors.items()} for run in runs)
        self._whole: dict[int, Noise] = defaultdict(Noise)
        self._own: dict[int, Noise] = defaultdict(Noise)
        for truth, values in outputs_apart(float_data, float_model, int8_data, model, matches, self._truths):
            self._note(self._own, truth, values)

    def add(self, number: int, values: Mapping[int, Array]) -> None:
        """Compare what the int8 model computed in a sample."""
        self._note(self._whole, self._truths[number], values)

    def losses(self) -> tuple[LayerLoss, ...]:
        """Of every operator, over what was added."""
        return tuple(
            LayerLoss(
                operator=op.index,
                opcode=op.opcode,
                tensor=self._model.layer_name(op),
                sqnr_db=Noise.together(self._whole[index] for index in op.outputs).sqnr_db,
                own_sqnr_db=Noise.together(self._own[index] for index in op.outputs).sqnr_db,
            )
            for op in self._model.operators
        )

    def cuts(self, tensors: Iterable[int]) -> dict[int, Cut]:
        """What the ranges of tensors cut off, where the float values are known."""
        found: dict[int, Cut] = defaultdict(Cut)
        for truth in self._truths:
            for index in tensors:
                if index in truth:
                    found[index].add(self._model.tensor(index), truth[index])
        return found

    def _note(self, sums: dict[int, Noise], truth: Mapping[int, Array], values: Mapping[int, Array]) -> None:
        for index, array in values.items():
            if index in truth:
                sums[index].add(truth[index], real_values(self._model.tensor(index), array))


def _alive(model: Model) -> tuple[int, ...]:
    """The tensors that operators compute and something reads; others may have no memory."""
    read = {index for op in model.operators for index in op.inputs} | set(model.outputs)
    return tuple(dict.fromkeys(index for op in model.operators for index in op.outputs if index in read))
