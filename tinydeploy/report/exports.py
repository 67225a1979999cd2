"""The report of `export`: what was made of a model, whether it fits, how good it is, and what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tinydeploy.convert.types import Converted, Evaluation
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import printable
from tinydeploy.report.conversions import (
    conversion_blocks,
    conversion_data,
    conversion_kinds,
    evaluation_data,
    evaluation_fact,
    operator_table,
)
from tinydeploy.report.document import (
    Block,
    Column,
    Document,
    Facts,
    Line,
    Provenance,
    Table,
    envelope,
    number,
    percent,
    told,
)
from tinydeploy.report.plans import Planned, caveat_lines, memory_fact, plan_data, plan_kinds
from tinydeploy.report.shared import PlannedTogether, together_data, together_kinds
from tinydeploy.report.tflm_exports import TflmFacts, tflm_blocks, tflm_data

_SHOWN_FILES = 12


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written: its path in the folder (POSIX slashes), its size and its hash."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class BoardFacts:
    """How the emulated board answered the evaluation data, beside `against` on this computer; `same`: samples whose
    outputs are the same bit by bit. `instructions`: of the inference with the most."""

    samples: int
    same: int
    correct: int | None
    instructions: int
    against: str


@dataclass(frozen=True)
class ExportFacts:
    """What was exported: the models as int8, and how those were made that were not; where `planned` is None no board
    was named. `evaluation`: of a model that was int8 already. `unplanned`: why no plan was made for the board."""

    folder: str
    files: tuple[WrittenFile, ...]
    models: tuple[Model, ...]
    converted: Converted | None = None
    evaluation: Evaluation | None = None
    planned: Planned | PlannedTogether | None = None
    unplanned: str = ""
    forms: tuple[str, ...] = ()
    on_board: BoardFacts | None = None
    tflm: TflmFacts | None = None
    notes: tuple[str, ...] = ()


def export_document(facts: ExportFacts, provenance: Provenance) -> Document:
    """The report of `export`."""
    kinds = {**_kinds(facts), "files": "computed"}
    hashed = facts.models[0].sha256 if len(facts.models) == 1 else ""
    blocks = (*_blocks(facts), _file_table(facts), told(provenance, sha256=hashed))
    return Document(blocks, {**envelope("export", provenance, kinds), **_data(facts)})


def _kinds(facts: ExportFacts) -> dict[str, str]:
    kinds: dict[str, str] = {}
    if isinstance(facts.planned, PlannedTogether):
        kinds |= together_kinds(facts.planned)
    elif facts.planned is not None:
        kinds |= plan_kinds(facts.planned)
    if facts.converted is not None:
        kinds |= conversion_kinds()
    if facts.evaluation is not None:
        kinds["evaluation"] = "computed"
    if facts.on_board is not None:
        kinds["on_board"] = "emulated"
    if facts.tflm is not None:
        kinds |= {"tflm": "computed", "tflm.checked": "measured"}
    return kinds


def _data(facts: ExportFacts) -> dict[str, Any]:
    data: dict[str, Any] = {"folder": facts.folder, "forms": list(facts.forms), "notes": list(facts.notes)}
    if isinstance(facts.planned, PlannedTogether):
        data |= together_data(facts.planned)
    elif facts.planned is not None:
        data |= plan_data(facts.planned)
    else:
        (model,) = facts.models
        data["model"] = {"name": model.name, "path": model.path, "sha256": model.sha256}
    if facts.converted is not None:
        data["conversion"] = conversion_data(facts.converted, facts.models[0])
    if facts.evaluation is not None:
        data["evaluation"] = evaluation_data(facts.evaluation)
    if facts.on_board is not None:
        done = facts.on_board
        data["on_board"] = {
            "samples": done.samples,
            "same": done.same,
            "correct": done.correct,
            "instructions": done.instructions,
            "against": done.against,
        }
    if facts.tflm is not None:
        data["tflm"] = tflm_data(facts.tflm)
    return {**data, "files": [{"path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in facts.files]}


def _blocks(facts: ExportFacts) -> list[Block]:
    names = ", ".join(printable(model.name, 200) for model in facts.models)
    what = [f"package: {', '.join(facts.forms)}"] if facts.forms else []
    what += ["for TensorFlow Lite Micro"] if facts.tflm is not None else []
    what = ([_quantized(facts.models[0])] if facts.converted is not None else []) + what
    blocks: list[Block] = [Line(f"{names} exported to {printable(facts.folder, 300)}: {'; '.join(what)}", "title")]
    blocks += [Line(printable(note, 400)) for note in facts.notes]
    blocks += _fit_blocks(facts)
    if facts.converted is not None:
        blocks += conversion_blocks(facts.converted, facts.models[0])
    elif len(facts.models) == 1:
        blocks.append(operator_table(facts.models[0]))
    answers = []
    if facts.evaluation is not None:
        answers.append(("evaluation", evaluation_fact(facts.evaluation)))
    if facts.on_board is not None:
        answers.append(("on the board", _on_board(facts.on_board)))
    if answers:
        blocks.append(Facts("", tuple(answers)))
    if facts.tflm is not None:
        blocks += tflm_blocks(facts.tflm)
    return blocks


def _quantized(model: Model) -> str:
    """What a conversion has made, in a word or two."""
    wide = any(model.tensor(t).dtype is DType.INT16 for op in model.operators for t in op.outputs)
    return "int8 weights, int16 activations" if wide else "int8"


def _fit_blocks(facts: ExportFacts) -> list[Block]:
    planned = facts.planned
    if planned is None:
        return [Line(printable(facts.unplanned, 400), "bad")] if facts.unplanned else []
    why = planned.why_not() if isinstance(planned, PlannedTogether) else planned.fit.why_not()
    where = f"{printable(planned.board.name)} ({planned.board.core.name}, {planned.board.clock_hz / 1e6:g} MHz)"
    blocks: list[Block] = [Line(f"does not fit {where}: {why}" if why else f"fits {where}", "bad" if why else "good")]
    fit = planned if isinstance(planned, PlannedTogether) else planned.fit
    if isinstance(planned, Planned):
        blocks += caveat_lines(planned)
    sram = memory_fact(fit.sram.used_bytes, fit.sram.capacity_bytes, fit.sram_parts)
    flash = memory_fact(fit.flash.used_bytes, fit.flash.capacity_bytes, fit.flash_parts)
    blocks.append(Facts("", (("SRAM", sram), ("flash", flash))))
    return blocks


def _on_board(done: BoardFacts) -> str:
    right = "" if done.correct is None else f"{number(done.correct)} correct ({percent(done.correct, done.samples)}), "
    same = f"{number(done.same)} of {number(done.samples)} samples bit-exact with {printable(done.against)}"
    return f"{right}{same}; at most {number(done.instructions)} instructions (emulated)"


def _file_table(facts: ExportFacts) -> Table:
    rows = tuple((printable(f.path), number(f.bytes)) for f in facts.files[:_SHOWN_FILES])
    more = len(facts.files) - len(rows)
    note = f"{more} more in --format json" if more > 0 else ""
    return Table("", (Column("written"), Column("bytes", True)), rows, note=note)


def written(files: Mapping[str, str | bytes]) -> tuple[WrittenFile, ...]:
    """The files as the report has them, by path."""
    contents = {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
    return tuple(WrittenFile(path, len(data), sha256(data).hexdigest()) for path, data in sorted(contents.items()))
