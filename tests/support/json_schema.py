"""The JSON keys that are promised, written by hand, and a check against them."""

from __future__ import annotations

from typing import Any

# The keys that are promised, with the types of their values; lists hold one example of their items.
PLAN: dict[str, Any] = {
    "schema_version": int,
    "model": {"path": str, "sha256": str},
    "board": str,
    "fits": bool,
    "sram": {
        "arena_bytes": int,
        "lower_bound_bytes": int,
        "optimal": bool,
        "total_bytes": int,
        "capacity_bytes": int,
    },
    "flash": {"weights_bytes": int, "code_bytes": int, "total_bytes": int, "capacity_bytes": int},
    "totals": {"params": int, "macs": int, "flop": int, "activations": int, "peak_activations": int},
    "layers": [
        {
            "index": int,
            "opcode": str,
            "name": str,
            "outputs": [str],
            "output_shape": [int],
            "macs": int,
            "params": int,
            "weight_bytes": int,
            "live_bytes": int,
        }
    ],
    "tensors": [{"name": str, "bytes": int, "region": str, "offset": int, "first": int, "end": int}],
}
RUN: dict[str, Any] = {
    **PLAN,
    "run": {
        "instructions": int,
        "cycles": {"value": (int, type(None)), "kind": str},
        "seconds_emulating": float,
        "arena_watermark_bytes": int,
        "stack_watermark_bytes": int,
        "static_bytes": int,
        "flash_bytes": {"weights": int, "code": int},
        "layers": [{"index": int, "instructions": int, "cycles": (int, type(None))}],
    },
    "outputs": [{"name": str, "sha256": str}],
    "verified": {"against": str, "bit_exact": bool, "inputs": int},
}


def check(value: Any, schema: Any, path: str = "") -> None:
    """Raise unless the value has at least the schema's keys, of its types."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), path
        for key, inner in schema.items():
            assert key in value, f"{path}.{key}"
            check(value[key], inner, f"{path}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        assert value, path
        for item in value:
            check(item, schema[0], f"{path}[]")
    elif isinstance(schema, tuple):
        assert type(value) in schema, f"{path} is {value!r}"
    else:
        assert type(value) is schema, f"{path} is {value!r}"
