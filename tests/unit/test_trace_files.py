"""Trace files, held against what the two formats' documents ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinydeploy.errors import UsageError
from tinydeploy.report.trace import Moment, Timeline, write_trace

HOSTILE = 'a"b\\</script>\n\x00\u202e\ud800'


def moments() -> Iterator[Moment]:
    """main, in it a layer with two turns of rows, in each a kernel of a hostile name."""
    yield Moment(True, "main", "function", {}, 0, 0)
    for turn in range(2):
        yield Moment(True, "0 CONV_2D", "layer", {}, 10 + 20 * turn, 11 + 30 * turn)
        yield Moment(True, HOSTILE, "function", {}, 12 + 20 * turn, 14 + 30 * turn)
        yield Moment(False, HOSTILE, "function", {}, 29 + 20 * turn, 40 + 30 * turn)
        yield Moment(False, "0 CONV_2D", "layer", {"rows": [turn, turn + 1]}, 30 + 20 * turn, 41 + 30 * turn)
    yield Moment(False, "main", "function", {}, 60, 81)


def written(tmp_path: Path, name: str, clock_hz: int | None = 216_000_000) -> dict[str, Any]:
    path = tmp_path / name
    write_trace(path, Timeline("a model", moments, clock_hz, {"tinydeploy": "1.2"}))
    text = path.read_text("ascii")
    found: dict[str, Any] = json.loads(text)
    assert found == json.loads(text.replace("\n", ""))  # a line break is nowhere but between values
    return found


def test_trace_events(tmp_path: Path) -> None:
    """The Trace Event Format: name, ph, ts (µs), pid and tid in each event; B and E pair like brackets on a thread."""
    data = written(tmp_path, "x.json")
    assert data["otherData"] == {"tinydeploy": "1.2"}
    stack: list[dict[str, Any]] = []
    last, seen = 0.0, []
    for event in data["traceEvents"]:
        assert {"name", "ph", "ts", "pid", "tid"} <= event.keys()
        assert (event["pid"], event["tid"]) == (1, 1)
        if event["ph"] == "M":
            assert event["args"]["name"]
            continue
        assert event["ts"] >= last
        last = event["ts"]
        if event["ph"] == "B":
            assert "args" not in event  # speedscope would take them for a part of the name
            stack.append(event)
            continue
        begun = stack.pop()
        assert (event["ph"], begun["name"], begun["cat"]) == ("E", event["name"], event["cat"])
        seen.append((event["name"], event["args"], begun["ts"], event["ts"]))
    assert not stack
    # 11 cycles of 216 MHz are 50.9 ns, 41 are 189.8 ns: rounded down
    assert seen[1] == ("0 CONV_2D", {"rows": [0, 1], "instructions": 20, "cycles": 30}, 0.05, 0.189)
    assert seen[0][0] == HOSTILE
    assert seen[-1][1] == {"instructions": 60, "cycles": 81}


def test_speedscope(tmp_path: Path) -> None:
    """Its file-format-spec: shared frames, evented profiles whose O and C balance, with times that never go back."""
    data = written(tmp_path, "x.speedscope.json")
    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert data["exporter"] == "tinydeploy@1.2"
    names = [frame["name"] for frame in data["shared"]["frames"]]
    assert names == ["main", "0 CONV_2D", HOSTILE]
    assert [(p["type"], p["unit"], p["startValue"], p["endValue"]) for p in data["profiles"]] == [
        ("evented", "nanoseconds", 0, 375),
        ("evented", "none", 0, 60),
    ]
    for profile in data["profiles"]:
        stack: list[int] = []
        last, inside = 0, dict.fromkeys(names, 0)
        for event in profile["events"]:
            assert set(event) == {"type", "at", "frame"}
            assert event["at"] >= last
            if stack:
                inside[names[stack[-1]]] += event["at"] - last
            last = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert (event["type"], stack.pop()) == ("C", event["frame"])
        assert not stack
        assert last <= profile["endValue"]
    assert inside == {"main": 60 - 40, "0 CONV_2D": 6, HOSTILE: 34}


def test_without_a_timing_model_instructions_stand_for_time(tmp_path: Path) -> None:
    events = written(tmp_path, "x.json", None)["traceEvents"]
    assert "1 ns stands for 1 instruction" in events[1]["args"]["name"]
    assert (events[-1]["ts"], events[-1]["args"]) == (0.06, {"instructions": 60})
    assert [p["unit"] for p in written(tmp_path, "x.speedscope.json", None)["profiles"]] == ["none"]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write_trace(tmp_path / "none" / "x.json", Timeline("", moments, None))
