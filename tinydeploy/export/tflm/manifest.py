"""`manifest.json`: what is in the folder, where each tensor lies, and of what kind each number is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from struct import iter_unpack
from typing import TYPE_CHECKING, Any

from tinydeploy import __version__
from tinydeploy.plan.tflm import TflmArena
from tinydeploy.plan.tflm.arena import as_in_file

if TYPE_CHECKING:
    from tinydeploy.export.tflm.files import Export

SCHEMA_VERSION = 1
TFLM_COMMIT = "90b983c2b3f1480642e040bbd2ddb37b998f3424"
"""tensorflow/tflite-micro as the arena's prediction and the resolver's methods have it."""

_KINDS = {
    "arena": "computed: by TensorFlow Lite Micro's own rules, for a 32-bit target",
    "greedy_arena": "computed: the same, placed by TensorFlow Lite Micro's own planner",
    "tensors": "computed: as the OfflineMemoryAllocation metadata in the model has them",
    "files": "computed",
}


def manifest(export: Export, name: str, methods: Sequence[str], files: Mapping[str, str | bytes]) -> str:
    """The text of `manifest.json`; docs/tflm.md has its keys. `files` are those of the folder, by relative path."""
    model = export.model
    in_file = as_in_file(model)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "kinds": _KINDS,
        "model": {
            "name": model.name,
            "sha256": hashlib.sha256(export.data).hexdigest(),
            "bytes": len(export.data),
            "original_sha256": export.original_sha256 or None,
        },
        "target": {
            "board": export.board.id if export.board is not None else None,
            "core": export.board.core.name if export.board is not None else None,
            "pointer_bytes": 4,
            "kernels": export.kernels,
        },
        "arena": _arena(export.arena),
        "greedy_arena": _arena(export.greedy) if export.greedy is not None else None,
        "operators": {
            "count": len(in_file.operators),
            "registered": list(methods),
            "opcodes": dict(sorted(Counter(op.opcode for op in in_file.operators).items())),
        },
        "inputs": [_tensor(export, index) for index in model.inputs],
        "outputs": [_tensor(export, index) for index in model.outputs],
        "tensors": list(_placed(export)),
        "versions": {
            "tinydeploy": __version__,
            "tflite_micro_commit": TFLM_COMMIT,
            **dict(sorted((export.tools or {}).items())),
        },
        "files": [
            {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in sorted((p, c if isinstance(c, bytes) else c.encode()) for p, c in files.items())
        ],
    }
    return json.dumps(found, indent=2) + "\n"


def _arena(arena: TflmArena) -> dict[str, Any]:
    return {
        "bytes": arena.arena_bytes,
        "alignment": 16,
        "used_bytes": arena.total_bytes,
        "nonpersistent_bytes": arena.nonpersistent_bytes,
        "persistent_bytes": arena.persistent_bytes,
        "scratch_bytes": arena.scratch_bytes,
        "setup_bytes": arena.setup_bytes,
        "unknown_operators": list(arena.unknown),
    }


def _tensor(export: Export, index: int) -> dict[str, Any]:
    tensor = export.model.tensor(index)
    q = tensor.quantization
    return {
        "tensor": index,
        "name": tensor.name,
        "dtype": tensor.dtype.label,
        "shape": list(tensor.shape),
        "bytes": tensor.bytes,
        "scale": q.scale if q is not None else None,
        "zero_point": q.zero_point if q is not None else None,
    }


def _placed(export: Export) -> Iterator[dict[str, Any]]:
    """The tensors that the metadata places: three int32 numbers, then an offset for each tensor, −1 for none."""
    numbers = export.model.metadata.get("OfflineMemoryAllocation", b"")
    offsets = [number for (number,) in iter_unpack("<i", numbers[: len(numbers) // 4 * 4])][3:]
    for tensor, offset in zip(export.model.tensors, offsets, strict=False):
        if offset >= 0:
            yield {"tensor": tensor.index, "name": tensor.name, "offset": offset, "bytes": tensor.bytes}
