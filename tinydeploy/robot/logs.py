"""Results as tables in Robot Framework's log. Names come out of model files, so every cell is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, TypeAlias

from tinydeploy.operators.base import printable
from tinydeploy.report.document import Column, Line, Picture, Table, number
from tinydeploy.report.plans import live_bytes_by_operator

if TYPE_CHECKING:
    from tinydeploy.errors import RunError
    from tinydeploy.pipeline import Ran
    from tinydeploy.report.plans import Planned
    from tinydeploy.robot.figures import Figure

Block: TypeAlias = Line | Picture | Table
"""What a log shows of a report's blocks."""


def log_blocks(blocks: Sequence[Block]) -> None:
    """Write blocks of a report to the log."""
    from robot.api import logger

    logger.info("".join(map(_html, blocks)), html=True)


def log_line(text: str) -> None:
    """Write a line to the log."""
    from robot.api import logger

    logger.info(text)


def log_warning(text: str) -> None:
    """Write a line to the log, the console and the report's head."""
    from robot.api import logger

    logger.warn(text)


def model_blocks(
    planned: Planned, ran: Ran | None, figures: Mapping[str, Figure], fault: RunError | None
) -> tuple[Block, ...]:
    """A model on a board: whether it fits, how its run ended, its figures and its layers."""
    fit, model = planned.fit, planned.model
    blocks: list[Block] = [Line(f"{printable(model.name)} on {planned.board.name}", "title")]
    blocks.append(Line("fits" if fit.fits else f"does not fit: {fit.why_not()}", "plain" if fit.fits else "bad"))
    if fault is not None:
        blocks.append(Line(f"the run failed: {fault.message}", "bad"))
    live = live_bytes_by_operator(planned.plan)
    instructions = ran.instructions_by_operator if ran is not None else {}
    rows = tuple(
        (
            str(layer.index),
            printable(layer.opcode),
            printable(layer.name),
            number(layer.macs),
            number(layer.weight_bytes + layer.bias_bytes + layer.table_bytes),
            number(live.get(layer.index, 0)),
            number(instructions[layer.index]) if layer.index in instructions else "",
        )
        for layer in planned.costs.layers
    )
    titles = ("MACs", "weights B", "live B", "instructions")
    columns = (Column("layer"), Column("opcode"), Column("name"), *(Column(title, True) for title in titles))
    return (*blocks, _figures_table(figures), Table("", columns, rows))


def firmware_blocks(
    subject: str, uart: str, figures: Mapping[str, Figure], fault: RunError | None
) -> tuple[Block, ...]:
    """A run of firmware: how it ended, its figures, and what it printed."""
    ended = Line(f"the run failed: {fault.message}", "bad") if fault is not None else Line("ended normally")
    printed = Picture("UART", tuple(((line, 0),) for line in uart.splitlines()))
    return Line(subject, "title"), ended, _figures_table(figures), printed


def _figures_table(figures: Mapping[str, Figure]) -> Table:
    rows = tuple((figure.name, figure.amount, figure.kind) for figure in figures.values())
    return Table("", (Column("figure"), Column("value", True), Column("kind")), rows)


def _html(block: Block) -> str:
    if isinstance(block, Line):
        return f"<p>{_bold(block.text) if block.tone in ('title', 'bad', 'good') else escape(block.text)}</p>"
    title = f"<p>{_bold(block.title)}</p>" if block.title else ""
    if isinstance(block, Picture):
        lines = "\n".join(escape("".join(text for text, _ in line)) for line in block.lines)
        return f"{title}<pre>{lines}</pre>"
    head = "".join(f"<th>{escape(column.title)}</th>" for column in block.columns)
    right = [' style="text-align: right"' if column.number else "" for column in block.columns]
    rows = "".join(
        "<tr>" + "".join(f"<td{where}>{escape(cell)}</td>" for where, cell in zip(right, row, strict=True)) + "</tr>"
        for row in block.rows
    )
    return f"{title}<table><tr>{head}</tr>{rows}</table>"


def _bold(text: str) -> str:
    return f"<b>{escape(text)}</b>"
