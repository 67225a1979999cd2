"""The evaluation data answered by the emulated board: the accuracy that a part would have."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.convert.types import Array
from tinydeploy.pipeline.building import build_image
from tinydeploy.pipeline.emulators import EmulatorChoice, choose_emulator
from tinydeploy.pipeline.exporting.int8 import Int8Model
from tinydeploy.pipeline.running import Ran, run_model
from tinydeploy.report.plans import Planned
from tinydeploy.transform import original_inputs, original_outputs

if TYPE_CHECKING:
    from tinydeploy.convert.types import EvaluationSet


@dataclass(frozen=True)
class OnBoard:
    """How the emulated board answered the evaluation data. `same`: samples whose outputs are those of `against` on this
    computer, bit by bit; `correct`: right answers, None without labels."""

    ran: Ran
    samples: int
    same: int
    correct: int | None
    against: str
    emulator: str

    @property
    def tools(self) -> dict[str, str]:
        """Names and versions of what built the image and ran it."""
        return {"toolchain": self.ran.built.image.toolchain, "emulator": self.emulator}


def answer_on_board(planned: Planned, int8: Int8Model, data: EvaluationSet, *, toolchain: str | None = None) -> OnBoard:
    """Run the evaluation data on the emulated board, and on TensorFlow Lite Micro on this computer.

    Raises what `build_image` and `run_model` raise, `MissingToolError` without emulator, compiler or reference.
    """
    import numpy as np

    from tinydeploy.convert.data.classes import count_correct
    from tinydeploy.convert.data.evaluation import int8_samples
    from tinydeploy.verify import reference_outputs

    using = choose_emulator(EmulatorChoice(), planned.board)
    samples = int8_samples(data, planned.model)
    asked = [original_inputs(int8.model, planned.model, sample) for sample in samples]
    answers = reference_outputs(int8.model, int8.data, asked)[0]
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        built = build_image(using.fitted(planned), Path(folder), toolchain=toolchain)
        ran = run_model(built, using.emulator, samples)
    given = [original_outputs(int8.model, planned.model, sample) for sample in ran.outputs]
    outputs: list[list[Array]] = [[sample[index] for index in int8.model.outputs] for sample in given]
    expected = [[sample[index] for index in int8.model.outputs] for sample in answers.samples]
    same = sum(all(map(np.array_equal, ours, theirs)) for ours, theirs in zip(outputs, expected, strict=True))
    correct = None if data.labels is None else count_correct(int8.model, [each[0] for each in outputs], data.labels)
    return OnBoard(ran, len(samples), same, correct, answers.against, using.version)
