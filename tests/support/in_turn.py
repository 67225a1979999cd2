"""Runs several models that share an arena on an emulated board, one after the other, in any order, in one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinydeploy.elf import read_elf
from tinydeploy.emulate import Job, UnicornEmulator
from tinydeploy.pipeline.shared import generate_together
from tinydeploy.report.shared import PlannedTogether
from tinydeploy.toolchain import find_toolchain
from tinydeploy.verify import Sample

_PRELUDE = """\
#include "models_arena.h"
#include <string.h>

__attribute__((section(".arena"), aligned(MODELS_ARENA_ALIGNMENT))) uint8_t arena[MODELS_ARENA_BYTES];

typedef struct { const uint8_t *rows; uint32_t row_bytes; } fed_t;

static void feed(void *context, uint32_t input, uint32_t row, void *to)
{
    const fed_t *fed = (const fed_t *)context + input;
    memcpy(to, fed->rows + row * fed->row_bytes, fed->row_bytes);
}

__attribute__((noinline, used)) void all_done(void) { __asm volatile("" ::: "memory"); }
"""


@dataclass(frozen=True)
class Turn:
    """One run of a member. `pokes`: bytes to write before it, by tensor: what an application does to state."""

    member: int
    sample: Sample
    pokes: Mapping[int, bytes] = field(default_factory=dict)


def run_in_turn(planned: PlannedTogether, turns: Sequence[Turn], folder: Path) -> tuple[list[Sample], list[Sample]]:
    """The outputs of each turn, and by member what of it is to survive, as it is after the last turn.

    What the models share is overwritten with rubbish before each turn, and after the last.
    """
    made = generate_together(planned)
    made.write(folder)
    source, size = _main(planned, turns)
    (folder / "turns.c").write_text(source)
    image = find_toolchain(None).build(
        [folder / path for path in (*made.sources, "turns.c")],
        [folder, folder / "runtime"],
        planned.board,
        folder / "build",
        name="turns",
    )
    assert planned.arena.arena_bytes <= image.arena_bytes < planned.arena.arena_bytes + 16
    results = read_elf(image.elf).address_of("results")
    job = Job(
        image.elf,
        reads=[(results, size)],
        stop_symbol="all_done",
        stack_limit=image.stack_limit,
        strict_peripherals=True,
    )
    ended = UnicornEmulator().run(planned.board, job)
    assert ended.fault is None, ended.fault
    read = iter(_split(planned, turns, ended.reads[0]))
    return [next(read) for _ in turns], list(read)


def _main(planned: PlannedTogether, turns: Sequence[Turn]) -> tuple[str, int]:
    """The program, and how many bytes of results it collects."""
    data: list[str] = []
    lines = ["    (void)feed;"]
    lines += [f"    if ({name}_init(arena) != 0) {{ return 1; }}" for name in planned.names]
    at = 0

    def constant(values: bytes) -> str:
        data.append(f"static const uint8_t data_{len(data)}[] = {{ {', '.join(map(str, values))} }};")
        return f"data_{len(data) - 1}"

    def write(offset: int, values: bytes) -> str:
        return f"    memcpy(arena + {offset}, {constant(values)}, {len(values)});"

    for turn in turns:
        tenant, name = planned.arena.tenants[turn.member], planned.names[turn.member]
        model, plan = tenant.model, tenant.plan
        lines.append(f"    memset(arena, 0xA5, {planned.arena.shared_bytes});")
        lines += [write(plan.placements[t].offset, values) for t, values in turn.pokes.items()]
        fed = []
        for number, index in enumerate(model.inputs):
            values = turn.sample[index].tobytes()
            if index in plan.fed:
                fed.append(f"{{ {constant(values)}, {name.upper()}_INPUT_{number}_ROW_BYTES }}")
            else:
                lines.append(write(plan.placements[index].offset, values))
        if fed:
            lines.append(f"    {{ fed_t fed[] = {{ {', '.join(fed)} }}; {name}_invoke(arena, feed, fed); }}")
        else:
            lines.append(f"    {name}_invoke(arena);")
        for number, index in enumerate(model.outputs):
            size = model.tensor(index).bytes
            lines.append(f"    memcpy(results + {at}, {name}_output_{number}(arena), {size});")
            at += size
    lines.append(f"    memset(arena, 0xA5, {planned.arena.shared_bytes});")
    for tenant in planned.arena.tenants:
        for index in tenant.survives:
            size = tenant.model.tensor(index).bytes
            lines.append(f"    memcpy(results + {at}, arena + {tenant.plan.placements[index].offset}, {size});")
            at += size
    body = "\n".join(["int main(void)", "{", *lines, "    all_done();", "    return 0;", "}"])
    return "\n".join([_PRELUDE, *data, f"uint8_t results[{at}];", body, ""]), at


def _split(planned: PlannedTogether, turns: Sequence[Turn], read: bytes) -> list[Sample]:
    """The outputs of each turn, then the survivors of each member."""
    models = [planned.members[turn.member].model for turn in turns]
    wanted = [(model, model.outputs) for model in models]
    wanted += [(tenant.model, tenant.survives) for tenant in planned.arena.tenants]
    found: list[Sample] = []
    for model, indices in wanted:
        values = {}
        for index in indices:
            tensor = model.tensor(index)
            raw, read = read[: tensor.bytes], read[tensor.bytes :]
            values[index] = np.frombuffer(raw, tensor.dtype.label).reshape(tensor.shape)
        found.append(values)
    return found
