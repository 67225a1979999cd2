"""`model_card`: MODEL_CARD.md, which tells of an exported model where it comes from, what it needs and how good it is.

Nothing in it depends on the day or the machine: no time, and of absolute paths the last part alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

from tinydeploy import __version__
from tinydeploy.convert.types import Converted
from tinydeploy.export.types import CardFacts
from tinydeploy.ir import Tensor
from tinydeploy.operators.base import printable
from tinydeploy.report import markdown
from tinydeploy.report.conversions import conversion_blocks, operator_table
from tinydeploy.report.document import Block, Column, Document, Facts, Line, Picture, Table, number, shape

_RUNTIMES = {
    "tinydeploy": "as a C library that computes the same bytes as TensorFlow Lite Micro's reference kernels",
    "tflm": "for TensorFlow Lite Micro",
}
_FIGURES = {
    "arena_bytes": "arena",
    "arena_bound_bytes": "arena: lower bound",
    "sram_bytes": "SRAM: arena, stack and static data",
    "stack_bytes": "stack",
    "static_bytes": "static data",
    "flash_bytes": "flash: weights and code",
    "weights_bytes": "weights and tables",
    "code_bytes": "code",
    "macs": "multiply-accumulates",
    "instructions": "instructions of one inference",
    "cycles": "cycles of one inference",
    "latency_ms": "latency",
}
_SHOWN_LABELS = 40
_KINDS = {
    "computed": "from the model, the plan or the image",
    "estimated": "before anything is compiled",
    "given": "by whoever exported it",
    "emulated": "counted in a run on an emulated board",
    "modelled": "from a timing model, as if memory never waited",
    "measured": "on a board",
}
_LINE = 100


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with all names of others escaped."""
    return markdown.render(Document(tuple(_blocks(facts)), {}))


def _blocks(facts: CardFacts) -> Iterator[Block]:
    model = facts.model
    yield Line(f"Model card: {printable(facts.name)}", "title")
    yield Line(
        f"{printable(model.name)}, a quantized network of {len(model.operators)} operators for microcontrollers, "
        f"exported by tinydeploy {__version__} {_RUNTIMES[facts.runtime]}."
    )
    yield Facts("provenance", tuple(_provenance(facts)))
    yield _ports(facts)
    yield Facts("quantization", tuple(_quantization(facts)))
    if facts.figures:
        yield _figures(facts)
    if facts.converted is not None:
        yield from conversion_blocks(_without_folders(facts.converted), model)
    else:
        yield operator_table(model)
    if facts.labels:
        yield _labels(facts)
    if facts.command:
        yield _command(facts)
    yield Line("Limitations", "title")
    for text in _limitations(facts):
        yield Line(text)


def _provenance(facts: CardFacts) -> Iterator[tuple[str, str]]:
    yield "int8 file, sha256", f"{facts.sha256} ({number(facts.file_bytes)} B)"
    converted, board = facts.converted, facts.board
    if converted is None:
        yield "source", "was a quantized .tflite file already: what it was trained and calibrated with is not known"
    else:
        yield "source", f"{_last_part(converted.source.text)} ({converted.source.kind})"
        if converted.source_sha256:
            yield "source, sha256", f"{converted.source_sha256} ({number(converted.source_bytes)} B)"
        if converted.calibration_spec is not None:
            yield "calibration data, sha256 of the arrays", converted.calibration_sha256
        if converted.evaluation is not None:
            yield "evaluation data, sha256 of the arrays", converted.evaluation.sha256
    if board is not None:
        yield "board", f"{board.name} ({board.id}: {board.mcu}, {board.core.name}, {board.clock_hz / 1e6:g} MHz)"
    for label, value in facts.plan:
        yield printable(label), printable(value, 200)
    tools = {"tinydeploy": __version__, **(converted.tools if converted is not None else {}), **facts.tools}
    yield "versions", ", ".join(f"{printable(name)} {printable(version)}" for name, version in sorted(tools.items()))


def _ports(facts: CardFacts) -> Table:
    model = facts.model
    columns = (
        Column(""),
        Column("name"),
        Column("type"),
        Column("shape"),
        Column("scale", True),
        Column("zero point", True),
    )
    named = [("input", number) for number in model.inputs] + [("output", number) for number in model.outputs]
    rows = tuple((what, *_port(model.tensor(tensor))) for what, tensor in named)
    return Table("inputs and outputs", columns, rows, note="real = scale · (value − zero point); floats as they are")


