"""Outcomes as JSON and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from tinydeploy.batch.types import Case, LayerFigures, Outcome

_APART = ("case", "cached", "key")  # of the one who asks, or told apart


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome without its case."""
    data = asdict(outcome)
    for name in _APART:
        del data[name]
    return data


def digest_of(data: Mapping[str, Any]) -> str:
    """What tells whether data are still what `outcome_data` made."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def outcome_of(data: Mapping[str, Any], case: Case) -> Outcome:
    """The outcome of `case` from what `outcome_data` made. Raises `TypeError`, `ValueError` or `LookupError` for what
    it did not make."""
    wanted = {field.name for field in fields(Outcome)} - set(_APART)
    if set(data) != wanted:
        raise ValueError(f"keys {sorted(set(data) ^ wanted)}")
    return Outcome(
        case,
        **{
            **data,
            "layers": tuple(LayerFigures(**layer) for layer in data["layers"]),
            "peak": tuple((str(name), int(size)) for name, size in data["peak"]),
        },
    )
