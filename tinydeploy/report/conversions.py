"""What a conversion to int8 has made of a model: sizes, operators, losses by layer, and how both models answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinydeploy.convert.loss.losses import MOST_SAMPLES
from tinydeploy.convert.types import Converted, Evaluation, LayerLoss
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable
from tinydeploy.report.document import Block, Column, Facts, Line, Table, number, percent
from tinydeploy.units import kib

SHOWN_LOSSES = 10


def conversion_blocks(converted: Converted, model: Model) -> tuple[Block, ...]:
    """For people. `model`: the int8 file as it was read."""
    tables = [operator_table(model)]
    if converted.losses:
        tables.append(_loss_table(converted))
    return (
        *(Line(f"warning: {printable(text, 400)}", "bad") for text in converted.warnings),
        *(Line(printable(text, 400)) for text in converted.notes),
        Facts("conversion", _facts(converted)),
        *tables,
    )


def conversion_data(converted: Converted, model: Model) -> dict[str, Any]:
    """The JSON of a conversion, for the key `conversion`."""
    source = converted.source
    return {
        "source": {
            "kind": source.kind,
            "name": source.name,
            "given": source.text,
            "sha256": converted.source_sha256,
            "bytes": converted.source_bytes,
        },
        "float_weights_bytes": converted.float_weights_bytes,
        "int8_bytes": len(converted.data),
        "operators": [{"opcode": opcode, "count": count} for opcode, count in _operators(model)],
        "calibration": None
        if converted.calibration_spec is None
        else {
            "given": converted.calibration_spec,
            "sha256": converted.calibration_sha256,
            "samples": converted.calibration_samples,
        },
        "loss_samples": _loss_samples(converted) if converted.losses else 0,
        "losses": [
            {
                "operator": loss.operator,
                "opcode": loss.opcode,
                "name": loss.tensor,
                "sqnr_db": _rounded(loss.sqnr_db),
                "own_sqnr_db": _rounded(loss.own_sqnr_db),
            }
            for loss in converted.losses
        ],
        "evaluation": None if converted.evaluation is None else evaluation_data(converted.evaluation),
        "warnings": list(converted.warnings),
        "notes": list(converted.notes),
        "tools": dict(converted.tools),
    }


def conversion_kinds() -> dict[str, str]:
    """Of what kind the numbers are, by path: sizes are those of the files, all else is computed by running both
    models on this computer."""
    return {"conversion": "computed"}


def operator_table(model: Model) -> Table:
    """Which operators there are, and how many of each."""
    rows = tuple((printable(opcode), number(count)) for opcode, count in _operators(model))
    return Table("operators", (Column("opcode"), Column("count", True)), rows, note="computed from the int8 file")


def worst(losses: Sequence[LayerLoss]) -> tuple[LayerLoss, ...]:
    """The layers that lose most, the worst first: by their own part where that is known of any, else by what has come
    together up to them."""
    own = [(loss.own_sqnr_db, loss.operator, loss) for loss in losses if loss.own_sqnr_db is not None]
    whole = [(loss.sqnr_db, loss.operator, loss) for loss in losses if loss.sqnr_db is not None]
    return tuple(loss for _, _, loss in sorted(own or whole, key=lambda each: each[:2]))


def _operators(model: Model) -> list[tuple[str, int]]:
    counted = Counter(op.opcode for op in model.operators)
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _facts(converted: Converted) -> tuple[tuple[str, str], ...]:
    source = converted.source
    before = f"{printable(source.text, 200)} ({source.kind}"
    before += f", {kib(converted.source_bytes)})" if converted.source_bytes else ")"
    weights, size = converted.float_weights_bytes, len(converted.data)
    facts = [("source", before), ("float weights", f"{kib(weights)}, {number(weights // 4)} parameters of 4 bytes")]
    smaller = f", {percent(size, weights)} of the float weights" if weights else ""
    facts.append(("int8 file", f"{kib(size)} with everything in it{smaller}"))
    if converted.calibration_spec is not None:
        told = f"{number(converted.calibration_samples)} samples of {printable(converted.calibration_spec, 200)}"
        facts.append(("calibration", f"{told}, arrays of sha256 {converted.calibration_sha256[:16]}…"))
    if converted.evaluation is not None:
        facts.append(("evaluation", evaluation_fact(converted.evaluation)))
    if converted.tools:
        facts.append(("by", ", ".join(f"{printable(k)} {printable(v)}" for k, v in sorted(converted.tools.items()))))
    return tuple(facts)


def evaluation_fact(done: Evaluation) -> str:
    """The whole evaluation in one line."""
    told = []
    for name, correct in (("float", done.float_correct), ("int8", done.int8_correct)):
        if correct is not None:
            told.append(f"{name} {number(correct)} correct ({percent(correct, done.samples)})")
    if done.agreement is not None:
        scores = "" if done.int8_correct is not None else "if the outputs are scores, "
        told.append(f"{scores}the same class in {number(done.agreement)} ({percent(done.agreement, done.samples)})")
    if done.sqnr_db is not None:
        told.append(f"outputs {done.sqnr_db:.1f} dB SQNR")
    where = f"computed on this computer, int8 by {printable(done.int8_by)}" if done.int8_by else "computed"
    return f"{number(done.samples)} samples of {printable(done.spec, 200)}: {', '.join(told) or 'run'}; {where}"


def evaluation_data(done: Evaluation) -> dict[str, Any]:
    """The JSON of an evaluation."""
    return {
        "given": done.spec,
        "sha256": done.sha256,
        "samples": done.samples,
        "agreement": done.agreement,
        "float_correct": done.float_correct,
        "int8_correct": done.int8_correct,
        "sqnr_db": _rounded(done.sqnr_db),
        "int8_by": done.int8_by,
    }


def _loss_table(converted: Converted) -> Table:
    losses = worst(converted.losses)
    columns = (
        Column("#", True),
        Column("opcode"),
        Column("layers that lose most"),
        Column("own SQNR dB", True),
        Column("SQNR dB", True),
    )
    rows = tuple(
        (
            str(loss.operator),
            printable(loss.opcode),
            printable(loss.tensor.partition(";")[0], 60),  # of what the converter fused, the first
            _decibels(loss.own_sqnr_db),
            _decibels(loss.sqnr_db),
        )
        for loss in losses[:SHOWN_LOSSES]
    )
    over = f"float against int8, computed on this computer over {_loss_samples(converted)} calibration samples"
    note = f"{over}; own: of this operator alone; SQNR: with all that comes before it"
    more = len(converted.losses) - len(rows)
    return Table("", columns, rows, note=note + (f"; all {len(converted.losses)} in --format json" if more > 0 else ""))


def _loss_samples(converted: Converted) -> int:
    return min(converted.calibration_samples, MOST_SAMPLES)


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _rounded(value: float | None) -> float | None:
    """To hundredths: what is behind them differs between processors."""
    return None if value is None else round(value, 2)
