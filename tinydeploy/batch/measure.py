"""`measure`: what one case comes to. Everything that can go wrong with it is an `Outcome`, never an exception."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tinydeploy import pipeline
from tinydeploy.batch.material import Material, Shelf
from tinydeploy.batch.types import Case, LayerFigures, Outcome, Status
from tinydeploy.errors import (
    GateError,
    MismatchError,
    MissingToolError,
    ModelError,
    RunError,
    TinydeployError,
    UsageError,
)
from tinydeploy.operators.base import printable
from tinydeploy.operators.registry import slow_kernel
from tinydeploy.report.plans import Planned, live_bytes_by_operator

if TYPE_CHECKING:
    from tinydeploy.ir import Model
    from tinydeploy.pipeline import Built, Ran
    from tinydeploy.verify import ReferenceRun, Sample

_STATUSES: tuple[tuple[type[TinydeployError], Status], ...] = (
    (GateError, "does-not-fit"),
    (ModelError, "refused"),
    (UsageError, "refused"),
    (MissingToolError, "missing-tool"),
    (RunError, "failed"),
    (MismatchError, "differs"),
)
_LONGEST_NAME = 300
_BUG_HINT = "this is a bug in tinydeploy: the command for this one model shows where"


def measure(case: Case, material: Material | None = None) -> Outcome:
    """Plan the case's model and, as far as its depth says, build and run it, in this process.

    `material`: what the case names, where it was read already. An error ends the work; what is known by then is in
    the outcome. Without a reference interpreter outputs are not compared, and the message says so.
    """
    started = monotonic()
    known = _Known(case)
    try:
        known.work(Shelf().material(case) if material is None else material)
    except TinydeployError as error:
        known.failed(_status(error), error.message, error.hint, error.exit_code)
    except Exception as error:
        known.failed("crashed", traceback.format_exception_only(error)[-1].strip(), _BUG_HINT)
    return replace(known.outcome, seconds=monotonic() - started)


def refused(case: Case, error: TinydeployError) -> Outcome:
    """The outcome of a case that came to this error before anything was known."""
    return Outcome(case, _status(error), error.message, error.hint, exit_code=error.exit_code)


def _status(error: TinydeployError) -> Status:
    if isinstance(error, RunError) and error.kind == "time-out":
        return "timed-out"
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), "crashed")


class _Known:
    """What is known of a case so far: `outcome` grows stage by stage."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.outcome = Outcome(case, "ok")

    def failed(self, status: Status, message: str, hint: str | None, exit_code: int = 0) -> None:
        self.outcome = replace(self.outcome, status=status, message=message, hint=hint, exit_code=exit_code)

    def _figures(self, planned: Planned, built: Built | None = None, ran: Ran | None = None) -> None:
        """More figures, or better ones; those that are not known stay out."""
        found = pipeline.figures_of(planned, built, ran)
        known = {name: figure for name, figure in found.items() if figure.kind != "unknown"}
        self.outcome = replace(
            self.outcome,
            figures={name: figure.value for name, figure in known.items()},
            kinds={name: figure.kind for name, figure in known.items()},
        )

    def _uses(self, **versions: str) -> None:
        self.outcome = replace(self.outcome, tools={**self.outcome.tools, **versions})

    def work(self, material: Material) -> None:
        case = self.case
        read = material.model(case)
        self.outcome = replace(self.outcome, model_name=printable(read.name, _LONGEST_NAME), model_sha256=read.sha256)
        planned = pipeline.plan_model(read, material.board, case.options)
        self._planned(planned)
        if case.depth != "plan" and material.data is None:
            pipeline.generate_library(planned)  # a network, which has no weights: it refuses
        if not planned.fit.fits:
            raise GateError(planned.fit.why_not())
        if case.depth == "plan":
            return
        with tempfile.TemporaryDirectory(prefix="tinydeploy-", ignore_cleanup_errors=True) as folder:
            if case.depth == "build":
                self._built(pipeline.build_image(planned, Path(folder), toolchain=case.toolchain))
            else:
                self._run(read, planned, material, Path(folder))

    def _planned(self, planned: Planned) -> None:
        self._figures(planned)
        live = live_bytes_by_operator(planned.plan)
        core = planned.board.core
        self.outcome = replace(
            self.outcome,
            layers=tuple(
                LayerFigures(
                    index=layer.index,
                    opcode=layer.opcode,
                    name=printable(layer.name, _LONGEST_NAME),
                    macs=layer.macs,
                    live_bytes=live.get(layer.index, 0),
                    weights_bytes=layer.weight_bytes + layer.bias_bytes + layer.table_bytes,
                    slow=slow_kernel(planned.model, planned.model.operators[layer.index], core),
                )
                for layer in planned.costs.layers
            ),
            peak_operator=planned.fit.blame.operator,
            peak=tuple((alive.name, alive.bytes) for alive in planned.fit.blame.alive),
        )

    def _built(self, built: Built) -> None:
        self._figures(built.planned, built)
        self._uses(toolchain=built.image.toolchain)

    def _run(self, read: Model, planned: Planned, material: Material, folder: Path) -> None:
        from tinydeploy.pipeline.emulators import EmulatorChoice, choose_emulator
        from tinydeploy.transform import original_inputs, original_outputs
        from tinydeploy.verify import compare, load_inputs, raise_on_difference, random_inputs

        case = self.case
        using = choose_emulator(EmulatorChoice(case.emulator, case.renode), material.board)
        if case.inputs:
            given = load_inputs(planned.model, case.inputs)
        else:
            given = random_inputs(planned.model, case.seed, case.samples)
        built = pipeline.build_image(using.fitted(planned), folder, toolchain=case.toolchain)
        self._built(built)
        ran = pipeline.run_model(built, using.emulator, given)
        self._ran(ran)
        self._uses(emulator=using.version)
        if not case.verify:
            return
        assert material.data is not None  # a network came to its end before
        runs = self._references(read, material.data, [original_inputs(read, planned.model, s) for s in given])
        if runs:
            verification = compare(read, [original_outputs(read, planned.model, s) for s in ran.outputs], runs)
            self.outcome = replace(self.outcome, bit_exact=verification.bit_exact, against=verification.against)
            self._uses(**{run.name: run.version for run in runs})
            raise_on_difference(read, verification)

    def _ran(self, ran: Ran) -> None:
        self._figures(ran.built.planned, ran.built, ran)
        instructions, cycles = ran.instructions_by_operator, ran.cycles_by_operator
        layers = (
            replace(layer, instructions=instructions.get(layer.index), cycles=cycles.get(layer.index))
            for layer in self.outcome.layers
        )
        self.outcome = replace(self.outcome, layers=tuple(layers))

    def _references(self, read: Model, data: bytes, samples: Sequence[Sample]) -> tuple[ReferenceRun, ...]:
        """What the references answer; none of them installed is no error, but said."""
        from tinydeploy.verify import reference_outputs
        from tinydeploy.verify.process import INSTALL_HINT  # the error's own hint names an option of `run` alone

        try:
            return reference_outputs(read, data, samples)
        except MissingToolError as error:
            self.outcome = replace(self.outcome, message=f"not verified: {error.message}", hint=INSTALL_HINT)
            return ()
