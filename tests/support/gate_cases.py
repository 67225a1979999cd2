"""Hand-made outcomes and limits for tests of gates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinydeploy.batch import Case, LayerFigures, Outcome
from tinydeploy.config import Limits, Place, parse_budget, parse_growth
from tinydeploy.gates.targets import Target

FIGURES: dict[str, int | float] = {
    "arena_bytes": 6000,
    "arena_bound_bytes": 5900,
    "stack_bytes": 500,
    "static_bytes": 100,
    "sram_bytes": 6600,
    "weights_bytes": 2000,
    "code_bytes": 9000,
    "flash_bytes": 11000,
    "macs": 40000,
    "instructions": 100_000,
    "cycles": 150_000,
    "latency_ms": 0.694444,
}
COMPUTED = frozenset({"arena_bytes", "arena_bound_bytes", "static_bytes", "weights_bytes", "code_bytes", "flash_bytes"})
LAYERS = (
    LayerFigures(0, "CONV_2D", "a/conv;a/relu", 30000, 6000, 800, 60_000, 90_000),
    LayerFigures(1, "MAX_POOL_2D", "pool", 0, 4000, 0, 9_990, 15_000),
    LayerFigures(2, "FULLY_CONNECTED", "dense", 10000, 300, 1150, 30_000, 45_000),
    LayerFigures(3, "RESHAPE", "flat", 0, 300, 0, 0, 0),
)


def outcome(status: Any = "ok", message: str = "", **changes: Any) -> Outcome:
    """What a run came to. `changes`: figures by name, or fields of the outcome."""
    figures = {name: changes.pop(name, value) for name, value in FIGURES.items()}
    kinds = {name: "computed" if name in COMPUTED else "emulated" for name in figures}
    kinds |= changes.pop("kinds_changed", {})
    made = Outcome(
        case=Case("net.tflite", "stm32f746", depth="run"),
        status=status,
        message=message,
        figures={name: value for name, value in figures.items() if value is not None},
        kinds=kinds,
        layers=LAYERS,
        peak_operator=0,
        peak=(("image", 4096), ("a/conv;a/relu", 1800), ("scratch of CONV_2D", 104)),
        model_name="net",
        model_sha256="ab" * 32,
        bit_exact=True,
        against="tflite-micro 1.0",
        tools={"toolchain": "gcc 12"},
        seconds=1.5,
    )
    return replace(made, **changes)


def target(budgets: dict[str, Any] | None = None, growths: dict[str, Any] | None = None) -> Target:
    """A target with these limits, as if they stood in a file, each on a line of its own from 10 on."""
    asked = [
        parse_budget(name, value, Place("td.toml", 10 + n)) for n, (name, value) in enumerate((budgets or {}).items())
    ]
    grown = [
        parse_growth(name, value, Place("td.toml", 20 + n)) for n, (name, value) in enumerate((growths or {}).items())
    ]
    limits = Limits({budget.name: budget for budget in asked}, {growth.name: growth for growth in grown})
    return Target("net.tflite", "stm32f746g_disco", Case("net.tflite", "stm32f746"), limits, "net.tflite")
