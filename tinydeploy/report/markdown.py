"""Renders a document as Markdown (GitHub's tables), with everything that Markdown or HTML would act on escaped."""

from __future__ import annotations

import re

from tinydeploy.report.document import Block, Document, Facts, Line, Picture

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def escape(text: str) -> str:
    """`text` as Markdown that shows exactly these characters, inside a table cell, too."""
    flat = " ".join(text.split())
    return _ACTIVE.sub(lambda m: {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(m[1], "\\" + m[1]), flat)


def render(document: Document) -> str:
    """The Markdown text, with a final newline."""
    return "\n\n".join(_block(block) for block in document.blocks) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Line):
        text = escape(block.text)
        return {"title": f"## {text}", "good": f"**{text}**", "bad": f"**{text}**"}.get(block.tone, text)
    if isinstance(block, Facts):
        rows = [f"| {escape(label)} | {escape(value)} |" for label, value in block.pairs]
        return _titled(block.title, ["| | |", "|---|---|", *rows])
    if isinstance(block, Picture):
        return _picture(block)
    head = "| " + " | ".join(escape(column.title) for column in block.columns) + " |"
    rule = "|" + "|".join("---:" if column.number else "---" for column in block.columns) + "|"
    rows = [
        "| "
        + " | ".join(f"**{cell}**" if number in block.marked and cell else cell for cell in map(escape, row))
        + " |"
        for number, row in enumerate(block.rows)
    ]
    text = _titled(block.title, [head, rule, *rows])
    return f"{text}\n\n{escape(block.note)}" if block.note else text


def _picture(block: Picture) -> str:
    """A block of code, in which nothing acts, with a fence that no line of it can end."""
    lines = ["".join(characters for characters, _ in line).rstrip() for line in block.lines]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    text = _titled(block.title, [fence, *lines, fence])
    return f"{text}\n\n{escape(block.note)}" if block.note else text


def _titled(title: str, lines: list[str]) -> str:
    return "\n".join([f"### {escape(title)}", "", *lines] if title else lines)