def _port(tensor: Tensor) -> tuple[str, ...]:
    q = tensor.quantization if tensor.dtype.label != "float32" else None
    scale, zero_point = ("–", "–") if q is None else (f"{q.scale:.9g}", str(q.zero_point))
    return printable(tensor.name, 80), tensor.dtype.label, shape(tensor.shape), scale, zero_point


def _quantization(facts: CardFacts) -> Iterator[tuple[str, str]]:
    quantized = [t for t in facts.model.tensors if t.quantization is not None]
    activations = sorted({t.dtype.label for t in quantized if not t.constant and t.dtype.label != "float32"})
    weights = [t for t in quantized if t.constant and t.dtype.label in ("int8", "uint8")]
    per_channel = any(t.quantization is not None and t.quantization.per_channel for t in weights)
    types = ", ".join(sorted({t.dtype.label for t in weights}))
    yield "activations", f"{', '.join(activations) or 'none quantized'}, one scale for each tensor"
    yield "weights", f"{types or 'none quantized'}, one scale for each {'output channel' if per_channel else 'tensor'}"
    if facts.pixels is not None:
        yield "pixels", f"0 stands for {facts.pixels.low:g}, 255 for {facts.pixels.high:g}"


def _figures(facts: CardFacts) -> Table:
    known = sorted((_rank(name), name, f) for name, f in facts.figures.items() if f.kind in _KINDS)
    rows = tuple((_title(name), *_value(name, figure.value), figure.kind) for _, name, figure in known)
    columns = (Column("figure"), Column("value", True), Column("unit"), Column("kind"))
    kinds = {figure.kind for _, _, figure in known}
    note = "; ".join(f"{kind}: {told}" for kind, told in _KINDS.items() if kind in kinds)
    return Table("figures", columns, rows, note=note)


def _title(name: str) -> str:
    return _FIGURES.get(name) or printable(name.removesuffix("_bytes").replace("_", " "))


def _rank(name: str) -> tuple[int, str]:
    """Known ones in the order above, then others by name."""
    return (list(_FIGURES).index(name) if name in _FIGURES else len(_FIGURES), name)


def _value(name: str, value: int | float) -> tuple[str, str]:
    shown = number(value) if isinstance(value, int) else f"{value:.3f}"
    return shown, "B" if name.endswith("_bytes") else "ms" if name.endswith("_ms") else ""


def _labels(facts: CardFacts) -> Table:
    rows = tuple((str(index), printable(label, 80)) for index, label in enumerate(facts.labels[:_SHOWN_LABELS]))
    more = len(facts.labels) - len(rows)
    return Table("classes", (Column("#", True), Column("label")), rows, note=f"and {more} more" if more > 0 else "")


def _command(facts: CardFacts) -> Picture:
    """One line, or several with a backslash between them."""
    lines = [""]
    for word in (shlex.quote(printable(_last_part(word), 400)) for word in facts.command):
        if lines[-1] and len(lines[-1]) + len(word) > _LINE:
            lines[-1] += " \\"
            lines.append(" ")
        lines[-1] += f" {word}" if lines[-1] else word
    return Picture("how to make it again", tuple(((line, 0),) for line in lines), "the same inputs give the same bytes")


def _limitations(facts: CardFacts) -> Iterator[str]:
    yield (
        "What the network is good for, on whom or what it was trained, and where it must not be used is for those to "
        "say who trained it: nothing of that can be read from the file."
    )
    converted = facts.converted
    if converted is None or converted.evaluation is None:
        yield "How good the quantized model is was not evaluated here (--evaluate)."
    if any(figure.kind == "modelled" for figure in facts.figures.values()):
        yield "Modelled cycles are no measurement: memory that makes the core wait, caches and interrupts come on top."
    yield from (printable(text, 400) for text in facts.remarks)


def _without_folders(converted: Converted) -> Converted:
    """The same without what absolute paths tell of a machine."""
    evaluation, calibration = converted.evaluation, converted.calibration_spec
    given = (converted.source.text, calibration, None if evaluation is None else evaluation.spec)
    names = {printable(text, 200): printable(_last_part(text), 200) for text in given if text}
    return replace(
        converted,
        warnings=tuple(_renamed(text, names) for text in converted.warnings),
        notes=tuple(_renamed(text, names) for text in converted.notes),
        source=replace(converted.source, text=_last_part(converted.source.text)),
        calibration_spec=None if calibration is None else _last_part(calibration),
        evaluation=None if evaluation is None else replace(evaluation, spec=_last_part(evaluation.spec)),
    )


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for before, after in names.items():
        text = text.replace(before, after) if before != after else text
    return text


def _last_part(text: str) -> str:
    """Of an absolute path its last part, and all else as it is."""
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.name
    return text
