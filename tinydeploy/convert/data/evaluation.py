"""How the float and the int8 model do on a user's evaluation data: agreement, correct answers, noise of the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinydeploy.convert.data.calibration import digest, refuse_not_finite
from tinydeploy.convert.data.classes import count_correct, predicted
from tinydeploy.convert.data.feeding import feed, real_values
from tinydeploy.convert.data.find import Data, find_data
from tinydeploy.convert.loss.interpreters import int8_outputs, litert
from tinydeploy.convert.loss.noise import Noise
from tinydeploy.convert.loss.ranges import refuse_vanishing
from tinydeploy.convert.types import Array, Evaluation, EvaluationSet, InputSpec, Pixels
from tinydeploy.errors import UsageError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.tflite import parse_model

_NAMES = ("x", "x_test", "inputs")
_LABELS = ("y", "y_test", "labels")


def load_evaluation(spec: str, wanted: Sequence[InputSpec], *, pixels: Pixels | None = None) -> EvaluationSet:
    """All samples of what `spec` names, with their labels if there are any.

    spec: as for `load_calibration`; labels are `y`, `y_test` or `labels` beside the inputs, or come behind them from a
    function: a class for each sample, or a row with a single 1. Raises `UsageError`, and `MissingToolError`.
    """
    data = find_data(spec, wanted, names=_NAMES, labels=_LABELS, pixels=pixels)
    where = f"evaluation {printable(spec, 200)}"
    if not data.count:
        raise UsageError(f"{where} holds no samples")
    everything = range(data.count)
    inputs = {each.name: data.columns[each.name].read(everything) for each in wanted}
    for each in wanted:
        refuse_not_finite(where, each, inputs[each.name], everything)
    labels = _classes(where, data)
    hashed = digest(inputs if labels is None else {**inputs, "labels": labels})
    return EvaluationSet(inputs=inputs, labels=labels, spec=spec, sha256=hashed)


def int8_samples(data: EvaluationSet, model: Model) -> tuple[Mapping[int, Array], ...]:
    """The samples as the model's input tensors take them, by tensor index: quantized as the firmware would.

    Raises `UsageError` where the data are not for this model.
    """
    return feed(model, data.inputs)


def evaluate(float_data: bytes | None, int8_data: bytes, data: EvaluationSet) -> Evaluation:
    """Run both models on the host over all samples. `float_data`: None where there is no float model.

    The int8 model's outputs are TFLM's where that is installed, so those of the board. Raises `UsageError`,
    `UnsupportedModelError` for a model that does not run, and `MissingToolError` without the packages that run models.
    """
    int8_model = parse_model(int8_data)
    refuse_vanishing(int8_model)
    samples = int8_samples(data, int8_model)
    by, answers = int8_outputs(int8_data, int8_model.inputs, samples, int8_model.outputs)
    labels = data.labels
    scores = [answer[int8_model.outputs[0]] for answer in answers]
    correct = None if labels is None else count_correct(int8_model, scores, labels)
    if float_data is None:
        return Evaluation(data.count, None, None, correct, None, data.spec, data.sha256, by)
    float_model = parse_model(float_data)
    floats = list(litert(float_data, feed(float_model, data.inputs), float_model.outputs))
    float_scores = [answer[float_model.outputs[0]] for answer in floats]
    noise = Noise()
    for truth, answer in zip(floats, answers, strict=True):
        for one, other in zip(float_model.outputs, int8_model.outputs, strict=True):
            noise.add(truth[one], real_values(int8_model.tensor(other), answer[other]))
    return Evaluation(
        samples=data.count,
        agreement=_agreement(predicted(float_model, float_scores), predicted(int8_model, scores)),
        float_correct=None if labels is None else count_correct(float_model, float_scores, labels),
        int8_correct=correct,
        sqnr_db=noise.sqnr_db,
        spec=data.spec,
        sha256=data.sha256,
        int8_by=by,
    )


def _agreement(one: Sequence[int] | None, other: Sequence[int] | None) -> int | None:
    if one is None or other is None:
        return None
    return sum(a == b for a, b in zip(one, other, strict=True))


def _classes(where: str, data: Data) -> Array | None:
    """The labels as classes, [samples], int64."""
    given = data.labels
    if given is None:
        return None
    if given.dtype.kind not in "biuf":
        raise UsageError(f"{where}: the labels are no numbers", hint="give the classes' numbers, from 0")
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if len(given.shape) not in (1, 2) or len(given) != data.count:
        raise UsageError(
            f"{where}: labels of shape {list(given.shape)} for {data.count} samples",
            hint="a class for each sample; those of masks and the like: leave them out of the data",
        )
    if given.ndim == 2:
        if not (np.isin(given, (0, 1)).all() and (given.sum(axis=1) == 1).all()):
            raise UsageError(f"{where}: labels of shape {list(given.shape)} are not rows with a single 1")
        given = given.argmax(axis=1)
    elif not np.isfinite(given).all() or (given != np.trunc(given)).any() or given.min() < 0:
        raise UsageError(
            f"{where}: the labels are not the numbers of classes, from 0",
            hint="those of a regression: leave them out of the data",
        )
    return np.asarray(given, dtype=np.int64)
