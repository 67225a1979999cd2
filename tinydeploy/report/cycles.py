"""How reports tell cycles: their number, of what kind it is, and the time they take at a board's clock."""

from __future__ import annotations

from typing import Any

from tinydeploy.report.document import number

_UNAVAILABLE = "unavailable"  # the kind of a number that is null


def short_kind(kind: str | None) -> str:
    """The kind as `kinds` has it: what stands before the colon."""
    return (kind or _UNAVAILABLE).partition(":")[0]


def cycles_data(cycles: int | None, kind: str | None) -> dict[str, Any]:
    """For JSON."""
    return {"value": cycles, "kind": short_kind(kind) if cycles is None else kind or _UNAVAILABLE}


def cycles_facts(cycles: int | None, kind: str | None, clock_hz: int, what: str = "") -> tuple[tuple[str, str], ...]:
    """For people: the cycles of `what`, and the latency in ms, cycles / clock. Where there are none, why: what stands
    behind the kind's colon."""
    if cycles is None:
        return (("cycles", (kind or "").partition(": ")[2] or "no timing model for this core"),)
    latency = (
        f"{1e3 * cycles / clock_hz:.3f} ms at {clock_hz / 1e6:g} MHz ({short_kind(kind)}, as if memory never waited)"
    )
    return (("cycles", f"{number(cycles)}{what} ({kind})"), ("latency", latency))
