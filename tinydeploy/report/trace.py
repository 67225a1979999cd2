"""A run as a file for profile viewers: Chrome's trace events (for Perfetto), or speedscope's own format.

Both are written as they are read, slice by slice. What a slice is called comes from model and firmware and may be
anything; JSON escapes it.

Trace events (Google's "Trace Event Format") are `B` and `E` events with times in µs. Counts stand with the `E` of a
slice: viewers show them just the same, and speedscope, which takes the arguments of a `B` for a part of the name, still
knows all slices of one name as one. Speedscope's format has one evented profile for each kind of weight.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tinydeploy.errors import UsageError

SPEEDSCOPE_SUFFIX = ".speedscope.json"
_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_NO_CLOCK = "1 ns stands for 1 instruction: this core has no timing model"


class Moment(NamedTuple):
    """A slice begins or ends here. `category`: `layer` or `function`. `args`: what else is known of the slice, with its
    end. `instructions` and `cycles` count from the start of the run."""

    begins: bool
    name: str
    category: str
    args: Mapping[str, Any]
    instructions: int
    cycles: int


@dataclass(frozen=True)
class Timeline:
    """A run. `moments` gives them from the start, each time that it is called; ends are those of the innermost slice.

    `clock_hz`: None where cycles are not modelled. `about`: provenance and kinds of numbers, for who finds the file.
    """

    title: str
    moments: Callable[[], Iterable[Moment]]
    clock_hz: int | None
    about: Mapping[str, Any] = field(default_factory=dict)

    def nanoseconds(self, moment: Moment) -> int:
        """Modelled time, rounded down, so that what is nested stays nested; instructions without a model."""
        return moment.instructions if self.clock_hz is None else moment.cycles * 1_000_000_000 // self.clock_hz


def write_trace(path: Path, timeline: Timeline) -> None:
    """Write the file; what its name ends in decides the format. Raises `UsageError` when it cannot be written."""
    parts = _speedscope(timeline) if path.name.endswith(SPEEDSCOPE_SUFFIX) else _trace_events(timeline)
    try:
        with path.open("w", encoding="ascii") as out:
            _write(out, parts)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _write(out: TextIO, parts: Iterable[str]) -> None:
    for part in parts:
        out.write(part)


def _text(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _list(items: Iterable[Any]) -> Iterator[str]:
    yield "["
    for position, item in enumerate(items):
        yield (",\n" if position else "\n") + _text(item)
    yield "\n]"


def _trace_events(timeline: Timeline) -> Iterator[str]:
    yield '{"displayTimeUnit":"ns","otherData":' + _text(timeline.about) + ',\n"traceEvents":'
    yield from _list(_events(timeline))
    yield "}\n"


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    track = "modelled time" if timeline.clock_hz is not None else _NO_CLOCK
    for kind, name in (("process_name", timeline.title), ("thread_name", track)):
        yield {"name": kind, "ph": "M", "ts": 0, "pid": 1, "tid": 1, "args": {"name": name}}
    begun: list[Moment] = []
    for moment in timeline.moments():
        event = {"name": moment.name, "cat": moment.category, "ts": timeline.nanoseconds(moment) / 1000}
        if moment.begins:
            begun.append(moment)
            yield {**event, "ph": "B", "pid": 1, "tid": 1}
            continue
        began = begun.pop()
        args = {**moment.args, "instructions": moment.instructions - began.instructions}
        if timeline.clock_hz is not None:
            args["cycles"] = moment.cycles - began.cycles
        yield {**event, "ph": "E", "pid": 1, "tid": 1, "args": args}


def _speedscope(timeline: Timeline) -> Iterator[str]:
    frames: dict[str, int] = {}
    for moment in timeline.moments():
        frames.setdefault(moment.name, len(frames))
    exporter = f"tinydeploy@{timeline.about.get('tinydeploy', '')}"
    head = {"$schema": _SCHEMA, "name": timeline.title, "exporter": exporter}
    yield _text(head)[:-1] + ',"tinydeploy":' + _text(timeline.about)
    yield ',\n"shared":{"frames":' + _text([{"name": name} for name in frames]) + '},\n"profiles":['
    if timeline.clock_hz is not None:
        yield from _profile(timeline, frames, "modelled time", "nanoseconds", timeline.nanoseconds)
        yield ",\n"
    yield from _profile(timeline, frames, "instructions", "none", lambda moment: moment.instructions)
    yield "]}\n"


def _profile(
    timeline: Timeline, frames: Mapping[str, int], name: str, unit: str, value: Callable[[Moment], int]
) -> Iterator[str]:
    last = 0

    def events() -> Iterator[dict[str, Any]]:
        nonlocal last
        for moment in timeline.moments():
            last = value(moment)
            yield {"type": "O" if moment.begins else "C", "at": last, "frame": frames[moment.name]}

    yield _text({"type": "evented", "name": f"{timeline.title}: {name}", "unit": unit, "startValue": 0})[:-1]
    yield ',"events":'
    yield from _list(events())
    yield f',"endValue":{last}}}'
