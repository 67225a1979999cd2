"""What the user named, as a side: a report that is there, or a model that is planned now, and run if that is wanted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy import __version__, pipeline
from tinydeploy.boards import Board
from tinydeploy.diff.snapshot import Snapshot, read_report, snapshot
from tinydeploy.pipeline.emulators import EmulatorChoice, choose_emulator
from tinydeploy.report.document import Provenance, envelope
from tinydeploy.report.plans import Planned, plan_data, plan_kinds
from tinydeploy.report.runs import run_document

if TYPE_CHECKING:
    from tinydeploy.pipeline import PlanOptions


def is_report(text: str) -> bool:
    """Whether the user means a report: by its suffix, which no model has."""
    return text.lower().endswith(".json")


def report_side(text: str) -> Snapshot:
    """The side that a report's file tells of. Raises `UsageError`."""
    return snapshot(read_report(Path(text)), text)


def model_side(text: str, board: Board, options: PlanOptions, *, run: bool, toolchain: str | None) -> Snapshot:
    """A model, planned for `board`; with `run` also built, where it fits, and run once on the embedded emulator.

    Raises what `load`, `plan_model`, `build_image` and `run_model` raise.
    """
    planned = pipeline.plan_model(pipeline.load(text), board, options)
    provenance = Provenance(__version__, pipeline.describe(options), {})
    if run and planned.fit.fits:
        return _run_side(text, planned, provenance, toolchain)
    return snapshot({**envelope("plan", provenance, plan_kinds(planned)), **plan_data(planned)}, text)


def _run_side(text: str, planned: Planned, provenance: Provenance, toolchain: str | None) -> Snapshot:
    from tinydeploy.verify import random_inputs

    using = choose_emulator(EmulatorChoice(), planned.board)
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        built = pipeline.build_image(using.fitted(planned), Path(folder), toolchain=toolchain)
        ran = pipeline.run_model(built, using.emulator, random_inputs(planned.model, 0, 1))
    tools = {"toolchain": built.image.toolchain, "emulator": using.version}
    told = Provenance(provenance.tinydeploy, provenance.options, tools)
    return snapshot(run_document(planned, pipeline.run_facts(ran, "random, seed 0"), (), None, told).data, text)
