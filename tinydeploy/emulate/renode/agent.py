"""The host's side of `agent.ipy`, which watches a run from inside Renode: what it is told, and what it answers.

The folder of a run holds `run.resc`, the platform, TD_JOB in `job.py`, `agent.py` (a copy of agent.ipy), what goes into
the memories as `load0`, `load1`, … and rows of input in `rows`. The agent writes `started` when the core starts,
`output` as the firmware prints, and at the end the memories as `dump0`, …, what steps left behind in `data`, and last
`result`: a line for each fact, a word and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.boards import Board, RegionKind
from tinydeploy.elf import ElfFile
from tinydeploy.emulate.faults import FunctionTable
from tinydeploy.emulate.memory import BoardMemory
from tinydeploy.emulate.peripherals import PERIPHERAL_SPACES, PRIVATE_BUS
from tinydeploy.emulate.renode.script import path_token
from tinydeploy.emulate.types import Feed, Job

SCRIPT, STARTED, RESULT, OUTPUT, DATA = "run.resc", "started", "result", "output", "data"
_AGENT = Path(__file__).with_name("agent.ipy")
_SEMIHOSTING = b"\xab\xbe"  # bkpt 0xAB
_WHY = frozenset(
    ["stop", "exit", "log", "exception", "trap", "stack", "feed", "late", "count", "semihosting", "failed"]
)


@dataclass(frozen=True)
class Ended:
    """What the agent answered. `why` is what ended the run, with `numbers`: exit's code, exception's number,
    semihosting's operation and the address outside. `step` was open then. `counts`: instructions by step.
    `seen`: steps whose wanted memory is in `data`, in order. `feeds`: (input, row, address) of each row asked for.
    `touched`: address → (reads, writes) of registers without a model. `log`: warnings and errors."""

    why: str
    numbers: tuple[int, ...]
    instructions: int
    step: int | None
    counts: Mapping[int, int]
    seen: tuple[int, ...]
    feeds: tuple[tuple[int, int, int], ...]
    touched: Mapping[int, tuple[int, int]]
    registers: Mapping[str, int]
    log: tuple[str, ...]


def write_session(
    folder: Path,
    platform: Path,
    board: Board,
    job: Job,
    elf: ElfFile,
    memory: BoardMemory,
    vectors: int,
    mapped: Sequence[tuple[int, int]],
) -> None:
    """Write all that Renode needs to run the job. `memory`: as it is at the start, of which the `mapped` ranges
    (base, bytes) are loaded before the run and read after it; `vectors`: the vector table's address."""
    ranges = [(r.base, r.end) for r in board.regions]
    ram = [(r.base, r.end) for r in board.regions if r.kind is RegionKind.RAM]
    for number, (base, size) in enumerate(mapped):
        (folder / f"load{number}").write_bytes(memory.read(base, size))
    functions = FunctionTable(elf)
    given = {
        "load": [(base, f"load{n}") for n, (base, _) in enumerate(mapped)],
        "dump": [(base, size, f"dump{n}") for n, (base, size) in enumerate(mapped)],
        "vectors": vectors,
        "uart": None if board.uart is None else board.uart.base,
        "marker": job.marker_address,
        "stop": None if job.stop_symbol is None else elf.address_of(job.stop_symbol) & ~1,
        "feed": None if job.feed is None else elf.address_of(job.feed.function) & ~1,
        "rows": {} if job.feed is None else _write_rows(folder / "rows", job.feed),
        "traps": [start for start, trap in zip(functions.starts, functions.traps, strict=True) if trap],
        "semihosting": _semihosting_calls(elf),
        "step_reads": {step: [list(places) for places in wanted] for step, wanted in job.step_reads.items()},
        "stack_limit": job.stack_limit,
        "strict": job.strict_peripherals,
        "instructions": float(job.max_instructions),
        "seconds": float(job.timeout_seconds),
        "clock_hz": board.clock_hz,
        "memories": ranges,
        "ram": ram,
        "peripherals": [*PERIPHERAL_SPACES, PRIVATE_BUS],
    }
    # `u` and ASCII: what Python 2.7 and 3.4 read alike.
    lines = [f"TD_JOB = {given!a}", f"TD_JOB['folder'] = u{str(folder)!a}"]
    (folder / "job.py").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / "agent.py").write_bytes(_AGENT.read_bytes())
    script = [
        'mach create "board"',
        f"machine LoadPlatformDescription {path_token(platform.as_posix())}",
        f"include {path_token((folder / 'job.py').as_posix())}",
        f"include {path_token((folder / 'agent.py').as_posix())}",
    ]
    (folder / SCRIPT).write_text("\n".join(script) + "\n", encoding="utf-8")


def _write_rows(file: Path, feed: Feed) -> dict[int, tuple[int, int, int]]:
    """All rows one behind the other; (first byte, bytes of a row, rows) of each input."""
    places, data = {}, bytearray()
    for number, rows in feed.rows.items():
        places[number] = (len(data), len(rows[0]) if rows else 0, len(rows))
        data += b"".join(rows)
    file.write_bytes(data)
    return places


def _semihosting_calls(elf: ElfFile) -> list[int]:
    """Addresses of all halfwords that may be `bkpt 0xAB`. In data they harm nobody: nothing is executed there."""
    found = []
    for segment in elf.segments:
        at = segment.data.find(_SEMIHOSTING)
        while at >= 0:
            if (segment.virtual + at) % 2 == 0:
                found.append(segment.virtual + at)
            at = segment.data.find(_SEMIHOSTING, at + 1)
    return found


def read_result(text: str) -> Ended:
    """What the agent wrote; `ValueError` for anything else."""
    lines = text.split("\n")
    if lines[-2:] != ["done", ""]:
        raise ValueError("it breaks off")
    facts: dict[str, list[tuple[int, ...]]] = {}
    registers, log = {}, []
    why, numbers = "", tuple[int, ...]()
    for line in lines[:-2]:
        word, _, rest = line.partition(" ")
        if word == "log":
            log.append(rest)
        elif word == "register":
            name, value = rest.split(" ")
            registers[name] = int(value)
        elif word == "end":
            why, *more = rest.split(" ")
            numbers = tuple(int(n) for n in more)
        elif re.fullmatch(r"-?\d+( -?\d+)*", rest):
            facts.setdefault(word, []).append(tuple(int(n) for n in rest.split(" ")))
        else:
            raise ValueError(f"'{line[:60]}' is no fact")
    if why not in _WHY or len(facts.get("instructions", ())) != 1 or not {"pc", "sp", "lr"} <= registers.keys():
        raise ValueError("it does not say how the run ended")
    steps = facts.get("step", [])
    return Ended(
        why=why,
        numbers=numbers,
        instructions=facts["instructions"][0][0],
        step=steps[0][0] if steps else None,
        counts={row[0]: row[1] for row in facts.get("count", [])},
        seen=tuple(step for (step,) in facts.get("seen", [])),
        feeds=tuple((number, row, to) for number, row, to in facts.get("feed", [])),
        touched={address: (reads, writes) for address, reads, writes in facts.get("touched", [])},
        registers=registers,
        log=tuple(log),
    )
