"""The report of `renode export`: what was written, and what the image printed when it was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinydeploy.operators.base import printable
from tinydeploy.report.document import Block, Document, Facts, Line, Provenance, envelope, number, told
from tinydeploy.report.plans import Planned, plan_data, plan_kinds


@dataclass(frozen=True)
class RenodeFacts:
    """An exported folder; `files` are relative to it. `printed` and `instructions`: of the image on the embedded
    emulator, None and empty where it has no such core, for the reason in `not_run`."""

    name: str
    folder: str
    files: tuple[str, ...]
    elf: str
    toolchain: str
    uart: str | None
    inputs: str
    flash_bytes: int
    static_bytes: int
    printed: tuple[str, ...]
    instructions: int | None
    not_run: str
    notes: tuple[str, ...]


def renode_export_document(planned: Planned, facts: RenodeFacts, provenance: Provenance) -> Document:
    """The report of `renode export`."""
    kinds: Mapping[str, str] = {
        **plan_kinds(planned),
        "renode": "computed",
        "renode.printed": "emulated",
        "renode.instructions": "emulated",
    }
    data: dict[str, Any] = {
        **envelope("renode export", provenance, kinds),
        **plan_data(planned),
        "renode": {
            "name": facts.name,
            "folder": facts.folder,
            "files": list(facts.files),
            "elf": facts.elf,
            "toolchain": facts.toolchain,
            "uart": facts.uart,
            "inputs": facts.inputs,
            "flash_bytes": facts.flash_bytes,
            "static_bytes": facts.static_bytes,
            "printed": list(facts.printed),
            "instructions": facts.instructions,
            "not_run": facts.not_run or None,
            "approximated": list(facts.notes),
        },
    }
    own = [f for f in facts.files if not f.startswith("firmware/")]
    tried = (
        f"ran on the embedded emulator, {number(facts.instructions)} instructions"
        if facts.instructions is not None
        else f"not tried here: {printable(facts.not_run, 300)}"
    )
    pairs = (
        ("folder", f"{printable(facts.folder, 300)}: {', '.join(own)}, and the sources in firmware/"),
        ("image", f"{printable(facts.elf, 300)}, by {printable(facts.toolchain)}"),
        ("flash", f"{number(facts.flash_bytes)} B with the inputs and what prints"),
        ("inputs", printable(facts.inputs, 300)),
        ("tried", tried),
        ("to run it", f"cd {printable(facts.folder, 300)} && renode run.resc"),
    )
    title = f"{printable(planned.model.path or planned.model.name)} for {planned.board.name}: a Renode project"
    blocks: list[Block] = [Line(title, "title"), Facts("", pairs)]
    blocks += [Line(printable(line, 200)) for line in facts.printed]
    blocks += [Line(note, "note") for note in facts.notes]
    blocks.append(told(provenance, sha256=planned.model.sha256))
    return Document(tuple(blocks), data)
